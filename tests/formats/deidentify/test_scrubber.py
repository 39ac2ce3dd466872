"""Identifiers out of text: by how they look, by value however it is spelled, in linear time."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.formats.deidentify import Kind, Known, Meaning, Profile, Scrubber
from hilum.formats.deidentify.patterns import PATTERNS

Make = Callable[..., Profile]


@pytest.fixture(scope="module")
def scrubber(profile: Make) -> Scrubber:
    return Scrubber(profile())


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("call (603) 555-0117 or +49 30 123456, 0171 2345678", "call [PHONE] or [PHONE], [PHONE]"),
        ("mail j.o'brien@example.org now", "mail [EMAIL] now"),
        ("see https://example.org/p?name=doe and www.example.net/x", "see [URL] and [URL]"),
        ("from 10.20.30.40, fe80::1 and 2001:db8:0:0:0:0:0:1", "from [IP], [IP] and [IP]"),
        ("version 1.2.3 of OID 2.16.840.1.113883.4", "version 1.2.3 of OID 2.16.840.1.113883.4"),
        ("SSN 123-45-6789", "SSN [SSN]"),
        ("MRN: 4711 08, Fall-Nr. 0815, Patientennummer 12345", "MRN: [MRN] 08, Fall-Nr. [MRN], Patientennummer [MRN]"),
        ("IBAN DE89 3704 0044 0532 0130 00", "IBAN [ACCOUNT]"),
        ("insured A123456789", "insured [PLAN]"),
        ("S/N AB-12345 and VIN 1HGCM82633A004352", "S/N [DEVICE] and VIN [VEHICLE]"),
        ("Kennzeichen M-AB 1234", "Kennzeichen [VEHICLE]"),
        ("12 Main Street, Springfield, IL 62701", "[ADDRESS]"),
        ("wohnt Ahornweg 17, 80331 München", "wohnt [ADDRESS]"),
        ("Dr. O'Brien, Frau Müller-Lüdenscheidt, Mr Smith", "Dr. [NAME], Frau [NAME], Mr [NAME]"),
        ("patient Jane Doe; Name: doe", "patient [NAME]; Name: [NAME]"),
        ("DOE^JANE^A in PID-5", "[NAME] in PID-5"),
        ("a 95-year-old, aged 91, 103 Jahre alt, 89 years", "a [90+], aged [90+], [90+], 89 years"),
        ("on 12.03.2019, March 12, 2019, 12MAR2019 and 20190312", "on 2019, 2019, 2019 and 2019"),
        ("born 12/03/1931 or 3/12/31", "born [DATE] or [DATE]"),
        ("at 08:30, 8 pm, 14:05 Uhr", "at [TIME], [TIME], [TIME]"),
        ("position 52.52001, 13.40495", "position [PLACE]"),
        ("number 1234567", "number [NUMBER]"),
        ("HbA1c 5.4 %, titer 1:160, 120/80 mmHg, 150-400 G/l, week 3, 3.5 mg", None),
        ("Take 1 tablet in the morning; may repeat in march steps", None),
        ("", None),
    ],
)
def test_what_looks_like_one(scrubber: Scrubber, text: str, left: str | None) -> None:
    assert scrubber.text(text) == (text if left is None else left)


KNOWN = Known.of(
    [
        (Meaning.NAME, "Jörg Müller-Lüdenscheidt"),
        (Meaning.NAME, "O'Brien"),
        (Meaning.NAME, "Łukasz Świątek"),
        (Meaning.NAME, "Grosse"),
        (Meaning.NAME, "山田太郎"),
        (Meaning.NAME, "Иванов"),
        (Meaning.MRN, "0004711-A"),
        (Meaning.PHONE, "+1 (603) 555-0117"),
        (Meaning.PLACE, "Bad Quellenbrück"),
    ]
)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("müller", "[NAME]"),
        ("MUELLER, JOERG", "[NAME]"),
        ("Muller jorg", "[NAME]"),
        (unicodedata.normalize("NFD", "Jörg Müller"), "[NAME]"),
        ("Mül\u00adler and jörgs mother", "[NAME] and [NAME] mother"),
        ("lüdenscheidt's report", "[NAME] report"),
        ("MuellerLuedenscheidt_Joerg.pdf", "[NAME]_[NAME].pdf"),
        ("obrien, O’BRIEN, O Brien, o'brien", "[NAME]"),
        ("lukasz swiatek", "[NAME]"),
        ("Herr Große", "Herr [NAME]"),
        ("患者山田太郎は", "患者[NAME]は"),
        ("ИВАНОВ пришёл", "[NAME] пришёл"),
        ("4711A / 4711 a / 0004711-A", "[MRN] / [MRN] / [MRN]"),
        ("603.555.0117", "[PHONE]"),
        ("quellenbrueck", "[PLACE]"),
        ("a mullerian duct of 47 mm", "a mullerian duct of 47 mm"),
        ("grosse Schmerzen", "[NAME] Schmerzen"),  # too much rather than too little
        ("bad news", "bad news"),  # a part of a place, but a short one
    ],
)
def test_known_values_however_they_are_spelled(scrubber: Scrubber, text: str, left: str) -> None:
    assert scrubber.text(text, KNOWN) == left


def test_what_nobody_can_know_stays(scrubber: Scrubber) -> None:
    """The page about it says so."""
    assert scrubber.text("jane from the corner shop says hello") == "jane from the corner shop says hello"


def test_pseudonymised_text_keeps_its_dates(profile: Make) -> None:
    scrubber = Scrubber(profile(Kind.PSEUDONYMISE))
    assert scrubber.text("Dr. Smith on 12.03.2019 at 08:30, aged 95") == "Dr. [NAME] on 12.03.2019 at 08:30, aged 95"
    assert Scrubber(profile(Kind.DATE_SHIFT)).text("on 12.03.2019") == "on [DATE]"


def test_only_what_is_sure(scrubber: Scrubber) -> None:
    assert scrubber.text("Hepatitis B, 1234567, 10.20.30.40", sure=True) == "Hepatitis B, 1234567, [IP]"


@given(st.text(max_size=200))
def test_any_text_comes_out(scrubber: Scrubber, text: str) -> None:
    once = scrubber.text(text, KNOWN)
    assert once == scrubber.text(text, KNOWN)


@given(st.text(st.characters(categories=["Cs", "L", "N", "P"]), max_size=50))
def test_halves_of_characters_come_back(scrubber: Scrubber, text: str) -> None:
    kept = [char for char in text if 0xD800 <= ord(char) < 0xE000]
    assert [char for char in scrubber.text(text) if 0xD800 <= ord(char) < 0xE000] == kept


def test_private_characters_stay(scrubber: Scrubber) -> None:
    assert scrubber.text("\U0010e123 Dr. Who") == "\U0010e123 Dr. [NAME]"


def test_long_texts_are_no_trouble(scrubber: Scrubber) -> None:
    """Of patterns that backtrack, each of these would keep a processor for hours."""
    for text in ("1-" * 20_000, "a." * 20_000 + "@", "+1 " * 20_000, "A" * 50_000, "(1" * 20_000, "1:" * 20_000):
        assert isinstance(scrubber.text(text, KNOWN), str)


def test_every_class_that_text_can_show_has_a_pattern() -> None:
    shown = {one.meaning for one in PATTERNS}
    not_in_text = {
        Meaning.BIRTH, Meaning.POSTCODE, Meaning.BIOMETRIC, Meaning.PHOTO, Meaning.SUBJECT, Meaning.SITE, Meaning.STAFF,
        Meaning.TEXT, Meaning.UNKNOWN, Meaning.REGION, Meaning.TYPED, Meaning.PLAIN,
    }  # fmt: skip
    assert shown == set(Meaning) - not_in_text
