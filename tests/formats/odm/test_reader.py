"""Files of others: where a row belongs, units, several tables; what is wrong is told with its place."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from hilum.errors import DataError, FormatError
from hilum.formats.odm import Reader, recognises
from hilum.model.dataset import DataType
from hilum.sdk.tables import schema

OLD = """<?xml version="1.0" encoding="UTF-8"?>
<ODM xmlns="http://www.cdisc.org/ns/odm/v1.3" FileType="Snapshot" FileOID="F" CreationDateTime="2026-01-01T00:00:00">
<Study OID="S"><GlobalVariables><StudyName>Study</StudyName><StudyDescription/><ProtocolName>P</ProtocolName>
</GlobalVariables>
<BasicDefinitions><MeasurementUnit OID="MU.KG" Name="kg"><Symbol><TranslatedText>kg</TranslatedText></Symbol>
</MeasurementUnit><MeasurementUnit OID="MU.LB" Name="lbs"><Symbol><TranslatedText>lbs</TranslatedText></Symbol>
</MeasurementUnit></BasicDefinitions>
<MetaDataVersion OID="M" Name="M">
<ItemGroupDef OID="IG.VS" Name="Vital signs" Repeating="Yes" SASDatasetName="VS" Domain="VS">
<Description><TranslatedText xml:lang="fr">Pouls</TranslatedText>
<TranslatedText xml:lang="en-GB">Signs</TranslatedText></Description>
<ItemRef ItemOID="I.W" Mandatory="No"/><ItemRef ItemOID="I.P" Mandatory="No"/><ItemRef ItemOID="I.D" Mandatory="No"/>
<ItemRef ItemOID="I.SEX" Mandatory="No" KeySequence="1"/></ItemGroupDef>
<ItemGroupDef OID="IG.AE" Name="Adverse events" Repeating="Yes"><ItemRef ItemOID="I.T" Mandatory="No"/></ItemGroupDef>
<ItemGroupDef OID="IG.REF" Name="REF" Repeating="Yes"><ItemRef ItemOID="I.T" Mandatory="No"/></ItemGroupDef>
<ItemDef OID="I.W" Name="Weight" SASFieldName="WEIGHT" DataType="float" Length="5" SignificantDigits="1">
<Question><TranslatedText xml:lang="en">How heavy?</TranslatedText></Question>
<MeasurementUnitRef MeasurementUnitOID="MU.KG"/><MeasurementUnitRef MeasurementUnitOID="MU.LB"/></ItemDef>
<ItemDef OID="I.P" Name="Pulse" SASFieldName="PULSE" DataType="integer" Length="3">
<MeasurementUnitRef MeasurementUnitOID="MU.KG"/></ItemDef>
<ItemDef OID="I.D" Name="Day" DataType="partialDate"/>
<ItemDef OID="I.SEX" Name="Sex" SASFieldName="SEX" DataType="text" Length="1">
<CodeListRef CodeListOID="CL.SEX"/></ItemDef>
<ItemDef OID="I.T" Name="Term" DataType="string" Length="40"/>
<CodeList OID="CL.SEX" Name="Sex" DataType="text"><CodeListItem CodedValue="F"><Decode>
<TranslatedText xml:lang="en">Female</TranslatedText></Decode></CodeListItem></CodeList>
</MetaDataVersion></Study>
<ReferenceData StudyOID="S" MetaDataVersionOID="M"><ItemGroupData ItemGroupOID="IG.REF">
<ItemDataString ItemOID="I.T">typed &amp; told</ItemDataString></ItemGroupData></ReferenceData>
<ClinicalData StudyOID="S" MetaDataVersionOID="M">
<SubjectData SubjectKey="001"><SiteRef LocationOID="L.1"/>
<StudyEventData StudyEventOID="SE.1" StudyEventRepeatKey="2"><FormData FormOID="FO.1" FormRepeatKey="3">
<ItemGroupData ItemGroupOID="IG.VS" ItemGroupRepeatKey="1">
<AuditRecord><UserRef UserOID="U"/><LocationRef LocationOID="L.1"/><DateTimeStamp>2026-01-01T00:00:00</DateTimeStamp>
</AuditRecord>
<ItemData ItemOID="I.W" Value="70.5"><MeasurementUnitRef MeasurementUnitOID="MU.KG"/></ItemData>
<ItemData ItemOID="I.P" Value=" +60 "/><ItemData ItemOID="I.D" Value="2026-01"/><ItemData ItemOID="I.SEX" Value="F"/>
</ItemGroupData>
<ItemGroupData ItemGroupOID="IG.AE"><ItemData ItemOID="I.T" Value="Headache"/></ItemGroupData>
<ItemGroupData ItemGroupOID="IG.VS" ItemGroupRepeatKey="2">
<ItemData ItemOID="I.W" Value="1.5D+2"><MeasurementUnitRef MeasurementUnitOID="MU.LB"/></ItemData>
<ItemData ItemOID="I.P" IsNull="Yes"/><ItemData ItemOID="I.D"/><ItemData ItemOID="I.SEX" Value=""/>
</ItemGroupData></FormData></StudyEventData></SubjectData>
<SubjectData SubjectKey="002"><StudyEventData StudyEventOID="SE.1"><FormData FormOID="FO.2">
<ItemGroupData ItemGroupOID="IG.AE"/></FormData></StudyEventData></SubjectData>
</ClinicalData></ODM>
"""
NEW = """<ODM xmlns="http://www.cdisc.org/ns/odm/v2.0" FileType="Snapshot" FileOID="F"
 CreationDateTime="2026-01-01T00:00:00">
<Study OID="S" StudyName="Study" ProtocolName="P"><MetaDataVersion OID="M" Name="M">
<ItemGroupDef OID="FO" Name="Form" Type="Form" Repeating="No">
<ItemGroupRef ItemGroupOID="IG.A" Mandatory="No"/></ItemGroupDef>
<ItemGroupDef OID="IG.A" Name="Outer" Type="Section" Repeating="Simple"><ItemRef ItemOID="I.B" Mandatory="No"/>
<ItemGroupRef ItemGroupOID="IG.B" Mandatory="No"/></ItemGroupDef>
<ItemGroupDef OID="IG.B" Name="Inner" Type="Section" Repeating="Simple">
<ItemRef ItemOID="I.N" Mandatory="No"/></ItemGroupDef>
<ItemDef OID="I.B" Name="Yes" DataType="boolean"/><ItemDef OID="I.N" Name="Number" DataType="decimal"/>
</MetaDataVersion></Study>
<ClinicalData StudyOID="S" MetaDataVersionOID="M"><SubjectData SubjectKey="001"><StudyEventData StudyEventOID="SE">
<ItemGroupData ItemGroupOID="FO"><ItemGroupData ItemGroupOID="IG.A" ItemGroupRepeatKey="7">
<ItemGroupData ItemGroupOID="IG.B" ItemGroupRepeatKey="1"><ItemData ItemOID="I.N"><Value>1.50</Value></ItemData>
</ItemGroupData><ItemData ItemOID="I.B"><Value>1</Value></ItemData>
<ItemGroupData ItemGroupOID="IG.B" ItemGroupRepeatKey="2"><ItemData ItemOID="I.N"><Value>-.5</Value></ItemData>
</ItemGroupData></ItemGroupData></ItemGroupData></StudyEventData></SubjectData>
<ItemGroupData ItemGroupOID="IG.B"><ItemData ItemOID="I.N" IsNull="Yes"/></ItemGroupData></ClinicalData></ODM>
"""


def tables(read: Any, text: str, **options: Any) -> dict[str, tuple[Any, list[dict[str, Any]]]]:
    return {dataset.name: (dataset, rows.to_pylist()) for dataset, rows in read(text.encode(), **options)}


def test_a_row_says_where_it_belongs(read: Any) -> None:
    dataset, rows = tables(read, OLD)["VS"]
    assert dataset.names == (
        "SubjectKey", "LocationOID", "StudyEventOID", "StudyEventRepeatKey", "FormOID", "FormRepeatKey",
        "ItemGroupRepeatKey", "WEIGHT", "PULSE", "Day", "SEX", "WEIGHT_UNIT",
    )  # fmt: skip
    where = {"SubjectKey": "001", "LocationOID": "L.1", "StudyEventOID": "SE.1", "StudyEventRepeatKey": "2",
             "FormOID": "FO.1", "FormRepeatKey": "3"}  # fmt: skip
    first = {"ItemGroupRepeatKey": "1", "WEIGHT": 70.5, "PULSE": 60, "Day": "2026-01", "SEX": "F", "WEIGHT_UNIT": "kg"}
    other = {"ItemGroupRepeatKey": "2", "WEIGHT": 150.0, "PULSE": None, "Day": None, "SEX": "", "WEIGHT_UNIT": "lbs"}
    assert rows == [where | first, where | other]


def test_what_is_said_of_a_table_and_its_items(read: Any) -> None:
    dataset, _ = tables(read, OLD)["VS"]
    assert dataset.label == "Signs"
    assert tables(read, OLD, language="fr")["VS"][0].label == "Pouls"
    assert dataset.extra == {
        "odm.studyOID": "S", "odm.studyName": "Study", "odm.protocolName": "P", "odm.metaDataVersionOID": "M",
        "odm.metaDataVersionName": "M", "odm.itemGroupOID": "IG.VS", "odm.Domain": "VS",
    }  # fmt: skip
    weight, pulse, day, sex = dataset.variables[7:11]
    assert (weight.type, weight.label, weight.length, weight.oid) == (DataType.FLOAT, "How heavy?", 5, "I.W")
    assert weight.extra == {"odm.SignificantDigits": "1", "odm.Name": "Weight"}
    assert pulse.extra["odm.unit"] == "kg"
    assert (day.type, day.label, day.extra) == (DataType.DATE, "Day", {})
    assert (sex.code_list, sex.key, sex.extra["odm.codeList"]) == ("CL.SEX", 1, '[["F", "Female"]]')


def test_every_table_of_a_file_has_its_rows(read: Any) -> None:
    found = tables(read, OLD)
    assert list(found) == ["VS", "Adverse events", "REF"]
    assert [(row["SubjectKey"], row["FormOID"], row["Term"]) for row in found["Adverse events"][1]] == [
        ("001", "FO.1", "Headache"), ("002", "FO.2", None),
    ]  # fmt: skip
    (row,) = found["REF"][1]
    assert (row["SubjectKey"], row["StudyEventOID"], row["Term"]) == (None, None, "typed & told")


def test_groups_within_groups_are_rows_of_their_own(read: Any) -> None:
    found = tables(read, NEW)
    assert list(found) == ["Outer", "Inner"]
    assert found["Outer"][1] == [
        {"SubjectKey": "001", "LocationOID": None, "StudyEventOID": "SE", "StudyEventRepeatKey": None,
         "ParentItemGroup": "FO", "ItemGroupRepeatKey": "7", "Yes": True},
    ]  # fmt: skip
    inner = [
        (row["SubjectKey"], row["StudyEventOID"], row["ParentItemGroup"], row["Number"]) for row in found["Inner"][1]
    ]
    assert inner == [("001", "SE", "FO/IG.A[7]", "1.50"), ("001", "SE", "FO/IG.A[7]", "-.5"), (None, None, None, None)]
    assert found["Inner"][0].variables[-1].type is DataType.DECIMAL


def test_a_foreign_table_is_written_and_read_the_same(read: Any, write: Any, version: Any) -> None:
    for dataset, rows in read(OLD.encode()):
        ((found, again),) = read(write(dataset, *rows.to_batches(), version=version))
        assert found == dataset
        assert again.equals(rows)


def test_nothing_is_left_beside_the_file(read: Any, tmp_path: Path) -> None:
    path = tmp_path / "odm.xml"
    path.write_text(OLD)
    (first, *others) = Reader(path, schema, 100).tables()
    assert list(tmp_path.iterdir()) == [path]
    assert [pa.Table.from_batches(batches, schema(dataset)).num_rows for dataset, batches in others] == [2, 1]
    assert pa.Table.from_batches(first[1], schema(first[0])).num_rows == 2


def test_items_with_one_name_are_called_by_their_oids(read: Any) -> None:
    text = OLD.replace('Name="Day"', 'Name="Weight" SASFieldName="WEIGHT"').replace("I.SEX", "SubjectKey")
    names = tables(read, text)["VS"][0].names
    assert names[7:] == ("I.W", "PULSE", "I.D", "SEX", "I.W_UNIT")
    text = OLD.replace('Name="Day"', 'Name="SubjectKey"').replace("I.D", "FormOID")
    assert tables(read, text)["VS"][0].names[7:10] == ("WEIGHT", "PULSE", "FormOID_")


def test_tables_with_one_name_are_called_by_their_oids(read: Any) -> None:
    assert list(tables(read, OLD.replace('Name="Adverse events"', 'Name="REF"'))) == ["VS", "IG.AE", "IG.REF"]


def test_definitions_may_be_included(read: Any) -> None:
    second = """</MetaDataVersion>
<MetaDataVersion OID="M2" Name="M2"><Include StudyOID="S" MetaDataVersionOID="M"/>
<ItemDef OID="I.T" Name="Other" DataType="text"/></MetaDataVersion>"""
    base = OLD.replace("</MetaDataVersion>", second)
    newer = base.replace('MetaDataVersionOID="M">', 'MetaDataVersionOID="M2">')
    found = tables(read, newer)
    assert list(found) == ["VS", "Adverse events", "REF"]
    assert found["VS"][0].extra["odm.metaDataVersionOID"] == "M2"
    assert found["Adverse events"][1][0]["Other"] == "Headache"
    both = tables(read, newer.replace('MetaDataVersionOID="M2">', 'MetaDataVersionOID="M">', 1))
    assert {"IG.REF (M)", "IG.REF (M2)", "IG.VS (M2)"} <= set(both)
    assert [len(both[f"IG.REF ({one})"][1]) for one in ("M", "M2")] == [1, 0]


SEX = '<ItemData ItemOID="I.SEX" Value="F"/>'
PULSE = '<ItemData ItemOID="I.P" Value=" +60 "/>'
POUNDS = '<ItemData ItemOID="I.P" Value="6"><MeasurementUnitRef MeasurementUnitOID="MU.LB"/></ItemData>'
DEFINE = 'FileOID="F" xmlns:def="http://www.cdisc.org/ns/def/v2.1" def:Context="Other"'
WRONG = {
    "no such item": ('<ItemData ItemOID="I.T" Value', '<ItemData ItemOID="I.X" Value', "I.X"),
    "no such group": ('ItemGroupOID="IG.AE"><', 'ItemGroupOID="IG.X"><', "IG.X"),
    "undefined item": ('<ItemDef OID="I.T"', '<ItemDef OID="I.U"', "I.T"),
    "unknown type": ('DataType="partialDate"', 'DataType="dates"', "dates"),
    "unknown version": ('<ClinicalData StudyOID="S"', '<ClinicalData StudyOID="T"', "M of Study T"),
    "twice": (SEX, SEX * 2, "row 1, SEX: VS: ItemData I.SEX is there twice"),
    "no number": ('Value=" +60 "', 'Value="sixty"', "row 1, PULSE: VS: this is no integer"),
    "no date": ('Value="2026-01"', 'Value="Jan"', "row 1, Day: VS: this is no date"),
    "other unit": (PULSE, POUNDS, "row 1, PULSE: VS: its unit MU.LB"),
    "removed row": ('ItemGroupRepeatKey="1">', 'ItemGroupRepeatKey="1" TransactionType="Remove">', "Remove"),
    "removed subject": ('SubjectKey="002">', 'SubjectKey="002" TransactionType="Remove">', "Remove"),
    "no length": ('Length="5"', 'Length="five"', "I.W"),
    "referred twice": ('<ItemRef ItemOID="I.P"', '<ItemRef ItemOID="I.W"', "twice"),
    "define": ('FileOID="F"', DEFINE, "Define-XML"),
    "older": ("http://www.cdisc.org/ns/odm/v1.3", "http://www.cdisc.org/ns/odm/v1.2", "v1.2"),
    "other root": ("ODM", "ODM2", "ODM2"),
    "no data": ("ClinicalData", "AdminData", "no ClinicalData"),
    "no metadata": ("MetaDataVersion ", "MetaDataVersions ", "MetaDataVersion"),
    "a DTD": ("<ODM ", "<!DOCTYPE ODM><ODM ", "DTD"),
    "no end": ("</ClinicalData></ODM>", "", "well-formed"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_told(read: Any, name: str) -> None:
    before, after, reason = WRONG[name]
    text = OLD.replace(before, after)
    assert text != OLD
    if name == "no data":
        text = re.sub(r"<ReferenceData.*</ReferenceData>", "", text, flags=re.DOTALL)
    if name == "no metadata":
        text = text.replace("</MetaDataVersion>", "</MetaDataVersions>")
    with pytest.raises((FormatError, DataError), match=reason):
        read(text.encode())


def test_a_transaction_that_changes_something_is_refused(read: Any) -> None:
    text = OLD.replace('FileType="Snapshot"', 'FileType="Transactional"')
    assert len(tables(read, text)["VS"][1]) == 2
    assert len(tables(read, text.replace('Value="F"', 'Value="F" TransactionType="Insert"'))["VS"][1]) == 2
    with pytest.raises(DataError, match="SEX: VS: ItemData has TransactionType Update"):
        read(text.replace('Value="F"', 'Value="F" TransactionType="Update"').encode())


def test_several_values_of_an_item_are_refused(read: Any) -> None:
    with pytest.raises(DataError, match="several values"):
        read(NEW.replace("<Value>1</Value>", "<Value>1</Value><Value>0</Value>").encode())


def test_data_of_a_group_that_has_no_items_are_refused(read: Any) -> None:
    item = '<ItemData ItemOID="I.N"><Value>1</Value></ItemData>'
    with pytest.raises(FormatError, match="FO has items"):
        read(NEW.replace('<ItemGroupData ItemGroupOID="FO">', f'<ItemGroupData ItemGroupOID="FO">{item}').encode())


def test_other_encodings_are_read(read: Any) -> None:
    for encoding in ("utf-16", "iso-8859-1"):
        data = OLD.replace("UTF-8", encoding).replace("Headache", "Müde").encode(encoding)
        assert recognises(data[:4_096])
        found = {dataset.name: rows for dataset, rows in read(data)}
        assert found["Adverse events"].column("Term")[0].as_py() == "Müde"


def test_rows_that_are_freed_are_those_that_were_read(read: Any) -> None:
    row = '<ItemGroupData ItemGroupOID="IG.AE"><ItemData ItemOID="I.T" Value="%d"/></ItemGroupData>\n'
    many = "".join(row % number for number in range(5_000))
    rows = tables(read, OLD.replace('<ItemGroupData ItemGroupOID="IG.AE"/>', many), most=100)["Adverse events"][1]
    assert [row["Term"] for row in rows[1:]] == [str(number) for number in range(5_000)]


def test_the_beginning_tells_odm() -> None:
    assert recognises(OLD.encode()[:200])
    assert recognises(NEW.encode()[:200])
    assert recognises(b'<?xml version="1.0"?><odm:ODM xmlns:odm="x">')
    assert recognises(b'<?xml version="1.0"?><!-- ' + b"<a> " * 1_000)
    assert not recognises(b'<?xml version="1.0"?><dataset name="ODM">')
    assert not recognises(b"")
    assert not recognises(b"ODM")
