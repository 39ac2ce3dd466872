"""What is sealed opens in its place under its key, and nowhere else; no nonce is used twice."""

from __future__ import annotations

import secrets
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.errors import StoreError
from hilum.security.keyring import Keyring
from hilum.security.seal import KeyedHash, Sealer

RING = Keyring({1: bytes(range(32))}, b"search" * 5, "age1")
HEADER = 20


@given(st.binary(max_size=5_000), st.binary(max_size=40))
def test_what_is_sealed_opens(plain: bytes, place: bytes) -> None:
    sealer = Sealer(RING)
    sealed = sealer.seal(plain, place)
    assert sealer.open(sealed, place) == plain
    assert Sealer(RING).open(sealed, place) == plain, "in the next run as well"


@given(st.binary(min_size=1, max_size=300), st.data())
def test_what_was_changed_does_not_open(plain: bytes, data: st.DataObject) -> None:
    sealer = Sealer(RING)
    sealed = bytearray(sealer.seal(plain, b"body|1"))
    sealed[data.draw(st.integers(0, len(sealed) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(StoreError, match=r"changed or moved|does not have"):
        sealer.open(bytes(sealed), b"body|1")


@given(st.binary(max_size=300), st.data())
def test_what_was_cut_does_not_open(plain: bytes, data: st.DataObject) -> None:
    sealer = Sealer(RING)
    sealed = sealer.seal(plain, b"body|1")
    with pytest.raises(StoreError, match=r"changed or moved|does not have"):
        sealer.open(sealed[: data.draw(st.integers(0, len(sealed) - 1))], b"body|1")


@pytest.mark.parametrize("elsewhere", [b"body|2", b"body|11", b"note|1", b"", b"body|1 "])
def test_what_was_moved_does_not_open(elsewhere: bytes) -> None:
    sealer = Sealer(RING)
    with pytest.raises(StoreError, match="changed or moved"):
        sealer.open(sealer.seal(b"secret", b"body|1"), elsewhere)


def test_another_key_does_not_open_it() -> None:
    sealed = Sealer(RING).seal(b"secret", b"body|1")
    with pytest.raises(StoreError, match="changed or moved"):
        Sealer(Keyring({1: bytes(32)}, RING.search, "age1")).open(sealed, b"body|1")
    with pytest.raises(StoreError, match="a key that this data folder does not have"):
        Sealer(Keyring({2: bytes(range(32))}, RING.search, "age1")).open(sealed, b"body|1")


def test_an_older_key_still_opens_what_it_sealed() -> None:
    old = Sealer(RING).seal(b"secret", b"body|1")
    both = Sealer(Keyring({**RING.masters, 2: secrets.token_bytes(32)}, RING.search, "age1"))
    assert both.open(old, b"body|1") == b"secret"
    new = both.seal(b"secret", b"body|1")
    assert (old[1], new[1]) == (1, 2), "what is new is sealed under the current key"
    with pytest.raises(StoreError, match="does not have"):
        Sealer(RING).open(new, b"body|1")


def test_no_nonce_is_used_twice_under_a_key() -> None:
    """Within a run the counter differs, between runs the salt and with it the key."""
    seen: set[bytes] = set()
    for _ in range(50):
        sealer = Sealer(RING)
        seen |= {sealer.seal(b"x", b"body|1")[:HEADER] for _ in range(200)}
    assert len(seen) == 50 * 200


def test_no_nonce_is_used_twice_by_threads() -> None:
    sealer = Sealer(RING)
    with ThreadPoolExecutor(8) as threads:
        sealed = list(threads.map(lambda number: sealer.seal(b"%d" % number, b"body|1"), range(4_000)))
    assert len({one[:HEADER] for one in sealed}) == 4_000
    with ThreadPoolExecutor(8) as threads:
        opened = threads.map(lambda one: sealer.open(one, b"body|1"), sealed)
        assert [int(one) for one in opened] == list(range(4_000))


def test_equal_bodies_do_not_look_equal() -> None:
    sealer = Sealer(RING)
    first, second = (sealer.seal(b"the same" * 20, b"body|1") for _ in range(2))
    assert first[HEADER:] != second[HEADER:]


@pytest.mark.parametrize("sealed", [b"", b"\1", b"\1\1" + bytes(18), b"\2\1" + bytes(60), bytes(100)])
def test_what_was_never_sealed_does_not_open(sealed: bytes) -> None:
    with pytest.raises(StoreError, match=r"changed or moved|does not have"):
        Sealer(RING).open(sealed, b"body|1")


@given(st.text(max_size=30), st.binary(max_size=60), st.binary(max_size=60))
def test_a_keyed_hash_tells_values_apart_and_needs_its_key(kind: str, one: bytes, two: bytes) -> None:
    mine, others = KeyedHash(b"a" * 32), KeyedHash(b"b" * 32)
    assert mine(kind, one) == mine(kind, one)
    assert -(1 << 63) <= mine(kind, one) < 1 << 63
    assert (mine(kind, one) == mine(kind, two)) == (one == two)
    assert mine(kind, one) != others(kind, one)


def test_a_keyed_hash_differs_by_kind() -> None:
    keyed = KeyedHash(b"a" * 32)
    assert keyed("patient", b"4711") != keyed("control", b"4711")
