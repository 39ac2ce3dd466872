"""Executions as the job does them: attempts, what ends how, and what is left in the rows."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hashlib
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import sqlalchemy as sa

from hilum import telemetry
from hilum.errors import ConfigError, Conflict, StepError
from hilum.jobs import At, Context, Ending, execute
from hilum.model.access import Scope
from hilum.model.configuration import Endpoint
from hilum.model.execution import ExecutionState
from hilum.pipeline.payload import encode
from hilum.sdk import trace
from hilum.sdk.contracts import Call, ProbeResult, Reply
from hilum.sdk.faults import Failed, Fault, Timings
from hilum.store import Store, activity_log, configuration, execution_blobs, executions, schema
from hilum.store.executions import New, Stored
from hilum.store.jobs import Job

pytestmark = pytest.mark.anyio
DOCUMENT = {
    "name": "lab", "protocol": "rest_api",
    "endpoints": [{"name": "out", "direction": "outbound", "url": "http://192.0.2.1/x", "retries": 2}],
}  # fmt: skip
LABEL = '{"system":"http://terminology.hl7.org/CodeSystem/v3-ActReason","code":"HTEST"}'
LABELLED = f'{{"resourceType":"Patient","meta":{{"security":[{LABEL}]}}}}'
Answer = Reply | Exception


def reply(status: int, reason: str = "", body: bytes = b"", **headers: str) -> Reply:
    return Reply(status, reason, {name.replace("_", "-"): value for name, value in headers.items()}, body, Timings(1.0))


def failed(fault: Fault, text: str = "no") -> Failed:
    return Failed(text, fault, Timings(1.0))


class Scripted:
    """A partner that answers by a list, the last entry again and again; and whoever finds it."""

    def __init__(self, *answers: Answer, method: str | None = "GET", retries: int = 2) -> None:
        self.answers = list(answers)
        self.method = method
        self.endpoint = Endpoint(name="out", direction="outbound", url="http://192.0.2.1/x", retries=retries)
        self.calls: list[Call] = []
        self.mapping: Callable[[bytes], bytes] = lambda body: body
        self.answered: Callable[[bytes], bytes] | None = None
        self.asked = asyncio.Event()
        self.hold = asyncio.Event()
        self.hold.set()

    async def ask(self, call: Call, patience: float) -> Reply:
        self.calls.append(call)
        self.asked.set()
        await self.hold.wait()
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def probe(self) -> ProbeResult:
        raise NotImplementedError

    def outgoing(self, body: bytes) -> bytes:
        return self.mapping(body)

    def incoming(self, body: bytes) -> bytes | None:
        return None if self.answered is None else self.answered(body)

    @contextlib.asynccontextmanager
    async def open(self, at: At) -> AsyncIterator[Scripted]:
        assert at.endpoint == "out"
        yield self

    async def silent(self, one: Any, endpoint: str) -> str:
        raise NotImplementedError


@pytest.fixture
async def begin(store: Store) -> Callable[..., Awaitable[tuple[int, int]]]:
    """Stores an execution; its number and the organization's."""

    def settle_in(connection: sa.Connection) -> tuple[int, int, int]:
        owner = configuration.put_organization(connection, "demo", {})
        configuration.put_integration(connection, owner, "lab", DOCUMENT, "file")
        endpoint = configuration.put_endpoint(connection, owner, "lab/out", "outbound", DOCUMENT["endpoints"][0])
        number = connection.execute(sa.select(schema.integration.c.id)).scalar_one()
        return owner, number, endpoint

    owner, integration, endpoint = await store.write(settle_in)

    async def make(*, synthetic: bool = False, blobs: Any = (), **request: Any) -> tuple[int, int]:
        asked = {"data": {"a": 1}, **request}
        new = New(owner, integration, endpoint, "corr-1", "somebody", asked, executions.name(), synthetic, blobs)
        return await store.write(executions.insert, store.sealer, new), owner

    return make


@pytest.fixture
def run(
    context: Context, job: Callable[..., Job], begin: Callable[..., Awaitable[tuple[int, int]]], store: Store
) -> Callable[..., Awaitable[Stored]]:
    async def work(partner: Scripted, *, state: str = "waiting", **request: Any) -> Stored:
        number, owner = await begin(**request)
        made = dataclasses.replace(job("execute", execution=number), organization=owner, state=state)
        ending = await execute.run(dataclasses.replace(context, partners=partner), made)
        assert isinstance(ending, Ending)
        assert ending.write is not None
        await store.write(ending.write)
        return await store.read(executions.get, store.sealer, number)

    return work


async def logged(store: Store, one: Stored) -> list[activity_log.Entry]:
    """Oldest first."""
    wanted = activity_log.Wanted()
    found, total = await store.read(
        activity_log.listed, store.sealer, one.organization, one.integration, wanted, 0, 100
    )  # fmt: skip
    assert total == len(found)
    return [entry.entry for entry in reversed(found)]


@pytest.mark.ledger("S3-54")
async def test_an_answer_is_kept_as_it_came(run: Any, store: Store) -> None:
    answer = reply(201, "Created", b'{"id": 7}', content_type="application/json", set_cookie="sid=1", x_api_key="k" * 9)
    one = await run(Scripted(answer, method="POST"))
    assert (one.status, one.status_code, one.fault, one.attempts) == (ExecutionState.COMPLETED, 201, None, 1)
    assert one.duration is not None
    assert one.ended_at is not None
    assert one.ended_at >= one.started_at
    assert one.response == {
        "status": 201, "statusText": "Created", "headers": {"content-type": "application/json"}, "data": {"id": 7},
        "processedData": {"id": 7}, "success": True,
    }  # fmt: skip
    (entry,) = await logged(store, one)
    assert (entry.level, entry.outcome, entry.status, entry.execution) == ("info", "success", "completed", one.id)
    assert (entry.duration, entry.correlation, entry.error) == (one.duration, "corr-1", None)


@pytest.mark.ledger_part("S3-54", "what is neither 2xx nor 3xx has failed, with its status kept")
@pytest.mark.parametrize(
    ("status", "state", "fault"),
    [(200, "completed", None), (302, "completed", None), (400, "failed", "protocol"), (401, "failed", "auth"),
     (403, "failed", "forbidden"), (404, "failed", "not_found"), (500, "failed", "http_5xx")],
)  # fmt: skip
async def test_what_becomes_of_a_status(run: Any, status: int, state: str, fault: str | None) -> None:
    one = await run(Scripted(reply(status, "As told"), method="POST"))
    assert (one.status, one.fault, one.status_code, one.attempts) == (state, fault, status, 1)
    assert (one.told or {})["error"] == (None if fault is None else f"HTTP {status}: As told")
    assert (one.response or {})["success"] is (fault is None)


@pytest.mark.ledger("S3-55")
@pytest.mark.ledger_part("S2-56", "class, attempt, integration, endpoint and correlation of every failure")
async def test_what_is_safe_is_tried_again_and_every_try_recorded(run: Any, store: Store) -> None:
    busy = reply(503, "Busy", retry_after="0")
    one = await run(Scripted(busy, reply(429, "Slow down", retry_after="0"), reply(200, "OK")))
    assert (one.status, one.attempts) == (ExecutionState.COMPLETED, 3)
    tries = (one.told or {})["tries"]
    assert [(each["number"], each["status"], each["fault"]) for each in tries] == [
        (1, 503, "http_5xx"), (2, 429, "rate_limited"), (3, 200, None)
    ]  # fmt: skip
    first, second, last = await logged(store, one)
    assert (first.level, first.attempt, first.fault, first.error) == ("warn", 1, "http_5xx", "HTTP 503: Busy")
    assert (second.attempt, second.fault, second.status_code) == (2, "rate_limited", 429)
    assert (last.level, last.attempt, last.outcome) == ("info", 3, "success")
    assert {(each.integration, each.endpoint, each.correlation) for each in (first, second, last)} == {
        (one.integration, one.endpoint, "corr-1")
    }


@pytest.mark.ledger_part("S2-38", "0 means none; what is not idempotent only with a key; 4xx never")
@pytest.mark.ledger_part("S3-55", "what is tried again, and how often")
@pytest.mark.parametrize(
    ("method", "retries", "key", "answer", "tries"),
    [
        ("GET", 2, "", reply(503, retry_after="0"), 3),
        ("GET", 0, "", reply(503, retry_after="0"), 1),
        ("PUT", 1, "", reply(408, retry_after="0"), 2),
        ("DELETE", 1, "", reply(425, retry_after="0"), 2),
        ("POST", 2, "", reply(503, retry_after="0"), 1),
        ("POST", 2, "order-4711", reply(503, retry_after="0"), 3),
        ("PATCH", 2, "", failed(Fault.REFUSED), 1),
        (None, 2, "", failed(Fault.TIMEOUT), 1),
        ("GET", 2, "", reply(404, retry_after="0"), 1),
        ("GET", 1, "", failed(Fault.TIMEOUT), 2),
        ("POST", 1, "order-4711", failed(Fault.TIMEOUT), 2),
        ("GET", 2, "", failed(Fault.TLS_EXPIRED), 1),
        ("GET", 2, "", failed(Fault.BLOCKED_BY_POLICY), 1),
    ],
)
async def test_how_often_it_is_tried(
    run: Any, method: str | None, retries: int, key: str, answer: Answer, tries: int
) -> None:
    partner = Scripted(answer, method=method, retries=retries)
    one = await run(partner, idempotency_key=key)
    assert (len(partner.calls), one.attempts) == (tries, tries)
    assert {call.idempotency_key for call in partner.calls} == {key}


async def test_a_connection_that_failed_is_tried_again_after_a_while(run: Any) -> None:
    one = await run(Scripted(failed(Fault.REFUSED), reply(200, "OK"), retries=1))
    assert (one.status, one.attempts) == (ExecutionState.COMPLETED, 2)


@pytest.mark.ledger_part("S2-38", "the wait that a partner asks for is kept to, or the execution ends at once")
async def test_a_wait_beyond_the_time_of_all_attempts_ends_it(run: Any) -> None:
    one = await run(Scripted(reply(429, "Later", retry_after="3000")))
    assert (one.status, one.attempts, one.fault) == (ExecutionState.FAILED, 1, "rate_limited")


@pytest.mark.ledger_part("S2-37", "exceeded: outcome timeout, counted as failed")
async def test_no_answer_in_time_is_a_timeout(run: Any, store: Store) -> None:
    one = await run(Scripted(failed(Fault.TIMEOUT, "no answer in time"), method="POST"))
    assert (one.status, one.fault, one.response) == (ExecutionState.TIMEOUT, "timeout", None)
    (entry,) = await logged(store, one)
    assert (entry.level, entry.outcome, entry.status, entry.error) == (
        "error", "failure", "timeout", "no answer in time"
    )  # fmt: skip


@pytest.mark.ledger_part("S3-53", "a mapping that fails stops it before any network call")
@pytest.mark.parametrize("problem", [StepError("PID is missing"), ConfigError("no such mapping", where="out")])
async def test_a_mapping_that_fails_stops_it_before_anybody_is_asked(run: Any, problem: Exception) -> None:
    def fail(body: bytes) -> bytes:
        raise problem

    partner = Scripted(reply(200))
    partner.mapping = fail
    one = await run(partner)
    assert partner.calls == []
    assert (one.status, one.fault, one.attempts) == (ExecutionState.FAILED, "configuration", 0)
    assert (one.told or {})["error"] == str(problem)


@pytest.mark.ledger_part("S3-53", "the mapped data is what is sent")
async def test_what_is_sent_went_through_the_mapping(run: Any) -> None:
    partner = Scripted(reply(200))
    partner.mapping = lambda body: body.upper()
    await run(partner, data="order", headers={"X-A": "b"}, parameters={"c": "d"}, timeout=500)
    (call,) = partner.calls
    assert call == Call(b"ORDER", {"X-A": "b"}, {"c": "d"}, 500, "")


@pytest.mark.ledger_part("S4-74", "a partner is told that it is a test's, after the mapping, in its standard's place")
@pytest.mark.parametrize(
    ("data", "method", "wanted"),
    [
        ("MSH|^~\\&|A|B|C|D|1||ADT^A01|1|P|2.5", None, "MSH|^~\\&|A|B|C|D|1||ADT^A01|1|T|2.5\r"),
        ({"resourceType": "Patient"}, "POST", LABELLED),
        ({"a": 1}, "POST", '{"a":1}'),
    ],
)
async def test_a_test_is_not_sent_as_if_it_were_real(run: Any, data: Any, method: str | None, wanted: str) -> None:
    partner = Scripted(reply(200), method=method)
    one = await run(partner, data=data, headers={"X-A": "b"}, synthetic=True)
    (call,) = partner.calls
    assert (one.status, one.synthetic, call.body.decode()) == (ExecutionState.COMPLETED, True, wanted)
    assert call.headers == {"X-A": "b"} | ({} if method is None else {"X-Hilum-Synthetic": "true"})
    real = Scripted(reply(200), method=method)
    one = await run(real, data=data, headers={"X-A": "b"})
    assert (one.synthetic, real.calls[0].headers) == (False, {"X-A": "b"})
    assert real.calls[0].body == encode(data)


async def test_a_test_that_cannot_be_told_apart_is_not_sent(run: Any) -> None:
    partner = Scripted(reply(200))
    one = await run(partner, data="MSH", synthetic=True)
    assert (one.status, one.fault, partner.calls) == (ExecutionState.FAILED, Fault.CONFIGURATION, [])


@pytest.mark.ledger_part("S3-58", "a mapping's error is processingError and no failure, and is in the log")
async def test_an_answer_that_cannot_be_mapped_is_no_failure(run: Any, store: Store) -> None:
    def fail(body: bytes) -> bytes:
        raise StepError("no PID")

    partner = Scripted(reply(200, "OK", b"[1]", content_type="application/json"))
    partner.answered = lambda body: b'{"mapped": true}'
    one = await run(partner)
    assert (one.response or {})["data"] == [1]
    assert (one.response or {})["processedData"] == {"mapped": True}
    partner.answered = fail
    one = await run(partner)
    assert one.status is ExecutionState.COMPLETED
    assert ((one.response or {})["processingError"], (one.response or {})["processedData"]) == ("no PID", None)
    assert ("warn", "no PID") in [(entry.level, entry.error) for entry in await logged(store, one)]


async def test_our_own_secrets_are_not_in_an_answer(run: Any) -> None:
    """A partner that echoes what it was sent; what is its own, it may call as it likes."""
    telemetry.secrets.add("hunter2-hunter2")
    try:
        echo = b'{"authorization": "Bearer hunter2-hunter2", "token": "theirs"}'
        answer = reply(200, "OK", echo, content_type="application/json", x_echo="hunter2-hunter2")
        found = (await run(Scripted(answer))).response
        assert found["data"] == {"authorization": "Bearer ***", "token": "theirs"}
        assert found["headers"]["x-echo"] == "***"
        found = (await run(Scripted(reply(200, "OK", b"hunter2-hunter2")))).response
        assert (found["data"], found["processedData"]) == ("***", "***")
    finally:
        telemetry.secrets.remove("hunter2-hunter2")


@pytest.mark.ledger_part("S3-51", "a large answer stands beside the row, which points to it; also what it is mapped to")
async def test_an_answer_that_is_too_large_for_the_row_is_kept_beside_it(run: Any, store: Store) -> None:
    telemetry.secrets.add("hunter2-hunter2")
    try:
        text = "".join(f"line {number:06}\n" for number in range(execute.LARGEST // 12 + 1))  # no other test's secret
        body = f"{text}hunter2-hunter2".encode()
        partner = Scripted(reply(200, "OK", body, content_type="text/plain; charset=utf-8"))
        one = await run(partner)
        assert one.status is ExecutionState.COMPLETED
        assert (one.response["data"], one.response["processedData"]) == (None, None)
        kept = f"{text}***".encode()
        assert one.response["blob"] == {
            "id": one.response["blob"]["id"], "size": len(kept), "sha256": hashlib.sha256(kept).hexdigest(),
            "type": "text/plain",
        }  # fmt: skip
        assert await content(store, one, "blob") == kept
        partner.answered = lambda body: b'{"lines": %d}' % body.count(b"\n")
        assert (await run(partner)).response["processedData"] == {"lines": len(text) // 12}
        partner.answered = lambda body: b"[%s]" % (b"1,".ljust(execute.LARGEST) + b"2")
        assert await content(store, await run(partner), "processedBlob") == partner.answered(b"")
        fits = Scripted(reply(200, "OK", text[: execute.LARGEST].encode()))
        assert (await run(fits)).response["data"] == text[: execute.LARGEST]
    finally:
        telemetry.secrets.remove("hunter2-hunter2")


async def content(store: Store, one: Stored, member: str) -> bytes:
    where = uuid.UUID((one.response or {})[member]["id"])
    return await store.read(execution_blobs.content, store.sealer, one.id, where)


@pytest.mark.ledger_part("S3-51", "what was too large for the row is sent as it was given")
async def test_what_stands_beside_the_row_is_sent(run: Any, store: Store) -> None:
    for data, kind, wanted in (
        ("x" * 2_000_000, "text/plain", b"x" * 2_000_000),
        ('{"a": 1}', "text/plain", b'{"a": 1}'),
        ('{"a": 1}', "application/json", b'{"a":1}'),
    ):
        blob = execution_blobs.seal(store.sealer, data.encode(), kind)
        partner = Scripted(reply(200))
        one = await run(partner, blobs=(blob,), data=None, blob=blob.pointer)
        assert (one.status, one.request["data"]) == (ExecutionState.COMPLETED, None)
        assert partner.calls[0].body == wanted


@pytest.mark.ledger_part("S3-51", "an answer above the endpoint's maximum is a failure that says so")
async def test_an_answer_that_is_not_kept_is_a_failure(run: Any, store: Store) -> None:
    cut = dataclasses.replace(reply(200, "OK", b"x" * 4_096), truncated=True)
    one = await run(Scripted(cut))
    assert (one.status, one.status_code, one.fault, one.attempts) == (ExecutionState.FAILED, 200, "too_large", 1)
    assert one.told["error"] == "it was answered (200), with more than 4,096 bytes: not kept"
    assert (one.response["truncated"], one.response["data"], one.response["success"]) == (True, None, False)
    assert one.trace["answer"] == "x" * trace.FIRST
    one = await run(Scripted(dataclasses.replace(cut, status=404)))
    assert (one.fault, one.response["truncated"]) == ("not_found", True)


@pytest.mark.ledger_part("S2-44", "what went over the wire at the last try, of what failed alone")
async def test_a_failure_leaves_a_trace(run: Any) -> None:
    assert (await run(Scripted(reply(200)))).trace is None
    seen = trace.Trace("GET", "http://192.0.2.1/x?a=1", {"accept": "*/*"}, 500, "Down", {"server": "s"}, "Doe")
    wrong = dataclasses.replace(reply(500, "Down", b"Doe", retry_after="0"), trace=seen)
    one = await run(Scripted(wrong, dataclasses.replace(wrong, timings=Timings(7.0)), retries=1), data="sent")
    assert one.trace == {
        **dataclasses.asdict(seen), "endpoint": "http://192.0.2.1/x", "body": "sent",
        "timings": dataclasses.asdict(Timings(7.0)),
    }  # fmt: skip
    one = await run(Scripted(Failed("no", Fault.DNS, Timings(1.0), trace=seen)))
    assert (one.trace["url"], one.trace["status"]) == (seen.url, 500)
    one = await run(Scripted(reply(400, "AR: Doe", b"ack"), method=None), data="MSH")
    assert (one.trace["method"], one.trace["url"], one.trace["answer"]) == (None, "http://192.0.2.1/x", "ack")
    assert (one.trace["reason"], one.trace["body"]) == ("AR: Doe", "MSH\r")


@pytest.mark.ledger_part("S2-56", "also what was interrupted has its class")
async def test_what_nobody_knows_has_a_class_too(run: Any, store: Store) -> None:
    one = await run(Scripted(reply(200)), state="running")
    (entry,) = await logged(store, one)
    assert (one.fault, entry.fault, entry.outcome, one.trace) == ("interrupted", "interrupted", "failure", None)


@pytest.mark.ledger_part("S3-51", "left executing by a crash: marked failed, the outcome unknown, and never sent again")
async def test_what_a_crash_interrupted_is_not_asked_again(run: Any, store: Store) -> None:
    partner = Scripted(reply(200))
    one = await run(partner, state="running")
    assert partner.calls == []
    assert (one.status, one.duration, (one.told or {})["error"]) == (ExecutionState.FAILED, None, execute.UNKNOWN)
    (entry,) = await logged(store, one)
    assert (entry.level, entry.error) == ("error", execute.UNKNOWN)


async def test_an_answer_to_what_was_cancelled_changes_nothing(
    context: Context, job: Callable[..., Job], begin: Any, store: Store
) -> None:
    number, owner = await begin()
    partner = Scripted(reply(200))
    partner.hold.clear()
    made = dataclasses.replace(job("execute", execution=number), organization=owner, state="waiting")
    working = asyncio.create_task(execute.run(dataclasses.replace(context, partners=partner), made))
    await asyncio.wait_for(partner.asked.wait(), 10)
    found = await store.read(executions.get, store.sealer, number)
    ended = executions.Ended(ExecutionState.CANCELLED, None, 0, told={"error": "x", "tries": []})
    assert await store.write(executions.finish, store.sealer, number, found.uuid, ended)
    store.signal(f"execution/{number}")
    assert await asyncio.wait_for(working, 10) == {}
    assert await execute.run(dataclasses.replace(context, partners=partner), made) == {}
    assert (await store.read(executions.find, store.sealer, Scope(owner), found.uuid)).status == "cancelled"
    assert len(partner.calls) == 1


async def test_a_fault_of_a_plug_in_is_how_it_ended(run: Any) -> None:
    one = await run(Scripted(KeyError("4711")))
    assert (one.status, (one.told or {})["error"]) == (ExecutionState.FAILED, "internal error: KeyError")


async def test_where_nothing_dials_it_says_so(context: Context, job: Callable[..., Job]) -> None:
    with pytest.raises(Conflict):
        await execute.run(context, job("execute", execution=1))
