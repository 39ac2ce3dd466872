"""What charts are drawn of: marks of Vega-Lite with a place each, and the colours that tell them apart.

Colours stay apart for the colour-blind (after Okabe and Ito, "Color Universal Design") and, by their lightness, in
print without colour; lines differ in their strokes as well.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hilum.formats.report.document import Chart

Layer = dict[str, Any]
Rows = list[dict[str, Any]]

COLOURS = ("#0B4F6C", "#E69F00", "#009E73", "#8CCBF2", "#7A1E48", "#CC79A7")
SHADES = ("#E4EFF5", "#062F41")  # from the least to the greatest
INK, MUTED, LINE, NOTHING = "#1B1F24", "#5B6670", "#D5DAE0", "#F3F5F7"
_STROKES: tuple[list[float], ...] = ([], [5, 2], [1.5, 1.5], [7, 2, 1.5, 2], [3, 1], [9, 3])


def mark(kind: str, about: Mapping[str, Any], encoding: Layer, rows: Rows | None = None) -> Layer:
    """A layer: a mark a row, or a single one."""
    layer: Layer = {"mark": {"type": kind, **about}, "encoding": encoding}
    return layer if rows is None else layer | {"data": {"values": rows}}


def flat(**places: float) -> Layer:
    """Places in points, from the plot's corner."""
    return {axis: {"value": place} for axis, place in places.items()}


def scaled(low: float, high: float, **more: Any) -> Layer:
    """A place along an axis that Vega draws nothing of."""
    scale = {"domain": [low, high], "nice": False, "zero": False, **more}
    return {"type": "quantitative", "axis": None, "scale": scale}


def box(x: Layer, y: Layer, x1: str, x2: str, y1: str, y2: str) -> Layer:
    """The encoding of a rectangle between four fields."""
    return {"x": x | {"field": x1}, "x2": {"field": x2}, "y": y | {"field": y1}, "y2": {"field": y2}}


def rule(encoding: Layer, colour: str) -> Layer:
    return mark("rule", {"color": colour, "strokeWidth": 0.5}, encoding)


def rects(rows: Rows, encoding: Layer) -> Layer:
    """Rectangles in the colours that their rows name."""
    colour = {"field": "colour", "type": "nominal", "scale": None, "legend": None}
    return mark("rect", {"stroke": "white", "strokeWidth": 0.4}, encoding | {"color": colour}, rows)


def colour(place: int) -> str:
    return COLOURS[place % len(COLOURS)]


def stroke(place: int) -> dict[str, Any]:
    return {"color": colour(place), "strokeWidth": 1.6, "strokeDash": _STROKES[place % len(_STROKES)]}


def bars(chart: Chart, drawn: int, stacked: bool) -> Iterator[dict[str, Any]]:
    """Each bar of the first labels: its label's and line's place, from where to where, and the end of all stacked."""
    for label in range(drawn):
        known = [(place, one.values[label]) for place, one in enumerate(chart.series)]
        done = [0.0, 0.0]  # what was stacked below nought and above
        total = sum(value for _, value in known if value is not None)
        for place, value in known:
            if value is None:
                continue
            base = done[value >= 0] if stacked else 0.0
            done[value >= 0] = base + value
            yield {
                "label": label, "line": 0 if stacked else place, "from": base, "to": base + value,
                "end": total if stacked else value, "colour": colour(place),
            }  # fmt: skip


def lines(chart: Chart, place: int, along: Sequence[float], x: Layer, y: Layer) -> list[Layer]:
    """A series as a line, interrupted where there is no value, and a point for each value that has no neighbour."""
    found, points = [], []
    encoding = {"x": x | {"field": "at"}, "y": y | {"field": "value"}}
    pairs = list(zip(along, chart.series[place].values, strict=True))
    for known, run in itertools.groupby(pairs, key=lambda pair: pair[1] is not None):
        rows = [{"at": at, "value": value} for at, value in run]
        if known and len(rows) > 1:
            found.append(mark("line", stroke(place) | {"strokeJoin": "round"}, encoding, rows))
        elif known:
            points += rows
    if points:
        about = {"filled": True, "size": 14, "opacity": 1, "color": colour(place)}
        found.append(mark("point", about, encoding, points))
    return found
