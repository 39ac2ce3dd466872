"""The audit trail of a time, event by event, with its place and hash in the chain."""

from __future__ import annotations

import datetime
from collections import Counter

from hilum.exporting import trails
from hilum.exporting.definition import Asked, Definition
from hilum.exporting.means import Means, Watch
from hilum.formats.report.document import Column, Figure, Kind, Row, Section, Table, Tone

_COLUMNS = (
    Column("position", "Place", Kind.NUMBER), Column("time", "Time (UTC)", Kind.TIME), Column("actor", "Who", width=2),
    Column("action", "Action"), Column("entity", "Entity", width=2),
    Column("outcome", "Outcome", tones={"denied": Tone.BAD, "failure": Tone.WARN}),
    Column("reason", "Reason", width=2), Column("sha256", "Hash in the chain", width=2),
)  # fmt: skip


async def build(means: Means, asked: Asked, watch: Watch) -> tuple[Section, ...]:
    """Raises ConfigError where there are more than 50,000 events, StoreError, Conflict (nobody wants it any more)."""
    rows: list[Row] = []
    outcomes, people = Counter[str](), set[str]()
    async for one in trails.events(means, asked, watch):
        event = one.document
        who = event["actor"]["name"] or event["actor"]["id"]
        outcomes[event["outcome"]] += 1
        people.add(event["actor"]["id"])
        rows.append((
            one.position, datetime.datetime.fromisoformat(event["time"]), who, event["action"], event["entity"] or None,
            event["outcome"], event.get("reason"), None if one.hash is None else one.hash.hex(),
        ))  # fmt: skip
    denied, failed = outcomes["denied"], outcomes["failure"]
    figures = (
        Figure("Events", len(rows)), Figure("Who acted", len(people), hint="people, keys and the hub"),
        Figure("Denied", denied, tone=Tone.WARN if denied else Tone.NEUTRAL),
        Figure("Failed", failed, tone=Tone.WARN if failed else Tone.NEUTRAL),
    )  # fmt: skip
    text = (
        "Every event of the period, the oldest first. An event's hash is made of the one before it and of its own "
        "text, so that none can be changed, removed or put in unseen; checkpoints of the chain are signed and lie "
        "outside of the database. What the reason is empty of, was done without one.\n\n"
        "An event without a place was not sealed yet when this report was made, which takes a second. "
        "“hilum audit verify” checks the chain; an export of the records “audit” has the events with all that they say."
    )
    return (Section("Events", text, figures, tables=(Table("Events in the order of their time", _COLUMNS, rows),)),)


REPORT = Definition(
    "audit-trail", "Audit trail", "Who did what, when, with what outcome and why, with its place in the sealed chain.",
    frozenset({"audit:read"}), build, by_study=False,
)  # fmt: skip
