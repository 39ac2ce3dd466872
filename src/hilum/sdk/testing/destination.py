"""What every Destination and Probe keeps: outcomes are true, nothing is raised, nothing is left behind."""

# ruff: noqa: S101 - a suite asserts; pytest words its asserts

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any, ClassVar

import pytest

from hilum.sdk.contracts import Destination, Dialer, Outbound, Probe, ProbeResult
from hilum.sdk.outcome import Ambiguous, Delivered, Outcome, Permanent, Transient
from hilum.sdk.testing.base import ConnectorSuite, Mood, Partner, begin, leaving_nothing, same, within
from hilum.sdk.testing.fakes import RefusingDialer

SHORT = 500  # milliseconds: the time-out where a partner is silent or out of reach


class PartnerSuite(ConnectorSuite):
    """Base of the suites of what speaks to a partner."""

    @contextlib.asynccontextmanager
    async def present(self, place: Any, mood: Mood = "takes") -> AsyncIterator[Partner]:
        found = self.partner(place, mood)
        if found is None:
            assert mood != "takes", "the suite needs a partner that takes what comes"
            pytest.skip(f"this protocol has no partner that is {mood}")
        async with found as partner:
            yield partner


class DestinationSuite(PartnerSuite):
    """Hooks: `partner` at the shared base."""

    bodies: ClassVar[Sequence[bytes]] = (
        b"MSH|^~\\&|A|B\rPID|1||CANARY\r",
        b"one",
        bytes(range(256)),
        b"x" * 300_000,
    )

    def destination(self, place: Any, dialer: Dialer | None = None, **changes: Any) -> Destination[Any]:
        assert self.connector.destination is not None, "the connector declares no destination"
        return self.connector.destination(self.config(place, **changes), dialer or self.dialer(place))

    def outbound(self, number: int = 0) -> Outbound:
        return Outbound(f"00000000-0000-7000-8000-{number:012}", self.bodies[number])

    async def send(self, destination: Destination[Any], number: int = 0) -> Outcome:
        """Sends, and checks what holds for every outcome."""
        outcome = await within(self.patience, destination.send(self.outbound(number)))
        assert isinstance(outcome, Delivered | Transient | Ambiguous | Permanent)
        assert "CANARY" not in outcome.detail, "a detail holds codes and reasons, never the payload"
        assert outcome.detail or isinstance(outcome, Delivered), "an outcome that is no success says why"
        return outcome

    async def test_bodies_are_sent_unchanged_and_in_order(self, place: Any) -> None:
        async with self.present(place) as partner:
            destination = self.destination(place)
            for number in range(len(self.bodies)):
                assert isinstance(await self.send(destination, number), Delivered)
            await destination.close()
            same(partner.received, self.bodies)

    async def test_a_partner_out_of_reach_is_transient_and_uses_no_retry(self, place: Any) -> None:
        destination = self.destination(place, timeout=SHORT)
        outcome = await self.send(destination)
        assert isinstance(outcome, Transient)
        assert not outcome.answered
        await destination.close()

    async def test_what_policy_forbids_is_not_sent(self, place: Any) -> None:
        async with self.present(place) as partner:
            destination = self.destination(place, RefusingDialer())
            outcome = await self.send(destination)
            await destination.close()
            assert not partner.received, "it went past the dialer"
        assert isinstance(outcome, Transient | Permanent)
        assert not (isinstance(outcome, Transient) and outcome.answered)

    async def test_it_recovers_once_the_partner_is_there(self, place: Any) -> None:
        destination = self.destination(place, timeout=SHORT)
        assert isinstance(await self.send(destination), Transient)
        async with self.present(place) as partner:
            assert isinstance(await self.send(destination), Delivered)
            await destination.close()
            same(partner.received, self.bodies[:1])

    async def test_it_survives_a_partner_that_restarts(self, place: Any) -> None:
        destination = self.destination(place)
        async with self.present(place):
            assert isinstance(await self.send(destination, 0), Delivered)
        async with self.present(place) as partner:
            for _ in range(3):  # a connection that died unnoticed may cost a try
                if isinstance(await self.send(destination, 1), Delivered):
                    break
            await destination.close()
            assert self.bodies[1] in partner.received

    async def test_the_same_delivery_sent_twice_is_the_same_bytes(self, place: Any) -> None:
        async with self.present(place) as partner:
            destination = self.destination(place)
            for _ in range(2):
                assert isinstance(await self.send(destination), Delivered)
            await destination.close()
            assert 1 <= len(partner.received) <= 2
            assert set(partner.received) == {self.bodies[0]}

    async def test_a_refusal_is_permanent(self, place: Any) -> None:
        async with self.present(place, "refuses"):
            destination = self.destination(place)
            assert isinstance(await self.send(destination), Permanent)
            await destination.close()

    async def test_a_busy_partner_has_answered(self, place: Any) -> None:
        async with self.present(place, "busy"):
            destination = self.destination(place)
            outcome = await self.send(destination)
            await destination.close()
        assert isinstance(outcome, Transient)
        assert outcome.answered

    async def test_silence_after_the_send_is_ambiguous(self, place: Any) -> None:
        async with self.present(place, "silent"):
            destination = self.destination(place, timeout=SHORT)
            assert isinstance(await self.send(destination), Ambiguous)
            await destination.close()

    async def test_a_cancelled_send_leaves_nothing_behind(self, place: Any) -> None:
        async def once() -> None:
            destination = self.destination(place)
            sending = begin(destination.send(self.outbound()))
            await asyncio.sleep(self.quiet)
            sending.cancel()
            with pytest.raises(asyncio.CancelledError):
                await within(self.patience, sending)
            await destination.close()

        async with self.present(place, "silent"), leaving_nothing():
            await once()

    async def test_close_leaves_nothing_behind_and_may_come_twice(self, place: Any) -> None:
        async def once() -> None:
            destination = self.destination(place)
            assert isinstance(await self.send(destination), Delivered)
            await destination.close()
            await destination.close()
            await self.destination(place).close()  # nor does it need a send before

        async with self.present(place), leaving_nothing():
            await once()


class ProbeSuite(PartnerSuite):
    """Hooks: `partner` at the shared base."""

    def probe(self, place: Any, dialer: Dialer | None = None) -> Probe[Any]:
        assert self.connector.probe is not None, "the connector declares no probe"
        return self.connector.probe(self.config(place, timeout=SHORT), dialer or self.dialer(place))

    async def find(self, probe: Probe[Any]) -> ProbeResult:
        result = await within(self.patience, probe.probe())
        assert result.milliseconds >= 0
        assert result.reachable or (result.detail and result.advice), "a failure says what, and what to do about it"
        return result

    async def test_a_partner_is_found_and_sent_nothing(self, place: Any) -> None:
        async with self.present(place) as partner:
            assert (await self.find(self.probe(place))).reachable
            await asyncio.sleep(self.quiet)
            assert not partner.received, "a probe is no message"

    async def test_a_partner_out_of_reach_is_a_result(self, place: Any) -> None:
        assert not (await self.find(self.probe(place))).reachable

    async def test_what_policy_forbids_is_a_result(self, place: Any) -> None:
        async with self.present(place):
            assert not (await self.find(self.probe(place, RefusingDialer()))).reachable

    async def test_a_probe_leaves_nothing_behind(self, place: Any) -> None:
        async def once() -> None:
            await self.find(self.probe(place))

        async with self.present(place), leaving_nothing():
            await once()
