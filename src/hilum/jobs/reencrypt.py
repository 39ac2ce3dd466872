"""Brings an organization's secrets under its newest data key, some at a time; they can be read and changed throughout.

Where it stands is in the rows themselves: a job that was interrupted goes on where it was.
"""

from __future__ import annotations

import uuid
from typing import Any

from hilum import telemetry
from hilum.errors import ConfigError, HilumError, StoreError
from hilum.jobs import Context
from hilum.model.access import HUB, Scope
from hilum.model.audit import Act
from hilum.security.envelope import Place
from hilum.store import audit, vault
from hilum.store.jobs import Job

_SOME = 50
log = telemetry.logger("vault")


async def run(context: Context, job: Job) -> dict[str, Any]:
    """How many were `resealed`, how many do not open (`broken`), how many keys hold nothing any more (`retired`)."""
    if context.vault is None or job.organization is None:
        raise HilumError("the vault is not open here")
    own, organization = context.store.within(job.organization), job.organization
    newest = await own.read(vault.key, organization)
    if newest is None:
        return {"resealed": 0, "broken": 0, "retired": 0}
    resealed, broken = 0, list[uuid.UUID]()
    while rows := await own.read(vault.behind, organization, newest.number, _SOME, tuple(broken)):
        for row in rows:
            place = Place(organization, row.table, row.uuid)
            try:
                plain = await context.vault.open(place, row.sealed)
            except (StoreError, ConfigError) as error:
                log.error("a secret does not open", row=f"{row.table}/{row.uuid}", reason=str(error))
                broken.append(row.uuid)
                continue
            sealed, number = await context.vault.seal(place, plain)
            resealed += await own.write(vault.resealed, organization, row, sealed, number)
    retired = await own.write(vault.retire, organization)
    result = {"resealed": resealed, "broken": len(broken), "retired": retired}
    act = Act(HUB, Scope(organization), "key.reencrypt", entity=f"key/{newest.number}", details=result)
    await context.store.journal.record(audit.event(act))
    return result
