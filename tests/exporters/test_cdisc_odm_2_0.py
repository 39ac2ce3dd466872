"""The exporter of ODM 2.0: it keeps the contract; what it leaves to `formats.odm` is tested there."""

from __future__ import annotations

import pytest
from lxml import etree

from hilum.errors import DataError
from hilum.exporters import cdisc_odm_2_0
from hilum.exporters.cdisc_odm_2_0 import Odm20Exporter
from hilum.importers.odm import OdmImporter
from hilum.model.dataset import Dataset, DataType, Variable
from hilum.sdk.odm import OdmOptions
from hilum.sdk.tables import Export
from hilum.sdk.testing.exporter import CREATED, ExporterSuite, Kept, rows, write

NAMES = {"odm": "http://www.cdisc.org/ns/odm/v2.0"}
DM = Dataset("DM", (Variable("SUBJID", DataType.INTEGER), Variable("SITE")))


class TestOdm(ExporterSuite):
    module = cdisc_odm_2_0
    importer = OdmImporter
    refused = (
        (Variable("V"), "\0"),
        (Variable("V", DataType.DECIMAL), "1e5"),
        (Variable("V", DataType.TIME, target=DataType.INTEGER), -1.0),
    )


def test_the_options_reach_the_file() -> None:
    batch = rows(DM, {"SUBJID": [7, None], "SITE": ["s", "s"]})
    warnings: list[str] = []
    ((name, data),) = write(Odm20Exporter, DM, [batch], {"study": "S.9"}, warnings=warnings).items()
    assert name == "dm.xml"
    root = etree.fromstring(data)
    assert root.tag == f"{{{NAMES['odm']}}}ODM"
    assert root.xpath("//odm:SubjectData/@SubjectKey", namespaces=NAMES) == ["7", "DM"]
    assert root.xpath("string(//odm:Study/@StudyName)", namespaces=NAMES) == "S.9"
    assert [text for text in warnings if "without a subject (1)" in text] == warnings != []


def test_another_number_of_rows_than_announced_fails() -> None:
    exporter = Odm20Exporter(OdmOptions.model_validate({}), DM, Export(lambda _: Kept(), 2, CREATED))
    with pytest.raises(DataError, match="2 rows were announced, and 0 written"):
        exporter.close()
