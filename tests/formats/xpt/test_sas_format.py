"""Formats: their parts, how they are written, and which are dates."""

from __future__ import annotations

import pytest

from hilum.formats.xpt import sas_format
from hilum.formats.xpt.sas_format import SasFormat
from hilum.model.dataset import DataType


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ("", 0, 0)),
        ("DATE9.", ("DATE", 9, 0)),
        ("8.2", ("", 8, 2)),
        ("$20.", ("$", 20, 0)),
        ("$CHAR200.", ("$CHAR", 200, 0)),
        ("E8601DA10.", ("E8601DA", 10, 0)),
        ("B8601DT.", ("B8601DT", 0, 0)),
        ("BEST12.", ("BEST", 12, 0)),
        ("COMMA12.2", ("COMMA", 12, 2)),
        ("my_codes.", ("my_codes", 0, 0)),
    ],
)
def test_parts_and_text(text: str, parts: tuple[str, int, int]) -> None:
    assert sas_format.parse(text) == SasFormat(*parts)
    assert str(SasFormat(*parts)) == text


def test_a_point_that_was_forgotten() -> None:
    assert str(sas_format.parse("DATE9")) == "DATE9."


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        (
            DataType.DATE,
            "DATE E8601DA B8601DA IS8601DA YYMMDD YYMMDDN DDMMYYS MMDDYYP MONYY WEEKDATE WORDDATX YYQ JULIAN",
        ),
        (DataType.DATETIME, "DATETIME E8601DT B8601DN IS8601DT DTDATE DATEAMPM MDYAMPM NLDATM NLDATMAP"),
        (DataType.TIME, "TIME TIMEAMPM HHMM HOUR MMSS E8601TM B8601TZ NLTIME NLTIMAP time"),
        (None, "BEST COMMA F PERCENT DOLLAR $DATE YESNO Z DATES TIMES DATETIMEX TOD E8601 BDATE"),
    ],
)
def test_what_shows_a_date(kind: DataType | None, names: str) -> None:
    assert {name: sas_format.calendar(name) for name in names.split()} == dict.fromkeys(names.split(), kind)


@pytest.mark.parametrize("kind", list(sas_format.DEFAULT))
def test_the_format_that_a_date_is_given_says_its_type(kind: DataType) -> None:
    assert sas_format.calendar(sas_format.parse(sas_format.DEFAULT[kind]).name) is kind
