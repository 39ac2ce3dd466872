"""SFTP: what is written to a folder and what is taken from it."""

# ruff: noqa: ASYNC110, ASYNC240 - a folder of the test answers at once, and only looking at it tells

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from hilum.connectors import sftp
from hilum.model.message import Ack, Disposition
from hilum.sdk.config import read
from hilum.sdk.contracts import Deposit, Outbound
from hilum.sdk.deposits import unfinished
from hilum.sdk.outcome import Ambiguous, Delivered, Outcome, Permanent, Placed, Transient
from hilum.sdk.polling import HEAD
from hilum.sdk.testing import DirectDialer, MemoryInbox
from hilum.sdk.testing.sftp import PASSWORD, USER, SftpServer, sftp_server

pytestmark = pytest.mark.anyio

ADT = b"MSH|^~\\&|A|B|C|D|20260101||ADT^A01|MSG7|P|2.5\rPID|1||4711\r"
SIGNS = {"type": "basic", "username": USER, "password": PASSWORD}


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[SftpServer]:
    folder = tmp_path / "exchange"
    folder.mkdir()
    async with sftp_server(folder) as found:
        yield found


def values(server: SftpServer, **changes: Any) -> dict[str, Any]:
    own = {"url": f"sftp://127.0.0.1:{server.port}/", "authentication": SIGNS, "host_key": server.host_key}
    return {**own, "timeout": 5_000, **changes}


def drop(folder: Path, name: str, body: bytes) -> Path:
    """Put a complete file there, as a careful partner does."""
    hidden = folder / f".{name}"
    hidden.write_bytes(body)
    return hidden.rename(folder / name)


@contextlib.asynccontextmanager
async def polling(server: SftpServer, inbox: MemoryInbox, **changes: Any) -> AsyncIterator[sftp.Source]:
    config = read(sftp.Config, values(server, **{"poll": 10, "stable_for": 0, **changes}), "")
    source = sftp.Source(config, inbox, DirectDialer())
    await source.start()
    try:
        yield source
    finally:
        await source.stop()


async def gone(*paths: Path) -> None:
    async with asyncio.timeout(10):
        while any(os.path.lexists(path) for path in paths):
            await asyncio.sleep(0.005)


async def send(server: SftpServer, *outbounds: Outbound, **changes: Any) -> list[Outcome]:
    destination = sftp.Destination(read(sftp.Config, values(server, **changes), ""), DirectDialer())
    try:
        return [await destination.send(one) for one in outbounds]
    finally:
        await destination.close()


async def pieces(*given: bytes) -> AsyncIterator[bytes]:
    for one in given:
        yield one


def deposit(body: bytes, name: str = "adsl.xpt") -> Deposit:
    return Deposit("d1", name, len(body), hashlib.sha256(body).digest())


# Out


async def test_a_connection_is_kept_and_opened_anew(server: SftpServer) -> None:
    destination = sftp.Destination(read(sftp.Config, values(server), ""), DirectDialer())
    for number in range(3):
        assert await destination.send(Outbound(f"a{number}", b"x")) == Delivered("written")
    assert server.accepted == 1
    await asyncio.gather(*(destination.send(Outbound(f"b{number}", b"x")) for number in range(5)))
    assert server.accepted == 1, "several at a time share it"
    server.end()
    async with asyncio.timeout(10):
        while not isinstance(await destination.send(Outbound("c", b"x")), Delivered):
            pass
    assert server.accepted == 2
    await destination.close()
    assert len(server.files()) == 9


async def test_nothing_is_overwritten(server: SftpServer) -> None:
    sent = [("1", b"one"), ("2", b"two"), ("3", b"three"), ("2", b"two")]
    outbounds = [Outbound(identity, body, attributes={"ward": "icu"}) for identity, body in sent]
    found = await send(server, *outbounds, file_name="{ward}.txt")
    assert [one.detail for one in found] == ["written", "written", "written", "already there"]
    assert server.files() == {"icu.txt": b"one", "icu-2.txt": b"two", "icu-3.txt": b"three"}
    assert not [path for path in server.folder.iterdir() if path.name.startswith(".")], "nothing is left"


async def test_a_file_may_be_replaced_or_refused(server: SftpServer) -> None:
    first, second = (Outbound("1", body, attributes={"n": "a"}) for body in (b"one", b"two"))
    found = await send(server, first, second, first, file_name="{n}.txt", exists="replace")
    assert [one.detail for one in found] == ["written"] * 3
    assert server.files() == {"a.txt": b"one"}
    found = await send(server, first, second, file_name="{n}.txt", exists="refuse")
    assert found == [Delivered("already there"), Permanent("another file has this name there")]
    assert server.files() == {"a.txt": b"one"}


async def test_what_has_the_name_and_is_no_file_is_left_alone(server: SftpServer) -> None:
    (server.folder / "a.txt").mkdir()
    (server.folder / "a-2.txt").symlink_to("/etc/passwd")
    (outcome,) = await send(server, Outbound("1", b"x", attributes={"n": "a"}), file_name="{n}.txt")
    assert outcome == Delivered("written")
    assert (server.folder / "a-3.txt").read_bytes() == b"x"


async def test_a_lost_answer_to_the_last_step_is_ambiguous_and_the_next_try_finds_it_there(server: SftpServer) -> None:
    server.gate.clear()
    config = read(sftp.Config, values(server, timeout=300), "")
    destination = sftp.Destination(config, DirectDialer())
    outcome = await destination.send(Outbound("7", ADT))
    assert isinstance(outcome, Ambiguous)
    server.gate.set()
    (server.folder / "7.hl7").write_bytes(ADT)  # as if the server had gone on after all
    assert await destination.send(Outbound("7", ADT, attempt=2)) == Delivered("already there")
    await destination.close()


async def test_a_missing_folder_holds_the_lane_and_a_full_disk_counts(server: SftpServer) -> None:
    url = f"sftp://127.0.0.1:{server.port}/gone"
    assert await send(server, Outbound("7", ADT), url=url) == [Transient("there is no such file or folder")]
    server.says = "no room for " + PASSWORD
    (outcome,) = await send(server, Outbound("7", ADT))
    assert outcome == Transient("the server says: no room for ***", answered=True)


async def test_a_name_that_is_too_long_is_permanent(server: SftpServer) -> None:
    template = "".join(f"{{{word}}}" for word in "abc")
    attributes = dict.fromkeys("abc", "y" * 80)
    assert await send(server, Outbound("7", ADT, attributes=attributes), file_name=template) == [
        Permanent("the file's name is too long")
    ]


async def test_a_deposit_takes_away_what_its_last_try_left_behind(server: SftpServer) -> None:
    ours, others = (unfinished(identity, ".part") for identity in ("d1", "d2"))
    for name in (ours, others):
        (server.folder / name).write_bytes(b"half")
    depositor = sftp.Depositor(read(sftp.Config, values(server), ""), DirectDialer())
    for detail in ("written", "already there"):
        assert await depositor.deposit(deposit(b"whole"), pieces(b"wh", b"ole")) == Placed("adsl.xpt", detail)
    await depositor.close()
    assert sorted(path.name for path in server.folder.iterdir()) == sorted([others, "adsl.xpt"])


# In


@pytest.mark.ledger_part("S3-11", "SFTP: poll, glob, stability, archive and error folders")
async def test_files_are_taken_once_they_are_complete_and_put_away(server: SftpServer) -> None:
    inbox, folder = MemoryInbox(), server.folder
    for name in ("b.txt", ".hidden.hl7", "half.hl7.part"):
        (folder / name).write_bytes(b"x")
    (folder / "link.hl7").symlink_to("/etc/passwd")
    (folder / "sub.hl7").mkdir()
    async with polling(server, inbox, pattern="*.hl7", stable_for=400):
        with (folder / "slow.hl7").open("wb") as growing:
            for number in range(10):
                growing.write(b"%d" % number)
                growing.flush()
                await asyncio.sleep(0.05)
                assert inbox.offered == []
        await gone(folder / "slow.hl7")
        inbox.disposition, inbox.code = Disposition.ERROR, Ack.AR
        await gone(drop(folder, "bad.hl7", b"junk"), drop(folder, "empty.hl7", b""))
    assert inbox.bodies == [b"0123456789", b"junk"]
    assert [one.reason for one in inbox.stored if one.reason] == ["the file is empty"]
    assert (folder / "archive" / "slow.hl7").read_bytes() == b"0123456789"
    assert sorted(path.name for path in (folder / "error").iterdir()) == ["bad.hl7", "empty.hl7"]
    assert {"b.txt", ".hidden.hl7", "half.hl7.part", "link.hl7", "sub.hl7"} <= {one.name for one in folder.iterdir()}


@pytest.mark.ledger_part("S3-11", "SFTP: once by name, size and hash")
async def test_a_file_left_by_a_crash_after_the_commit_is_not_taken_twice(server: SftpServer) -> None:
    inbox = MemoryInbox()
    for _ in range(2):  # the second time it lies there as if the move had never happened
        async with polling(server, inbox):
            await gone(drop(server.folder, "a.hl7", ADT))
    assert inbox.bodies == [ADT]
    assert len(list((server.folder / "archive").iterdir())) == 2  # nothing is overwritten there


async def test_files_are_deleted_but_not_those_that_the_hub_could_not_take(server: SftpServer) -> None:
    inbox, folder = MemoryInbox(), server.folder
    async with polling(server, inbox, after="delete", max_bytes=100):
        await gone(drop(folder, "a.hl7", ADT), drop(folder, "large.hl7", b"x" * 200_000))
    assert inbox.bodies == [ADT]
    (rejected,) = [one for one in inbox.stored if one.reason]
    assert (rejected.reason, len(rejected.body)) == ("the file has 200000 bytes, more than 100", HEAD)
    assert sorted(path.name for path in folder.rglob("*")) == ["error", "large.hl7"]
    assert (folder / "error" / "large.hl7").stat().st_size == 200_000


async def test_a_file_is_not_deleted_before_it_is_stored(server: SftpServer) -> None:
    inbox = MemoryInbox()
    inbox.hold()
    async with polling(server, inbox, after="delete"):
        path = drop(server.folder, "a.hl7", ADT)
        await inbox.until(1)
        await asyncio.sleep(0.1)
        assert path.exists()
        inbox.release()
        await gone(path)


async def test_files_that_stay_are_taken_once_also_after_a_restart(server: SftpServer) -> None:
    inbox, folder = MemoryInbox(), server.folder
    drop(folder, "a.hl7", b"one")
    for _ in range(2):
        async with polling(server, inbox, after="keep"):
            await inbox.until(1)
            await asyncio.sleep(0.1)
    assert inbox.bodies == [b"one"]
    async with polling(server, inbox, after="keep"):
        drop(folder, "a.hl7", b"another")
        await inbox.until(2)
    assert inbox.bodies == [b"one", b"another"]
    assert [path.name for path in folder.iterdir()] == ["a.hl7"], "nothing is made there"


@pytest.mark.parametrize(("order", "expected"), [("name", [b"a", b"b", b"c"]), ("mtime", [b"c", b"a", b"b"])])
async def test_files_are_stored_in_order(server: SftpServer, order: str, expected: list[bytes]) -> None:
    for stamp, name in enumerate(["c", "a", "b"]):
        os.utime(drop(server.folder, name, name.encode()), (stamp, stamp))
    inbox = MemoryInbox()
    async with polling(server, inbox, order=order):
        await inbox.until(3)
    assert inbox.bodies == expected


async def test_a_name_that_is_no_utf_8_is_taken_all_the_same(server: SftpServer) -> None:
    inbox = MemoryInbox()
    async with polling(server, inbox):
        path = Path(os.fsdecode(os.fsencode(server.folder) + b"/m\xfcller.hl7"))
        path.write_bytes(b"x")
        await gone(path)
    assert inbox.stored[0].attributes["file_name"] == "m\\xfcller.hl7"


async def test_a_server_that_goes_away_is_waited_for(server: SftpServer) -> None:
    inbox = MemoryInbox()
    async with polling(server, inbox):
        await server.stop()
        await asyncio.sleep(0.05)
        path = drop(server.folder, "a.hl7", ADT)
        await server.start()
        await gone(path)
    assert inbox.bodies == [ADT]


async def test_a_large_file_is_read_whole(server: SftpServer) -> None:
    inbox, body = MemoryInbox(), os.urandom(9_000_001)
    async with polling(server, inbox):
        await gone(drop(server.folder, "a.hl7", body))
    assert inbox.bodies == [body]
