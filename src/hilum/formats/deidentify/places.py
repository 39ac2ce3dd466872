"""What of an address may stay: of a ZIP code its first three digits, and those only where enough people live.

Source: 45 CFR 164.514(b)(2)(i)(B). The areas of 20,000 people or fewer are facts of the Census of 2000 (17 areas, as
HHS lists them) and of 2010 (18 areas). "Current" data is what the rule asks for, and an area that was left once is not
given back here: both lists hold. What a later census adds comes with the profile (`sparse`).
"""

from __future__ import annotations

import re2  # type: ignore[import-untyped]  # it ships no types

CENSUS_2000 = frozenset(
    ("036", "059", "063", "102", "203", "556", "692", "790", "821", "823", "830", "831", "878", "879", "884", "890",
     "893")
)  # fmt: skip
CENSUS_2010 = frozenset(
    ("036", "059", "102", "202", "203", "204", "205", "369", "556", "692", "753", "772", "821", "823", "878", "879",
     "884", "893")
)  # fmt: skip
NOBODY = frozenset(("000", "340", *(f"09{last}" for last in range(10)), *(f"96{last}" for last in range(2, 7))))
"""Post of the armed forces, and no area at all: the census counts nobody there."""

SPARSE = CENSUS_2000 | CENSUS_2010 | NOBODY
WITHHELD = "000"

_ZIP = re2.compile(r"\s*(?:US-?)?([0-9]{3})(?:[0-9]{2}(?:[- ]?[0-9]{4})?)?\s*")
_UNITED_STATES = frozenset(("us", "usa", "u.s.", "u.s.a.", "united states", "united states of america", "840"))


def zip3(code: str, sparse: frozenset[str] = frozenset()) -> str | None:
    """The first three digits of a ZIP or ZIP+4, `000` where few live; None for what is no ZIP code."""
    found = _ZIP.fullmatch(code)
    if found is None:
        return None
    area: str = found.group(1)
    return WITHHELD if area in SPARSE or area in sparse else area


def in_united_states(country: str) -> bool:
    """Whether a country's code or name means the one that ZIP codes belong to."""
    return country.strip().casefold() in _UNITED_STATES
