"""Charts and marks that several reports and dashboards have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from hilum.exporting.counting import Requests, Traffic
from hilum.exporting.definition import Asked
from hilum.formats.report.document import Chart, ChartKind, Series, Tone
from hilum.model.delivery import DeliveryState
from hilum.model.execution import FAILURES, ExecutionState
from hilum.model.message import Disposition

_GOOD, _WARN = 0.999, 0.99


def tone(share: float | None) -> Tone:
    """How good a share of successes is."""
    if share is None:
        return Tone.NEUTRAL
    return Tone.GOOD if share >= _GOOD else Tone.WARN if share >= _WARN else Tone.BAD


def delivered(states: Mapping[DeliveryState, int]) -> str:
    """What is still on its way."""
    waiting = states.get(DeliveryState.PENDING, 0)
    return f"{waiting:,} on their way" if waiting else ""


def dispositions(asked: Asked, came: Traffic) -> Chart:
    """Messages over time."""
    counts: dict[Disposition, Counter[int]] = {one: Counter() for one in Disposition}
    for (_, disposition, began), many in came.received.items():
        counts[disposition][began] += many
    return stacked(asked, "Messages", "messages", {one.name.lower(): count for one, count in counts.items()})


def states(asked: Asked, came: Traffic) -> Chart:
    """Deliveries over time."""
    counts: dict[DeliveryState, Counter[int]] = {one: Counter() for one in DeliveryState}
    for (_, state, began), many in came.sent.items():
        counts[state][began] += many
    found = {one.name.lower(): count for one, count in counts.items()}
    return stacked(asked, "Deliveries", "deliveries", found, "By when their message was received.")


def outcomes(asked: Asked, asked_for: Requests) -> Chart:
    """Requests over time."""
    done, failed = Counter[int](), Counter[int]()
    for (status, began), many in asked_for.over_time.items():
        if status is ExecutionState.COMPLETED:
            done[began] += many
        elif status in FAILURES:
            failed[began] += many
    return stacked(asked, "Requests", "requests", {"succeeded": done, "failed": failed})


def stacked(asked: Asked, what: str, unit: str, counts: Mapping[str, Counter[int]], note: str = "") -> Chart:
    """By hour or day; what there was none of is left out."""
    series = [
        Series(name, [count[one] for one in asked.parts]) for name, count in counts.items() if count.total()
    ]  # fmt: skip
    title = f"{what} by {asked.unit}"
    return Chart(ChartKind.STACKED, title, asked.labels if series else (), tuple(series), unit, note=note)
