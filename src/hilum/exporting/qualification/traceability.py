"""Requirements and the tests that prove them, as `scripts/ledger.py --trace` wrote them down for this release."""

from __future__ import annotations

import dataclasses
import json
from importlib import resources

FILE = "trace.json"


@dataclasses.dataclass(frozen=True, slots=True)
class Proof:
    """`part`: what of the requirement the test proves; None: all of it."""

    test: str
    part: str | None


@dataclasses.dataclass(frozen=True, slots=True)
class Requirement:
    """A row of the ledger. `same`: it repeats another one and needs no proof of its own."""

    id: str
    text: str
    same: bool
    proofs: tuple[Proof, ...]

    @property
    def proven(self) -> str:
        """How much of it tests claim to prove."""
        if any(one.part is None for one in self.proofs):
            return "whole"
        return "part" if self.proofs else "same as another" if self.same else "not yet"


def requirements() -> list[Requirement]:
    """In the ledger's order."""
    text = resources.files(__package__).joinpath(FILE).read_text(encoding="utf-8")
    return [
        Requirement(row["id"], row["text"], row["same"], tuple(Proof(*one) for one in row["tests"]))
        for row in json.loads(text)
    ]
