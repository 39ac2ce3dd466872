"""Executions: ask an endpoint and read its answer; list, read and call off what was asked.

What was sent and answered may name a patient: it is shown to those with the permission executions:payload, masked to
all others.
"""

from __future__ import annotations

import datetime
import uuid
from typing import Annotated, Any, Literal

from fastapi import Query, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from hilum.api.language import Language, spoken
from hilum.api.paging import Page, Paging
from hilum.api.services import Used
from hilum.api.surface import Acting, Surface, allow
from hilum.model.execution import ExecutionState
from hilum.services.executions import PAYLOAD, Asked, DryRun, Execution, check_headers
from hilum.services.jobs import PATIENCE
from hilum.services.messages import micros
from hilum.store.executions import Wanted

router = Surface(tag="executions")
BODY = 4 << 20  # bytes that a request may have, or HILUM_BODY_LIMIT where that is more
BYTES = "application/octet-stream"
Correlation = Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]{0,128}$")]
Key = Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]{0,200}$")]
Value = Annotated[str, StringConstraints(max_length=8_000)]
Include = Annotated[Literal["payload"] | None, Query(description="payload: what was sent and answered, unmasked.")]


class ExecuteOptions(BaseModel):
    """What is sent, and how. `data` as text is sent as it is, everything else as JSON."""

    model_config = ConfigDict(extra="forbid")

    data: Any = Field(None, description="The payload.", examples=[{"order": 4711}])
    headers: dict[str, Value] = Field({}, max_length=50, description="Beside the endpoint's own.")
    parameters: dict[str, Value] = Field({}, max_length=50, description="Of the query, beside the endpoint's own.")
    timeout: int | None = Field(None, ge=100, le=300_000, description="Milliseconds for each attempt.")
    idempotency_key: Key = Field("", description="Told to the partner. With it a POST may be tried again.")
    dry_run: bool = Field(False, description="Build the request and send nothing.")
    synthetic: bool = Field(False, description="A test: the partner is told, and analytics leave it out.")
    correlation_id: Correlation = Field("", description="To find it by; by default the request's id.")
    wait: float = Field(PATIENCE, ge=0, le=30, description="Seconds to wait for the answer; then 202 says where it is.")


@router.post("/integrations/{integration_id}/endpoints/{endpoint_id}/execute", responses={202: {"model": Execution}})
@allow("executions:write", audits="execution.create", body=BODY, fails=(409, 502, 504))
async def execute_endpoint(
    services: Used,
    act: Acting,
    language: Language,
    response: Response,
    integration_id: uuid.UUID,
    endpoint_id: uuid.UUID,
    wanted: ExecuteOptions,
) -> Execution | DryRun:
    """Ask the partner. 502 or 504 (INT009, with the execution's id) where it failed after all its retries."""
    act.entity = f"integration/{integration_id}"
    check_headers(wanted.headers)
    asked = Asked(**wanted.model_dump(exclude={"dry_run"}))
    if wanted.dry_run:
        return await services.executions.rehearse(act, integration_id, endpoint_id, asked)
    found = await services.executions.execute(act, integration_id, endpoint_id, asked)
    response.headers["location"] = f"/api/v1/executions/{found.id}"
    if found.status == ExecutionState.EXECUTING:
        response.status_code = 202
    return spoken(found, language)


class Narrowed(BaseModel):
    """What a list is narrowed by. A time without offset is UTC."""

    model_config = ConfigDict(populate_by_name=True)

    endpoint_id: uuid.UUID | None = None
    status: ExecutionState | None = None
    correlation_id: str | None = Field(None, max_length=128)
    synthetic: bool | None = Field(None, description="true: those of tests alone; false: none of them.")
    since: datetime.datetime | None = Field(None, alias="from", description="Begun then or later.")
    until: datetime.datetime | None = Field(None, alias="to", description="Begun before then.")

    def wanted(self, integration: uuid.UUID | None = None) -> Wanted:
        since, until = (None if one is None else micros(one) for one in (self.since, self.until))
        return Wanted(
            integration, self.endpoint_id, self.status, self.correlation_id, since, until, self.synthetic
        )  # fmt: skip


@router.get("/executions")
@allow("executions:read", audits="execution.list")
async def list_executions(
    services: Used,
    act: Acting,
    language: Language,
    paging: Paging,
    narrowed: Annotated[Narrowed, Query()],
    integration_id: uuid.UUID | None = None,
) -> Page[Execution]:
    """The newest first, without what was sent and answered."""
    wanted = narrowed.wanted(integration_id)
    items, total = await services.executions.list(act.scope, wanted, paging.offset, paging.limit)
    return Page[Execution].of([spoken(one, language) for one in items], total, paging)


@router.get("/integrations/{integration_id}/executions")
@allow("executions:read", audits="execution.list")
async def list_integration_executions(
    services: Used,
    act: Acting,
    language: Language,
    paging: Paging,
    integration_id: uuid.UUID,
    narrowed: Annotated[Narrowed, Query()],
) -> Page[Execution]:
    """Those of one integration, the newest first, without what was sent and answered."""
    items, total = await services.executions.of(
        act, integration_id, narrowed.wanted(), paging.offset, paging.limit
    )  # fmt: skip
    return Page[Execution].of([spoken(one, language) for one in items], total, paging)


@router.get("/executions/{execution_id}")
@allow("executions:read", audits="execution.read")
async def read_execution(
    services: Used, act: Acting, language: Language, execution_id: uuid.UUID, include: Include = None
) -> Execution:
    """One execution; with what was sent and answered where that is asked for."""
    return spoken(await services.executions.show(act, execution_id, payload=include == "payload"), language)


@router.get(
    "/executions/{execution_id}/blobs/{blob_id}", response_class=Response, responses={200: {"content": {BYTES: {}}}}
)
@allow(PAYLOAD, audits="execution.read")
async def read_execution_blob(services: Used, act: Acting, execution_id: uuid.UUID, blob_id: uuid.UUID) -> Response:
    """What was sent or answered and is too large to stand in the execution: `blob` there says its id, size and hash."""
    return Response(await services.executions.blob(act, execution_id, blob_id), media_type=BYTES)


@router.post("/executions/{execution_id}/cancel")
@allow("executions:write", audits="execution.cancel")
async def cancel_execution(
    services: Used, act: Acting, language: Language, execution_id: uuid.UUID
) -> Execution:  # fmt: skip
    """Wait no longer and try no more; the partner may have taken it all the same. 409 where it has ended."""
    act.entity = f"execution/{execution_id}"
    return spoken(await services.executions.cancel(act, execution_id), language)
