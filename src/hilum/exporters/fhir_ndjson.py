"""FHIR Bulk Data: takes the hub's records `executions` or `messages` with payload, where they are FHIR in JSON.

A ZIP with a file for each resource type (`Patient.ndjson`), a resource a line, in the order of the rows, and
`manifest.json` (FHIR Bulk Data Access 2.0). Bundles are taken apart, those in Bundles too: what stands beside a
resource in its entry is left out, entries without one are counted in a warning. A resource that came twice is there
twice; an OperationOutcome is listed as `error`. Of an execution the partner's answer is taken, or where that is no FHIR
what the hub made of it. Decimals of messages keep their digits. A row that is no resource is refused, with all that is
in it.
"""

from __future__ import annotations

import base64
import tempfile
import weakref
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import Field

from hilum.errors import FormatError
from hilum.formats.fhir import bulk
from hilum.formats.json_document import JsonDocument, write
from hilum.model.dataset import Dataset, DataType
from hilum.sdk.config import Config
from hilum.sdk.tables import Export, Exporter

_ANSWER, _TEXT, _BYTES = "response", "body", "body_base64"
_TYPES = 500  # that an export may have: more than FHIR has, and what a table of files stays small with
_HELD = 8 << 20  # bytes of lines in memory


class Options(Config):
    """What the manifest says."""

    request: str = Field(
        "/api/v1/exports/data", min_length=1, max_length=2_000,
        description="The manifest's `request`: the URL that it was asked for by.",
    )  # fmt: skip


class FhirNdjsonExporter(Exporter[Options]):
    """Lines wait in a sealed file, so that only one file of a type is open at a time."""

    names = ("fhir-ndjson",)
    suffix = ".zip"
    media_type = "application/zip"
    packed = True
    Config = Options

    def __init__(self, config: Options, dataset: Dataset, export: Export) -> None:
        super().__init__(config, dataset, export)
        wanted = (_ANSWER,) if _ANSWER in dataset.names else (_TEXT, _BYTES)
        self._columns = {name: dataset.names.index(name) for name in wanted}
        self._rows = self._empty = 0
        self._spool = _Spool()

    @classmethod
    def unfit(cls, dataset: Dataset) -> str:
        texts = {one.name for one in dataset.variables if one.type is DataType.STRING}
        if _ANSWER in texts or {_TEXT, _BYTES} <= texts:
            return ""
        return (
            "fhir-ndjson takes the records `executions` or `messages` with payload: it needs their column "
            f"{_ANSWER}, or {_TEXT} and {_BYTES}"
        )

    def write(self, batch: pa.RecordBatch) -> None:
        columns = [batch.column(place) for place in self._columns.values()]
        for row in zip(*columns, strict=True):  # scalars: never all bodies at once
            self._rows += 1
            self._put({name: cell.as_py() for name, cell in zip(self._columns, row, strict=True)})

    def close(self) -> None:
        for kind in sorted(self._spool.counts):
            with self.export.open(bulk.file_name(kind)) as file:
                for piece in self._spool.pieces(kind):
                    file.write(piece)
        with self.export.open(bulk.MANIFEST) as file:
            file.write(bulk.manifest(self._spool.counts, self.export.created, self.config.request))
        self._spool.close()
        if self._empty:
            self.export.warn(f"entries of Bundles that hold no resource were passed over ({self._empty:,})")

    def _put(self, row: dict[str, str | None]) -> None:
        """All that is in a row, or nothing of it."""
        name = next((name for name, value in row.items() if value is not None), next(iter(row)))
        value = row[name]
        if value is None:
            self.export.refuse(self._rows, name, "", f"there is no {name}: none came, or retention removed it")
            return
        try:
            found = list(bulk.resources(_answer(value) if name == _ANSWER else _body(name, value)))
            lines = [(one["resourceType"], write(one) + b"\n") for one in found if one is not None]
        except (FormatError, ValueError) as error:
            self.export.refuse(self._rows, name, value, str(error))
            return
        if len(self._spool.counts.keys() | {kind for kind, _ in lines}) > _TYPES:
            self.export.refuse(self._rows, name, value, f"with this there are more than {_TYPES} resource types")
            return
        self._empty += sum(one is None for one in found)
        for kind, line in lines:
            self._spool.put(kind, line)


class _Spool:
    """Lines of many types in one file. Its key is in memory alone: on the disk there is nothing in the clear."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._held: defaultdict[str, list[bytes]] = defaultdict(list)
        self._size = self._written = 0
        self._places: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
        self._cipher = AESGCM(AESGCM.generate_key(256))
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - until close
        self.close = weakref.finalize(self, self._file.close)  # an export that failed is not closed

    def put(self, kind: str, line: bytes) -> None:
        self.counts[kind] += 1
        self._held[kind].append(line)
        self._size += len(line)
        if self._size >= _HELD:
            self._flush()

    def pieces(self, kind: str) -> Iterator[bytes]:
        """The lines of a type, in order. Nothing is put any more."""
        for start, size in self._places[kind]:
            self._file.seek(start)
            yield self._cipher.decrypt(_nonce(start), self._file.read(size), kind.encode())
        yield from self._held[kind]

    def _flush(self) -> None:
        for kind, lines in self._held.items():
            sealed = self._cipher.encrypt(_nonce(self._written), b"".join(lines), kind.encode())
            self._file.write(sealed)
            self._places[kind].append((self._written, len(sealed)))
            self._written += len(sealed)
        self._held.clear()
        self._size = 0


def _nonce(place: int) -> bytes:
    """No two pieces begin at the same place."""
    return place.to_bytes(12, "big")


def _body(name: str, value: str) -> Any:
    if name == _TEXT:
        return JsonDocument.parse(value.encode()).root
    try:
        return JsonDocument.parse(base64.b64decode(value, validate=True)).root
    except ValueError:
        raise FormatError("this is no Base64") from None


def _answer(value: str) -> Any:
    """What the partner answered, or what the hub made of it, is a member of the record; a body that was text, too."""
    told = JsonDocument.parse(value.encode()).root
    if bulk.is_resource(told) or not isinstance(told, dict):
        return told
    for name in ("data", "processedData"):
        found = told.get(name)
        if isinstance(found, str):
            try:
                found = JsonDocument.parse(found.encode()).root
            except FormatError:
                continue
        if bulk.is_resource(found):
            return found
    raise FormatError("the answer is no FHIR resource in JSON")


exporter = FhirNdjsonExporter
