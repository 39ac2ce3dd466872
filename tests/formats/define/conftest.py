"""A description with one of each, and what was seen of its data."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from hilum.formats import define
from hilum.formats.define import Define, Observed
from hilum.model.dataset import Dataset, DataType, Variable
from hilum.sdk.tables import schema

DM = Dataset(
    "DM",
    (
        Variable("STUDYID", label="Study", length=8, key=1),
        Variable("USUBJID", label="Subject", length=12, key=2),
        Variable("AGE", DataType.DOUBLE, label="Age", length=8),
        Variable("SEX", label="Sex", length=1, code_list="CL.SEX"),
        Variable("BMI", DataType.DOUBLE, label="Body mass index", format="5.1"),
        Variable("RFSTDTC", DataType.DATE, label="Start"),
        Variable("RFSTDT", DataType.DATE, label="Start, counted", format="DATE9.", target=DataType.INTEGER),
    ),
    "Demographics",
)
ROWS: dict[str, list[Any]] = {
    "STUDYID": ["S1"] * 4,
    "USUBJID": ["S1-1", "S1-2", "S1-3", "S1-4"],
    "AGE": [61.0, 7.0, None, 44.0],
    "SEX": ["F", "M", "F", ""],
    "BMI": [21.25, 30.0, None, 18.5],
    "RFSTDTC": ["2014-01-02", "2014-02", None, ""],
    "RFSTDT": [19_725.0, None, None, 19_730.0],
}


def batch_of(dataset: Dataset, values: dict[str, list[Any]]) -> pa.RecordBatch:
    held = schema(dataset)
    return pa.record_batch([pa.array(values[one.name], one.type) for one in held], schema=held)


@pytest.fixture
def dm() -> Dataset:
    return DM


@pytest.fixture
def seen() -> Observed:
    return define.observe(DM, [batch_of(DM, ROWS).slice(0, 2), batch_of(DM, ROWS).slice(2)])


@pytest.fixture
def described(seen: Observed) -> Define:
    """It fits what was seen."""
    lists = (
        define.CodeList(
            "CL.SEX", "Sex", (define.Code("F", "Female", "C16576"), define.Code("M", "Male")),
            standard="STD.2", comment="COM.1", sas_format="$SEX", code="C66731",
        ),
        define.CodeList("CL.MEDDRA", "MedDRA", external=define.External("MedDRA", "26.0", "https://example.org", "x")),
    )  # fmt: skip
    table = define.table(
        seen, href="dm.xpt", structure="One record per subject", standard="STD.1", lists=lists,
        origins={"AGE": (define.Origin("Derived", "Sponsor"), define.Origin("Collected", text="from the form"))},
        origin=define.Origin("Collected", "Investigator"), methods={"AGE": "MT.1"}, comments={"SEX": "COM.1"},
    )  # fmt: skip
    return define.Define(
        define.Study("S.1", "S1", "P1", "A study"), (table,), "2026-03-01T12:00:00+00:00", lists,
        (
            define.Standard("STD.1", "SDTMIG", "3.4"),
            define.Standard("STD.2", "CDISC/NCI", "2023-12-15", "CT", publishing="SDTM", comment="COM.1"),
        ),
        (define.Method("MT.1", "Age", "Years from birth\nto start"),), (define.Comment("COM.1", "as <collected>"),),
        (define.Document("LF.acrf", "acrf.pdf", "Annotated CRF", "crf"), define.Document("LF.g", "g.pdf", "Guide")),
        oid="MDV.1", name="Definitions", description="all", file_oid="F.1", originator="Hilum",
    )  # fmt: skip
