"""An audit trail in a zip (or a plain folder with the same files), as `hilum audit verify` reads it.

    manifest.json      format, chain, begins (the first event that must be there), whole, created_at, hub, key
    events.jsonl       {"position", "hash", "event": the canonical text | null, "unlike": columns that say otherwise}
    unsealed.jsonl     {"event", "late": whether newer ones have a place}
    messages.jsonl     {"uuid", "hash", "body": SHA-256 of the body as it opens now | null, "unreadable"}
    checkpoints.jsonl  the copies in the database, for comparison: the originals lie outside it
    key.pub            the public key, for comparison

Hashes are in hexadecimal. Nothing of a message but its id and hash is in it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import io
import itertools
import json
import uuid
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any, TypeVar

from hilum import __version__, clock
from hilum.errors import ConfigError
from hilum.security.chain import PublicKey
from hilum.security.verdict import Sealed, Stored
from hilum.store.trail import Reader

T = TypeVar("T")
FORMAT = 1
_LINES = 500  # written before what was packed is handed on
MANIFEST, EVENTS, UNSEALED, MESSAGES = "manifest.json", "events.jsonl", "unsealed.jsonl", "messages.jsonl"


def write(reader: Reader, key: PublicKey, since: int | None = None) -> Iterator[bytes]:
    """The zip, piece by piece. `since`: from the checkpoint of that moment on (microseconds)."""
    begins = None if since is None else reader.since(since)
    manifest = {
        "format": FORMAT, "chain": reader.name(), "whole": begins is None, "begins": begins, "hub": __version__,
        "created_at": clock.now().isoformat(timespec="seconds").replace("+00:00", "Z"), "key": key.id,
    }  # fmt: skip
    unsealed = [{"event": text, "late": late} for text, late in reader.unsealed()]
    parts: list[tuple[str, Iterable[dict[str, Any]]]] = [
        (EVENTS, map(_event, reader.events((begins or 1) - 1))),
        (UNSEALED, unsealed),
        (MESSAGES, map(_message, reader.messages(bodies=True))),
        ("checkpoints.jsonl", (one.whole() for one in reader.checkpoints())),
    ]
    sink = _Sink()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr(MANIFEST, json.dumps(manifest, indent=2) + "\n")
        archive.writestr("key.pub", key.pem)
        for name, rows in parts:
            with archive.open(name, "w", force_zip64=True) as part:
                for count, row in enumerate(rows, 1):
                    part.write(json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
                    if not count % _LINES:
                        yield sink.take()
            yield sink.take()
    yield sink.take()


def _event(one: Sealed) -> dict[str, Any]:
    row: dict[str, Any] = {"position": one.position, "hash": one.hash.hex(), "event": one.text}
    return row | {"unlike": list(one.unlike)} if one.unlike else row


def _message(one: Stored) -> dict[str, Any]:
    row: dict[str, Any] = {"uuid": str(uuid.UUID(bytes=one.uuid)), "hash": one.hash.hex()}
    row["body"] = one.opened.hex() if one.opened is not None else None
    return row | {"unreadable": True} if one.unreadable else row


class _Sink(io.RawIOBase):
    """Keeps what was written until it is taken."""

    def __init__(self) -> None:
        self._kept = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, content: Any, /) -> int:
        self._kept += content
        return len(content)

    def take(self) -> bytes:
        taken, self._kept = bytes(self._kept), bytearray()
        return taken


@dataclasses.dataclass(frozen=True, slots=True)
class Export:
    """A trail that was exported. `size` is the number of bytes of what is read through."""

    chain: str
    begins: int | None
    created_at: str
    size: int
    _opened: Callable[[str], IO[bytes]] = dataclasses.field(repr=False)

    def events(self, told: Callable[[int], object]) -> Iterator[Sealed]:
        """`told` hears how many bytes more were read. Raises ConfigError at a line that is none of ours."""
        return self._rows(EVENTS, _sealed, told)

    def messages(self, told: Callable[[int], object]) -> Iterator[Stored]:
        """The same."""
        return self._rows(MESSAGES, _stored, told)

    def unsealed(self) -> list[tuple[str, bool]]:
        return list(self._rows(UNSEALED, lambda row: (str(row["event"]), bool(row["late"])), lambda size: None))

    def _rows(self, name: str, make: Callable[[dict[str, Any]], T], told: Callable[[int], object]) -> Iterator[T]:
        with self._opened(name) as file:
            for number in itertools.count(1):
                with _ours(f"{name}, line {number}"):
                    line = file.readline()
                    row = make(json.loads(line)) if line else None
                if row is None:
                    return
                told(len(line))
                yield row


def _sealed(row: dict[str, Any]) -> Sealed:
    text = row["event"]
    if not isinstance(row["position"], int) or not (text is None or isinstance(text, str)):
        raise TypeError
    return Sealed(row["position"], bytes.fromhex(row["hash"]), text, tuple(map(str, row.get("unlike", ()))))


def _stored(row: dict[str, Any]) -> Stored:
    opened = bytes.fromhex(row["body"]) if row["body"] is not None else None
    identifier, digest = uuid.UUID(row["uuid"]).bytes, bytes.fromhex(row["hash"])
    return Stored(identifier, digest, opened, unreadable=bool(row.get("unreadable")))


@contextlib.contextmanager
def read(path: Path) -> Iterator[Export]:
    """An export. Raises ConfigError where it is none."""
    with contextlib.ExitStack() as stack:
        sizes: dict[str, int]
        if path.is_dir():
            opened: Callable[[str], IO[bytes]] = functools.partial(_open, path)
            sizes = {one.name: one.stat().st_size for one in path.iterdir()}
        else:
            try:
                archive = stack.enter_context(zipfile.ZipFile(path))
            except zipfile.BadZipFile:
                raise ConfigError(f"{path} is no export of an audit trail, or it is cut short") from None
            opened = archive.open
            sizes = {one.filename: one.file_size for one in archive.infolist()}
        if missing := {MANIFEST, EVENTS, UNSEALED, MESSAGES} - sizes.keys():
            raise ConfigError(f"{path} is no export of an audit trail: {min(missing)} is missing")
        with _ours(MANIFEST), opened(MANIFEST) as file:
            manifest = json.load(file)
            if manifest["format"] != FORMAT:
                raise ConfigError(f"{path} was written by Hilum {manifest['hub']}, which is newer")
            begins = None if manifest["whole"] else int(manifest["begins"])
            size = sizes[EVENTS] + sizes[MESSAGES]
            found = Export(str(manifest["chain"]), begins, str(manifest["created_at"]), size, opened)
        yield found


def _open(folder: Path, name: str) -> IO[bytes]:
    return (folder / name).open("rb")


@contextlib.contextmanager
def _ours(where: str) -> Iterator[None]:
    """Raises ConfigError instead of what odd content makes Python raise."""
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile, zlib.error):
        raise ConfigError("not what an export holds", where=where) from None
