"""Everything that a hub holds in one encrypted file, and back.

The archive is a tar (hub.db, hub.key, the files that its rows name, manifest.json last) inside age encryption
(age-encryption.org/v1), written to the recovery key's public half. So whoever has the archive alone has nothing, and
the hub itself cannot read it. keys.db and hub.mark are left out: the first is made again from the rows, the second
belongs to one life of a store.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import errno
import fcntl
import hashlib
import io
import json
import os
import re
import shutil
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pyrage

from hilum import __version__, clock
from hilum.errors import ConfigError, Conflict, StoreError, StoreFull
from hilum.security.keyring import Keyring
from hilum.store import Store, files, snapshot
from hilum.store.database import SQLITE_FILE
from hilum.store.lock import FolderLock

KEYS = "hub.key"
MANIFEST = "manifest.json"
_FORMAT = 1
_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_BESIDE = re.compile(rf"(?:{'|'.join(files.BACKED_UP)})/{_UUID}/{_UUID}{re.escape(files.SUFFIX)}")
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
    files: int = 0  # archives of bodies, data sets, exports about persons
    missing: tuple[str, ...] = ()  # of those: they were removed while the backup was made, or lost before
    opened: int = 0


async def create(store: Store, target: Path, progress: Progress | None = None) -> Report:
    """Back up a running hub into `target`; an existing file is replaced once the new one is whole.

    Raises ConfigError (PostgreSQL; no such folder), Conflict (another backup runs), StoreFull, StoreError.
    """
    if not store.database.embedded:
        beside = f"hub.key and the folders {', '.join(files.BACKED_UP)}"
        raise ConfigError(f"this store is on PostgreSQL: back it up with pg_dump, and keep {beside} with the dump")
    return await asyncio.to_thread(_create, store, target, _on_loop(progress))


async def restore(
    archive: Path, recovery_key: str, folder: Path, *, verify: bool = False, progress: Progress | None = None
) -> Report:
    """Make a data folder of an archive; `verify` opens every body and compares its hash.

    Raises ConfigError (the key, the file), Conflict (the folder is not empty), StoreError (damaged or cut short),
    StoreFull. Where it raises, the folder is as empty as it was.
    """
    return await asyncio.to_thread(_restore, archive, recovery_key, folder, verify, _on_loop(progress))


def _create(store: Store, target: Path, told: Progress) -> Report:
    copied, partial = store.folder / _COPY, target.with_name(f"{target.name}.partial")
    if target.is_dir() or not target.parent.is_dir():
        raise ConfigError(f"{target} is not a file in a folder that exists")
    with _plain_errors(), _alone(store.folder):
        try:
            keys = (store.folder / KEYS).read_bytes()
            created_at = clock.now().isoformat(timespec="seconds")
            copied.unlink(missing_ok=True)  # an earlier one may have been cut short
            snapshot.copy(store.database, copied, lambda share: told(share / 2))
            found = dataclasses.asdict(snapshot.describe(copied))
            manifest = {"format": _FORMAT, "hilum": __version__, "created_at": created_at, **found}
            with _created(partial) as file, _encrypted(file, Keyring.decode(keys.decode()).recipient) as stream:
                content = _Content(store.folder, copied, keys, manifest)
                _write(stream, content, lambda share: told(0.5 + share / 2))
            partial.replace(target)
            _sync(target.parent)
        finally:
            copied.unlink(missing_ok=True)
            partial.unlink(missing_ok=True)
    told(1.0)
    return _report(target, manifest)


@dataclasses.dataclass(frozen=True, slots=True)
class _Content:
    """What goes into an archive. `manifest` grows while it is written."""

    folder: Path
    copied: Path
    keys: bytes
    manifest: dict[str, Any]


def _write(stream: IO[bytes], content: _Content, told: Progress) -> None:
    digests: dict[str, str] = {}
    manifest, missing = content.manifest, list[str]()
    with tarfile.open(fileobj=stream, mode="w|") as tar:
        with content.copied.open("rb") as file:
            digests[SQLITE_FILE] = _add(tar, SQLITE_FILE, file, content.copied.stat().st_size, told)
        tar.addfile(_member(KEYS, len(content.keys)), io.BytesIO(content.keys))
        digests[KEYS] = hashlib.sha256(content.keys).hexdigest()
        for name in sorted(snapshot.beside(content.copied)):
            try:
                file = (content.folder / name).open("rb")
            except FileNotFoundError:
                missing.append(name)
                continue
            with file:
                digests[name] = _add(tar, name, file, os.fstat(file.fileno()).st_size, lambda share: None)
        manifest |= {"files": digests, "missing": missing}
        text = json.dumps(manifest, indent=2).encode()
        tar.addfile(_member(MANIFEST, len(text)), io.BytesIO(text))


def _add(tar: tarfile.TarFile, name: str, file: IO[bytes], size: int, told: Progress) -> str:
    """Its SHA-256, in hexadecimal."""
    digest = hashlib.sha256()
    tar.addfile(_member(name, size), _Counted(file, lambda done: told(done / max(size, 1)), digest))
    return digest.hexdigest()


def _restore(archive: Path, recovery_key: str, folder: Path, verify: bool, told: Progress) -> Report:
    identity = _identity(recovery_key)
    with _plain_errors():
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if left := sorted({one.name for one in folder.iterdir()} - _FOREIGN):
            raise Conflict(f"{folder} is not empty ({left[0]}): restore into a new folder")
        lock, staging = FolderLock(folder).acquire(), folder / _STAGING
        try:
            shutil.rmtree(staging, ignore_errors=True)  # an earlier one may have been cut short
            staging.mkdir(mode=0o700)
            half = 0.5 if verify else 1.0
            manifest = _read(archive, identity, staging, lambda share: told(share * half))
            keyring = Keyring.load(staging / KEYS)
            snapshot.begin_life(staging, keyring)
            opened = 0
            if verify:
                opened = snapshot.verify(staging / SQLITE_FILE, keyring, lambda share: told(half + share * half))
            for below in [one for one in staging.rglob("*") if one.is_dir()]:
                _sync(below)
            for name in files.BACKED_UP:
                if (staging / name).is_dir():
                    (staging / name).replace(folder / name)
            for name in (SQLITE_FILE, KEYS):  # in this order: a store without its keys is refused at start
                _sync(staging / name)
                (staging / name).replace(folder / name)
            _sync(folder)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
            lock.release()
    told(1.0)
    return dataclasses.replace(_report(archive, manifest), opened=opened)


def _read(archive: Path, identity: Any, folder: Path, told: Progress) -> dict[str, Any]:
    """Decrypt and unpack into `folder`; returns the manifest once everything is as it says."""
    found: dict[str, str] = {}
    with _decrypted(archive, identity, told) as stream, tarfile.open(fileobj=stream, mode="r|") as tar:
        for member in tar:
            source = tar.extractfile(member) if _belongs(member.name) and member.name not in found else None
            if source is None:
                raise StoreError(f"{archive} holds {member.name}, which no backup has")
            digest = hashlib.sha256()
            (folder / member.name).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with _created(folder / member.name) as file:
                shutil.copyfileobj(_Counted(source, lambda done: None, digest), file, _CHUNK)
            found[member.name] = digest.hexdigest()
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text())
        if manifest["format"] != _FORMAT:
            raise StoreError(
                f"{archive} was written by Hilum {manifest['hilum']}, which is newer; restore with that one"
            )
        whole = {SQLITE_FILE, KEYS} <= found.keys() and manifest["files"] == _without(found, {MANIFEST})
        missing = set(manifest.setdefault("missing", []))
        described = {name: manifest[name] for name in ("schema", "rows", "newest", "body_hash")}
    except (OSError, ValueError, KeyError, TypeError):
        raise StoreError(f"{archive} is no backup of Hilum") from None
    whole = whole and described == dataclasses.asdict(snapshot.describe(folder / SQLITE_FILE))
    if not whole or _without(snapshot.beside(folder / SQLITE_FILE), missing).items() - found.items():
        raise StoreError(f"{archive} does not hold what its manifest says")
    return manifest


def _report(archive: Path, manifest: dict[str, Any]) -> Report:
    known = {name: manifest[name] for name in ("hilum", "schema", "created_at", "rows", "newest", "body_hash")}
    beside = len(manifest["files"].keys() - {SQLITE_FILE, KEYS})
    missing = tuple(manifest["missing"])
    return Report(archive=str(archive), size=archive.stat().st_size, files=beside, missing=missing, **known)


def _without(digests: dict[str, str], names: set[str]) -> dict[str, str]:
    return {name: digest for name, digest in digests.items() if name not in names}


def _belongs(name: str) -> bool:
    """Whether a member of a tar is one of ours: nothing else is written, wherever it says that it wants to go."""
    return name in (SQLITE_FILE, KEYS, MANIFEST) or _BESIDE.fullmatch(name) is not None


def _identity(recovery_key: str) -> Any:
    try:
        return pyrage.x25519.Identity.from_str(recovery_key.strip())
    except (pyrage.IdentityError, ValueError):
        raise ConfigError("that is no recovery key: one begins with AGE-SECRET-KEY-1") from None


def _member(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o600
    return member


# Streams: age works on a thread of its own behind a pipe, so that memory stays small however big the store is


@contextlib.contextmanager
def _encrypted(file: IO[bytes], recipient: str) -> Iterator[IO[bytes]]:
    """What is written to it goes encrypted into `file`."""
    recipients = [pyrage.x25519.Recipient.from_str(recipient)]
    far, near = os.pipe()
    with os.fdopen(far, "rb") as reading, os.fdopen(near, "wb") as writing:
        try:
            with _beside(lambda: pyrage.encrypt_io(reading, file, recipients), reading, writing):
                yield writing
        except pyrage.EncryptError as error:
            kind = StoreFull if "No space left" in str(error) else StoreError
            raise kind(f"the archive cannot be written: {error}") from None


@contextlib.contextmanager
def _decrypted(archive: Path, identity: Any, told: Progress) -> Iterator[IO[bytes]]:
    """The content of an archive. Raises ConfigError for another recovery key, StoreError for a damaged archive."""
    near, far = os.pipe()
    with archive.open("rb") as file, os.fdopen(near, "rb") as reading, os.fdopen(far, "wb") as writing:
        size = max(archive.stat().st_size, 1)
        counted = _Counted(file, lambda done: told(done / size))
        try:
            with _beside(lambda: pyrage.decrypt_io(counted, writing, [identity]), writing, reading):
                yield reading
                shutil.copyfileobj(reading, _Nowhere(), _CHUNK)  # to the end, where the last seal is checked
        except pyrage.DecryptError as error:
            if "No matching keys" in str(error):
                raise ConfigError(f"this recovery key does not open {archive}") from None
            raise StoreError(f"{archive} is no backup of Hilum, or it is damaged: {error}") from None
        except (tarfile.TarError, EOFError, OSError) as error:
            if getattr(error, "errno", None):
                raise
            raise StoreError(f"{archive} is damaged or was cut short: {error}") from None


@contextlib.contextmanager
def _beside(work: Callable[[], None], far: IO[bytes], near: IO[bytes]) -> Iterator[None]:
    """Runs `work` on a thread; `far` is its end of the pipe, `near` the block's. Raises what failed first."""
    failed: list[BaseException] = []

    def run() -> None:
        try:
            work()
            far.close()
        except BaseException as error:
            failed.append(error)
        finally:
            with contextlib.suppress(OSError):
                far.close()

    thread = threading.Thread(target=run, name="hilum-age", daemon=True)
    thread.start()
    try:
        try:
            yield
        finally:
            with contextlib.suppress(BrokenPipeError):
                near.close()
            thread.join()
    except (BrokenPipeError, tarfile.TarError, EOFError):  # these may only follow from what failed on the thread
        if failed and not isinstance(failed[0], BrokenPipeError):
            raise failed[0] from None
        raise
    if failed:
        raise failed[0]


class _Counted(io.RawIOBase):
    """Reads on, counts, and hashes where it is asked to."""

    def __init__(self, source: IO[bytes], told: Callable[[int], None], digest: Any = None) -> None:
        self._source, self._told, self._digest, self._done = source, told, digest, 0

    def read(self, size: int = -1, /) -> bytes:
        content = self._source.read(size)
        self._done += len(content)
        self._told(self._done)
        if self._digest is not None:
            self._digest.update(content)
        return content


class _Nowhere(io.RawIOBase):
    def write(self, content: Any, /) -> int:
        return len(content)


# Files


@contextlib.contextmanager
def _created(path: Path) -> Iterator[IO[bytes]]:
    """A file of its owner's alone, on the disk when the block ends."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One backup of a folder at a time. Raises Conflict."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise Conflict("another backup of this hub is being written") from None
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _plain_errors() -> Iterator[None]:
    """The operating system's refusals, worded for a person."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StoreFull(f"no room: {error}") from None
        raise ConfigError(str(error)) from None


def _on_loop(progress: Progress | None) -> Progress:
    """Tells it on the loop, whatever thread asks, whenever another hundredth is done."""
    if progress is None:
        return lambda share: None
    loop, last = asyncio.get_running_loop(), -1.0

    def told(share: float) -> None:
        nonlocal last
        if share >= last + 0.01 or share == 1.0:
            last = share
            loop.call_soon_threadsafe(progress, share)

    return told
