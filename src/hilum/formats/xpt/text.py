"""Text of a fixed number of bytes, padded with blanks, to and from Arrow, a column at a time."""

from __future__ import annotations

import codecs
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

PADDING = " \0"  # some writers fill up with NUL


def codec(encoding: str) -> str:
    """The encoding's name in Python. Raises ValueError where it is none, or not one that has ASCII as it is."""
    try:
        found = codecs.lookup(encoding)
        if " A".encode(found.name) == b" A":
            return found.name
    except (LookupError, UnicodeError):
        pass
    raise ValueError(f"{encoding!r} is no encoding of text that SAS transport can have")


def raw(column: np.ndarray[Any, Any], width: int) -> pa.Array:
    """A column of `width` bytes a value as an Arrow array of bytes."""
    data = pa.py_buffer(np.ascontiguousarray(column))
    fixed = pa.FixedSizeBinaryArray.from_buffers(pa.binary(width), len(column), [None, data])
    return fixed.cast(pa.binary())


def is_utf8(values: pa.Array) -> bool:
    try:
        values.cast(pa.string())
    except pa.ArrowInvalid:
        return False
    return True


def decode(values: pa.Array, encoding: str) -> pa.Array:
    """The text without its padding. Raises UnicodeDecodeError, ArrowInvalid."""
    trimmed = pc.ascii_rtrim(values.view(pa.string()), characters=PADDING).view(pa.binary())
    if encoding == "utf-8":
        return trimmed.cast(pa.string())
    return _each(trimmed, lambda value: value.decode(encoding), pa.string())


def encode(values: pa.Array, encoding: str) -> pa.Array:
    """The text's bytes; null where the encoding does not have them. A null is empty."""
    filled = values.fill_null("") if values.null_count else values
    if encoding == "utf-8" or _is_ascii(filled):
        return filled.view(pa.binary())

    def write(value: str) -> bytes | None:
        try:
            return value.encode(encoding)
        except UnicodeEncodeError:
            return None

    return _each(filled, write, pa.binary())


def pad(values: pa.Array, width: int) -> np.ndarray[Any, Any] | None:
    """The bytes, `width` of them a value; None where one is longer. There is no null among them."""
    padded = pc.ascii_rpad(values.view(pa.string()), width=width, padding=" ")
    data = padded.buffers()[2]
    if data is None or data.size != width * len(values):  # each has `width` bytes at least
        return None
    return np.frombuffer(data, np.dtype((np.void, width)))


def cut(text: str, encoding: str, size: int) -> bytes:
    """The text in at most `size` bytes, no character halved. Raises UnicodeEncodeError."""
    data = text.encode(encoding)
    while len(data) > size:
        text = text[: min(len(text) - 1, size)]
        data = text.encode(encoding)
    return data


def _is_ascii(values: pa.Array) -> bool:
    """By its buffer, in one pass."""
    _, offsets, data = values.buffers()
    if data is None or not len(values):
        return True
    first, last = np.frombuffer(offsets, np.int32)[[values.offset, values.offset + len(values)]]
    return bool(np.frombuffer(data, np.uint8)[first:last].max(initial=0) < 0x80)


def _each(values: pa.Array, change: Callable[[Any], Any], into: pa.DataType) -> pa.Array:
    """Every value changed; the work is done once for those that are alike."""
    alike = values.dictionary_encode()
    return pa.array([change(value) for value in alike.dictionary.to_pylist()], into).take(alike.indices)
