"""docs/state-machine.md says what the code does: every table of it is compared."""

from __future__ import annotations

import dataclasses
import enum
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from hilum import clock
from hilum.errors import Conflict
from hilum.model import lifecycle
from hilum.model.configuration import Breaker as Settings
from hilum.model.delivery import DELIVERY_TRANSITIONS, DeliveryState
from hilum.model.execution import EXECUTION_TRANSITIONS
from hilum.model.export import EXPORT_TRANSITIONS as DATA_EXPORT_TRANSITIONS
from hilum.model.lifecycle import LIFECYCLE_TRANSITIONS, Lifecycle
from hilum.model.message import MESSAGE_TRANSITIONS, Disposition
from hilum.model.status import LaneStatus, SourceStatus
from hilum.outbound.breaker import Breaker
from hilum.store.dataset_imports import IMPORT_TRANSITIONS
from hilum.store.jobs import JOB_TRANSITIONS
from hilum.store.subject_exports import EXPORT_TRANSITIONS

PAGE = Path(__file__).parents[2] / "docs" / "state-machine.md"


def table(heading: str) -> list[dict[str, str]]:
    """The table under a heading, a mapping a row."""
    section = re.search(rf"^## {heading}$(.*?)(?=^## |\Z)", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert section is not None, f"docs/state-machine.md has no section {heading}"
    lines = [line.strip("| ").split("|") for line in section[1].splitlines() if line.startswith("|")]
    header, _, *rows = [[cell.strip(" `") for cell in line] for line in lines]
    return [dict(zip(header, row, strict=True)) for row in rows]


def documented(heading: str) -> dict[str, set[str]]:
    return {
        row["state"]: {one.strip() for one in row["may become"].split(",")} - {"–"} for row in table(heading)
    }  # fmt: skip


def named(transitions: Mapping[enum.IntEnum, frozenset[enum.IntEnum]]) -> dict[str, set[str]]:
    return {before.name.lower(): {one.name.lower() for one in after} for before, after in transitions.items()}


@pytest.mark.parametrize(
    ("heading", "states", "transitions"),
    [("Message", Disposition, MESSAGE_TRANSITIONS), ("Delivery", DeliveryState, DELIVERY_TRANSITIONS)],
)
def test_states_that_are_stored(
    heading: str, states: type[enum.IntEnum], transitions: Mapping[enum.IntEnum, frozenset[enum.IntEnum]]
) -> None:
    assert set(transitions) == set(states)
    assert documented(heading) == named(transitions)
    assert {row["state"]: int(row["code"]) for row in table(heading)} == {one.name.lower(): one.value for one in states}


def test_jobs() -> None:
    assert documented("Job") == {before: set(after) for before, after in JOB_TRANSITIONS.items()}


def test_integrations() -> None:
    assert documented("Integration") == {before: set(after) for before, after in LIFECYCLE_TRANSITIONS.items()}
    for before, after in LIFECYCLE_TRANSITIONS.items():
        for one in set(Lifecycle) - after:
            with pytest.raises(Conflict):
                lifecycle.check(before, one)


def test_executions() -> None:
    assert documented("Execution") == {before: set(after) for before, after in EXECUTION_TRANSITIONS.items()}


def test_exports_about_a_person() -> None:
    assert documented("Export about a person") == {before: set(after) for before, after in EXPORT_TRANSITIONS.items()}


def test_imports_and_exports() -> None:
    assert documented("Import of data sets") == {before: set(after) for before, after in IMPORT_TRANSITIONS.items()}
    assert documented("Export") == {before: set(after) for before, after in DATA_EXPORT_TRANSITIONS.items()}


def test_a_final_delivery_stays_what_it_is_unless_it_was_delivered() -> None:
    for state, after in DELIVERY_TRANSITIONS.items():
        assert bool(after) == (state in {DeliveryState.PENDING, DeliveryState.DELIVERED})
        assert state.final == (state is not DeliveryState.PENDING)


def test_breakers(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(clock, "monotonic", lambda: now)  # the clock is there to be moved

    def later() -> None:
        nonlocal now
        now += 10

    def breaker(state: str) -> Breaker:
        made = Breaker(Settings(failures=2, open_for=5_000))
        if state != "closed":
            made.failure()
            made.failure()
        if state == "half-open":
            later()
        assert made.state == state
        return made

    def fail_twice(one: Breaker) -> None:
        one.failure()
        one.failure()

    events: list[Callable[[Breaker], object]] = [
        Breaker.success, Breaker.failure, Breaker.reset, Breaker.wait, fail_twice, lambda one: later(),
    ]  # fmt: skip
    seen: dict[str, set[str]] = {}
    for state in ("closed", "open", "half-open"):
        for event in events:
            made = breaker(state)
            event(made)
            seen.setdefault(state, set()).add(made.state)
    assert documented("Breaker") == {before: after - {before} for before, after in seen.items()}


def test_lanes() -> None:
    said = re.search(r"States: ([^.]*)\.", LaneStatus.__doc__ or "")
    assert said is not None
    assert {row["state"] for row in table("Lane")} == set(re.sub(r" \([^)]*\)", "", said[1]).split(", "))


def test_sources() -> None:
    fields = {one.name for one in dataclasses.fields(SourceStatus)}
    rows = table("Source")
    assert {name.strip("` ") for name in rows[0]} - {"state", "what ends it"} <= fields
    assert len({(row["running"], row["problem"], row["held"]) for row in rows}) == len(rows)
