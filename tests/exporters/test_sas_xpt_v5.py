"""Version 5 keeps the contract of exporters; what is in it, tests/exporters/test_sas_xpt.py asks."""

from __future__ import annotations

import math
from typing import Any

from hilum.exporters import sas_xpt_v5
from hilum.importers.sas_xpt import SasXptImporter
from hilum.model.dataset import DataType, Variable
from hilum.sdk.testing.exporter import ExporterSuite

REFUSED: tuple[tuple[Variable, Any], ...] = (
    (Variable("T", length=3), "four"),
    (Variable("T", length=3), "ää"),
    (Variable("X", DataType.DOUBLE), 1e76),
    (Variable("X", DataType.DOUBLE), 5e-80),
    (Variable("X", DataType.FLOAT), math.inf),
    (Variable("X", DataType.DOUBLE), math.nan),
    (Variable("X", DataType.DOUBLE, length=4), 0.1),
    (Variable("X", DataType.INTEGER, length=2), 257),
    (Variable("X", DataType.INTEGER), 2**53 + 1),
    (Variable("X", DataType.INTEGER), 2**63 - 1),
    (Variable("X", DataType.DATE, target=DataType.INTEGER), -1e300),
)


class TestSasXptV5(ExporterSuite):
    module = sas_xpt_v5
    options = ({}, {"profile": "agency"}, {"encoding": "latin-1"}, {"sas_version": "9.3", "platform": "X64"})
    refused = tuple(one for one in REFUSED if one[1] != "ää")  # which fits in Latin-1
    importer = SasXptImporter
    null_text = ""
