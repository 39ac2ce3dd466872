"""What is said of faults: in every language all of it, each its own, a cause and then what to do."""

from __future__ import annotations

import pytest

from hilum.sdk import texts
from hilum.sdk.faults import ADVICE, Fault


@pytest.mark.ledger_part("S2-44", "no class lacks its cause and next step in any language")
@pytest.mark.parametrize("language", sorted(texts.TABLES))
def test_no_text_is_missing(language: str) -> None:
    table = texts.TABLES[language]
    assert table.keys() == {one.value for one in Fault}
    said = [text for pair in table.values() for text in pair]
    assert all(text.strip() == text and text.endswith(".") and text[0].isupper() for text in said)
    assert len({pair[0] for pair in table.values()}) == len(Fault), "a cause says what is special about its class"
    assert texts.USUAL in texts.TABLES


def test_no_language_repeats_another() -> None:
    assert {"en", "de"} <= texts.TABLES.keys()
    for language, table in texts.TABLES.items():
        if language != texts.USUAL:
            assert not [one for one in Fault if table[one] == texts.TABLES[texts.USUAL][one]], language
    assert ADVICE[Fault.DNS] == texts.advice("dns") == " ".join(texts.TABLES["en"]["dns"])
    assert texts.advice("dns", "de").startswith("Der Name des Rechners hat keine Adresse. ")
