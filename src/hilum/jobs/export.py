"""Makes an export: its file is whole and sealed, or there is none. Then it goes to where it was wanted.

What a restart interrupted begins anew and gives the same bytes.
"""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

from hilum.errors import Conflict, HilumError
from hilum.jobs import Context
from hilum.model.access import HUB, Scope
from hilum.model.audit import Act
from hilum.model.export import ExportStatus
from hilum.model.retention import DAY
from hilum.store import Store, exports, organizations
from hilum.store.exports import Export
from hilum.store.jobs import Job

_TOLD = 0.5  # seconds from one report of progress to the next


async def run(context: Context, job: Job) -> dict[str, Any]:
    """How many `rows` are in the file, and values beside it (`aside`). Raises HilumError."""
    from hilum.exporting import faults  # brings pyarrow, which a hub at work does without

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
            return {"status": now}  # cancelled, and perhaps asked for again, which is another job
        problem = faults.problem(error)
        await own.change(Act(HUB, Scope(organization), "export.fail"), exports.fail, one, problem)
        raise HilumError(problem["reason"] if not isinstance(error, HilumError) else str(error)) from error
    return {"rows": made.rows, "aside": made.aside}


async def _made(context: Context, one: Export) -> exports.Written:
    """Raises Conflict where it was cancelled, NotFound where its source is gone, and what `making.make` raises."""
    from hilum.exporting import making
    from hilum.exporting.means import Means, Watch

    assert context.vault is not None  # noqa: S101 - `run` looked
    means = Means(context.store, context.vault, context.recorder.flush, context.entries, context.dialer)
    await context.store.within(one.organization).write(exports.begin, one, None)
    watch = Watch()
    task = asyncio.create_task(making.make(means, one, watch))
    try:
        while not task.done():
            await asyncio.wait([task], timeout=_TOLD)
            if not await _progress(context.store, one, watch.done, watch.rows):
                watch.drop()
    finally:
        if not task.done():  # the hub ends, or the store does not answer: the thread must not write on
            watch.drop()
            await asyncio.wait([task])
    return await task


async def _progress(store: Store, one: Export, done: int, rows: int | None) -> bool:
    return await store.within(one.organization).write(exports.progress, one, done, rows)
