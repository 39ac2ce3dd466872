"""Lines are whole or not there, read forwards and backwards, however many they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from hilum.engine import checkpoints as module
from hilum.engine.checkpoints import Checkpoints
from hilum.errors import FormatError
from hilum.security.chain import Checkpoint, EvidenceKey

KEY = EvidenceKey(bytes(32))


def made(number: int) -> Checkpoint:
    return Checkpoint("system", number, "", 1, 0, "", "", (), 0, "", "now", "0.1", "").signed(KEY)


@pytest.fixture
def files(tmp_path: Path) -> Checkpoints:
    found = Checkpoints(tmp_path / "deep" / "checkpoints")
    found.prepare(KEY.public)
    return found


def test_what_was_appended_is_read(files: Checkpoints, monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(files.newest("system")) == []
    assert list(files.lines("system")) == []
    files.append("system", [made(1).line(), made(2).line()])
    files.append("system", [made(3).line()])
    assert list(files.lines("system")) == [f"{made(number).line()}\n" for number in (1, 2, 3)]
    for size in (1, 7, 500, 1 << 16):
        monkeypatch.setattr(module, "_BLOCK", size)
        assert [one.number for one in files.newest("system")] == [3, 2, 1]


def test_a_line_that_was_cut_short_is_taken_out(files: Checkpoints, monkeypatch: pytest.MonkeyPatch) -> None:
    files.mend("system")
    files.append("system", [made(1).line()])
    whole = files.path("system").read_bytes()
    for size in (1, 50, 1 << 16):
        monkeypatch.setattr(module, "_BLOCK", size)
        for rest in (b"", b"{", made(2).line().encode()):
            files.path("system").write_bytes(whole + rest)
            files.mend("system")
            assert files.path("system").read_bytes() == whole
    files.path("system").write_bytes(b"only half a li")
    files.mend("system")
    assert files.path("system").read_bytes() == b""


def test_a_line_that_is_none_is_not_read_over(files: Checkpoints) -> None:
    files.append("system", [made(1).line(), "something else"])
    with pytest.raises(FormatError):
        next(files.newest("system"))


def test_the_public_key_lies_beside(files: Checkpoints) -> None:
    path = files.folder / module.KEY
    assert path.read_text() == KEY.public.pem
    other = EvidenceKey(bytes(range(32))).public
    files.prepare(other)
    assert path.read_text() == other.pem
    assert [one.name for one in files.folder.iterdir()] == [module.KEY]
