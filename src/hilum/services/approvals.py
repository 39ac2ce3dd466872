"""Four eyes: one person asks for what policy refused to him alone, another one decides, and it may be done once."""

from __future__ import annotations

import dataclasses
import datetime
import uuid
from collections.abc import Collection, Mapping
from typing import Any, Literal

from hilum import clock
from hilum.errors import Conflict, NotFound, Refused
from hilum.model.access import PrincipalKind, Scope, permit
from hilum.model.audit import Act, Change
from hilum.model.identifier import new
from hilum.model.signing import OPERATIONS
from hilum.security.canonical import canonical
from hilum.services.policy import Policy
from hilum.store import Connection, Store, approvals
from hilum.store.approvals import Approval

HOLDS = 72 * 3_600 * 1_000_000  # microseconds: asked, decided and done within three days

State = Literal["waiting", "approved", "denied", "used", "expired"]


@dataclasses.dataclass(frozen=True, slots=True)
class ApprovalView:
    """`wanted` is what would be done, without secrets."""

    id: uuid.UUID
    operation: str
    entity: str
    entity_version: int
    wanted: dict[str, Any]
    state: str
    reason: str
    asked_by: str  # the printed name
    asked_by_id: str
    asked_at: datetime.datetime
    expires_at: datetime.datetime
    decided_by: str | None
    decided_by_id: str | None
    decided_at: datetime.datetime | None
    decision: str  # the decider's reason


class Approvals:
    """The use cases."""

    def __init__(self, store: Store, policy: Policy) -> None:
        self._store = store
        self._policy = policy

    async def ask(self, act: Act, request: str, reason: str) -> ApprovalView:
        """Ask for what was refused. `request` comes with the refusal. Raises Refused."""
        _person(act)
        asked = self._policy.asked(act.organization, act.principal.id, request)
        act.entity, act.reason = asked["entity"], reason
        within = self._store.within(act.organization)
        return await self._shown(act.scope, await within.change(act, _add, act, asked, reason))

    async def decide(self, act: Act, identifier: uuid.UUID, *, approve: bool, reason: str) -> ApprovalView:
        """Say yes or no to what somebody else asked for. Raises NotFound, Refused, Conflict where it is decided."""
        _person(act)
        act.entity, act.reason = f"approval/{identifier}", reason or act.reason
        one = await self._find(act.scope, identifier)
        if one.asked_by == act.principal.id:
            raise Refused("nobody approves what he asked for himself")
        may = permit(act.principal, OPERATIONS[one.operation].permission)  # nor what he may not do himself
        may.check(one.study, f"there is no approval {identifier}")
        state = "approved" if approve else "denied"
        within = self._store.within(act.organization)
        return await self._shown(act.scope, await within.change(act, _decide, act, one, state, reason))

    async def show(self, scope: Scope, identifier: uuid.UUID) -> ApprovalView:
        """Raises NotFound."""
        return await self._shown(scope, await self._find(scope, identifier))

    async def list(self, scope: Scope, state: State | None, offset: int, limit: int) -> tuple[list[ApprovalView], int]:
        """The newest first, and how many there are."""
        within, now = self._store.within(scope.organization), clock.micros()
        found, total = await within.read(approvals.newest, scope, state, now, offset, limit)
        names = await self._names(scope, found)
        return [_shown(one, names, now) for one in found], total

    async def _find(self, scope: Scope, identifier: uuid.UUID) -> Approval:
        found = await self._store.within(scope.organization).read(approvals.find, scope, identifier)
        if found is None:
            raise NotFound(f"there is no approval {identifier}")
        return found

    async def _shown(self, scope: Scope, one: Approval) -> ApprovalView:
        return _shown(one, await self._names(scope, [one]), clock.micros())

    async def _names(self, scope: Scope, found: Collection[Approval]) -> Mapping[str, str]:
        ids = {each for one in found for each in (one.asked_by, one.decided_by) if each}
        return await self._store.within(scope.organization).read(approvals.names, scope.organization, ids)


def _person(act: Act) -> None:
    if act.principal.kind is not PrincipalKind.USER:
        raise Refused("four eyes are those of two people, each with an account of his own")


def _add(connection: Connection, act: Act, asked: Mapping[str, Any], reason: str) -> Change:
    now = clock.micros()
    identifier = new(now)
    told = {name: asked[name] for name in ("operation", "entity", "version", "wanted")}
    approvals.add(
        connection, uuid=identifier, organization=act.organization, study=asked["study"], operation=told["operation"],
        entity=told["entity"], fingerprint=bytes.fromhex(asked["fingerprint"]), document=canonical(told).decode(),
        reason=reason, asked_by=act.principal.id, asked_at=now, expires_at=now + HOLDS,
    )  # fmt: skip
    made = approvals.find(connection, Scope(act.organization), identifier)
    return Change(made, f"approval/{identifier}", after={**told, "state": "waiting"})


def _decide(connection: Connection, act: Act, one: Approval, state: str, reason: str) -> Change:
    now = clock.micros()
    if not approvals.decide(connection, one, state, act.principal.id, reason, now):
        raise Conflict("it was decided already, or its time is over")
    made = approvals.find(connection, Scope(act.organization), one.uuid)
    act.details |= {"operation": one.operation, "of": one.entity, "asked_by": one.asked_by}
    return Change(made, f"approval/{one.uuid}", {"state": one.state}, {"state": state})


def _shown(one: Approval, names: Mapping[str, str], now: int) -> ApprovalView:
    late = one.state in ("waiting", "approved") and one.expires_at <= now
    return ApprovalView(
        id=one.uuid,
        operation=one.operation,
        entity=one.entity,
        entity_version=one.document["version"],
        wanted=one.document["wanted"],
        state="expired" if late else one.state,
        reason=one.reason,
        asked_by=names.get(one.asked_by, one.asked_by),
        asked_by_id=one.asked_by,
        asked_at=clock.from_micros(one.asked_at),
        expires_at=clock.from_micros(one.expires_at),
        decided_by=None if one.decided_by is None else names.get(one.decided_by, one.decided_by),
        decided_by_id=one.decided_by,
        decided_at=None if one.decided_at is None else clock.from_micros(one.decided_at),
        decision=one.decision,
    )
