"""What every depositor passes on: the announced content in blocks, its end only once all of it is right."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.errors import ConfigError
from hilum.sdk.contracts import Deposit
from hilum.sdk.deposits import Broken, Progress, Unlike, begun, blocks, unfinished

pytestmark = pytest.mark.anyio


async def pieces(*several: bytes) -> AsyncIterator[bytes]:
    for one in several:
        yield one


def announced(body: bytes) -> Deposit:
    return Deposit("1", "a.bin", len(body), hashlib.sha256(body).digest())


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], []), ([b""], []), ([b"a"], [b"a"]), ([b"abc"], [b"abc"]), ([b"abcd"], [b"abc", b"d"]),
        ([b"a", b"", b"bc", b"defg"], [b"abc", b"def", b"g"]), ([b"ab", b"cd", b"ef"], [b"abc", b"def"]),
    ],
)  # fmt: skip
async def test_blocks_have_their_size(given: list[bytes], expected: list[bytes]) -> None:
    whole = b"".join(given)
    progress, found = Progress(), list[bytes]()
    async for block in blocks(announced(whole), pieces(*given), 3, progress):
        found.append(block)
        assert progress.whole == (b"".join(found) == whole)
    assert found == expected
    assert progress.whole


async def test_large_pieces_are_hashed_as_small_ones() -> None:
    body = bytes(range(256)) * 10_000
    found = [block async for block in blocks(announced(body), pieces(body[:7], body[7:]), 1 << 20)]
    assert b"".join(found) == body
    assert [len(block) for block in found] == [1 << 20, 1 << 20, len(body) - (2 << 20)]


@given(
    st.tuples(st.binary(max_size=50), st.binary(max_size=60)).filter(lambda both: both[0] != both[1]),
    st.lists(st.integers(0, 50), max_size=6),
    st.integers(1, 20),
)
async def test_the_whole_of_another_file_is_never_given(both: tuple[bytes, bytes], cuts: list[int], size: int) -> None:
    body, other = both
    edges = sorted({0, len(other), *(cut for cut in cuts if cut < len(other))})
    given_pieces = [other[begin:end] for begin, end in itertools.pairwise(edges)]
    progress, found = Progress(), list[bytes]()
    with pytest.raises(Unlike):
        await collect(found, blocks(announced(body), pieces(*given_pieces), size, progress))
    assert not progress.whole
    assert sum(map(len, found)) < max(len(body), 1)


async def collect(found: list[bytes], given: AsyncIterator[bytes]) -> None:
    async for one in given:
        found.append(one)


async def test_what_the_pieces_raise_is_told_apart() -> None:
    async def failing() -> AsyncIterator[bytes]:
        yield b"a"
        raise TimeoutError("the disk")

    with pytest.raises(Broken) as caught:
        _ = [block async for block in blocks(announced(b"ab"), failing(), 10)]
    assert isinstance(caught.value.error, TimeoutError)


def test_an_unfinished_file_has_a_name_that_is_used_once() -> None:
    first, second = (unfinished("deposit/7", ".part") for _ in range(2))
    assert first != second
    assert first.startswith(begun("deposit/7"))
    assert first.startswith(".")
    assert first.endswith(".part")
    assert begun("deposit/7") != begun("deposit/8")
    assert "/" not in first


def test_a_name_is_one_name() -> None:
    assert Deposit("1", "Größe + 100%.csv", 0, b"").name == "Größe + 100%.csv"
    with pytest.raises(ConfigError, match="no slashes"):
        Deposit("1", "../etc/passwd", 0, b"")
