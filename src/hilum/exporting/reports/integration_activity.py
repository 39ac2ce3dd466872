"""What came in and went out: messages by disposition, deliveries by state, requests with their rates and times."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from hilum.exporting import counting
from hilum.exporting.counting import Ends, Requests, Traffic, named, rate, seconds
from hilum.exporting.definition import Asked, Definition
from hilum.exporting.means import Means, Watch
from hilum.exporting.shapes import delivered, dispositions, outcomes, states, tone
from hilum.formats.report.document import Column, Figure, Kind, Row, Section, Table, Tone
from hilum.model.delivery import DeliveryState
from hilum.model.message import Disposition
from hilum.store import analytics
from hilum.store.analytics import Over

_END = (Column("integration", "Integration"), Column("endpoint", "Endpoint"))
_UNKNOWN = "unknown"


async def build(means: Means, asked: Asked, watch: Watch) -> tuple[Section, ...]:
    """Raises StoreError, Conflict where nobody wants it any more."""
    within = await counting.ends(means, asked.scope)
    came = await counting.traffic(means, asked, within, watch)
    asked_for = await counting.requests(means, asked)
    own = means.store.within(asked.scope.organization)
    faults = await own.load(analytics.faults, Over(asked.scope, asked.since, asked.until))
    return (
        _overview(asked, came, asked_for),
        Section(
            "Messages received", "A message is counted once, at the endpoint that received it, by what its route "
            "decided; messages of tests (MSH-11) are in it.", tables=(_received(came, within),),
        ),
        Section(
            "Deliveries", "The ways of these messages to their destinations, by how each stands now.",
            tables=(_sent(came, within),),
        ),
        Section(
            "Requests to partners", "What was asked of endpoints through the API, those of tests left out. The rate is "
            "of what ended; the times have all attempts in them, and the pauses between.",
            tables=(_requests(asked_for, within), _faults(faults, within)),
        ),
    )  # fmt: skip


def _overview(asked: Asked, came: Traffic, asked_for: Requests) -> Section:
    states_of = Counter[DeliveryState]()
    for (_, state, _), many in came.sent.items():
        states_of[state] += many
    errors = sum(many for (_, one, _), many in came.received.items() if one is Disposition.ERROR)
    lost = sum(states_of[one] for one in (DeliveryState.DEAD, DeliveryState.EXPIRED))
    share = rate(asked_for.whole)
    return Section(
        "Overview",
        figures=(
            Figure("Messages received", came.received.total()),
            Figure("Received with errors", errors, tone=Tone.BAD if errors else Tone.NEUTRAL),
            Figure("Deliveries", came.sent.total()),
            Figure("Delivered", states_of[DeliveryState.DELIVERED], hint=delivered(states_of)),
            Figure("Dead or expired", lost, tone=Tone.BAD if lost else Tone.NEUTRAL),
            Figure("Requests", asked_for.whole.total, hint=f"{asked_for.whole.failed:,} failed"),
            Figure("Requests that succeeded", share, Kind.PERCENT, tone=tone(share)),
            Figure("95 % took at most", seconds(asked_for.ranks.get(0.95)), Kind.DURATION),
        ),
        charts=(dispositions(asked, came), states(asked, came), outcomes(asked, asked_for)),
    )


def _received(came: Traffic, within: Ends) -> Table:
    columns = [Column(one.name.lower(), one.name.capitalize(), Kind.NUMBER) for one in Disposition]
    counts: dict[int, Counter[Disposition]] = {}
    for (end, disposition, _), many in came.received.items():
        counts.setdefault(end, Counter())[disposition] += many
    rows: list[Row] = [
        (*named(within.get(end)), count.total(), *(count[one] for one in Disposition)) for end, count in counts.items()
    ]
    return Table("Messages by endpoint", (*_END, Column("messages", "Messages", Kind.NUMBER), *columns), _sorted(rows))


def _sent(came: Traffic, within: Ends) -> Table:
    columns = [Column(one.name.lower(), one.name.capitalize(), Kind.NUMBER) for one in DeliveryState]
    counts: dict[int, Counter[DeliveryState]] = {}
    for (end, state, _), many in came.sent.items():
        counts.setdefault(end, Counter())[state] += many
    rows: list[Row] = [
        (*named(within.get(end)), count.total(), *(count[one] for one in DeliveryState))
        for end, count in counts.items()
    ]
    head = (*_END, Column("deliveries", "Deliveries", Kind.NUMBER))
    return Table("Deliveries by destination", (*head, *columns), _sorted(rows))


def _requests(asked_for: Requests, within: Ends) -> Table:
    columns = (
        *_END, Column("requests", "Ended", Kind.NUMBER), Column("completed", "Succeeded", Kind.NUMBER),
        Column("failed", "Failed", Kind.NUMBER), Column("cancelled", "Cancelled", Kind.NUMBER),
        Column("executing", "At work", Kind.NUMBER), Column("rate", "Success rate", Kind.PERCENT),
        Column("p50", "Median", Kind.DURATION), Column("p95", "95 %", Kind.DURATION),
    )  # fmt: skip
    rows = []
    for end, one in asked_for.by_end.items():
        ranks = asked_for.ranks_by_end.get(end, {})
        rows.append((
            *named(within.get(end)), one.total, one.completed, one.failed, one.cancelled, one.executing, rate(one),
            seconds(ranks.get(0.5)), seconds(ranks.get(0.95)),
        ))  # fmt: skip
    return Table("Requests by endpoint", columns, _sorted(rows))


def _faults(found: Iterable[tuple[int, str | None, int]], within: Ends) -> Table:
    columns = (*_END, Column("class", "Class of the failure"), Column("failures", "Failures", Kind.NUMBER))
    rows = [(*named(within.get(end)), fault or _UNKNOWN, many) for end, fault, many in found]
    return Table("Failures by class", columns, rows, empty="Nothing failed in this period.")


def _sorted(rows: Iterable[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (str(row[0]), str(row[1])))


REPORT = Definition(
    "integration-activity", "Integration activity",
    "Messages, deliveries and requests of every integration and endpoint, with rates, times and failures.",
    frozenset({"messages:read", "executions:read"}), build,
)  # fmt: skip
