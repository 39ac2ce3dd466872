"""Makes an export: its file is whole and sealed, or there is none. Then it goes to where it was wanted.

What a restart interrupted begins anew and gives the same bytes.
"""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING, Any

from hilum import clock
from hilum.errors import ConfigError, Conflict, HilumError, PartnerFailed
from hilum.jobs import At, Context
from hilum.model.access import HUB, Scope
from hilum.model.audit import Act
from hilum.model.export import Destination, ExportStatus
from hilum.model.retention import DAY
from hilum.outbound.backoff import delay
from hilum.sdk.contracts import Deposit
from hilum.sdk.outcome import Permanent, Placed
from hilum.store import exports, integrations, organizations
from hilum.store.exports import Export
from hilum.store.jobs import Job

if TYPE_CHECKING:  # brings pyarrow, which a hub at work does without
    from hilum.exporting.means import Means, Watch

_LONGEST = 60.0  # seconds between two tries to hand a file over
_PLACING = 3_600.0  # seconds that handing it over may take
_PATIENCE = 5.0  # seconds that a thread has to notice that nobody wants it
_TOLD = 0.5  # seconds from one report of progress to the next


async def run(context: Context, job: Job) -> dict[str, Any]:
    """How many `rows` are in the file, and values beside it (`aside`). Raises HilumError."""
    from hilum.exporting import faults, making  # bring pyarrow, which a hub at work does without

    if context.vault is None or job.organization is None:
        raise HilumError("the vault is not open here")
    own, organization = context.store.within(job.organization), job.organization
    one = await own.read(exports.find, organization, uuid.UUID(job.arguments["export"]))
    home = await own.read(organizations.get, organization)
    lasts = home.settings.exports.days * DAY
    try:
        made = await _made(context, one)
        await own.change(Act(HUB, Scope(organization), "export.finish"), exports.finish, one, made, lasts)
    except Exception as error:  # whatever it was, nobody shall wait for it for ever
        now = (await own.read(exports.find, organization, one.uuid)).status
        if isinstance(error, Conflict) and now != ExportStatus.RUNNING:
            if now == ExportStatus.CANCELLED:
                await making.remove(context.store, one)
            return {"status": now}  # cancelled, and perhaps asked for again, which is another job
        problem = faults.problem(error)
        await own.change(Act(HUB, Scope(organization), "export.fail"), exports.fail, one, problem)
        raise HilumError(problem["reason"] if not isinstance(error, HilumError) else str(error)) from error
    return {"rows": made.rows, "aside": made.aside}


async def _made(context: Context, one: Export) -> exports.Written:
    """Raises Conflict where it was cancelled, NotFound where its source is gone, and what `making.make` raises."""
    from hilum.exporting.means import Means, Watch

    assert context.vault is not None  # noqa: S101 - `run` looked
    means = Means(context.store, context.vault, context.recorder.flush, context.entries)
    await context.store.within(one.organization).write(exports.begin, one, None)
    watch = Watch()
    task = asyncio.create_task(_whole(context, means, one, watch))
    try:
        while not task.done():
            await asyncio.wait([task], timeout=_TOLD)
            if not await context.store.within(one.organization).write(exports.progress, one, watch.done, watch.rows):
                watch.drop()
                if watch.placing:
                    task.cancel()  # what waits for a partner
        return await task
    except asyncio.CancelledError:
        if task.cancelled() and watch.dropped:
            raise Conflict("the export was cancelled") from None
        raise
    finally:
        if not task.done():  # the hub ends, or the store does not answer: the thread must not write on
            watch.drop()
            await asyncio.wait([task], timeout=_PATIENCE)
            if watch.placing:
                task.cancel()
            await asyncio.wait([task])
            if not task.cancelled():
                task.exception()  # else the loop complains that nobody looked at it


async def _whole(context: Context, means: Means, one: Export, watch: Watch) -> exports.Written:
    """The file, made and taken by its destination. Where either fails, nothing is left of it."""
    from hilum.exporting import making

    made = await making.make(means, one, watch)
    if (wanted := one.definition.get("destination")) is not None:
        watch.placing = True
        try:
            async with asyncio.timeout(_PLACING):
                told = await _placed(context, means, one, made, Destination.model_validate(wanted), watch)
        except BaseException as error:
            await making.remove(context.store, one)
            if isinstance(error, TimeoutError):
                raise PartnerFailed(
                    f"{wanted['endpoint']} did not take the file within {_PLACING / 60:.0f} minutes"
                ) from None
            raise
        # what left has left, whatever becomes of the export
        act = Act(HUB, Scope(one.organization), "export.place")
        await context.store.within(one.organization).change(act, exports.placed, one, told)
        made.facts["placed"] = told
    return made


async def _placed(
    context: Context, means: Means, one: Export, made: exports.Written, wanted: Destination, watch: Watch
) -> dict[str, Any]:  # fmt: skip
    """Raises PartnerFailed where it was not taken, ConfigError, Conflict (nobody wants it any more)."""
    from hilum.exporting import making

    if context.partners is None:
        raise ConfigError("nothing dials here: a hub that runs sends it")
    owner, _, name = wanted.endpoint.partition("/")
    there = await context.store.within(one.organization).read(integrations.named, Scope(one.organization), owner)
    if there is None:
        raise ConfigError(f"there is no endpoint {wanted.endpoint} any more")
    deposit = Deposit(str(one.uuid), wanted.name or made.file, made.size, made.sha256, made.media_type)
    async with context.partners.open(At.of(there, name)) as partner:
        for attempt in range(1, partner.endpoint.retries + 2):
            done = await partner.deposit(deposit, making.pieces(means, one, made, watch))
            if isinstance(done, Placed):
                told = {"endpoint": wanted.endpoint, "place": done.place, "detail": done.detail, "attempts": attempt}
                return told | {"at": clock.iso(clock.micros())}
            if isinstance(done, Permanent) or attempt > partner.endpoint.retries:
                break
            await _paused(watch, min(delay(attempt, getattr(done, "retry_after", None)), _LONGEST))
    raise PartnerFailed(f"{wanted.endpoint} did not take the file in {attempt} attempts: {done.detail}")


async def _paused(watch: Watch, seconds: float) -> None:
    """Raises Conflict as soon as nobody wants it any more."""
    until = clock.monotonic() + seconds
    while (left := until - clock.monotonic()) > 0:
        watch.check()
        await asyncio.sleep(min(left, _TOLD))
