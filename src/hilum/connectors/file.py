"""Files in a folder, taken in once they are complete and written out under a name that is never overwritten.

In: a file that did not change between two looks is read, stored and moved to `archive` (`error` where the
hub could not take it). Its name, size and SHA-256 are its identity, so that a crash between store and move
does not process it twice. Out: written under a temporary name, synced, then given its own name at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import os
import secrets
import urllib.parse
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import BinaryIO, TypeVar

from pydantic import Field, field_validator

from hilum import clock
from hilum.errors import Refused
from hilum.sdk import contracts, file_name
from hilum.sdk.contracts import Connector, Deposit, Dialer, Inbox, Outbound, ProbeResult
from hilum.sdk.deposits import Broken, Progress, Unlike, begun, blocks, unfinished
from hilum.sdk.faults import Fault, Timings
from hilum.sdk.outcome import Ambiguous, Delivered, Deposited, Outcome, Permanent, Placed, Transient
from hilum.sdk.polling import HEAD, Look, Polled, Poller

BLOCK = 1 << 20  # bytes of a large file that are written at once

T = TypeVar("T")


class Config(Polled):
    """A folder: what is taken from it, or how files in it are called."""

    url: str = Field(..., description="The folder, as file:///path. It must lie inside a root that the hub allows.")
    timeout: int = Field(30_000, ge=100, le=300_000, description="Milliseconds until a write counts as unanswered.")
    archive: str = Field("archive", description="In: folder for what was taken, relative to the URL's or absolute.")
    error: str = Field("error", description="In: folder for what could not be taken or processed.")
    file_name: str = Field(file_name.DEFAULT, description=file_name.DESCRIPTION)

    @field_validator("url")
    @classmethod
    def _names_a_folder(cls, url: str) -> str:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme != "file" or parts.netloc not in ("", "localhost") or parts.query or parts.fragment:
            raise ValueError("must be written file:///path/of/a/folder")
        if not parts.path.startswith("/") or "\0" in urllib.parse.unquote(parts.path):
            raise ValueError("must be an absolute path")
        return url

    @field_validator("archive", "error")
    @classmethod
    def _is_another_folder(cls, folder: str) -> str:
        if "\0" in folder or os.path.normpath(folder) in (".", ".."):
            raise ValueError("must be another folder than the one that is read")
        return folder

    @field_validator("file_name")
    @classmethod
    def _is_a_template(cls, template: str) -> str:
        return file_name.check(template)

    @property
    def path(self) -> str:
        return urllib.parse.unquote(urllib.parse.urlsplit(self.url).path)


class Source(Poller[Config]):
    """Polls a folder."""

    def __init__(self, config: Config, inbox: Inbox, dialer: Dialer) -> None:
        super().__init__(config, inbox, dialer)
        self._folder = self._archive = self._error = Path()

    async def open(self) -> None:
        """Raises OSError where a folder is missing, not allowed or not to be written."""
        await asyncio.to_thread(self._open)

    def _open(self) -> None:
        try:
            folder = self._folder = self.dialer.directory(self.config.path)
            self._archive = self.dialer.directory(str(folder / self.config.archive))
            self._error = self.dialer.directory(str(folder / self.config.error))
        except Refused as error:
            raise PermissionError(errno.EACCES, str(error)) from None
        device = folder.stat().st_dev
        for kept in (self._archive, self._error):
            kept.mkdir(exist_ok=True)
            if kept == folder or kept.stat().st_dev != device:
                raise OSError(errno.EXDEV, f"{kept} must be another folder on the same file system as {folder}")
        for used in (folder, self._archive, self._error):
            if not os.access(used, os.R_OK | os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, f"{used} cannot be read and written")

    async def look(self) -> list[Look]:
        return await asyncio.to_thread(self._look)

    def _look(self) -> list[Look]:
        found = []
        with os.scandir(self._folder) as entries:
            for entry in entries:
                # a link may lead out of the allowed roots
                if self.config.wants(entry.name) and entry.is_file(follow_symlinks=False):
                    with contextlib.suppress(FileNotFoundError):
                        found.append(_seen(entry.name, entry.stat(follow_symlinks=False)))
        return found

    async def read(self, look: Look) -> tuple[str, bytes | None]:
        return await asyncio.to_thread(self._read, look)

    def _read(self, look: Look) -> tuple[str, bytes | None]:
        large = look.size > self.config.max_bytes
        try:
            handle = os.open(self._folder / look.name, os.O_RDONLY | os.O_NOFOLLOW)
        except PermissionError:
            return "the file cannot be read: permission denied", b""
        with os.fdopen(handle, "rb") as file:
            body = file.read(HEAD if large else look.size + 1)
            if _seen(look.name, os.fstat(handle)) != look:
                return "", None
        if large:
            return f"the file has {look.size} bytes, more than {self.config.max_bytes}", body
        return "" if body else "the file is empty", body

    async def put_away(self, look: Look, failed: bool) -> None:
        await asyncio.to_thread(_move, self._folder / look.name, self._error if failed else self._archive)


class Destination(contracts.Destination[Config]):
    """Writes one file a delivery. The same delivery finds its file there already and is delivered."""

    async def send(self, outbound: Outbound) -> Outcome:
        try:
            return await asyncio.wait_for(asyncio.to_thread(self._write, outbound), self.config.timeout / 1000)
        except TimeoutError:
            return Ambiguous("the file system did not answer in time")
        except (Refused, OSError) as error:
            return _outcome(error)

    def _write(self, outbound: Outbound) -> Outcome:
        folder = self.dialer.directory(self.config.path)
        name, body = file_name.called(self.config.file_name, outbound), outbound.body
        hidden = folder / f".{secrets.token_hex(8)}{self.config.temporary}"
        try:
            with _created(hidden) as file:
                file.write(body)
                _flush(file)
            found = _place(folder, hidden, name, len(body), hashlib.sha256(body).digest())
            return Delivered(found.detail) if isinstance(found, Placed) else found
        finally:
            hidden.unlink(missing_ok=True)


class Depositor(contracts.Depositor[Config]):
    """Writes a file beside its place, and puts it there once it is whole."""

    async def deposit(self, deposit: Deposit, pieces: AsyncIterator[bytes]) -> Deposited:
        writing: _Writing | None = None
        progress = Progress()
        try:
            writing = await self._step(_Writing, self.dialer, self.config, deposit)
            async with contextlib.aclosing(blocks(deposit, pieces, BLOCK, progress)) as content:
                async for block in content:
                    await self._step(writing.write, block)
            return await self._step(writing.finish)
        except Broken as error:
            raise error.error from None
        except Unlike as error:
            return Permanent(str(error))
        except TimeoutError:
            late = "the file system did not answer in time"
            return Ambiguous(late) if progress.whole else Transient(late)
        except (Refused, OSError) as error:
            return _outcome(error)
        finally:
            if writing is not None:
                with contextlib.suppress(OSError):
                    await self._step(writing.leave)

    async def _step(self, work: Callable[..., T], *given: object) -> T:
        """On a thread, as long as the time-out allows."""
        return await asyncio.wait_for(asyncio.to_thread(work, *given), self.config.timeout / 1000)


class _Writing:
    """A deposit on its way into a file. Every method is a thread's work."""

    def __init__(self, dialer: Dialer, config: Config, deposit: Deposit) -> None:
        """Raises Refused and OSError. What an earlier try left behind goes."""
        self._folder, self._deposit = dialer.directory(config.path), deposit
        with os.scandir(self._folder) as entries:
            old = [entry.path for entry in entries if entry.name.startswith(begun(deposit.id))]
        for path in old:
            Path(path).unlink(missing_ok=True)
        self._hidden = self._folder / unfinished(deposit.id, config.temporary)
        self._file = _created(self._hidden)

    def write(self, block: bytes) -> None:
        self._file.write(block)

    def finish(self) -> Placed | Permanent:
        _flush(self._file)
        self._file.close()
        return _place(self._folder, self._hidden, self._deposit.name, self._deposit.size, self._deposit.sha256)

    def leave(self) -> None:
        with contextlib.suppress(OSError):  # what cannot be written cannot be closed either
            self._file.close()
        self._hidden.unlink(missing_ok=True)


class Probe(contracts.Probe[Config]):
    """Is the folder there, and may it be listed and written? Writes nothing."""

    async def probe(self) -> ProbeResult:
        start = clock.monotonic()
        fault: Fault | None = None
        try:
            detail = await asyncio.wait_for(asyncio.to_thread(self._look), self.config.timeout / 1000)
        except TimeoutError:
            detail, fault = "the file system does not answer", Fault.TIMEOUT
        except Refused as error:
            detail, fault = str(error), Fault.BLOCKED_BY_POLICY
        except OSError as error:
            detail = error.strerror or type(error).__name__
            fault = _FAULTS.get(error.errno or 0, Fault.PROTOCOL)
        took = (clock.monotonic() - start) * 1000
        return ProbeResult(not fault, took, detail, _ADVICE[fault] if fault else "", fault, timings=Timings(took))

    def _look(self) -> str:
        folder = self.dialer.directory(self.config.path)
        with os.scandir(folder) as entries:
            next(entries, None)
        if not os.access(folder, os.W_OK):
            raise PermissionError(errno.EACCES, "the folder cannot be written")
        return "the folder can be listed and written"


_FAULTS = {errno.ENOENT: Fault.NOT_FOUND, errno.ENOTDIR: Fault.NOT_FOUND, errno.EACCES: Fault.FORBIDDEN,
           errno.EPERM: Fault.FORBIDDEN, errno.EROFS: Fault.FORBIDDEN}  # fmt: skip
_ADVICE = {
    Fault.TIMEOUT: "Look at the mount and the server behind it.",
    Fault.BLOCKED_BY_POLICY: "Name the folder among the roots that the hub allows.",
    Fault.NOT_FOUND: "Create the folder, and let the hub's user read and write it.",
    Fault.FORBIDDEN: "Let the hub's user read and write there: files are moved or created.",
    Fault.PROTOCOL: "Look at the disk, the mount and the server behind it.",
}


def _outcome(error: Refused | OSError) -> Transient | Permanent:
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        return Permanent("the file's name is too long")
    return Transient(str(error) if isinstance(error, Refused) else error.strerror or type(error).__name__)


def _seen(name: str, found: os.stat_result) -> Look:
    return Look(name, found.st_size, found.st_mtime_ns, str(found.st_ino))


def _move(path: Path, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    target = folder / path.name
    while target.exists():
        target = folder / f"{path.stem}.{clock.micros()}{path.suffix}"
    path.rename(target)


def _created(path: Path) -> BinaryIO:
    """A new file. The umask narrows who may read it."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o660), "wb")


def _flush(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _place(folder: Path, hidden: Path, name: str, size: int, sha256: bytes) -> Placed | Permanent:
    """Give a whole file its name at once, or the next one that is free; its own may have been given to it before."""
    for number in range(1, file_name.MOST + 1):
        target = folder / file_name.numbered(name, number)
        try:
            _link(hidden, target)
        except FileExistsError:
            if not _holds(target, size, sha256):
                continue
            _sync(folder)
            return Placed(target.name, "already there")
        _sync(folder)
        return Placed(target.name)
    return Permanent(f"{file_name.MOST} files have this name already")


def _link(hidden: Path, target: Path) -> None:
    """Give the file its name at once. Raises FileExistsError where another one has it."""
    try:
        os.link(hidden, target)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS):
            raise
        if target.exists():  # a file system without links, such as SMB
            raise FileExistsError(errno.EEXIST, "File exists") from None
        hidden.rename(target)


def _holds(path: Path, size: int, sha256: bytes) -> bool:
    if path.is_symlink() or not path.is_file() or path.lstat().st_size != size:
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest() == sha256


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


connector = Connector(("file",), Config, Source, Destination, Probe, depositor=Depositor, format="hl7v2")
