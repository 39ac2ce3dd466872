"""Puts the bodies of an archive back for some days. Its checksum is compared first: a changed one puts nothing back."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

from hilum import clock
from hilum.errors import HilumError, StoreError
from hilum.jobs import Context
from hilum.model.access import HUB, Scope
from hilum.model.audit import Act
from hilum.model.retention import DAY
from hilum.store import archive_files, archives, audit, files, organizations
from hilum.store.jobs import Job


async def run(context: Context, job: Job) -> dict[str, Any]:
    """How many `bodies` were put back, of how many `messages`. Raises HilumError where the archive was changed."""
    if context.vault is None or job.organization is None:
        raise HilumError("the vault is not open here")
    organization, identifier = job.organization, uuid.UUID(job.arguments["archive"])
    own = context.store.within(organization)
    one = await own.read(archives.find, organization, identifier)
    owner = await own.read(organizations.get, organization)
    path = files.path_of(context.store.folder, files.ARCHIVES, owner.uuid, identifier)
    if problem := await asyncio.to_thread(archives.problem, one, path):
        raise StoreError(problem)
    key = await context.vault.open(archive_files.key_place(organization, identifier), one.sealed or b"")
    until = clock.micros() + int(job.arguments["days"]) * DAY
    kept = archive_files.read(path, key, organization, identifier)
    back = messages = 0
    try:
        while some := await asyncio.to_thread(archive_files.some, kept):
            back += await own.write(archives.restore, context.store.sealer, one, some, until)
            messages += len(some)
    except OSError as error:
        raise StoreError(f"archive {identifier} cannot be read: {error.strerror}") from None
    result = {"bodies": back, "messages": messages}
    details = {**result, "until": clock.from_micros(until).isoformat(timespec="seconds")}
    act = Act(HUB, Scope(organization), "archive.restored", entity=one.entity, details=details)
    await context.store.journal.record(audit.event(act))
    return result
