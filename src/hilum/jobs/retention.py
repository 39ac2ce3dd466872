"""Removes bodies after the time that their organization or route keeps them, and archives after theirs.

Where an organization wants it, bodies go into an archive first: its file is whole and on the disk before its rows name
it, and only what an archive has is removed then. So whenever this ends, nothing is lost, and the next run tidies up.
What a legal hold holds stays.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hilum import clock, telemetry
from hilum.errors import Conflict, HilumError, NotFound, StoreError
from hilum.jobs import Context
from hilum.model.access import HUB, Scope
from hilum.model.audit import Act, Outcome
from hilum.model.identifier import new
from hilum.model.retention import years_before
from hilum.security.sealed_file import new_key
from hilum.store import (
    Connection,
    Store,
    archive_files,
    archives,
    audit,
    configuration,
    deliveries,
    files,
    legal_holds,
    messages,
    retention,
)
from hilum.store.archive_files import Kept
from hilum.store.archives import Archive, Written
from hilum.store.jobs import Job
from hilum.store.retention import Due, Policy

_BATCH = 500  # bodies that are removed together
_MESSAGES, _BYTES = 2_000, 16 << 20  # of an archive
_PAGE = 100  # bodies that are read together
log = telemetry.logger("retention")


async def run(context: Context, job: Job) -> dict[str, Any]:
    """`bodies` removed, by organization; what was `archived`, is `held`, and `archives` removed, where there is any.

    Raises HilumError where some organization's failed, after all others.
    """
    done: dict[str, dict[str, int]] = {name: {} for name in ("bodies", "archived", "held", "archives")}
    failed: list[str] = []
    for policy in await context.store.read(retention.policies):
        keeper = _Keeper(context, policy)
        try:
            await keeper.work()
        except HilumError as error:
            log.error("retention failed", organization=policy.name, reason=str(error))
            failed.append(f"{policy.name}: {error}")
        for name, count in keeper.done.items():
            if count or name == "bodies":
                done[name][policy.name] = count
    await context.store.give_space_back()
    if failed:
        raise HilumError("; ".join(failed))
    return {name: counts for name, counts in done.items() if counts or name == "bodies"}


class _Keeper:
    """The retention of one organization, once."""

    def __init__(self, context: Context, policy: Policy) -> None:
        self._store, self._vault, self._policy = context.store, context.vault, policy
        self._own = context.store.within(policy.id)
        self._cutoffs = policy.cutoffs(clock.micros())
        self._sound: dict[int, bool] = {}  # archives whose file is as it was written, by their rows
        self.done = {"bodies": 0, "archived": 0, "held": 0, "archives": 0}

    async def work(self) -> None:
        """Raises HilumError."""
        await self._look_at_holds()
        there = await self._own.read(archives.there, self._policy.id)
        known = [one.uuid for one in there]
        await asyncio.to_thread(files.sweep, self._store.folder, files.ARCHIVES, self._policy.uuid, known)
        if self._policy.archive:
            await self._archive()
        while not await self._remove():  # a hold was placed or lifted meanwhile
            await self._look_at_holds()
        await self._expire()

    async def _look_at_holds(self) -> None:
        self._holds = await legal_holds.standing(self._store, self._policy.id)

    def _held(self, one: Due) -> bool:
        return self._holds.keep(one.id, one.endpoint, one.received_at)

    # Archiving

    async def _archive(self) -> None:
        """Bring what is due into archives, unless it is in one already."""
        waiting: list[Due] = []
        async for found in retention.scan(self._store, self._policy, self._cutoffs):
            waiting += [one for one in found if one.archive is None and not self._held(one)]
            while len(waiting) >= _MESSAGES:
                waiting = waiting[await self._write(waiting[:_MESSAGES]) :]
        while waiting:
            waiting = waiting[await self._write(waiting[:_MESSAGES]) :]

    async def _write(self, wanted: Sequence[Due]) -> int:
        """Write an archive of as many of these as fit; how many were looked at."""
        kept: dict[int, tuple[Kept, Sequence[int]]] = {}
        size = looked = 0
        while looked < len(wanted) and size < _BYTES:
            page = wanted[looked : looked + _PAGE]
            some = await self._own.load(_read, self._store, page)
            kept |= some
            size += sum(len(one.body) for one, _ in some.values())
            looked += len(page)
        if kept:
            await self._keep([one for one, _ in kept.values()], {row: keys for row, (_, keys) in kept.items()})
        return looked

    async def _keep(self, kept: Sequence[Kept], keys: Mapping[int, Sequence[int]]) -> None:
        if self._vault is None:
            raise HilumError("the vault is not open here")
        organization, identifier, key = self._policy.id, new(clock.micros()), new_key()
        sealed, number = await self._vault.seal(archive_files.key_place(organization, identifier), key)
        path = files.path_of(self._store.folder, files.ARCHIVES, self._policy.uuid, identifier)
        try:
            size, sha256 = await asyncio.to_thread(_write_file, path, key, organization, kept)
        except OSError as error:
            raise StoreError(f"the archive cannot be written: {error.strerror}") from None
        stamps = [one.received_at for one in kept]
        made = Written(identifier, min(stamps), max(stamps), size, sha256, sealed, number, keys)
        act = Act(HUB, Scope(organization), "archive.create")
        stored: Archive = await self._own.change(act, archives.add, organization, made)
        self._sound[stored.id] = True
        self.done["archived"] += len(kept)

    # Removing

    async def _remove(self) -> bool:
        """Remove what is due and not held. False: holds changed meanwhile, so it is to be done anew."""
        self.done["held"] = 0
        async for found in retention.scan(self._store, self._policy, self._cutoffs):
            free = [one for one in found if not self._held(one)]
            self.done["held"] += len(found) - len(free)
            ids = [one.id for one in free if not self._policy.archive or await self._is_archived(one)]
            for place in range(0, len(ids), _BATCH):
                act = Act(HUB, Scope(self._policy.id), "retention.purge")
                some = (self._policy, self._cutoffs, self._holds, ids[place : place + _BATCH])
                try:
                    self.done["bodies"] += await self._own.change(act, retention.remove, *some)
                except NotFound:
                    continue  # it was put back meanwhile
                except Conflict:
                    return False
        return True

    async def _is_archived(self, one: Due) -> bool:
        """Whether an archive has it, and that one's file is as it was written."""
        if one.archive is None:
            return False
        if one.archive not in self._sound:
            self._sound[one.archive] = await self._check(await self._own.read(archives.get, one.archive))
        return self._sound[one.archive]

    async def _check(self, one: Archive) -> bool:
        path = files.path_of(self._store.folder, files.ARCHIVES, self._policy.uuid, one.uuid)
        problem = await asyncio.to_thread(archives.problem, one, path)
        if problem:
            log.error("bodies stay, for their archive is damaged", archive=str(one.uuid), reason=problem)
            act = Act(HUB, Scope(self._policy.id), "archive.verify", entity=one.entity)
            await self._store.journal.record(audit.event(act, outcome=Outcome.FAILURE, error=problem))
        return not problem

    async def _expire(self) -> None:
        """Remove the archives whose time is over: the key first, so that nobody opens the file, whatever happens."""
        before = years_before(self._cutoffs.now, self._policy.archive_years)
        for one in await self._own.read(archives.expired, self._policy.id, before):
            if await self._own.load(archives.holds, one, self._holds):
                continue
            act = Act(HUB, Scope(self._policy.id), "archive.remove")
            try:
                await self._own.change(act, archives.remove, one, self._holds)
            except Conflict:
                return  # holds changed: the next run does it
            path = files.path_of(self._store.folder, files.ARCHIVES, self._policy.uuid, one.uuid)
            await asyncio.to_thread(files.remove, path)
            self.done["archives"] += 1


def _read(connection: Connection, store: Store, page: Sequence[Due]) -> dict[int, tuple[Kept, Sequence[int]]]:
    """Messages with their bodies, and their search keys where a database has none of its own. What is broken stays."""
    references, _ = configuration.names(connection)
    found: dict[int, tuple[Kept, Sequence[int]]] = {}
    for row in reversed(messages.by_ids(connection, [one.id for one in page])):
        try:
            body = messages.bodies(connection, store.sealer, [row.id])[row.id]
            made = deliveries.kept_bodies(connection, store.sealer, row.first_delivery, row.deliveries)
            message = messages.view(row, store.sealer, body)
        except (StoreError, KeyError) as error:
            log.error("a body cannot be archived, so it stays", message=row.id, reason=str(error))
            continue
        endpoint = references.get(row.endpoint, str(row.endpoint))
        kept = Kept(row.id, message.uuid, row.received_at, endpoint, row.type, row.control_id, body, made)
        found[row.id] = kept, store.keys_again(message) if store.database.embedded else ()
    return found


def _write_file(path: Path, key: bytes, organization: int, kept: Sequence[Kept]) -> tuple[int, bytes]:
    """Write an archive and read it back: what it does not give again must not be removed. Bytes and SHA-256."""
    identifier = archive_files.identifier_of(path)
    with archive_files.written(path, key, organization, identifier) as sink:
        for one in kept:
            sink.add(one)
    for one, again in zip(kept, archive_files.read(path, key, organization, identifier), strict=True):
        if one != again:
            raise StoreError(f"the archive of message {one.id} does not give it back")
    return files.digest(path)
