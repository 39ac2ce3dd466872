"""CDISC Dataset-JSON 1.1: json, ndjson and dsjc, told apart by their content.

Counted dates (targetDataType integer) become SAS's counts; an empty text among them is a missing value. Other texts are
kept as they are, empty ones apart from missing ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from hilum.formats.dataset_json import Reader, recognises
from hilum.sdk.config import Config
from hilum.sdk.tables import BATCH, Importer, Table, schema


class Options(Config):
    """There is nothing to be told: the file says everything."""


class DatasetJsonImporter(Importer[Options]):
    """Reads the one data set that a file holds. Of files of JSON it takes those alone that are Dataset-JSON."""

    names = ("cdisc-dataset-json", "dataset-json")
    suffixes = (".json", ".ndjson", ".dsjc")
    Config = Options
    rank = 10

    @classmethod
    def recognises(cls, head: bytes) -> bool:
        return recognises(head)

    def tables(self, path: Path) -> Iterator[Table]:
        reader = Reader(lambda: path.open("rb"))
        yield Table(reader.dataset, reader.batches(schema(reader.dataset), BATCH))


importer = DatasetJsonImporter
