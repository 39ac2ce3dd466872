"""Parquet keeps the contract of importers; what is read of it, tests/importers/test_arrow_files.py asks."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq

from hilum.importers import parquet
from hilum.sdk.testing.exporter import ROWS, SAMPLE, rows
from hilum.sdk.testing.importer import ImporterSuite

SAMPLES = pa.Table.from_batches([rows(SAMPLE, ROWS)])


class TestParquet(ImporterSuite):
    module = parquet

    def good(self) -> dict[str, bytes]:
        sink = pa.BufferOutputStream()
        pq.write_table(SAMPLES, sink)
        return {"good.parquet": sink.getvalue().to_pybytes()}
