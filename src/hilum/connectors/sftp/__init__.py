"""SFTP: files in a folder of another machine, taken in once they are complete, and written out whole or not at all.

In: as `file` does it, and what was taken is moved, deleted, or kept and remembered. Out: written under a hidden name in
the same folder, synced where the server offers that, then renamed. The server proves who it is by a host key that the
configuration names; the first one that it shows is never believed by itself. One connection is kept, and shared.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import importlib
import posixpath
import urllib.parse
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, field_validator, model_validator

from hilum import clock, telemetry
from hilum.errors import ConfigError, FormatError, Refused
from hilum.formats import host_keys
from hilum.sdk import contracts, file_name
from hilum.sdk.authentication import SshAuthentication
from hilum.sdk.contracts import Connector, Deposit, Dialer, Inbox, Outbound, ProbeResult
from hilum.sdk.deposits import Broken, Progress, Unlike, begun, blocks, unfinished
from hilum.sdk.faults import ADVICE, Failed, Fault, Timings
from hilum.sdk.outcome import Ambiguous, Delivered, Deposited, Outcome, Permanent, Placed, Transient
from hilum.sdk.polling import HEAD, Look, Polled, Poller

if TYPE_CHECKING:  # it brings asyncssh
    from hilum.connectors.sftp.session import Session

BLOCK = 4 << 20  # bytes of a file that are on their way at a time
_CLEAN = 2.0  # seconds that taking an unfinished file away may take


class Config(Polled):
    """A folder on another machine."""

    url: str = Field(..., description="sftp://user@host:port/folder; /~/folder is below the user's own folder.")
    timeout: int = Field(30_000, ge=100, le=300_000, description="Milliseconds until an answer is late.")
    authentication: SshAuthentication | None = Field(None, description="Who signs in: a password, or an SSH key.")
    host_key: list[str] = Field(
        [],
        max_length=20,
        description="The server's public keys (TYPE BASE64) or their fingerprints (SHA256:…). None: a test shows it.",
    )
    after: Literal["move", "delete", "keep"] = Field(
        "move", description="In: what becomes of a file that was taken. keep: it is remembered as long as its message."
    )
    archive: str = Field("archive", description="In: folder for what was taken, relative to the URL's or absolute.")
    error: str = Field("error", description="In: folder for what could not be taken or processed; not with keep.")
    file_name: str = Field(file_name.DEFAULT, description=file_name.DESCRIPTION)
    exists: Literal["number", "replace", "refuse"] = Field(
        "number",
        description="Out: where another file has the name, take the next one (a-2.hl7), replace it at once, or refuse.",
    )

    @field_validator("url")
    @classmethod
    def _names_a_folder(cls, url: str) -> str:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme != "sftp" or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("must be written sftp://user@host:port/folder")
        if parts.password is not None:
            raise ValueError("must hold no password: use authentication, and a reference to a secret")
        _ = parts.port  # raises ValueError beyond 65535
        if not urllib.parse.unquote(parts.path or "/").isprintable():
            raise ValueError("the folder's name has characters that none may have")
        return url

    @field_validator("host_key", mode="before")
    @classmethod
    def _several(cls, given: Any) -> Any:
        return [given] if isinstance(given, str) else given

    @field_validator("host_key")
    @classmethod
    def _are_keys(cls, given: list[str]) -> list[str]:
        for one in given:
            try:
                host_keys.read(one)
            except FormatError as error:
                raise ValueError(str(error)) from None
        return given

    @field_validator("archive", "error")
    @classmethod
    def _is_another_folder(cls, folder: str) -> str:
        if not folder.isprintable() or posixpath.normpath(folder) in (".", "..", "/"):
            raise ValueError("must be another folder than the one that is read")
        return folder

    @field_validator("file_name")
    @classmethod
    def _is_a_template(cls, template: str) -> str:
        return file_name.check(template)

    @model_validator(mode="after")
    def _names_a_user(self) -> Config:
        if not self.user:
            raise ValueError("nobody signs in: name a user in the URL or in authentication")
        return self

    @property
    def user(self) -> str:
        named = self.authentication.username if self.authentication else ""
        return named or urllib.parse.unquote(urllib.parse.urlsplit(self.url).username or "")

    @property
    def address(self) -> tuple[str, int]:
        parts = urllib.parse.urlsplit(self.url)
        return parts.hostname or "", 22 if parts.port is None else parts.port

    @property
    def folder(self) -> str:
        """As the server knows it: absolute, or relative to where the user begins."""
        path = urllib.parse.unquote(urllib.parse.urlsplit(self.url).path) or "/"
        own = path == "/~" or path.startswith("/~/")
        return posixpath.normpath(f".{path[2:]}" if own else f"/{path.lstrip('/')}")


class Link:
    """An endpoint's connection: opened where it is needed, shared, and opened anew once it has ended."""

    def __init__(self, config: Config, dialer: Dialer) -> None:
        self._config, self._dialer = config, dialer
        self._open: Session | None = None
        self._lock = asyncio.Lock()

    async def session(self) -> Session:
        """Raises Refused and Failed."""
        async with self._lock:
            if self._open is None or self._open.ended:
                await self._drop()
                self._open = await self._connect()
            return self._open

    async def close(self) -> None:
        async with self._lock:
            await self._drop()

    async def _connect(self) -> Session:
        config, shown = self._config, self._config.authentication
        if shown is not None:
            try:
                shown.check()
            except ConfigError as error:
                raise Failed(str(error), Fault.CONFIGURATION, Timings(0.0)) from None
        made = await asyncio.to_thread(importlib.import_module, f"{__name__}.session")
        trusted = [host_keys.read(one) for one in config.host_key]
        session: Session = await made.connect(
            self._dialer, *config.address, config.user, shown, trusted, config.timeout / 1000
        )
        return session

    async def _drop(self) -> None:
        session, self._open = self._open, None
        if session is not None:
            await session.close()


class Source(Poller[Config]):
    """Polls a folder."""

    def __init__(self, config: Config, inbox: Inbox, dialer: Dialer) -> None:
        super().__init__(config, inbox, dialer)
        self.keeps = config.after == "keep"
        self._link = Link(config, dialer)

    async def open(self) -> None:
        """Raises OSError, Failed and Refused where the folder cannot be listed, or the others not be made."""
        session = await self._link.session()
        await _list(session, self.config.folder)
        if not self.keeps:
            await session.create(self._place(self.config.error))
        if self.config.after == "move":
            await session.create(self._place(self.config.archive))

    async def close(self) -> None:
        await self._link.close()

    async def look(self) -> list[Look]:
        session = await self._link.session()
        async with contextlib.aclosing(session.names(self.config.folder)) as names:
            return [one async for one in names if self.config.wants(one.name) and "/" not in one.name]

    async def read(self, look: Look) -> tuple[str, bytes | None]:
        session = await self._link.session()
        large = look.size > self.config.max_bytes
        try:
            body, found = await session.read(self._place(look.name), HEAD if large else look.size + 1)
        except PermissionError:
            return "the file cannot be read: permission denied", b""
        if found != look:
            return "", None
        if large:
            return f"the file has {look.size} bytes, more than {self.config.max_bytes}", body
        return "" if body else "the file is empty", body

    async def put_away(self, look: Look, failed: bool) -> None:
        session, path = await self._link.session(), self._place(look.name)
        if self.config.after == "delete" and not failed:
            if await session.found(path) == look:  # else it is another file by now, which nobody has read
                await session.remove(path)
            return
        folder = self._place(self.config.error if failed else self.config.archive)
        if await session.found(folder) is None:
            await session.create(folder)
        try:
            await session.rename(path, posixpath.join(folder, look.name))
        except FileExistsError:
            stem, suffix = posixpath.splitext(look.name)
            await session.rename(path, posixpath.join(folder, f"{stem}.{clock.micros()}{suffix}"))

    def _place(self, name: str) -> str:
        return posixpath.join(self.config.folder, name)


class _Writer:
    """Puts files into the folder: whole, under their own name, or not at all."""

    def __init__(self, config: Config, link: Link) -> None:
        self._config, self._link = config, link

    async def put(
        self, deposit: Deposit, pieces: AsyncIterator[bytes], progress: Progress, *, again: bool
    ) -> Placed | Transient | Ambiguous | Permanent:
        """`again`: an earlier try may have left its file, or half of one. Raises what `pieces` does."""
        try:
            session = await self._link.session()
        except Refused as error:
            return Transient(str(error))
        except Failed as error:
            return Transient(telemetry.mask(str(error)))
        hidden, left = self._place(unfinished(deposit.id, self._config.temporary)), False
        try:
            if again and (found := await self._before(session, deposit)) is not None:
                return found
            left = True
            async with contextlib.aclosing(blocks(deposit, pieces, BLOCK)) as content:
                await session.write(hidden, content)
            progress.whole = True
            found = await self._name(session, hidden, deposit)
            left = not isinstance(found, Placed) or found.detail != Placed("").detail
            return found
        except Broken as error:
            raise error.error from None
        except Unlike as error:
            return Permanent(str(error))
        except Failed as error:
            text = telemetry.mask(str(error))
            return Ambiguous(text) if progress.whole else Transient(text)
        except (OSError, NotImplementedError) as error:
            return _outcome(error)
        finally:
            if left:
                await self._clean(session, hidden)

    async def _before(self, session: Session, deposit: Deposit) -> Placed | Permanent | None:
        """What is known without sending the file: it is there, or may not be. What is left of earlier tries goes."""
        async with contextlib.aclosing(session.names(self._config.folder)) as names:
            old = [one.name async for one in names if one.name.startswith(begun(deposit.id))]
        for name in old:
            with contextlib.suppress(FileNotFoundError):
                await session.remove(self._place(name))
        if self._config.exists == "replace":
            return None
        return await self._taken(session, deposit, deposit.name)

    async def _taken(self, session: Session, deposit: Deposit, name: str) -> Placed | Permanent | None:
        """What follows from a file that has the name; None: there is none, or the next name is to be tried."""
        path = self._place(name)
        if await session.found(path) is None:
            return None
        if await session.holds(path, deposit.size, deposit.sha256):
            return Placed(name, "already there")
        return Permanent("another file has this name there") if self._config.exists == "refuse" else None

    async def _name(self, session: Session, hidden: str, deposit: Deposit) -> Placed | Permanent:
        if self._config.exists == "replace":
            try:
                await session.replace(hidden, self._place(deposit.name))
            except NotImplementedError:
                return Permanent("the server cannot replace a file at once (posix-rename): choose another `exists`")
            return Placed(deposit.name)
        for number in range(1, file_name.MOST + 1):
            name = file_name.numbered(deposit.name, number)
            try:
                await session.rename(hidden, self._place(name))
                return Placed(name)
            except FileExistsError:
                if (found := await self._taken(session, deposit, name)) is not None:
                    return found
        return Permanent(f"{file_name.MOST} files have this name already")

    async def _clean(self, session: Session, hidden: str) -> None:
        """An unfinished file goes, as far as the connection lets us; the next try of the same sees to the rest."""
        if session.ended:
            return
        try:
            async with asyncio.timeout(_CLEAN):
                await session.remove(hidden)
        except TimeoutError:
            session.abort()
        except (OSError, Failed):
            pass  # it has its own name, or was never there

    def _place(self, name: str) -> str:
        return posixpath.join(self._config.folder, name)


class Destination(contracts.Destination[Config]):
    """Writes one file a delivery. The same delivery finds its file there already and is delivered."""

    def __init__(self, config: Config, dialer: Dialer) -> None:
        super().__init__(config, dialer)
        self._link = Link(config, dialer)
        self._writer = _Writer(config, self._link)

    async def send(self, outbound: Outbound) -> Outcome:
        body, progress = outbound.body, Progress()
        name = file_name.called(self.config.file_name, outbound)
        try:
            deposit = Deposit(outbound.id, name, len(body), hashlib.sha256(body).digest())
        except ConfigError:
            return Permanent("the file's name is too long")
        try:
            async with asyncio.timeout(self.config.timeout / 1000):
                found = await self._writer.put(deposit, _once(body), progress, again=outbound.attempt > 1)
        except TimeoutError:
            late = "the server did not answer in time"
            return Ambiguous(late) if progress.whole else Transient(late)
        return Delivered(found.detail) if isinstance(found, Placed) else found

    async def close(self) -> None:
        await self._link.close()


class Depositor(contracts.Depositor[Config]):
    """Writes large files the same way."""

    def __init__(self, config: Config, dialer: Dialer) -> None:
        super().__init__(config, dialer)
        self._link = Link(config, dialer)
        self._writer = _Writer(config, self._link)

    async def deposit(self, deposit: Deposit, pieces: AsyncIterator[bytes]) -> Deposited:
        return await self._writer.put(deposit, pieces, Progress(), again=True)

    async def close(self) -> None:
        await self._link.close()


class Probe(contracts.Probe[Config]):
    """Signs in and begins to list the folder; changes nothing there."""

    async def probe(self) -> ProbeResult:
        at, link = clock.monotonic(), Link(self.config, self.dialer)
        fault, advice = None, ""
        try:
            session = await link.session()
            await _list(session, self.config.folder)
            detail = f"the folder can be listed; the server showed {session.host_key}"
        except Refused as error:
            detail, fault = str(error), Fault.BLOCKED_BY_POLICY
        except Failed as error:
            detail, fault = telemetry.mask(str(error)), error.fault
        except OSError as error:
            detail = error.strerror or type(error).__name__
            fault = {FileNotFoundError: Fault.NOT_FOUND, PermissionError: Fault.FORBIDDEN}.get(
                type(error), Fault.PROTOCOL
            )
        finally:
            await link.close()
        took = (clock.monotonic() - at) * 1000
        advice = ADVICE[fault] if fault else ""
        return ProbeResult(fault is None, took, detail, advice, fault, timings=Timings(took))


async def _list(session: Session, folder: str) -> None:
    """Begin to. Raises OSError and Failed."""
    async with contextlib.aclosing(session.names(folder)) as names:
        await anext(names, None)


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body


def _outcome(error: OSError | NotImplementedError) -> Transient:
    """A folder that is not there or not open to us holds the lane; whatever else is wrong may be about this file."""
    known = isinstance(error, FileNotFoundError | PermissionError | NotImplementedError)
    text = error.strerror if isinstance(error, OSError) else str(error)
    return Transient(telemetry.mask(text or type(error).__name__), answered=not known)


connector = Connector(("sftp",), Config, Source, Destination, Probe, depositor=Depositor, format="hl7v2")
