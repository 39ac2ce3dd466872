"""Whatever is done to a trail whose checkpoints lie elsewhere is named, and the last event that is still proven."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable

import pytest

from hilum.model.identifier import identify
from hilum.security.canonical import canonical
from hilum.security.chain import Checkpoint, EvidenceKey, Tree, genesis, link, root
from hilum.security.verdict import Sealed, Signed, Stored, Verdict, judge

KEY = EvidenceKey(bytes(range(32)))
CHAIN = "019a0000-0000-7000-8000-000000000001"


def text(position: int, action: str = "message.show") -> str:
    return canonical({"id": f"event-{position}", "time": f"2026-05-04T10:00:{position:02}Z", "action": action}).decode()


class Trail:
    """Ten events in checkpoints of four, four and none (two are newer), nine messages in two of them."""

    def __init__(self) -> None:
        self.events: list[Sealed] = []
        self.messages = [Stored(identify(row, 0).bytes, hashlib.sha256(b"%d" % row).digest()) for row in range(1, 10)]
        self.lines: list[str] = []
        self._last: Checkpoint | None = None
        self.append(4)
        self.sign(((1, 5),))
        self.append(4)
        self.sign(((6, 8),))
        self.append(2)

    @property
    def tip(self) -> bytes:
        return self.events[-1].hash if self.events else genesis(CHAIN)

    def append(self, count: int) -> None:
        for _ in range(count):
            position = self.events[-1].position + 1 if self.events else 1
            self.events.append(Sealed(position, link(self.tip, position, text(position)), text(position)))

    def sign(self, ranges: tuple[tuple[int, int], ...] = (), faults: tuple[int, ...] = ()) -> None:
        before = self._last
        first = before.last + 1 if before else 1
        tree = Tree()
        for one in self.messages:
            if any(low <= one.row <= high for low, high in ranges):
                tree.add(one.uuid + one.hash)
        mine = [one.hash for one in self.events if one.position >= first]
        self._add(
            Checkpoint(
                CHAIN, len(self.lines) + 1, before.digest() if before else "", first, first + len(mine) - 1,
                self.tip.hex(), root(mine).hex(), ranges, tree.count, tree.root().hex(), f"time {len(self.lines)}",
                "0.1", "", faults=faults,
            )
        )  # fmt: skip

    def purge(self, last: int) -> None:
        """Events to `last` go, and a signed start says so."""
        kept = next(one.hash for one in self.events if one.position == last)
        assert self._last is not None
        last_one, empty = self._last, Tree().root().hex()
        self._add(
            Checkpoint(
                CHAIN, len(self.lines) + 1, last_one.digest(), last + 1, last, kept.hex(), empty, (), 0, empty, "purge",
                "0.1", "", start=True,
            )
        )  # fmt: skip
        self._last = dataclasses.replace(last_one)
        self.events = [one for one in self.events if one.position > last]

    def _add(self, one: Checkpoint) -> None:
        self._last = one.signed(KEY)
        self.lines.append(self._last.line() + "\n")

    def change(self, position: int, **values: object) -> None:
        (index,) = [number for number, one in enumerate(self.events) if one.position == position]
        self.events[index] = dataclasses.replace(self.events[index], **values)

    def rewrite(self, position: int) -> None:
        """Change an event and compute every later hash again, as whoever has the database can."""
        before = genesis(CHAIN)
        for index, one in enumerate(self.events):
            said = text(one.position, "nothing.at-all") if one.position == position else one.text
            assert said is not None
            before = link(before, one.position, said)
            self.events[index] = Sealed(one.position, before, said)

    def judge(self, key: EvidenceKey = KEY, **options: object) -> Verdict:
        signed = Signed(CHAIN, key.public, self.lines)
        return judge(signed, self.events, self.messages, **options)  # type: ignore[arg-type]


@pytest.fixture
def trail() -> Trail:
    return Trail()


def protected(verdict: Verdict) -> int:
    return verdict.protected.position if verdict.protected else 0


def test_a_trail_as_it_was_written_is_intact(trail: Trail) -> None:
    verdict = trail.judge()
    assert verdict.faults == []
    assert (verdict.events, protected(verdict), verdict.unprotected) == (8, 8, 2)
    assert (verdict.messages, verdict.unprotected_messages, verdict.checkpoints) == (8, 1, 2)
    assert verdict.protected is not None
    assert (verdict.protected.id, verdict.protected.time) == ("event-8", "2026-05-04T10:00:08Z")


ATTACKS: dict[str, tuple[Callable[[Trail], object], int, int, str]] = {
    "update": (lambda t: t.change(6, text=text(6, "x")), 6, 5, "event 6 is not what was sealed"),
    "update, all hashes made again": (lambda t: t.rewrite(6), 5, 4, "events 5 to 8 are not what checkpoint 2"),
    "update of the first": (lambda t: t.rewrite(1), 1, 0, "events 1 to 4 are not what checkpoint 1"),
    "columns": (lambda t: t.change(3, unlike=("actor",)), 3, 2, "its actor was changed beside its text"),
    "delete": (lambda t: t.events.pop(5), 6, 4, "event 6 is missing"),
    "delete of the row alone": (lambda t: t.change(6, text=None), 6, 5, "event 6 was removed"),
    "insert": (lambda t: t.events.insert(5, t.events[5]), 6, 5, "stands where it does not belong"),
    "truncation": (lambda t: t.events.__delitem__(slice(6, None)), 7, 4, "events 7 to 8 are missing"),
    "truncation of whole checkpoints": (lambda t: t.events.__delitem__(slice(4, None)), 5, 4, "events 5 to 8"),
    "everything": (lambda t: t.events.clear(), 1, 0, "events 1 to 4 are missing"),
    "the head": (lambda t: t.events.__delitem__(slice(0, 4)), 1, 0, "events 1 to 4 are missing"),
    "a newer one": (lambda t: t.change(9, text=text(9, "x")), 9, 8, "event 9 is not what was sealed"),
}


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_an_attack_is_named_with_the_last_event_that_is_proven(trail: Trail, attack: str) -> None:
    work, first, last, what = ATTACKS[attack]
    work(trail)
    verdict = trail.judge()
    assert not verdict.intact
    assert (verdict.first, protected(verdict)) == (first, last)
    assert what in " ".join(one.what for one in verdict.faults)


def test_events_in_another_order_are_found(trail: Trail) -> None:
    one, other = trail.events[5].text, trail.events[6].text
    trail.change(6, text=other)
    trail.change(7, text=one)
    verdict = trail.judge()
    assert [fault.position for fault in verdict.faults] == [6, 7]
    assert protected(verdict) == 5


def test_events_that_the_hub_never_sealed_are_found(trail: Trail) -> None:
    verdict = trail.judge(unsealed=[(text(11), False), (text(12, "user.create"), True)])
    assert verdict.unprotected == 3
    assert "event-12 (user.create" in verdict.faults[0].what


@pytest.mark.parametrize("number", [1, 4, 6])
def test_a_message_that_is_gone_or_changed_is_found(trail: Trail, number: int) -> None:
    whole = list(trail.messages)
    trail.messages.pop(number - 1)
    assert "1 missing" in trail.judge().faults[0].what
    trail.messages = [*whole[: number - 1], Stored(whole[number - 1].uuid, bytes(32)), *whole[number:]]
    assert "their ids or body hashes were changed" in trail.judge().faults[0].what
    trail.messages = [*whole[:number], Stored(identify(number, 7).bytes, bytes(32)), *whole[number:]]
    assert "1 too many" in trail.judge().faults[0].what


def test_a_changed_body_names_its_message(trail: Trail) -> None:
    first, second, *rest = trail.messages
    trail.messages = [
        dataclasses.replace(first, opened=first.hash), dataclasses.replace(second, opened=bytes(32)), *rest,
    ]  # fmt: skip
    verdict = trail.judge()
    assert verdict.bodies == 1
    assert verdict.faults[0].what.endswith("is not what its hash says")
    trail.messages[1] = dataclasses.replace(second, unreadable=True)
    assert "does not open" in trail.judge().faults[0].what


def test_what_remains_after_a_purge_is_intact(trail: Trail) -> None:
    trail.purge(4)
    verdict = trail.judge()
    assert verdict.faults == []
    assert (verdict.begins, verdict.removed, verdict.events, protected(verdict)) == (5, 4, 4, 8)
    trail.append(1)
    trail.events.pop(0)
    assert trail.judge().first == 5


def test_a_part_begins_at_a_checkpoint(trail: Trail) -> None:
    trail.events = trail.events[4:]
    assert trail.judge(begins=5).intact
    assert trail.judge().first == 1
    trail.events = trail.events[1:]
    assert not trail.judge(begins=6).intact


def test_what_was_not_sound_when_it_was_signed_stays_named(trail: Trail) -> None:
    trail.sign(faults=(9,))
    verdict = trail.judge()
    assert (verdict.first, protected(verdict)) == (9, 8)


def test_checkpoints_must_be_all_there_in_order_and_signed(trail: Trail) -> None:
    lines = list(trail.lines)
    assert not trail.judge(EvidenceKey(bytes(32))).intact
    trail.lines = lines[1:]
    assert "does not follow" in trail.judge().faults[0].what
    trail.lines = [lines[0], lines[1].replace("time 1", "time 2")]
    assert "the key did not sign it" in trail.judge().faults[0].what
    trail.lines = [lines[0], "what is this\n"]
    assert "not a checkpoint" in trail.judge().faults[0].what
    trail.lines = [lines[0], lines[1][:40]]  # the hub was killed while it wrote
    verdict = trail.judge()
    assert verdict.intact
    assert (protected(verdict), verdict.unprotected) == (4, 6)


def test_another_organizations_checkpoints_do_not_fit(trail: Trail) -> None:
    verdict = judge(Signed("system", KEY.public, trail.lines), trail.events, ())
    assert "it belongs to" in verdict.faults[0].what
