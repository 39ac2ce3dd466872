"""Judges an audit trail: events and messages as they stand now, against what was signed about them.

Everything streams: events in the order of their positions, messages in the order of their rows. What is wrong is
named as narrowly as it can be proven: one event where the hashes around it are those that were signed, else the
events of one checkpoint.
"""

from __future__ import annotations

import bisect
import dataclasses
import json
import uuid
from collections.abc import Iterable, Sequence
from typing import Any

from hilum.errors import FormatError
from hilum.model.identifier import row_of
from hilum.security.chain import Checkpoint, PublicKey, Tree, genesis, link, read_checkpoint, root

MOST = 100  # faults that are told


@dataclasses.dataclass(frozen=True, slots=True)
class Sealed:
    """An event as it stands. `text` None: its row is gone. `unlike`: columns that say otherwise than its text."""

    position: int
    hash: bytes
    text: str | None
    unlike: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Stored:
    """A message as it stands. `opened` is the SHA-256 of the body where it is still kept, None where it is not."""

    uuid: bytes
    hash: bytes
    opened: bytes | None = None
    unreadable: bool = False  # its body is there, but does not open

    @property
    def row(self) -> int:
        return row_of(uuid.UUID(bytes=self.uuid))


@dataclasses.dataclass(frozen=True, slots=True)
class Named:
    """An event, told to people."""

    position: int
    id: str
    time: str
    action: str


@dataclasses.dataclass(frozen=True, slots=True)
class Fault:
    """`position` is the first event that it is about, None where it is about no event."""

    what: str
    position: int | None = None


@dataclasses.dataclass(slots=True)
class Verdict:
    """What was found. `protected` is the last event up to which everything is as it was signed."""

    chain: str
    checkpoints: int = 0
    events: int = 0  # that are as they were signed
    begins: int = 1  # the first position that had to be there
    removed: int = 0  # events before it, taken out after their time
    protected: Named | None = None
    unprotected: int = 0  # newer than the last checkpoint
    messages: int = 0
    bodies: int = 0  # opened, and what came
    unprotected_messages: int = 0
    faults: list[Fault] = dataclasses.field(default_factory=list)

    @property
    def intact(self) -> bool:
        return not self.faults

    @property
    def first(self) -> int | None:
        """The first broken event."""
        return min((one.position for one in self.faults if one.position is not None), default=None)

    def tell(self, what: str, position: int | None = None) -> None:
        if len(self.faults) < MOST:
            self.faults.append(Fault(what, position))


class Signed:
    """The checkpoints of a chain, as they stand in their file. What does not hold ends them."""

    def __init__(self, chain: str, key: PublicKey, lines: Iterable[str]) -> None:
        self.chain = chain
        self.all: list[Checkpoint] = []
        self.problem = ""
        self._last = 0  # the newest event that is covered
        for number, line in enumerate(lines, 1):
            if not line.endswith("\n") and not _reads(line):
                break  # the hub was stopped while it wrote this line
            try:
                self._take(read_checkpoint(line), key)
            except FormatError as error:
                self.problem = f"line {number} of the checkpoint file: {error}"
                return

    @property
    def start(self) -> Checkpoint | None:
        """The newest signed start, where events were removed after their time."""
        return next((one for one in reversed(self.all) if one.start), None)

    @property
    def covering(self) -> list[Checkpoint]:
        return [one for one in self.all if not one.start]

    def _take(self, one: Checkpoint, key: PublicKey) -> None:
        before = self.all[-1] if self.all else None
        if one.chain != self.chain:
            raise FormatError(f"it belongs to {one.chain}")
        if not one.holds(key):
            raise FormatError("the key did not sign it")
        if one.number != len(self.all) + 1 or one.previous != (before.digest() if before else ""):
            raise FormatError(f"checkpoint {one.number} does not follow the one before it")
        if not one.start:
            if one.first != self._last + 1:
                raise FormatError(f"checkpoint {one.number} begins at event {one.first}, not at {self._last + 1}")
            self._last = one.last
        self.all.append(one)


def _reads(line: str) -> bool:
    try:
        read_checkpoint(line)
    except FormatError:
        return False
    return True


def judge(
    signed: Signed,
    events: Iterable[Sealed],
    messages: Iterable[Stored],
    unsealed: Sequence[tuple[str, bool]] = (),
    *,
    begins: int | None = None,
) -> Verdict:
    """Everything about one chain. `unsealed` are texts of events without a position, and whether later ones have one.

    `begins` is the first event of a part that was asked for; None: all that was not removed after its time.
    """
    verdict = Verdict(signed.chain, len(signed.all))
    if signed.problem:
        verdict.tell(signed.problem)
    start = signed.start
    verdict.begins = begins or (start.first if start else 1)
    verdict.removed = start.first - 1 if start else 0
    _Events(verdict, signed, start).judge(events)
    for text, late in unsealed:
        if late:
            verdict.tell(f"{_about(text)} was never sealed, though later ones were: the hub did not write it")
        else:
            verdict.unprotected += 1
    _Messages(verdict, signed.covering).judge(messages)
    return verdict


class _Events:
    """Walks along the chain, one checkpoint's events at a time."""

    def __init__(self, verdict: Verdict, signed: Signed, start: Checkpoint | None) -> None:
        self._verdict = verdict
        self._signed = signed
        self._next = verdict.begins
        self._before: bytes | None = self._anchor(start)
        self._whole = True  # so far everything is as it was signed
        self._batch: list[Sealed] = []
        self._wrong: dict[int, str] = {}  # of the batch: position to what is wrong with it

    def _anchor(self, start: Checkpoint | None) -> bytes | None:
        """The hash before the first event, where somebody signed it."""
        begins = self._verdict.begins
        if begins == 1:
            return genesis(self._signed.chain)
        known = [one for one in self._signed.covering if one.last == begins - 1]
        known += [start] if start is not None and start.first == begins else []
        if known:
            return bytes.fromhex(known[-1].last_hash)
        self._verdict.tell(f"no checkpoint says what event {begins} follows", begins)
        return None

    def judge(self, events: Iterable[Sealed]) -> None:
        rows = iter(events)
        row = next(rows, None)
        for checkpoint in self._signed.covering:
            if checkpoint.last < self._verdict.begins:
                continue
            while row is not None and row.position <= checkpoint.last:
                self._take(row)
                row = next(rows, None)
            self._close(checkpoint)
        while row is not None:
            self._take(row)
            self._verdict.unprotected += 1
            row = next(rows, None)
        for position, what in self._wrong.items():
            self._verdict.tell(what, position)

    def _take(self, row: Sealed) -> None:
        if row.position < self._verdict.begins:
            return  # a purge that was cut short left it, or nobody asked for it
        if row.position != self._next:
            self._gap(row)
        if row.position < self._next:
            return
        if row.text is None:
            self._wrong[row.position] = f"event {row.position} was removed"
        elif self._before is not None and link(self._before, row.position, row.text) != row.hash:
            self._wrong[row.position] = f"event {row.position} is not what was sealed"
        elif row.unlike:
            self._wrong[row.position] = f"event {row.position}: its {', '.join(row.unlike)} was changed beside its text"
        self._before, self._next = row.hash, row.position + 1
        self._batch.append(row)

    def _gap(self, row: Sealed) -> None:
        if row.position < self._next:
            self._wrong.setdefault(row.position, f"event {row.position} stands where it does not belong")
            return
        missing = _span(self._next, row.position - 1)
        self._wrong[self._next] = f"{missing} missing"
        self._before = None

    def _close(self, checkpoint: Checkpoint) -> None:
        """Compare what was read with what was signed."""
        batch, self._batch = self._batch, []
        wrong, self._wrong = self._wrong, {}
        for position in checkpoint.faults:
            wrong.setdefault(position, f"event {position} was not what was sealed when its checkpoint was signed")
        if self._next <= checkpoint.last:
            wrong.setdefault(self._next, f"{_span(self._next, checkpoint.last)} missing")
            self._next = checkpoint.last + 1
        kept = [row for row in batch if row.position >= checkpoint.first]
        signed = (
            len(kept) == checkpoint.count
            and root([row.hash for row in kept]).hex() == checkpoint.events_root
            and (not kept or kept[-1].hash.hex() == checkpoint.last_hash)
        )
        if not signed and not wrong and checkpoint.count:
            events = _span(checkpoint.first, checkpoint.last)
            wrong[checkpoint.first] = f"{events} not what checkpoint {checkpoint.number} was signed over"
        self._before = bytes.fromhex(checkpoint.last_hash)
        for position, what in wrong.items():
            self._verdict.tell(what, position)
        self._protect(kept, wrong, signed=signed)

    def _protect(self, kept: Sequence[Sealed], wrong: dict[int, str], *, signed: bool) -> None:
        first = min(wrong, default=None)
        if signed:
            self._verdict.events += len(kept) - len(wrong)
        if self._whole and signed:
            proven = [row for row in kept if first is None or row.position < first]
            if proven and proven[-1].text is not None:
                self._verdict.protected = named(proven[-1].position, proven[-1].text)
        self._whole = self._whole and not wrong


class _Messages:
    """Counts the messages of each checkpoint's ranges and hashes them as they come."""

    def __init__(self, verdict: Verdict, checkpoints: Sequence[Checkpoint]) -> None:
        self._verdict = verdict
        self._checkpoints = checkpoints
        ranges = [(*span, number) for number, one in enumerate(checkpoints) for span in one.ranges]
        self._ranges = sorted(ranges)
        self._firsts = [first for first, _, _ in self._ranges]
        self._trees = {number: Tree() for number, one in enumerate(checkpoints) if one.ranges}

    def judge(self, messages: Iterable[Stored]) -> None:
        for one in messages:
            self._look(one)
            place = bisect.bisect_right(self._firsts, one.row) - 1
            if place < 0 or one.row > self._ranges[place][1]:
                self._verdict.unprotected_messages += 1
            else:
                self._trees[self._ranges[place][2]].add(one.uuid + one.hash)
        for number, tree in self._trees.items():
            self._compare(self._checkpoints[number], tree)

    def _look(self, one: Stored) -> None:
        if one.unreadable:
            self._verdict.tell(f"the body of message {uuid.UUID(bytes=one.uuid)} does not open any more")
        elif one.opened is not None and one.opened != one.hash:
            self._verdict.tell(f"the body of message {uuid.UUID(bytes=one.uuid)} is not what its hash says")
        elif one.opened is not None:
            self._verdict.bodies += 1

    def _compare(self, checkpoint: Checkpoint, tree: Tree) -> None:
        if tree.count == checkpoint.messages and tree.root().hex() == checkpoint.messages_root:
            self._verdict.messages += tree.count
            return
        difference = tree.count - checkpoint.messages
        what = "their ids or body hashes were changed"
        if difference:
            what = f"{abs(difference)} {'too many' if difference > 0 else 'missing'}"
        self._verdict.tell(
            f"the {checkpoint.messages} messages of checkpoint {checkpoint.number} ({checkpoint.time}): {what}"
        )


def named(position: int, text: str) -> Named:
    """An event as people are told of it."""
    document = _document(text)
    return Named(position, str(document.get("id", "")), str(document.get("time", "")), str(document.get("action", "")))


def _about(text: str) -> str:
    document = _document(text)
    return f"event {document.get('id', '?')} ({document.get('action', '?')}, {document.get('time', '?')})"


def _document(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _span(first: int, last: int) -> str:
    return f"event {first} is" if first == last else f"events {first} to {last} are"


__all__ = ["Fault", "Named", "Sealed", "Signed", "Stored", "Verdict", "judge", "named"]
