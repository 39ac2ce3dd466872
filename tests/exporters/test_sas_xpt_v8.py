"""Version 8 keeps the contract of exporters; what is in it, tests/exporters/test_sas_xpt.py asks."""

from __future__ import annotations

import math
from typing import Any

from hilum.exporters import sas_xpt_v8
from hilum.importers.sas_xpt import SasXptImporter
from hilum.model.dataset import DataType, Variable
from hilum.sdk.testing.exporter import ExporterSuite

REFUSED: tuple[tuple[Variable, Any], ...] = (
    (Variable("T", length=3), "ää"),
    (Variable("X", DataType.DOUBLE), 1e76),
    (Variable("X", DataType.DOUBLE), math.nan),
    (Variable("X", DataType.INTEGER), 2**63 - 1),
)


class TestSasXptV8(ExporterSuite):
    module = sas_xpt_v8
    refused = REFUSED
    importer = SasXptImporter
    null_text = ""
