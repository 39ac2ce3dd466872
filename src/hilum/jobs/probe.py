"""Tests the connectivity of an integration's endpoints, all at once, and says how it is.

Arguments: `integration` (its number), `endpoints` (names; null: all), `purpose` (test, check, sign-in: only tokens are
fetched, or dry: then nobody is asked), `feels` (whether health and lifecycle follow what was found). The result is
sealed: partners' words are in it.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import re
from typing import Any

from hilum import clock, telemetry
from hilum.errors import Conflict, HilumError
from hilum.jobs import At, Context
from hilum.model.access import HUB, Scope
from hilum.model.audit import Act, Change
from hilum.model.configuration import Endpoint
from hilum.model.lifecycle import Health, Lifecycle, health_of
from hilum.sdk import trace
from hilum.sdk.contracts import ProbeResult
from hilum.sdk.faults import ADVICE, Fault, Timings, fault_of, reason_of
from hilum.store import Connection, activity_log, endpoints, integrations, probes
from hilum.store.integrations import Row
from hilum.store.jobs import Job

ANSWER = b"job|probe|answer"
BUDGET = 28.0  # seconds for all of it: whoever waits for it waits 30
_AT_ONCE = 16
_UNKEPT = frozenset({"dry", "sign-in"})
"""Purposes that say nothing of whether an endpoint works."""

_ADDRESS = re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}\b|\[?\b[0-9a-fA-F]{0,4}(?::[0-9a-fA-F]{0,4}){2,7}\b\]?")


async def run(context: Context, job: Job) -> dict[str, Any]:
    """Raises Conflict where no partners are to be had."""
    if context.partners is None or job.organization is None:
        raise Conflict("nothing dials here")
    own = context.store.within(job.organization)
    row = await own.read(integrations.get, job.arguments["integration"])
    wanted, kind = job.arguments["endpoints"], job.arguments["purpose"]
    chosen = [one for one in row.model.endpoints if wanted is None or one.name in wanted]
    room = asyncio.Semaphore(_AT_ONCE)
    until = clock.monotonic() + BUDGET
    tests = await asyncio.gather(*(_test(context, row, one, kind, room, until) for one in chosen))
    found = {one.name: telemetry.masked(told) for one, told in zip(chosen, tests, strict=True)}
    answer = context.store.sealer.seal(json.dumps(found).encode(), ANSWER).hex()
    if kind not in _UNKEPT:
        numbers = await own.read(endpoints.numbers, row.organization, [f"{row.name}/{one}" for one in found])
        known = {one: numbers[f"{row.name}/{one}"] for one in found if f"{row.name}/{one}" in numbers}
        await own.write(_keep, context, row, job, {known[one]: told for one, told in found.items() if one in known})
        if job.arguments["feels"]:
            await _feel(context, row, found)
    return {"answer": answer}


async def _test(
    context: Context, row: Row, endpoint: Endpoint, kind: str, room: asyncio.Semaphore, until: float
) -> dict[str, Any]:
    """One endpoint; whatever goes wrong is what was found."""
    async with room:
        at = clock.monotonic()
        try:
            async with asyncio.timeout(max(until - at, 0.0)):
                if endpoint.direction == "inbound":
                    return await _inbound(context, row, endpoint, kind)
                return await _outbound(context, row, endpoint, kind)
        except Exception as error:  # a plug-in's fault is a result too
            fault, took = fault_of(error), Timings((clock.monotonic() - at) * 1000)
            known = isinstance(error, HilumError | OSError | TimeoutError)
            text = _plain(reason_of(error), endpoint.url) if known else f"internal error: {type(error).__name__}"
            if isinstance(error, TimeoutError):
                text = "not tested in time"
            return _told(False, took.total, None, text, fault, ADVICE[fault], took)


async def _inbound(context: Context, row: Row, endpoint: Endpoint, kind: str) -> dict[str, Any]:
    """The hub's own listener: nobody is dialled."""
    problem = "" if kind in _UNKEPT else await context.partners.silent(row, endpoint.name)  # type: ignore[union-attr]  # run looked
    if problem:
        return _told(False, None, None, f"it does not listen: {problem}", Fault.CONFIGURATION,
                     "See why the hub cannot listen there, such as a port that is taken.", None)  # fmt: skip
    return _told(True, None, None, None, None, "", None)


async def _outbound(context: Context, row: Row, endpoint: Endpoint, kind: str) -> dict[str, Any]:
    async with context.partners.open(At.of(row, endpoint.name)) as partner:  # type: ignore[union-attr]  # run looked
        if kind == "sign-in":
            await partner.sign_in()
        if kind in _UNKEPT:
            return {**_told(True, None, None, None, None, "", None), "method": partner.method}
        found: ProbeResult = await partner.probe()
        fault = found.fault or (None if found.reachable else Fault.REFUSED)
        advice = found.advice or (ADVICE[fault] if fault is not None else "")
        text = None if found.reachable else _plain(found.detail, endpoint.url) or "it cannot be reached"
        timings = found.timings or Timings(found.milliseconds)
        told = _told(found.reachable, found.milliseconds, found.status, text, fault, advice, timings)
        seen = None if found.reachable else _trace(endpoint, found, timings)
        return {**told, "method": partner.method, probes.TLS: found.tls, "trace": seen}


def _told(
    success: bool, milliseconds: float | None, status: int | None, error: str | None, fault: Fault | None, advice: str,
    timings: Timings | None,
) -> dict[str, Any]:  # fmt: skip
    """As it is stored and shown. Advice about what succeeded is a warning."""
    shown = None if timings is None else {
        "total": timings.total, "dns": timings.dns, "connect": timings.connect, "tls": timings.tls,
        "firstByte": timings.first_byte,
    }  # fmt: skip
    return {
        "success": success, "responseTime": None if milliseconds is None else round(milliseconds),
        "statusCode": status, "error": error, "errorClass": None if success or fault is None else fault.value,
        "advice": advice if advice and not success else None, "warning": advice if advice and success else None,
        "timings": shown, "method": None,
    }  # fmt: skip


def _trace(endpoint: Endpoint, found: ProbeResult, timings: Timings) -> dict[str, Any]:
    """What went over the wire, as an execution's is kept. A test has no parameters of anybody."""
    seen = found.trace or trace.Trace(None, trace.of_url(endpoint.url), {})
    times = dataclasses.asdict(timings)
    return {**dataclasses.asdict(seen), "endpoint": seen.url, "body": "", "timings": times}


def _plain(text: str, url: str) -> str:
    """Without secrets, and without addresses that whoever configured the URL did not write there."""
    return telemetry.mask(_ADDRESS.sub(lambda found: found[0] if found[0] in url else "(address)", text))[:500]


def _without_answer(told: dict[str, Any]) -> dict[str, Any]:
    """As it is kept for years: what a partner answered is for whoever asked just now."""
    seen = told.get("trace")
    return told if seen is None else {**told, "trace": {**seen, "answer": ""}}


def _keep(connection: Connection, context: Context, row: Row, job: Job, found: dict[int, dict[str, Any]]) -> None:
    """What was found, by endpoint, and an entry of the log for each, under the request that asked for it."""
    kind, correlation = job.arguments["purpose"], job.arguments.get("correlation") or job.uuid
    results, entries = [], []
    for number, told in found.items():
        took = None if told["responseTime"] is None else round((told["timings"] or {"total": 0.0})["total"] * 1000)
        success, status, fault = bool(told["success"]), told["statusCode"], told["errorClass"]
        results.append(probes.Probed(number, success, took, status, fault, _without_answer(told)))
        entries.append(activity_log.Entry(
            row.organization, row.id, kind, "info" if success else "error", "success" if success else "failure",
            "success" if success else "failed", endpoint=number, status_code=status, duration=took, fault=fault,
            error=told["error"], attempt=1, correlation=correlation,
        ))  # fmt: skip
    probes.insert(connection, context.store.sealer, row.organization, row.id, kind, results)
    activity_log.insert(connection, context.store.sealer, entries)


async def _feel(context: Context, row: Row, found: dict[str, dict[str, Any]]) -> None:
    """Health follows at once; the lifecycle after some in a row, and back after a success. Changes leave an event."""
    health = health_of([bool(one["success"]) for one in found.values()])
    failed = {name: one["error"] for name, one in found.items() if not one["success"]}
    own, sealer = context.store.within(row.organization), context.store.sealer
    sealed = None
    if failed:
        text = f"Connectivity test failed: {'; '.join(f'{name}: {error}' for name, error in failed.items())}"
        sealed = integrations.seal_error(sealer, row.id, text)
    current = await own.read(integrations.get, row.id)
    failures = current.failures + 1 if health is Health.UNHEALTHY else 0
    after = await own.read(_after, current, health, failures)
    if (health, after) == (current.health, current.lifecycle):
        await own.write(integrations.feel, row.id, health, sealed, failures=failures)
        return
    why = f"a check found no answer at {', '.join(failed)}" if failed else "a check found every endpoint"
    act = Act(HUB, Scope(row.organization), "integration.health", reason=why)

    def change(connection: Connection) -> Change:
        integrations.feel(connection, row.id, health, sealed, failures=failures)
        before, told = {"health": current.health}, {"health": health}
        if after is current.lifecycle:
            return Change(None, integrations.entity(row), before, told)
        moved = integrations.move(connection, act, current, after)
        return Change(None, moved.entity, {**before, **(moved.before or {})}, {**told, **(moved.after or {})})

    await own.change(act, change)
    if after is not current.lifecycle:
        context.store.signal("configuration")


def _after(connection: Connection, one: Row, health: Health, failures: int) -> Lifecycle:
    """Where its lifecycle goes. What GxP holds for comes back by itself only where it was switched on before."""
    if one.lifecycle is Lifecycle.ACTIVE and failures >= one.model.error_after:
        return Lifecycle.ERROR
    if one.lifecycle is not Lifecycle.ERROR or health is not Health.HEALTHY or not one.model.auto_recover:
        return one.lifecycle
    moves, _ = integrations.history(connection, one.id, 0, 1)
    was_on = bool(moves) and moves[0].before == Lifecycle.ACTIVE
    return Lifecycle.ACTIVE if was_on or not one.model.gxp else one.lifecycle
