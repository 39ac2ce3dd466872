"""Files of any size, put into a folder."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from hilum.connectors import file
from hilum.errors import ConfigError
from hilum.sdk.config import read
from hilum.sdk.contracts import Deposit
from hilum.sdk.deposits import unfinished
from hilum.sdk.outcome import Placed, Transient
from hilum.sdk.testing import DirectDialer

pytestmark = pytest.mark.anyio


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_file())


async def pieces(*given: bytes) -> AsyncIterator[bytes]:
    for one in given:
        yield one


def deposit(body: bytes, name: str = "adsl.xpt", identity: str = "d1") -> Deposit:
    return Deposit(identity, name, len(body), hashlib.sha256(body).digest())


async def test_a_deposit_goes_beside_another_file_of_its_name(tmp_path: Path) -> None:
    (tmp_path / "adsl.xpt").write_bytes(b"older")
    depositor = file.Depositor(read(file.Config, {"url": tmp_path.as_uri()}, ""), DirectDialer(tmp_path))
    outcomes = [await depositor.deposit(deposit(b"newer"), pieces(b"ne", b"", b"wer")) for _ in range(2)]
    assert outcomes == [Placed("adsl-2.xpt"), Placed("adsl-2.xpt", "already there")]
    assert {name: (tmp_path / name).read_bytes() for name in names(tmp_path)} == {
        "adsl.xpt": b"older", "adsl-2.xpt": b"newer",
    }  # fmt: skip


async def test_a_deposit_takes_away_what_its_last_try_left_behind(tmp_path: Path) -> None:
    ours, others = (unfinished(identity, ".part") for identity in ("d1", "d2"))
    for name in (ours, others):
        (tmp_path / name).write_bytes(b"half")
    depositor = file.Depositor(read(file.Config, {"url": tmp_path.as_uri()}, ""), DirectDialer(tmp_path))
    assert await depositor.deposit(deposit(b"whole"), pieces(b"whole")) == Placed("adsl.xpt")
    assert names(tmp_path) == sorted([others, "adsl.xpt"])


async def test_a_folder_that_is_not_there_holds_a_deposit(tmp_path: Path) -> None:
    config = read(file.Config, {"url": (tmp_path / "gone").as_uri()}, "")
    outcome = await file.Depositor(config, DirectDialer(tmp_path)).deposit(deposit(b"x"), pieces(b"x"))
    assert outcome == Transient("No such file or directory")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
async def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = os.open

    def full(path: Any, *given: Any, **named: Any) -> int:
        made = opened(path, *given, **named)
        if not str(path).endswith(".part"):
            return made
        os.close(made)
        return opened("/dev/full", os.O_WRONLY)

    monkeypatch.setattr(os, "open", full)
    depositor = file.Depositor(read(file.Config, {"url": tmp_path.as_uri()}, ""), DirectDialer(tmp_path))
    outcome = await depositor.deposit(deposit(bytes(100_000)), pieces(bytes(100_000)))
    assert outcome == Transient("No space left on device")
    assert names(tmp_path) == []


@pytest.mark.parametrize("name", ["", ".", "..", ".x", "a/b", "a\\b", "a\nb", "a\0b", " a", "a ", "ä" * 101, "\ud800"])
def test_a_deposit_s_name_leads_nowhere_else(name: str) -> None:
    with pytest.raises(ConfigError, match="a file's name"):
        deposit(b"", name)
