"""Connectivity tests of integrations: harmless for the partner, whatever the endpoint's own method is."""

from __future__ import annotations

import uuid

from fastapi import Response
from pydantic import BaseModel, ConfigDict, Field

from hilum.api.language import Language, spoken
from hilum.api.services import Used
from hilum.api.surface import Acting, Surface, allow
from hilum.api.waiting import Wait, accepted
from hilum.services.jobs import PATIENCE, JobState
from hilum.services.tests import TestResult

router = Surface(tag="tests")


class TestOptions(BaseModel):
    """What is tested; nothing given: every endpoint."""

    model_config = ConfigDict(extra="forbid")

    endpoint_id: uuid.UUID | None = Field(None, description="This one alone.")
    dry_run: bool = Field(False, description="See whether it could be asked, and ask nobody.")


@router.post("/integrations/{integration_id}/test", responses={202: {"model": JobState}})
@allow("integrations:test", audits="integration.test")
async def test_integration(
    services: Used,
    act: Acting,
    language: Language,
    response: Response,
    integration_id: uuid.UUID,
    wait: Wait = PATIENCE,  # noqa: PT028 - a route, not a test
    wanted: TestOptions | None = None,  # noqa: PT028 - a route, not a test
) -> TestResult | JobState:
    """Test all endpoints at once, for 30 seconds at most. 200 even where a partner fails: `success` is false then.

    202 while it lasts: what it finds is then in the integration's health and log.
    """
    act.entity = f"integration/{integration_id}"
    wanted = wanted or TestOptions(endpoint_id=None, dry_run=False)
    found = await services.tests.ask(
        act, integration_id, endpoint=wanted.endpoint_id, dry_run=wanted.dry_run, wait=wait
    )  # fmt: skip
    return spoken(accepted(response, found), language)
