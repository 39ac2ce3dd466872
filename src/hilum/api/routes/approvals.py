"""Approvals: what one person asks for, another one decides (four eyes)."""

from __future__ import annotations

import uuid
from typing import Annotated

from fastapi import Query, Response
from pydantic import BaseModel, ConfigDict, Field

from hilum.api.paging import Page, Paging
from hilum.api.services import Used
from hilum.api.surface import Acting, Surface, allow
from hilum.api.texts import Line, Note
from hilum.services.approvals import ApprovalView, State

router = Surface("/approvals")


class NewApproval(BaseModel):
    model_config = ConfigDict(extra="forbid")

    request: str = Field(
        ...,
        max_length=20_000,
        pattern=r"^[\x21-\x7e]+$",
        description="`details.approval_required.request` of the refusal.",
    )
    reason: Line = Field(..., description="Why it should be done.")


class Approving(BaseModel):
    model_config = ConfigDict(extra="forbid")

    reason: Note = Field("", description="Why it may be done.")


class Denying(BaseModel):
    model_config = ConfigDict(extra="forbid")

    reason: Line = Field(..., description="Why it may not be done.")


@router.post("", status_code=201)
@allow("approvals:write", audits="approval.ask")
async def ask_approval(services: Used, act: Acting, response: Response, wanted: NewApproval) -> ApprovalView:
    """Ask a second person. Once approved, repeat the same request with the id in X-Approval, within three days."""
    made = await services.approvals.ask(act, wanted.request, wanted.reason)
    response.headers["location"] = f"/api/v1/approvals/{made.id}"
    return made


@router.get("")
@allow("approvals:read", audits="approval.list")
async def list_approvals(
    services: Used,
    act: Acting,
    paging: Paging,
    state: Annotated[State | None, Query(description="Only those; waiting ones want a decision.")] = None,
) -> Page[ApprovalView]:
    """The newest first."""
    items, total = await services.approvals.list(act.scope, state, paging.offset, paging.limit)
    return Page[ApprovalView].of(items, total, paging)


@router.get("/{approval_id}")
@allow("approvals:read", audits="approval.read")
async def read_approval(services: Used, act: Acting, approval_id: uuid.UUID) -> ApprovalView:
    """What would be done, who asked, and what was decided."""
    act.entity = f"approval/{approval_id}"
    return await services.approvals.show(act.scope, approval_id)


@router.post("/{approval_id}/approve")
@allow("approvals:write", audits="approval.approve")
async def approve(services: Used, act: Acting, approval_id: uuid.UUID, wanted: Approving) -> ApprovalView:
    """Say yes, as somebody else than who asked. 409: it was decided already, or its time is over."""
    return await services.approvals.decide(act, approval_id, approve=True, reason=wanted.reason)


@router.post("/{approval_id}/deny")
@allow("approvals:write", audits="approval.deny")
async def deny(services: Used, act: Acting, approval_id: uuid.UUID, wanted: Denying) -> ApprovalView:
    """Say no. 409: it was decided already, or its time is over."""
    return await services.approvals.decide(act, approval_id, approve=False, reason=wanted.reason)
