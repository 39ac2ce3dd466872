"""The health of an integration: as the last checks found it, or as one finds it now."""

from __future__ import annotations

import uuid

from fastapi import Response

from hilum.api.language import Language, spoken
from hilum.api.services import Used
from hilum.api.surface import Acting, Surface, allow
from hilum.api.waiting import Wait, accepted
from hilum.services.integration_health import HealthReport
from hilum.services.jobs import PATIENCE, JobState

router = Surface(tag="integrations")


@router.get("/integrations/{integration_id}/health")
@allow("integrations:read", audits="integration-health.read")
async def read_integration_health(
    services: Used, act: Acting, language: Language, integration_id: uuid.UUID
) -> HealthReport:  # fmt: skip
    """What the last checks found, endpoint by endpoint. Nobody is asked."""
    act.entity = f"integration/{integration_id}"
    return spoken(await services.integration_health.latest(act.scope, integration_id), language)


@router.post("/integrations/{integration_id}/health/check", responses={202: {"model": JobState}})
@allow("integrations:test", audits="integration-health.renew")
async def check_integration_health(
    services: Used,
    act: Acting,
    language: Language,
    response: Response,
    integration_id: uuid.UUID,
    wait: Wait = PATIENCE,
) -> HealthReport | JobState:
    """Check now. After three failures in a row the integration stands at `error`, after a success at `active` again.

    202 while it lasts: what it finds is then in the integration's health.
    """
    act.entity = f"integration/{integration_id}"
    found = await services.integration_health.check(act, integration_id, wait)
    return spoken(accepted(response, found), language)
