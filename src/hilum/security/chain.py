"""The audit chain: hashes that follow from each other, Merkle trees over them, checkpoints that are signed.

    genesis  = SHA-256("hilum audit genesis 1\\n" | name of the chain)
    event    = SHA-256("hilum audit event 1\\n" | hash before it (32) | position (8, big-endian) | canonical text)
    tree     = RFC 6962: leaf SHA-256(00 | data), node SHA-256(01 | left | right), empty SHA-256()
    data     = an event's hash (32), or a message's UUID (16) and the SHA-256 of its body (32)
    document = Ed25519 over "hilum audit checkpoint 1\\n" | canonical text (RFC 8785) without the signature

A chain is an organization's, by its UUID, or the hub's own, "system". Who has the database alone can compute every
hash, but no signature and no witness (the keyed hash that each event is stored with).
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import hmac
import json
from collections.abc import Sequence
from typing import Any, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from hilum.errors import ConfigError, FormatError
from hilum.security.canonical import canonical

SYSTEM = "system"
EMPTY = hashlib.sha256().digest()
_GENESIS = b"hilum audit genesis 1\n"
_EVENT = b"hilum audit event 1\n"
_CHECKPOINT = b"hilum audit checkpoint 1\n"
_WITNESS = b"hilum audit witness 1\n"


def genesis(chain: str) -> bytes:
    """What the first event of a chain follows."""
    return hashlib.sha256(_GENESIS + chain.encode()).digest()


def link(before: bytes, position: int, text: str) -> bytes:
    """The hash of the event with this canonical text, after the one whose hash is `before`."""
    return hashlib.sha256(_EVENT + before + position.to_bytes(8, "big") + text.encode("utf-8", "replace")).digest()


# Merkle trees


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


class Tree:
    """Grows by one leaf after the other; holds no more than one hash for each level."""

    __slots__ = ("_peaks", "count")

    def __init__(self) -> None:
        self.count = 0
        self._peaks: list[bytes] = []  # roots of the whole subtrees, the widest first

    def add(self, data: bytes) -> None:
        node = hashlib.sha256(b"\x00" + data).digest()
        self.count += 1
        width = self.count
        while not width & 1:
            node = _node(self._peaks.pop(), node)
            width >>= 1
        self._peaks.append(node)

    def root(self) -> bytes:
        if not self._peaks:
            return EMPTY
        node = self._peaks[-1]
        for peak in reversed(self._peaks[:-1]):
            node = _node(peak, node)
        return node


def root(leaves: Sequence[bytes]) -> bytes:
    """The root over all of `leaves`."""
    tree = Tree()
    for leaf in leaves:
        tree.add(leaf)
    return tree.root()


def proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The audit path of a leaf (RFC 6962 2.1.1), the nearest sibling first."""
    if len(leaves) <= 1:
        return []
    split = 1 << ((len(leaves) - 1).bit_length() - 1)
    if index < split:
        return [*proof(leaves[:split], index), root(leaves[split:])]
    return [*proof(leaves[split:], index - split), root(leaves[:split])]


def includes(expected: bytes, leaf: bytes, index: int, count: int, path: Sequence[bytes]) -> bool:
    """Whether `path` leads from a leaf to the root of a tree with `count` leaves (RFC 9162 2.1.3.2)."""
    if not 0 <= index < count:
        return False
    here, last = index, count - 1
    node = hashlib.sha256(b"\x00" + leaf).digest()
    for sibling in path:
        if last == 0:
            return False
        if here & 1 or here == last:
            node = _node(sibling, node)
            while not here & 1 and here:
                here, last = here >> 1, last >> 1
        else:
            node = _node(node, sibling)
        here, last = here >> 1, last >> 1
    return last == 0 and hmac.compare_digest(node, expected)


# Keys


class PublicKey:
    """Checks signatures. `id` is the first 8 bytes of the key's SHA-256, in hexadecimal."""

    def __init__(self, key: Ed25519PublicKey) -> None:
        self._key = key
        raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        self.id = hashlib.sha256(raw).hexdigest()[:16]

    @classmethod
    def read(cls, pem: str) -> Self:
        """Raises ConfigError where this is no public Ed25519 key in PEM."""
        try:
            key = serialization.load_pem_public_key(pem.encode())
            if isinstance(key, Ed25519PublicKey):
                return cls(key)
        except ValueError:
            pass
        raise ConfigError("that is no public key of Hilum: `hilum audit key` writes it")

    @property
    def pem(self) -> str:
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return self._key.public_bytes(serialization.Encoding.PEM, form).decode()

    def signed(self, signature: bytes, content: bytes) -> bool:
        try:
            self._key.verify(signature, content)
        except InvalidSignature:
            return False
        return True


class EvidenceKey:
    """Signs checkpoints, and witnesses that an event was written by the hub and not by the database's owner."""

    def __init__(self, seed: bytes) -> None:
        """`seed` is an Ed25519 private key, 32 bytes."""
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self._witness = hmac.new(hmac.digest(seed, _WITNESS, "sha256"), digestmod="sha256")
        self.public = PublicKey(self._private.public_key())

    def sign(self, content: bytes) -> bytes:
        return self._private.sign(content)

    def witness(self, text: str) -> bytes:
        """16 bytes that only the holder of the key can make of an event's text."""
        made = self._witness.copy()  # hmac.digest would let go of the interpreter, and wait to get it back
        made.update(text.encode("utf-8", "replace"))
        return made.digest()[:16]

    def witnessed(self, text: str, witness: bytes | None) -> bool:
        return witness is not None and hmac.compare_digest(self.witness(text), witness)


# Checkpoints


@dataclasses.dataclass(frozen=True, slots=True)
class Checkpoint:
    """What stood in a chain, signed. Hashes are in hexadecimal, positions and ranges include both ends.

    A `start` covers no event: it says that those before `first` were removed after their time, and what hash
    (`last_hash`) the first one that was kept follows.
    """

    chain: str
    number: int  # from 1, gapless
    previous: str  # hash of the checkpoint before, empty for the first
    first: int
    last: int  # first - 1: no events
    last_hash: str
    events_root: str  # over the hashes of the events
    ranges: tuple[tuple[int, int], ...]  # row numbers: every message of the organization within is covered
    messages: int  # how many those were
    messages_root: str  # over (UUID, SHA-256 of the body) in the order of the row numbers
    time: str
    hub: str  # version
    key: str
    start: bool = False
    faults: tuple[int, ...] = ()  # positions that were not sound any more when this was signed
    signature: bytes = b""

    @property
    def count(self) -> int:
        return self.last - self.first + 1

    def document(self) -> dict[str, Any]:
        """What is signed."""
        document: dict[str, Any] = {
            "format": 1, "kind": "start" if self.start else "checkpoint", "chain": self.chain, "number": self.number,
            "previous": self.previous, "first": self.first, "last": self.last, "count": self.count,
            "last_hash": self.last_hash, "events_root": self.events_root, "time": self.time, "hub": self.hub,
            "messages": {
                "ranges": [list(one) for one in self.ranges], "count": self.messages, "root": self.messages_root,
            },
            "key": self.key,
        }  # fmt: skip
        if self.faults:
            document["faults"] = list(self.faults)
        return document

    def content(self) -> bytes:
        """The bytes that the signature is over."""
        return _CHECKPOINT + canonical(self.document())

    def digest(self) -> str:
        """What the next checkpoint calls `previous`."""
        return hashlib.sha256(self.content()).hexdigest()

    def signed(self, key: EvidenceKey) -> Self:
        unsigned = dataclasses.replace(self, key=key.public.id)
        return dataclasses.replace(unsigned, signature=key.sign(unsigned.content()))

    def whole(self) -> dict[str, Any]:
        """The document with its signature."""
        return {**self.document(), "signature": base64.b64encode(self.signature).decode()}

    def line(self) -> str:
        """As it stands in the checkpoint file, without the line's end."""
        return canonical(self.whole()).decode()

    def holds(self, key: PublicKey) -> bool:
        """Whether `key` signed it."""
        return self.key == key.id and key.signed(self.signature, self.content())


def read_checkpoint(line: str) -> Checkpoint:
    """A line of the checkpoint file. Raises FormatError."""
    try:
        one = json.loads(line)
        if one["format"] != 1:
            raise FormatError(f"a checkpoint of format {one['format']}, which a newer Hilum wrote")
        within = one["messages"]
        found = Checkpoint(
            str(one["chain"]), int(one["number"]), str(one["previous"]), int(one["first"]), int(one["last"]),
            str(one["last_hash"]), str(one["events_root"]),
            tuple((int(first), int(last)) for first, last in within["ranges"]), int(within["count"]),
            str(within["root"]), str(one["time"]), str(one["hub"]), str(one["key"]), one["kind"] == "start",
            tuple(int(position) for position in one.get("faults", ())),
            base64.b64decode(one["signature"], validate=True),
        )  # fmt: skip
        written = one | {"signature": None}
        if written != found.document() | {"signature": None}:
            raise FormatError("a checkpoint with parts that it should not have")
    except (ValueError, KeyError, TypeError):
        raise FormatError("not a checkpoint") from None
    return found
