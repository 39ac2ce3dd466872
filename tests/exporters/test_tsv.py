"""TSV keeps the contract of exporters; what is in it, tests/exporters/test_delimited.py asks."""

from __future__ import annotations

from hilum.exporters import tsv
from hilum.model.dataset import DataType, Variable
from hilum.sdk.testing.exporter import ExporterSuite


class TestTsv(ExporterSuite):
    module = tsv
    refused = ((Variable("V", DataType.DATE, target=DataType.INTEGER), 0.5),)
