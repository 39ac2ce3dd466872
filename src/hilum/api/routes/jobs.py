"""Jobs: what became of work that outlived its request."""

from __future__ import annotations

import uuid

from fastapi import APIRouter

from hilum.api.services import Organization, Used
from hilum.services.jobs import JobState

router = APIRouter(prefix="/jobs", tags=["jobs"])


@router.get("/{identifier}")
async def show_job(services: Used, organization: Organization, identifier: uuid.UUID) -> JobState:
    """Its state, and its result once it ended."""
    return await services.jobs.show(organization, identifier)
