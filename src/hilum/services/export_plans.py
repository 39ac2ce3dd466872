"""Export plans: kept, changed, started now; a job asks for what they say at their times."""

from __future__ import annotations

import dataclasses
import datetime
import uuid
from typing import Any

from hilum import clock
from hilum.errors import NotFound, Refused
from hilum.exporting import asking
from hilum.exporting.asking import Ready
from hilum.model import cron
from hilum.model.access import Scope
from hilum.model.audit import Act, Change
from hilum.model.export import ExportKind, ExportStatus
from hilum.model.export_plan import ExportPlan
from hilum.services.exports import Exports, ExportView
from hilum.store import Connection, Store, export_plans, exports, studies
from hilum.store.export_plans import Plan, Wanted


@dataclasses.dataclass(frozen=True, slots=True)
class LastExport:
    """The newest export that came of a plan."""

    id: uuid.UUID
    status: ExportStatus
    created_at: datetime.datetime


@dataclasses.dataclass(frozen=True, slots=True)
class ExportPlanView:
    """A plan. `owner`: whose rights it runs with. `problem`: why nothing came of its last time; null: something did.

    `next_run` null: it has no times of its own. `last`: null where it is none, or none that the caller may see.
    """

    id: uuid.UUID
    name: str
    kind: ExportKind
    study: str | None
    wish: dict[str, Any]
    cron: str | None
    next_run: datetime.datetime | None
    last: LastExport | None
    problem: str | None
    owner: str
    version: int
    created_at: datetime.datetime


class ExportPlans:
    """The use cases."""

    def __init__(self, store: Store, exports: Exports) -> None:
        self._store = store
        self._exports = exports

    async def list(self, scope: Scope, offset: int, limit: int) -> tuple[list[ExportPlanView], int]:
        """By name, and how many there are."""
        return await self._store.within(scope.organization).read(_listed, scope, offset, limit)

    async def show(self, scope: Scope, identifier: uuid.UUID) -> ExportPlanView:
        """Raises NotFound."""
        return await self._store.within(scope.organization).read(_shown, scope, identifier)

    async def create(self, act: Act, wanted: ExportPlan) -> ExportPlanView:
        """It runs with the rights of who makes it. Raises ConfigError, NotFound, Refused, Conflict (the name)."""
        ready = await _ready(wanted)
        made = await self._store.within(act.organization).change(act, _created, act, wanted, ready)
        return await self.show(act.scope, made.uuid)

    async def replace(self, act: Act, identifier: uuid.UUID, version: int, wanted: ExportPlan) -> ExportPlanView:
        """From now on it runs with the rights of who changed it. Raises what `create` does, Stale."""
        ready = await _ready(wanted)
        await self._store.within(act.organization).change(act, _replaced, act, identifier, version, wanted, ready)
        return await self.show(act.scope, identifier)

    async def archive(self, act: Act, identifier: uuid.UUID) -> None:
        """What came of it stays. Raises NotFound."""
        await self._store.within(act.organization).change(act, export_plans.archive, act.scope, identifier)

    async def run(self, act: Act, identifier: uuid.UUID) -> ExportView:
        """Now, with the rights of who asks. Raises NotFound, ConfigError, Refused, Conflict, TooMany."""
        own = self._store.within(act.organization)
        one = await own.read(export_plans.find, act.scope, identifier)
        act.details |= {"plan": one.entity}
        ready = await asking.ready(asking.read(ExportKind(one.kind), one.definition, clock.now()))
        made = await own.change(act, _asked, act, one, ready)
        return await self._exports.begun(act, made.uuid)


async def _ready(wanted: ExportPlan) -> Ready:
    return await asking.ready(asking.read(wanted.kind, wanted.wish, clock.now()))


def _created(connection: Connection, act: Act, wanted: ExportPlan, ready: Ready) -> Change:
    return export_plans.create(connection, act.organization, _planned(connection, act, wanted, ready))


def _replaced(
    connection: Connection, act: Act, identifier: uuid.UUID, version: int, wanted: ExportPlan, ready: Ready
) -> Change:
    before = export_plans.find(connection, act.scope, identifier)
    return export_plans.replace(connection, before, version, _planned(connection, act, wanted, ready))


def _planned(connection: Connection, act: Act, wanted: ExportPlan, ready: Ready) -> Wanted:
    """What would be asked for now is checked as if it were. Raises NotFound, ConfigError, Refused, Conflict."""
    whole, _ = asking.rows(connection, act, ready)
    if not act.scope.admits(whole.study):
        raise Refused("a plan of several studies is for those who may export in all of them")
    return Wanted(
        whole.study, wanted.name, wanted.kind, wanted.wish, wanted.cron,
        None if wanted.cron is None else cron.following(wanted.cron, clock.now()),
        act.principal.id, act.principal.name,
    )  # fmt: skip


def _asked(connection: Connection, act: Act, one: Plan, ready: Ready) -> Change:
    asked = asking.ask(connection, act, ready)
    export_plans.asked(connection, one, asked.result)
    return asked


def _listed(connection: Connection, scope: Scope, offset: int, limit: int) -> tuple[list[ExportPlanView], int]:
    found, total = export_plans.listed(connection, scope, offset, limit)
    return [_view(connection, scope, one) for one in found], total


def _shown(connection: Connection, scope: Scope, identifier: uuid.UUID) -> ExportPlanView:
    return _view(connection, scope, export_plans.find(connection, scope, identifier))


def _view(connection: Connection, scope: Scope, one: Plan) -> ExportPlanView:
    study = None if one.study is None else studies.names(connection, scope.organization).get(one.study)
    return ExportPlanView(
        one.uuid, one.name, ExportKind(one.kind), study, one.definition, one.cron,
        None if one.next_at is None else clock.from_micros(one.next_at), _last(connection, scope, one), one.problem,
        one.owner_name, one.version, clock.from_micros(one.created_at),
    )  # fmt: skip


def _last(connection: Connection, scope: Scope, one: Plan) -> LastExport | None:
    if one.last is None:
        return None
    try:
        made = exports.by_number(connection, scope.organization, one.last)
        scope.check(made.study, "")
    except NotFound:
        return None
    return LastExport(made.uuid, ExportStatus(made.status), clock.from_micros(made.created_at))
