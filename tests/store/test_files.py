"""Files beside the rows are whole or not there, and what no row knows is swept away."""

from __future__ import annotations

import hashlib
import uuid
from pathlib import Path

import pytest

from hilum.store import files

OWNER, ONE = uuid.UUID(int=7), uuid.UUID(int=1)


def put(path: Path, content: bytes = b"content") -> Path:
    with files.written(path) as file:
        file.write(content)
    return path


def below(folder: Path) -> list[str]:
    return sorted(one.relative_to(folder).as_posix() for one in folder.rglob("*") if one.is_file())


def test_it_is_there_whole_and_nobody_elses(tmp_path: Path) -> None:
    path = files.path_of(tmp_path, files.ARCHIVES, OWNER, ONE)
    with files.written(path) as file:
        file.write(b"half")
        assert not path.exists()
        file.write(b" and half")
    assert path.read_bytes() == b"half and half"
    assert path.stat().st_mode & 0o777 == 0o600
    assert {one.stat().st_mode & 0o777 for one in (path.parent, path.parent.parent)} == {0o700}
    assert files.digest(path) == (13, hashlib.sha256(b"half and half").digest())
    assert put(path, b"another").read_bytes() == b"another"


def test_where_it_fails_nothing_is_left_and_an_older_one_stays(tmp_path: Path) -> None:
    path = put(files.path_of(tmp_path, files.ARCHIVES, OWNER, ONE))

    def fail() -> None:
        with files.written(path) as file:
            file.write(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert below(tmp_path) == [path.relative_to(tmp_path).as_posix()]
    assert path.read_bytes() == b"content"


def test_what_no_row_knows_is_swept_away(tmp_path: Path) -> None:
    known = put(files.path_of(tmp_path, files.EXPORTS, OWNER, ONE))
    being_made = known.with_name(known.name + files.PARTIAL)
    being_made.write_bytes(b"half")
    put(files.path_of(tmp_path, files.EXPORTS, OWNER, uuid.UUID(int=2)))
    known.with_name("other").write_bytes(b"")
    theirs = put(files.path_of(tmp_path, files.EXPORTS, uuid.UUID(int=8), uuid.UUID(int=3)))
    assert files.sweep(tmp_path, files.EXPORTS, OWNER, [ONE]) == 2
    assert below(tmp_path) == sorted(one.relative_to(tmp_path).as_posix() for one in (known, being_made, theirs))
    assert files.sweep(tmp_path, files.ARCHIVES, OWNER, []) == 0, "there is no folder yet"
    assert files.sweep(tmp_path, files.EXPORTS, OWNER, []) == 2


def test_removing_what_is_gone_is_no_error(tmp_path: Path) -> None:
    path = put(files.path_of(tmp_path, files.EXPORTS, OWNER, ONE))
    files.remove(path)
    files.remove(path)
    files.remove(tmp_path / "nowhere" / "x")
    assert below(tmp_path) == []
