"""A Source that looks at a place again and again: a folder, another machine's folder, a bucket.

Once a file did not change between two looks it is read, stored, and only then put away. Its name, size and SHA-256
are its identity, so that a crash between storing and putting away does not process it twice. One file is on its way
at a time, so that they are stored in order.
"""

from __future__ import annotations

import abc
import asyncio
import contextlib
import dataclasses
import fnmatch
import hashlib
from collections.abc import Awaitable, Iterable
from typing import ClassVar, Literal, TypeVar

from pydantic import Field

from hilum import clock, telemetry
from hilum.errors import HilumError
from hilum.model.message import Disposition
from hilum.sdk import config, file_name
from hilum.sdk.contracts import Dialer, Inbox, Source

HEAD = 65_536  # bytes of an oversized file that are stored; the file itself is put aside

log = telemetry.logger("sdk.polling")
T = TypeVar("T")


class Polled(config.Config):
    """What the Configs of such connectors have in common."""

    url: str = Field(..., description="Where to look.")
    timeout: int = Field(30_000, ge=100, le=300_000, description="Milliseconds until an answer is late.")
    format: Literal["hl7v2", "bytes"] = Field("hl7v2", description="What the files hold: one message each.")
    pattern: str = Field("*", min_length=1, description="In: which names are taken, such as *.hl7; never hidden ones.")
    poll: int = Field(1_000, ge=10, le=86_400_000, description="In: milliseconds between two looks.")
    stable_for: int = Field(
        1_000, ge=0, le=86_400_000, description="In: milliseconds that size and time of a file must stay the same."
    )
    order: Literal["name", "mtime"] = Field("name", description="In: which file goes first, by name or oldest.")
    max_bytes: int = Field(16 << 20, ge=1, le=1 << 30, description="In: the largest file; others are put aside.")
    temporary: str = Field(
        ".part",
        pattern=r"^[A-Za-z0-9._-]{1,20}$",
        description="End of the names of unfinished files, in and out.",
    )

    def wants(self, name: str) -> bool:
        """Is a file of this name to be taken?"""
        hidden = name.startswith(".") or name.endswith(self.temporary)
        return not hidden and fnmatch.fnmatchcase(name, self.pattern)


P = TypeVar("P", bound=Polled)


@dataclasses.dataclass(frozen=True, slots=True)
class Look:
    """A file as one look saw it; `since` (monotonic seconds) is when it was first seen so.

    `mtime` is in the place's own unit, and only compared. `mark` is what else changes with the content: an inode, an
    ETag.
    """

    name: str
    size: int
    mtime: int
    mark: str = ""
    since: float = dataclasses.field(default=0.0, compare=False)

    @property
    def digest(self) -> str:
        """What tells this state of the file from others, without reading it."""
        return f"{file_name.shown(self.name)}|{self.size}|{self.mtime}|{self.mark}"


class _Stopped(Exception):
    """There is no time any more to finish this."""


class Poller(Source[P]):
    """Hooks: `open`, `close`, `look`, `read`, `put_away`. They raise OSError, or a HilumError where they fail."""

    whole: ClassVar[bool] = False  # True: what is seen there is complete, one look is enough
    keeps: bool = False  # files stay where they are, and what was taken is remembered

    def __init__(self, config: P, inbox: Inbox, dialer: Dialer) -> None:
        super().__init__(config, inbox, dialer)
        self._looks: dict[str, Look] = {}
        self._stuck: dict[str, tuple[Look, bool]] = {}  # taken, but not to be put away; and whether that failed
        self._kept: dict[str, Look] = {}
        self._stopping = asyncio.Event()
        self._paused = False
        self._task: asyncio.Task[None] | None = None
        self._trouble = ""

    @abc.abstractmethod
    async def open(self) -> None:
        """See whether the place can be used. Raises OSError where not; the hub tries again."""

    async def close(self) -> None:
        """Close what is held open."""

    @abc.abstractmethod
    async def look(self) -> Iterable[Look]:
        """The files there now whose names the Config `wants`, in any order."""

    @abc.abstractmethod
    async def read(self, look: Look) -> tuple[str, bytes | None]:
        """Why the file cannot be taken (empty: it can), and its bytes; None where it changed meanwhile.

        Of one that is too large HEAD bytes are enough. Raises FileNotFoundError where it is gone.
        """

    @abc.abstractmethod
    async def put_away(self, look: Look, failed: bool) -> None:
        """Move or delete it. `failed`: the hub could not take it, so it must not be lost."""

    async def start(self) -> None:
        self._stopping.clear()
        self._paused = False
        try:
            await self.open()
        except HilumError as error:
            await self.close()
            raise OSError(str(error)) from None
        except BaseException:
            await self.close()
            raise
        self._task = asyncio.create_task(self._poll())

    async def stop(self) -> None:
        self._stopping.set()
        task, self._task = self._task, None
        if task:
            await task
        await self.close()

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        self._paused = False

    async def _poll(self) -> None:
        while not self._stopping.is_set():
            try:
                if not self._paused:
                    await self._round()
                self._report("")
            except _Stopped:
                return
            except OSError as error:
                self._report(error.strerror or str(error) or type(error).__name__)
            except HilumError as error:
                self._report(str(error))
            except Exception:  # whatever it was, the place is looked at again
                log.exception("poll failed", place=self.config.url)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), self.config.poll / 1000)

    def _report(self, trouble: str) -> None:
        if trouble != self._trouble:
            self._trouble = trouble
            if trouble:
                log.warning("no files can be taken", place=self.config.url, reason=trouble)
            else:
                log.info("files can be taken again", place=self.config.url)

    async def _round(self) -> None:
        """One look. A file that cannot be handled lets the others pass; a full store and a lost partner do not."""
        failed: OSError | None = None
        ready = self._ready(await self._unless_stopped(self.look()))
        for look, wrong in list(self._stuck.values()):
            try:
                await self._put_away(look, wrong)
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

    def _ready(self, seen: Iterable[Look]) -> list[Look]:
        now, looks = clock.monotonic(), {}
        for found in seen:
            before = self._looks.get(found.name)
            looks[found.name] = before if before == found else dataclasses.replace(found, since=now)
        self._stuck = {name: kept for name, kept in self._stuck.items() if looks.get(name) == kept[0]}
        self._kept = {name: kept for name, kept in self._kept.items() if looks.get(name) == kept}
        ready = [look for look in looks.values() if self._is_ready(look, now)]
        self._looks = looks
        oldest = self.config.order == "mtime"
        return sorted(ready, key=lambda look: (look.mtime if oldest else 0, look.name))

    def _is_ready(self, look: Look, now: float) -> bool:
        if look.name in self._stuck or look.name in self._kept:
            return False
        same = self.whole or look is self._looks.get(look.name)  # it looked the same before
        return same and now - look.since >= self.config.stable_for / 1000

    async def _take(self, look: Look) -> None:
        name = file_name.shown(look.name)
        if self.keeps and await self.inbox.seen(look.digest):
            self._kept[look.name] = look
            return
        reason, body = await self._unless_stopped(self.read(look))
        if body is None:
            return  # it changed while it was read: not complete yet
        # an oversized file is not hashed: its time stands for its content
        content = look.mtime if reason else await asyncio.to_thread(_hash, body)
        identity = f"{name}|{look.size}|{content}"
        attributes = {"file_name": name, "identity": identity, **({"digest": look.digest} if self.keeps else {})}
        failed = bool(reason)
        if await self.inbox.seen(identity):
            log.info("file seen before", place=self.config.url, content=content)
        elif reason:
            await asyncio.shield(self.inbox.reject(body, reason, attributes))
        else:
            receipt = await asyncio.shield(self.inbox.receive(body, attributes))
            failed = receipt.disposition is Disposition.ERROR
        if self.keeps:
            self._kept[look.name] = look
        else:
            await self._put_away(look, failed)

    async def _put_away(self, look: Look, failed: bool) -> None:
        self._stuck[look.name] = look, failed
        await self.put_away(look, failed)
        del self._stuck[look.name]

    async def _unless_stopped(self, work: Awaitable[T]) -> T:
        """What nobody is promised yet is not waited for once this stops."""
        task, stopped = asyncio.ensure_future(work), asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait([task, stopped], return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            raise _Stopped
        finally:
            for one in (task, stopped):
                one.cancel()
            await asyncio.gather(task, stopped, return_exceptions=True)


def _hash(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
