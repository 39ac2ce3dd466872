"""Arrow files keep the contract of importers; what is read of them, tests/importers/test_arrow_files.py asks."""

from __future__ import annotations

import pyarrow as pa

from hilum.importers import arrow
from hilum.sdk.testing.exporter import ROWS, SAMPLE, rows
from hilum.sdk.testing.importer import ImporterSuite

SAMPLES = pa.Table.from_batches([rows(SAMPLE, ROWS)])


class TestArrow(ImporterSuite):
    module = arrow

    def good(self) -> dict[str, bytes]:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, SAMPLES.schema) as writer:
            writer.write_table(SAMPLES)
        return {"good.arrow": sink.getvalue().to_pybytes()}
