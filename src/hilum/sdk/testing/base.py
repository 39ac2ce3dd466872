"""What the connector suites share: the hooks that name the connector, and bounded waiting."""

# ruff: noqa: S101 - a suite asserts; pytest words its asserts

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib.util
import os
import stat
import warnings
from collections.abc import AsyncIterator, Awaitable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, Literal, Protocol, TypeVar

import pytest

from hilum.sdk.config import Config, read
from hilum.sdk.contracts import Connector, Dialer
from hilum.sdk.testing.fakes import DirectDialer, free_port

T = TypeVar("T")

Mood = Literal["takes", "refuses", "busy", "silent"]
"""How a partner behaves: takes what comes, refuses it for good, asks to come later, or never answers."""


class Partner(Protocol):
    """A system at the other end, played by the test."""

    @property
    def received(self) -> Sequence[bytes]:
        """The bodies it took, in order."""
        ...


class Suite:
    """Every suite runs on the loop that serves, whatever the test session's default is."""

    pytestmark = pytest.mark.anyio

    @pytest.fixture
    def anyio_backend(self) -> tuple[str, dict[str, Any]]:
        return "asyncio", {"use_uvloop": importlib.util.find_spec("uvloop") is not None}


class ConnectorSuite(Suite):
    """Hooks that Source, Destination and Probe suites share. `place` is an address: a port, a folder …"""

    module: ClassVar[ModuleType]  # the connector's file
    patience: ClassVar[float] = 10.0  # seconds after which something that should happen has failed to
    quiet: ClassVar[float] = 0.25  # seconds in which something that must not happen would have happened

    def address(self, folder: Path) -> Any:
        """An address that nobody uses yet, by default a free port; `folder` is the test's own."""
        return free_port()

    def values(self, place: Any) -> dict[str, Any]:
        """The Config's values for that address; short time-outs make the suite quick."""
        raise NotImplementedError

    def partner(self, place: Any, mood: Mood) -> AbstractAsyncContextManager[Partner] | None:
        """Play a partner at that address. None where the protocol has no such mood; `takes` is needed."""
        raise NotImplementedError

    def dialer(self, place: Any) -> Dialer:
        return DirectDialer(place.parent) if isinstance(place, Path) else DirectDialer()

    @pytest.fixture
    def place(self, tmp_path: Path) -> Any:
        return self.address(tmp_path)

    @property
    def connector(self) -> Connector:
        found = self.module.__dict__.get("connector")
        assert isinstance(found, Connector), f"{self.module.__name__} declares no `connector`"
        return found

    def config(self, place: Any, **changes: Any) -> Config:
        known = self.connector.config.model_fields
        changes = {key: value for key, value in changes.items() if key in known}
        return read(self.connector.config, self.values(place) | changes, "")


def begin(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """A task whose failure is asked for later, or not at all where the check fails before."""
    task = asyncio.get_running_loop().create_task(work)
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    return task


async def within(seconds: float, awaitable: Awaitable[T]) -> T:
    """Its result. Raises TimeoutError after `seconds`."""
    async with asyncio.timeout(seconds):
        return await awaitable


def same(found: Sequence[bytes], wanted: Sequence[bytes]) -> None:
    """These bodies in this order. Of a plain comparison pytest makes a diff under CI: minutes for a large body."""
    for number, (one, other) in enumerate(zip(found, wanted, strict=False)):
        if one != other:
            differ = next((at for at, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), len(one))
            raise AssertionError(
                f"body {number} has {len(one)} bytes, not {len(other)}, or others from byte {differ}: "
                f"{one[differ : differ + 40]!r} instead of {other[differ : differ + 40]!r}"
            )
    if len(found) != len(wanted):
        raise AssertionError(f"{len(found)} bodies arrived, not {len(wanted)}")


@contextlib.asynccontextmanager
async def leaving_nothing() -> AsyncIterator[None]:
    """What runs inside leaves no task, no socket and no ResourceWarning behind; they get a second to end."""
    gc.collect()
    tasks, sockets = asyncio.all_tasks(), _sockets()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ResourceWarning)
        yield
        gc.collect()
        for _ in range(100):
            if asyncio.all_tasks() <= tasks and _sockets() <= sockets:
                break
            await asyncio.sleep(0.01)
        gc.collect()
    left = asyncio.all_tasks() - tasks
    assert not left, f"tasks were left behind: {left}"
    assert _sockets() <= sockets, "a socket was left open"
    unclosed = [str(item.message) for item in caught if issubclass(item.category, ResourceWarning)]
    assert not unclosed, f"something was dropped instead of closed: {unclosed}"


def _sockets() -> set[int]:
    """The inodes of the sockets that this process has open."""
    found = set()
    for name in os.listdir("/dev/fd"):  # noqa: PTH208 - names are all that is wanted
        with contextlib.suppress(OSError):  # the descriptor of the listing itself is gone by now
            status = os.fstat(int(name))
            if stat.S_ISSOCK(status.st_mode):
                found.add(status.st_ino)
    return found
