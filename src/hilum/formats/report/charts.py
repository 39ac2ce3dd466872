"""Charts as pictures, by Vega-Lite: SVG, and PNG.

Every text has a place that is counted here, from the fonts of `fonts`: what Vega would measure by the fonts of its
machine never moves anything.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from hilum.errors import ConfigError
from hilum.formats.report import axes, fonts, press, values
from hilum.formats.report.document import Chart, ChartKind
from hilum.formats.report.marks import (
    INK,
    LINE,
    MUTED,
    NOTHING,
    SHADES,
    Layer,
    bars,
    box,
    colour,
    flat,
    lines,
    mark,
    rects,
    rule,
    scaled,
    stroke,
)

WIDTH = 500.0  # points of a chart that stands alone
SIZE = 8.0  # points of its texts
_FONT = "Libertinus Serif"
_HEIGHT = 120.0  # of a plot with values upwards
_BARS = 30  # that are drawn, labels times series; strips of a heat chart
_ROW, _BAR, _FIELD = 15.0, 9.0, 13.0
_GAP, _LAST = 6.0, 26.0  # beside a label; and what the last one along the bottom has beyond the plot
_MARGIN = 10.0  # around a chart that stands alone
_LABEL = 0.38  # of the chart's width that its labels may have


def svg(chart: Chart, width: float = WIDTH, *, titled: bool = True) -> str:
    """The chart as a picture of that many points across. Raises ConfigError where vl-convert is not installed."""
    return str(library().vegalite_to_svg(_Drawing(chart, width, titled).spec(), allowed_base_urls=[]))


def library() -> Any:
    """vl-convert. Raises ConfigError where it is not installed."""
    try:
        import vl_convert
    except ImportError:
        raise ConfigError("this needs more libraries: pip install 'hilum[reports]'") from None
    return vl_convert


def png(chart: Chart, width: float = WIDTH, *, scale: float = 2.0) -> bytes:
    """The same as PNG, with `scale` pixels a point."""
    return press.picture(svg(chart, width), width, scale)


@dataclasses.dataclass(slots=True)
class _Room:
    """The plot, and what is around it, in points."""

    width: float
    height: float
    left: float = 0.0
    top: float = 0.0
    right: float = 0.0
    bottom: float = 0.0


class _Drawing:
    """A chart on its way to a specification of Vega-Lite: layers of marks, without axes or legends of its own."""

    def __init__(self, chart: Chart, width: float, titled: bool) -> None:
        self.chart = chart
        self.margin = _MARGIN if titled else 0.0
        self.whole = width - 2 * self.margin
        self.layers: list[Layer] = []
        self.names = [_line(one.name) for one in chart.series]
        self.top = 0.0
        if titled:
            title = fonts.cut(_line(self.chart.title), self.whole, 11.0 * 1.07)
            self._text(title, 0, 0, size=11.0, fill=INK, bold=True, top=True)
            self.top = 20.0

    def spec(self) -> dict[str, Any]:
        """What Vega-Lite draws."""
        room = self._plot()
        if self.margin and self.chart.note:
            room.bottom += 14.0
            note = fonts.cut(_line(self.chart.note), self.whole, SIZE)
            self._text(note, -room.left, room.height + room.bottom - 6.0)
        texts = {"font": _FONT, "fontSize": SIZE, "fill": MUTED}
        return {
            "width": room.width, "height": room.height, "autosize": {"type": "none"}, "background": None,
            "padding": {
                "left": room.left + self.margin, "top": room.top + self.margin,
                "right": room.right + self.margin, "bottom": room.bottom + self.margin,
            },
            "layer": self.layers, "data": {"values": [{}]},
            "config": {"view": {"stroke": None}, "font": _FONT, "text": texts},
        }  # fmt: skip

    def _plot(self) -> _Room:
        if self.chart.is_empty:
            return self._nothing()
        if self.chart.kind is ChartKind.HEAT:
            return self._heat()
        if self.chart.kind in {ChartKind.LINE, ChartKind.COLUMN} or self.chart.timed:
            return self._upwards()
        return self._sideways()

    def _nothing(self) -> _Room:
        room = _Room(self.whole, 56.0, top=self.top)
        self._settle(room)
        self.layers.insert(0, mark("rect", {"color": NOTHING}, flat(x=0, y=0, x2=room.width, y2=room.height)))
        text = fonts.cut(_line(self.chart.empty), room.width - 20, SIZE + 1)
        self._text(text, room.width / 2, room.height / 2, size=SIZE + 1, align="center")
        return room

    def _sideways(self) -> _Room:
        """Bars from left to right, a label each line."""
        chart, stacked = self.chart, self.chart.kind is ChartKind.STACKED
        self._key()
        count = 1 if stacked else len(chart.series)
        drawn = len(chart.x) if len(chart.x) * count <= _BARS else max(1, _BARS // count)
        found = list(bars(chart, drawn, stacked))
        scale = axes.scale([*(bar["from"] for bar in found), *(bar["to"] for bar in found)])
        ticks = {one: values.shown(one, chart.measure) for one in scale.ticks}
        ends = {(bar["label"], bar["line"]): bar["end"] for bar in found}
        told = {key: values.shown(end, chart.measure) for key, end in ends.items()}
        names = [fonts.cut(_line(str(one)), self.whole * _LABEL, SIZE) for one in chart.x[:drawn]]
        high, left = _ROW + (count - 1) * _BAR, _widest(names) + _GAP
        right = _widest([*told.values(), *ticks.values()]) + _GAP
        room = _Room(self.whole - left - right, high * drawn, left, self.top, right, 14.0)
        self._settle(room)
        self._more(len(chart.x) - drawn, room)
        self._labels(names, high)
        x, y = scaled(scale.low, scale.high), scaled(0, room.height, range=[0, room.height])
        self._grid(ticks, "x", x, room)
        for bar in found:
            start = bar["label"] * high + (high - count * _BAR) / 2 + bar["line"] * _BAR
            bar |= {"top": start + 0.5, "low": start + _BAR - 0.5, "middle": start + _BAR / 2}
        self.layers.append(rects(found, box(x, y, "from", "to", "top", "low")))
        self.layers.append(rule({"x": x | {"datum": 0}, **flat(y=0, y2=room.height)}, MUTED))
        for bar in found:
            if (text := told.pop((bar["label"], bar["line"]), None)) is not None:
                place = {"x": x | {"datum": max(0.0, bar["end"])}, **flat(y=bar["middle"]), "text": {"value": text}}
                self.layers.append(mark("text", {"align": "left", "baseline": "middle", "dx": 3, "fill": INK}, place))
        return room

    def _upwards(self) -> _Room:
        """Lines or columns, over times or labels."""
        chart, stacked, line = self.chart, self.chart.kind is ChartKind.STACKED, self.chart.kind is ChartKind.LINE
        self._key()
        found = [] if line else list(bars(chart, len(chart.x), stacked))
        scale = axes.scale([*chart.known, *(bar["to"] for bar in found)], nought=not line)
        ticks = {one: values.shown(one, chart.measure) for one in scale.ticks}
        left = _widest(list(ticks.values())) + _GAP
        along, right = self._along(left)
        left = max(left, right)
        room = _Room(self.whole - left - right, _HEIGHT, left, self.top + 5.0, right, 16.0)
        self._settle(room)
        x, y = scaled(along.low, along.high), scaled(scale.low, scale.high)
        self._grid(ticks, "y", y, room)
        self._told(along, x, room)
        if line:
            for place in range(len(chart.series)):
                self.layers += lines(chart, place, along.places, x, y)
        else:
            count, step = 1 if stacked else len(chart.series), along.step * 0.8
            for bar in found:
                start = along.places[bar["label"]] - step / 2 + bar["line"] * step / count
                bar |= {"left": start, "right": start + step / count}
            self.layers.append(rects(found, box(x, y, "left", "right", "from", "to")))
        if scale.low <= 0:
            self.layers.append(rule({"y": y | {"datum": 0}, **flat(x=0, x2=room.width)}, MUTED))
        return room

    def _heat(self) -> _Room:
        """A strip a series."""
        chart, drawn, low, high = self.chart, self.chart.series[:_BARS], min(self.chart.known), max(self.chart.known)
        self._shades(low, high)
        names = [fonts.cut(name, self.whole * _LABEL, SIZE) for name in self.names[:_BARS]]
        left = _widest(names) + _GAP
        along, right = self._along(left)
        room = _Room(self.whole - left - right, _FIELD * len(names), left, self.top, right, 16.0)
        self._settle(room)
        self._more(len(chart.series) - len(drawn), room)
        self._labels(names, _FIELD)
        x, y = scaled(along.low, along.high), scaled(0, room.height, range=[0, room.height])
        self._told(along, x, room)
        known: list[dict[str, Any]] = []
        unknown: list[dict[str, Any]] = []
        for line, one in enumerate(drawn):
            for at, value in zip(along.places, one.values, strict=True):
                field = {"left": at - along.step / 2, "right": at + along.step / 2, "value": value}
                field |= {"top": line * _FIELD + 0.5, "low": (line + 1) * _FIELD - 0.5}
                (unknown if value is None else known).append(field)
        place = box(x, y, "left", "right", "top", "low")
        shades = {"domain": [low, high if high > low else low + 1], "range": list(SHADES), "type": "linear"}
        shade = {"field": "value", "type": "quantitative", "legend": None, "scale": shades}
        self.layers.append(mark("rect", {"stroke": "white", "strokeWidth": 0.5}, place | {"color": shade}, known))
        self.layers.append(mark("rect", {"fill": "white", "stroke": LINE, "strokeWidth": 0.5}, place, unknown))
        return room

    def _settle(self, room: _Room) -> None:
        """What was placed from the picture's corner is placed from the plot's."""
        for layer in self.layers:
            for axis, off in (("x", room.left), ("x2", room.left), ("y", room.top), ("y2", room.top)):
                if axis in layer["encoding"]:
                    layer["encoding"][axis]["value"] -= off

    def _text(
        self, text: str, x: float, y: float, *, align: str = "left", size: float = SIZE, fill: str = MUTED,
        bold: bool = False, top: bool = False,
    ) -> None:  # fmt: skip
        about = {
            "align": align, "baseline": "top" if top else "middle", "fontSize": size, "fill": fill,
            "fontWeight": 600 if bold else 400,
        }  # fmt: skip
        self.layers.append(mark("text", about, flat(x=x, y=y) | {"text": {"value": text}}))

    def _key(self) -> None:
        """What is counted, and which series is which, in lines above the plot."""
        if self.chart.unit:
            self._text(fonts.cut(_line(self.chart.unit), self.whole, SIZE), 0, self.top, top=True)
            self.top += 13.0
        if len(self.names) < 2:
            return
        x, sample = 0.0, 21.0 if self.chart.kind is ChartKind.LINE else 16.0
        for place, name in enumerate(self.names):
            text = fonts.cut(name, self.whole * _LABEL, SIZE)
            wide = sample + fonts.width(text, SIZE) + 14.0
            if x and x + wide > self.whole:
                x, self.top = 0.0, self.top + 12.0
            y = self.top + 5.0
            if self.chart.kind is ChartKind.LINE:
                self.layers.append(mark("rule", stroke(place), flat(x=x, x2=x + 16, y=y)))
            else:
                self.layers.append(mark("rect", {"color": colour(place)}, flat(x=x, x2=x + 12, y=y - 4, y2=y + 4)))
            self._text(text, x + sample, y, fill=INK)
            x += wide
        self.top += 17.0

    def _shades(self, low: float, high: float) -> None:
        """What is counted, and what light and dark mean."""
        unit = fonts.cut(_line(self.chart.unit), self.whole / 2, SIZE) + ("    " if self.chart.unit else "")
        x, y = fonts.width(unit, SIZE), self.top + 5.0
        self._text(unit.rstrip(), 0, y)
        told = [(values.shown(low, self.chart.measure), SHADES[0]), (values.shown(high, self.chart.measure), SHADES[1])]
        told = told[: 1 + (high > low)]
        if any(value is None for one in self.chart.series for value in one.values):
            told.append(("no data", "white"))
        for text, shade in told:
            about = {"fill": shade, "stroke": LINE, "strokeWidth": 0.5}
            self.layers.append(mark("rect", about, flat(x=x, x2=x + 9, y=y - 4.5, y2=y + 4.5)))
            self._text(text, x + 13, y)
            x += 13 + fonts.width(text, SIZE) + 12
        self.top += 18.0

    def _labels(self, names: list[str], high: float) -> None:
        for line, name in enumerate(names):
            self._text(name, -_GAP, (line + 0.5) * high, align="right", fill=INK)

    def _grid(self, ticks: Mapping[float, str], axis: str, scale: Layer, room: _Room) -> None:
        """A line and a text at each tick of the values."""
        upwards = axis == "y"
        across = flat(x=0, x2=room.width) if upwards else flat(y=0, y2=room.height)
        about = {"align": "right", "baseline": "middle"} if upwards else {"align": "center", "baseline": "top"}
        beside = flat(x=-_GAP) if upwards else flat(y=room.height + 4)
        every = 1 if upwards else math.ceil((_widest(list(ticks.values())) + 8) * (len(ticks) - 1) / room.width)
        for place, (at, text) in enumerate(ticks.items()):
            here = {axis: scale | {"datum": at}}
            self.layers.append(rule(here | across, LINE))
            if place % every == 0:
                self.layers.append(mark("text", about, here | beside | {"text": {"value": text}}))

    def _along(self, left: float) -> tuple[axes.Along, float]:
        """The axis at the bottom, and what its last label needs beyond the plot."""
        along = axes.along(self.chart, self.whole - left - _LAST)
        return along, _widest(list(along.ticks.values())) / 2

    def _told(self, along: axes.Along, x: Layer, room: _Room) -> None:
        """The labels or times along the bottom."""
        for at, text in along.ticks.items():
            place = {"x": x | {"datum": at}, **flat(y=room.height + 5), "text": {"value": text}}
            self.layers.append(mark("text", {"align": "center", "baseline": "top"}, place))

    def _more(self, count: int, room: _Room) -> None:
        if count > 0:
            self._text(f"and {count:,} more that are not drawn", -room.left, room.height + 20, fill=INK)
            room.bottom += 14.0


def _widest(texts: list[str]) -> float:
    return max((fonts.width(one, SIZE) for one in texts), default=0.0)


def _line(text: str) -> str:
    return " ".join(fonts.shown(text[:500]).split())
