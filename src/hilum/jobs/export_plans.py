"""Asks for the exports of plans whose time has come, with the rights that their owners have now.

An export and the plan's next time are written together: one export a time, whatever stops or runs beside it. Times that
nobody was there for are one: the newest.
"""

from __future__ import annotations

import datetime
from typing import Any

from hilum import clock, telemetry
from hilum.errors import HilumError, StoreError
from hilum.exporting import asking
from hilum.exporting.asking import Ready
from hilum.jobs import Context
from hilum.model import cron
from hilum.model.access import HUB, Scope, permit
from hilum.model.audit import Act, Change
from hilum.model.export import ExportKind
from hilum.store import Connection, export_plans, owners
from hilum.store.export_plans import Plan
from hilum.store.jobs import Job

log = telemetry.logger("export-plans")


class _Overtaken(Exception):
    """Another process did it, or somebody changed the plan: then it is looked at again."""


async def run(context: Context, job: Job) -> dict[str, Any]:
    """How many exports were `asked` for, and how many plans `failed`. Raises StoreError."""
    told = {"asked": 0, "failed": 0}
    for one in await context.store.read(export_plans.due, clock.micros()):
        try:
            told["asked"] += await _ask(context, one)
        except StoreError:
            raise  # that is no plan's fault: its time stands, and the next minute asks again
        except _Overtaken:
            continue
        except Exception as error:  # whatever one plan is, the others have their time too
            told["failed"] += await _fail(context, one, error)
    if told["asked"]:
        context.store.signal("job")
    return told


async def _ask(context: Context, one: Plan) -> int:
    """Raises Refused, NotFound, ConfigError, Conflict, TooMany, StoreError."""
    wish = asking.read(ExportKind(one.kind), one.definition, _time(one))
    ready = await asking.ready(wish)
    own = context.store.within(one.organization)
    principal = await own.read(owners.of, one.organization, one.owner)
    act = Act(principal, permit(principal, "exports:create"), "export.ask", details={"plan": one.entity})
    await own.change(act, _asked, act, one, ready)
    return 1


def _asked(connection: Connection, act: Act, one: Plan, ready: Ready) -> Change:
    asked = asking.ask(connection, act, ready)
    if not export_plans.ran(connection, one, asked.result, _next(one)):
        raise _Overtaken
    return asked


async def _fail(context: Context, one: Plan, error: Exception) -> int:
    """The plan says why, and goes on at its next time."""
    if isinstance(error, HilumError):
        problem = str(error)
    else:
        log.exception("an export plan failed", plan=one.entity)
        problem = f"internal error: {type(error).__name__}"

    def write(connection: Connection) -> Change:
        following = _next(one)
        if not export_plans.ran(connection, one, problem, following):
            raise _Overtaken
        told = {"name": one.name, "problem": problem, "next": clock.iso(following)}
        return Change(None, one.entity, None, told)

    try:
        act = Act(HUB, Scope(one.organization), "export-plan.fail")
        await context.store.within(one.organization).change(act, write)
    except _Overtaken:
        return 0
    return 1


def _time(one: Plan) -> datetime.datetime:
    """The newest of its times that have come: what words such as `last-week` are told from."""
    assert one.cron is not None  # noqa: S101 - it has a next time
    return cron.newest(one.cron, clock.now())


def _next(one: Plan) -> int:
    assert one.cron is not None  # noqa: S101 - it has a next time
    return cron.following(one.cron, clock.now())
