"""External connections: where data goes and comes from, what of it and why, and when last (ledger S0-06)."""

from __future__ import annotations

import datetime

from hilum.exporting.connected import ConnectionView, connected
from hilum.exporting.definition import Asked, Definition
from hilum.exporting.means import Means, Watch
from hilum.formats.report.document import Column, Figure, Kind, Row, Section, Table, Tone

_OLD = ("TLSv1", "TLSv1.1", "SSLv3")
_TLS = dict.fromkeys(_OLD, Tone.BAD) | {"TLSv1.2": Tone.GOOD, "TLSv1.3": Tone.GOOD}
_PLACE = (
    Column("integration", "Integration"), Column("endpoint", "Endpoint"), Column("direction", "Direction"),
    Column("scheme", "Scheme"), Column("host", "Host", width=2), Column("port", "Port"),
    Column("data_categories", "Data categories", width=2), Column("legal_basis", "Legal basis", width=2),
)  # fmt: skip
_USE = (
    Column("integration", "Integration"), Column("endpoint", "Endpoint"),
    Column("status", "Status"), Column("study", "Study"), Column("provider", "Provider"),
    Column("last_test", "Last test (UTC)", Kind.TIME),
    Column("last_test_succeeded", "Result", tones={"succeeded": Tone.GOOD, "failed": Tone.BAD}),
    Column("last_sync", "Last sync (UTC)", Kind.TIME), Column("last_access", "Last access (UTC)", Kind.TIME),
    Column("tls_version", "TLS seen", tones=_TLS), Column("tls_seen_at", "TLS seen at (UTC)", Kind.TIME),
)  # fmt: skip


async def build(means: Means, asked: Asked, watch: Watch) -> tuple[Section, ...]:
    """Raises NotFound, StoreError."""
    await means.flush()
    _, found = await connected(means.store, asked.scope)
    untested = sum(one.last_test is None for one in found)
    broken = sum(one.last_test_succeeded is False for one in found)
    unsaid = sum(not one.data_categories or not one.legal_basis for one in found)
    figures = (
        Figure("Endpoints", len(found)),
        Figure("Hosts", len({one.host for one in found if one.host is not None and one.direction == "outbound"}),
               hint="that the hub connects to"),
        Figure("Never tested", untested, tone=Tone.WARN if untested else Tone.NEUTRAL),
        Figure("Last test failed", broken, tone=Tone.BAD if broken else Tone.NEUTRAL),
        Figure("Without data categories or legal basis", unsaid, tone=Tone.WARN if unsaid else Tone.NEUTRAL),
    )  # fmt: skip
    text = (
        "Every endpoint that is configured; archived integrations are not in it. The host of what is outbound is where "
        "the hub connects to, of what is inbound where it listens. A reference such as ${secret:host} stands as it was "
        "written."
    )
    used = (
        "Last access is the newest message received, delivery that was sent, or request. The TLS version is what the "
        "newest test or request negotiated that was encrypted."
    )
    return (
        Section(
            "Where data goes and comes from", text, figures,
            tables=(Table("Connections", _PLACE, [_place(one) for one in found], empty="There is none."),),
        ),
        Section(
            "How they are used", used,
            tables=(Table("Use", _USE, [_use(one) for one in found], empty="There is none."),),
        ),
    )  # fmt: skip


def _place(one: ConnectionView) -> Row:
    port = None if one.port is None else str(one.port)  # no amount: its digits are not grouped
    return (
        one.integration, one.endpoint, one.direction, one.scheme, one.host, port,
        ", ".join(one.data_categories) or None, ", ".join(one.legal_basis) or None,
    )  # fmt: skip


def _use(one: ConnectionView) -> Row:
    tested = {True: "succeeded", False: "failed", None: None}[one.last_test_succeeded]
    return (
        one.integration, one.endpoint, one.status, one.study, one.provider or None, _moment(one.last_test), tested,
        _moment(one.last_sync), _moment(one.last_access), one.tls_version, _moment(one.tls_seen_at),
    )  # fmt: skip


def _moment(text: str | None) -> datetime.datetime | None:
    return None if text is None else datetime.datetime.fromisoformat(text)


REPORT = Definition(
    "connections", "External connections",
    "Every connection: host, data categories, legal basis, last test, last access and the TLS version seen.",
    frozenset({"connections:read"}), build, days=0,
)  # fmt: skip
