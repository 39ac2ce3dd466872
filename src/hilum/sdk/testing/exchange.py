"""What every Exchange keeps: an answer is given as it came, a failure is classed, nothing is left behind."""

# ruff: noqa: S101 - a suite asserts; pytest words its asserts

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from hilum.sdk.contracts import Call, Dialer, Exchange, Reply
from hilum.sdk.faults import Failed, Fault
from hilum.sdk.testing.base import leaving_nothing, same, within
from hilum.sdk.testing.destination import SHORT, PartnerSuite
from hilum.sdk.testing.fakes import RefusingDialer


class ExchangeSuite(PartnerSuite):
    """Hooks: `partner` at the shared base."""

    body: ClassVar[bytes] = b"MSH|^~\\&|A|B\rPID|1||CANARY\r"

    def exchange(self, place: Any, dialer: Dialer | None = None, **changes: Any) -> Exchange[Any]:
        assert self.connector.exchange is not None, "the connector declares no exchange"
        return self.connector.exchange(self.config(place, **changes), dialer or self.dialer(place))

    async def ask(self, exchange: Exchange[Any]) -> Reply:
        """Asks, and checks what holds for every answer. Raises Failed."""
        reply = await within(self.patience, exchange.exchange(Call(self.body)))
        assert isinstance(reply, Reply)
        assert reply.timings.total >= 0
        return reply

    async def failed(self, exchange: Exchange[Any]) -> Failed:
        """Why there is no answer."""
        with pytest.raises(Failed) as caught:
            await self.ask(exchange)
        assert str(caught.value), "a failure says what"
        assert "CANARY" not in str(caught.value), "a reason never quotes the payload"
        assert caught.value.timings.total >= 0
        return caught.value

    async def test_a_question_is_asked_once_and_answered(self, place: Any) -> None:
        async with self.present(place) as partner:
            exchange = self.exchange(place)
            assert (await self.ask(exchange)).status < 400
            await exchange.close()
            same(partner.received, [self.body])

    async def test_a_refusal_is_an_answer(self, place: Any) -> None:
        async with self.present(place, "refuses"):
            exchange = self.exchange(place)
            assert (await self.ask(exchange)).status >= 400
            await exchange.close()

    async def test_a_partner_out_of_reach_got_nothing(self, place: Any) -> None:
        exchange = self.exchange(place, timeout=SHORT)
        assert not (await self.failed(exchange)).sent
        await exchange.close()

    async def test_what_policy_forbids_is_not_asked(self, place: Any) -> None:
        async with self.present(place) as partner:
            exchange = self.exchange(place, RefusingDialer())
            error = await self.failed(exchange)
            await exchange.close()
            assert not partner.received, "it went past the dialer"
        assert (error.fault, error.sent) == (Fault.BLOCKED_BY_POLICY, False)

    async def test_silence_may_have_taken_it(self, place: Any) -> None:
        async with self.present(place, "silent"):
            exchange = self.exchange(place, timeout=SHORT)
            error = await self.failed(exchange)
            await exchange.close()
        assert (error.fault, error.sent) == (Fault.TIMEOUT, True)

    async def test_it_recovers_once_the_partner_is_there(self, place: Any) -> None:
        exchange = self.exchange(place, timeout=SHORT)
        await self.failed(exchange)
        async with self.present(place) as partner:
            await self.ask(exchange)
            await exchange.close()
            same(partner.received, [self.body])

    async def test_close_leaves_nothing_behind_and_may_come_twice(self, place: Any) -> None:
        async def once() -> None:
            exchange = self.exchange(place)
            await self.ask(exchange)
            await exchange.close()
            await exchange.close()
            await self.exchange(place).close()  # nor does it need a question before

        async with self.present(place), leaving_nothing():
            await once()
