"""The suites are worth what they catch: every check fails for a plug-in that breaks what it checks."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import importlib
import importlib.util
import sys
import types
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field

from hilum.errors import ConfigError, Refused, StoreError
from hilum.model.message import Ack, Disposition
from hilum.sdk import config, testing
from hilum.sdk.contracts import Connector, Outbound, ProbeResult, Receipt, Result, Step, StepContext, Work
from hilum.sdk.outcome import Ambiguous, Delivered, Outcome, Permanent, Transient
from hilum.sdk.scaffold import new_connector

pytestmark = pytest.mark.anyio

CAUGHT = (AssertionError, TimeoutError, OSError, RuntimeError, StoreError, Refused, pytest.fail.Exception)
RECEIPT = Receipt("0192", Ack.AA, Disposition.DELIVERING)

Fault = Callable[["Good"], type[Any]]


@dataclasses.dataclass
class Good:
    """A connector that keeps its contract, and its test file: what `new_connector` writes."""

    module: Any
    tests: Any
    leftovers: list[Callable[[], object]] = dataclasses.field(default_factory=list)

    def suite(self, part: str, faulty: type[Any]) -> Any:
        """The suite of that part, over the same connector with one part replaced."""
        module = types.ModuleType("faulty")
        module.__dict__["connector"] = dataclasses.replace(self.module.connector, **{part: faulty})
        base = {"source": "TestSource", "destination": "TestDestination", "probe": "TestProbe"}[part]
        names = {"module": module, "patience": 1.0, "quiet": 0.1}
        return type("Faulty", (getattr(self.tests, base),), names)()


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Any]]:
    root = tmp_path_factory.mktemp("plugin")
    _, test = new_connector("pigeon", root)
    sys.path.insert(0, str(root))
    try:
        module = importlib.import_module("connectors.pigeon")
        spec = importlib.util.spec_from_file_location("pigeon_tests", test)
        assert spec
        assert spec.loader
        tests = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(tests)
        yield module, tests
    finally:
        sys.path.remove(str(root))
        for name in [name for name in sys.modules if name.partition(".")[0] == "connectors"]:
            del sys.modules[name]


@pytest.fixture
def good(written: tuple[Any, Any]) -> Good:
    return Good(*written)


@contextlib.asynccontextmanager
async def caught(good: Good) -> AsyncIterator[None]:
    """The check inside fails; whatever the faulty plug-in left behind is cleaned away."""
    tasks = asyncio.all_tasks()
    try:
        with pytest.raises(CAUGHT):
            yield
    finally:
        for clean in good.leftovers:
            clean()
        left = asyncio.all_tasks() - tasks
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await asyncio.sleep(0.02)


def by_inbox(receive: Callable[[Any, bytes], Any]) -> Fault:
    """A source at fault in what it does with the inbox."""

    class Between:
        def __init__(self, inbox: Any) -> None:
            self.inbox = inbox

        def receive(self, body: bytes, attributes: Any = None) -> Any:
            return receive(self.inbox, body)

    def fault(good: Good) -> type[Any]:
        class Faulty(good.module.Source):  # type: ignore[misc, name-defined]  # a class made at run time
            def __init__(self, config: Any, inbox: Any, dialer: Any) -> None:
                super().__init__(config, Between(inbox), dialer)

        return Faulty

    return fault


def by_method(part: str, **methods: Any) -> Fault:
    """A part at fault in these methods, which are given the good class as `good`."""

    def fault(good: Good) -> type[Any]:
        base = getattr(good.module, part)
        return type("Faulty", (base,), {"base": base, "leftovers": good.leftovers, **methods})

    return fault


# Sources at fault


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


SOURCES: dict[str, tuple[str, Fault]] = {
    "cuts bodies": (
        "bodies_arrive_unchanged_and_in_order",
        by_inbox(lambda inbox, body: inbox.receive(body[:-1])),
    ),
    "answers early": ("nothing_is_acknowledged_before_the_commit", by_inbox(_early)),
    "forgets failures": (
        "what_was_not_stored_is_not_acknowledged",
        by_inbox(lambda inbox, body: asyncio.ensure_future(_never_mind(inbox, body))),
    ),
    "gives up": ("a_message_in_error_does_not_stop_the_next", by_method("Source", _accept=_give_up)),
    "does not pause": ("a_pause_holds_and_a_resume_goes_on", by_method("Source", pause=lambda self: None)),
    "hangs up instead of pausing": ("a_pause_holds_and_a_resume_goes_on", by_method("Source", pause=_hang_up)),
    "does not resume": ("a_pause_holds_and_a_resume_goes_on", by_method("Source", resume=lambda self: None)),
    "hides a taken port": ("an_address_in_use_raises_and_works_later", by_method("Source", start=_start_anyway)),
    "does not stop": ("a_stopped_source_takes_nothing_and_starts_again", by_method("Source", stop=_stop_late)),
    "stops at once": ("stop_answers_what_was_taken", by_method("Source", stop=_stop_at_once)),
    "leaves a task": ("stop_leaves_nothing_behind", by_method("Source", stop=_stop_with_a_task)),
    "leaves a socket": ("stop_leaves_nothing_behind", by_method("Source", stop=_stop_with_a_socket)),
}


@pytest.mark.parametrize("fault", SOURCES)
async def test_a_source_at_fault_is_caught(good: Good, tmp_path: Path, fault: str) -> None:
    check, faulty = SOURCES[fault]
    suite = good.suite("source", faulty(good))
    async with caught(good):
        await getattr(suite, f"test_{check}")(suite.address(tmp_path))


def test_every_check_of_a_source_is_proven() -> None:
    assert checks(testing.SourceSuite) == {check for check, _ in SOURCES.values()}


# Destinations at fault


def instead(change: Callable[[Any, Outcome, Outbound], Any]) -> Fault:
    """A destination that reports another outcome."""

    async def send(self: Any, outbound: Outbound) -> Outcome:
        return change(self, await self.base.send(self, outbound), outbound)  # type: ignore[no-any-return]  # any

    return by_method("Destination", send=send)


async def _cut(self: Any, outbound: Outbound) -> Outcome:
    return await self.base.send(self, dataclasses.replace(outbound, body=outbound.body[:-1]))  # type: ignore[no-any-return]


async def _number(self: Any, outbound: Outbound) -> Outcome:
    self.count = getattr(self, "count", 0) + 1
    body = outbound.body + b"%d" % self.count
    return await self.base.send(self, dataclasses.replace(outbound, body=body))  # type: ignore[no-any-return]


async def _raise(self: Any, outbound: Outbound) -> Outcome:
    outcome = await self.base.send(self, outbound)
    if isinstance(outcome, Transient):
        raise ConnectionError("unreachable")
    return outcome  # type: ignore[no-any-return]


async def _go_past_the_dialer(self: Any, *_: Any) -> Any:
    return await asyncio.open_connection(*self.config.address)


async def _sulk(self: Any, outbound: Outbound) -> Outcome:
    if not getattr(self, "failed", None):
        outcome = await self.base.send(self, outbound)
        self.failed = isinstance(outcome, Transient)
        return outcome  # type: ignore[no-any-return]
    return Transient("still unreachable")


async def _keep(self: Any) -> Any:
    """Connects once and never again, whatever becomes of the connection."""
    if not hasattr(self, "kept"):
        self.kept = await self.base._connect(self)
        self.leftovers.append(self.kept[1].close)
    return self.kept


async def _hold(self: Any) -> Any:
    _, writer = await self.base._connect(self)
    self.leftovers.append(writer.close)
    return await self.base._connect(self)


async def _ignore_cancelling(self: Any, outbound: Outbound) -> Outcome:
    try:
        return await self.base.send(self, outbound)  # type: ignore[no-any-return]
    except asyncio.CancelledError:
        return Ambiguous("cancelled")


async def _send_in_a_task(self: Any, outbound: Outbound) -> Outcome:
    self.left = asyncio.create_task(self.base.send(self, outbound))
    return await asyncio.shield(self.left)


async def _close_once(self: Any) -> None:
    if hasattr(self, "closed"):
        raise OSError("closed already")
    self.closed = True


async def _wait_for_ever(self: Any, outbound: Outbound) -> Outcome:
    outcome = await self.base.send(self, outbound)
    if isinstance(outcome, Transient):
        await asyncio.sleep(100)
    return outcome  # type: ignore[no-any-return]


OUT_OF_REACH = "a_partner_out_of_reach_is_transient_and_uses_no_retry"
UNCHANGED = "bodies_are_sent_unchanged_and_in_order"
DESTINATIONS: dict[str, tuple[str, Fault]] = {
    "cuts bodies": (UNCHANGED, by_method("Destination", send=_cut)),
    "tells the payload": (UNCHANGED, instead(lambda _, __, out: Delivered(out.body.decode("latin-1")))),
    "is no outcome": (UNCHANGED, instead(lambda *_: True)),
    "raises": (OUT_OF_REACH, by_method("Destination", send=_raise)),
    "uses a retry": (OUT_OF_REACH, instead(lambda *_: Transient("x", answered=True))),
    "says nothing": (OUT_OF_REACH, instead(lambda *_: Transient(""))),
    "waits for ever": (OUT_OF_REACH, by_method("Destination", send=_wait_for_ever)),
    "goes past the dialer": (
        "what_policy_forbids_is_not_sent",
        by_method("Destination", _connect=_go_past_the_dialer),
    ),
    "sulks": ("it_recovers_once_the_partner_is_there", by_method("Destination", send=_sulk)),
    "keeps a dead connection": ("it_survives_a_partner_that_restarts", by_method("Destination", _connect=_keep)),
    "changes what it repeats": (
        "the_same_delivery_sent_twice_is_the_same_bytes",
        by_method("Destination", send=_number),
    ),
    "repeats a refusal": ("a_refusal_is_permanent", instead(lambda *_: Transient("x", answered=True))),
    "holds for a busy partner": ("a_busy_partner_has_answered", instead(lambda *_: Transient("x"))),
    "is sure of silence": ("silence_after_the_send_is_ambiguous", instead(lambda *_: Permanent("x"))),
    "cannot be cancelled": (
        "a_cancelled_send_leaves_nothing_behind",
        by_method("Destination", send=_ignore_cancelling),
    ),
    "leaves a task": ("a_cancelled_send_leaves_nothing_behind", by_method("Destination", send=_send_in_a_task)),
    "leaves a connection": (
        "close_leaves_nothing_behind_and_may_come_twice",
        by_method("Destination", _connect=_hold),
    ),
    "closes once": ("close_leaves_nothing_behind_and_may_come_twice", by_method("Destination", close=_close_once)),
}


@pytest.mark.parametrize("fault", DESTINATIONS)
async def test_a_destination_at_fault_is_caught(good: Good, tmp_path: Path, fault: str) -> None:
    check, faulty = DESTINATIONS[fault]
    suite = good.suite("destination", faulty(good))
    async with caught(good):
        await getattr(suite, f"test_{check}")(suite.address(tmp_path))


def test_every_check_of_a_destination_is_proven() -> None:
    assert checks(testing.DestinationSuite) == {check for check, _ in DESTINATIONS.values()}


# Probes at fault


async def _send_a_message(self: Any) -> ProbeResult:
    _, writer = await asyncio.open_connection(*self.config.address)
    writer.write(b"\0\0\0\1x")
    await writer.drain()
    writer.close()
    return ProbeResult(True, 1.0)


async def _always(self: Any) -> ProbeResult:
    return ProbeResult(True, 1.0)


async def _no_advice(self: Any) -> ProbeResult:
    return ProbeResult(False, 1.0, "no")


async def _stay(self: Any) -> ProbeResult:
    transport, _ = await self.dialer.connect(asyncio.Protocol, *self.config.address)
    self.leftovers.append(transport.abort)
    return ProbeResult(True, 1.0)


PROBES: dict[str, tuple[str, Fault]] = {
    "sends a message": ("a_partner_is_found_and_sent_nothing", by_method("Probe", probe=_send_a_message)),
    "finds everything": ("a_partner_out_of_reach_is_a_result", by_method("Probe", probe=_always)),
    "has no advice": ("a_partner_out_of_reach_is_a_result", by_method("Probe", probe=_no_advice)),
    "raises": ("what_policy_forbids_is_a_result", by_method("Probe", probe=_stay)),
    "stays connected": ("a_probe_leaves_nothing_behind", by_method("Probe", probe=_stay)),
}


@pytest.mark.parametrize("fault", PROBES)
async def test_a_probe_at_fault_is_caught(good: Good, tmp_path: Path, fault: str) -> None:
    check, faulty = PROBES[fault]
    suite = good.suite("probe", faulty(good))
    async with caught(good):
        await getattr(suite, f"test_{check}")(suite.address(tmp_path))


def test_every_check_of_a_probe_is_proven() -> None:
    assert checks(testing.ProbeSuite) == {check for check, _ in PROBES.values()}


# Configs at fault


class Described(config.Config):
    url: str = Field(..., description="Where.")


class Bare(config.Config):
    url: str


class Inner(config.Config):
    bare: int = 1


class Nested(config.Config):
    url: str = Field(..., description="Where.")
    inner: list[Inner] = Field([], description="More.")


class Loose(Described):
    model_config = ConfigDict(extra="ignore")


class Thawed(Described):
    model_config = ConfigDict(frozen=False)


class Shown(Described):
    token: str = Field("", description="A secret.")


class Taken(Described):
    retries: int = Field(3, description="Not ours to say.")


class Odd(Described):
    value: Callable[[], int] | None = Field(None, description="What no schema knows.")


DOCUMENT = "What it is.\n\nAnd why."

CONFIGS: dict[str, tuple[str, type[BaseModel], str]] = {
    "no docstring": ("the_module_says_in_one_line_what_it_is", Described, ""),
    "no sentence": ("the_module_says_in_one_line_what_it_is", Described, "What it is"),
    "no first line": ("the_module_says_in_one_line_what_it_is", Described, "What it is.\nAnd why."),
    "refuses its example": ("the_example_is_accepted", Nested, DOCUMENT),
    "bare field": ("every_field_is_described", Bare, DOCUMENT),
    "bare field inside": ("every_field_is_described", Nested, DOCUMENT),
    "unknown keys": ("an_unknown_key_is_refused_by_name", Loose, DOCUMENT),
    "not frozen": ("it_is_frozen", Thawed, DOCUMENT),
    "no schema": ("its_schema_renders", Odd, DOCUMENT),
    "open schema": ("its_schema_renders", Loose, DOCUMENT),
    "secret shown": ("secrets_are_not_shown", Shown, DOCUMENT),
    "key of the endpoint": ("a_connector_takes_no_key_of_the_endpoint", Taken, DOCUMENT),
}


@pytest.mark.parametrize("fault", CONFIGS)
def test_a_config_at_fault_is_caught(fault: str) -> None:
    check, faulty, document = CONFIGS[fault]

    def suite(kind: type[BaseModel], text: str) -> testing.ConfigSuite:
        module = types.ModuleType("faulty", text)
        module.__dict__["connector"] = Connector(("x",), kind)  # type: ignore[arg-type]  # one of them is none
        example = {"url": "x", **({"inner": 7} if "example" in fault and kind is faulty else {})}
        return type("Faulty", (testing.ConfigSuite,), {"module": module, "example": example})()  # type: ignore[no-any-return]

    getattr(suite(Described, DOCUMENT), f"test_{check}")()
    with pytest.raises((*CAUGHT, ConfigError)):
        getattr(suite(faulty, document), f"test_{check}")()


def test_every_check_of_a_config_is_proven() -> None:
    assert checks(testing.ConfigSuite) == {check for check, _, _ in CONFIGS.values()}


# Steps at fault


class Upper(Step["Upper.Config"]):
    """A step that keeps its contract."""

    class Config(config.Config):
        suffix: str = Field("", description="What is appended.")

    def __init__(self, config: Any, context: StepContext) -> None:
        super().__init__(config, context)
        if config.suffix == "wrong":
            raise ConfigError("no suffix", where=f"{context.where}.suffix")

    def run(self, work: Work) -> Result:
        work.replace(work.body.upper() + self.config.suffix.encode())
        return work


class Remembering(Upper):
    seen = 0

    def run(self, work: Work) -> Result:
        self.seen += 1
        work.replace(b"%d" % self.seen)
        return work


class Breaking(Upper):
    def run(self, work: Work) -> Result:
        if not work.body.startswith(b"MSH|"):
            raise KeyError("MSH")
        return work


class Silent(Upper):
    def run(self, work: Work) -> Any:
        return None


class Nowhere(Upper):
    def __init__(self, config: Any, context: StepContext) -> None:
        super().__init__(config, StepContext("UTC", "", context.read))


class Lenient(Upper):
    def __init__(self, config: Any, context: StepContext) -> None:
        Step.__init__(self, config, context)


class Wrong(Upper):
    def examples(self) -> list[str]:
        return ["example 1: expected A, got B"]


STEPS: dict[str, tuple[str, type[Step[Any]]]] = {
    "no result": ("every_message_gets_a_result", Silent),
    "remembers": ("the_same_message_gives_the_same_result", Remembering),
    "breaks": ("garbage_is_a_fault_of_the_message", Breaking),
    "wrong place": ("a_wrong_configuration_names_its_place", Nowhere),
    "lenient": ("a_wrong_configuration_names_its_place", Lenient),
    "examples fail": ("stored_examples_hold", Wrong),
}


def step_suite(step: type[Step[Any]]) -> testing.StepSuite:
    module = types.ModuleType("steps", DOCUMENT)
    module.__dict__["step"] = step
    names = {"module": module, "accepted": [{"suffix": "x"}], "refused": [{"suffix": "wrong"}]}
    return type("Faulty", (testing.StepSuite,), names)()  # type: ignore[no-any-return]


@pytest.mark.parametrize("fault", STEPS)
def test_a_step_at_fault_is_caught(fault: str) -> None:
    check, faulty = STEPS[fault]
    with pytest.raises((*CAUGHT, KeyError)):
        getattr(step_suite(faulty), f"test_{check}")()


def test_a_step_that_keeps_its_contract_passes() -> None:
    for check in checks(testing.StepSuite):
        getattr(step_suite(Upper), f"test_{check}")()


def test_every_check_of_a_step_is_proven() -> None:
    assert checks(testing.StepSuite) == {check for check, _ in STEPS.values()}


def test_suites_are_collected_through_their_subclasses_only() -> None:
    assert [name for name in testing.__all__ if name.startswith("Test")] == []


# Fakes


async def test_the_inbox_fails_holds_and_knows_what_it_has_seen() -> None:
    inbox = testing.MemoryInbox()
    inbox.fail()
    with pytest.raises(StoreError):
        await inbox.receive(b"one", {"identity": "a"})
    assert not await inbox.seen("a")
    inbox.hold()
    held = inbox.receive(b"one", {"identity": "a"})
    assert (inbox.bodies, held.done(), len(inbox.offered)) == ([], False, 2)
    inbox.release()
    assert (await held).code is Ack.AA
    assert await inbox.seen("a")
    assert (await inbox.reject(b"two", "too large")).disposition is Disposition.ERROR
    assert inbox.bodies == [b"one"]
    with pytest.raises(TimeoutError):
        await inbox.until(4, seconds=0.01)


async def test_the_dialer_allows_its_roots_only(tmp_path: Path) -> None:
    dialer = testing.DirectDialer(tmp_path / "a")
    assert dialer.directory(str(tmp_path / "a" / "b" / "..")) == tmp_path / "a"
    for outside in (tmp_path, tmp_path / "a" / "..", tmp_path / "ab"):
        with pytest.raises(Refused):
            dialer.directory(str(outside))


async def test_a_refusing_dialer_refuses_everything(tmp_path: Path) -> None:
    dialer = testing.RefusingDialer(tmp_path)
    with pytest.raises(Refused):
        await dialer.connect(asyncio.Protocol, "127.0.0.1", 1)
    with pytest.raises(Refused):
        dialer.directory(str(tmp_path))
    with pytest.raises(Refused):
        await dialer.transport().handle_async_request(None)


def checks(suite: type[Any]) -> set[str]:
    return {name.removeprefix("test_") for name in dir(suite) if name.startswith("test_")}
