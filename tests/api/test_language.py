"""Which language a client is told causes and next steps in, and what of an answer that changes."""

from __future__ import annotations

import dataclasses

import pytest
from pydantic import BaseModel

from hilum.api import language
from hilum.sdk import texts


@pytest.mark.ledger_part("S2-44", "the language is the client's, by Accept-Language")
@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        (None, "en"), ("", "en"), ("de", "de"), ("DE-ch", "de"), ("fr, de;q=0.3", "de"), ("en, de", "en"),
        ("de;q=0.2, en;q=0.9", "en"), ("de;q=0.9,en;q=0.2", "de"), ("*", "en"), ("en;q=0, *", "de"), ("fr", "en"),
        ("de;q=0", "en"), ("de;q=7", "en"), ("\u00e4", "en"), (",".join(["x"] * 10_000), "en"),
    ],
)  # fmt: skip
def test_the_language_that_is_liked_best(header: str | None, wanted: str) -> None:
    assert language.chosen(header) == wanted


@dataclasses.dataclass(frozen=True)
class Part:
    errorClass: str | None
    cause: str | None
    nextStep: str | None
    advice: str | None
    warning: str | None = None


@dataclasses.dataclass(frozen=True)
class Whole:
    parts: list[Part]
    one: Part
    words: list[str]


class Wrapped(BaseModel):
    data: Part
    message: str


def test_what_is_translated() -> None:
    cause, step = texts.TABLES["en"]["dns"]
    wrong, fine = Part("dns", cause, step, f"{cause} {step}"), Part(None, None, None, None, texts.advice("auth"))
    odd = Part("of a plug-in", None, None, "do it", "as it likes")
    german = texts.TABLES["de"]["dns"]
    found = language.spoken(Whole([wrong, odd], fine, ["dns"]), "de")
    assert found.parts == [Part("dns", *german, " ".join(german)), odd]
    assert found.one == dataclasses.replace(fine, warning=texts.advice("auth", "de"))
    assert found.words == ["dns"]
    told = language.spoken(Wrapped(data=wrong, message="dns"), "de")
    assert (told.data.cause, told.message) == (german[0], "dns")
    assert language.spoken(wrong, "en") is wrong


def test_what_an_error_says() -> None:
    said = {"error_class": "dns", "advice": texts.advice("dns"), "attempts": 1}
    assert language.told(said, "de") == {**said, "advice": texts.advice("dns", "de")}
    assert language.told(said, "en") == said
    for other in ({"error_class": None, "advice": None}, {"error_class": "x", "advice": "y"}, {}):
        assert language.told(other, "de") == other
