"""How available partners were: checks and tests that succeeded, outages, deliveries and requests, by endpoint."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable

from hilum import clock
from hilum.exporting import counting
from hilum.exporting.counting import Ends, Requests, Traffic, named, rate, seconds
from hilum.exporting.definition import Asked, Definition
from hilum.exporting.means import Means, Watch
from hilum.exporting.shapes import tone
from hilum.formats.report.document import Chart, ChartKind, Column, Figure, Kind, Row, Section, Series, Table
from hilum.model.delivery import DeliveryState
from hilum.store import probe_counts
from hilum.store.analytics import Count
from hilum.store.probe_counts import Turn

_STRIPS = 40  # of a chart
_TARGET = 0.999


@dataclasses.dataclass(slots=True)
class Checks:
    """Of an endpoint: how many succeeded of how many a day, and how long it did not answer at the longest."""

    good: Counter[int] = dataclasses.field(default_factory=Counter)
    all: Counter[int] = dataclasses.field(default_factory=Counter)
    timed: int = 0
    longest: int = 0
    began: int = 0
    slow: int | None = None  # 95 % took at most

    @property
    def share(self) -> float | None:
        return self.good.total() / self.all.total() if self.all else None

    def day(self, one: int) -> float | None:
        return self.good[one] / self.all[one] if self.all[one] else None


async def build(means: Means, asked: Asked, watch: Watch) -> tuple[Section, ...]:
    """Raises StoreError, Conflict where nobody wants it any more."""
    within = await counting.ends(means, asked.scope)
    came = await counting.traffic(means, asked, within, watch)
    asked_for = await counting.requests(means, asked)
    checks = await _checks(means, asked, within)
    used = {*checks, *asked_for.by_end, *(end for end, _, _ in came.sent)}
    used |= {number for number, one in within.items() if one.serves}
    known = sorted(used, key=lambda number: named(within.get(number)))
    good, every = (sum(getattr(one, name).total() for one in checks.values()) for name in ("good", "all"))
    share = good / every if every else None
    kept = sum((one.share or 0) >= _TARGET for one in checks.values())
    longest = max((one.longest for one in checks.values()), default=0)
    figures = (
        Figure("Checks that succeeded", share, Kind.PERCENT, f"of {every:,}", tone(share)),
        Figure("Endpoints at 99.9 % or better", kept, hint=f"of {len(checks):,} that were checked"),
        Figure("Longest outage", seconds(longest) if longest else None, Kind.DURATION,
               "" if longest or not checks else "there was none"),
        Figure("Requests that succeeded", rate(asked_for.whole), Kind.PERCENT, f"of {asked_for.whole.total:,}",
               tone(rate(asked_for.whole))),
    )  # fmt: skip
    text = (
        "Availability is the share of health checks and connectivity tests that succeeded. An outage is from the first "
        "one that failed to the next that succeeded, within the period; one that had not ended lasts until the end of "
        "the period. So it is known as exactly as checks are frequent."
    )
    return (
        Section(
            "Availability", text, figures, _strips(asked, within, checks), (_checked(within, known, checks),)
        ),
        Section(
            "What was sent and asked", "Deliveries are those of messages that were received in the period, as they "
            "stand now; the share is of those that ended. Requests are those of the API without tests.",
            tables=(_used(within, known, came, asked_for),),
        ),
    )  # fmt: skip


async def _checks(means: Means, asked: Asked, within: Ends) -> dict[int, Checks]:
    own = means.store.within(asked.scope.organization)
    time = (asked.scope.organization, asked.since, asked.until)
    found: dict[int, Checks] = {}
    for one in await own.load(probe_counts.days, *time):
        if one.endpoint in within:
            mine = found.setdefault(one.endpoint, Checks())
            mine.all[one.day] += one.many
            mine.good[one.day] += one.many if one.success else 0
            mine.timed += one.timed
    _outages(found, await own.load(probe_counts.turns, *time), asked.until)
    timed = {number: one.timed for number, one in found.items()}
    for number, slow in (await own.load(probe_counts.percentile, *time, 0.95, timed)).items():
        if number in found:
            found[number].slow = slow
    return found


def _outages(checks: dict[int, Checks], turns: Iterable[Turn], until: int) -> None:
    """`until`: when an outage ends of which nobody knows better."""
    for one in turns:
        if (mine := checks.get(one.endpoint)) is None:
            continue
        if not one.success:
            mine.began = one.stamp
        elif mine.began:
            mine.longest, mine.began = max(mine.longest, one.stamp - mine.began), 0
    for mine in checks.values():
        if mine.began:
            mine.longest = max(mine.longest, until - mine.began)


def _strips(asked: Asked, within: Ends, checks: dict[int, Checks]) -> tuple[Chart, ...]:
    """A field a day; the least available endpoints, where there are many."""
    worst = sorted(checks, key=lambda number: (checks[number].share or 0, named(within.get(number))))[:_STRIPS]
    shown = sorted(worst, key=lambda number: named(within.get(number)))
    days = [f"{clock.from_micros(day):%d %b}" for day in asked.days]
    series = tuple(
        Series("/".join(named(within.get(number))), [checks[number].day(day) for day in asked.days]) for number in shown
    )
    note = "A field that is empty had no checks."
    if len(checks) > _STRIPS:
        note += f" The {_STRIPS} endpoints that were the least available; all {len(checks):,} are in the table."
    title = "Share of checks that succeeded, by day (UTC)"
    return (Chart(ChartKind.HEAT, title, days if series else (), series, measure=Kind.PERCENT, note=note),)


def _checked(within: Ends, known: list[int], checks: dict[int, Checks]) -> Table:
    columns = (
        Column("integration", "Integration"), Column("endpoint", "Endpoint"), Column("direction", "Direction"),
        Column("checks", "Checks", Kind.NUMBER), Column("succeeded", "Succeeded", Kind.NUMBER),
        Column("availability", "Availability", Kind.PERCENT), Column("outage", "Longest outage", Kind.DURATION),
        Column("p95", "95 % took at most", Kind.DURATION),
    )  # fmt: skip
    rows: list[Row] = []
    for number in known:
        one, end = checks.get(number, Checks()), within.get(number)
        outage = seconds(one.longest) if one.longest else None
        rows.append((
            *named(end), None if end is None else end.direction, one.all.total(), one.good.total(), one.share, outage,
            seconds(one.slow),
        ))  # fmt: skip
    return Table("Checks and tests by endpoint", columns, rows, empty="There is no endpoint.")


def _used(within: Ends, known: list[int], came: Traffic, asked_for: Requests) -> Table:
    columns = (
        Column("integration", "Integration"), Column("endpoint", "Endpoint"),
        Column("deliveries", "Deliveries ended", Kind.NUMBER), Column("delivered", "Delivered", Kind.PERCENT),
        Column("requests", "Requests ended", Kind.NUMBER), Column("succeeded", "Succeeded", Kind.PERCENT),
        Column("p95", "95 % took at most", Kind.DURATION),
    )  # fmt: skip
    ended, taken = Counter[int](), Counter[int]()
    for (end, state, _), many in came.sent.items():
        ended[end] += many if state.final else 0
        taken[end] += many if state is DeliveryState.DELIVERED else 0
    rows: list[Row] = []
    for number in known:
        count = asked_for.by_end.get(number, Count())
        if not ended[number] and not count.total:
            continue
        slow = asked_for.ranks_by_end.get(number, {}).get(0.95)
        share = taken[number] / ended[number] if ended[number] else None
        rows.append((*named(within.get(number)), ended[number], share, count.total, rate(count), seconds(slow)))
    return Table("Deliveries and requests by endpoint", columns, rows)


REPORT = Definition(
    "availability", "Availability of partners",
    "Share of checks that succeeded, longest outage and times of every endpoint, with its deliveries and requests.",
    frozenset({"integrations:read"}), build,
)  # fmt: skip
