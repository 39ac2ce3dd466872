"""NDJSON keeps the contract of exporters; what is in it, tests/exporters/test_json.py asks."""

from __future__ import annotations

from hilum.exporters import ndjson
from hilum.model.dataset import DataType, Variable
from hilum.sdk.testing.exporter import ExporterSuite


class TestNdjson(ExporterSuite):
    module = ndjson
    refused = ((Variable("V", DataType.DOUBLE), float("nan")),)
