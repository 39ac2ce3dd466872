"""Values as people read them."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.formats.report.document import Kind, Value
from hilum.formats.report.values import percent, plain, shown

TIME = datetime.datetime(2026, 3, 1, 0, 30, 5, tzinfo=datetime.timezone(datetime.timedelta(hours=2)))


@pytest.mark.parametrize(
    ("value", "kind", "found"),
    [
        (None, Kind.NUMBER, "–"), (True, Kind.NUMBER, "yes"), (False, Kind.TEXT, "no"), ("a b", Kind.BYTES, "a b"),
        (0, Kind.NUMBER, "0"), (-1234567, Kind.NUMBER, "-1,234,567"), (0.0, Kind.NUMBER, "0"), (-0.0, Kind.NUMBER, "0"),
        (1234.5, Kind.NUMBER, "1,234.5"), (2.0, Kind.NUMBER, "2"), (100.0, Kind.NUMBER, "100"),
        (0.00001, Kind.NUMBER, "1e-05"), (1e300, Kind.NUMBER, "1e+300"), (1 / 3, Kind.NUMBER, "0.333"),
        (1.0, Kind.PERCENT, "100 %"), (0.9999999, Kind.PERCENT, "99.99 %"), (0.5, Kind.PERCENT, "50 %"),
        (1e-9, Kind.PERCENT, "< 0.01 %"), (0, Kind.PERCENT, "0 %"), (-0.25, Kind.PERCENT, "-25 %"),
        (12.5, Kind.PERCENT, "1,250 %"), (0.57, Kind.PERCENT, "57 %"),
        (0, Kind.BYTES, "0 B"), (999, Kind.BYTES, "999 B"), (1000, Kind.BYTES, "1 kB"), (1_550, Kind.BYTES, "1.6 kB"),
        (999_999, Kind.BYTES, "1 MB"), (123_456_789, Kind.BYTES, "123 MB"), (2.5e21, Kind.BYTES, "2,500,000 PB"),
        (0, Kind.DURATION, "0 ms"), (0.0042, Kind.DURATION, "4.2 ms"), (0.25, Kind.DURATION, "250 ms"),
        (0.9996, Kind.DURATION, "1 s"), (59.96, Kind.DURATION, "1 min 00 s"), (61, Kind.DURATION, "1 min 01 s"),
        (3_599.7, Kind.DURATION, "1 h 00 min"), (7_260, Kind.DURATION, "2 h 01 min"),
        (90_000, Kind.DURATION, "1 d 01 h"), (-30, Kind.DURATION, "-30 s"),
        (TIME, Kind.TIME, "2026-02-28 22:30:05"), (datetime.date(2026, 3, 1), Kind.TIME, "2026-03-01"),
    ],
)  # fmt: skip
def test_as_people_read_it(value: Value, kind: Kind, found: str) -> None:
    assert shown(value, kind) == found


@given(st.floats(0, 1, exclude_max=True))
def test_what_is_less_than_all_is_never_shown_as_all(share: float) -> None:
    assert percent(share) != "100 %"
    assert (percent(share) == "0 %") == (share == 0)


def test_as_machines_read_it() -> None:
    assert plain(TIME) == "2026-02-28T22:30:05Z"
    assert plain(TIME.replace(microsecond=5)) == "2026-02-28T22:30:05.000005Z"
    assert plain(datetime.date(2026, 3, 1)) == "2026-03-01"
    assert plain("a\ud800b") == "a?b"
    assert [plain(one) for one in (None, 1, 2.5, True, "x")] == [None, 1, 2.5, True, "x"]


@given(st.floats(-1e18, 1e18), st.sampled_from([Kind.NUMBER, Kind.PERCENT, Kind.BYTES, Kind.DURATION]))
def test_every_number_is_short_and_none_is_left_out(value: float, kind: Kind) -> None:
    text = shown(value, kind)
    assert 0 < len(text) < 40
    assert any(one.isdigit() for one in text)
    assert text == shown(value, kind)
