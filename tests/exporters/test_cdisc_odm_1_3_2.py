"""The exporter of ODM 1.3.2: it keeps the contract; what it leaves to `formats.odm` is tested there."""

from __future__ import annotations

import pytest
from lxml import etree

from hilum.errors import DataError
from hilum.exporters import cdisc_odm_1_3_2
from hilum.exporters.cdisc_odm_1_3_2 import Odm132Exporter
from hilum.importers.odm import OdmImporter
from hilum.model.dataset import Dataset, DataType, Variable
from hilum.sdk.odm import OdmOptions
from hilum.sdk.tables import Export
from hilum.sdk.testing.exporter import CREATED, ExporterSuite, Kept, rows, write

NAMES = {"odm": "http://www.cdisc.org/ns/odm/v1.3"}
DM = Dataset("DM", (Variable("USUBJID"), Variable("SITE")))


class TestOdm(ExporterSuite):
    module = cdisc_odm_1_3_2
    importer = OdmImporter
    options = ({}, {"study": "S.1"})
    refused = (
        (Variable("V"), "\0"),
        (Variable("V", DataType.FLOAT), float("inf")),
        (Variable("V", DataType.DATE), "31.1.2014"),
        (Variable("V", DataType.TIME, target=DataType.INTEGER), -1.0),
    )


def test_the_options_reach_the_file() -> None:
    batch = rows(DM, {"USUBJID": ["a"], "SITE": ["s"]})
    ((name, data),) = write(Odm132Exporter, DM, [batch], {"subject": "SITE", "study": "S.9"}).items()
    assert name == "dm.xml"
    root = etree.fromstring(data)
    assert root.xpath("string(//odm:SubjectData/@SubjectKey)", namespaces=NAMES) == "s"
    assert root.xpath("string(//odm:ClinicalData/@StudyOID)", namespaces=NAMES) == "S.9"
    assert root.get("CreationDateTime") == "2026-01-02T03:04:05+00:00"


def test_rows_without_a_subject_are_told() -> None:
    warnings: list[str] = []
    batch = rows(DM, {"USUBJID": ["a", None, ""], "SITE": ["s", "s", "s"]})
    write(Odm132Exporter, DM, [batch], warnings=warnings)
    assert len(warnings) == 1
    assert "(2)" in warnings[0]


def test_a_subject_that_is_no_variable_is_refused_before_a_file_is_there() -> None:
    begun: list[str] = []

    def begin(name: str) -> Kept:
        begun.append(name)
        return Kept()

    export = Export(begin, 0, CREATED)
    with pytest.raises(DataError, match="ABSENT: there is no such variable"):
        Odm132Exporter(OdmOptions.model_validate({"subject": "ABSENT"}), DM, export)
    assert begun == []


def test_another_number_of_rows_than_announced_fails() -> None:
    exporter = Odm132Exporter(OdmOptions.model_validate({}), DM, Export(lambda _: Kept(), 2, CREATED))
    exporter.write(rows(DM, {"USUBJID": ["a"], "SITE": ["s"]}))
    with pytest.raises(DataError, match="2 rows were announced, and 1 written"):
        exporter.close()
