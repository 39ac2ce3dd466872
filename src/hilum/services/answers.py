"""Answers to changes, kept for a day under the key that the client gave: a repetition gets the same one."""

from __future__ import annotations

import dataclasses
import json

from hilum import clock
from hilum.store import Store, idempotency

DEAD = 60_000_000  # microseconds after which work that nobody here does is taken for lost


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """What a client was told, and about which entity."""

    status: int
    headers: dict[str, str]
    body: bytes
    entity: str


@dataclasses.dataclass(frozen=True, slots=True)
class Used:
    """A key that was used before, for the same request or another. `answer` None: it is still being worked on."""

    same: bool
    answer: Answer | None


class Answers:
    """One a hub."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._working: set[bytes] = set()  # keys whose requests run in this process, however long they take

    async def begin(self, organization: int, digest: bytes, fingerprint: bytes) -> Used | None:
        """Reserve a key. None: it is free, do what is to be done, then `keep` or `forget`. Raises StoreError.

        A request may hold a password: its fingerprint is kept under the hub's key, so that nobody tries them on it.
        """
        kept = self._store.hash.digest("idempotency", fingerprint)
        now = clock.micros()
        dead = 0 if digest in self._working else now - DEAD
        within = self._store.within(organization)
        found = await within.write(idempotency.reserve, organization, digest, kept, now, dead)
        if found is None:
            self._working.add(digest)
            return None
        known, status, sealed = found
        if status is None or sealed is None:
            return Used(known == kept, None)
        head, _, body = idempotency.opened(self._store.sealer, digest, sealed).partition(b"\n")
        about = json.loads(head)
        return Used(known == kept, Answer(status, about["headers"], body, about["entity"]))

    async def keep(self, organization: int, digest: bytes, answer: Answer) -> None:
        """Raises StoreError; then the key stays reserved until its time is over."""
        head = json.dumps({"headers": answer.headers, "entity": answer.entity}).encode()
        text = head + b"\n" + answer.body
        try:
            within = self._store.within(organization)
            await within.write(idempotency.keep, self._store.sealer, digest, answer.status, text)
        finally:
            self._working.discard(digest)

    async def forget(self, organization: int, digest: bytes) -> None:
        """Nothing was done: the key is free again. Raises StoreError."""
        try:
            await self._store.within(organization).write(idempotency.release, digest)
        finally:
            self._working.discard(digest)

    def lose(self, digest: bytes) -> None:
        """The work was broken off, nobody knows how far it came: the key is reserved until it counts as dead."""
        self._working.discard(digest)
