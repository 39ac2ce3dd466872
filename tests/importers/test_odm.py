"""The importer of ODM-XML keeps the contract, whatever bytes it meets."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from hilum.errors import FormatError
from hilum.exporters.cdisc_odm_1_3_2 import Odm132Exporter
from hilum.exporters.cdisc_odm_2_0 import Odm20Exporter
from hilum.exporters.xml import XmlExporter
from hilum.importers import odm
from hilum.importers.odm import OdmImporter
from hilum.sdk import table_formats
from hilum.sdk.testing.exporter import ROWS, SAMPLE, rows, write
from hilum.sdk.testing.importer import ImporterSuite

TWO = b"""<ODM xmlns="http://www.cdisc.org/ns/odm/v1.3" FileType="Snapshot" FileOID="F"
 CreationDateTime="2026-01-01T00:00:00"><Study OID="S"><GlobalVariables><StudyName>S</StudyName><StudyDescription/>
<ProtocolName>P</ProtocolName></GlobalVariables><MetaDataVersion OID="M" Name="M">
<ItemGroupDef OID="IG.A" Name="A" Repeating="Yes"><ItemRef ItemOID="I.X" Mandatory="No"/></ItemGroupDef>
<ItemGroupDef OID="IG.B" Name="B" Repeating="Yes"><ItemRef ItemOID="I.X" Mandatory="No"/></ItemGroupDef>
<ItemDef OID="I.X" Name="X" DataType="integer"><Description><TranslatedText xml:lang="en">Number</TranslatedText>
<TranslatedText xml:lang="de">Zahl</TranslatedText></Description></ItemDef></MetaDataVersion></Study>
<ClinicalData StudyOID="S" MetaDataVersionOID="M"><SubjectData SubjectKey="1"><StudyEventData StudyEventOID="E">
<FormData FormOID="F"><ItemGroupData ItemGroupOID="IG.B"><ItemData ItemOID="I.X" Value="1"/></ItemGroupData>
<ItemGroupData ItemGroupOID="IG.A"><ItemData ItemOID="I.X" Value="2"/></ItemGroupData>
<ItemGroupData ItemGroupOID="IG.B"><ItemData ItemOID="I.X" Value="3"/></ItemGroupData></FormData></StudyEventData>
</SubjectData></ClinicalData></ODM>"""


class TestOdmImporter(ImporterSuite):
    module = odm
    options = ({}, {"language": "de"})
    bad = (*ImporterSuite.bad, b"<a/>", b"<ODM/>", b'<!DOCTYPE ODM><ODM xmlns="http://www.cdisc.org/ns/odm/v1.3"/>')

    def good(self) -> Mapping[str, bytes]:
        whole = rows(SAMPLE, ROWS)
        return {
            "old.xml": write(Odm132Exporter, SAMPLE, [whole] * 20)["sample.xml"],
            "new.xml": write(Odm20Exporter, SAMPLE, [whole] * 20)["sample.xml"],
            "two.xml": TWO,
        }


def test_labels_are_in_the_language_that_is_asked_for(read: Any, tmp_path: Path) -> None:
    path = tmp_path / "two.xml"
    path.write_bytes(TWO)
    (first, rows), (second, others) = read(OdmImporter, path, language="de")
    assert (first.name, second.name) == ("A", "B")
    assert first.variables[-1].label == "Zahl"
    assert (rows.column("X").to_pylist(), others.column("X").to_pylist()) == ([2], [1, 3])


def test_a_file_is_known_by_its_beginning(tmp_path: Path) -> None:
    path = tmp_path / "odm.xml"
    path.write_bytes(TWO)
    assert table_formats.importer("odm.xml", path) is OdmImporter
    path.write_bytes(write(XmlExporter, SAMPLE, [])["SAMPLE.xml"])
    with pytest.raises(FormatError, match="no cdisc-odm file"):
        table_formats.importer("sample.xml", path)


def test_an_absent_file_is_no_format_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="absent"):
        list(OdmImporter(odm.Options(language="en")).tables(tmp_path / "absent.xml"))
