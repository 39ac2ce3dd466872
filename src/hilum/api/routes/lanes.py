"""Lanes: how every destination stands; retry now, skip with a reason."""

from __future__ import annotations

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from hilum.api.items import Items
from hilum.api.services import Actor, Organization, Used
from hilum.services.jobs import JobState
from hilum.services.lanes import Lane

router = APIRouter(prefix="/lanes", tags=["lanes"])


class Skip(BaseModel):
    model_config = ConfigDict(extra="forbid")

    delivery: int = Field(..., description="The delivery at the head of its lane, as `stuck` and messages name it.")
    reason: str = Field(..., min_length=1, max_length=500, description="Why it is not to be delivered.")


@router.get("")
async def list_lanes(services: Used, organization: Organization) -> Items[Lane]:
    """Every destination with its backlog and its stuck lanes."""
    return Items(items=await services.lanes.all(organization))


@router.post("/{integration}/{endpoint}/retry", responses={202: {"model": JobState}})
async def retry_lane(
    services: Used, organization: Organization, actor: Actor, response: Response, integration: str, endpoint: str
) -> JobState:
    """Try the lanes of a destination now. 202: it will be done, ask for the job later."""
    job = await services.lanes.retry(organization, f"{integration}/{endpoint}", actor=actor)
    response.status_code = 200 if job.state == "done" else 202
    return job


@router.post("/{integration}/{endpoint}/skip", responses={202: {"model": JobState}})
async def skip_delivery(
    services: Used, organization: Organization, actor: Actor, response: Response, integration: str, endpoint: str,
    wanted: Skip,
) -> JobState:  # fmt: skip
    """Take the delivery at the head of its lane out of it. 202: it will be done, ask for the job later."""
    reference = f"{integration}/{endpoint}"
    job = await services.lanes.skip(organization, reference, wanted.delivery, wanted.reason, actor=actor)
    response.status_code = 200 if job.state == "done" else 202
    return job
