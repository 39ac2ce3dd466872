# ruff: noqa: ASYNC110, ASYNC240 - a folder of the test answers at once, and only looking at it tells

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.connectors import file
from hilum.errors import ConfigError, Refused
from hilum.model.message import Ack, Disposition
from hilum.sdk import file_name, testing
from hilum.sdk.config import read
from hilum.sdk.contracts import Outbound
from hilum.sdk.faults import Fault
from hilum.sdk.outcome import Delivered, Permanent, Transient
from hilum.sdk.polling import HEAD
from hilum.sdk.testing import DirectDialer, MemoryInbox, RefusingDialer

pytestmark = pytest.mark.anyio

ADT = b"MSH|^~\\&|A|B|C|D|20260101||ADT^A01|MSG/7|P|2.5\rPID|1||4711\r"


class Folder:
    """A partner that shares a folder."""

    module = file

    def address(self, folder: Path) -> Path:
        return folder / "exchange"

    def values(self, place: Path) -> dict[str, Any]:
        return {"url": place.as_uri(), "timeout": 5_000, "poll": 10, "stable_for": 0}

    def partner(self, place: Path, mood: testing.Mood) -> Any:
        return self.present_folder(place) if mood == "takes" else None

    @contextlib.asynccontextmanager
    async def present_folder(self, place: Path) -> AsyncIterator[Folder.Partner]:
        place.mkdir()
        yield Folder.Partner(place)
        shutil.rmtree(place)

    class Partner:
        def __init__(self, folder: Path) -> None:
            self.folder = folder

        @property
        def received(self) -> list[bytes]:
            return [path.read_bytes() for path in sorted(self.folder.iterdir())]


class TestConfig(testing.ConfigSuite):
    module = file
    example: ClassVar[dict[str, Any]] = {"url": "file:///srv/exchange"}


class TestSource(Folder, testing.SourceSuite):
    numbers = itertools.count(1)

    def address(self, folder: Path) -> Path:
        place = folder / "exchange"
        place.mkdir()
        return place

    async def deliver(self, place: Path, body: bytes) -> None:
        path = drop(place, f"{next(self.numbers):03}.hl7", body)
        while path.exists():
            await asyncio.sleep(0.005)
        if not (place / "archive" / path.name).exists():
            raise AssertionError("it was not taken")

    @contextlib.asynccontextmanager
    async def occupied(self, place: Path) -> AsyncIterator[None]:
        place.rmdir()
        yield
        place.mkdir()


class TestDestination(Folder, testing.DestinationSuite):
    pass


class TestDepositor(Folder, testing.DepositorSuite):
    async def held(self, place: Path) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in place.iterdir()}  # hidden ones too: nothing is left behind


class TestProbe(Folder, testing.ProbeSuite):
    async def test_a_failure_has_its_class(self, tmp_path: Path) -> None:
        (tmp_path / "a-file").write_text("")
        for folder, dialer, fault in (
            (tmp_path / "gone", DirectDialer(tmp_path), Fault.NOT_FOUND),
            (tmp_path / "a-file", DirectDialer(tmp_path), Fault.NOT_FOUND),
            (tmp_path, RefusingDialer(), Fault.BLOCKED_BY_POLICY),
        ):
            result = await file.Probe(read(file.Config, {"url": folder.as_uri()}, ""), dialer).probe()
            assert (result.reachable, result.fault) == (False, fault)
            assert result.advice


def drop(folder: Path, name: str, body: bytes) -> Path:
    """Put a complete file there, as a careful partner does."""
    hidden = folder / f".{name}"
    hidden.write_bytes(body)
    return hidden.rename(folder / name)


@contextlib.asynccontextmanager
async def polling(folder: Path, inbox: MemoryInbox, **values: Any) -> AsyncIterator[file.Source]:
    config = read(file.Config, {"url": folder.as_uri(), "poll": 10, "stable_for": 0, **values}, "")
    source = file.Source(config, inbox, DirectDialer(folder))
    await source.start()
    try:
        yield source
    finally:
        await source.stop()


async def gone(*paths: Path) -> None:
    async with asyncio.timeout(10):
        while any(os.path.lexists(path) for path in paths):
            await asyncio.sleep(0.005)


def destination(folder: Path, **values: Any) -> file.Destination:
    return file.Destination(read(file.Config, {"url": folder.as_uri(), **values}, ""), DirectDialer(folder))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_file())


# In


@pytest.mark.ledger_part("S3-11", "file: stability check")
async def test_a_growing_file_is_left_alone_until_it_is_complete(tmp_path: Path) -> None:
    inbox = MemoryInbox()
    async with polling(tmp_path, inbox, stable_for=1_500):
        with (tmp_path / "slow.hl7").open("wb") as growing:
            for number in range(10):
                growing.write(b"%d" % number)
                growing.flush()
                await asyncio.sleep(0.02)
                assert inbox.offered == []
        await inbox.until(1)
    assert inbox.bodies == [b"0123456789"]


@pytest.mark.ledger_part("S3-11", "file: archive and error folders")
async def test_a_file_goes_to_archive_or_to_error(tmp_path: Path) -> None:
    inbox = MemoryInbox()
    async with polling(tmp_path, inbox):
        await gone(drop(tmp_path, "good.hl7", ADT))
        inbox.disposition, inbox.code = Disposition.ERROR, Ack.AR
        await gone(drop(tmp_path, "bad.hl7", b"junk"))
    assert (tmp_path / "archive" / "good.hl7").read_bytes() == ADT
    assert (tmp_path / "error" / "bad.hl7").read_bytes() == b"junk"
    assert inbox.stored[0].attributes["file_name"] == "good.hl7"


@pytest.mark.ledger_part("S3-11", "file: once by name, size and hash")
async def test_a_file_left_by_a_crash_after_the_commit_is_not_taken_twice(tmp_path: Path) -> None:
    inbox = MemoryInbox()
    for _ in range(2):  # the second time it lies there as if the move had never happened
        async with polling(tmp_path, inbox):
            await gone(drop(tmp_path, "a.hl7", ADT))
    assert inbox.bodies == [ADT]
    assert len(names(tmp_path / "archive")) == 2  # nothing is overwritten there


async def test_the_same_name_with_other_content_is_another_file(tmp_path: Path) -> None:
    inbox = MemoryInbox()
    async with polling(tmp_path, inbox):
        for body in (b"one", b"two"):
            await gone(drop(tmp_path, "a.hl7", body))
        await gone(drop(tmp_path, "b.hl7", b"two"))
    assert inbox.bodies == [b"one", b"two", b"two"]
    kept = {path.read_bytes() for path in (tmp_path / "archive").glob("a.*")}
    assert kept == {b"one", b"two"}


async def test_an_oversized_file_is_put_aside_and_not_silent(tmp_path: Path) -> None:
    inbox = MemoryInbox()
    async with polling(tmp_path, inbox, max_bytes=10):
        await gone(drop(tmp_path, "large.hl7", b"x" * 100_000), drop(tmp_path, "small.hl7", b"x" * 10))
        shutil.move(tmp_path / "error" / "large.hl7", tmp_path / "large.hl7")  # as a crash before the move leaves it
        await gone(tmp_path / "large.hl7")
    assert inbox.bodies == [b"x" * 10]
    (rejected,) = [item for item in inbox.stored if item.reason]
    assert rejected.reason == "the file has 100000 bytes, more than 10"
    assert len(rejected.body) == HEAD
    assert (tmp_path / "error" / "large.hl7").stat().st_size == 100_000


async def test_an_empty_file_is_rejected(tmp_path: Path) -> None:
    inbox = MemoryInbox()
    async with polling(tmp_path, inbox):
        await gone(drop(tmp_path, "empty.hl7", b""))
    assert [(item.body, item.reason) for item in inbox.stored] == [(b"", "the file is empty")]
    assert names(tmp_path / "error") == ["empty.hl7"]


async def test_what_is_no_complete_plain_file_of_the_pattern_stays(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"secret")
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a.txt", ".hidden.hl7", "half.hl7.part"):
        (folder / name).write_bytes(b"x")
    (folder / "link.hl7").symlink_to(outside)
    (folder / "folder.hl7").mkdir()
    inbox = MemoryInbox()
    async with polling(folder, inbox, pattern="*"):
        await gone(folder / "a.txt")
        await gone(drop(folder, "taken.hl7", b"y"))
    assert inbox.bodies == [b"x", b"y"]
    async with polling(folder, inbox, pattern="*.hl7"):
        drop(folder, "b.txt", b"z")
        await gone(drop(folder, "last.hl7", b"last"))
    assert inbox.bodies == [b"x", b"y", b"last"]
    assert sorted(path.name for path in folder.iterdir()) == [
        ".hidden.hl7", "archive", "b.txt", "error", "folder.hl7", "half.hl7.part", "link.hl7",
    ]  # fmt: skip


@pytest.mark.parametrize(("order", "expected"), [("name", [b"a", b"b", b"c"]), ("mtime", [b"c", b"a", b"b"])])
async def test_files_are_stored_in_order(tmp_path: Path, order: str, expected: list[bytes]) -> None:
    for stamp, name in enumerate(["c", "a", "b"]):
        os.utime(drop(tmp_path, name, name.encode()), (stamp, stamp))
    inbox = MemoryInbox()
    async with polling(tmp_path, inbox, order=order):
        await inbox.until(3)
    assert inbox.bodies == expected


async def test_a_name_that_is_no_utf_8_is_taken_all_the_same(tmp_path: Path) -> None:
    inbox = MemoryInbox()
    async with polling(tmp_path, inbox):
        path = os.fsdecode(os.fsencode(tmp_path) + b"/m\xfcller.hl7")
        Path(path).write_bytes(b"x")
        await gone(Path(path))
    assert inbox.stored[0].attributes["file_name"] == "m\\xfcller.hl7"


async def test_a_folder_that_vanishes_is_looked_for_until_it_is_back(tmp_path: Path) -> None:
    folder = tmp_path / "mount"
    folder.mkdir()
    inbox = MemoryInbox()
    async with polling(folder, inbox):
        shutil.rmtree(folder)
        await asyncio.sleep(0.05)
        folder.mkdir()
        await gone(drop(folder, "a.hl7", ADT))
    assert inbox.bodies == [ADT]


async def test_a_file_that_cannot_be_moved_is_not_stored_again_and_stops_no_other(tmp_path: Path) -> None:
    inbox = MemoryInbox()
    async with polling(tmp_path, inbox):
        (tmp_path / "archive").rmdir()
        (tmp_path / "archive").symlink_to("/dev/null")
        drop(tmp_path, "a.hl7", b"one")
        await inbox.until(1)
        drop(tmp_path, "b.hl7", b"two")
        await inbox.until(2)
        await asyncio.sleep(0.1)
        assert inbox.bodies == [b"one", b"two"]
        assert {"a.hl7", "b.hl7"} <= set(names(tmp_path))
        (tmp_path / "archive").unlink()
        await gone(tmp_path / "a.hl7", tmp_path / "b.hl7")
    assert names(tmp_path / "archive") == ["a.hl7", "b.hl7"]
    assert inbox.bodies == [b"one", b"two"]


async def test_a_folder_outside_the_allowed_roots_does_not_start(tmp_path: Path) -> None:
    allowed, other = tmp_path / "allowed", tmp_path / "other"
    for folder in (allowed, other):
        folder.mkdir()
    for values in ({"url": other.as_uri()}, {"url": allowed.as_uri(), "archive": "../other"}):
        source = file.Source(read(file.Config, values, ""), MemoryInbox(), DirectDialer(allowed))
        with pytest.raises(PermissionError, match="in no allowed folder"):
            await source.start()
        await source.stop()


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="needs a second file system")
async def test_an_archive_on_another_file_system_does_not_start(tmp_path: Path) -> None:
    values = {"url": tmp_path.as_uri(), "archive": "/dev/shm"}
    source = file.Source(read(file.Config, values, ""), MemoryInbox(), DirectDialer(tmp_path, Path("/dev/shm")))
    with pytest.raises(OSError, match="same file system"):
        await source.start()


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
async def test_an_unreadable_file_is_rejected(tmp_path: Path) -> None:
    inbox = MemoryInbox()
    drop(tmp_path, "a.hl7", b"x").chmod(0)
    async with polling(tmp_path, inbox):
        await gone(tmp_path / "a.hl7")
    assert [item.reason for item in inbox.stored] == ["the file cannot be read: permission denied"]


# Out


@pytest.mark.ledger_part("S3-11", "file: atomic rename")
async def test_a_file_appears_complete_or_not_at_all(tmp_path: Path) -> None:
    body = os.urandom(200_000)
    seen: set[int] = set()
    sending = asyncio.gather(*(destination(tmp_path).send(Outbound(f"id{n}", body)) for n in range(20)))
    while not sending.done():
        seen |= {path.stat().st_size for path in tmp_path.glob("*.hl7")}
        await asyncio.sleep(0)
    assert all(isinstance(outcome, Delivered) for outcome in await sending)
    assert seen <= {len(body)}
    assert len(names(tmp_path)) == 20  # and no temporary one is left


async def test_an_unfinished_file_of_ours_is_not_taken_by_our_source(tmp_path: Path) -> None:
    inbox = MemoryInbox()
    async with polling(tmp_path, inbox):
        for number in range(20):
            await destination(tmp_path).send(Outbound(f"id{number:02}", b"%d" % number))
        await inbox.until(20)
    assert sorted(inbox.bodies) == sorted(b"%d" % number for number in range(20))


async def test_nothing_is_overwritten(tmp_path: Path) -> None:
    sender = destination(tmp_path, file_name="{ward}.txt")
    for identity, body in (("1", b"one"), ("2", b"two"), ("3", b"three"), ("2", b"two")):
        assert isinstance(await sender.send(Outbound(identity, body, attributes={"ward": "icu"})), Delivered)
    assert {name: (tmp_path / name).read_bytes() for name in names(tmp_path)} == {
        "icu.txt": b"one",
        "icu-2.txt": b"two",
        "icu-3.txt": b"three",
    }


async def test_a_name_in_use_for_ever_is_permanent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("icu.txt", *(f"icu-{number}.txt" for number in range(2, file_name.MOST + 1))):
        (tmp_path / name).write_bytes(b"")
    sender = destination(tmp_path, file_name="{ward}.txt")
    outcome = await sender.send(Outbound("1", b"one", attributes={"ward": "icu"}))
    assert isinstance(outcome, Permanent)
    assert len(names(tmp_path)) == file_name.MOST


async def test_a_link_of_that_name_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"one")
    (tmp_path / "icu.txt").symlink_to(tmp_path / "other")
    sender = destination(tmp_path, file_name="{ward}.txt")
    assert isinstance(await sender.send(Outbound("1", b"one", attributes={"ward": "icu"})), Delivered)
    assert (tmp_path / "icu-2.txt").read_bytes() == b"one"


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("{id}.hl7", "0192-id.hl7"),
        ("{control_id}-{id}.hl7", "MSG_7-0192-id.hl7"),
        ("{file_name}.{id}", ".._.._a_b.txt"),
        ("x-{missing}.hl7", "x-none.hl7"),
        ("{long}.hl7", f"{'y' * 80}.hl7"),
    ],
)
async def test_names_hold_safe_characters_only(tmp_path: Path, template: str, name: str) -> None:
    attributes = {"file_name": "../../a b.txt", "long": "y" * 500}
    outcome = await destination(tmp_path, file_name=template).send(Outbound("0192-id", ADT, attributes=attributes))
    assert isinstance(outcome, Delivered)
    (found,) = names(tmp_path)
    assert found.startswith(f"_{name}" if name.startswith(".") else name)


async def test_a_body_that_is_no_hl7_has_no_control_id(tmp_path: Path) -> None:
    await destination(tmp_path, file_name="{control_id}-{id}.bin").send(Outbound("7", b"\x00\xff"))
    assert names(tmp_path) == ["none-7.bin"]


async def test_files_are_not_for_everyone(tmp_path: Path) -> None:
    await destination(tmp_path).send(Outbound("7", ADT))
    assert (tmp_path / "7.hl7").stat().st_mode & 0o007 == 0


async def test_a_name_that_is_too_long_is_permanent(tmp_path: Path) -> None:
    template = "".join(f"{{{word}}}" for word in ("a", "b", "c", "d"))
    attributes = dict.fromkeys("abcd", "y" * 80)
    outcome = await destination(tmp_path, file_name=template).send(Outbound("7", ADT, attributes=attributes))
    assert isinstance(outcome, Permanent)
    assert names(tmp_path) == []


@pytest.mark.parametrize("taken", [False, True])
async def test_a_file_system_without_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: bool) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)  # as SMB and FAT answer
    if taken:
        (tmp_path / "7.hl7").write_bytes(b"other")
    assert isinstance(await destination(tmp_path).send(Outbound("7", ADT)), Delivered)
    assert (tmp_path / ("7-2.hl7" if taken else "7.hl7")).read_bytes() == ADT
    assert len(names(tmp_path)) == 1 + taken


async def test_a_folder_outside_the_allowed_roots_holds_the_lane(tmp_path: Path) -> None:
    config = read(file.Config, {"url": tmp_path.as_uri()}, "")
    outcome = await file.Destination(config, DirectDialer(tmp_path / "allowed")).send(Outbound("7", ADT))
    assert isinstance(outcome, Transient)
    assert not outcome.answered
    assert names(tmp_path) == []


# Config


@pytest.mark.parametrize(
    "values",
    [
        {"url": "file://server/share"},
        {"url": "file:relative"},
        {"url": "http://host/x"},
        {"url": "file:///a?b"},
        {"url": "file:///a%00b"},
        {"url": "file:///a", "archive": "."},
        {"url": "file:///a", "error": "x/.."},
        {"url": "file:///a", "file_name": "current.hl7"},
        {"url": "file:///a", "file_name": "a/{id}"},
        {"url": "file:///a", "file_name": ".{id}"},
        {"url": "file:///a", "file_name": "{id!r}"},
        {"url": "file:///a", "file_name": "{id:10}"},
        {"url": "file:///a", "file_name": "{0}"},
        {"url": "file:///a", "file_name": "{id"},
        {"url": "file:///a", "temporary": "/x"},
    ],
)
def test_a_configuration_that_cannot_work_is_refused(values: dict[str, str]) -> None:
    with pytest.raises(ConfigError):
        read(file.Config, values, "")


def test_a_url_may_be_percent_encoded() -> None:
    assert read(file.Config, {"url": "file:///srv/a%20b/"}, "").path == "/srv/a b/"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("names")


@given(st.text(max_size=300), st.text(max_size=300))
def test_no_attribute_leaves_the_folder(shared: Path, one: str, two: str) -> None:
    called = file_name.called("{one}{two}", Outbound("7", b"", attributes={"one": one, "two": two}))
    assert (shared / called).resolve().parent == shared.resolve()
    assert not called.startswith(".")


def test_the_dialer_decides() -> None:
    with pytest.raises(Refused):
        DirectDialer().directory("/")
