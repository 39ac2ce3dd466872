"""PDF: a listing of the rows on pages in landscape, for reading and for printing.

A number stands at the right of its column, a missing value and an empty text are both a blank. Long texts wrap. Where
the variables have no room side by side, the same rows go on on the next pages, each with the row's number and the key
variables; a page says which variables it has. A character that the font lacks is shown by its code point, such as
‹U+5F20›, with a warning. More than 400,000 cells become several files, which say which part of how many they are.
"""

from __future__ import annotations

import datetime
import io
import re
import textwrap
import threading
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, Literal

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from hilum.errors import ConfigError
from hilum.formats import cells
from hilum.formats.report import fonts
from hilum.model.dataset import Dataset, Variable
from hilum.sdk.config import Config
from hilum.sdk.tables import Export, Exporter

_PAPER = {"a4": (841.89, 595.276), "letter": (792.0, 612.0)}  # points
_UPRIGHT, _BOLD = "DejaVu Sans Mono", "DejaVu Sans Mono Bold"
_SIZE, _LINE, _MARGIN = 7.0, 9.0, 36.0  # points
_CELL = _SIZE * 1233 / 2048  # a character's width
_GAP, _LEAST, _MOST, _HEAD = 2, 4, 40, 24  # characters
_LINES = 4  # of a head at most
_CELLS = 400_000  # of a file: reportlab keeps all of its pages until the end
_ROWS = 1_000  # of a file at least
_AT_ONCE = 2_000  # rows that become texts at a time
_PLAIN = r"^[\x20-\x7e]*$"
_TURNED = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff]")  # scripts that are written from right to left
_INK, _MUTED, _SHADE = (0.106, 0.122, 0.141), (0.357, 0.4, 0.439), (0.957, 0.965, 0.973)
_reportlab = threading.Lock()  # its fonts are one for all documents


class Options(Config):
    """How the pages look."""

    paper: Literal["a4", "letter"] = Field("a4", description="The paper, in landscape.")
    heads: Literal["names", "labels", "both"] = Field(
        "both", description="What stands above the columns: the variables' names, their labels, or both."
    )
    row_numbers: bool = Field(True, description="Begin every line with the row's number.")


class _Column:
    """A variable on paper: `width` in characters."""

    def __init__(self, variable: Variable, place: int, heads: str) -> None:
        self.variable, self.place, self.right = variable, place, variable.numeric and not variable.counted
        names = {"names": [variable.name], "labels": [variable.label or variable.name]}
        told = names.get(heads) or [variable.name, *([variable.label] if variable.label else [])]
        self.told = [fonts.shown(one, mono=True) for one in told]
        self.width = _LEAST

    def measure(self, texts: Sequence[str]) -> None:
        longest = max((max(map(len, one.split("\n"))) for one in texts), default=0)
        words = [len(word) for one in self.told for word in one.split()]
        head = max([*words, *(len(one) // 3 + 2 for one in self.told[1:])], default=0)
        self.width = max(_LEAST, min(_MOST, longest), min(_HEAD, head))

    def head(self) -> list[str]:
        lines = [line for one in self.told for line in _wrapped(one, self.width)]
        kept = lines[:_LINES]
        return kept if len(kept) == len(lines) else [*kept[:-1], kept[-1][: self.width - 1] + "…"]


class PdfExporter(Exporter[Options]):
    names = ("pdf",)
    suffix = ".pdf"
    media_type = "application/pdf"
    Config = Options

    def __init__(self, config: Options, dataset: Dataset, export: Export) -> None:
        super().__init__(config, dataset, export)
        _register()
        self._columns = [_Column(one, place, config.heads) for place, one in enumerate(dataset.variables)]
        self._room = max(_ROWS, _CELLS // max(1, len(self._columns)))
        self._parts = max(1, -(-export.rows // self._room))
        self._listing: _Listing | None = None
        self._bands: list[list[_Column]] = []
        self._row = 0
        self._part = 0

    def write(self, batch: pa.RecordBatch) -> None:
        for start in range(0, batch.num_rows, _AT_ONCE):
            self._write(batch.slice(start, _AT_ONCE))

    def _write(self, batch: pa.RecordBatch) -> None:
        pairs = zip(self._columns, batch.columns, strict=True)
        texts = [self._texts(column, values) for column, values in pairs]
        self._settle(texts)
        for row in zip(*texts, strict=True) if texts else ():
            self._next().row(self._row + 1, row)
            self._row += 1

    def close(self) -> None:
        self._settle([[] for _ in self._columns])
        self._next(closing=True).close()

    def _settle(self, texts: Sequence[Sequence[str]]) -> None:
        """Choose the columns' widths, by the first rows."""
        if self._bands:
            return
        for column, found in zip(self._columns, texts, strict=True):
            column.measure(found)
        digits = max(3, len(f"{self.export.rows:,}")) if self.config.row_numbers else 0
        wide = int((_PAPER[self.config.paper][0] - 2 * _MARGIN) / _CELL) - (digits + _GAP if digits else 0)
        self._bands = _bands(self._columns, wide)

    def _next(self, *, closing: bool = False) -> _Listing:
        """The file that the next row goes to."""
        full = self._row >= self._part * self._room and self._part < self._parts and not closing
        if self._listing is None or full:
            if self._listing is not None:
                self._listing.close()
            self._part += 1
            name = self.dataset.name
            if self._parts > 1:
                name += f"-part-{self._part}-of-{self._parts}"
            self._listing = _Listing(self.export.open(f"{name}{self.suffix}"), self._title(), self)
        return self._listing

    def _title(self) -> tuple[str, str]:
        label = f"{self.dataset.name}: {self.dataset.label}" if self.dataset.label else self.dataset.name
        count, rows = self.export.rows, f"{self.export.rows:,} rows"
        if self._parts > 1:
            first, last = self._row + 1, min(count, self._row + self._room)
            rows = f"part {self._part} of {self._parts}: rows {first:,} to {last:,} of {count:,}"
        return fonts.shown(label, mono=True).replace("\n", " "), rows

    @property
    def bands(self) -> list[list[_Column]]:
        return self._bands

    def _texts(self, column: _Column, values: pa.Array) -> list[str]:
        text = pc.fill_null(cells.text(values, column.variable, self.export.refuse, self._row), "")
        found: list[str] = text.to_pylist()
        odd = pc.indices_nonzero(pc.invert(pc.match_substring_regex(text, _PLAIN))).to_pylist()
        for place in odd:
            before = found[place]
            found[place] = after = fonts.shown(before, mono=True)
            if after.count("‹U+") > before.count("‹U+"):
                self.export.warn(f"{column.variable.name}: characters that the font lacks are shown by their code")
            if _TURNED.search(after):
                self.export.warn(f"{column.variable.name}: letters from right to left are shown from left to right")
        return found


class _Listing:
    """One file: rows wait until a page is full, then go on as many pages as there are bands."""

    def __init__(self, file: BinaryIO, title: tuple[str, str], exporter: PdfExporter) -> None:
        from reportlab.pdfgen.canvas import Canvas

        self._file, self._title, self._bands = file, title, exporter.bands
        self._created = exporter.export.created.astimezone(datetime.UTC)
        self._wide, self._high = _PAPER[exporter.config.paper]
        self._digits = max(3, len(f"{exporter.export.rows:,}")) if exporter.config.row_numbers else 0
        self._heads = [[column.head() for column in band] for band in self._bands]
        self._tall = max((len(head) for band in self._heads for head in band), default=1)
        self._capacity = int((self._high - 2 * _MARGIN - (self._tall + 4) * _LINE) / _LINE)
        self._used = [0] * len(self._bands)
        self._waiting: list[tuple[int, list[int], list[list[list[str]]]]] = []  # number, and lines and cells a band
        self._pages = 0
        self._canvas: Any = Canvas(file, pagesize=(self._wide, self._high), invariant=1, pageCompression=1)
        self._canvas.setTitle(title[0])
        self._canvas.setAuthor("Hilum")
        self._canvas.setCreator("Hilum")
        self._canvas.setSubject(title[1])
        self._canvas.setDateFormatter(lambda *_: f"{self._created:D:%Y%m%d%H%M%S}+00'00'")

    def row(self, number: int, texts: Sequence[str]) -> None:
        bands = [[_wrapped(texts[one.place], one.width) for one in band] for band in self._bands]
        tall = [max((len(cell) for cell in band), default=1) for band in bands]
        if self._waiting and any(used + lines > self._capacity for used, lines in zip(self._used, tall, strict=True)):
            self._flush()
        for start in range(0, max(tall), self._capacity):  # a row that is taller than a page goes on on the next one
            if start:
                self._flush()
            stop = start + self._capacity
            lines = [max(0, min(self._capacity, one - start)) for one in tall]
            self._waiting.append((number, lines, [[cell[start:stop] for cell in band] for band in bands]))
            self._used = [used + one for used, one in zip(self._used, lines, strict=True)]

    def close(self) -> None:
        if self._waiting or not self._pages:
            self._flush()
        canvas = self._canvas
        canvas.beginForm("total")
        canvas.setFont(_UPRIGHT, _SIZE)
        canvas.setFillColorRGB(*_MUTED)
        canvas.drawString(0, 0, f"of {self._pages:,}")
        canvas.endForm()
        with _reportlab:
            canvas.save()
        self._file.close()

    def _flush(self) -> None:
        for band, _ in enumerate(self._bands):
            self._page(band)
        self._waiting, self._used = [], [0] * len(self._bands)

    def _page(self, band: int) -> None:
        canvas = self._canvas
        self._pages += 1
        self._top(band)
        top = self._high - _MARGIN - (self._tall + 3) * _LINE
        canvas.setFillColorRGB(*_SHADE)
        at = top
        for place, (_, lines, _) in enumerate(self._waiting):
            high = lines[band] * _LINE
            if place % 2:
                canvas.rect(_MARGIN - 2, at - high, self._wide - 2 * _MARGIN + 4, high, 0, 1)
            at -= high
        canvas.setFillColorRGB(*_INK)
        text = canvas.beginText(_MARGIN, top - _LINE + _SIZE * 0.3)
        text.setFont(_UPRIGHT, _SIZE, _LINE)
        for line in self._lines(band):
            text.textLine(line)
        if not self._waiting:
            text.textLine("No rows.")
        canvas.drawText(text)
        self._foot()
        canvas.showPage()

    def _lines(self, band: int) -> Iterator[str]:
        gap, columns = " " * _GAP, self._bands[band]
        for number, lines, bands in self._waiting:
            for place in range(lines[band]):
                parts = [f"{number:,}".rjust(self._digits) if not place else " " * self._digits] if self._digits else []
                for column, cell in zip(columns, bands[band], strict=True):
                    piece = cell[place] if place < len(cell) else ""
                    parts.append(piece.rjust(column.width) if column.right else piece.ljust(column.width))
                yield gap.join(parts).rstrip()

    def _top(self, band: int) -> None:
        """What is above the rows."""
        canvas, top = self._canvas, self._high - _MARGIN
        right = self._wide - _MARGIN
        about = self._title[1]
        if len(self._bands) > 1:
            about += f", columns part {band + 1} of {len(self._bands)}"
        room = int((right - _MARGIN - (len(about) + 4) * _CELL) / _CELL * _SIZE / (_SIZE + 1))
        title = self._title[0] if len(self._title[0]) <= room else f"{self._title[0][: room - 1]}…"
        canvas.setFillColorRGB(*_INK)
        canvas.setFont(_BOLD, _SIZE + 1)
        canvas.drawString(_MARGIN, top - _SIZE, title)
        canvas.setFont(_UPRIGHT, _SIZE)
        canvas.setFillColorRGB(*_MUTED)
        canvas.drawRightString(right, top - _SIZE, about)
        text = canvas.beginText(_MARGIN, top - 3 * _LINE)
        text.setFont(_BOLD, _SIZE, _LINE)
        for line in self._head(band):
            text.textLine(line)
        canvas.drawText(text)
        canvas.setStrokeColorRGB(*_INK)
        canvas.setLineWidth(0.6)
        under = top - (self._tall + 2) * _LINE - 4
        canvas.line(_MARGIN, under, right, under)

    def _foot(self) -> None:
        canvas, below = self._canvas, _MARGIN - _LINE
        canvas.setFont(_UPRIGHT, _SIZE)
        canvas.setFillColorRGB(*_MUTED)
        canvas.drawString(_MARGIN, below, f"Created {self._created:%Y-%m-%d %H:%M:%S} UTC")
        # the number of pages is known at the end: a form that all pages share has it then
        page = f"Page {self._pages:,} "
        start = self._wide - _MARGIN - _CELL * (2 * len(page) + 2)  # the total has as many digits, or a few more
        canvas.drawString(start, below, page)
        canvas.saveState()
        canvas.translate(start + _CELL * len(page), below)
        canvas.doForm("total")
        canvas.restoreState()

    def _head(self, band: int) -> Iterator[str]:
        gap, columns, heads = " " * _GAP, self._bands[band], self._heads[band]
        for place in range(self._tall):
            number = "Row" if place == self._tall - 1 else ""
            parts = [number.rjust(self._digits)] if self._digits else []
            for column, head in zip(columns, heads, strict=True):
                lift = place - (self._tall - len(head))  # heads stand on the line
                piece = head[lift] if lift >= 0 else ""
                parts.append(piece.rjust(column.width) if column.right else piece.ljust(column.width))
            yield gap.join(parts).rstrip()


def _bands(columns: Sequence[_Column], room: int) -> list[list[_Column]]:
    """Columns that have room side by side; where there are several such bands, each begins with the key columns."""
    if sum(one.width + _GAP for one in columns) - _GAP <= room:
        return [list(columns)]
    keys: list[_Column] = []
    for one in sorted((one for one in columns if one.variable.key is not None), key=lambda one: one.variable.key or 0):
        if sum(key.width + _GAP for key in [*keys, one]) > room // 2:
            break  # keys shall leave room for what they are the keys of
        keys.append(one)
    used = sum(key.width + _GAP for key in keys)
    found: list[list[_Column]] = []
    left = 0
    for one in (one for one in columns if one not in keys):
        if one.width > left or not found:
            found.append(list(keys))
            left = room - used
        found[-1].append(one)
        left -= one.width + _GAP
    return found or [keys]


def _wrapped(text: str, width: int) -> list[str]:
    """Lines of at most so many characters: at spaces, within a word only where it is longer than a line."""
    if len(text) <= width and "\n" not in text:
        return [text]
    found: list[str] = []
    for line in text.split("\n"):
        found += textwrap.wrap(line, width, break_on_hyphens=False) if len(line) > width else [line]
    return found or [""]


def _register() -> None:
    """Make the fonts known to reportlab. Raises ConfigError where a library is not installed."""
    try:
        from reportlab import rl_config
        from reportlab.pdfbase import pdfmetrics
        from reportlab.pdfbase.ttfonts import TTFont
    except ImportError:
        raise ConfigError("this needs more libraries: pip install 'hilum[reports]'") from None

    class Font(TTFont):  # type: ignore[misc]  # reportlab has no types
        """Knows without looking at each character that ASCII is in its first subset, as it is."""

        def splitString(self, text: str, doc: Any, encoding: str = "utf-8") -> Any:
            if text.isascii():
                self._assignState(doc, True)
                return [(0, text.encode())]
            return super().splitString(text, doc, encoding)

    with _reportlab:
        rl_config.useA85 = 0  # it makes pages a quarter larger, for mail of long ago
        known = pdfmetrics.getRegisteredFontNames()
        for name in (_UPRIGHT, _BOLD):
            if name not in known:
                file = io.BytesIO(fonts.faces()[name].file)
                pdfmetrics.registerFont(Font(name, file, asciiReadable=True, shapable=False))


exporter = PdfExporter
