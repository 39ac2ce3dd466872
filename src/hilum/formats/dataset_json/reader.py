"""Dataset-JSON read in any of its three forms: json, ndjson, and ndjson compressed (dsjc).

All are an object with the metadata; in json the rows are its last member, otherwise they follow it, one a line. Members
may stand in any order: where rows come before what describes them, the file is gone through twice.
Source: CDISC Dataset-JSON 1.1, "Dataset-JSON as NDJSON", "Compressed Dataset-JSON".
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import pyarrow as pa

from hilum.errors import DataError, FormatError
from hilum.formats.dataset_json import cells, metadata
from hilum.formats.dataset_json.scanner import Scanner, plain

_ROWS = "rows"
_OWN = re.compile(rb'"(?:datasetJSONVersion|datasetJSONCreationDateTime|itemGroupOID)"\s*:')
_LAST = re.compile(rb"(?:\]|\[)\s*\]\s*\}\s*$")  # nothing but rows ends so
_TAIL = 4_096  # bytes
_CELLS = 200_000  # of a batch; more make it slower
_RUNS = 64  # of a batch; each is one row, or rows that have no more characters than a block


def recognises(head: bytes) -> bool:
    """Is this the beginning of Dataset-JSON, rather than of any other JSON? A few thousand bytes will do."""
    text = plain(head).removeprefix(b"\xef\xbb\xbf").lstrip()
    return text.startswith(b"{") and _OWN.search(text) is not None


class Reader:
    """A file, which `source` opens, and opens once more for its rows. Raises FormatError, or OSError."""

    def __init__(self, source: Callable[[], BinaryIO]) -> None:
        self._source = source
        with source() as stream:
            scanner = Scanner(stream)
            words: dict[str, Any] = {}
            scanner.expect("{")
            if _words(scanner, words) and not _ends_with_rows(stream):
                for _ in _counted(scanner.rows(within=True), None):
                    pass
                if scanner.expect(",}") == ",":
                    _words(scanner, words)
        self.dataset, self.records = metadata.read(words)

    def batches(self, schema: pa.Schema, most: int) -> Iterator[pa.RecordBatch]:
        """The rows, at most this many at a time. Raises DataError with row and variable, FormatError, OSError."""
        size = max(1, min(most, _CELLS // len(self.dataset.variables)))
        with self._source() as stream:
            done, waiting, runs = 0, [], 0
            for rows in _counted(self._rows(Scanner(stream)), self.records):
                waiting += rows
                runs += 1
                while len(waiting) >= size or (waiting and runs >= _RUNS):
                    yield cells.batch(waiting[:size], self.dataset, schema, done)
                    done += len(waiting[:size])
                    waiting, runs = waiting[size:], 0
            if waiting:
                yield cells.batch(waiting, self.dataset, schema, done)

    def _rows(self, scanner: Scanner) -> Iterator[list[Any]]:
        words: dict[str, Any] = {}
        scanner.expect("{")
        within = _words(scanner, words)
        yield from scanner.rows(within=within)
        if within and scanner.expect(",}") == ",":
            _words(scanner, words)
        if scanner.peek():
            raise FormatError("there is more behind the end of the data set")


def _words(scanner: Scanner, words: dict[str, Any]) -> bool:
    """Take the members of the object to its end, or to the rows, which then come next: true."""
    while True:
        name = scanner.value()
        if not isinstance(name, str) or name in words:
            raise FormatError("no JSON: a member has no name, or one that was there before")
        scanner.expect(":")
        if name == _ROWS:
            words[name] = None
            return True
        words[name] = scanner.value()
        if scanner.expect(",}") == "}":
            return False


def _ends_with_rows(stream: BinaryIO) -> bool:
    """Are the rows the last member? The place in the stream stays."""
    here = stream.tell()
    stream.seek(max(0, stream.seek(0, os.SEEK_END) - _TAIL))
    tail = stream.read()
    stream.seek(here)
    return _LAST.search(tail) is not None


def _counted(runs: Iterator[list[Any]], records: int | None) -> Iterator[list[Any]]:
    """The same rows. Raises DataError where one is no JSON, and where there are not as many as `records`."""
    count = 0
    try:
        for rows in runs:
            count += len(rows)
            if records is not None and count > records:
                raise DataError(f"{records:,} records are announced, and there are more", row=records + 1)
            yield rows
    except FormatError as error:
        raise DataError(error.reason, row=count + 1) from None
    if records is not None and count < records:
        raise DataError(f"{records:,} records are announced, and there are {count:,}", row=count + 1)
