"""Timestamps keep their precision, and local times that happen twice or never are told."""

from __future__ import annotations

import re
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.expressions.timestamps import (
    UNITS,
    Pattern,
    Precision,
    convert,
    localize,
    parse_hl7,
    parse_iso,
    pattern,
    shift,
)

BERLIN = ZoneInfo("Europe/Berlin")

HL7 = st.from_regex(
    re.compile(
        r"[0-9]{4}([01][0-9]([0-3][0-9]([0-2][0-9]([0-5][0-9]([0-5][0-9](\.[0-9]{1,4})?)?)?"
        r"([+-]0[0-9]00)?)?)?)?"
    ),
    fullmatch=True,
)


@pytest.mark.parametrize(
    ("hl7", "iso"),
    [
        ("1970", "1970"),
        ("197001", "1970-01"),
        ("19700101", "1970-01-01"),
        ("1970010112", "1970-01-01T12"),
        ("197001011230+0100", "1970-01-01T12:30+01:00"),
        ("19700101123001", "1970-01-01T12:30:01"),
        ("19700101123001.1-0330", "1970-01-01T12:30:01.1-03:30"),
        ("19700101123001.1234", "1970-01-01T12:30:01.1234"),
        ("0001", "0001"),
    ],
)
def test_what_is_known_is_written(hl7: str, iso: str) -> None:
    assert parse_hl7(hl7).iso() == iso
    assert parse_hl7(hl7).hl7() == hl7
    assert parse_iso(iso).hl7() == hl7


@pytest.mark.parametrize(
    "text",
    ["", "197", "19701", "19700230", "1970010125", "1970-01-01", "19700101+0100", "20240101120000+1500",
     "0000", "20240101120060", "20240101120000.", "20240101120000+0160", " 1970", "١٩٧٠"],
)  # fmt: skip
def test_what_is_no_hl7_timestamp(text: str) -> None:
    with pytest.raises(ValueError, match=r"^(is|has) "):
        parse_hl7(text)


@pytest.mark.parametrize("text", ["1970-1-1", "19700101", "1970-01-01T25:00", "1970-02-30", "1970-01-01Z"])
def test_what_is_no_iso_timestamp(text: str) -> None:
    with pytest.raises(ValueError, match=r"^(is|has) "):
        parse_iso(text)


def test_iso_knows_z() -> None:
    assert parse_iso("2024-07-01T10:00:00Z").hl7() == "20240701100000+0000"


@given(HL7)
def test_every_timestamp_comes_back_as_it_was(text: str) -> None:
    try:
        stamp = parse_hl7(text)
    except ValueError:
        return
    assert stamp.hl7() == text.replace("-0000", "+0000")  # an offset of nothing has one sign
    if stamp.precision > Precision.HOUR:
        assert parse_iso(stamp.iso()) == stamp


@pytest.mark.parametrize(
    ("text", "offset", "findings"),
    [
        ("20240701120000", "20240701120000+0200", 0),
        ("20240101120000", "20240101120000+0100", 0),
        ("20241027023000", "20241027023000+0200", 1),  # happens twice
        ("2024102702", "2024102702+0200", 1),
        ("20241027030000", "20241027030000+0100", 0),
        ("20241027023000+0100", "20241027023000+0100", 0),
        ("20240701", "20240701", 0),
        ("99991231235959", "99991231235959+0100", 0),
        ("00010101000000", "00010101000000+0053", 0),
    ],
)
def test_localize(text: str, offset: str, findings: int) -> None:
    notes: list[str] = []
    assert localize(parse_hl7(text), BERLIN, notes.append).hl7() == offset
    assert len(notes) == findings


def test_a_local_time_that_never_happens_is_an_error() -> None:
    with pytest.raises(ValueError, match="Europe/Berlin skips"):
        localize(parse_hl7("20240331023000"), BERLIN, print)


@pytest.mark.parametrize(
    ("text", "zone", "result"),
    [
        ("20240701120000+0200", "America/New_York", "20240701060000-0400"),
        ("20240101000000.5+0100", "UTC", "20231231230000.5+0000"),
        ("19700101", "UTC", "19700101"),
        ("20240101120000", "UTC", "20240101120000"),
        ("2024010112+0100", "UTC", "2024010111+0000"),
    ],
)
def test_convert(text: str, zone: str, result: str) -> None:
    assert convert(parse_hl7(text), ZoneInfo(zone)).hl7() == result


def test_an_hour_is_not_shifted_by_half_an_hour() -> None:
    with pytest.raises(ValueError, match="hour only"):
        convert(parse_hl7("2024010112+0100"), ZoneInfo("Asia/Kolkata"))


@pytest.mark.parametrize("text", ["00010101000000+0100", "99991231235959-0100"])
def test_the_calendar_ends(text: str) -> None:
    with pytest.raises(ValueError, match="calendar's end"):
        convert(parse_hl7(text), ZoneInfo("UTC"))


@pytest.mark.parametrize(
    ("text", "amount", "unit", "result"),
    [
        ("20240131", 1, "months", "20240229"),
        ("20240331", -1, "months", "20240229"),
        ("20240229", 1, "years", "20250228"),
        ("2024", 1, "years", "2025"),
        ("202412", 1, "months", "202501"),
        ("20241231", 1, "days", "20250101"),
        ("20241231", -2, "weeks", "20241217"),
        ("2024010123", 2, "hours", "2024010201"),
        ("202401012359", 1, "minutes", "202401020000"),
        ("20240101235959.5+0100", 1, "seconds", "20240102000000.5+0100"),
    ],
)
def test_shift(text: str, amount: int, unit: str, result: str) -> None:
    assert shift(parse_hl7(text), amount, unit).hl7() == result


@given(HL7, st.integers(), st.sampled_from(sorted(UNITS)))
def test_shift_is_a_timestamp_or_a_value_error(text: str, amount: int, unit: str) -> None:
    try:
        stamp = parse_hl7(text)
        later = shift(stamp, amount, unit)
    except ValueError:
        pass
    else:
        assert (later.precision, later.offset, later.digits) == (stamp.precision, stamp.offset, stamp.digits)
        assert len(later.hl7()) == len(text)


@pytest.mark.parametrize(("text", "unit"), [("2024", "months"), ("202401", "weeks"), ("20240101", "hours")])
def test_what_is_not_known_is_not_shifted(text: str, unit: str) -> None:
    with pytest.raises(ValueError, match="not precise enough"):
        shift(parse_hl7(text), 1, unit)


@pytest.mark.parametrize(
    ("form", "text", "hl7"),
    [
        ("yyyy-MM-dd", "2024-12-31", "20241231"),
        ("dd.MM.yyyy[ HH:mm[:ss]]", "31.12.2024", "20241231"),
        ("dd.MM.yyyy[ HH:mm[:ss]]", "31.12.2024 18:30", "202412311830"),
        ("dd.MM.yyyy[ HH:mm[:ss]]", "31.12.2024 18:30:05", "20241231183005"),
        ("yyyy-MM-dd'T'HH:mm:ss.SSSXXX", "2024-12-31T18:30:05.250+01:00", "20241231183005.250+0100"),
        ("yyyyMMddHHmmssXX", "20241231183005-0330", "20241231183005-0330"),
        ("yyyy' o''clock '", "2024 o'clock ", "2024"),
        ("yyyy.(*)", "2024.(*)", "2024"),
    ],
)
def test_patterns_go_both_ways(form: str, text: str, hl7: str) -> None:
    assert Pattern(form).parse(text).hl7() == hl7
    assert Pattern(form).format(parse_hl7(hl7)) == text


@pytest.mark.parametrize(
    ("form", "hl7", "text"),
    [
        ("yyyy[-MM[-dd]]", "2024", "2024"),
        ("yyyy[-MM[-dd]]", "202402", "2024-02"),
        ("[HH:mm ]dd.MM.yyyy", "20240201", "01.02.2024"),
        ("yyyy[ HH[XXX] 'h'].", "2024020112", "2024 12 h."),
        ("yyyy[ HH[:mm]X[X].]", "20240201", None),
        ("yyyy[ ss]", "20240201123005.12", "2024 05"),
        ("ss.S yyyy", "20240201123005.12", "05.1 2024"),
        ("yyyy[ ss[.SSS]]", "20240201123005.12", "2024 05"),
        ("yyyy[ HH 'and [' mm]", "2024020112", "2024"),
    ],
)
def test_brackets_are_left_out_where_unknown(form: str, hl7: str, text: str | None) -> None:
    if text is None:
        with pytest.raises(ValueError, match="no 'X'"):
            Pattern(form)
    else:
        assert Pattern(form).format(parse_hl7(hl7)) == text


def test_no_precision_is_made_up() -> None:
    with pytest.raises(ValueError, match="not precise enough"):
        pattern("yyyy-MM-dd HH:mm").format(parse_hl7("19700101"))


@pytest.mark.parametrize(
    "form",
    [
        "",
        "MM",
        "yyyy-yyyy",
        "yyyy[",
        "yyyy]",
        "yy",
        "yyyy 'x",
        "yyyy-mmm",
        "yyyyTHH",
        "yyyy" + "[ ]" * 9,
        "yyyy" + "." * 97,
    ],
)
def test_what_is_no_pattern(form: str) -> None:
    with pytest.raises(ValueError, match=r"pattern|place"):
        Pattern(form)


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("yyyy-MM-dd", "2024-13-01"),
        ("yyyy-MM-dd", "20240101"),
        ("yyyy[ MM] dd", "2024 05"),
        ("ss yyyy", "10 2024"),
    ],
)
def test_text_that_a_pattern_cannot_read(form: str, text: str) -> None:
    with pytest.raises(ValueError, match=r"^(is|lacks) "):
        Pattern(form).parse(text)


@given(st.text(alphabet="yMdHmsSX[]' .:-T\n", max_size=30), st.text(max_size=30))
def test_any_pattern_reads_or_is_refused(form: str, text: str) -> None:
    try:
        compiled = Pattern(form)
        compiled.parse(text)
    except ValueError:
        pass
    else:
        assert "yyyy" in form
