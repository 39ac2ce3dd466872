"""Document 002's surface: configs and stats below /integration and /api/integration, camelCase in its own wrapper.

The same rows and the same use cases as /api/v1/integrations; errors have `message` and `statusCode` at the top too.
"""

from __future__ import annotations

import uuid
from typing import Annotated, Any, Generic, Literal, TypeVar

from fastapi import Depends, Header, Query, Response
from pydantic import BaseModel, Field, WithJsonSchema

from hilum.api.language import Language, spoken
from hilum.api.paging import MOST, SIZE
from hilum.api.preconditions import conditional, etag
from hilum.api.services import Services, Used
from hilum.api.surface import Acting, Surface, allow
from hilum.api.waiting import Wait, accepted
from hilum.errors import ConfigError
from hilum.model.audit import Act
from hilum.model.lifecycle import Lifecycle
from hilum.services import configs, drafts
from hilum.services.analytics import Window
from hilum.services.integration_views import View
from hilum.services.jobs import PATIENCE, JobState
from hilum.services.tests import TestResult
from hilum.store.integrations import Row, Wanted

router = Surface("/integration")
mounts = ("/api", "")
T = TypeVar("T")
Type = Literal[
    "HL7", "FHIR", "PAYMENT_GATEWAY", "LAB_SYSTEM", "IMAGING_SYSTEM", "PHARMACY_SYSTEM", "EHR_SYSTEM", "INSURANCE",
    "API", "WEBHOOK",
]  # fmt: skip
AuthType = Literal["API_KEY", "OAUTH", "BASIC_AUTH", "TOKEN", "NONE", "JWT", "CERTIFICATE", "SSH_KEY", "ACCESS_KEY"]
Status = Literal["ACTIVE", "INACTIVE", "ERROR", "TESTING"]


class Integration(BaseModel):
    """Document 002's 22 fields. Secrets are masked; dates are RFC 3339."""

    id: str
    name: str
    type: Type
    provider: str | None
    description: str | None
    endpoint: str | None
    apiKey: str | None = Field(..., description="Write-only: masked once it is set.")
    apiSecret: str | None
    username: str | None
    password: str | None
    authType: AuthType
    status: Status
    config: dict[str, Any]
    webhookUrl: str | None = Field(..., description="Where the partner's webhooks are received.")
    headers: dict[str, str]
    timeout: int | None = Field(..., description="Milliseconds.")
    retryAttempts: int | None
    lastSyncedAt: str | None
    lastError: str | None
    tenantId: str
    createdAt: str | None
    updatedAt: str | None


class Wrapped(BaseModel, Generic[T]):
    """Every answer's wrapper."""

    success: bool = True
    data: T
    message: str = ""


class Pagination(BaseModel):
    page: int
    limit: int
    total: int
    totalPages: int


class WrappedList(BaseModel):
    success: bool = True
    data: list[Integration]
    pagination: Pagination
    message: str = ""


class Filters(BaseModel):
    type: Type | None = None
    status: Status | None = None
    provider: str | None = Field(None, max_length=120)
    search: str | None = Field(None, max_length=120, description="In name, description or provider.")
    page: int = Field(1, ge=1, le=1_000_000)
    limit: int = Field(SIZE, ge=1, le=MOST)


class Latency(BaseModel):
    """Of a time up to now. Percent and milliseconds; null where nothing was counted."""

    requests: int
    failed: int
    successRate: float | None
    latencyP50: float | None
    latencyP95: float | None


class Statistics(BaseModel):
    """`totalIntegrations` is the sum of the four that follow."""

    totalIntegrations: int
    activeIntegrations: int
    inactiveIntegrations: int
    errorCount: int
    testingIntegrations: int
    byType: dict[str, int]
    byStatus: dict[str, int]
    lastSyncedAt: str | None
    last24Hours: Latency
    last7Days: Latency


_TEXT = {"type": ["string", "null"]}
_SHAPE = {
    "type": "object", "additionalProperties": False,
    "properties": {
        **dict.fromkeys(sorted(configs.FIELDS - {"config", "headers", "timeout", "retryAttempts"}), _TEXT),
        "config": {"type": "object", "additionalProperties": True},
        "headers": {"type": "object", "additionalProperties": {"type": "string"}},
        "timeout": {"type": "integer"}, "retryAttempts": {"type": "integer"},
    },
    "example": {"name": "Payments", "type": "PAYMENT_GATEWAY", "endpoint": "https://pay.example.org",
                "authType": "TOKEN", "apiKey": "an-example-token"},
}  # fmt: skip
Body = Annotated[dict[str, Any], WithJsonSchema(_SHAPE)]


async def _version(
    if_match: Annotated[str | None, Header(description="The ETag of the version.")] = None,
) -> int | None:
    """If-Match is honoured, but not asked for: document 002 does not know it."""
    return None if if_match is None or if_match.strip() in ("", "*") else await conditional(if_match)


Version = Annotated[int | None, Depends(_version)]


@router.get("/configs")
@allow("integrations:read", audits="integration.list")
async def list_configs(services: Used, act: Acting, filters: Annotated[Filters, Query()]) -> WrappedList:
    """Those that one may see, by name."""
    lifecycle = tuple(Lifecycle(one) for one in configs.LIFECYCLES[filters.status]) if filters.status else ()
    wanted = Wanted(type=filters.type, lifecycle=lifecycle, provider=filters.provider, text=filters.search)
    offset = (filters.page - 1) * filters.limit
    items, total = await services.integrations.list(act.scope, wanted, "name", offset, filters.limit)
    pages = Pagination(page=filters.page, limit=filters.limit, total=total, totalPages=-(-total // filters.limit))
    return WrappedList(data=[_shown(one) for one in items], pagination=pages)


@router.post("/configs", status_code=201, responses={202: {"model": Wrapped[Integration]}})
@allow("integrations:write", audits="integration.create", fails=(400, 409))
async def create_config(services: Used, act: Acting, response: Response, wanted: Body) -> Wrapped[Integration]:
    """Validate, store, test, switch on. 201 with status ERROR where the partner does not answer, 202 while it lasts."""
    given = _writable(wanted)
    status = given.pop("status", None)
    if status not in (None, "ACTIVE", "INACTIVE"):
        raise ConfigError("a new one is ACTIVE or INACTIVE", where="status")
    tenant, environment = await services.integrations.home(act.organization)
    draft = configs.apply({"environment": environment}, given, tenant)
    made = await services.initializing.create(act, draft, off=status == "INACTIVE")
    view = await services.integrations.view(made)
    if made.lifecycle is Lifecycle.TESTING:
        response.status_code = 202
    response.headers["location"] = f"/api/integration/configs/{view.id}"
    etag(response, view.version)
    return Wrapped[Integration](data=_shown(view), message="Integration created")


@router.get("/configs/{config_id}")
@allow("integrations:read", audits="integration.read")
async def read_config(services: Used, act: Acting, response: Response, config_id: uuid.UUID) -> Wrapped[Integration]:
    """One of them."""
    act.entity = f"integration/{config_id}"
    found = await services.integrations.show(act.scope, config_id)
    etag(response, found.version)
    return Wrapped[Integration](data=_shown(found))


@router.patch("/configs/{config_id}")
@allow("integrations:write", audits="integration.change", fails=(400, 409, 412))
async def change_config(
    services: Used, act: Acting, response: Response, config_id: uuid.UUID, version: Version, wanted: Body
) -> Wrapped[Integration]:
    """A merge patch (RFC 7396); `status` alone switches it on or off."""
    act.entity = f"integration/{config_id}"
    found = await services.integrations.find(act.scope, config_id)
    given = _writable(wanted)
    status = given.pop("status", None)
    view = await _changed(services, act, found, found.version if version is None else version, given, status)
    etag(response, view.version)
    return Wrapped[Integration](data=_shown(view), message="Integration updated")


@router.delete("/configs/{config_id}")
@allow("integrations:write", audits="integration.archive")
async def delete_config(services: Used, act: Acting, config_id: uuid.UUID) -> Wrapped[Integration]:
    """Archive it: its logs stay."""
    act.entity = f"integration/{config_id}"
    found = await services.integrations.show(act.scope, config_id)
    await services.integrations.archive(act, config_id)
    return Wrapped[Integration](data=_shown(found), message="Integration deleted")


@router.post("/configs/{config_id}/test", responses={202: {"model": Wrapped[JobState]}})
@allow("integrations:write", audits="integration.test")
async def run_config_test(
    services: Used,
    act: Acting,
    language: Language,
    response: Response,
    config_id: uuid.UUID,
    wait: Wait = PATIENCE,
) -> Wrapped[TestResult] | Wrapped[JobState]:
    """Test its connectivity. 200 also where the partner fails: see `data.overall.success`. 202 while it lasts."""
    act.entity = f"integration/{config_id}"
    found = await services.integrations.find(act.scope, config_id)
    result = spoken(accepted(response, await services.tests.ask(act, found.uuid, wait=wait)), language)
    if isinstance(result, JobState):
        return Wrapped[JobState](data=result, message="Connection is being tested")
    message = "Connection successful" if result.overall.success else "Connection failed"
    return Wrapped[TestResult](data=result, message=message)


@router.get("/stats")
@allow("integrations:read", audits="integration.stats")
async def read_config_stats(services: Used, act: Acting) -> Wrapped[Statistics]:
    """How many there are of each status and type, how they answered in a day and a week. The same as v1's."""
    found = await services.analytics.stats(act.scope)
    by_status = {"ACTIVE": found.active, "INACTIVE": found.inactive, "ERROR": found.error, "TESTING": found.testing}
    data = Statistics(
        totalIntegrations=found.total, activeIntegrations=found.active, inactiveIntegrations=found.inactive,
        errorCount=found.error, testingIntegrations=found.testing, byType=found.by_type, byStatus=by_status,
        lastSyncedAt=found.last_sync, last24Hours=_window(found.last_24h), last7Days=_window(found.last_7d),
    )  # fmt: skip
    return Wrapped[Statistics](data=data)


def _window(one: Window) -> Latency:
    return Latency(
        requests=one.requests, failed=one.failed, successRate=one.success_rate, latencyP50=one.latency_p50,
        latencyP95=one.latency_p95,
    )  # fmt: skip


def _shown(one: View) -> Integration:
    return Integration.model_validate(configs.view(one))


def _writable(wanted: dict[str, Any]) -> dict[str, Any]:
    """Without what is only read: clients send back what they were shown."""
    return {key: value for key, value in wanted.items() if key not in configs.READ_ONLY - {"tenantId"}}


async def _changed(
    services: Services, act: Act, found: Row, version: int, given: dict[str, Any], status: Any
) -> View:  # fmt: skip
    """The fields first, then the status: both count on from the same version."""
    if given:
        draft = configs.apply(
            drafts.given(found.document), given, (await services.integrations.home(act.organization))[0]
        )
        view = await services.integrations.replace(act, found.uuid, version, draft)
        version = view.version
    if status is not None:
        return await services.integrations.move(act, found.uuid, version, _lifecycle(status))
    return view if given else await services.integrations.view(found)


def _lifecycle(status: Any) -> Lifecycle:
    known = {"ACTIVE": Lifecycle.ACTIVE, "INACTIVE": Lifecycle.INACTIVE}
    if status not in known:
        raise ConfigError(f"can be set to {', '.join(known)}", where="status")
    return known[status]
