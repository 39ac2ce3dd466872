"""Trees are those of RFC 6962, paths lead to their roots, and a checkpoint holds only as it was signed."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.errors import ConfigError, FormatError
from hilum.security import chain
from hilum.security.chain import Checkpoint, EvidenceKey, PublicKey, Tree

KEY = EvidenceKey(bytes(range(32)))
LEAVES = st.lists(st.binary(max_size=40), max_size=70)
# the reference inputs of Certificate Transparency's own tests, and the roots of their first n
INPUTS = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def plainly(leaves: Sequence[bytes]) -> bytes:
    """MTH word by word, as RFC 6962 2.1 defines it."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return hashlib.sha256(b"\x01" + plainly(leaves[:split]) + plainly(leaves[split:])).digest()


def test_roots_are_those_of_certificate_transparency() -> None:
    leaves = [bytes.fromhex(one) for one in INPUTS]
    assert [chain.root(leaves[:count]).hex() for count in range(9)] == ROOTS


@given(LEAVES)
def test_a_tree_that_grows_has_the_defined_root(leaves: list[bytes]) -> None:
    tree = Tree()
    for count, leaf in enumerate(leaves, 1):
        tree.add(leaf)
        assert tree.root() == plainly(leaves[:count])
    assert tree.count == len(leaves)


@given(LEAVES.filter(bool), st.data())
def test_a_path_leads_from_its_leaf_alone_to_the_root(leaves: list[bytes], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(leaves) - 1))
    path, root = chain.proof(leaves, index), chain.root(leaves)
    assert chain.includes(root, leaves[index], index, len(leaves), path)
    assert not chain.includes(root, leaves[index] + b"x", index, len(leaves), path)
    assert not chain.includes(root, leaves[index], len(leaves), len(leaves), path)
    assert not chain.includes(root, leaves[index], index, len(leaves), [*path, bytes(32)])
    assert not path or not chain.includes(root, leaves[index], index, len(leaves), path[:-1])


def test_a_hash_depends_on_everything_before_it_and_on_its_place() -> None:
    first, other = chain.genesis("a"), chain.genesis("b")
    assert first != other
    hashes = {chain.link(first, 1, "{}"), chain.link(other, 1, "{}"), chain.link(first, 2, "{}"),
              chain.link(first, 1, "{ }")}  # fmt: skip
    assert len(hashes) == 4


@pytest.fixture
def checkpoint() -> Checkpoint:
    return Checkpoint(
        "system", 1, "", 1, 2, "ab" * 32, "cd" * 32, ((1, 7), (1001, 1004)), 9, "ef" * 32, "2026-05-04T10:00:00Z",
        "0.1.0", "",
    ).signed(KEY)  # fmt: skip


def test_a_checkpoint_is_read_as_it_was_written(checkpoint: Checkpoint) -> None:
    read = chain.read_checkpoint(checkpoint.line() + "\n")
    assert read == checkpoint
    assert read.holds(KEY.public)
    assert not read.holds(EvidenceKey(bytes(32)).public)
    assert read.digest() == checkpoint.digest()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("chain", "other"), ("number", 2), ("previous", "00"), ("first", 2), ("last", 3), ("last_hash", "00"),
        ("events_root", "00"), ("ranges", ((1, 8),)), ("messages", 8), ("messages_root", "00"), ("time", "later"),
        ("hub", "0.2"), ("start", True), ("faults", (1,)),
    ],
)  # fmt: skip
def test_no_part_of_it_can_be_changed(checkpoint: Checkpoint, name: str, value: object) -> None:
    assert {field.name for field in dataclasses.fields(Checkpoint)} >= {name}
    changed = dataclasses.replace(checkpoint, **{name: value})
    assert not changed.holds(KEY.public)
    assert changed.digest() != checkpoint.digest()


@pytest.mark.parametrize("line", ["", "{}", "[]", "null", "no json", '{"format": 2}'])
def test_what_is_no_checkpoint_is_refused(line: str) -> None:
    with pytest.raises(FormatError):
        chain.read_checkpoint(line)


def test_parts_that_are_not_signed_are_refused(checkpoint: Checkpoint) -> None:
    document = json.loads(checkpoint.line())
    with pytest.raises(FormatError):
        chain.read_checkpoint(json.dumps({**document, "approved": "by me"}))


def test_only_the_key_makes_a_witness() -> None:
    made = KEY.witness("{}")
    assert KEY.witnessed("{}", made)
    assert not KEY.witnessed("{ }", made)
    assert not KEY.witnessed("{}", None)
    assert not EvidenceKey(bytes(32)).witnessed("{}", made)


def test_the_public_key_travels_as_pem() -> None:
    read = PublicKey.read(KEY.public.pem)
    assert read.id == KEY.public.id
    assert read.signed(KEY.sign(b"x"), b"x")
    for text in ("", "no key", KEY.public.pem.replace("M", "N", 1)):
        with pytest.raises(ConfigError):
            PublicKey.read(text)
