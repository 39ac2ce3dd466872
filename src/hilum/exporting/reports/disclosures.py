"""Accounting of disclosures (45 CFR 164.528): what left by exports, when, to whom, what for, and what it was."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Mapping
from typing import Any

from hilum.errors import NotFound
from hilum.exporting import trails
from hilum.exporting.definition import Asked, Definition
from hilum.exporting.means import Means, Watch
from hilum.formats.report.document import Column, Figure, Kind, Row, Section, Table
from hilum.model.identifier import parse
from hilum.store import export_counts, exports
from hilum.store.exports import Export

DOWNLOAD, LINK = "export.download", "export.fetch"
_HOW = {DOWNLOAD: "download", LINK: "link"}
_COLUMNS = (
    Column("time", "Date (UTC)", Kind.TIME), Column("receiver", "Who received it", width=2),
    Column("country", "Country"), Column("how", "How"), Column("what", "What", width=2),
    Column("purpose", "Purpose", width=2), Column("rows", "Rows", Kind.NUMBER), Column("bytes", "Size", Kind.BYTES),
    Column("sha256", "SHA-256 of the file", width=2), Column("export", "Export", width=2),
)  # fmt: skip
_YEARS = 6  # 45 CFR 164.528(a)(1)


async def build(means: Means, asked: Asked, watch: Watch) -> tuple[Section, ...]:
    """Raises ConfigError where there are too many, StoreError, Conflict (nobody wants it any more)."""
    known: dict[uuid.UUID, Export | None] = {}
    rows: list[Row] = []
    async for event in trails.events(means, asked, watch, DOWNLOAD, LINK):
        document = event.document
        if document["outcome"] == "success":
            rows.append(_fetched(document, await _export(means, asked, document["entity"], known)))
    own = means.store.within(asked.scope.organization)
    for one in await own.load(export_counts.placed, asked.scope.organization, asked.since, asked.until):
        placed = one.facts["placed"]
        at = datetime.datetime.fromisoformat(placed["at"])
        if asked.since <= round(at.timestamp() * 1_000_000) < asked.until:
            receiver = _receiver(one.definition) or placed["endpoint"]
            rows.append(_row(at, receiver, f"sent to {placed['endpoint']}", one, {}))
    rows.sort(key=lambda row: (row[0], str(row[-1])))
    figures = (
        Figure("Disclosures", len(rows)), Figure("Receivers", len({row[1] for row in rows})),
        Figure("Files", len({row[-1] for row in rows})),
    )  # fmt: skip
    text = (
        "Every time that the file of an export left: fetched by somebody who signed in, by the holder of a link, or "
        "sent to a destination. Who received it is who was named when the export was asked for; where nobody was, who "
        "fetched it.\n\n"
        "It tells of files. Which persons are in one, its rows say: the SHA-256 tells whether a file is the one that "
        "left. Messages and requests to partners are not in it; the report of connections says where these go."
    )
    return (Section("Accounting of disclosures", text, figures, tables=(Table("Disclosures", _COLUMNS, rows),)),)


async def _export(means: Means, asked: Asked, entity: str, known: dict[uuid.UUID, Export | None]) -> Export | None:
    """The row of an event's export; None where there is none any more."""
    identifier = parse(entity.partition("/")[2])
    if identifier is None:
        return None
    if identifier not in known:
        own = means.store.within(asked.scope.organization)
        try:
            known[identifier] = await own.load(exports.find, asked.scope.organization, identifier)
        except NotFound:
            known[identifier] = None
    return known[identifier]


def _fetched(event: Mapping[str, Any], one: Export | None) -> Row:
    details = event.get("details", {})
    who = event["actor"]["name"] or event["actor"]["id"]
    how = _HOW[event["action"]] + (", a part" if "range" in details else "")
    named = "" if one is None or event["action"] == LINK else _receiver(one.definition)
    receiver = f"{named}, by {who}" if named else who
    return _row(datetime.datetime.fromisoformat(event["time"]), receiver, how, one, details)


def _row(at: datetime.datetime, receiver: str, how: str, one: Export | None, details: Mapping[str, Any]) -> Row:
    """What the event says of the file goes before what the row says now."""
    if one is None:
        return (at, receiver, None, how, None, None, None, details.get("bytes"), details.get("sha256"), None)
    digest = details.get("sha256") or (None if one.sha256 is None else one.sha256.hex())
    country = one.definition.get("receiver", {}).get("country") or None
    return (
        at, receiver, country, how, what(one.definition), one.definition.get("purpose") or None, one.rows,
        details.get("bytes", one.size), digest, str(one.uuid),
    )  # fmt: skip


def _receiver(definition: Mapping[str, Any]) -> str:
    return str(definition.get("receiver", {}).get("name", "")).strip()


def what(definition: Mapping[str, Any]) -> str:
    """What an export is of, in a few words."""
    source, format = definition["source"], definition["format"]
    if "items" in source:
        told = ", ".join(dict.fromkeys(what(one) for one in source["items"]))
        return f"package: {told}"
    if "dataset" in source:
        return f"data set {source['name']}, version {source['version']} ({format})"
    for kind in ("records", "report", "dashboard", "package"):
        if kind in source:
            return f"{kind} {source[kind]} ({format})"
    return str(format)


REPORT = Definition(
    "disclosures", "Accounting of disclosures",
    "Every time that the file of an export left: date, receiver, country, what, purpose, rows, bytes and SHA-256.",
    frozenset({"audit:read"}), build, days=_YEARS * 366, by_study=False,
)  # fmt: skip
