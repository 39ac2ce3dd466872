"""Makes the files of a report or a dashboard: what it says is how things stand while it is made."""

from __future__ import annotations

import asyncio
import datetime

import hilum
from hilum import clock
from hilum.exporting.dashboards import DASHBOARDS
from hilum.exporting.data import Written
from hilum.exporting.definition import Asked, Definition
from hilum.exporting.means import Means, Watch
from hilum.exporting.parts import ZIP, Parts
from hilum.exporting.rendering import rendered
from hilum.exporting.requests import pages_of
from hilum.formats.report import render
from hilum.formats.report.document import Form, Report, Section, Signature
from hilum.formats.report.pages import Paper
from hilum.model.access import Scope
from hilum.store import Connection, organizations, signatures, studies
from hilum.store.exports import Export

_SIGNATURES = 100  # that have room
_NOTE = "It tells how things stood when it was made, which is at the time of its creation or soon after."
_OF_TIME = "What came, was sent and was done in the period is counted; how it stands is as of when this was made."


async def make(means: Means, one: Export, parts: Parts, watch: Watch) -> Written:
    """Raises NotFound, ConfigError, DataError, StoreError, OSError, Conflict where nobody wants it any more."""
    asked = _asked(one)
    kind = pages_of(one.definition["source"])
    sections = await kind.build(means, asked, watch)
    report = await _report(means, asked, kind, sections)
    paper = Paper[one.definition["options"].get("paper", "a4").upper()]
    rows = sum(len(table.rows) for section in sections for table in section.tables)
    watch.check()
    await asyncio.to_thread(_write, report, one.definition["format"], paper, parts, watch)
    several = one.definition["format"] == "csv"
    media = ZIP if several else render.MEDIA_TYPES[one.definition["format"]]
    return Written(rows=rows, media_type=media, packed=several)


def _write(report: Report, format: str, paper: Paper, parts: Parts, watch: Watch) -> None:
    """On a thread."""
    for name, pieces in rendered(report, format, paper):
        with parts.open(name) as stream:
            for piece in pieces:
                watch.check()
                stream.write(piece)


def _asked(one: Export) -> Asked:
    source = one.definition["source"]
    within = source.get("studies")
    scope = Scope(one.organization, None if within is None else frozenset(within))
    return Asked(one, scope, *(_micros(source.get(name)) for name in ("since", "until")))


async def _report(means: Means, asked: Asked, kind: Definition, sections: tuple[Section, ...]) -> Report:
    one, own = asked.export, means.store.within(asked.scope.organization)
    home = await own.read(organizations.get, one.organization)
    period = (clock.from_micros(asked.since), clock.from_micros(asked.until)) if asked.until else None
    return Report(
        id=str(one.uuid), title=kind.title, organization=home.title or home.name, asked_by=one.asked_name,
        created=clock.from_micros(one.created_at), generator=f"Hilum {hilum.__version__}", sections=sections,
        subtitle=await own.read(_whose, asked.scope), period=period, purpose=one.definition["purpose"],
        note=f"{_NOTE} {_OF_TIME}" if period else _NOTE, signatures=await own.read(_signed, one),
        form=Form.BOARD if kind.name in DASHBOARDS and DASHBOARDS[kind.name] is kind else Form.PAGES,
    )  # fmt: skip


def _whose(connection: Connection, scope: Scope) -> str:
    if scope.studies is None:
        return ""
    names = studies.names(connection, scope.organization)
    told = ", ".join(sorted(names.get(one, str(one)) for one in scope.studies))
    return f"Of {'study' if len(scope.studies) == 1 else 'the studies'} {told} alone"


def _signed(connection: Connection, one: Export) -> tuple[Signature, ...]:
    """Who signed for the export itself, the first one first."""
    found, _ = signatures.newest(connection, Scope(one.organization), one.entity, 0, _SIGNATURES)
    return tuple(
        Signature(
            str((each.document.get("signer") or {}).get("name", "")), clock.from_micros(each.stamp),
            str(each.document.get("meaning", "")),
        )
        for each in reversed(found)
    )  # fmt: skip


def _micros(text: str | None) -> int:
    return 0 if text is None else round(datetime.datetime.fromisoformat(text).timestamp() * 1_000_000)
