"""How the integrations stand, and what was asked of them (ledger S4-24)."""

from __future__ import annotations

from collections import Counter

from hilum.exporting import counting
from hilum.exporting.counting import Ends, Requests, named, rate, seconds
from hilum.exporting.definition import Asked, Definition
from hilum.exporting.means import Means, Watch
from hilum.exporting.shapes import outcomes, tone
from hilum.formats.report.document import Chart, ChartKind, Column, Figure, Kind, Row, Section, Series, Table, Tone
from hilum.model.lifecycle import Health, Lifecycle
from hilum.store import analytics
from hilum.store.analytics import Count, Over, Standing

_MOST = 20  # endpoints that a page has room for


async def build(means: Means, asked: Asked, watch: Watch) -> tuple[Section, ...]:
    """Raises StoreError."""
    own = means.store.within(asked.scope.organization)
    standing = await own.load(analytics.standing, asked.scope)
    asked_for = await counting.requests(means, asked)
    faults = await own.load(analytics.faults, Over(asked.scope, asked.since, asked.until))
    within = await counting.ends(means, asked.scope)
    classes = Counter[str]()
    for _, fault, many in faults:
        classes[fault or "unknown"] += many
    names = [name for name, _ in classes.most_common(10)]
    failures = Chart(
        ChartKind.BAR, "Failures by class", names, (Series("failures", [classes[one] for one in names]),), "failures",
        empty="Nothing failed in this period.",
    )  # fmt: skip
    return (
        _standing(standing),
        Section("Requests", figures=_requests(asked_for), charts=(outcomes(asked, asked_for), failures)),
        Section("Endpoints", tables=(_table(asked_for, within),)),
    )


def _standing(found: list[Standing]) -> Section:
    by_status, by_health, by_type = Counter[str](), Counter[str](), Counter[str]()
    for one in found:
        by_status[one.lifecycle] += one.count
        by_health[one.health] += one.count
        by_type[one.type] += one.count
    error, unhealthy = by_status[Lifecycle.ERROR], by_health[Health.UNHEALTHY]
    types = sorted(by_type)
    kinds = Chart(
        ChartKind.BAR, "By type", types, (Series("integrations", [by_type[one] for one in types]),), "integrations",
        empty="There is no integration.",
    )  # fmt: skip
    return Section(
        "How they stand", "When this was made. Archived integrations are not in it.",
        figures=(
            Figure("Integrations", by_status.total()), Figure("Active", by_status[Lifecycle.ACTIVE]),
            Figure("Inactive", by_status[Lifecycle.INACTIVE]),
            Figure("Testing", by_status[Lifecycle.TESTING] + by_status[Lifecycle.INITIALIZING]),
            Figure("Error", error, tone=Tone.BAD if error else Tone.NEUTRAL),
            Figure("Healthy", by_health[Health.HEALTHY], tone=Tone.GOOD if by_health[Health.HEALTHY] else Tone.NEUTRAL),
            Figure("Degraded", by_health[Health.DEGRADED],
                   tone=Tone.WARN if by_health[Health.DEGRADED] else Tone.NEUTRAL),
            Figure("Unhealthy", unhealthy, tone=Tone.BAD if unhealthy else Tone.NEUTRAL),
            Figure("Health unknown", by_health[Health.UNKNOWN]),
        ),
        charts=(kinds,),
    )  # fmt: skip


def _requests(asked_for: Requests) -> tuple[Figure, ...]:
    whole, share = asked_for.whole, rate(asked_for.whole)
    return (
        Figure("Requests", whole.total),
        Figure("Failed", whole.failed, tone=Tone.BAD if whole.failed else Tone.NEUTRAL),
        Figure("Success rate", share, Kind.PERCENT, tone=tone(share)),
        Figure("Median", seconds(asked_for.ranks.get(0.5)), Kind.DURATION),
        Figure("95 % took at most", seconds(asked_for.ranks.get(0.95)), Kind.DURATION),
    )  # fmt: skip


def _table(asked_for: Requests, within: Ends) -> Table:
    """Those that failed most often, then those that were asked most often."""
    columns = (
        Column("integration", "Integration"), Column("endpoint", "Endpoint"),
        Column("requests", "Requests", Kind.NUMBER), Column("failed", "Failed", Kind.NUMBER),
        Column("rate", "Success rate", Kind.PERCENT),
        Column("p95", "95 % took at most", Kind.DURATION),
    )  # fmt: skip

    def first(item: tuple[int, Count]) -> tuple[int, int, tuple[str, str]]:
        return -item[1].failed, -item[1].total, named(within.get(item[0]))

    rows: list[Row] = [
        (
            *named(within.get(end)), one.total, one.failed, rate(one),
            seconds(asked_for.ranks_by_end.get(end, {}).get(0.95)),
        )
        for end, one in sorted(asked_for.by_end.items(), key=first)
    ]  # fmt: skip
    note = f"{_MOST} of {len(rows):,}: those that failed most often." if len(rows) > _MOST else ""
    return Table("Requests by endpoint", columns, rows[:_MOST], note)


DASHBOARD = Definition(
    "integrations", "Integrations", "How all integrations stand, and requests to partners with rates and times.",
    frozenset({"integrations:read", "executions:read"}), build,
)  # fmt: skip
