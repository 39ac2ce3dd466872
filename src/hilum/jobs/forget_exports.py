"""Removes the files of exports once their time is over, and what a crash left of them; their rows stay.

What is at work and has no job any more has failed: somebody waits for it.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from hilum import clock
from hilum.errors import Conflict
from hilum.jobs import Context
from hilum.model.access import HUB, Scope
from hilum.model.audit import Act, Change
from hilum.store import Connection, dataset_imports, datasets, exports, files, organizations, subject_exports
from hilum.store.jobs import Job


async def run(context: Context, job: Job) -> dict[str, Any]:
    """How many `exports` ended, and `files` were removed: theirs, and what a crash may have left."""
    now, ended, gone = clock.micros(), 0, 0
    for one in await context.store.read(subject_exports.over, now):
        ended += await _ended(context, one.organization, "subject-export.expire", subject_exports.expire, one)
    for each in await context.store.read(exports.over, now):
        ended += await _ended(context, each.organization, "export.expire", exports.expire, each)
    for lost in await context.store.read(exports.stranded):
        ended += await _ended(context, lost.organization, "export.fail", _failed, lost)
    for owner in await context.store.read(organizations.every):
        for folder, named in _KEPT.items():
            known = await context.store.within(owner.id).read(named, owner.id)
            gone += await asyncio.to_thread(files.sweep, context.store.folder, folder, owner.uuid, known)
    return {"exports": ended, "files": gone}


def _failed(connection: Connection, one: exports.Export) -> Change:
    reason = "it was interrupted, and nothing could be recorded; ask once more"
    return exports.fail(connection, one, {"reason": reason, "row": 0, "variable": ""})


async def _ended(context: Context, organization: int, action: str, expire: Callable[..., Change], one: object) -> bool:
    """Whether it ended now; somebody may have been quicker."""
    try:
        await context.store.within(organization).change(Act(HUB, Scope(organization), action), expire, one)
    except Conflict:
        return False
    return True


_KEPT: Mapping[str, Callable[[Connection, int], list[uuid.UUID]]] = {
    files.EXPORTS: subject_exports.named,
    files.PACKAGES: exports.files_of,
    files.DATASETS: datasets.files_of,
    files.IMPORTS: dataset_imports.open_ones,
}
"""Whose files of a folder some row still knows."""
