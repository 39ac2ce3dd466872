"""Files in a folder, taken in once they are complete and written out under a name that is never overwritten.

In: a file that did not change between two looks is read, stored and moved to `archive` (`error` where the
hub could not take it). Its name, size and SHA-256 are its identity, so that a crash between store and move
does not process it twice. Out: written under a temporary name, synced, then given its own name at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import errno
import fnmatch
import hashlib
import os
import re
import secrets
import string
import urllib.parse
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from hilum import clock, telemetry
from hilum.errors import FormatError, Refused, StoreError
from hilum.formats import hl7v2
from hilum.model.message import Disposition
from hilum.sdk import config, contracts
from hilum.sdk.contracts import Connector, Dialer, Inbox, Outbound, ProbeResult
from hilum.sdk.faults import Fault, Timings
from hilum.sdk.outcome import Ambiguous, Delivered, Outcome, Permanent, Transient

HEAD = 65_536  # bytes of an oversized file that are stored; the file itself goes to the error folder
NUMBERS = 1_000  # files of one name and different content, before a delivery is given up

log = telemetry.logger("connectors.file")


class Config(config.Config):
    """A folder: what is taken from it, or how files in it are called."""

    url: str = Field(..., description="The folder, as file:///path. It must lie inside a root that the hub allows.")
    timeout: int = Field(30_000, ge=100, le=300_000, description="Milliseconds until a write counts as unanswered.")
    format: Literal["hl7v2", "bytes"] = Field("hl7v2", description="What the files hold: one message each.")
    pattern: str = Field("*", min_length=1, description="In: which names are taken, such as *.hl7; never hidden ones.")
    poll: int = Field(1_000, ge=10, le=86_400_000, description="In: milliseconds between two looks at the folder.")
    stable_for: int = Field(
        1_000,
        ge=0,
        le=86_400_000,
        description="In: milliseconds that size and time of a file must stay the same.",
    )
    order: Literal["name", "mtime"] = Field("name", description="In: which file goes first, by name or oldest.")
    max_bytes: int = Field(16 << 20, ge=1, le=1 << 30, description="In: the largest file; others are put aside.")
    archive: str = Field("archive", description="In: folder for what was taken, relative to the URL's or absolute.")
    error: str = Field("error", description="In: folder for what could not be taken or processed.")
    file_name: str = Field(
        "{id}.hl7",
        description="Out: {id} is the delivery's, {control_id} MSH-10, any other an attribute.",
    )
    temporary: str = Field(
        ".part",
        pattern=r"^[A-Za-z0-9._-]{1,20}$",
        description="End of the names of unfinished files, in and out.",
    )

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
        words = 0
        for literal, word, spec, conversion in string.Formatter().parse(template):
            if _UNSAFE.search(literal):
                raise ValueError("may hold letters, digits, . _ - and {words} only")
            if word is not None:
                words += 1
                if not word.isidentifier() or spec or conversion:
                    raise ValueError(f"{{{word}}} is no plain word")
        if not words or template.startswith("."):
            raise ValueError("needs a word such as {id}, and must not begin with a dot")
        return template

    @property
    def path(self) -> str:
        return urllib.parse.unquote(urllib.parse.urlsplit(self.url).path)


_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")


@dataclasses.dataclass(frozen=True, slots=True)
class _Look:
    """A file as one look at the folder saw it; `since` (monotonic seconds) is when it was first seen so."""

    name: str
    size: int
    mtime: int
    inode: int
    since: float = dataclasses.field(compare=False)


class Source(contracts.Source[Config]):
    """Polls a folder. One file is on its way at a time, so that they are stored in order."""

    def __init__(self, config: Config, inbox: Inbox, dialer: Dialer) -> None:
        super().__init__(config, inbox, dialer)
        self._looks: dict[str, _Look] = {}
        self._stuck: dict[str, tuple[_Look, Path]] = {}  # taken, but not to be moved away
        self._stopping = asyncio.Event()
        self._paused = False
        self._task: asyncio.Task[None] | None = None
        self._trouble = ""

    async def start(self) -> None:
        """Raises OSError where a folder is missing, not allowed or not to be written."""
        await asyncio.to_thread(self._open)
        self._stopping.clear()
        self._paused = False
        self._task = asyncio.create_task(self._poll())

    async def stop(self) -> None:
        self._stopping.set()
        task, self._task = self._task, None
        if task:
            await task

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        self._paused = False

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

    async def _poll(self) -> None:
        while not self._stopping.is_set():
            try:
                if not self._paused:
                    await self._round()
                self._report("")
            except OSError as error:
                self._report(error.strerror or type(error).__name__)
            except StoreError as error:
                self._report(str(error))
            except Exception:  # whatever it was, the folder is looked at again
                log.exception("poll failed", folder=self.config.path)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), self.config.poll / 1000)

    def _report(self, trouble: str) -> None:
        if trouble != self._trouble:
            self._trouble = trouble
            if trouble:
                log.warning("folder in trouble", folder=self.config.path, reason=trouble)
            else:
                log.info("folder works again", folder=self.config.path)

    async def _round(self) -> None:
        """One look at the folder. A file that cannot be handled lets the others pass, a full store does not."""
        failed: OSError | None = None
        ready = await asyncio.to_thread(self._ready)
        for look, target in list(self._stuck.values()):
            try:
                await self._put_away(look, target)
            except OSError as error:
                failed = error
        for look in ready:
            if self._paused or self._stopping.is_set():
                break
            try:
                await self._take(look)
            except FileNotFoundError:
                continue  # its owner took it back
            except OSError as error:
                failed = error
        if failed:
            raise failed

    def _ready(self) -> list[_Look]:
        now, looks = clock.monotonic(), {}
        with os.scandir(self._folder) as entries:
            for entry in entries:
                if not self._wanted(entry):
                    continue
                with contextlib.suppress(FileNotFoundError):
                    found = entry.stat(follow_symlinks=False)
                    look = _Look(entry.name, found.st_size, found.st_mtime_ns, found.st_ino, now)
                    before = self._looks.get(entry.name)
                    looks[entry.name] = before if before == look else look
        self._stuck = {name: kept for name, kept in self._stuck.items() if looks.get(name) == kept[0]}
        ready = [
            look
            for look in looks.values()
            if look is self._looks.get(look.name)  # it looked the same before
            and now - look.since >= self.config.stable_for / 1000
            and look.name not in self._stuck
        ]
        self._looks = looks
        oldest = self.config.order == "mtime"
        return sorted(ready, key=lambda look: (look.mtime if oldest else 0, look.name))

    def _wanted(self, entry: os.DirEntry[str]) -> bool:
        return (
            not entry.name.startswith(".")
            and not entry.name.endswith(self.config.temporary)
            and fnmatch.fnmatchcase(entry.name, self.config.pattern)
            and entry.is_file(follow_symlinks=False)  # a link may lead out of the allowed roots
        )

    async def _take(self, look: _Look) -> None:
        name = os.fsencode(look.name).decode("utf-8", "backslashreplace")
        reason, body = await asyncio.to_thread(self._read, look)
        if body is None:
            return  # it changed while it was read: not complete yet
        # an oversized file is not hashed: its time stands for its content
        content = look.mtime if reason else hashlib.sha256(body).hexdigest()
        identity = f"{name}|{look.size}|{content}"
        attributes = {"file_name": name, "identity": identity}
        target = self._error if reason else self._archive
        if await self.inbox.seen(identity):
            log.info("file seen before", folder=self.config.path, content=content)
        elif reason:
            await asyncio.shield(self.inbox.reject(body, reason, attributes))
        else:
            receipt = await asyncio.shield(self.inbox.receive(body, attributes))
            if receipt.disposition is Disposition.ERROR:
                target = self._error
        await self._put_away(look, target)

    async def _put_away(self, look: _Look, target: Path) -> None:
        self._stuck[look.name] = look, target
        await asyncio.to_thread(_move, self._folder / look.name, target)
        del self._stuck[look.name]

    def _read(self, look: _Look) -> tuple[str, bytes | None]:
        """Why the file cannot be taken (empty: it can) and its bytes; None where it changed meanwhile."""
        large = look.size > self.config.max_bytes
        try:
            handle = os.open(self._folder / look.name, os.O_RDONLY | os.O_NOFOLLOW)
        except PermissionError:
            return "the file cannot be read: permission denied", b""
        with os.fdopen(handle, "rb") as file:
            body = file.read(HEAD if large else look.size + 1)
            found = os.fstat(handle)
        if _Look(look.name, found.st_size, found.st_mtime_ns, found.st_ino, 0) != look:
            return "", None
        if large:
            return f"the file has {look.size} bytes, more than {self.config.max_bytes}", body
        return "" if body else "the file is empty", body


class Destination(contracts.Destination[Config]):
    """Writes one file a delivery. The same delivery finds its file there already and is delivered."""

    async def send(self, outbound: Outbound) -> Outcome:
        try:
            return await asyncio.wait_for(asyncio.to_thread(self._write, outbound), self.config.timeout / 1000)
        except TimeoutError:
            return Ambiguous("the file system did not answer in time")
        except Refused as error:
            return Transient(str(error))
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                return Permanent("the file's name is too long")
            return Transient(error.strerror or type(error).__name__)

    def _write(self, outbound: Outbound) -> Outcome:
        folder = self.dialer.directory(self.config.path)
        hidden = folder / f".{secrets.token_hex(8)}{self.config.temporary}"
        try:
            handle = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o660)  # the umask narrows it
            with os.fdopen(handle, "wb") as file:
                file.write(outbound.body)
                file.flush()
                os.fsync(handle)
            return self._name(folder, hidden, outbound)
        finally:
            hidden.unlink(missing_ok=True)

    def _name(self, folder: Path, hidden: Path, outbound: Outbound) -> Outcome:
        stem, dot, end = self._called(outbound).partition(".")
        for number in range(1, NUMBERS + 1):
            target = folder / (f"{stem}-{number}{dot}{end}" if number > 1 else f"{stem}{dot}{end}")
            try:
                _link(hidden, target)
            except FileExistsError:
                if not _holds(target, outbound.body):
                    continue
                _sync(folder)
                return Delivered("already there")
            _sync(folder)
            return Delivered("written")
        return Permanent(f"{NUMBERS} files have this name already")

    def _called(self, outbound: Outbound) -> str:
        """The template with safe characters only; what an attribute cannot say is `none`."""
        called = ""
        for literal, word, _, _ in string.Formatter().parse(self.config.file_name):
            called += literal
            if word is not None:
                value = outbound.id if word == "id" else outbound.attributes.get(word, "")
                if not value and word == "control_id":
                    value = _control_id(outbound.body)
                called += _UNSAFE.sub("_", value)[:80] or "none"
        return called if not called.startswith(".") else f"_{called}"


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


def _move(path: Path, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    target = folder / path.name
    while target.exists():
        target = folder / f"{path.stem}.{clock.micros()}{path.suffix}"
    path.rename(target)


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


def _holds(path: Path, body: bytes) -> bool:
    found = path.lstat()
    return path.is_file() and not path.is_symlink() and found.st_size == len(body) and path.read_bytes() == body


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _control_id(body: bytes) -> str:
    try:
        return hl7v2.Message.parse(body).control_id
    except FormatError:
        return ""


connector = Connector(("file",), Config, Source, Destination, Probe, format="hl7v2")
