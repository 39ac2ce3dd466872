"""What an export about a person looks like: one JSON document, or a zip of CSV tables (RFC 4180, UTF-8).

A format names the parts that it is written in, one after the other; for each one `begin`, then `add` with some records
at a time, and `end` once at last. Messages, deliveries and attempts are made of whole messages with their deliveries.

A cell that a spreadsheet would take for a formula has an apostrophe in front; JSON has every value as it is.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any, Protocol

from hilum.formats import csv_table

MESSAGES, DELIVERIES, ATTEMPTS, EVENTS = "messages", "deliveries", "attempts", "audit_events"
EXECUTIONS = "executions"
Record = Mapping[str, Any]


class SubjectExport(Protocol):
    """Writes into a stream that is never sought in."""

    parts: tuple[str, ...]

    def begin(self, part: str) -> None: ...

    def add(self, records: Sequence[Record]) -> None: ...

    def end(self) -> None:
        """Also where something failed before."""


class JsonExport:
    """{…head, "messages": [{…, "deliveries": [{…, "attempts": […]}]}], "executions": […], "audit_events": […]}"""

    parts: tuple[str, ...] = (MESSAGES, EXECUTIONS, EVENTS)

    def __init__(self, stream: IO[bytes], head: Record) -> None:
        self._stream, self._open, self._first = stream, False, True
        self._write(json.dumps(head, ensure_ascii=False, indent=1).removesuffix("\n}"))

    def begin(self, part: str) -> None:
        self._write(f"{']' if self._open else ''},\n{json.dumps(part)}: [")
        self._open = self._first = True

    def add(self, records: Sequence[Record]) -> None:
        for one in records:
            self._write(("\n" if self._first else ",\n") + json.dumps(one, ensure_ascii=False))
            self._first = False

    def end(self) -> None:
        self._write("]\n}\n")

    def _write(self, text: str) -> None:
        self._stream.write(text.encode("utf-8", "replace"))


_MESSAGE = (
    "id", "received_at", "endpoint", "type", "control_id", "disposition", "ack", "origin", "note", "attributes",
    "sha256", "archive", "problem", "body", "body_base64",
)  # fmt: skip
_DELIVERY = (
    "number", "destination", "route", "state", "attempts", "done_at", "detail", "body", "body_base64",
)  # fmt: skip
_ATTEMPT = ("number", "started_at", "milliseconds", "outcome", "detail")
_EXECUTION = (
    "id", "started_at", "ended_at", "endpoint", "status", "status_code", "correlation_id", "request", "response",
    "error",
)  # fmt: skip
_EVENT = ("id", "time", "action", "entity", "outcome", "actor", "reason", "document")
_COLUMNS: dict[str, tuple[str, ...]] = {
    MESSAGES: _MESSAGE,
    DELIVERIES: ("message", *_DELIVERY),
    ATTEMPTS: ("message", "delivery", *_ATTEMPT),
    EXECUTIONS: _EXECUTION,
    EVENTS: _EVENT,
}


class CsvExport:
    """about.csv, messages.csv, deliveries.csv, attempts.csv, executions.csv and audit_events.csv in a zip."""

    parts: tuple[str, ...] = (MESSAGES, DELIVERIES, ATTEMPTS, EXECUTIONS, EVENTS)

    def __init__(self, stream: IO[bytes], head: Record) -> None:
        self._zip = zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=6)
        self._file: IO[bytes] | None = None
        self._part = ""
        self._open("about")
        self._rows([("name", "value"), *head.items()])

    def begin(self, part: str) -> None:
        self._open(part)
        self._part = part
        self._rows([_COLUMNS[part]])

    def add(self, records: Sequence[Record]) -> None:
        for one in records:
            self._rows([row.get(name) for name in _COLUMNS[self._part]] for row in _table(self._part, one))

    def end(self) -> None:
        try:
            self._close()
        finally:
            self._zip.close()

    def _open(self, name: str) -> None:
        self._close()
        self._file = self._zip.open(f"{name}.csv", "w", force_zip64=True)

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _rows(self, rows: Any) -> None:
        assert self._file is not None  # noqa: S101 - begun before
        self._file.write(csv_table.lines(rows))


def _table(part: str, one: Record) -> Iterator[Record]:
    """The rows that a record has in a part."""
    if part in (MESSAGES, EXECUTIONS):
        yield one
    elif part == EVENTS:
        yield {**one, "actor": one["actor"]["name"] or one["actor"]["id"], "document": dict(one)}
    for delivery in one.get("deliveries", ()) if part in (DELIVERIES, ATTEMPTS) else ():
        if part == DELIVERIES:
            yield {**delivery, "message": one["id"], "attempts": len(delivery["attempts"])}
        else:
            for attempt in delivery["attempts"]:
                yield {**attempt, "message": one["id"], "delivery": delivery["number"]}


FORMATS: dict[str, type[JsonExport] | type[CsvExport]] = {"json": JsonExport, "csv": CsvExport}
SUFFIXES = {"json": ".json", "csv": ".zip"}
