"""An archive gives back what it was given, a message at a time, and says what is wrong with it."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import pytest
import zstandard

from hilum.errors import StoreError
from hilum.security.sealed_file import SealedReader, SealedWriter, new_key
from hilum.store import archive_files, files
from hilum.store.archive_files import Kept

KEY, ONE = new_key(), uuid.uuid4()
KEPT = [
    Kept(number, str(uuid.uuid4()), 1_000 + number, "adt/in", "ADT^A01", f"Cü{number}",
         bytes([0, 255, number % 256]) * number, {7: b"\xff", 9: b""} if number % 2 else {})
    for number in range(450)
]  # fmt: skip


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = files.path_of(tmp_path, files.ARCHIVES, uuid.UUID(int=7), ONE)
    with archive_files.written(made, KEY, 1, ONE) as sink:
        for one in KEPT:
            sink.add(one)
    return made


def test_every_message_comes_back(path: Path) -> None:
    assert list(archive_files.read(path, KEY, 1, ONE)) == KEPT
    assert archive_files.identifier_of(path) == ONE
    assert path.stat().st_size < sum(len(one.body) for one in KEPT), "it is compressed"


def test_some_at_a_time(path: Path) -> None:
    kept, sizes = archive_files.read(path, KEY, 1, ONE), []
    while some := archive_files.some(kept):
        sizes.append(len(some))
    assert sizes == [200, 200, 50]
    large = iter([Kept(n, "", 0, "", "", "", bytes(3 << 20), {}) for n in range(4)])
    assert [len(archive_files.some(large)) for _ in range(3)] == [2, 2, 0], "few where they are large"


def test_without_its_key_or_in_anothers_place_it_does_not_open(path: Path) -> None:
    for key, organization, archive in ((new_key(), 1, ONE), (KEY, 2, ONE), (KEY, 1, uuid.uuid4())):
        with pytest.raises(StoreError, match="does not open"):
            list(archive_files.read(path, key, organization, archive))


def lines(path: Path) -> list[bytes]:
    with path.open("rb") as file:
        plain = SealedReader(file, KEY, archive_files.bound(1, ONE)).readall()
    return zstandard.ZstdDecompressor().stream_reader(plain).readall().splitlines()


def test_the_first_line_says_what_it_is(path: Path) -> None:
    head, first, *_ = map(json.loads, lines(path))
    assert (head["format"], head["archive"], head["organization"]) == (1, str(ONE), str(uuid.UUID(int=7)))
    assert first.keys() == {
        "row",
        "id",
        "received_at",
        "endpoint",
        "type",
        "control_id",
        "body",
        "sha256",
        "deliveries",
    }


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b'"format":1', b'"format":2', "a newer Hilum wrote it"),
        (b'"format":1', b'"x":1', "does not hold what an archive holds"),
        (b'"body":"AP8B', b'"body":"AP8C', "the body of message .* is not what was archived"),
        (b'"body":"AP8B', b'"body":"!!!!', "does not hold what an archive holds"),
        (b'"row":3,', b"", "does not hold what an archive holds"),
    ],
)
def test_odd_content_is_told(path: Path, old: bytes, new: bytes, reason: str) -> None:
    """As only another version of Hilum could write it."""
    content = b"\n".join(lines(path)) + b"\n"
    assert old in content
    with path.open("wb") as file, SealedWriter(file, KEY, archive_files.bound(1, ONE)) as stream:
        stream.write(zstandard.compress(content.replace(old, new, 1)))
    with pytest.raises(StoreError, match=reason):
        list(archive_files.read(path, KEY, 1, ONE))
