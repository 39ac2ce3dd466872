"""What came in, what became of it, and what waits for its destination."""

from __future__ import annotations

from collections import Counter

from hilum.exporting import counting
from hilum.exporting.counting import Ends, Traffic, named, seconds
from hilum.exporting.definition import Asked, Definition
from hilum.exporting.means import Means, Watch
from hilum.exporting.shapes import dispositions, states
from hilum.formats.report.document import Column, Figure, Kind, Row, Section, Table, Tone
from hilum.model.delivery import DeliveryState
from hilum.model.message import Disposition
from hilum.store import Connection, deliveries

_MOST = 25  # rows that a page has room for


async def build(means: Means, asked: Asked, watch: Watch) -> tuple[Section, ...]:
    """Raises StoreError, Conflict where nobody wants it any more."""
    within = await counting.ends(means, asked.scope)
    came = await counting.traffic(means, asked, within, watch)
    outbound = [number for number, one in within.items() if one.direction == "outbound" and one.serves]
    lanes = await means.store.within(asked.scope.organization).load(_lanes, outbound)
    return (
        Section("Traffic", figures=_figures(came), charts=(dispositions(asked, came), states(asked, came))),
        Section(
            "Endpoints", tables=(_received(came, within), _waiting(asked, lanes, within)),
            text="What waits is what waited when this was made, whenever it was received.",
        ),
    )  # fmt: skip


Lane = tuple[int, int, int, int | None]
"""Delivered, failed, waiting, and when what waits longest was received."""


def _lanes(connection: Connection, destinations: list[int]) -> dict[int, Lane]:
    """By destination, from the first message on."""
    standing, found = deliveries.standing(connection), {}
    for one in destinations:
        watermark, delivered, failed = standing.get(one, (0, 0, 0))
        waiting = deliveries.waiting(connection, one, watermark)[0]
        parked = sum(deliveries.parked_lanes(connection, one).values())
        found[one] = (delivered, failed, waiting + parked, deliveries.oldest(connection, one, watermark))
    return found


def _figures(came: Traffic) -> tuple[Figure, ...]:
    by, ways = Counter[Disposition](), Counter[DeliveryState]()
    for (_, disposition, _), many in came.received.items():
        by[disposition] += many
    for (_, state, _), many in came.sent.items():
        ways[state] += many
    bad = {Disposition.ERROR: Tone.BAD, Disposition.UNROUTED: Tone.WARN, Disposition.REVIEW: Tone.WARN}
    lost = ways[DeliveryState.DEAD] + ways[DeliveryState.EXPIRED]
    return (
        Figure("Messages", by.total()),
        *(
            Figure(one.name.capitalize(), by[one], tone=bad.get(one, Tone.NEUTRAL) if by[one] else Tone.NEUTRAL)
            for one in Disposition
        ),
        Figure("Deliveries", ways.total()), Figure("Delivered", ways[DeliveryState.DELIVERED]),
        Figure("On their way", ways[DeliveryState.PENDING]),
        Figure("Dead or expired", lost, tone=Tone.BAD if lost else Tone.NEUTRAL),
    )  # fmt: skip


def _received(came: Traffic, within: Ends) -> Table:
    columns = (
        Column("integration", "Integration"), Column("endpoint", "Endpoint"),
        Column("messages", "Messages", Kind.NUMBER),
        Column("errors", "With errors", Kind.NUMBER), Column("unrouted", "Unrouted", Kind.NUMBER),
    )  # fmt: skip
    counts: dict[int, Counter[Disposition]] = {}
    for (end, disposition, _), many in came.received.items():
        counts.setdefault(end, Counter())[disposition] += many
    ordered = sorted(counts.items(), key=lambda item: (-item[1].total(), named(within.get(item[0]))))
    rows: list[Row] = [
        (*named(within.get(end)), one.total(), one[Disposition.ERROR], one[Disposition.UNROUTED])
        for end, one in ordered[:_MOST]
    ]
    note = f"The {_MOST} with the most messages, of {len(ordered):,}." if len(ordered) > _MOST else ""
    return Table("Received", columns, rows, note)


def _waiting(asked: Asked, lanes: dict[int, Lane], within: Ends) -> Table:
    columns = (
        Column("integration", "Integration"), Column("endpoint", "Endpoint"), Column("waiting", "Waiting", Kind.NUMBER),
        Column("oldest", "The oldest for", Kind.DURATION), Column("delivered", "Delivered ever", Kind.NUMBER),
        Column("failed", "Failed ever", Kind.NUMBER),
    )  # fmt: skip
    ordered = sorted(lanes.items(), key=lambda item: (-item[1][2], named(within.get(item[0]))))
    rows: list[Row] = []
    for end, (delivered, failed, waiting, oldest) in ordered[:_MOST]:
        age = None if oldest is None else seconds(max(asked.export.created_at - oldest, 0))
        rows.append((*named(within.get(end)), waiting, age, delivered, failed))
    note = f"The {_MOST} for which the most waits, of {len(ordered):,}." if len(ordered) > _MOST else ""
    return Table("Destinations", columns, rows, note, "There is no destination.")


DASHBOARD = Definition(
    "message-traffic", "Message traffic", "Messages and deliveries over time, and what waits for its destination.",
    frozenset({"messages:read", "lanes:read"}), build,
)  # fmt: skip
