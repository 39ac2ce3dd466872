"""Plans: a rule with its reason for each variable, by what is said of it and by its values; and what comes out."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.errors import DataError
from hilum.formats import missing
from hilum.formats.deidentify import Action, Kind, Meaning, Profile, tables
from hilum.model.dataset import Dataset, DataType, Variable
from hilum.sdk.tables import schema

Make = Callable[..., Any]
T = DataType


def planned(dataset: Dataset, profile: Profile, *batches: pa.RecordBatch) -> tables.Plan:
    observed = tables.observe(dataset, profile)
    for batch in batches:
        observed.see(batch)
    return tables.plan(dataset, profile, observed)


@pytest.fixture(scope="module")
def judge(batch_of: Make, profile: Make) -> Callable[..., tables.Rule]:
    """The rule of one column, `COL7`, of subjects with some rows each, where nothing is said of it but this."""

    def run(
        values: list[Any], kind: DataType = T.STRING, *, each: int = 1, of: Kind = Kind.SAFE_HARBOR, **about: Any
    ) -> tables.Rule:
        dataset = Dataset("T", (Variable("USUBJID"), Variable(**{"name": "COL7", "type": kind, **about})))
        subjects = [f"S-{at // each}" for at in range(len(values))]
        name = dataset.names[1]
        plan = planned(dataset, profile(of), batch_of(dataset, {"USUBJID": subjects, name: values}))
        return plan.rules[1]

    return run


def test_the_name_the_label_the_format_the_type_and_the_role_tell(judge: Make) -> None:
    def told(values: list[Any], kind: DataType = T.STRING, **about: Any) -> tuple[Meaning, str]:
        rule = judge(values * 30, kind, **about)
        return rule.meaning, rule.seen

    assert told(["x"], name="Nachname") == (Meaning.NAME, "name")
    assert told(["x"], label="Name of the mother") == (Meaning.NAME, "label")
    assert told(["x"], name="result", label="Patient name") == (Meaning.NAME, "label"), (
        "a label that says more counts more"
    )
    assert told(["x"], name="LBTEST", label="Lab Test or Examination Name") == (Meaning.PLAIN, "name")
    assert told(["2014-01-02"], T.DATE) == (Meaning.DATE, "type")
    assert told(["2014-01-02"], T.DATE, label="Date of Birth") == (Meaning.BIRTH, "label")
    assert told([19_725.0], T.DOUBLE, format="DATE9.") == (Meaning.DATE, "type")
    assert told([3_600.0], T.DOUBLE, format="TIME8.") == (Meaning.TIME, "type")
    assert told(["08:30"], T.TIME) == (Meaning.TIME, "type")
    assert told(["https://example.org"], T.URI) == (Meaning.URL, "type")
    assert told(["K7"], role="Identifier") == (Meaning.RECORD, "role")
    assert told(["K7", "K8"], code_list="CL.K") == (Meaning.PLAIN, "code list")
    assert told([True], T.BOOLEAN, name="has_phone") == (Meaning.PLAIN, "type")


@pytest.mark.parametrize(
    ("values", "meaning"),
    [
        ([f"jane{at}@example.org" for at in range(20)], Meaning.EMAIL),
        ([f"603-555-01{at:02}" for at in range(20)], Meaning.PHONE),
        ([f"123-45-67{at:02}" for at in range(20)], Meaning.SSN),
        ([f"MRN 47{at:03}" for at in range(20)], Meaning.MRN),
        ([f"10.0.0.{at}" for at in range(20)], Meaning.IP),
        ([f"{at + 1:02}.03.2014" for at in range(20)], Meaning.DATE),
        ([f"{at + 1}MAR2014" for at in range(20)], Meaning.DATE),
        (["seen on 12.03.2014"] * 20, Meaning.TEXT),
        ([f"Surname{at}, Given" for at in range(20)], Meaning.RECORD),
        ([f"00{at:03}" for at in range(20)], Meaning.RECORD),
        ([f"{4000 + at}" for at in range(20)], Meaning.RECORD),
        (["03601", "62701"] * 10, Meaning.RECORD),
        (["2014-05", "2014-06"] * 10, Meaning.DATE),
        (["Springfield", "Shelbyville"] * 10, Meaning.UNKNOWN),
        (["JKM", "ABC"] * 10, Meaning.UNKNOWN),
        (["she came in with a headache yesterday"] * 20, Meaning.TEXT),
        (["Y", "N", None, ""] * 10, Meaning.PLAIN),
        (["Positive", "NEGATIVE", "not detected"] * 10, Meaning.PLAIN),
        (["A1", "B2"] * 10, Meaning.PLAIN),
        (["5.4", "<0.1", "3.9-6.1"] * 10, Meaning.PLAIN),
        ([None] * 20, Meaning.PLAIN),
    ],
)
def test_the_values_of_a_text_tell(judge: Make, values: list[Any], meaning: Meaning) -> None:
    rule = judge(values)
    assert rule.meaning is meaning, str(rule)
    assert (rule.action is Action.KEEP) is (meaning is Meaning.PLAIN)


@pytest.mark.parametrize(
    ("values", "each", "meaning"),
    [
        ([19590312 + at for at in range(20)], 1, Meaning.DATE),
        ([1937 + at for at in range(20)], 1, Meaning.DATE),
        ([603_555_0100 + at for at in range(20)], 1, Meaning.RECORD),
        ([4711 + at for at in range(20)], 1, Meaning.RECORD),
        ([44, 91, 67, 103, 67] * 4, 1, Meaning.AGE),
        ([2139, 62701, 62701, 80331, 80331] * 4, 1, Meaning.ZIP),
        ([91, 92, 93, 94, 95] * 4, 5, Meaning.PLAIN),  # differs from visit to visit: a measurement
        ([44, 67, 12, 89, 67] * 4, 1, Meaning.PLAIN),
        ([20_110 + at * 7 for at in range(20)], 5, Meaning.RECORD),  # differs from row to row: of a visit
        ([5_600, 7_100, 6_400, 5_600, 8_000] * 4, 5, Meaning.PLAIN),
        ([250_000, 180_000, 250_000, 310_000] * 5, 5, Meaning.PLAIN),
        ([None] * 20, 1, Meaning.PLAIN),
    ],
)
def test_the_values_of_a_number_tell(judge: Make, values: list[Any], each: int, meaning: Meaning) -> None:
    rule = judge(values, T.INTEGER, each=each)
    assert rule.meaning is meaning, str(rule)


def test_names_that_sound_harmless_are_judged_by_their_values(judge: Make) -> None:
    assert judge(["I10", "E11.9"] * 10, name="diagnosis").action is Action.KEEP
    assert judge(["call 603-555-0117", "ok"] * 10, name="result").action is Action.DROP
    assert judge([f"Jane Doe{at}" for at in range(20)], name="group").action is Action.DROP
    assert judge([f"text {at} of no list" for at in range(60)], each=3, name="status").action is Action.DROP
    assert judge(["since she moved in with Jane"] * 20, name="since").action is Action.DROP, "no dates"
    assert judge(["HEADACHE", "NAUSEA"] * 10, name="AETERM").action is Action.KEEP
    assert judge([4711 + at for at in range(20)], T.INTEGER, name="detail_code").action is Action.DROP
    assert judge([4711, 4712] * 10, T.INTEGER, name="drug_code").action is Action.KEEP
    assert judge([5_600, 7_100, 6_400] * 7, T.INTEGER, name="details").action is Action.KEEP


def test_the_other_kinds_keep_what_nobody_knows_unless_it_is_for_each_subject_another(judge: Make) -> None:
    towns, names = ["Springfield", "Shelbyville"] * 10, [f"Surname{at}" for at in range(20)]
    assert judge(towns, of=Kind.PSEUDONYMISE).action is Action.KEEP
    assert judge(names, of=Kind.PSEUDONYMISE).action is Action.HASH
    assert judge(towns, of=Kind.DATE_SHIFT).action is Action.DROP
    assert judge(["x"], name="comment", of=Kind.PSEUDONYMISE).action is Action.SCRUB
    assert judge(["x"], name="comment", of=Kind.DATE_SHIFT).action is Action.DROP


DM = Dataset(
    "DM",
    (
        Variable("USUBJID", label="Unique Subject Identifier", length=30, format="$30.", key=1),
        Variable("INVNAM", key=2),
        Variable("VISITNUM", T.INTEGER, key=3),
        Variable("BRTHDTC", T.DATE, "Date/Time of Birth", 10),
        Variable("RFSTDT", T.DATE, "Start of the study's treatment, long", target=T.INTEGER, format="DATE9."),
        Variable("AGE", T.INTEGER, "Age"),
        Variable("AGEU"),
        Variable("ZIP", label="ZIP", length=10),
        Variable("COUNTRY"),
        Variable("AVAL", T.DOUBLE),
        Variable("COVAL", length=20),
    ),
    extra={"xpt.os": "LINUX"},
)
ROWS: dict[str, list[Any]] = {
    "USUBJID": ["A-1", "A-2", "A-3", None],
    "INVNAM": ["Dr. Who", "Dr. No", "", None],
    "VISITNUM": [1, 2, None, 4],
    "BRTHDTC": ["1959-03-12", "1936-01", None, "2001"],
    "RFSTDT": [19_725.0, None, missing.special("A"), 20_000.0],
    "AGE": [89, 90, None, 1_100],
    "AGEU": ["YEARS", "YEARS", None, "MONTHS"],
    "ZIP": ["02139", "03601", "80331", None],
    "COUNTRY": ["USA", "US", "DEU", None],
    "AVAL": [5.4, missing.special("Z"), None, float("nan")],
    "COVAL": ["Dr. Who saw A-1", "", None, "x" * 20],
}


@pytest.fixture(scope="module")
def rows(batch_of: Make) -> pa.RecordBatch:
    batch: pa.RecordBatch = batch_of(DM, ROWS)
    return batch


def test_safe_harbor(rows: pa.RecordBatch, profile: Make) -> None:
    plan = planned(DM, profile(), rows)
    done = plan.apply(rows)
    assert done.schema == schema(plan.dataset) == plan.schema
    assert done.column_names == ["USUBJID", "VISITNUM", "BRTHDTC", "RFSTDT", "AGE", "AGEU", "ZIP", "COUNTRY", "AVAL"]
    found = done.to_pydict()
    assert found["BRTHDTC"] == ["1959", "90+", None, "2001"]
    assert found["RFSTDT"] == ["2014", None, None, "2014"], "as text a date has no special missing values"
    assert found["AGE"] == [89, 90, None, 1_080]
    assert found["ZIP"] == ["021", "000", None, None], "another country has other codes"
    assert found["USUBJID"][3] is None
    assert [missing.letter(value) if value is not None else None for value in found["AVAL"]] == ["", "Z", None, ""]
    variables = {one.name: one for one in plan.dataset.variables}
    assert variables["BRTHDTC"].type is T.STRING
    assert variables["BRTHDTC"].label == "Date/Time of Birth (year)"
    assert variables["BRTHDTC"].length == variables["RFSTDT"].length == 4
    assert variables["RFSTDT"].label == "Start of the study's treatment, long", "no room in 40 characters"
    assert (variables["RFSTDT"].target, variables["RFSTDT"].format) == (None, "")
    assert (variables["USUBJID"].length, variables["USUBJID"].format) == (7, "")
    assert (variables["USUBJID"].key, variables["VISITNUM"].key) == (1, 2), "without a gap where one was left out"
    assert variables["VISITNUM"].extra == {}
    assert variables["ZIP"].extra["deidentify.rule"].startswith("ZIP code -> first three digits")
    assert plan.dataset.extra == {
        "xpt.os": "LINUX",
        "deidentify.kind": "safe-harbor",
        "deidentify.label": "HIPAA Safe Harbor, 45 CFR 164.514(b)(2)",
    }


def test_date_shift(rows: pa.RecordBatch, profile: Make) -> None:
    plan = planned(DM, profile(Kind.DATE_SHIFT), rows)
    done = plan.apply(rows)
    assert done.schema == schema(plan.dataset)
    assert "NOT Safe Harbor" in plan.label
    assert "limited data set" in plan.label
    found = done.to_pydict()
    assert found["BRTHDTC"][1] is None, "it says that somebody is over 89"
    assert found["BRTHDTC"][3] is None, "nobody to shift it for"
    assert found["BRTHDTC"][0] < "1959-03-12"
    assert 19_725 - 364 <= found["RFSTDT"][0] <= 19_724
    assert missing.letter(found["RFSTDT"][2]) == "A"
    assert found["RFSTDT"][3] is None
    assert found["AGE"] == [89, 90, None, 1_080]
    assert found["ZIP"] == ROWS["ZIP"]


def test_none_changes_nothing(rows: pa.RecordBatch, profile: Make) -> None:
    plan = planned(DM, profile(Kind.NONE, key=b"", export=""), rows)
    assert plan.dataset is DM
    assert str(plan.apply(rows).to_pydict()) == str(rows.to_pydict())
    assert plan.label == "not de-identified"


def test_tables_without_a_subject_have_years_for_dates(batch_of: Make, profile: Make) -> None:
    dataset = Dataset("TS", (Variable("TSSEQ", T.INTEGER), Variable("STARTDTC", T.DATE)))
    batch = batch_of(dataset, {"TSSEQ": [1], "STARTDTC": ["2014-05-12"]})
    plan = planned(dataset, profile(Kind.DATE_SHIFT), batch)
    assert plan.apply(batch).to_pylist() == [{"TSSEQ": 1, "STARTDTC": "2014"}]
    assert "no subject to shift by" in str(plan.rules[1])


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"NOPE": Action.KEEP}, "no such variable"),
        ({"AVAL": Action.SCRUB}, "text"),
        ({"AVAL": Action.SHIFT}, "dates"),
        ({"RFSTDT": Action.AGE}, "numbers and text"),
        (dict.fromkeys(DM.names, Action.DROP), "nothing is left"),
    ],
)
def test_overrides_that_cannot_be(rows: pa.RecordBatch, profile: Make, columns: dict[str, Action], said: str) -> None:
    with pytest.raises(DataError, match=said):
        planned(DM, profile(columns=columns), rows)


def test_overrides_and_what_they_do_to_the_label(rows: pa.RecordBatch, profile: Make) -> None:
    kept = planned(DM, profile(columns={"BRTHDTC": Action.KEEP}), rows)
    assert kept.label == "de-identified in part, NOT Safe Harbor: BRTHDTC as chosen"
    assert kept.apply(rows).to_pydict()["BRTHDTC"] == ROWS["BRTHDTC"]
    assert str(kept.rules[3]) == "BRTHDTC: date of birth -> kept, as chosen"
    stricter = planned(DM, profile(columns={"AVAL": Action.DROP, "BRTHDTC": Action.DROP}), rows)
    assert stricter.label == "HIPAA Safe Harbor, 45 CFR 164.514(b)(2)"
    scrubbed = planned(DM, profile(columns={"COVAL": Action.SCRUB}), rows)
    assert "only if somebody has read COVAL" in scrubbed.label
    assert scrubbed.apply(rows).to_pydict()["COVAL"] == ["[NAME] saw A-1", "", None, "x" * 20]
    text = planned(DM, profile(columns={"COVAL": Action.KEEP}), rows)
    assert text.label.endswith("; COVAL kept as chosen")
    named = planned(DM, profile(Kind.PSEUDONYMISE, columns={"INVNAM": Action.KEEP}), rows)
    assert named.label.endswith("; but INVNAM left as chosen")
    shifted = planned(DM, profile(columns={"BRTHDTC": Action.SHIFT}), rows)
    assert "NOT Safe Harbor" in shifted.label


def test_rows_that_nobody_looked_at_do_not_leave(rows: pa.RecordBatch, profile: Make) -> None:
    plan = planned(DM, profile(), rows)
    plan.apply(rows)
    with pytest.raises(DataError, match="more rows"):
        plan.apply(rows.slice(0, 1))


def test_empty_batches_and_slices(rows: pa.RecordBatch, profile: Make) -> None:
    plan = planned(DM, profile(), rows.slice(0, 0), rows)
    whole = planned(DM, profile(), rows).apply(rows)
    assert plan.apply(rows.slice(0, 0)).num_rows == 0
    assert (
        pa.Table.from_batches([plan.apply(rows.slice(0, 1)), plan.apply(rows.slice(1))]).to_pylist()[0]
        == whole.to_pylist()[0]
    )
    empty = planned(DM, profile())
    assert empty.schema == schema(empty.dataset)


def test_ages_keep_their_special_missing_values(batch_of: Make, profile: Make) -> None:
    dataset = Dataset("T", (Variable("AGE", T.DOUBLE), Variable("AGEGR1", length=5)))
    rows = {"AGE": [89.9, 90.0, missing.special("B"), None], "AGEGR1": ["80-89", ">=90", "85-94", None]}
    batch = batch_of(dataset, rows)
    plan = planned(dataset, profile(), batch)
    found = plan.apply(batch).to_pydict()
    assert found["AGE"][:2] == [89.9, 90.0]
    assert missing.letter(found["AGE"][2]) == "B"
    assert found["AGEGR1"] == ["80-89", "90+", "85+", None]


def test_numbers_as_ids(batch_of: Make, profile: Make) -> None:
    dataset = Dataset("T", (Variable("subject_no", T.DOUBLE), Variable("site", T.INTEGER)))
    batch = batch_of(dataset, {"subject_no": [4711.0, 4711.0, missing.special("A"), None], "site": [1, 2, 1, None]})
    plan = planned(dataset, profile(Kind.PSEUDONYMISE), batch)
    found = plan.apply(batch).to_pydict()
    text = Dataset("U", (Variable("subject_no"),))
    other = planned(text, profile(Kind.PSEUDONYMISE), ids := batch_of(text, {"subject_no": ["4711"]}))
    assert found["subject_no"][0] == found["subject_no"][1] == other.apply(ids).to_pydict()["subject_no"][0]
    assert found["subject_no"][2:] == [None, None]
    assert found["site"][0] == found["site"][2] != found["site"][1]


def test_the_profile_names_the_subject(batch_of: Make, profile: Make) -> None:
    dataset = Dataset("T", (Variable("COL1"), Variable("start_date", T.DATE)))
    batch = batch_of(dataset, {"COL1": ["a", "b"], "start_date": ["2014-05-12", "2014-05-12"]})
    found = planned(dataset, profile(Kind.DATE_SHIFT, subject="COL1"), batch).apply(batch).to_pydict()
    assert found["start_date"][0] != found["start_date"][1]
    assert not set(found["COL1"]) & {"a", "b"}


SEX = Variable("SEX")
_CELLS: dict[DataType, st.SearchStrategy[Any]] = {
    T.STRING: st.text(max_size=12), T.URI: st.text(max_size=12), T.INTEGER: st.integers(-(2**63), 2**63 - 1),
    T.DECIMAL: st.decimals(allow_nan=False, allow_infinity=False, places=2).map(str),
    T.FLOAT: st.floats(), T.DOUBLE: st.floats() | st.sampled_from([missing.special("A"), missing.special("_")]),
    T.BOOLEAN: st.booleans(), T.DATE: st.dates().map(str) | st.sampled_from(["2014-05", "2014", ""]),
    T.DATETIME: st.datetimes().map(lambda one: one.isoformat()), T.TIME: st.times().map(str),
}  # fmt: skip
_NAMES = (
    "USUBJID",
    "AGE",
    "BRTHDTC",
    "COL1",
    "ZIP",
    "comment",
    "phone",
    "STARTDT",
    "LBORRES",
    "SITEID",
    "Uhrzeit",
    "x",
)


@st.composite
def _any_table(draw: st.DrawFn) -> tuple[Dataset, dict[str, list[Any]]]:
    names = draw(st.lists(st.sampled_from(_NAMES), min_size=1, max_size=6, unique=True))
    rows = draw(st.integers(0, 6))
    variables, columns = [], {}
    for name in names:
        kind = draw(st.sampled_from(list(DataType)))
        counted = kind in (T.DATE, T.DATETIME, T.TIME) and draw(st.booleans())
        cell = st.floats(-1e6, 1e6) if counted else _CELLS[kind]
        variables.append(Variable(name, kind, target=T.INTEGER if counted else None))
        columns[name] = draw(st.lists(st.none() | cell, min_size=rows, max_size=rows))
    return Dataset("T", tuple(variables)), columns


@given(table=_any_table(), kind=st.sampled_from(list(Kind)), scrub=st.booleans())
def test_any_table_has_a_plan_whose_schema_its_rows_have(
    batch_of: Make, profile: Make, table: tuple[Dataset, dict[str, list[Any]]], kind: Kind, scrub: bool
) -> None:
    dataset, columns = table
    batch = batch_of(dataset, columns)
    observed = tables.observe(dataset, one := profile(kind, text=Action.SCRUB if scrub else None))
    observed.see(batch)
    plan = tables.plan(Dataset("T", (*dataset.variables, SEX)), one, observed)  # something is left then
    batch = batch.append_column(pa.field("SEX", pa.string()), pa.nulls(batch.num_rows, pa.string()))
    done = plan.apply(batch)
    assert done.schema == schema(plan.dataset)
    assert done.num_rows == batch.num_rows
    done.validate(full=True)
    for rule in plan.rules:
        if rule.action is Action.KEEP:
            given_cells, cells = batch.column(rule.variable), done.column(rule.variable)
            assert cells.null_count == given_cells.null_count
            assert cells.buffers()[-1] == given_cells.buffers()[-1] or cells.equals(given_cells)
        elif rule.action is not Action.DROP:
            nulls = batch.column(rule.variable).is_null().to_pylist()
            assert all(
                cell is None for null, cell in zip(nulls, done.column(rule.variable).to_pylist(), strict=True) if null
            )


@pytest.mark.ledger_part("S1-24", "date shift: intervals of a subject stay, of counts and of text")
@given(
    days=st.lists(st.dates(min_value=datetime.date(1950, 1, 1)), min_size=2, max_size=6),
    subjects=st.lists(st.sampled_from("abc"), min_size=6, max_size=6),
)
def test_intervals_of_a_subject_stay(batch_of: Make, profile: Make, days: list[Any], subjects: list[str]) -> None:
    dataset = Dataset(
        "T",
        (
            Variable("USUBJID"),
            Variable("ASTDTC", T.DATE),
            Variable("ASTDTM", T.DATETIME),
            Variable("ASTDT", T.DATE, target=T.INTEGER),
        ),
    )
    count = [float((day - datetime.date(1960, 1, 1)).days) for day in days]
    rows: dict[str, list[Any]] = {
        "USUBJID": subjects[: len(days)],
        "ASTDTC": [str(day) for day in days],
        "ASTDTM": [f"{day}T08:30:00.5Z" for day in days],
        "ASTDT": count,
    }
    batch = batch_of(dataset, rows)
    found = planned(dataset, profile(Kind.DATE_SHIFT), batch).apply(batch).to_pydict()
    moved = [(datetime.date.fromisoformat(text) - day).days for text, day in zip(found["ASTDTC"], days, strict=True)]
    assert [new - old for new, old in zip(found["ASTDT"], count, strict=True)] == moved
    assert [text[10:] for text in found["ASTDTM"]] == ["T08:30:00.5Z"] * len(days)
    assert [text[:10] for text in found["ASTDTM"]] == found["ASTDTC"]
    assert all(-364 <= one <= -1 for one in moved)
    assert len(set(zip(rows["USUBJID"], moved, strict=True))) == len(set(rows["USUBJID"])), (
        "one number of days a subject"
    )
