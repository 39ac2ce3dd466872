"""What is said of faults, a file a language: each class has its cause and what to do next, in plain words.

A new language is a file with the same table, and a line in TABLES. A test finds what is missing.
"""

from __future__ import annotations

from collections.abc import Mapping

from hilum.sdk.texts import de, en

USUAL = "en"
TABLES: Mapping[str, Mapping[str, tuple[str, str]]] = {"en": en.FAULTS, "de": de.FAULTS}
"""By language (RFC 5646), then by class: cause and next step."""


def advice(fault: str, language: str = USUAL) -> str:
    """Both as one text. Raises KeyError where there is no such class or language."""
    return " ".join(TABLES[language][fault])
