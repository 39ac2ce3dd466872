"""Sealed files open whole, in their place and with their key, or not at all."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.errors import StoreError
from hilum.security.sealed_file import MAGIC, PIECE, SealedReader, SealedWriter, new_key

KEY, PLACE = new_key(), b"1|archive|019a|file|0"
SIZES = [0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 3 * PIECE + 7]


def sealed(plain: bytes, key: bytes = KEY, place: bytes = PLACE, step: int = 10_000) -> bytes:
    file = io.BytesIO()
    with SealedWriter(file, key, place) as writer:
        for at in range(0, len(plain), step):
            writer.write(plain[at : at + step])
    return file.getvalue()


def opened(content: bytes, key: bytes = KEY, place: bytes = PLACE) -> bytes:
    return io.BufferedReader(SealedReader(io.BytesIO(content), key, place)).read()


@pytest.mark.parametrize("size", SIZES)
def test_what_goes_in_comes_out(size: int) -> None:
    plain = bytes(number % 251 for number in range(size))
    content = sealed(plain)
    assert opened(content) == plain
    assert len(content) == len(MAGIC) + size + 16 * max(-(-size // PIECE), 1)
    assert plain[:32] not in content or size < 32


@settings(max_examples=60)
@given(size=st.integers(0, 3 * PIECE), step=st.integers(1, 2 * PIECE))
def test_however_it_is_written(size: int, step: int) -> None:
    plain = b"x" * size
    assert opened(sealed(plain, step=step)) == plain


def test_no_two_files_are_alike() -> None:
    assert sealed(b"same", new_key()) != sealed(b"same", new_key())
    assert len({new_key() for _ in range(100)}) == 100


@pytest.mark.parametrize("size", SIZES)
def test_what_was_cut_short_or_made_longer_does_not_open(size: int) -> None:
    content = sealed(b"x" * size)
    ends = {0, 3, len(MAGIC), len(MAGIC) + 15, len(content) - 1, len(content) - 16, len(MAGIC) + PIECE + 16}
    for end in ends - {len(content)}:
        with pytest.raises(StoreError):
            opened(content[:end] if end < len(content) else content + b"x")
    with pytest.raises(StoreError, match="does not open"):
        opened(content + b"x")


def test_pieces_cannot_be_changed_left_out_or_exchanged() -> None:
    content = sealed(b"a" * PIECE + b"b" * PIECE + b"c")
    size, first = PIECE + 16, len(MAGIC)
    one, two, last = (
        content[first : first + size],
        content[first + size : first + 2 * size],
        content[first + 2 * size :],
    )
    for pieces in (one + last, two + one + last, one + two, last, one + two + two):
        with pytest.raises(StoreError, match="does not open"):
            opened(MAGIC + pieces)
    for place in (first, first + size - 1, len(content) - 1):
        changed = bytearray(content)
        changed[place] ^= 1
        with pytest.raises(StoreError, match="does not open"):
            opened(bytes(changed))


def test_another_key_another_place_or_something_else_does_not_open() -> None:
    content = sealed(b"plain")
    for key, place in ((new_key(), PLACE), (KEY, b"2|archive|019a|file|0")):
        with pytest.raises(StoreError, match="does not open"):
            opened(content, key, place)
    with pytest.raises(StoreError, match="no file that Hilum sealed"):
        opened(b"PK\x03\x04 something else")


def test_a_file_that_cannot_be_written_is_said_once() -> None:
    class Full(io.BytesIO):
        def write(self, content: object, /) -> int:
            raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        SealedWriter(Full(), KEY, PLACE)
    file = io.BytesIO()
    writer = SealedWriter(file, KEY, PLACE)
    writer._file = Full()
    with pytest.raises(OSError, match="no room"):
        writer.close()
    assert writer.closed


PLACES = st.tuples(st.integers(0, 3 * PIECE + 9), st.integers(0, PIECE))


@settings(max_examples=60)
@given(size=st.sampled_from(SIZES), places=st.lists(PLACES, max_size=5))
def test_it_can_be_read_from_any_place(size: int, places: list[tuple[int, int]]) -> None:
    plain = bytes(number % 251 for number in range(size))
    with SealedReader(io.BytesIO(sealed(plain)), KEY, PLACE) as raw, io.BufferedReader(raw) as reader:
        assert reader.seek(0, io.SEEK_END) == size
        for place, count in places:
            reader.seek(place)
            assert reader.read(count) == plain[place : place + count]
