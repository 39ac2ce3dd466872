"""Asks an endpoint's partner for an execution, as often as its retries allow, and writes down what came of it.

One that the hub was killed in is never asked again: whether the partner took it, nobody knows. Arguments: `execution`
(its number), `at_once` (somebody waits for it now, and nobody wants it done after a restart).
"""

from __future__ import annotations

import asyncio
import dataclasses
import email.utils
import functools
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from hilum import clock, telemetry
from hilum.errors import Conflict, HilumError
from hilum.formats import synthetic
from hilum.jobs import At, Context, Ending, Partner
from hilum.model.configuration import Endpoint
from hilum.model.execution import ExecutionState
from hilum.outbound.backoff import delay
from hilum.pipeline.payload import decode, encode
from hilum.sdk import trace
from hilum.sdk.contracts import Call, Reply
from hilum.sdk.faults import Failed, Fault, Timings, fault_of, fault_of_status, reason_of
from hilum.sdk.http_request import repeatable
from hilum.sdk.trace import Trace
from hilum.security.seal import Sealer
from hilum.store import Connection, activity_log, execution_blobs, executions, outbox
from hilum.store.execution_blobs import Blob
from hilum.store.executions import Ended, Stored
from hilum.store.jobs import Job

T = TypeVar("T")
R = TypeVar("R")
LONGEST = 300.0  # seconds for all attempts, the pauses between them included
LARGEST = execution_blobs.INLINE
MOST = 64 << 20  # bytes of an answer that are kept of any connector, whatever it gives
WARNING = "execution.warning"
"""The event of an answer that could not be mapped."""

UNKNOWN = "the hub stopped while it was asked: whether the partner took it is not known"

_LARGE = 32_768  # bytes that are worked on by a thread
_AGAIN = frozenset({408, 425, 429})
_FAULTS = frozenset({Fault.DNS, Fault.REFUSED, Fault.TIMEOUT, Fault.PROTOCOL})
_HIDDEN = re.compile(r"(?i)set-cookie2?|(proxy-)?auth(orization|entication-info|enticate)|www-authenticate")


@dataclasses.dataclass(slots=True)
class Try:
    """One attempt. `at` and `duration` are microseconds."""

    number: int
    at: int
    duration: int
    status: int | None
    fault: Fault | None
    reason: str
    timings: Timings
    tls: str | None = None


@dataclasses.dataclass(slots=True)
class Outcome:
    """What all attempts came to; `reply` None: there was no answer to the last one."""

    tries: list[Try]
    reply: Reply | None = None
    fault: Fault | None = None
    reason: str = ""
    trace: Trace | None = None


@dataclasses.dataclass(slots=True)
class Kept:
    """What is written down of it: the answer, what of it is too large for the row, and the trace of a failure."""

    response: dict[str, Any] | None = None
    blobs: tuple[Blob, ...] = ()
    trace: dict[str, Any] | None = None


async def run(context: Context, job: Job) -> Ending | dict[str, Any]:
    """Raises Conflict where no partners are to be had."""
    if context.partners is None or job.organization is None:
        raise Conflict("nothing dials here")
    own = context.store.within(job.organization)
    found = await own.read(executions.get, context.store.sealer, job.arguments["execution"])
    if found.status is not ExecutionState.EXECUTING:
        return {}
    if job.state == "running":  # it had begun before the hub stopped
        told = {"error": UNKNOWN, "tries": []}
        return _ending(context, found, Ended(ExecutionState.FAILED, None, 1, fault=Fault.INTERRUPTED, told=told), [])
    began = clock.monotonic()
    work = asyncio.get_running_loop().create_task(_execute(context, found))

    def call_off() -> None:
        work.cancel()

    forget = context.store.subscribe(f"execution/{found.id}", call_off)
    try:
        await asyncio.wait({work})
    finally:
        forget()
        work.cancel()
    if work.cancelled():  # a person called it off: it has ended already
        return {}
    ended, tries = work.result()
    took = round((clock.monotonic() - began) * 1_000_000)
    return _ending(context, found, dataclasses.replace(ended, duration=took), tries)


async def _execute(context: Context, found: Stored) -> tuple[Ended, list[Try]]:
    """Whatever goes wrong is how it ended."""
    outcome, kept = Outcome([]), Kept()
    try:
        name = found.reference.partition("/")[2]
        at = At(found.organization, found.integration, name, found.version, found.managed_by)
        async with context.partners.open(at) as partner:  # type: ignore[union-attr]  # run looked
            request = await _request(context, found)
            body = encode(request.get("data"))
            body = await _aside(partner.outgoing, body, body)
            if found.synthetic:
                body, request = _told_apart(partner, body, request)
            outcome = await _ask(partner, _call(body, request))
            if outcome.fault is not None:
                kept.trace = _trace(partner, body, outcome)
            if (reply := outcome.reply) is not None:
                respond = functools.partial(_response, partner, context.store.sealer)
                kept.response, kept.blobs = await _aside(respond, reply, reply.body)
    except HilumError as error:
        outcome.fault = Fault.CONFIGURATION if not isinstance(error, Failed) else error.fault
        outcome.reason = telemetry.mask(str(error))
    except Exception as error:  # a plug-in's fault is a result too
        outcome.fault, outcome.reason = fault_of(error), f"internal error: {type(error).__name__}"
    return _ended(outcome, kept), outcome.tries


async def _request(context: Context, found: Stored) -> dict[str, Any]:
    """With all of its data, wherever that is kept."""
    own = context.store.within(found.organization)
    return await own.load(execution_blobs.whole, context.store.sealer, found.id, found.request) or {}


async def _aside(work: Callable[[T], R], given: T, body: bytes) -> R:
    """On a thread where there is much of it: nobody else is to wait for that."""
    return await asyncio.to_thread(work, given) if len(body) > _LARGE else work(given)


def _told_apart(partner: Partner, body: bytes, request: dict[str, Any]) -> tuple[bytes, dict[str, Any]]:
    """A test's: in its payload where a standard has a place for that, and to an HTTP partner in a header."""
    if partner.method is not None:
        request = {**request, "headers": {**(request.get("headers") or {}), **synthetic.HEADERS}}
    return synthetic.mark(body), request


def _call(body: bytes, request: Mapping[str, Any]) -> Call:
    return Call(
        body, request.get("headers") or {}, request.get("parameters") or {}, request.get("timeout"),
        str(request.get("idempotency_key") or ""),
    )  # fmt: skip


async def _ask(partner: Partner, call: Call) -> Outcome:
    """As often as the endpoint's retries allow; what is not safe to repeat, once."""
    until = clock.monotonic() + LONGEST
    outcome = Outcome([])
    retries = _retries(partner.endpoint, call, partner.method)
    for number in range(1, retries + 2):
        at, began, after, tls = clock.micros(), clock.monotonic(), None, None
        try:
            outcome.reply = await partner.ask(call, until - began)
            status, outcome.trace = outcome.reply.status, outcome.reply.trace
            outcome.fault, outcome.reason = _judged(partner, outcome.reply)
            timings, again = outcome.reply.timings, status in _AGAIN or status >= 500
            after, tls = _seconds(outcome.reply.headers), outcome.reply.tls
        except Failed as error:
            outcome.reply, status, outcome.fault, outcome.trace = None, None, error.fault, error.trace
            outcome.reason, timings, again = telemetry.mask(reason_of(error)), error.timings, error.fault in _FAULTS
        took = round((clock.monotonic() - began) * 1_000_000)
        outcome.tries.append(Try(number, at, took, status, outcome.fault, outcome.reason, timings, tls=tls))
        pause = delay(number, after)
        if outcome.fault is None or not again or number > retries or clock.monotonic() + pause > until:
            break
        await asyncio.sleep(pause)
    return outcome


def _judged(partner: Partner, reply: Reply) -> tuple[Fault | None, str]:
    """What is wrong with an answer, and why. One that is too large to be kept is none that could be relied on."""
    if (fault := fault_of_status(reply.status)) is not None:
        return fault, _said(partner, reply)
    if _too_large(reply):
        text = f"it was answered ({reply.status}), with more than {min(len(reply.body), MOST):,} bytes: not kept"
        return Fault.TOO_LARGE, text
    return None, ""


def _too_large(reply: Reply) -> bool:
    return reply.truncated or len(reply.body) > MOST


def _said(partner: Partner, reply: Reply) -> str:
    """What is shown to everybody who may see that it failed; an HL7 answer's text may name a patient, its code not."""
    if partner.method is None:
        return f"the partner answered {reply.reason.partition(':')[0]}"
    return f"HTTP {reply.status}: {reply.reason[:100]}"


def _retries(endpoint: Endpoint, call: Call, method: str | None) -> int:
    """C-09: a call that may do something twice is repeated only with a key that lets the partner notice."""
    return endpoint.retries if repeatable(method or "POST", call.idempotency_key) else 0


def _response(partner: Partner, sealer: Sealer, reply: Reply) -> tuple[dict[str, Any], tuple[Blob, ...]]:
    """Document 003's processed response, and what it points to. What it says of sessions and sign-in is left out."""
    headers = {
        name: telemetry.mask(value) for name, value in reply.headers.items()
        if not _HIDDEN.fullmatch(name) and not telemetry.names_secret(name)
    }  # fmt: skip
    kind = next((value for name, value in headers.items() if name.lower() == "content-type"), "")
    cut = _too_large(reply)
    body = b"" if cut else reply.body
    data, blob = _placed(sealer, body, kind)
    made: dict[str, Any] = {
        "status": reply.status, "statusText": reply.reason, "headers": headers, "data": data, "processedData": data,
        "success": 200 <= reply.status < 400 and not cut,
    }  # fmt: skip
    made |= {"truncated": True} if cut else {}
    made |= {} if blob is None else {"blob": blob.pointer}
    processed = None
    try:
        if body and made["success"] and (mapped := partner.incoming(body)) is not None:
            made["processedData"], processed = _placed(sealer, mapped, execution_blobs.JSON)  # else it is shown as text
            made |= {} if processed is None else {"processedBlob": processed.pointer}
    except HilumError as error:
        made |= {"processedData": None, "processingError": telemetry.mask(str(error))}
    return made, tuple(one for one in (blob, processed) if one is not None)


def _placed(sealer: Sealer, body: bytes, kind: str) -> tuple[Any, Blob | None]:
    """A body as it stands in the row; None and a blob where it is too large for that."""
    if len(body) <= LARGEST:
        return _clean(decode(body, kind)), None
    plain = kind.partition(";")[0].strip().lower()[:100] or execution_blobs.BYTES
    return None, execution_blobs.seal(sealer, _clean_bytes(body), plain)


def _trace(partner: Partner, body: bytes, outcome: Outcome) -> dict[str, Any]:
    """What went over the wire at the last try, without secrets. `endpoint`: the URL before anybody's parameters."""
    url, reply, seen = trace.of_url(partner.endpoint.url), outcome.reply, outcome.trace
    if seen is None:  # a protocol without headers, or nobody was asked
        seen = Trace(partner.method, url, {})
        if reply is not None:
            text = telemetry.mask(reply.reason)
            seen = dataclasses.replace(seen, status=reply.status, reason=text, answer=trace.beginning(reply.body))
    timings = dataclasses.asdict(outcome.tries[-1].timings)
    return {**dataclasses.asdict(seen), "endpoint": url, "body": trace.beginning(body), "timings": timings}


def _clean(data: Any) -> Any:
    """Without our own secrets, which a partner may send back; what looks like one is the partner's, and stays."""
    if data is None or isinstance(data, str):
        return data and telemetry.secrets.mask(data)
    text = json.dumps(data, ensure_ascii=False)
    masked = telemetry.secrets.mask(text)
    try:
        return data if masked == text else json.loads(masked)
    except ValueError:  # it stood where no text may
        return masked


def _clean_bytes(body: bytes) -> bytes:
    """The same for what is kept as it came."""
    for charset in ("utf-8", "latin-1"):
        try:
            text = body.decode(charset)
        except UnicodeDecodeError:
            continue
        masked = telemetry.secrets.mask(text)
        return body if masked == text else masked.encode(charset)
    return body


def _ended(outcome: Outcome, kept: Kept) -> Ended:
    status = ExecutionState.COMPLETED
    if outcome.fault is not None:
        late = outcome.fault is Fault.TIMEOUT and outcome.reply is None
        status = ExecutionState.TIMEOUT if late else ExecutionState.FAILED
    tries = [{**dataclasses.asdict(one), "timings": dataclasses.asdict(one.timings)} for one in outcome.tries]
    return Ended(
        status, None, len(tries), None if outcome.reply is None else outcome.reply.status, outcome.fault,
        kept.response, {"error": outcome.reason or None, "tries": tries}, kept.trace, kept.blobs,
    )  # fmt: skip


def _ending(context: Context, found: Stored, ended: Ended, tries: list[Try]) -> Ending:
    """Execution, log and job end in one transaction."""

    def entry(level: str, outcome: str, status: str, **values: Any) -> activity_log.Entry:
        return activity_log.Entry(
            found.organization, found.integration, "execute", level, outcome, status, endpoint=found.endpoint,
            execution=found.id, correlation=found.correlation, **values,
        )  # fmt: skip

    entries = [
        entry("warn", "failure", ExecutionState.EXECUTING, status_code=one.status, duration=one.duration,
              attempt=one.number, fault=one.fault, error=one.reason)
        for one in tries[:-1]
    ]  # fmt: skip
    fine = ended.status is ExecutionState.COMPLETED
    problem = (ended.response or {}).get("processingError")
    if problem:
        entries.append(entry("warn", "failure", ended.status, fault=Fault.CONFIGURATION, error=problem))
    entries.append(entry(
        "info" if fine else "error", "success" if fine else "failure", ended.status, status_code=ended.status_code,
        duration=ended.duration, attempt=ended.attempts, fault=ended.fault, error=ended.told.get("error"),
    ))  # fmt: skip

    def write(connection: Connection) -> None:
        if executions.finish(connection, context.store.sealer, found.id, found.uuid, ended):
            activity_log.insert(connection, context.store.sealer, entries)
            if problem:  # nothing failed: who wants to know subscribes to it (S3-58)
                outbox.insert(connection, found.organization, WARNING, executions.entity(found.uuid))

    return Ending({}, write)


def _seconds(headers: Mapping[str, str]) -> float | None:
    """Retry-After (RFC 9110, section 10.2.3) in seconds from now; None where it says nothing."""
    text = next((value for name, value in headers.items() if name.lower() == "retry-after"), "").strip()
    if re.fullmatch(r"\d{1,9}", text):
        return float(text)
    try:
        until = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, (until - clock.now()).total_seconds()) if until.tzinfo else None
