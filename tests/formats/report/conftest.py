"""Reports and boards as the hub will make them, with invented data."""

from __future__ import annotations

import datetime
import random
import re
from collections.abc import Callable, Mapping
from typing import Any

import pypdfium2
import pytest

from hilum.formats.report.document import (
    Chart,
    ChartKind,
    Column,
    Figure,
    Form,
    Kind,
    Report,
    Section,
    Series,
    Signature,
    Table,
    Tone,
)

START = datetime.datetime(2026, 11, 1, tzinfo=datetime.UTC)
DAYS = [START + datetime.timedelta(days=day) for day in range(30)]
HOURS = [START + datetime.timedelta(hours=hour) for hour in range(24)]
CREATED = datetime.datetime(2026, 12, 1, 7, 30, 12, tzinfo=datetime.UTC)
NAMES = ("adt-feed", "laboratory-results", "pharmacy-orders", "payments", "imaging-worklist", "registry-upload")
STATES = {"healthy": Tone.GOOD, "degraded": Tone.WARN, "unhealthy": Tone.BAD, "unknown": Tone.NEUTRAL}
PROOF = {"proven": Tone.GOOD, "failed": Tone.BAD, "open": Tone.WARN}


def report(title: str, *sections: Section, **about: Any) -> Report:
    return Report(
        id="0193a6f2-7c11-7d6a-9a51-6f2b8c1d4e90", title=title, organization="St. Example's Hospital Group",
        asked_by="Dr. Maria Müller-Ōkubo", created=CREATED, generator="Hilum 0.1.0", sections=sections,
        **{"period": (START, START + datetime.timedelta(days=30)), "purpose": "Monthly review", **about},
    )  # fmt: skip


def activity() -> Report:
    chance = random.Random(1)
    sent = Series("delivered", [chance.randint(4_000, 9_000) for _ in DAYS])
    dead = Series("dead letters", [chance.randint(0, 300) for _ in DAYS])
    rows = [
        (name, chance.choice(["HL7", "LAB_SYSTEM", "PAYMENT_GATEWAY"]), chance.choice(list(STATES)),
         chance.randint(1_000, 250_000), chance.randint(0, 900), chance.random() * 0.02, chance.random() * 3,
         DAYS[-1] + datetime.timedelta(seconds=chance.randint(0, 80_000)))
        for name in NAMES
    ]  # fmt: skip
    columns = (
        Column("integration", "Integration", width=2), Column("type", "Type"), Column("health", "Health", tones=STATES),
        Column("messages", "Messages", Kind.NUMBER), Column("dead", "Dead letters", Kind.NUMBER),
        Column("errors", "Error rate", Kind.PERCENT), Column("p95", "95th percentile", Kind.DURATION),
        Column("last", "Last message (UTC)", Kind.TIME),
    )  # fmt: skip
    return report(
        "Integration activity",
        Section(
            "Overview", "What every integration of the organization received and sent in the period.\n\nA message is "
            "counted once, however many destinations it has.",
            figures=(
                Figure("Messages received", 1_284_032, hint="4.1 % more than in October"),
                Figure("Delivered at the first try", 0.99873, Kind.PERCENT, "of all deliveries", Tone.GOOD),
                Figure("Dead letters", 412, hint="38 still open", tone=Tone.WARN),
                Figure("Slowest 95th percentile", 2.913, Kind.DURATION, "laboratory-results", Tone.NEUTRAL),
            ),
            charts=(
                Chart(ChartKind.STACKED, "Deliveries a day", DAYS, (sent, dead), unit="deliveries"),
                Chart(ChartKind.BAR, "Messages by integration", NAMES, (Series("messages", [r[3] for r in rows]),)),
            ),
        ),
        Section("Integrations", tables=(Table("All integrations", columns, rows),)),
        subtitle="All integrations of the production environment",
    )  # fmt: skip


def audit(count: int = 120) -> Report:
    chance = random.Random(2)
    columns = (
        Column("time", "Time (UTC)", Kind.TIME), Column("actor", "Actor"), Column("action", "Action"),
        Column("entity", "Entity", width=2), Column("outcome", "Outcome", tones={"denied": Tone.BAD}),
        Column("reason", "Reason", width=2),
    )  # fmt: skip
    rows = [
        (START + datetime.timedelta(minutes=7 * number), chance.choice(["m.mueller", "local:operator", "api-key/etl"]),
         chance.choice(["integration.update", "credential.rotate", "export.download", "message.read"]),
         f"integration/{chance.randrange(16**8):08x}-7c11-7d6a-9a51-{number:012d}",
         "denied" if chance.random() < 0.05 else "success",
         chance.choice([None, "Change request CR-2026-118: the laboratory moves to a new interface engine"]))
        for number in range(count)
    ]  # fmt: skip
    return report(
        "Audit trail",
        Section("Events", tables=(Table("Events in the order of the chain", columns, rows, "Times are in UTC."),)),
        purpose="Inspection of the study ABC-001",
        signatures=(
            Signature("Maria Müller-Ōkubo", CREATED, "I have reviewed this audit trail."),
            Signature("Jonas Petersen", CREATED + datetime.timedelta(hours=2), "Approved for the inspector."),
        ),
    )  # fmt: skip


def compliance() -> Report:
    columns = (
        Column("integration", "Integration", width=2), Column("host", "Host", width=2),
        Column("data", "Data categories"), Column("basis", "Legal basis"),
        Column("tls", "TLS", tones={"1.0": Tone.BAD, "1.2": Tone.WARN, "1.3": Tone.GOOD}),
        Column("tested", "Last test (UTC)", Kind.TIME), Column("synced", "Last sync (UTC)", Kind.TIME),
    )  # fmt: skip
    rows = [
        (name, f"{name}.interfaces.region-north.example-hospital-group.org", "identifiers, results",
         "GDPR Art. 9(2)(h)", tls, DAYS[20], None if name == "payments" else DAYS[28])
        for name, tls in zip(NAMES, ("1.3", "1.3", "1.2", "1.3", "1.0", "1.3"), strict=True)
    ]  # fmt: skip
    return report(
        "External connections",
        Section(
            "Connections",
            figures=(
                Figure("External systems", 6), Figure("With TLS 1.2 or newer", 5 / 6, Kind.PERCENT, tone=Tone.WARN),
                Figure("Never synchronized", 1, hint="payments", tone=Tone.BAD),
            ),
            tables=(Table("Every external connection", columns, rows, "TLS is the lowest version seen."),),
        ),
        note="Connections inside of the hub's own network are not listed.",
    )  # fmt: skip


def uptime() -> Report:
    chance, days = random.Random(4), range(30)
    down = tuple(
        Series(name, [None if day < 3 and name == "payments" else max(0, round(chance.gauss(-20, 25))) for day in days])
        for name in NAMES
    )
    shares = tuple(Series(name, [1 - chance.random() * 0.004 for _ in DAYS]) for name in NAMES[:3])
    columns = (
        Column("service", "Service", width=2), Column("target", "Target", Kind.PERCENT),
        Column("uptime", "Uptime", Kind.PERCENT), Column("kept", "Kept", tones={"yes": Tone.GOOD, "no": Tone.BAD}),
        Column("outages", "Outages", Kind.NUMBER), Column("longest", "Longest outage", Kind.DURATION),
        Column("down", "Time down", Kind.DURATION),
    )  # fmt: skip
    rows = [
        (name, 0.999, share, "yes" if share >= 0.999 else "no", chance.randint(0, 9), longest, longest * 2.5)
        for name, share, longest in zip(
            NAMES, (0.99997, 0.9989, 1.0, 0.99999999, 0.98, 0.9999), (12, 1_900, 0, 0.3, 31_000, 95), strict=True
        )
    ]
    return report(
        "Uptime and service levels",
        Section(
            "Service levels",
            figures=(
                Figure("Targets kept", "4 of 6", Kind.TEXT, tone=Tone.WARN),
                Figure("Mean uptime", 0.99647, Kind.PERCENT), Figure("Time down", 82_300, Kind.DURATION),
            ),
            charts=(Chart(ChartKind.HEAT, "Minutes down", DAYS, down, unit="minutes a day"),),
            tables=(Table("Targets", columns, rows),),
        ),
        Section("Course", charts=(
            Chart(ChartKind.LINE, "Uptime a day", DAYS, shares, measure=Kind.PERCENT),
            Chart(ChartKind.LINE, "Response time", HOURS, (Series("median", [0.02 + h / 900 for h in range(24)]),
                  Series("95th percentile", [0.09 + (h % 7) / 60 for h in range(24)])), measure=Kind.DURATION),
        )),
    )  # fmt: skip


def disclosures() -> Report:
    columns = (
        Column("date", "Date (UTC)", Kind.TIME), Column("recipient", "Recipient and address", width=2),
        Column("what", "What was disclosed", width=2), Column("purpose", "Purpose", width=2),
    )  # fmt: skip
    rows = [
        (DAYS[day], "Regional Cancer Registry\n12 Harbour Street, Exampleton",
         "Pathology report, date of birth, postcode", "Public health reporting required by law") for day in (2, 9, 23)
    ]  # fmt: skip
    return report(
        "Accounting of disclosures",
        Section(
            "Disclosures", "Disclosures of the person's protected health information in the six years before the "
            "request, as 45 CFR 164.528 asks for.", tables=(Table("Disclosures", columns, rows),),
        ),
        Section("Suspended", tables=(Table("Disclosures held back by an authority", columns, (), empty="None."),)),
        subtitle="Person 4711-0815", purpose="Request of the person of 28 November 2026",
    )  # fmt: skip


def validation() -> Report:
    columns = (
        Column("requirement", "Requirement"), Column("text", "What it asks for", width=3),
        Column("risk", "Risk"), Column("tests", "Tests", width=3), Column("state", "State", tones=PROOF),
    )  # fmt: skip
    rows = [
        (f"S1-{number:02}", "An export that was interrupted begins anew and gives the same bytes, whatever was written",
         ("low", "medium", "high")[number % 3],
         f"tests/exporters/test_parquet.py::test_the_same_rows_give_the_same_bytes[{number}]\ntests/jobs/test_export.py",
         list(PROOF)[min(2, number % 17 // 7)])
        for number in range(1, 41)
    ]  # fmt: skip
    return report(
        "Validation pack",
        Section(
            "Result",
            figures=(
                Figure("Requirements", 40), Figure("Proven", 0.675, Kind.PERCENT, tone=Tone.WARN),
                Figure("Tests", 3_211), Figure("Failed", 0, tone=Tone.GOOD),
                Figure("Longest run", 4_380, Kind.DURATION),
            ),
        ),
        Section("Requirements and their tests", tables=(Table("Trace matrix", columns, rows),)),
        period=None, signatures=(Signature("Ana Ruiz", CREATED, "Approved: fit for use (installation)."),),
    )  # fmt: skip


def integrations() -> Report:
    made = activity()
    figures = (
        Figure("Active", 42, hint="of 47"), Figure("Healthy", 38, tone=Tone.GOOD),
        Figure("Degraded", 3, tone=Tone.WARN), Figure("Unhealthy", 1, hint="payments", tone=Tone.BAD),
    )  # fmt: skip
    columns = (
        Column("integration", "Integration"), Column("health", "Health", tones=STATES),
        Column("since", "Since", Kind.TIME), Column("problem", "Problem", width=3),
    )  # fmt: skip
    rows = [
        ("payments", "unhealthy", DAYS[29], "the partner refuses the connection"),
        ("laboratory-results", "degraded", DAYS[28], "95th percentile above 2 s"),
    ]
    return report(
        "Integrations",
        Section("Now", figures=figures, tables=(Table("Problems", columns, rows),)),
        Section("Last 30 days", charts=made.sections[0].charts),
        form=Form.BOARD,
    )


def traffic() -> Report:
    chance = random.Random(7)
    flows = tuple(Series(name, [chance.randint(100, 900) * (1 + h % 12) for h in range(24)]) for name in NAMES[:4])
    return report(
        "Message traffic",
        Section(
            "Today",
            figures=(
                Figure("Received", 284_120), Figure("Delivered", 283_990), Figure("Waiting", 130, tone=Tone.NEUTRAL),
                Figure("Bytes received", 231_500_000, Kind.BYTES), Figure("Median", 0.0042, Kind.DURATION),
                Figure("99th percentile", 0.21, Kind.DURATION),
            ),
            charts=(
                Chart(ChartKind.LINE, "Messages an hour", HOURS, flows, unit="messages an hour"),
                Chart(ChartKind.STACKED, "By type", ["ADT", "ORU", "ORM", "SIU"], (
                    Series("delivered", [90_000, 70_000, 20_000, 9_000]), Series("filtered", [4_000, 100, 0, 20]),
                    Series("dead", [12, 400, 3, 0])), unit="messages"),
                Chart(ChartKind.BAR, "Bytes by integration", NAMES, (Series("bytes", [chance.randint(1, 90) * 10**6
                      for _ in NAMES]),), measure=Kind.BYTES),
                Chart(ChartKind.LINE, "Waiting for a destination", [], ()),
            ),
        ),
        form=Form.BOARD,
    )  # fmt: skip


def exports() -> Report:
    chance = random.Random(8)
    done = tuple(Series(name, [chance.randint(0, top) for _ in DAYS]) for name, top in (("ready", 90), ("failed", 6)))
    columns = (
        Column("name", "Export", width=2), Column("format", "Format"), Column("size", "Size", Kind.BYTES),
        Column("rows", "Rows", Kind.NUMBER), Column("took", "Took", Kind.DURATION), Column("state", "State"),
    )  # fmt: skip
    rows = [(f"LB-{n}", "parquet", n * 41_234_567, n * 100_000, n * 17.3, "ready") for n in range(1, 9)]
    return report(
        "Exports",
        Section(
            "This month",
            figures=(Figure("Ready", 1_204, tone=Tone.GOOD), Figure("Failed", 31, tone=Tone.BAD),
                     Figure("Rows", 412_000_321), Figure("Bytes", 9.1e10, Kind.BYTES)),
            charts=(Chart(ChartKind.STACKED, "Exports a day", DAYS, done, unit="exports"),
                    Chart(ChartKind.BAR, "By format", ["parquet", "csv", "xlsx", "sas-xpt-v5"],
                          (Series("exports", [700, 410, 92, 33]),))),
        ),
        Section("Largest", tables=(Table("Largest exports", columns, rows),)),
        form=Form.BOARD,
    )  # fmt: skip


MADE = {
    "activity": activity, "audit": audit, "compliance": compliance, "uptime": uptime, "disclosures": disclosures,
    "validation": validation, "integrations": integrations, "traffic": traffic, "exports": exports,
}  # fmt: skip


@pytest.fixture(scope="session")
def samples() -> Mapping[str, Report]:
    """Six reports and three boards, by name."""
    return {name: make() for name, make in MADE.items()}


@pytest.fixture(scope="session")
def make() -> Callable[..., Report]:
    """A report of sections, with everything else filled in."""
    return report


@pytest.fixture(scope="session")
def many() -> Callable[[int], Report]:
    """An audit trail of so many events."""
    return audit


@pytest.fixture(scope="session")
def pages() -> Callable[[bytes], list[str]]:
    """The text of each page of a PDF without its foot and without white space."""

    def read(pdf: bytes) -> list[str]:
        document = pypdfium2.PdfDocument(pdf)
        try:
            found = [document[place].get_textpage().get_text_bounded(bottom=50) for place in range(len(document))]
        finally:
            document.close()
        return [re.sub(r"\s", "", page.replace("\ufffe", "-").replace("\x02", "-")) for page in found]

    return read
