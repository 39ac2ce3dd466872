"""Parquet keeps the contract of exporters; what is in it, tests/exporters/test_arrow_files.py asks."""

from __future__ import annotations

from hilum.exporters import parquet
from hilum.importers.parquet import ParquetImporter
from hilum.sdk.testing.exporter import ExporterSuite


class TestParquet(ExporterSuite):
    module = parquet
    options = ({}, {"level": 9})
    importer = ParquetImporter
