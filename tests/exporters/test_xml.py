"""XML: valid by its schema, read by lxml."""

from __future__ import annotations

from importlib import resources
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from hilum.errors import DataError
from hilum.exporters import xml as xml_exporter
from hilum.exporters.xml import XmlExporter
from hilum.model.dataset import Dataset, DataType, Variable
from hilum.sdk.testing.exporter import ExporterSuite


class TestXml(ExporterSuite):
    module = xml_exporter
    refused = ((Variable("V"), "\0"), (Variable("V", DataType.TIME, target=DataType.INTEGER), -1.0))


HELD = st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"), exclude_characters="\ufffe\uffff")


@pytest.fixture(scope="module")
def rules() -> etree.XMLSchema:
    return etree.XMLSchema(etree.fromstring(resources.files("hilum.formats").joinpath("dataset.xsd").read_bytes()))


def test_every_type_is_valid_and_comes_back(write: Any, every: Any, rules: Any) -> None:
    dataset, batch = every
    root = etree.fromstring(write(XmlExporter, dataset, batch.slice(0, 2), batch.slice(2)))
    rules.assertValid(root)
    assert root.get("label") == "One of each"
    assert root.get("rows") == "6"
    assert [(one.get("name"), one.get("type")) for one in root.find("variables")] == [
        (one.name, str(one.type)) for one in dataset.variables
    ]
    texts = [row.xpath("string(value[@of='TEXT'])") for row in root.find("rows")]
    assert texts == [one or "" for one in batch.column("TEXT").to_pylist()]
    present = [bool(row.xpath("value[@of='TEXT']")) for row in root.find("rows")]
    assert present == [True, True, False, True, True, True]
    assert root.xpath("rows/row/value[@of='SINGLE']/@missing") == ["A", "_"]


def test_no_rows(write: Any, every: Any, rules: Any) -> None:
    root = etree.fromstring(write(XmlExporter, every[0]))
    rules.assertValid(root)
    assert len(root.find("rows")) == 0


@pytest.mark.parametrize("bad", ["a\x00b", "\x0b", "\ufffe"])
def test_a_character_that_xml_has_not_is_refused(write: Any, table: Any, bad: str) -> None:
    dataset, batch = table(["fine\ttoo\n", bad])
    with pytest.raises(DataError, match="row 2, V: XML"):
        write(XmlExporter, dataset, batch)
    aside: list[Any] = []
    root = etree.fromstring(write(XmlExporter, dataset, batch, set_aside=aside))
    assert [one.row for one in aside] == [2]
    assert [len(row) for row in root.find("rows")] == [1, 0]


def test_a_label_that_xml_cannot_hold_is_refused(write: Any) -> None:
    with pytest.raises(DataError, match=r"V: XML 1\.0 cannot hold a character of its label"):
        write(XmlExporter, Dataset("T", (Variable("V", label="\x07"),)))


@given(st.lists(st.one_of(st.none(), st.text(st.one_of(HELD, st.sampled_from("\r\n\t<&>]")), max_size=12)), max_size=5))
def test_any_text_comes_back(write: Any, table: Any, values: list[str | None]) -> None:
    rows = etree.fromstring(write(XmlExporter, *table(values))).find("rows")
    assert [row[0].text or "" if len(row) else None for row in rows] == values
