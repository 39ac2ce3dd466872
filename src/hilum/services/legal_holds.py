"""Legal holds: what may be needed as evidence stays, whatever its retention says."""

from __future__ import annotations

import dataclasses
import datetime
import uuid

from hilum import clock
from hilum.errors import Conflict, ReasonNeeded
from hilum.intake.identity import search_key
from hilum.model.access import may
from hilum.model.audit import Act
from hilum.services.messages import PAYLOAD, micros
from hilum.services.names import Names
from hilum.services.policy import Intent, Policy
from hilum.store import Store, legal_holds
from hilum.store.legal_holds import Wanted

PATIENT = "patient"  # the search key that people know somebody by
LIFT = "legal-hold.lift"


@dataclasses.dataclass(frozen=True, slots=True)
class LegalHold:
    """What it narrows to is None where it narrows nothing. `patient` is shown to who may see payloads alone."""

    id: uuid.UUID
    name: str
    reason: str
    by_patient: bool
    patient: str | None
    endpoint: str | None  # integration/endpoint
    since: datetime.datetime | None
    until: datetime.datetime | None
    active: bool
    placed_by: str
    placed_at: datetime.datetime
    lifted_by: str | None
    lifted_at: datetime.datetime | None
    lifted_why: str
    version: int


class LegalHolds:
    """The use cases."""

    def __init__(self, store: Store, names: Names, policy: Policy) -> None:
        self._store = store
        self._names = names
        self._policy = policy

    async def list(self, act: Act, active: bool | None, offset: int, limit: int) -> tuple[list[LegalHold], int]:
        """The newest first, and how many there are."""
        read = self._store.within(act.organization).read
        found, total = await read(legal_holds.listed, act.organization, active, offset, limit)
        return [await self._view(act, one) for one in found], total

    async def show(self, act: Act, identifier: uuid.UUID) -> LegalHold:
        """Raises NotFound."""
        found = await self._store.within(act.organization).read(legal_holds.find, act.organization, identifier)
        return await self._view(act, found)

    async def place(
        self, act: Act, name: str, reason: str, *, patient: str | None, endpoint: str | None,
        since: datetime.datetime | None, until: datetime.datetime | None,
    ) -> LegalHold:  # fmt: skip
        """Whatever fits is held from now on. Raises NotFound for an unknown endpoint."""
        act.reason = act.reason or reason
        number = None if endpoint is None else await self._names.endpoint(act.scope, endpoint)
        key = None if patient is None else search_key(self._store.hash, act.organization, PATIENT, patient)
        times = [None if one is None else micros(one) for one in (since, until)]
        wanted = Wanted(name, reason, key, patient or "", number, *times)
        who = (self._store.sealer, act.organization, act.principal.id)
        return await self._view(
            act, await self._store.within(act.organization).change(act, legal_holds.place, *who, wanted)
        )

    async def lift(self, act: Act, identifier: uuid.UUID, version: int, reason: str) -> LegalHold:
        """Raises NotFound, Stale, Conflict where it was lifted, ReasonNeeded, and what policy asks for."""
        act.reason = reason or act.reason
        within = self._store.within(act.organization)
        found = await within.read(legal_holds.find, act.organization, identifier)
        if found.lifted_at is not None:
            raise Conflict(f"the legal hold {found.name} was lifted already")
        if not act.reason.strip():
            raise ReasonNeeded(LIFT)
        await self._policy.check(act, Intent(LIFT, legal_holds.entity(found), {"name": found.name}, version=version))
        who = (act.organization, identifier, version, act.principal.id, act.reason)
        return await self._view(act, await within.change(act, legal_holds.lift, *who))

    async def _view(self, act: Act, one: legal_holds.Hold) -> LegalHold:
        patient = None
        if one.subject is not None and may(act.principal, PAYLOAD):
            patient = self._store.sealer.open(one.subject, legal_holds.subject_place(one.uuid)).decode()
        endpoint = None if one.endpoint is None else (await self._names.endpoints([one.endpoint])).get(one.endpoint)
        return LegalHold(
            one.uuid, one.name, one.reason, one.patient is not None, patient, endpoint, _moment(one.since),
            _moment(one.until), one.lifted_at is None, one.placed_by, clock.from_micros(one.placed_at), one.lifted_by,
            _moment(one.lifted_at), one.lifted_why, one.version,
        )  # fmt: skip


def _moment(stamp: int | None) -> datetime.datetime | None:
    return None if stamp is None else clock.from_micros(stamp)
