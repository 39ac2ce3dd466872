"""Define-XML 2.1 by CDISC's own schema and examples, and held against CDISC's own data sets."""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from hilum.errors import DataError
from hilum.exporters import define_xml_2_1
from hilum.formats import define
from hilum.formats.define import Define, Observed
from hilum.importers import dataset_json, sas_xpt
from hilum.sdk.tables import Table
from hilum.sdk.testing.exporter import ROWS, SAMPLE, rows, write

CORPUS = Path(os.environ.get("HILUM_CORPUS", Path(__file__).parents[3] / "shared" / "corpus")) / "cdisc"
ROOT = CORPUS / "define-xml-2.1"
FILES = sorted(ROOT.rglob("*.xml"))
SETS = sorted(CORPUS.glob("dataset-json/[as]d*m/*.json"))
TRANSPORTS = sorted(CORPUS.rglob("*.xpt"))
WRONG = {"definev21-adam_issue09", "definev21-adam_issue15"}  # of unknown subclasses, by the schema too

pytestmark = pytest.mark.skipif(not FILES, reason=f"corpus absent: {ROOT} (HILUM_CORPUS)")
each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


@pytest.fixture(scope="module")
def official() -> Any:
    return etree.XMLSchema(etree.parse(ROOT / "schema" / "cdisc-define-2.1" / "define2-1-0.xsd"))


@pytest.fixture(scope="module")
def observed() -> list[Observed]:
    return [define.observe(one.dataset, one.batches) for path in SETS for one in tables(path)]


def tables(path: Path) -> Iterator[Table]:
    if path.suffix == ".json":
        return dataset_json.importer(dataset_json.Options()).tables(path)
    return sas_xpt.importer(sas_xpt.Options.model_validate({})).tables(path)


def described(observed: list[Observed]) -> Define:
    lists = define.merged(one for each in observed for one in define.code_lists(each))
    made = tuple(
        define.table(each, href=f"{each.dataset.name.lower()}.xpt", origin=define.Origin("Collected"), lists=lists)
        for each in observed
    )
    return Define(
        define.Study("S.1", "S1", "P1"), made, "2026-03-01T00:00:00+00:00", lists, file_oid="F.1"
    )  # fmt: skip


def check(official: Any, data: bytes) -> None:
    assert official.validate(etree.fromstring(data)), [error.message for error in official.error_log][:3]


def found(path: Path, expression: str) -> list[Any]:
    names = {"o": "http://www.cdisc.org/ns/odm/v1.3", "def": "http://www.cdisc.org/ns/def/v2.1"}
    return list(etree.parse(path).xpath(expression, namespaces=names))


def test_the_examples_are_there() -> None:
    assert len(FILES) == 6
    assert {path.stem for path in FILES} >= WRONG


@each_file
@pytest.mark.ledger_part(
    "S0-24", "Define-XML 2.1: data sets, variables, keys, code lists and methods of CDISC's examples are read"
)
def test_an_example_is_read_whole(path: Path) -> None:
    read = define.read(path.read_bytes())
    groups = found(path, "//o:ItemGroupDef")
    assert [one.name for one in read.tables] == [one.get("Name") for one in groups]
    assert [one.href for one in read.tables] == [
        next(iter(one.xpath("*[local-name()='leaf']/@*[local-name()='href']")), "") for one in groups
    ]
    items = {one.get("OID"): one for one in found(path, "//o:ItemDef")}
    for table, group in zip(read.tables, groups, strict=True):
        references = group.findall("{*}ItemRef")
        assert [one.variable.name for one in table.items] == [
            items[one.get("ItemOID")].get("Name") for one in references
        ]
        assert [one.type for one in table.items] == [items[one.get("ItemOID")].get("DataType") for one in references]
        keys = [one.get("KeySequence") for one in references]
        assert [one.variable.key and str(one.variable.key) for one in table.items] == keys
        labels = [items[one.get("ItemOID")].findtext("{*}Description/{*}TranslatedText") for one in references]
        assert [one.variable.label for one in table.items] == labels
        assert [bool(one.origins) for one in table.items] == [
            items[one.get("ItemOID")].find("{*}Origin") is not None for one in references
        ]
    assert len(read.lists) == len(found(path, "//o:CodeList"))
    codes = [code for one in read.lists for code in one.codes]
    assert len(codes) == len(found(path, "//o:CodeListItem | //o:EnumeratedItem"))
    assert [code.decode for code in codes if code.decode] == found(path, "//o:Decode/o:TranslatedText/text()")
    assert len([one for one in read.lists if one.external]) == len(found(path, "//o:ExternalCodeList"))
    assert len(read.methods) == len(found(path, "//o:MethodDef"))
    assert len(read.comments) == len(found(path, "//def:CommentDef"))
    assert len(read.standards) == len(found(path, "//def:Standard"))
    assert len(read.documents) == len(found(path, "//o:MetaDataVersion/def:leaf"))


@each_file
@pytest.mark.ledger_part("S0-24", "Define-XML 2.1 is valid by CDISC's schema; what is not valid gives findings")
def test_an_example_is_valid_again_or_gives_findings(official: Any, path: Path) -> None:
    read = define.read(path.read_bytes())
    findings = list(define.review(read))
    assert bool(findings) == (path.stem in WRONG)
    if findings:
        assert {(one.path, one.rule) for one in findings} == {("ADAE", "term-unknown")}
        assert [one.text.rpartition(" ")[2] for one in findings] == ["XXXX", "YYYYY", "ZZZZZ"]
        with pytest.raises(DataError, match="ADAE: Define-XML knows no subclass XXXX"):
            define.write(read)
        return
    data = define.write(read)
    check(official, data)
    assert define.read(data) == read
    assert define.write(read) == data


def test_a_description_of_many_data_sets_is_valid_and_fits_them(official: Any, observed: list[Observed]) -> None:
    made = described(observed)
    data = define.write(made)
    check(official, data)
    assert define.read(data) == made
    assert define.check(made, observed) == []
    assert len(made.tables) == len(SETS) >= 10
    assert len(made.lists) > 50
    kinds = {one.name: one.observation.name for one in made.tables if one.observation}
    assert kinds["ADSL"] == "SUBJECT LEVEL ANALYSIS DATASET"
    assert (kinds["AE"], kinds["VS"], kinds["CM"], kinds["TI"]) == (
        "EVENTS",
        "FINDINGS",
        "INTERVENTIONS",
        "TRIAL DESIGN",
    )
    assert (kinds["DM"], kinds["SUPPEC"]) == ("SPECIAL PURPOSE", "RELATIONSHIP")


def test_the_same_data_sets_as_transport_files_fit_too(observed: list[Observed]) -> None:
    """CDISC's own transport file of ADSL has another label than its Dataset-JSON; all else is the same."""
    pairs = [path.with_suffix(".xpt") for path in SETS]
    there = [define.observe(one.dataset, one.batches) for path in pairs for one in tables(path)]
    findings = define.check(described(observed), there)
    assert [(one.path, one.rule) for one in findings] == [("ADSL", "dataset-label")]


def test_data_that_are_not_those_described_are_told(observed: list[Observed]) -> None:
    read = define.read((ROOT / "cdisc-2019/examples/DefineXML-2-1-SDTM/defineV21-SDTM.xml").read_bytes())
    rules = Counter(one.rule for one in define.check(read, observed))
    names = {one.dataset.name for one in observed}
    assert rules["dataset-missing"] == sum(one.name not in names and not one.no_data for one in read.tables)
    assert rules["dataset-undefined"] == len(names - {one.name for one in read.tables})
    assert rules["value-code"] > 0
    assert rules["variable-undefined"] > 0


@pytest.mark.parametrize("path", [*SETS, *TRANSPORTS], ids=lambda path: f"{path.parent.name}-{path.name}")
@pytest.mark.ledger_part(
    "S0-24", "Define-XML 2.1 of a data set is exported, valid by CDISC's schema, and fits the rows"
)
def test_the_export_of_a_data_set_is_valid_and_fits(official: Any, path: Path) -> None:
    for table in tables(path):
        batches = list(table.batches)
        options = {"study": "S.1", "standard": "SDTMIG", "standard_version": "3.4"}
        ((name, data),) = write(define_xml_2_1.exporter, table.dataset, batches, options).items()
        assert name == "define.xml"
        check(official, data)
        made = define.read(data)
        assert define.check(made, [define.observe(table.dataset, batches)]) == []
        ((one,), (standard,)) = made.tables, made.standards
        assert (standard.name, standard.version, one.standard) == ("SDTMIG", "3.4", standard.oid)
        assert one.href == f"{table.dataset.name.lower()}.xpt"


@pytest.mark.parametrize("count", [0, 4])
def test_the_export_of_every_type_is_valid(official: Any, count: int) -> None:
    awkward = dataclasses.replace(SAMPLE, name="odd <name>.é", label="<&>\n")
    for dataset in (SAMPLE, awkward):
        batch = rows(SAMPLE, ROWS).slice(0, count)
        for options in ({}, {"file": "a file/ü & 1.xpt", "origin": "", "context": "Other"}):
            ((_, data),) = write(define_xml_2_1.exporter, dataset, [batch], options).items()
            check(official, data)
