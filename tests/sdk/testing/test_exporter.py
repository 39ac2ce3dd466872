"""The exporters' suite lets a good one pass, and finds each fault."""

from __future__ import annotations

import itertools
import types
from typing import Any

import pyarrow as pa
import pytest
from pydantic import Field

from hilum.model.dataset import Dataset, Variable
from hilum.sdk import config
from hilum.sdk.tables import Export, Exporter
from hilum.sdk.testing.exporter import ExporterSuite

COUNTER = itertools.count()


class Options(config.Config):
    end: str = Field("\n", description="What ends a line.")


class Lines(Exporter[Options]):
    """A row a line; a text has no line break. It keeps its contract."""

    names = ("lines",)
    suffix = ".txt"
    media_type = "text/plain"
    Config = Options

    def __init__(self, config: Options, dataset: Dataset, export: Export) -> None:
        super().__init__(config, dataset, export)
        self.file = export.open(f"{dataset.name}.txt")
        self.rows = 0

    def write(self, batch: pa.RecordBatch) -> None:
        for row in batch.to_pylist():
            self.rows += 1
            for name, value in row.items():
                if "\n" in str(value):
                    self.refused(name, value)
            self.file.write(repr(row).encode() + self.config.end.encode())

    def refused(self, name: str, value: object) -> None:
        self.export.refuse(self.rows, name, value, "has a line break")

    def close(self) -> None:
        self.file.close()


class Changing(Lines):
    def close(self) -> None:
        self.file.write(b"%d" % next(COUNTER))
        super().close()


class Open(Lines):
    def close(self) -> None:
        pass


class Silent(Lines):
    def refused(self, name: str, value: object) -> None:
        pass


class Nowhere(Lines):
    def refused(self, name: str, value: object) -> None:
        self.export.refuse(0, name, value, "somewhere")


class Late(Lines):
    def __init__(self, config: Options, dataset: Dataset, export: Export) -> None:
        Exporter.__init__(self, config, dataset, export)
        self.rows = 0

    def write(self, batch: pa.RecordBatch) -> None:
        if batch.num_rows and not self.rows:
            self.file = self.export.open("late.txt")
        super().write(batch)

    def close(self) -> None:
        if self.rows:
            self.file.close()


class Bare(Lines):
    suffix = "txt"


FAULTS: dict[str, type[Exporter[Any]]] = {
    "the_same_export_gives_the_same_bytes": Changing,
    "no_rows_are_a_file_too": Late,
    "what_cannot_be_represented_is_refused": Silent,
    "the_catalogue_has_its_words": Bare,
}


def suite(kind: type[Exporter[Any]]) -> ExporterSuite:
    module = types.ModuleType("exporters")
    module.__doc__ = "A row a line."
    module.__dict__["exporter"] = kind
    names = {"module": module, "refused": [(Variable("T"), "a\nb")], "options": ({}, {"end": "\r\n"})}
    return type("Tried", (ExporterSuite,), names)()  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", FAULTS)
def test_a_good_exporter_passes(name: str) -> None:
    getattr(suite(Lines), f"test_{name}")()


@pytest.mark.parametrize(("name", "kind"), FAULTS.items())
def test_a_faulty_one_is_found(name: str, kind: type[Exporter[Any]]) -> None:
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        getattr(suite(kind), f"test_{name}")()


@pytest.mark.parametrize("kind", [Open, Nowhere])
def test_a_file_left_open_and_a_place_not_said(kind: type[Exporter[Any]]) -> None:
    with pytest.raises(AssertionError):
        suite(kind).test_what_cannot_be_represented_is_refused()
