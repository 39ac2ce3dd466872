"""How long an organization keeps what, class by class; and what the next purge would remove, without doing anything."""

from __future__ import annotations

import dataclasses
import datetime

from hilum import clock
from hilum.errors import Conflict, NotFound
from hilum.model.access import Scope
from hilum.model.audit import Act
from hilum.model.retention import CLASSES, Class, Unit, years_before
from hilum.services.policy import Intent
from hilum.services.policy import Policy as Rules
from hilum.store import Store, archives, legal_holds, organizations, purges, retention, subject_exports
from hilum.store.legal_holds import Holds
from hilum.store.organizations import Organization
from hilum.store.retention import Policy

CHANGE = "retention.change"


@dataclasses.dataclass(frozen=True, slots=True)
class Purge:
    """A class of data: how many would go now, and how many stay only because of a legal hold.

    `before`: what is older is due; a route may keep its bodies for another time, and exports have each their own.
    """

    kind: Class
    removed: int
    held: int
    before: datetime.datetime


@dataclasses.dataclass(frozen=True, slots=True)
class Preview:
    """`archived`: of the bodies, those that go into an archive before."""

    at: datetime.datetime
    classes: list[Purge]
    archived: int


@dataclasses.dataclass(frozen=True, slots=True)
class RetentionPolicy:
    """How long a class is kept: `keep` of `unit`, `usual` until the organization says otherwise, never below `least`.

    `why`: what wants it kept so long. What is not `changeable` is not decided here. `version` is the organization's.
    """

    kind: Class
    what: str
    keep: int
    unit: Unit
    usual: int
    least: int
    why: str
    changeable: bool
    version: int


class Retention:
    """The use cases."""

    def __init__(self, store: Store, rules: Rules) -> None:
        self._store = store
        self._rules = rules

    async def policies(self, scope: Scope) -> list[RetentionPolicy]:
        """Of all classes. Raises NotFound where there is no organization yet."""
        own = self._store.within(scope.organization)
        owner = await own.read(organizations.get, scope.organization)
        bodies = (await own.read(retention.policy, scope.organization)).bodies
        return [_policy(owner, kind, bodies) for kind in CLASSES]

    async def policy(self, act: Act, name: str) -> RetentionPolicy:
        """Raises NotFound, also where there is no organization yet."""
        kind = _known(name)
        owner = await self._store.within(act.organization).read(organizations.get, act.organization)
        act.entity = organizations.entity(owner)
        return next(one for one in await self.policies(act.scope) if one.kind == kind)

    async def keep(self, act: Act, name: str, version: int, number: int) -> RetentionPolicy:
        """Keep a class for so many days or years from now on.

        Raises NotFound, Conflict where that is not decided here, ConfigError below its least, Stale, and what policy
        asks for.
        """
        kind = _known(name)
        kept, own = CLASSES[kind], self._store.within(act.organization)
        owner = await own.read(organizations.get, act.organization)
        act.entity = organizations.entity(owner)
        if not kept.setting:
            raise Conflict(f"{kept.what} are kept for so long elsewhere: {kept.why}")
        kept.check(number)
        await self._rules.check(act, Intent(CHANGE, act.entity, {kept.setting: number}, version=version))
        settings = owner.settings.model_copy(update={kept.setting: number})
        values = {"settings": settings.model_dump(mode="json", exclude_defaults=True)}
        after: Organization = await own.change(act, organizations.change, owner.id, version, values)
        return _policy(after, kind, number)

    async def preview(self, scope: Scope) -> Preview:
        """As the jobs would find it at this moment. Raises NotFound where there is no organization yet."""
        own, now = self._store.within(scope.organization), clock.micros()
        kept = await own.read(retention.policy, scope.organization)
        owner = await own.read(organizations.get, scope.organization)
        holds = await legal_holds.standing(self._store, scope.organization)
        bodies, archived = await self._bodies(kept, holds, now)
        over = await own.read(subject_exports.over, now, scope.organization)
        exports = Purge("subject_exports", len(over), 0, clock.from_micros(now))
        classes = [bodies, await self._events(kept, holds, now), await self._archives(kept, holds, now), exports]
        rows = [await self._rows(owner, kind, now) for kind in purges.PARTS]
        return Preview(clock.from_micros(now), classes + rows, archived)

    async def _bodies(self, kept: Policy, holds: Holds, now: int) -> tuple[Purge, int]:
        cutoffs = kept.cutoffs(now)
        due = held = fresh = 0
        async for found in retention.scan(self._store, kept, cutoffs):
            free = [one for one in found if not holds.keep(one.id, one.endpoint, one.received_at)]
            due += len(free)
            held += len(found) - len(free)
            fresh += sum(one.archive is None for one in free)
        return Purge("bodies", due, held, clock.from_micros(cutoffs.usual)), fresh if kept.archive else 0

    async def _events(self, kept: Policy, holds: Holds, now: int) -> Purge:
        own, cutoff = self._store.within(kept.id), years_before(now, kept.audit_years)
        oldest = await legal_holds.oldest(self._store, holds)
        due = await own.load(retention.due_events, kept.id, cutoff if oldest is None else min(cutoff, oldest))
        held = 0 if oldest is None else await own.load(retention.due_events, kept.id, cutoff) - due
        return Purge("audit_events", due, held, clock.from_micros(cutoff))

    async def _archives(self, kept: Policy, holds: Holds, now: int) -> Purge:
        own, cutoff = self._store.within(kept.id), years_before(now, kept.archive_years)
        due = held = 0
        for one in await own.load(archives.expired, kept.id, cutoff):
            if await own.load(archives.holds, one, holds):
                held += 1
            else:
                due += 1
        return Purge("archives", due, held, clock.from_micros(cutoff))

    async def _rows(self, owner: Organization, kind: Class, now: int) -> Purge:
        def cutoff_of(one: Class) -> int:
            return CLASSES[one].cutoff(now, getattr(owner.settings, CLASSES[one].setting))

        cutoff, lines = cutoff_of(kind), cutoff_of("integration_logs")
        due, held = await self._store.within(owner.id).load(purges.count, owner.id, kind, cutoff, lines)
        return Purge(kind, due, held, clock.from_micros(cutoff))


def _known(name: str) -> Class:
    found = next((one for one in CLASSES if one == name), None)
    if found is None:
        raise NotFound(f"there is no class {name}")
    return found


def _policy(owner: Organization, kind: Class, bodies: int) -> RetentionPolicy:
    """`bodies`: days that bodies are kept, which the organization's settings do not say."""
    kept = CLASSES[kind]
    number = getattr(owner.settings, kept.setting) if kept.setting else bodies if kind == "bodies" else kept.usual
    return RetentionPolicy(
        kind, kept.what, number, kept.unit, kept.usual, kept.least, kept.why, bool(kept.setting), owner.version
    )  # fmt: skip
