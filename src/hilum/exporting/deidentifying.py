"""Takes out of a table who somebody is, before anything of it is written.

The rows are read twice: once to see what their values look like, by which the plan is made, and once to change them.
What the hub's own records hold of patients, such as bodies of messages, is no column of one meaning: it is taken apart
as what it is, a message, a document or text.
"""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Callable, Iterator

import pyarrow as pa

from hilum import clock
from hilum.errors import FormatError
from hilum.exporting.means import Means, Watch
from hilum.exporting.tables import Opened
from hilum.formats.deidentify import Action, Deidentifier, Kind, Profile, tables
from hilum.formats.hl7v2 import Message
from hilum.model.export import Deidentify
from hilum.store.exports import Export
from hilum.store.listings import LISTINGS

_BASE64 = "body_base64"  # of the records `messages`: bodies that are no UTF-8


class Deidentified(Opened):
    """A table of which nobody is told. `told` says what became of each variable."""

    def __init__(self, table: Opened, profile: Profile, private: frozenset[str], watch: Watch) -> None:
        self._table, self._profile, self._watch = table, profile, watch
        self._inside = Inside(profile, private)
        self._observed = tables.observe(table.dataset, profile)
        for batch in self._looked_at():
            self._observed.see(batch)
        plan = self._plan()
        self.dataset, self.rows = plan.dataset, table.rows
        self.told = {"label": plan.label, "rules": [str(one) for one in plan.rules]}

    def batches(self, names: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
        plan = self._plan()  # one counts the rows that it is given
        for batch in self._looked_at():
            yield plan.apply(batch).select(list(names))

    def _plan(self) -> tables.Plan:
        return tables.plan(self._table.dataset, self._profile, self._observed, self._inside.codes)

    def _looked_at(self) -> Iterator[pa.RecordBatch]:
        for batch in self._table.batches(self._table.dataset.names):
            self._watch.check()
            yield self._inside.taken_apart(batch)


class Inside:
    """What is in columns of records: messages, documents, text."""

    def __init__(self, profile: Profile, private: frozenset[str]) -> None:
        self._deidentifier = Deidentifier(profile)
        self._private = private
        self.codes = self._deidentifier.codes

    def taken_apart(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The batch, in its private columns what may leave."""
        for place, name in enumerate(batch.schema.names):
            if name in self._private:
                leave = self._bytes if name == _BASE64 else self._deidentifier.text
                told = [None if text is None else leave(text) for text in batch.column(place).to_pylist()]
                batch = batch.set_column(place, batch.schema.field(place), pa.array(told, pa.string()))
        return batch

    def _bytes(self, text: str) -> str | None:
        """A body that is no UTF-8, as the message that it is; else it is left out: nobody can tell what is in it."""
        try:
            message = Message.parse(base64.b64decode(text))
            return base64.b64encode(bytes(self._deidentifier.message(message))).decode()
        except (FormatError, ValueError):
            return None


Change = Callable[[Opened, Watch], Deidentified]


def maker(means: Means, one: Export) -> Change | None:
    """How its table is to be changed; None: not at all. What it gives is for a thread."""
    if one.definition.get("deidentify") is None:
        return None
    wanted = Deidentify.model_validate(one.definition["deidentify"])
    listing = LISTINGS.get(one.definition["source"].get("records", ""))
    private = frozenset(each.name for each in listing.private) if listing else frozenset()
    columns = {name: Action(action) for name, action in wanted.columns.items()}
    columns |= {name: Action.KEEP for name in private if name not in columns}
    project = f"{one.organization}|{one.study}".encode()
    profile = Profile(
        kind=Kind(wanted.profile), on=clock.from_micros(one.created_at).date(), export=str(one.uuid),
        key=means.store.hash.digest("deidentify", project), subject=wanted.subject or "", columns=columns,
    )  # fmt: skip

    def made(table: Opened, watch: Watch) -> Deidentified:
        known = {name: action for name, action in profile.columns.items() if name in table.dataset.names}
        if listing is not None:
            return Deidentified(table, dataclasses.replace(profile, columns=known), private, watch)
        return Deidentified(table, profile, private, watch)

    return made
