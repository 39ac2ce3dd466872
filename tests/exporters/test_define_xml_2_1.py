"""The exporter of Define-XML: it keeps the contract; what it leaves to `formats.define` is tested there."""

from __future__ import annotations

from typing import Any

import pytest

from hilum.errors import ConfigError, DataError
from hilum.exporters import define_xml_2_1
from hilum.exporters.define_xml_2_1 import DefineXmlExporter, Options
from hilum.formats import define
from hilum.model.dataset import Dataset, DataType, Variable
from hilum.sdk import config
from hilum.sdk.testing.exporter import ExporterSuite, rows, write

VS = Dataset(
    "VS",
    (
        Variable("USUBJID", label="Subject", length=10, key=1),
        Variable("VSTESTCD", label="Test", length=8, key=2, code_list="CL.TEST"),
        Variable("VSPOS", label="Position", length=8),
        Variable("VSSTRESN", DataType.DOUBLE, label="Result"),
    ),
    "Vital Signs",
)
VALUES: dict[str, list[Any]] = {
    "USUBJID": ["a", "a", "b", "b"],
    "VSTESTCD": ["DIABP", "SYSBP", "DIABP", None],
    "VSPOS": ["SITTING", "SITTING", "SITTING", ""],
    "VSSTRESN": [80.0, 120.5, None, 90.0],
}


class TestDefineXml(ExporterSuite):
    module = define_xml_2_1
    options = ({}, {"study": "S1", "standard": "SDTMIG", "standard_version": "3.4", "codes": 0, "origin": ""})


def test_lengths_and_code_lists_are_those_of_the_rows() -> None:
    batch = rows(VS, VALUES)
    ((name, data),) = write(DefineXmlExporter, VS, [batch.slice(0, 1), batch.slice(1)], {"study": "S1"}).items()
    assert name == "define.xml"
    made = define.read(data)
    assert made.study == define.Study("S1", "S1", "S1")
    assert made.created == "2026-01-02T03:04:05+00:00"
    (table,) = made.tables
    assert (table.name, table.label, table.href, table.domain) == ("VS", "Vital Signs", "vs.xpt", "VS")
    assert table.structure == "One record per USUBJID, VSTESTCD"
    assert table.observation == define.Observation("FINDINGS")
    assert {one.origins for one in table.items} == {(define.Origin("Not Available"),)}
    result = table.items[3]
    assert (result.type, result.variable.length, result.digits) == ("float", 4, 1)
    assert [one.variable.code_list for one in table.items] == ["", "CL.TEST", "CL.VS.VSPOS", ""]
    assert {one.oid: [code.value for code in one.codes] for one in made.lists} == {
        "CL.TEST": ["DIABP", "SYSBP"], "CL.VS.VSPOS": ["SITTING"],
    }  # fmt: skip


def test_options_are_said() -> None:
    told = {"study": "S1", "protocol": "P1", "context": "Other", "standard": "SENDIG", "standard_version": "3.1",
            "file": "m/vs.json", "origin": "Collected", "codes": 0}  # fmt: skip
    (data,) = write(DefineXmlExporter, VS, [rows(VS, VALUES)], told).values()
    made = define.read(data)
    assert (made.study.protocol, made.context) == ("P1", "Other")
    assert made.standards == (define.Standard("STD.1", "SENDIG", "3.1"),)
    assert (made.tables[0].standard, made.tables[0].href) == ("STD.1", "m/vs.json")
    assert [one.oid for one in made.lists] == ["CL.TEST"]


def test_no_rows_are_told() -> None:
    (data,) = write(DefineXmlExporter, VS, []).values()
    (table,) = define.read(data).tables
    assert table.no_data
    assert table.href == ""


def test_values_that_are_many_are_not_kept() -> None:
    count = 1_500
    values = {**VALUES, "VSTESTCD": [str(number) for number in range(count)]}
    full = {name: (column * count)[:count] for name, column in values.items()}
    (data,) = write(DefineXmlExporter, VS, [rows(VS, full)]).values()
    (listed,) = [one for one in define.read(data).lists if one.oid == "CL.TEST"]
    assert listed.external == define.External("CL.TEST")


def test_a_standard_needs_a_version() -> None:
    with pytest.raises(ConfigError, match="standard_version"):
        config.read(Options, {"standard": "SDTMIG"}, "options")


def test_what_cannot_be_said_is_refused() -> None:
    with pytest.raises(DataError, match="V: XML"):
        write(DefineXmlExporter, Dataset("T", (Variable("V", label="\x07"),)), [])
    with pytest.raises(DataError, match="name of a variable"):
        write(DefineXmlExporter, Dataset("T", (Variable(""),)), [])
