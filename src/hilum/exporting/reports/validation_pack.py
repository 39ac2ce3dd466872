"""The validation pack: requirements and tests, what is installed here, and self-tests that were run (ledger S0-27)."""

from __future__ import annotations

import asyncio
from collections import Counter

import hilum
from hilum import clock
from hilum.exporting.definition import Asked, Definition
from hilum.exporting.means import Means, Watch
from hilum.exporting.qualification import installation, operation, traceability
from hilum.exporting.qualification.installation import Item
from hilum.exporting.qualification.operation import Ran
from hilum.formats.report.document import Column, Figure, Kind, Row, Section, Table, Tone

_RESULT = {"passed": Tone.GOOD, "failed": Tone.BAD}
_CHECKED = (
    Column("what", "What"), Column("expected", "Expected"), Column("found", "Found", width=2),
    Column("result", "Result", tones=_RESULT),
)  # fmt: skip
_RAN = (
    Column("test", "Self-test"), Column("about", "What is done", width=2), Column("result", "Result", tones=_RESULT),
    Column("found", "Found", width=2), Column("began", "Run at (UTC)", Kind.TIME),
    Column("took", "Took", Kind.DURATION),
)  # fmt: skip
_TRACED = (
    Column("requirement", "Id"), Column("text", "Requirement", width=2),
    Column("proven", "By tests", tones={"whole": Tone.GOOD, "part": Tone.WARN, "not yet": Tone.BAD}),
    Column("tests", "Tests", width=3),
)  # fmt: skip


async def build(means: Means, asked: Asked, watch: Watch) -> tuple[Section, ...]:
    """Raises StoreError, Conflict where nobody wants it any more."""
    await means.flush()
    software = await asyncio.to_thread(lambda: list(installation.software()))
    there = await installation.hub(means, asked)
    settings = await installation.settings(means, asked)
    ran = await operation.run(means, asked, watch)
    traced = await asyncio.to_thread(traceability.requirements)
    return (
        _summary([*software, *there], ran, traced),
        Section(
            "Installation qualification", "What is installed where this report was made. What names an extra is needed "
            "only where that extra is used.",
            tables=(_items("Store and keys", there), _items("Software", software)),
        ),
        Section(
            "Settings of the organization", "As they were when this report was made; without secrets.",
            tables=(Table("Settings", (Column("name", "Setting"), Column("value", "Value", width=2)), settings),),
        ),
        Section(
            "Operational qualification", "Self-tests that this hub ran while it made this report. The audit chain is "
            "checked by the copies of its checkpoints; “hilum audit verify” does so by their files.",
            tables=(Table("Self-tests", _RAN, [_ran(one) for one in ran]),),
        ),
        _trace(traced),
    )  # fmt: skip


def _summary(items: list[Item], ran: list[Ran], traced: list[traceability.Requirement]) -> Section:
    wrong = sum(one.passed is False for one in items)
    broken = sum(not one.passed for one in ran)
    proven = Counter(one.proven for one in traced)
    return Section(
        "Summary",
        "It shows that this release is installed as it should be, and works at this site, and which test proves which "
        "requirement. To approve it, sign the export that it is in (POST /api/v1/signatures, entity export/…): the "
        "signature is of the SHA-256 of this file.",
        figures=(
            Figure("Release", f"Hilum {hilum.__version__}", Kind.TEXT),
            Figure("Installation checks passed", sum(one.passed is True for one in items), hint=f"{wrong:,} failed",
                   tone=Tone.BAD if wrong else Tone.GOOD),
            Figure("Self-tests passed", len(ran) - broken, hint=f"of {len(ran):,}",
                   tone=Tone.BAD if broken else Tone.GOOD),
            Figure("Requirements proven whole", proven["whole"],
                   hint=f"of {len(traced) - proven['same as another']:,}; {proven['part']:,} in part"),
        ),
    )  # fmt: skip


def _items(title: str, items: list[Item]) -> Table:
    told = {True: "passed", False: "failed", None: None}
    return Table(title, _CHECKED, [(one.name, one.expected or None, one.found, told[one.passed]) for one in items])


def _ran(one: Ran) -> Row:
    result = "passed" if one.passed else "failed"
    return (one.name, one.about, result, one.found, clock.from_micros(one.began), round(one.took, 6))


def _trace(traced: list[traceability.Requirement]) -> Section:
    rows = [
        (
            one.id, one.text, one.proven,
            "\n".join(proof.test if proof.part is None else f"{proof.test} ({proof.part})" for proof in one.proofs),
        )
        for one in traced
    ]  # fmt: skip
    text = (
        "Each requirement of the ledger, and the tests that claim to prove it, whole or in part, in this release's "
        "sources. The tests are run before a release; “make ledger” runs them again and says what became of each."
    )
    return Section("Requirements and tests", text, tables=(Table("Trace matrix", _TRACED, rows),))


REPORT = Definition(
    "validation-pack", "Validation pack",
    "Requirements and their tests, what is installed here, and self-tests that this hub runs while it is made.",
    frozenset({"audit:read"}), build, days=0, by_study=False,
)  # fmt: skip
