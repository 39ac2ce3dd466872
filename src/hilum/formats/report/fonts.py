"""The fonts of a report: which characters they have and how wide these are.

Pages are set in Libertinus Serif and, where that lacks a character, DejaVu Sans Mono. Both lie inside typst's library;
no system font is used, so that a page is the same on every machine. typst refuses a character that neither has, and
says neither beforehand which these are nor how wide a word is: so the fonts' own tables are read here, where they lie.
Source: OpenType 1.9.1, "cmap", "hmtx", "name".
"""

from __future__ import annotations

import dataclasses
import functools
import mmap
import re
import struct
import unicodedata
from collections.abc import Mapping
from pathlib import Path

from hilum.errors import ConfigError

_FACES = ("Libertinus Serif Regular", "Libertinus Serif Semibold", "DejaVu Sans Mono", "DejaVu Sans Mono Bold")
_BEGIN = re.compile(rb"(?:OTTO|\x00\x01\x00\x00)\x00[\x06-\x20].{6}[\w/ ]{4}.{12}[\w/ ]{4}", re.DOTALL)
_FULL_NAME, _WINDOWS = 4, 3
_KERNED = 1.025  # Libertinus moves some letters apart, such as W and W; measured with typst
_MARKS = 3  # that may stand over one letter; more of them grow into other lines
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})  # what would change a page without being seen on it


@dataclasses.dataclass(frozen=True, slots=True)
class Face:
    """A font: the width of each character that it has, in ems, and its file."""

    widths: Mapping[int, float]
    file: bytes = dataclasses.field(repr=False)


@functools.cache
def faces() -> Mapping[str, Face]:
    """The fonts by their full name. Raises ConfigError where typst is not installed, or is one that hides its fonts."""
    try:
        import typst
    except ImportError:
        raise ConfigError("this needs more libraries: pip install 'hilum[reports]'") from None
    found: dict[str, Face] = {}
    path = Path(typst._typst.__file__)  # type: ignore[attr-defined]  # the stubs leave out where the library lies
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as library:
        for begin in _BEGIN.finditer(library):
            tables = _tables(library, begin.start())
            name = _name(library, tables)
            if name in _FACES and name not in found:
                found[name] = _face(library, begin.start(), tables)
    for name in _FACES:
        if name not in found:
            raise ConfigError(f"this version of typst does not have the font {name!r} where this hub looks for it")
    return found


def has(character: str, *, mono: bool = False) -> bool:
    """Can a page show it, upright as in bold? `mono`: a page that has DejaVu Sans Mono alone."""
    return any(character in one for one in _families()[mono:])


def width(text: str, size: float, *, mono: bool = False) -> float:
    """How wide a line of text is at most, in the unit of `size`. Raises ConfigError as `faces` does."""
    return sum(map(_widths(mono).__getitem__, map(ord, text))) * (size if mono else size * _KERNED)


def shown(text: str, *, mono: bool = False) -> str:
    """The text with what no page can show replaced by its code point, such as ‹U+1F331›; lines end with a line feed.

    Replaced are characters that the fonts lack, control and format characters, and marks that no font sets over
    their letter. `mono` as in `has`. Raises ConfigError as `faces` does.
    """
    if text.isascii() and text.isprintable():
        return text
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", "    ")
    text = text.translate(_shown(mono))
    return text if mono else _clusters().sub(_cluster, text)


class _Shown(dict[int, str]):
    """What stands for a character, found out once."""

    def __init__(self, mono: bool) -> None:
        self._mono = mono

    def __missing__(self, code: int) -> str:
        found = chr(code) if code == 0x0A or has(chr(code), mono=self._mono) else _code(code)
        self[code] = found
        return found


class _Widths(dict[int, float]):
    """The width of a character, in ems, in the first of two fonts that has it."""

    def __init__(self, first: Face, second: Face) -> None:
        self._first, self._second = first.widths, second.widths

    def __missing__(self, code: int) -> float:
        found = self._first.get(code)
        self[code] = found = self._second.get(code, 0.0) if found is None else found
        return found


@functools.cache
def _shown(mono: bool) -> _Shown:
    return _Shown(mono)


@functools.cache
def _widths(mono: bool) -> _Widths:
    serif, other = faces()[_FACES[0]], faces()[_FACES[2]]
    return _Widths(other, serif) if mono else _Widths(serif, other)


@functools.cache
def _families() -> tuple[frozenset[str], ...]:
    """The characters of each family, upright and bold."""
    found = []
    for upright, bold in (_FACES[:2], _FACES[2:]):
        codes = faces()[upright].widths.keys() & faces()[bold].widths.keys()
        found.append(frozenset(chr(one) for one in codes if unicodedata.category(chr(one)) not in _HIDDEN))
    return tuple(found)


def letters(text: str) -> list[str]:
    """What `shown` gave, letter by letter, each with its marks."""
    return _letters().findall(text)


def cut(text: str, room: float, size: float) -> str:
    """One line of what `shown` gave, as much of it as fits into `room`; an ellipsis stands for the rest."""
    text = " ".join(text.split())
    if width(text, size) <= room:
        return text
    kept, left = "", room - width("…", size)
    for letter in letters(text):
        left -= width(letter, size)
        if left < 0:
            break
        kept += letter
    return kept.rstrip() + "…"


@functools.cache
def _marks() -> str:
    return "".join(sorted(one for family in _families() for one in family if unicodedata.category(one)[0] == "M"))


@functools.cache
def _letters() -> re.Pattern[str]:
    return re.compile(f"[^{_marks()}][{_marks()}]*|.", re.DOTALL)


@functools.cache
def _clusters() -> re.Pattern[str]:
    """A character and the marks that follow it, or marks that follow none."""
    return re.compile(f"(?:^|[^{_marks()}])[{_marks()}]+")


def _cluster(found: re.Match[str]) -> str:
    """A letter keeps the marks that its own font has: no font sets a mark over a letter of another."""
    letter, marks = ("", found[0]) if unicodedata.category(found[0][0])[0] == "M" else (found[0][0], found[0][1:])
    kept = ""
    if letter and not letter.isspace():
        for family in _families():
            if letter in family:
                kept = "".join(one for one in marks[:_MARKS] if one in family)
                kept = kept if marks.startswith(kept) else ""
                break
    return letter + kept + "".join(_code(ord(one)) for one in marks[len(kept) :])


def _code(code: int) -> str:
    return f"‹U+{code:04X}›"


_Tables = Mapping[bytes, int]


def _tables(library: mmap.mmap, start: int) -> _Tables:
    """Where each table of the font lies."""
    (count,) = struct.unpack_from(">H", library, start + 4)
    entries = (struct.unpack_from(">4sIII", library, start + 12 + 16 * number) for number in range(count))
    return {tag: start + offset for tag, _, offset, _ in entries}


def _name(library: mmap.mmap, tables: _Tables) -> str:
    """The font's full name; empty where these bytes only look like a font."""
    at = tables.get(b"name")
    if at is None or at + 6 > len(library):
        return ""
    _, count, texts = struct.unpack_from(">HHH", library, at)
    for number in range(count):
        platform, _, _, what, length, offset = struct.unpack_from(">6H", library, at + 6 + 12 * number)
        if (platform, what) == (_WINDOWS, _FULL_NAME):
            return library[at + texts + offset : at + texts + offset + length].decode("utf-16-be", "replace")
    return ""


def _face(library: mmap.mmap, start: int, tables: _Tables) -> Face:
    (units,) = struct.unpack_from(">H", library, tables[b"head"] + 18)
    (measured,) = struct.unpack_from(">H", library, tables[b"hhea"] + 34)
    widths = {}
    for code, glyph in _glyphs(library, tables[b"cmap"]).items():
        (advance,) = struct.unpack_from(">H", library, tables[b"hmtx"] + 4 * min(glyph, measured - 1))
        widths[code] = advance / units
    return Face(widths, _file(library, start))


def _glyphs(library: mmap.mmap, at: int) -> dict[int, int]:
    """The glyph of each character (a subtable of format 12, which both families have)."""
    (count,) = struct.unpack_from(">H", library, at + 2)
    found: dict[int, int] = {}
    for number in range(count):
        (offset,) = struct.unpack_from(">I", library, at + 8 + 8 * number)
        kind, *_, groups = struct.unpack_from(">HHIII", library, at + offset)
        for group in range(groups if kind == 12 else 0):
            first, last, glyph = struct.unpack_from(">III", library, at + offset + 16 + 12 * group)
            found.update(zip(range(first, last + 1), range(glyph, glyph + last - first + 1), strict=True))
    return found


def _file(library: mmap.mmap, start: int) -> bytes:
    """The whole font."""
    (count,) = struct.unpack_from(">H", library, start + 4)
    entries = (struct.unpack_from(">4sIII", library, start + 12 + 16 * number) for number in range(count))
    return library[start : start + max(offset + length for _, _, offset, length in entries)]
