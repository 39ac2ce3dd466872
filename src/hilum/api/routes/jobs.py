"""Jobs: what became of work that outlived its request."""

from __future__ import annotations

import uuid

from hilum.api.services import Used
from hilum.api.surface import Acting, Surface, allow
from hilum.services.jobs import JobState

router = Surface("/jobs")


@router.get("/{identifier}")
@allow("jobs:read", audits="job.show")
async def show_job(services: Used, act: Acting, identifier: uuid.UUID) -> JobState:
    """Its state, and its result once it ended."""
    act.entity = f"job/{identifier}"
    return await services.jobs.show(act, identifier)
