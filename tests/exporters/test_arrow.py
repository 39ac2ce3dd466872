"""Arrow files keep the contract of exporters; what is in them, tests/exporters/test_arrow_files.py asks."""

from __future__ import annotations

from hilum.exporters import arrow
from hilum.importers.arrow import ArrowImporter
from hilum.sdk.testing.exporter import ExporterSuite


class TestArrow(ExporterSuite):
    module = arrow
    options = ({}, {"compression": "none"}, {"compression": "lz4"})
    importer = ArrowImporter
