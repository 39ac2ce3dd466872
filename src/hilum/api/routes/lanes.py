"""Lanes: how every destination stands; retry now, skip with a reason."""

from __future__ import annotations

from typing import Annotated

from fastapi import Response
from pydantic import BaseModel, ConfigDict, Field

from hilum.api.paging import Page, Paging
from hilum.api.services import Used
from hilum.api.surface import Acting, Surface, allow
from hilum.api.texts import Reason
from hilum.services.jobs import JobState
from hilum.services.lanes import Lane

router = Surface("/lanes")


class Skip(BaseModel):
    model_config = ConfigDict(extra="forbid")

    delivery: int = Field(..., description="The delivery at the head of its lane, as `stuck` and messages name it.")
    reason: Annotated[Reason, Field(min_length=1, description="Why it is not to be delivered.")]


@router.get("")
@allow("lanes:read", audits="lane.list")
async def list_lanes(services: Used, act: Acting, paging: Paging) -> Page[Lane]:
    """Every destination with its backlog and its stuck lanes, by name."""
    return Page[Lane].cut(await services.lanes.all(act.scope), paging)


@router.post("/{integration}/{endpoint}/retry", responses={202: {"model": JobState}})
@allow("lanes:write", audits="lane.retry")
async def retry_lane(services: Used, act: Acting, response: Response, integration: str, endpoint: str) -> JobState:
    """Try the lanes of a destination now. 202: it will be done, ask for the job later."""
    job = await services.lanes.retry(act, f"{integration}/{endpoint}")
    response.status_code = 200 if job.state == "done" else 202
    return job


@router.post("/{integration}/{endpoint}/skip", responses={202: {"model": JobState}})
@allow("lanes:write", audits="lane.skip")
async def skip_delivery(
    services: Used, act: Acting, response: Response, integration: str, endpoint: str,
    wanted: Skip,
) -> JobState:  # fmt: skip
    """Take the delivery at the head of its lane out of it. 202: it will be done, ask for the job later."""
    reference = f"{integration}/{endpoint}"
    job = await services.lanes.skip(act, reference, wanted.delivery, wanted.reason)
    response.status_code = 200 if job.state == "done" else 202
    return job
