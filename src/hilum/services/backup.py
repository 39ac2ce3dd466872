"""Everything that a hub holds in one encrypted file, and back.

The archive is a tar (hub.db, hub.key, manifest.json last) inside age encryption (age-encryption.org/v1), written to
the recovery key's public half. So whoever has the archive alone has nothing, and the hub itself cannot read it.
keys.db and hub.mark are left out: the first is made again from the rows, the second belongs to one life of a store.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import fcntl
import hashlib
import io
import json
import os
import shutil
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pyrage

from hilum import __version__, clock
from hilum.errors import ConfigError, Conflict, HilumError, StoreError, StoreFull
from hilum.security.keyring import Keyring
from hilum.store import Store, snapshot
from hilum.store.database import SQLITE_FILE
from hilum.store.lock import FolderLock

KEYS = "hub.key"
MANIFEST = "manifest.json"
_FORMAT = 1
_COPY = "backup-copy.db"  # beside the store, which protects it as well; gone when the archive is written
_STAGING = "restoring"
_CHUNK = 1 << 18
_FOREIGN = {"hub.lock", "lost+found", _STAGING}  # what a folder may hold and still be empty
Progress = Callable[[float], None]


@dataclasses.dataclass(frozen=True, slots=True)
class Report:
    """What an archive holds. `opened` counts the bodies that were opened and compared with their hash."""

    archive: str
    size: int  # bytes
    hilum: str  # the version that wrote it
    schema: str
    created_at: str
    rows: dict[str, int]
    newest: int | None
    body_hash: str | None  # SHA-256 of the newest message's body, hexadecimal
    opened: int = 0


async def create(store: Store, target: Path, progress: Progress | None = None) -> Report:
    """Back up a running hub into `target`; an existing file is replaced once the new one is whole.

    Raises ConfigError (PostgreSQL; no such folder), Conflict (another backup runs), StoreFull, StoreError.
    """
    if not store.database.embedded:
        raise ConfigError("this store is on PostgreSQL: back it up with pg_dump, and keep hub.key beside the dump")
    return await asyncio.to_thread(_create, store, target, _on_loop(progress))


async def restore(
    archive: Path, recovery_key: str, folder: Path, *, verify: bool = False, progress: Progress | None = None
) -> Report:
    """Make a data folder of an archive; `verify` opens every body and compares its hash.

    Raises ConfigError (the key, the archive), Conflict (the folder is not empty), StoreError (damaged or cut
    short), StoreFull. Where it raises, the folder is left as empty as it was.
    """
    return await asyncio.to_thread(_restore, archive, recovery_key, folder, verify, _on_loop(progress))


def _on_loop(progress: Progress | None) -> Progress:
    """Tells it on the loop, whatever thread asks."""
    if progress is None:
        return lambda share: None
    loop = asyncio.get_running_loop()
    return lambda share: loop.call_soon_threadsafe(progress, share) and None


def _create(store: Store, target: Path, told: Progress) -> Report:
    if not target.parent.is_dir() or target.is_dir():
        raise ConfigError(f"{target} is not a file in an existing folder")
    keyring = Keyring.load(store.folder / KEYS)
    partial = target.with_name(f"{target.name}.partial")
    with _alone(store.folder), _no_room(target):
        copied = store.folder / _COPY
        try:
            copied.unlink(missing_ok=True)  # an earlier one may have been cut short
            created_at = clock.now().isoformat()
            snapshot.copy(store.database, copied, lambda share: told(share / 2))
            manifest = {
                "format": _FORMAT, "hilum": __version__, "created_at": created_at,
                **dataclasses.asdict(snapshot.describe(copied)),
            }  # fmt: skip
            with _created(partial) as file, _encrypted(file, keyring.recipient) as stream:
                _write(stream, copied, keyring, manifest, lambda share: told(0.5 + share / 2))
            partial.replace(target)
            _sync(target.parent)
        finally:
            copied.unlink(missing_ok=True)
            partial.unlink(missing_ok=True)
    told(1.0)
    return _report(target, manifest)


def _write(stream: IO[bytes], copied: Path, keyring: Keyring, manifest: dict[str, Any], told: Progress) -> None:
    with tarfile.open(fileobj=stream, mode="w|") as tar, copied.open("rb") as file:
        size = copied.stat().st_size
        counted = _Counted(file, lambda done: told(done / size))
        tar.addfile(_member(SQLITE_FILE, size), counted)  # type: ignore[arg-type]  # it can read, which is enough
        keys = keyring.encode().encode()
        tar.addfile(_member(KEYS, len(keys)), io.BytesIO(keys))
        files = {SQLITE_FILE: counted.hash.hexdigest(), KEYS: hashlib.sha256(keys).hexdigest()}
        text = json.dumps({**manifest, "files": files}, indent=2).encode()
        tar.addfile(_member(MANIFEST, len(text)), io.BytesIO(text))


def _restore(archive: Path, recovery_key: str, folder: Path, verify: bool, told: Progress) -> Report:
    identity = _identity(recovery_key)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if left := sorted({one.name for one in folder.iterdir()} - _FOREIGN):
        raise Conflict(f"{folder} is not empty ({left[0]}): restore into a new folder")
    lock = FolderLock(folder).acquire()
    staging = folder / _STAGING
    half = 0.5 if verify else 1.0
    try:
        shutil.rmtree(staging, ignore_errors=True)  # an earlier one may have been cut short
        staging.mkdir(mode=0o700)
        with _no_room(folder):
            manifest = _read(archive, identity, staging, lambda share: told(share * half))
            keyring = Keyring.load(staging / KEYS)
            opened = snapshot.verify(staging / SQLITE_FILE, keyring, lambda share: told(half + share / 2)) if verify else 0
            snapshot.begin_life(staging, keyring)
            for name in (SQLITE_FILE, KEYS):  # a store without keys is refused at start; keys without a store are not
                _sync(staging / name)
                (staging / name).replace(folder / name)
            _sync(folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        lock.release()
    told(1.0)
    return dataclasses.replace(_report(archive, manifest), opened=opened)


def _read(archive: Path, identity: Any, folder: Path, told: Progress) -> dict[str, Any]:
    """Decrypt and unpack into `folder`; returns the manifest once everything equals what it says."""
    found: dict[str, str] = {}
    with _decrypted(archive, identity, told) as stream, tarfile.open(fileobj=stream, mode="r|") as tar:
        for member in tar:
            source = tar.extractfile(member) if member.name in {SQLITE_FILE, KEYS, MANIFEST} else None
            if source is None or member.name in found:
                raise StoreError(f"{archive} holds {member.name!r}, which no backup of this version has")
            with _created(folder / member.name) as file:
                counted = _Counted(source, lambda done: None)
                shutil.copyfileobj(counted, file, _CHUNK)
            found[member.name] = counted.hash.hexdigest()
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text())
        whole = manifest["format"] == _FORMAT and manifest["files"] == {one: found[one] for one in (SQLITE_FILE, KEYS)}
        described = {name: manifest[name] for name in ("schema", "rows", "newest", "body_hash")}
    except (OSError, ValueError, KeyError, TypeError):
        raise StoreError(f"{archive} is no backup that this version reads") from None
    if not whole or described != dataclasses.asdict(snapshot.describe(folder / SQLITE_FILE)):
        raise StoreError(f"{archive} does not hold what its manifest says")
    return manifest


def _report(archive: Path, manifest: dict[str, Any]) -> Report:
    known = {name: manifest[name] for name in ("hilum", "schema", "created_at", "rows", "newest", "body_hash")}
    return Report(archive=str(archive), size=archive.stat().st_size, **known)


def _identity(recovery_key: str) -> Any:
    try:
        return pyrage.x25519.Identity.from_str(recovery_key.strip())
    except (pyrage.IdentityError, ValueError):
        raise ConfigError("that is no recovery key: it begins with AGE-SECRET-KEY-1") from None


# Streams: age runs on a thread of its own, a pipe between, so that memory stays small however big the store is


@contextlib.contextmanager
def _encrypted(file: IO[bytes], recipient: str) -> Iterator[IO[bytes]]:
    """What is written to it goes encrypted into `file`."""
    recipients = [pyrage.x25519.Recipient.from_str(recipient)]
    reading, writing = (os.fdopen(one, mode) for one, mode in zip(os.pipe(), ("rb", "wb"), strict=True))
    with _thread(lambda: pyrage.encrypt_io(reading, file, recipients), reading):
        try:
            yield writing
        finally:
            with contextlib.suppress(BrokenPipeError):
                writing.close()


@contextlib.contextmanager
def _decrypted(archive: Path, identity: Any, told: Progress) -> Iterator[IO[bytes]]:
    """The content of an archive. Raises ConfigError for a wrong key, StoreError for a damaged archive."""
    reading, writing = (os.fdopen(one, mode) for one, mode in zip(os.pipe(), ("rb", "wb"), strict=True))
    try:
        with archive.open("rb") as file:
            size = archive.stat().st_size
            counted = _Counted(file, lambda done: told(done / size))
            with _thread(lambda: pyrage.decrypt_io(counted, writing, [identity]), writing):
                try:
                    yield reading
                    while reading.read(_CHUNK):
                        """The last block's seal is checked as well."""
                finally:
                    reading.close()
    except pyrage.DecryptError as error:
        if "No matching keys" in str(error):
            raise ConfigError(f"this recovery key does not open {archive}") from None
        raise StoreError(f"{archive} is no backup of Hilum, or is damaged: {error}") from None
    except (tarfile.TarError, EOFError) as error:
        raise StoreError(f"{archive} is damaged or was cut short: {error}") from None
