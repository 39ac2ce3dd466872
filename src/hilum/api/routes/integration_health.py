"""The health of an integration: as the last checks found it, or as one finds it now."""

from __future__ import annotations

import uuid

from hilum.api.services import Used
from hilum.api.surface import Acting, Surface, allow
from hilum.services.integration_health import HealthReport

router = Surface(tag="integrations")


@router.get("/integrations/{integration_id}/health")
@allow("integrations:read", audits="integration-health.read")
async def read_integration_health(services: Used, act: Acting, integration_id: uuid.UUID) -> HealthReport:
    """What the last checks found, endpoint by endpoint. Nobody is asked."""
    act.entity = f"integration/{integration_id}"
    return await services.integration_health.latest(act.scope, integration_id)


@router.post("/integrations/{integration_id}/health/check")
@allow("integrations:test", audits="integration-health.renew")
async def check_integration_health(services: Used, act: Acting, integration_id: uuid.UUID) -> HealthReport:
    """Check now. After three failures in a row the integration stands at `error`, after a success at `active` again."""
    act.entity = f"integration/{integration_id}"
    return await services.integration_health.check(act, integration_id)
