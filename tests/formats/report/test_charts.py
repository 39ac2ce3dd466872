"""Charts say what their data says, in places and colours that can be told apart."""

from __future__ import annotations

import datetime
import io
import itertools
import re
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree
from PIL import Image

from hilum.formats.report import axes, charts
from hilum.formats.report.document import Chart, ChartKind, Kind, Series
from hilum.formats.report.marks import COLOURS, INK, MUTED, SHADES

START = datetime.datetime(2026, 11, 1, tzinfo=datetime.UTC)
DAYS = [START + datetime.timedelta(days=day) for day in range(10)]
SVG = "{http://www.w3.org/2000/svg}"


def texts(chart: Chart) -> list[str]:
    root = etree.fromstring(charts.svg(chart).encode())
    return ["".join(one.itertext()) for one in root.iter(f"{SVG}text")]


def paths(chart: Chart, fill: str) -> list[tuple[float, float, float, float]]:
    """Left, top, width and height of each rectangle of a colour."""
    root = etree.fromstring(charts.svg(chart).encode())
    shapes = [one.get("d") or "" for one in root.iter(f"{SVG}path") if one.get("fill") == fill]
    found = [re.fullmatch(r"M([-\d.e]+),([-\d.e]+)h([-\d.e]+)v([-\d.e]+)h[-\d.e]+Z", one) for one in shapes]
    return [tuple(map(float, one.groups())) for one in found if one]  # type: ignore[misc]  # four groups each


def test_a_bar_is_as_long_as_its_value() -> None:
    chart = Chart(ChartKind.BAR, "Title", ["a", "b", "c"], (Series("s", [10, 40, None]),), unit="things")
    bars = paths(chart, COLOURS[0])
    assert [one[2] for one in bars] == [pytest.approx(bars[1][2] / 4, abs=0.01), bars[1][2]]
    assert {"Title", "things", "a", "b", "c", "10", "40", "0"} <= set(texts(chart))


def test_stacked_bars_stand_on_each_other_and_tell_their_sum() -> None:
    chart = Chart(ChartKind.STACKED, "T", ["a"], (Series("one", [3]), Series("two", [5]), Series("three", [None])))
    (_, one), (_, two) = (paths(chart, colour) for colour in COLOURS[:2])  # the first one is the key's
    assert two[0] == pytest.approx(one[0] + one[2], abs=0.01)
    assert two[2] / one[2] == pytest.approx(5 / 3, abs=0.01)
    assert {"8", "one", "two", "three"} <= set(texts(chart))


def test_a_line_is_interrupted_where_nothing_is_known() -> None:
    values = [1.0, 2.0, None, 4.0, None, 6.0, 7.0, 8.0, None, None]
    chart = Chart(ChartKind.LINE, "T", DAYS, (Series("s", values),))
    root = etree.fromstring(charts.svg(chart).encode())
    drawn = [one.get("d") or "" for one in root.iter(f"{SVG}path") if one.get("stroke") == COLOURS[0]]
    assert sorted(one.count("L") for one in drawn) == [1, 2]
    points = [one for one in root.iter(f"{SVG}path") if one.get("fill") == COLOURS[0] and "A" in (one.get("d") or "")]
    assert len(points) == 1
    assert "1 Nov" in texts(chart)


def test_an_empty_chart_says_so() -> None:
    for chart in (
        Chart(ChartKind.BAR, "T", [], ()),
        Chart(ChartKind.HEAT, "T", DAYS, (Series("s", [None] * 10),), empty="Nothing here."),
    ):
        assert chart.empty in texts(chart)


def test_a_strip_has_a_field_for_each_label() -> None:
    values = [0.0, 5.0, None, 10.0, *[0.0] * 6]
    chart = Chart(ChartKind.HEAT, "T", DAYS, (Series("feed", values), Series("lab", values[::-1])), unit="minutes")
    svg = charts.svg(chart)
    assert len(re.findall(r'fill="rgb\(|fill="#', svg)) >= 18
    assert svg.count('fill="rgb(228, 239, 245)"') == 14
    assert svg.count('fill="rgb(6, 47, 65)"') == 2
    assert {"feed", "lab", "minutes", "0", "10", "no data", "1 Nov"} <= set(texts(chart))


def test_what_is_not_drawn_is_said() -> None:
    many = Chart(ChartKind.BAR, "T", [f"label {n}" for n in range(100)], (Series("s", list(range(100))),))
    assert "and 70 more that are not drawn" in texts(many)
    assert "label 29" in texts(many)
    assert "label 30" not in texts(many)
    strips = Chart(ChartKind.HEAT, "T", ["a"], tuple(Series(f"s{n}", [n]) for n in range(31)))
    assert "and 1 more that are not drawn" in texts(strips)


def lightness(colour: str) -> float:
    """Relative luminance (WCAG 2.2)."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    high, low = sorted((lightness(one), lightness(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_neighbours_differ_in_print_without_colour() -> None:
    assert min(contrast(*pair) for pair in itertools.pairwise(COLOURS)) > 1.4
    assert min(contrast(*pair) for pair in itertools.combinations(COLOURS[:4], 2)) > 1.2
    assert contrast(*SHADES) > 7
    assert contrast(INK, "#FFFFFF") > 12
    assert contrast(MUTED, "#FFFFFF") > 4.5


def test_texts_stay_inside_of_the_picture() -> None:
    long = "A label that goes on and on, far beyond what there is room for"
    chart = Chart(ChartKind.BAR, long * 3, [long, "W" * 90], (Series("s", [1e15, 3.0]),), unit=long * 9, note=long * 9)
    for made in (chart, Chart(ChartKind.HEAT, long * 3, [long] * 9, (Series(long * 2, [1.0] * 9),), unit=long * 9)):
        image = Image.open(io.BytesIO(charts.png(made, 300))).convert("L")
        wide, high = image.size
        for box in ((0, 0, 16, high), (wide - 16, 0, wide, high), (0, 0, wide, 6), (0, high - 6, wide, high)):
            assert min(image.crop(box).tobytes()) > 250, box


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(ChartKind), st.booleans(), st.sampled_from(Kind), st.integers(1, 8),
    st.lists(st.one_of(st.none(), st.floats(-1e9, 1e9)), min_size=1, max_size=9), st.text(max_size=9),
)  # fmt: skip
def test_every_chart_can_be_drawn(
    kind: ChartKind, timed: bool, measure: Kind, count: int, known: list[float | None], text: str
) -> None:
    x: Sequence[str] | Sequence[datetime.datetime] = DAYS[: len(known)] if timed else [text] * len(known)
    chart = Chart(kind, text, x, tuple(Series(text, known) for _ in range(count)), text, measure, text, text)
    root = etree.fromstring(charts.svg(chart).encode())
    assert root.tag == f"{SVG}svg"
    assert "NaN" not in charts.svg(chart)


@given(st.lists(st.floats(-1e12, 1e12), min_size=1), st.booleans())
def test_a_scale_holds_all_and_has_a_few_round_ticks(known: list[float], nought: bool) -> None:
    scale = axes.scale(known, nought=nought)
    slack = (scale.high - scale.low) * 1e-6
    assert scale.low - slack <= min(known)
    assert max(known) <= scale.high + slack
    assert 2 <= len(scale.ticks) <= 8
    assert not nought or scale.low <= 0 <= scale.high


@pytest.mark.parametrize(
    ("known", "ticks"),
    [
        ([0, 3], (0, 1, 2, 3)), ([1], (0, 1)), ([0.99, 0.998], (0.99, 0.992, 0.994, 0.996, 0.998)),
        ([0, 108], (0, 25, 50, 75, 100, 125)), ([-5, 5], (-6, -4, -2, 0, 2, 4, 6)), ([0], (0, 1)), ([], (0, 1)),
    ],
)  # fmt: skip
def test_ticks(known: list[float], ticks: tuple[float, ...]) -> None:
    assert axes.scale(known, nought=False).ticks == ticks


@pytest.mark.parametrize(
    ("step", "count", "first"),
    [(1, 90, "00:00:15"), (60, 60, "1 Nov"), (3_600, 24, "1 Nov"), (86_400, 30, "5 Nov"), (86_400 * 30, 12, "Jan 2027"),
     (86_400 * 365, 9, "2028")],
)  # fmt: skip
def test_times_are_told_as_they_matter(step: int, count: int, first: str) -> None:
    x = [START + datetime.timedelta(seconds=step * number) for number in range(count)]
    chart = Chart(ChartKind.LINE, "T", x, (Series("s", [1.0] * count),))
    along = axes.along(chart, 400)
    assert 2 <= len(along.ticks) <= 7
    assert first in along.ticks.values()
    assert all(along.low <= at <= along.high for at in along.ticks)
