"""No planted identifier is in a table that leaves under Safe Harbor, whatever its columns are called; values stay."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hilum.formats.deidentify import Action, Codes, Kind, Profile, tables
from hilum.model.dataset import Dataset, DataType, Variable

VISITS = 6
FORMATS = ("csv", "json", "ndjson", "xml", "sas-xpt-v5", "cdisc-dataset-json-1.1")
Make = Callable[..., Any]


def _note(one: Any, visit: int) -> str:
    return (
        f"Visit {visit}: {one.family.lower()} called from {one.phone}, born {one.born:%d.%m.%Y}, MRN {one.mrn}, "
        f"lives at {one.street}, {one.city}; device S/N {one.serial}, mail {one.email}"
    )


# name when it is well named, when it is in German, when nobody thought about it; what it holds; its type
COLUMNS: tuple[tuple[str, str, str, Callable[[Any, int], Any], DataType], ...] = (
    ("USUBJID", "proband_id", "USUBJID", lambda one, _: one.subject, DataType.STRING),
    ("PATNAME", "Nachname", "COL1", lambda one, _: one.name, DataType.STRING),
    ("INITIAL", "initialen", "COL2", lambda one, _: f"{one.family}, {one.given}", DataType.STRING),
    ("MRN", "Fallnummer", "COL3", lambda one, _: one.mrn, DataType.STRING),
    ("MRNNUM", "patientennummer", "COL4", lambda one, _: int(one.mrn), DataType.INTEGER),
    ("PHONE", "Telefon", "COL5", lambda one, _: one.phone, DataType.STRING),
    ("EMAIL", "mailadresse", "COL6", lambda one, _: one.email, DataType.STRING),
    ("SSN", "ausweisnummer", "COL7", lambda one, _: one.ssn, DataType.STRING),
    ("BRTHDTC", "Geburtsdatum", "COL8", lambda one, _: f"{one.born:%Y-%m-%d}", DataType.STRING),
    ("BRTHDT", "geb_datum", "COL9", lambda one, _: int(f"{one.born:%Y%m%d}"), DataType.INTEGER),
    ("AGE", "Alter", "COL10", lambda one, _: one.age, DataType.INTEGER),
    ("ZIP", "PLZ", "COL11", lambda one, _: one.code, DataType.STRING),
    ("CITY", "Wohnort", "COL12", lambda one, _: one.city, DataType.STRING),
    ("ADDR", "strasse", "COL13", lambda one, _: one.street, DataType.STRING),
    ("IPADDR", "ip_adresse", "COL14", lambda one, _: one.ip, DataType.STRING),
    ("URL", "Webseite", "COL15", lambda one, _: one.url, DataType.STRING),
    ("SERIAL", "Seriennummer", "COL16", lambda one, _: one.serial, DataType.STRING),
    ("PLANNO", "Versichertennummer", "COL17", lambda one, _: one.plan, DataType.STRING),
    ("ACCOUNT", "Kontonummer", "COL18", lambda one, _: one.account, DataType.STRING),
    ("VIN", "Fahrgestellnummer", "COL19", lambda one, _: one.vin, DataType.STRING),
    ("VISDTC", "besuchsdatum", "COL20", lambda one, _: f"{one.seen:%d.%m.%Y}", DataType.STRING),
    ("INVNAM", "pruefarzt", "COL21", lambda one, _: f"Dr. {one.family}", DataType.STRING),
    ("COMMENT", "bemerkung", "COL22", _note, DataType.STRING),
    ("CONTACT", "notfallkontakt", "COL23", lambda one, _: one.name.upper(), DataType.STRING),
    ("INSTANT", "zeitstempel", "COL24", lambda one, _: f"{one.seen:%Y-%m-%d}T08:30:00Z", DataType.DATETIME),
    # What shall stay.
    ("SEX", "geschlecht", "SEX", lambda one, _: one.sex, DataType.STRING),
    ("STATE", "bundesland", "STATE", lambda one, _: one.state, DataType.STRING),
    ("VISITNUM", "visite_nr", "VISITNUM", lambda _, visit: visit, DataType.INTEGER),
    ("LBTESTCD", "test", "COL30", lambda _, visit: ("GLUC", "ALT")[visit % 2], DataType.STRING),
    ("LBORRES", "ergebnis", "COL31", lambda _, visit: f"{visit * 11 % 7}.{visit}", DataType.STRING),
    ("LBSTRESN", "wert", "COL32", lambda _, visit: visit * 1.25, DataType.DOUBLE),
    ("LBORRESU", "einheit", "LBORRESU", lambda *_: "mmol/L", DataType.STRING),
    ("LBNRIND", "status", "COL33", lambda _, visit: ("NORMAL", "HIGH", "LOW")[visit % 3], DataType.STRING),
)  # fmt: skip


def _table(people: Any, batch_of: Make, place: int) -> tuple[Dataset, list[pa.RecordBatch]]:
    variables = [
        Variable(str(one[place]), one[4], length=200 if one[4] is DataType.STRING else None) for one in COLUMNS
    ]
    dataset = Dataset("PLANTED", tuple(variables))
    rows = [(one, visit) for one in people for visit in range(VISITS)]
    columns = {column[place]: [column[3](one, visit) for one, visit in rows] for column in COLUMNS}
    whole = batch_of(dataset, columns)
    return dataset, [whole.slice(0, 50), whole.slice(50)]


def _done(
    dataset: Dataset, batches: list[pa.RecordBatch], profile: Profile, codes: Codes | None = None
) -> tuple[tables.Plan, list[pa.RecordBatch]]:
    observed = tables.observe(dataset, profile)
    for batch in batches:
        observed.see(batch)
    plan = tables.plan(dataset, profile, observed, codes)
    return plan, [plan.apply(batch) for batch in batches]


@pytest.mark.ledger_part(
    "S1-24", "tables, well and badly named, in six formats: nothing planted leaves under Safe Harbor"
)
@pytest.mark.parametrize("place", [0, 1, 2], ids=["well named", "in German", "badly named"])
def test_nothing_planted_is_found(
    place: int, people: Any, batch_of: Make, exported: Make, leaks: Make, profile: Make
) -> None:
    dataset, batches = _table(people, batch_of, place)
    assert sum(len(one.identifiers) for one in people) >= 270
    before = exported("csv", dataset, batches).decode()
    assert len(leaks(before)) >= 270, "the search finds what was planted"
    plan, done = _done(dataset, batches, profile())
    assert plan.label.startswith("HIPAA Safe Harbor")
    for name in (one for one in FORMATS if place != 1 or one != "sas-xpt-v5"):  # which has names of eight letters
        data = exported(name, plan.dataset, done)
        assert leaks(data.decode("utf-8", "replace")) == [], name
    sink = io.BytesIO(exported("parquet", plan.dataset, done))
    read = pq.read_table(sink)
    assert leaks(json.dumps(read.to_pylist()) + str(read.schema.metadata)) == []


@pytest.mark.ledger_part("S1-24", "what is no identifier stays under Safe Harbor, counted")
@pytest.mark.parametrize("place", [0, 1, 2], ids=["well named", "in German", "badly named"])
def test_what_is_no_identifier_stays(place: int, people: Any, batch_of: Make, exported: Make, profile: Make) -> None:
    dataset, batches = _table(people, batch_of, place)
    plan, done = _done(dataset, batches, profile())
    table = pa.Table.from_batches(done)
    given = pa.Table.from_batches(batches)
    stays = [column[place] for column in COLUMNS[25:]]
    if place == 2:
        stays.remove("COL30")  # of letters, in a column that nothing explains: it could be a name
    assert sum(table[name].equals(given[name]) for name in stays) == len(stays) >= 7
    cells = sum(len(table[name]) - table[name].null_count for name in stays)
    assert cells == len(stays) * len(people) * VISITS
    rows = list(csv.DictReader(io.StringIO(exported("csv", plan.dataset, done).decode())))
    assert len(rows) == len(people) * VISITS
    assert len({row[COLUMNS[0][place]] for row in rows}) == len(people), "rows of one subject stay together"
    assert all(
        len({row[COLUMNS[0][place]] for row in rows[at : at + VISITS]}) == 1 for at in range(0, len(rows), VISITS)
    )


def test_years_ages_and_areas_are_what_the_rule_allows(people: Any, batch_of: Make, profile: Make) -> None:
    dataset, batches = _table(people, batch_of, 0)
    plan, done = _done(dataset, batches, profile())
    rows = pa.Table.from_batches(done).to_pylist()[::VISITS]
    for one, row in zip(people, rows, strict=True):
        old = one.age > 89
        assert row["BRTHDTC"] == row["BRTHDT"] == ("90+" if old else str(one.born.year))
        assert row["AGE"] == (90 if old else one.age)
        assert row["VISDTC"] == row["INSTANT"] == str(one.seen.year)
        few = {
            "03601",
            "05901",
            "10201",
            "20301",
            "20501",
            "55601",
            "69201",
            "82101",
            "87801",
            "88401",
            "89301",
            "83001",
            "03602",
        }
        assert row["ZIP"] == ("000" if one.code in few else one.code[:3])
    assert {one.age for one in people} >= {89, 90, 103}
    reasons = {rule.variable: str(rule) for rule in plan.rules}
    assert reasons["BRTHDTC"] == "BRTHDTC: date of birth -> year (164.514(b)(2)(i)(C)), by its name"
    assert "164.514(b)(2)(i)(B)" in reasons["ZIP"]
    assert "164.514(c)" in reasons["USUBJID"]


@pytest.mark.ledger_part("S1-24", "free text that is scrubbed holds nothing planted that its row tells")
def test_scrubbed_text_holds_nothing_that_its_row_tells(
    people: Any, batch_of: Make, exported: Make, leaks: Make, profile: Make
) -> None:
    dataset, batches = _table(people, batch_of, 0)
    plan, done = _done(dataset, batches, profile(columns={"COMMENT": Action.SCRUB}))
    assert "COMMENT" in plan.label
    assert "can miss" in plan.label
    texts = pa.Table.from_batches(done)["COMMENT"].to_pylist()
    assert all(text.startswith("Visit ") and "called from" in text for text in texts)
    assert leaks("\n".join(texts)) == []
    assert leaks(exported("json", plan.dataset, done).decode()) == []


def test_tables_of_one_export_join_by_their_subjects_and_no_other_export_does(
    people: Any, batch_of: Make, profile: Make
) -> None:
    dataset = Dataset("ONE", (Variable("USUBJID"), Variable("AVAL", DataType.DOUBLE)))
    other = Dataset("TWO", (Variable("usubjid"), Variable("BASE", DataType.DOUBLE)))
    subjects = [one.subject for one in people]
    values = [1.0] * len(subjects)
    first = batch_of(dataset, {"USUBJID": subjects, "AVAL": values})
    second = batch_of(other, {"usubjid": subjects[::-1], "BASE": values})
    codes = Codes(profile())
    one = _done(dataset, [first], profile(), codes)[1][0]["USUBJID"].to_pylist()
    two = _done(other, [second], profile(), codes)[1][0]["usubjid"].to_pylist()
    assert one == two[::-1]
    assert len(set(one)) == len(people)
    assert sorted(one) != one, "they do not tell in which order subjects came"
    again = _done(dataset, [first], profile())[1][0]["USUBJID"].to_pylist()
    assert again == one, "the same export gives the same bytes"
    elsewhere = _done(dataset, [first], profile(export="export-2"))[1][0]["USUBJID"].to_pylist()
    assert set(elsewhere).isdisjoint(one)


def test_pseudonyms_leave_no_direct_identifier_in_columns_that_are_named(
    people: Any, batch_of: Make, exported: Make, leaks: Make, profile: Make
) -> None:
    dataset, batches = _table(people, batch_of, 0)
    plan, done = _done(dataset, batches, profile(Kind.PSEUDONYMISE))
    assert "NOT anonymous" in plan.label
    left = {leak.split(" of ")[0] for leak in leaks(exported("json", plan.dataset, done).decode())}
    assert left == {"born", "seen", "age", "code", "city"}, "dates, ages and places stay, as the kind says"
