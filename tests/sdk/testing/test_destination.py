from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hilum.sdk import testing
from hilum.sdk.contracts import Outbound, ProbeResult
from hilum.sdk.outcome import Ambiguous, Delivered, Outcome, Permanent, Transient

pytestmark = pytest.mark.anyio


def instead(change: Callable[[Any, Outcome, Outbound], Any]) -> dict[str, Any]:
    """A destination that reports another outcome."""

    async def send(self: Any, outbound: Outbound) -> Outcome:
        return change(self, await self.base.send(self, outbound), outbound)  # type: ignore[no-any-return]  # any

    return {"send": send}


async def _cut(self: Any, outbound: Outbound) -> Outcome:
    return await self.base.send(self, dataclasses.replace(outbound, body=outbound.body[:-1]))  # type: ignore[no-any-return]


async def _number(self: Any, outbound: Outbound) -> Outcome:
    self.count = getattr(self, "count", 0) + 1
    body = outbound.body + b"%d" % self.count
    return await self.base.send(self, dataclasses.replace(outbound, body=body))  # type: ignore[no-any-return]


async def _raise(self: Any, outbound: Outbound) -> Outcome:
    outcome = await self.base.send(self, outbound)
    if isinstance(outcome, Transient):
        raise ConnectionError("unreachable")
    return outcome  # type: ignore[no-any-return]


async def _go_past_the_dialer(self: Any, *_: Any) -> Any:
    return await asyncio.open_connection(*self.config.address)


async def _sulk(self: Any, outbound: Outbound) -> Outcome:
    if not getattr(self, "failed", None):
        outcome = await self.base.send(self, outbound)
        self.failed = isinstance(outcome, Transient)
        return outcome  # type: ignore[no-any-return]
    return Transient("still unreachable")


async def _keep(self: Any) -> Any:
    """Connects once and never again, whatever becomes of the connection."""
    if not hasattr(self, "kept"):
        self.kept = await self.base._connect(self)
        self.leftovers.append(self.kept[1].close)
    return self.kept


async def _hold(self: Any) -> Any:
    _, writer = await self.base._connect(self)
    self.leftovers.append(writer.close)
    return await self.base._connect(self)


async def _ignore_cancelling(self: Any, outbound: Outbound) -> Outcome:
    try:
        return await self.base.send(self, outbound)  # type: ignore[no-any-return]
    except asyncio.CancelledError:
        return Ambiguous("cancelled")


async def _send_in_a_task(self: Any, outbound: Outbound) -> Outcome:
    self.left = asyncio.create_task(self.base.send(self, outbound))
    return await asyncio.shield(self.left)


async def _close_once(self: Any) -> None:
    if hasattr(self, "closed"):
        raise OSError("closed already")
    self.closed = True


async def _wait_for_ever(self: Any, outbound: Outbound) -> Outcome:
    outcome = await self.base.send(self, outbound)
    if isinstance(outcome, Transient):
        await asyncio.sleep(100)
    return outcome  # type: ignore[no-any-return]


OUT_OF_REACH = "a_partner_out_of_reach_is_transient_and_uses_no_retry"
UNCHANGED = "bodies_are_sent_unchanged_and_in_order"
DESTINATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "cuts bodies": (UNCHANGED, {"send": _cut}),
    "tells the payload": (UNCHANGED, instead(lambda _, __, out: Delivered(out.body.decode("latin-1")))),
    "is no outcome": (UNCHANGED, instead(lambda *_: True)),
    "raises": (OUT_OF_REACH, {"send": _raise}),
    "uses a retry": (OUT_OF_REACH, instead(lambda *_: Transient("x", answered=True))),
    "says nothing": (OUT_OF_REACH, instead(lambda *_: Transient(""))),
    "waits for ever": (OUT_OF_REACH, {"send": _wait_for_ever}),
    "goes past the dialer": (
        "what_policy_forbids_is_not_sent",
        {"_connect": _go_past_the_dialer},
    ),
    "sulks": ("it_recovers_once_the_partner_is_there", {"send": _sulk}),
    "keeps a dead connection": ("it_survives_a_partner_that_restarts", {"_connect": _keep}),
    "changes what it repeats": (
        "the_same_delivery_sent_twice_is_the_same_bytes",
        {"send": _number},
    ),
    "repeats a refusal": ("a_refusal_is_permanent", instead(lambda *_: Transient("x", answered=True))),
    "holds for a busy partner": ("a_busy_partner_has_answered", instead(lambda *_: Transient("x"))),
    "is sure of silence": ("silence_after_the_send_is_ambiguous", instead(lambda *_: Permanent("x"))),
    "cannot be cancelled": (
        "a_cancelled_send_leaves_nothing_behind",
        {"send": _ignore_cancelling},
    ),
    "leaves a task": ("a_cancelled_send_leaves_nothing_behind", {"send": _send_in_a_task}),
    "leaves a connection": (
        "close_leaves_nothing_behind_and_may_come_twice",
        {"_connect": _hold},
    ),
    "closes once": ("close_leaves_nothing_behind_and_may_come_twice", {"close": _close_once}),
}


@pytest.mark.parametrize("fault", DESTINATIONS)
async def test_a_destination_at_fault_is_caught(good: Any, tmp_path: Path, fault: str) -> None:
    check, methods = DESTINATIONS[fault]
    suite = good.suite("Destination", methods)
    async with good.caught():
        await getattr(suite, f"test_{check}")(suite.address(tmp_path))


def test_every_check_of_a_destination_is_proven() -> None:
    assert checks(testing.DestinationSuite) == {check for check, _ in DESTINATIONS.values()}


# Probes


async def _send_a_message(self: Any) -> ProbeResult:
    _, writer = await asyncio.open_connection(*self.config.address)
    writer.write(b"\0\0\0\1x")
    await writer.drain()
    writer.close()
    return ProbeResult(True, 1.0)


async def _always(self: Any) -> ProbeResult:
    return ProbeResult(True, 1.0)


async def _no_advice(self: Any) -> ProbeResult:
    return ProbeResult(False, 1.0, "no")


async def _stay(self: Any) -> ProbeResult:
    transport, _ = await self.dialer.connect(asyncio.Protocol, *self.config.address)
    self.leftovers.append(transport.abort)
    return ProbeResult(True, 1.0)


PROBES: dict[str, tuple[str, dict[str, Any]]] = {
    "sends a message": ("a_partner_is_found_and_sent_nothing", {"probe": _send_a_message}),
    "finds everything": ("a_partner_out_of_reach_is_a_result", {"probe": _always}),
    "has no advice": ("a_partner_out_of_reach_is_a_result", {"probe": _no_advice}),
    "raises": ("what_policy_forbids_is_a_result", {"probe": _stay}),
    "stays connected": ("a_probe_leaves_nothing_behind", {"probe": _stay}),
}


@pytest.mark.parametrize("fault", PROBES)
async def test_a_probe_at_fault_is_caught(good: Any, tmp_path: Path, fault: str) -> None:
    check, methods = PROBES[fault]
    suite = good.suite("Probe", methods)
    async with good.caught():
        await getattr(suite, f"test_{check}")(suite.address(tmp_path))


def test_every_check_of_a_probe_is_proven() -> None:
    assert checks(testing.ProbeSuite) == {check for check, _ in PROBES.values()}


def checks(suite: type[Any]) -> set[str]:
    return {name.removeprefix("test_") for name in dir(suite) if name.startswith("test_")}
