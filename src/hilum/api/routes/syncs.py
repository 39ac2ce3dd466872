"""Synchronization of an integration's streams. There are none yet, and the answer says so."""

from __future__ import annotations

import uuid

from fastapi import Response

from hilum.api.services import Used
from hilum.api.surface import Acting, Surface, allow
from hilum.errors import Conflict
from hilum.model.lifecycle import RUNS

router = Surface(tag="integrations")


@router.post("/integrations/{integration_id}/sync", status_code=202, response_class=Response)
@allow("executions:write", audits="integration.sync", fails=(409,))
async def sync_integration(services: Used, act: Acting, integration_id: uuid.UUID) -> None:
    """Synchronize now. 409 INT004 where it is not active, or has no stream: none has in this version."""
    act.entity = f"integration/{integration_id}"
    found = await services.tests.row(act.scope, integration_id)
    if found.lifecycle not in RUNS:
        raise Conflict(f"the integration is {found.lifecycle}: it must be active to be synchronized")
    raise Conflict("no stream configured")
