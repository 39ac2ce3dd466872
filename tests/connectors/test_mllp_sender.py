"""The sender: connections that stay open, ACKs that belong to their message, enhanced mode's second answer."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from hilum.connectors import mllp
from hilum.formats import mllp as framing
from hilum.sdk.config import read
from hilum.sdk.contracts import Outbound
from hilum.sdk.outcome import Ambiguous, Delivered, Outcome, Permanent, Transient
from hilum.sdk.testing import DirectDialer, free_port, within
from hilum.sdk.testing.mllp import CLOSE, MllpPartner, acknowledgement, mllp_partner

pytestmark = pytest.mark.anyio


def adt(control: str, wishes: str = "") -> bytes:
    return f"MSH|^~\\&|A|B|C|D|20260101||ADT^A01|{control}|P|2.5{wishes}\rPID|1||4711\r".encode()


ENHANCED = "|||AL|AL"


class Late:
    """What `late` was told."""

    def __init__(self) -> None:
        self.told: list[tuple[int, str]] = []
        self._news = asyncio.Event()

    def __call__(self, delivery: int, reason: str) -> None:
        self.told.append((delivery, reason))
        self._news.set()

    async def until(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.told) < count:
                self._news.clear()
                await self._news.wait()


@contextlib.asynccontextmanager
async def sending(port: int, **values: Any) -> AsyncIterator[mllp.MllpDestination]:
    scheme = "mllps" if "tls" in values else "mllp"
    config = read(mllp.Config, {"url": f"{scheme}://127.0.0.1:{port}", "timeout": 5_000, **values}, "")
    destination = mllp.MllpDestination(config, DirectDialer())
    try:
        yield destination
    finally:
        await destination.close()


async def send(destination: mllp.MllpDestination, body: bytes, delivery: int = 1) -> Outcome:
    return await within(15, destination.send(Outbound(f"{delivery}/0", body, delivery)))


@pytest.mark.ledger_part("S3-09", "connections stay open")
async def test_a_connection_stays_open_for_the_next_message() -> None:
    async with mllp_partner() as partner, sending(partner.port) as destination:
        for number in range(50):
            assert isinstance(await send(destination, adt(f"M{number}")), Delivered)
        assert partner.accepted == 1
    assert partner.controls == [f"M{number}" for number in range(50)]


async def test_each_message_at_the_same_time_has_a_connection_of_its_own() -> None:
    async with mllp_partner(lambda _: [0.1, "AA"]) as partner, sending(partner.port) as destination:
        for _ in range(2):
            outcomes = await asyncio.gather(*(send(destination, adt(f"M{number}")) for number in range(4)))
            assert all(isinstance(one, Delivered) for one in outcomes)
        assert partner.accepted == 4


@pytest.mark.parametrize(
    ("code", "kind", "answered"),
    [
        ("AA", Delivered, None),
        ("CA", Delivered, None),
        ("AE", Transient, True),
        ("CE", Transient, True),
        ("AR", Permanent, None),
        ("CR", Permanent, None),
        ("ZZ", Transient, True),
    ],
)
async def test_every_code_has_its_outcome(code: str, kind: type[Outcome], answered: bool | None) -> None:
    async with mllp_partner(lambda _: [code]) as partner, sending(partner.port) as destination:
        outcome = await send(destination, adt("1"))
        assert isinstance(outcome, kind)
        assert code in outcome.detail
        assert getattr(outcome, "answered", None) is answered
        await send(destination, adt("2"))
        assert partner.accepted == 1  # an answer, whatever it says, keeps the connection


async def test_the_partner_s_words_are_in_the_detail() -> None:
    async with mllp_partner() as partner, sending(partner.port) as destination:
        partner.next.append([acknowledgement(adt("1"), "AE", text="unknown ward")])
        outcome = await send(destination, adt("1"))
        assert outcome.detail == "AE: unknown ward"


async def test_an_ack_of_another_message_is_ignored() -> None:
    async with mllp_partner() as partner, sending(partner.port) as destination:
        partner.next.append([acknowledgement(adt("1"), "AR", control=b"OTHER"), 0.05, "AA"])
        assert isinstance(await send(destination, adt("1")), Delivered)
    async with mllp_partner() as partner, sending(partner.port, timeout=300) as destination:
        partner.next.append([acknowledgement(adt("2"), "AA", control=b"2x")])
        assert isinstance(await send(destination, adt("2")), Ambiguous)


@pytest.mark.ledger_part("S3-09", "ACK timeout")
async def test_a_late_ack_is_never_taken_for_the_next_message() -> None:
    async with mllp_partner() as partner, sending(partner.port, timeout=800) as destination:
        partner.next.append([1.2, "AR"])
        assert isinstance(await send(destination, adt("1")), Ambiguous)
        assert isinstance(await send(destination, adt("2")), Delivered)
        await asyncio.sleep(0.8)  # by now the late answer would be there
        partner.next.append(["AE"])
        assert isinstance(await send(destination, adt("3")), Transient)
        assert partner.accepted == 2


async def test_an_answer_that_no_one_asked_for_does_no_harm() -> None:
    async with mllp_partner() as partner, sending(partner.port) as destination:
        partner.next.append(["AA", "AA", acknowledgement(adt("2"), "AR"), b"\x0bnonsense\x1c\r"])
        assert isinstance(await send(destination, adt("1")), Delivered)
        await asyncio.sleep(0.1)
        assert isinstance(await send(destination, adt("2")), Delivered)


@pytest.mark.parametrize("noise", [b"\x0bnonsense\x1c\r", b"\x00\xff\r\n", b"\x0bMSH|^~\\&|X\rMSA|AA\x1c\r"])
async def test_noise_before_the_ack_is_skipped(noise: bytes) -> None:
    async with mllp_partner() as partner, sending(partner.port) as destination:
        partner.next.append([noise, "AA"])
        assert isinstance(await send(destination, adt("1")), Delivered)


async def test_an_ack_may_come_in_pieces() -> None:
    async with mllp_partner() as partner, sending(partner.port) as destination:
        answer = acknowledgement(adt("1"))
        partner.next.append([answer[:10], 0.05, answer[10:-1], 0.05, answer[-1:]])
        assert isinstance(await send(destination, adt("1")), Delivered)


async def test_a_message_without_control_id_takes_the_next_answer() -> None:
    async with mllp_partner() as partner, sending(partner.port) as destination:
        partner.next.append(["AA"])
        assert isinstance(await send(destination, adt("")), Delivered)


async def test_a_partner_that_is_not_there_was_not_reached() -> None:
    async with sending(free_port()) as destination:
        outcome = await send(destination, adt("1"))
    assert isinstance(outcome, Transient)
    assert not outcome.answered


async def test_silence_is_ambiguous() -> None:
    async with mllp_partner(lambda _: []) as partner, sending(partner.port, timeout=200) as destination:
        outcome = await send(destination, adt("1"))
    assert isinstance(outcome, Ambiguous)
    assert "0.2 s" in outcome.detail


async def test_a_connection_that_ends_before_the_ack_is_ambiguous() -> None:
    async with mllp_partner() as partner, sending(partner.port) as destination:
        partner.next.append([CLOSE])
        assert isinstance(await send(destination, adt("1")), Ambiguous)
        assert isinstance(await send(destination, adt("1")), Delivered)
        assert partner.received == [adt("1")] * 2


async def test_a_connection_that_ended_in_between_is_replaced() -> None:
    async with mllp_partner() as partner, sending(partner.port) as destination:
        assert isinstance(await send(destination, adt("1")), Delivered)
        partner.hang_up()
        async with asyncio.timeout(10):
            while destination.open:  # noqa: ASYNC110 - what the other side does has no event here
                await asyncio.sleep(0.01)
        assert isinstance(await send(destination, adt("2")), Delivered)
    assert partner.accepted == 2


async def test_a_door_that_shuts_at_once_is_no_answer() -> None:
    class Slam(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            transport.close()

    server = await asyncio.get_running_loop().create_server(Slam, "127.0.0.1", 0)
    async with server, sending(server.sockets[0].getsockname()[1]) as destination:
        for number in range(30):
            outcome = await send(destination, adt(f"M{number}"))
            assert isinstance(outcome, Ambiguous | Transient)
            assert not (isinstance(outcome, Transient) and outcome.answered), outcome
        assert not destination.open


async def test_a_connection_that_is_gone_before_it_is_used_was_not_reached() -> None:
    class Dozing(DirectDialer):
        async def connect(self, *args: Any, **options: Any) -> Any:
            found = await super().connect(*args, **options)
            partner.hang_up()
            await asyncio.sleep(0.1)  # the loop hears of it before the sender goes on
            return found

    async with mllp_partner() as partner:
        config = read(mllp.Config, {"url": f"mllp://127.0.0.1:{partner.port}"}, "")
        destination = mllp.MllpDestination(config, Dozing())
        outcome = await send(destination, adt("1"))
        assert isinstance(outcome, Transient)
        assert not outcome.answered
        assert not destination.open
        await destination.close()


@pytest.mark.parametrize("wishes", [ENHANCED, "|||AL|SU", "|||AL|ER"])
async def test_a_commit_ends_the_send_and_a_refusal_may_follow(wishes: str) -> None:
    async with mllp_partner() as partner, sending(partner.port) as destination:
        destination.late = late = Late()
        partner.next.append(["CA", 0.2, "AE"])
        outcome = await send(destination, adt("1", wishes), 11)
        assert isinstance(outcome, Delivered)
        assert outcome.detail == "CA"
        assert late.told == []
        assert isinstance(await send(destination, adt("2", wishes), 12), Delivered)  # the way is free meanwhile
        await late.until(1)
        assert late.told == [(11, "application acknowledgement AE")]


@pytest.mark.parametrize("code", ["AE", "AR"])
async def test_commit_and_refusal_in_one_packet(code: str) -> None:
    async with mllp_partner() as partner, sending(partner.port, application_timeout=300) as destination:
        destination.late = late = Late()
        body = adt("1", ENHANCED)
        partner.next.append([acknowledgement(body, "CA") + acknowledgement(body, code)])
        assert isinstance(await send(destination, body, 11), Delivered)
        assert late.told == []  # not before the send has returned
        await late.until(1)
        await asyncio.sleep(0.5)
        assert late.told == [(11, f"application acknowledgement {code}")]


@pytest.mark.parametrize("pause", [0.0, 0.1])
async def test_commit_and_acceptance_are_the_end_of_it(pause: float) -> None:
    async with mllp_partner() as partner, sending(partner.port, application_timeout=300) as destination:
        destination.late = late = Late()
        body = adt("1", ENHANCED)
        both = [acknowledgement(body, "CA"), acknowledgement(body, "AA")]
        partner.next.append([both[0], pause, both[1]] if pause else [b"".join(both)])
        assert isinstance(await send(destination, body, 11), Delivered)
        await asyncio.sleep(0.6)
        assert late.told == []


async def test_no_judgement_in_time_is_told() -> None:
    async with mllp_partner(lambda _: ["CA"]) as partner, sending(partner.port, application_timeout=200) as destination:
        destination.late = late = Late()
        await send(destination, adt("1", ENHANCED), 11)
        await send(destination, adt("2", "|||AL|NE"), 12)  # wants no judgement
        await send(destination, adt("3", "|||AL|ER"), 13)  # hears bad news only
        await late.until(1)
        await asyncio.sleep(0.3)
        assert late.told == [(11, "no application acknowledgement came")]


async def test_a_second_commit_is_no_judgement() -> None:
    async with mllp_partner() as partner, sending(partner.port) as destination:
        destination.late = late = Late()
        partner.next.append(["CA", "CA", 0.1, "AA"])
        assert isinstance(await send(destination, adt("1", ENHANCED), 11), Delivered)
        await asyncio.sleep(0.3)
        assert late.told == []


async def test_two_deliveries_with_one_control_id_are_judged_in_turn() -> None:
    async with mllp_partner(lambda _: ["CA"]) as partner, sending(partner.port, application_timeout=500) as destination:
        destination.late = late = Late()
        body = adt("1", ENHANCED)
        await send(destination, body, 11)
        partner.next.append(["CA", 0.1, "AA", "AE"])
        await send(destination, body, 12)
        await late.until(1)
        await asyncio.sleep(0.7)
        assert late.told == [(12, "application acknowledgement AE")]


async def test_close_ends_what_is_awaited() -> None:
    async with mllp_partner(lambda _: ["CA"]) as partner, sending(partner.port, application_timeout=100) as destination:
        destination.late = late = Late()
        await send(destination, adt("1", ENHANCED), 11)
        await destination.close()
        await asyncio.sleep(0.2)
        assert late.told == []


async def test_a_cancelled_send_does_not_leave_its_connection_to_the_next() -> None:
    async with mllp_partner() as partner, sending(partner.port) as destination:
        partner.next.append([0.2, "AA"])
        task = asyncio.create_task(send(destination, adt("")))
        await partner.until(1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        partner.next.append([0.3, "AE"])  # without control ids only the connection tells whose answer it is
        assert isinstance(await send(destination, adt("")), Transient)


@pytest.mark.parametrize("keepalive", [True, False])
async def test_the_keepalive_flag_reaches_the_socket(keepalive: bool) -> None:
    async with mllp_partner() as partner, sending(partner.port, keepalive=keepalive) as destination:
        await send(destination, adt("1"))
        (connection,) = destination.open
        assert connection._transport is not None
        found = connection._transport.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert bool(found) is keepalive


async def test_tls_and_mutual_tls(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    authority.issue_cert("hub@example.org").private_key_and_cert_chain_pem.write_to_path(tmp_path / "hub.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("partner.example.org").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    partner = MllpPartner()
    await partner.start(tls=context)
    ca = {"ca": str(tmp_path / "ca.pem"), "server_name": "partner.example.org"}
    try:
        async with sending(partner.port, tls=ca | {"certificate": str(tmp_path / "hub.pem")}) as destination:
            assert isinstance(await send(destination, adt("1")), Delivered)
        for tls in (ca, ca | {"server_name": "other.example.org", "certificate": str(tmp_path / "hub.pem")}, {}):
            async with sending(partner.port, tls=tls) as destination:
                outcome = await send(destination, adt("2"))
                assert isinstance(outcome, Transient | Ambiguous), tls
                assert not (isinstance(outcome, Transient) and outcome.answered)
    finally:
        await partner.stop()
    assert partner.controls == ["1"]


async def test_what_is_no_ack_is_not_an_answer() -> None:
    async with mllp_partner() as partner, sending(partner.port, timeout=300) as destination:
        partner.next.append([framing.frame(adt("1"))])  # an echo
        assert isinstance(await send(destination, adt("1")), Ambiguous)
