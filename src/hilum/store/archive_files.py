"""The file of an archive: a line of JSON about it and one for each message, zstd-compressed, then sealed.

The lines: {"format", "archive", "organization", "hilum", "created_at"}, then {"row", "id", "received_at", "endpoint",
"type", "control_id", "body" (base64), "sha256" of the body, "deliveries": {id: the body kept with it, base64}}.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import hashlib
import io
import itertools
import json
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, cast

import zstandard

from hilum import __version__, clock
from hilum.errors import StoreError
from hilum.security.envelope import Place
from hilum.security.sealed_file import SealedReader, SealedWriter
from hilum.store import files

FORMAT = 1
_TOGETHER, _BYTES = 200, 4 << 20


@dataclasses.dataclass(frozen=True, slots=True)
class Kept:
    """A message as an archive has it. `deliveries` are the bodies that were kept with some of them, by their rows."""

    row: int
    id: str
    received_at: int  # microseconds
    endpoint: str
    type: str
    control_id: str
    body: bytes
    deliveries: Mapping[int, bytes]


def key_place(organization: int, archive: uuid.UUID) -> Place:
    """Where the key of an archive's file is sealed."""
    return Place(organization, "archive", archive)


def bound(organization: int, archive: uuid.UUID) -> bytes:
    """What the file is bound to: in another organization's or archive's place it does not open."""
    return Place(organization, "archive", archive, "file").bound(0)


def identifier_of(path: Path) -> uuid.UUID:
    """The archive that a file belongs to, by its name."""
    return uuid.UUID(path.name.removesuffix(files.SUFFIX))


class Sink:
    """Takes the messages of an archive that is being written."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def line(self, document: Mapping[str, Any]) -> None:
        self._stream.write(json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")

    def add(self, one: Kept) -> None:
        self.line({
            "row": one.row, "id": one.id, "received_at": one.received_at, "endpoint": one.endpoint, "type": one.type,
            "control_id": one.control_id, "body": _text(one.body), "sha256": hashlib.sha256(one.body).hexdigest(),
            "deliveries": {str(row): _text(body) for row, body in one.deliveries.items()},
        })  # fmt: skip


@contextlib.contextmanager
def written(path: Path, key: bytes, organization: int, archive: uuid.UUID) -> Iterator[Sink]:
    """The file is there, whole and on the disk, when the block has ended; where it fails nothing is. Raises OSError."""
    with (
        files.written(path) as file,
        SealedWriter(file, key, bound(organization, archive)) as sealed,
        zstandard.ZstdCompressor(level=6, write_checksum=True).stream_writer(
            cast(IO[bytes], sealed), closefd=False
        ) as stream,
    ):
        sink = Sink(stream)
        created_at = clock.now().isoformat(timespec="seconds")
        sink.line({"format": FORMAT, "archive": str(archive), "organization": path.parent.name,
                   "hilum": __version__, "created_at": created_at})  # fmt: skip
        yield sink


def read(path: Path, key: bytes, organization: int, archive: uuid.UUID) -> Iterator[Kept]:
    """The messages of an archive, in its order. Raises StoreError where it is damaged, OSError."""
    with path.open("rb") as file:
        sealed = io.BufferedReader(SealedReader(file, key, bound(organization, archive)))
        lines = io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(sealed))
        try:
            if json.loads(lines.readline())["format"] != FORMAT:
                raise StoreError("a newer Hilum wrote it")
            for line in lines:
                yield _kept(json.loads(line))
        except (ValueError, KeyError, TypeError, AttributeError, zstandard.ZstdError):
            raise StoreError("it does not hold what an archive holds") from None


def some(kept: Iterator[Kept]) -> list[Kept]:
    """The next ones, not too many for one transaction; none: that was all."""
    found: list[Kept] = []
    size = 0
    for one in itertools.islice(kept, _TOGETHER):
        found.append(one)
        size += len(one.body) + sum(map(len, one.deliveries.values()))
        if size >= _BYTES:
            break
    return found


def _kept(line: dict[str, Any]) -> Kept:
    """Raises StoreError, and what odd content raises."""
    body = base64.b64decode(line["body"], validate=True)
    if hashlib.sha256(body).hexdigest() != line["sha256"]:
        raise StoreError(f"the body of message {line['id']} is not what was archived")
    deliveries = {int(row): base64.b64decode(text, validate=True) for row, text in line["deliveries"].items()}
    return Kept(line["row"], line["id"], line["received_at"], line["endpoint"], line["type"], line["control_id"],
                body, deliveries)  # fmt: skip


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()
