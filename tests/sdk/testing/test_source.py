from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hilum.errors import StoreError
from hilum.model.message import Ack, Disposition
from hilum.sdk import testing
from hilum.sdk.contracts import Receipt

pytestmark = pytest.mark.anyio

RECEIPT = Receipt("0192", Ack.AA, Disposition.DELIVERING)


def by_inbox(receive: Callable[[Any, bytes], Any]) -> dict[str, Any]:
    """At fault in what it does with the inbox."""

    class Between:
        def __init__(self, inbox: Any) -> None:
            self.inbox = inbox

        def receive(self, body: bytes, attributes: Any = None) -> Any:
            return receive(self.inbox, body)

    def __init__(self: Any, config: Any, inbox: Any, dialer: Any) -> None:
        self.base.__init__(self, config, Between(inbox), dialer)

    return {"__init__": __init__}


def _early(inbox: Any, body: bytes) -> Any:
    inbox.receive(body).add_done_callback(lambda future: future.exception())
    return _done()


def _done() -> asyncio.Future[Receipt]:
    future: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
    future.set_result(RECEIPT)
    return future


async def _never_mind(inbox: Any, body: bytes) -> Receipt:
    try:
        return await inbox.receive(body)  # type: ignore[no-any-return]  # a fake
    except StoreError:
        return RECEIPT


def _give_up(self: Any, reader: Any, writer: Any) -> None:
    """Serves until the inbox refuses a message, then no more."""
    if getattr(self, "broken", False):
        writer.close()
        return
    inbox = self.inbox

    class Watching:
        async def receive(_, body: bytes) -> Receipt:
            receipt = await inbox.receive(body)
            self.broken = not receipt.code.positive
            return receipt  # type: ignore[no-any-return]  # a fake

    self.inbox = Watching()
    self.base._accept(self, reader, writer)


async def _start_anyway(self: Any) -> None:
    with contextlib.suppress(OSError):
        await self.base.start(self)


async def _stop_late(self: Any) -> None:
    if self._server:
        self.leftovers.append(self._server.close)


async def _stop_at_once(self: Any) -> None:
    for task in self._busy:
        self._busy[task] = False
    await self.base.stop(self)


async def _stop_with_a_task(self: Any) -> None:
    await self.base.stop(self)
    self.left = asyncio.create_task(asyncio.sleep(100))


async def _stop_with_a_socket(self: Any) -> None:
    await self.base.stop(self)
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    self.leftovers.append(server.close)


def _hang_up(self: Any) -> None:
    self.base.pause(self)
    self._server.close()


SOURCES: dict[str, tuple[str, dict[str, Any]]] = {
    "cuts bodies": (
        "bodies_arrive_unchanged_and_in_order",
        by_inbox(lambda inbox, body: inbox.receive(body[:-1])),
    ),
    "answers early": ("nothing_is_acknowledged_before_the_commit", by_inbox(_early)),
    "forgets failures": (
        "what_was_not_stored_is_not_acknowledged",
        by_inbox(lambda inbox, body: asyncio.ensure_future(_never_mind(inbox, body))),
    ),
    "gives up": ("a_message_in_error_does_not_stop_the_next", {"_accept": _give_up}),
    "does not pause": ("a_pause_holds_and_a_resume_goes_on", {"pause": lambda self: None}),
    "hangs up instead of pausing": ("a_pause_holds_and_a_resume_goes_on", {"pause": _hang_up}),
    "does not resume": ("a_pause_holds_and_a_resume_goes_on", {"resume": lambda self: None}),
    "hides a taken port": ("an_address_in_use_raises_and_works_later", {"start": _start_anyway}),
    "does not stop": ("a_stopped_source_takes_nothing_and_starts_again", {"stop": _stop_late}),
    "stops at once": ("stop_answers_what_was_taken", {"stop": _stop_at_once}),
    "leaves a task": ("stop_leaves_nothing_behind", {"stop": _stop_with_a_task}),
    "leaves a socket": ("stop_leaves_nothing_behind", {"stop": _stop_with_a_socket}),
}


@pytest.mark.parametrize("fault", SOURCES)
async def test_a_source_at_fault_is_caught(good: Any, tmp_path: Path, fault: str) -> None:
    check, methods = SOURCES[fault]
    suite = good.suite("Source", methods)
    async with good.caught():
        await getattr(suite, f"test_{check}")(suite.address(tmp_path))


def test_every_check_of_a_source_is_proven() -> None:
    assert checks(testing.SourceSuite) == {check for check, _ in SOURCES.values()}


def checks(suite: type[Any]) -> set[str]:
    return {name.removeprefix("test_") for name in dir(suite) if name.startswith("test_")}
