"""Integrations: list, add, read, replace, change, archive, restore; check one, make it work, see its life.

Requests may be written as document 003 has them (`tokenUrl`, `type: rest_api`) or as answers are (`token_url`).
"""

from __future__ import annotations

import uuid
from typing import Annotated, Any, Literal, get_args

from fastapi import Query, Response
from pydantic import BaseModel, Field, TypeAdapter, WithJsonSchema

from hilum.api.paging import Page, Paging
from hilum.api.preconditions import IfMatch, etag
from hilum.api.services import Used
from hilum.api.surface import Acting, Surface, allow
from hilum.api.waiting import Wait
from hilum.errors import PartnerFailed
from hilum.model.configuration import Environment, IntegrationType, Protocol
from hilum.model.lifecycle import Health, Lifecycle
from hilum.model.processing import DataCategory, LegalBasis
from hilum.services.initializing import Initialization
from hilum.services.integration_views import View
from hilum.services.integrations import MoveView
from hilum.services.jobs import PATIENCE
from hilum.services.validation import Validation
from hilum.store.integrations import Wanted

router = Surface("/integrations")

_TEXT, _COUNT = {"type": "string"}, {"type": "integer", "minimum": 0}
_ENDPOINT = {
    "type": "object", "required": ["url"], "additionalProperties": True,
    "properties": {
        "name": {**_TEXT, "description": "Unique within the integration; by default rest_api_1 …"},
        "direction": {"enum": ["outbound", "inbound"], "default": "outbound"},
        "url": {**_TEXT, "description": "The scheme picks the connector: https://…, mllp://host:port …"},
        "method": {"enum": ["GET", "POST", "PUT", "DELETE", "PATCH"], "description": "HTTP alone."},
        "headers": {"type": "object", "additionalProperties": _TEXT},
        "timeout": {**_COUNT, "description": "Milliseconds, 100 to 300000; 30000 by default."},
        "retries": {**_COUNT, "maximum": 10, "description": "3 by default; 0 means none."},
    },
}  # fmt: skip
_SHAPE = {
    "type": "object", "additionalProperties": True, "required": ["name", "type", "endpoints"],
    "properties": {
        "name": {**_TEXT, "minLength": 1, "maxLength": 120},
        "type": {"enum": [*get_args(IntegrationType), *get_args(Protocol)]},
        "protocol": {"enum": list(get_args(Protocol)), "description": "By default what type and URLs say."},
        "provider": _TEXT, "description": {**_TEXT, "maxLength": 2000},
        "environment": {"enum": list(get_args(Environment)), "default": "production"},
        "study": _TEXT, "tags": {"type": "array", "items": _TEXT}, "gxp": {"type": "boolean"},
        "data_categories": {"type": "array", "items": TypeAdapter(DataCategory).json_schema()},
        "legal_basis": {"type": "array", "items": TypeAdapter(LegalBasis).json_schema()},
        "authentication": {
            "type": "object", "additionalProperties": True,
            "properties": {
                "type": {
                    "enum": [
                        "none", "api_key", "oauth2", "basic", "bearer", "jwt", "certificate", "ssh_key", "access_key",
                    ]
                }
            },
        },
        "headers": {"type": "object", "additionalProperties": _TEXT},
        "endpoints": {"type": "array", "items": _ENDPOINT},
    },
    "example": {
        "name": "Lab results", "type": "LAB_SYSTEM", "environment": "development", "provider": "Example Lab",
        "authentication": {"type": "api_key", "key": "an-example-key"},
        "endpoints": [{"name": "orders", "url": "https://lab.example.org/orders", "method": "POST"}],
    },
}  # fmt: skip
Draft = Annotated[dict[str, Any], WithJsonSchema(_SHAPE)]
Patch = Annotated[
    dict[str, Any],
    WithJsonSchema({**{key: one for key, one in _SHAPE.items() if key != "required"}, "example": {"provider": "New"}}),
]


class Narrowed(BaseModel):
    """What a list is narrowed by."""

    type: IntegrationType | None = Field(None, description="Of this type.")
    protocol: Protocol | None = Field(None, description="Spoken to so.")
    status: Lifecycle | None = Field(None, description="Standing here in its life.")
    health: Health | None = Field(None, description="As the last checks found it.")
    provider: str | None = Field(None, max_length=120)
    environment: Environment | None = None
    study: str | None = Field(None, max_length=63)
    tag: str | None = Field(None, max_length=63)
    q: str | None = Field(None, max_length=120, description="In name, description or provider.")
    archived: bool = Field(False, description="Archived ones too.")

    def wanted(self) -> Wanted:
        lifecycle = () if self.status is None else (self.status,)
        rest = self.model_dump(exclude={"status", "q"})
        return Wanted(lifecycle=lifecycle, text=self.q, **rest)


Sort = Literal["name", "-name", "created_at", "-created_at", "updated_at", "-updated_at"]


@router.get("")
@allow("integrations:read", audits="integration.list")
async def list_integrations(
    services: Used,
    act: Acting,
    paging: Paging,
    narrowed: Annotated[Narrowed, Query()],
    sort: Annotated[Sort, Query(description="A minus: the last first.")] = "name",
) -> Page[View]:
    """Those that one may see. Archived ones are left out unless they are asked for."""
    items, total = await services.integrations.list(
        act.scope, narrowed.wanted(), sort, paging.offset, paging.limit
    )  # fmt: skip
    return Page[View].of(items, total, paging)


@router.post("", status_code=201, responses={202: {"model": View}})
@allow("integrations:write", audits="integration.create", fails=(400, 409, 502))
async def create_integration(
    services: Used,
    act: Acting,
    response: Response,
    wanted: Draft,
    wait: Wait = PATIENCE,
    initialize: Annotated[bool, Query(description="Make it work at once.")] = True,
    require_active: Annotated[bool, Query(description="502 where it does not work; it is there all the same.")] = False,
) -> View:
    """Validate, store, test, switch on. 201 with status `error` where the partner does not answer, 202 while it lasts.

    What only a person may switch on, in production with a signature, is `inactive` then: 403 where `require_active`.
    """
    made = await services.initializing.create(act, wanted, run=initialize, wait=wait)
    view = await services.integrations.view(made)
    response.headers["location"] = f"/api/v1/integrations/{made.uuid}"
    etag(response, made.version)
    if initialize and made.lifecycle is Lifecycle.TESTING:
        response.status_code = 202
    elif require_active and initialize and made.lifecycle is not Lifecycle.ACTIVE:
        if view.last_error is None:  # it works: what is lacking is a person's word
            await services.integrations.check_activation(act, made)
        raise PartnerFailed(view.last_error or "it is not active", {"integration_id": view.id, "status": view.status})
    return view


@router.post("/validate")
@allow("integrations:write", audits="integration.check")
async def validate_integration(services: Used, act: Acting, wanted: Draft) -> Validation:
    """What would be wrong with it, all at once. Nothing is stored, nobody is dialled."""
    return await services.integrations.check(act.scope, wanted)


@router.get("/{integration_id}")
@allow("integrations:read", audits="integration.read")
async def read_integration(services: Used, act: Acting, response: Response, integration_id: uuid.UUID) -> View:
    """With its endpoints. Secrets are never shown."""
    act.entity = f"integration/{integration_id}"
    found = await services.integrations.show(act.scope, integration_id)
    etag(response, found.version)
    return found


@router.put("/{integration_id}")
@allow("integrations:write", audits="integration.change", fails=(400,))
async def replace_integration(
    services: Used, act: Acting, response: Response, integration_id: uuid.UUID, version: IfMatch, wanted: Draft
) -> View:
    """All of it. A secret that is left out stays, null clears it."""
    act.entity = f"integration/{integration_id}"
    changed = await services.integrations.replace(act, integration_id, version, wanted)
    etag(response, changed.version)
    return changed


@router.patch("/{integration_id}")
@allow("integrations:write", audits="integration.change", fails=(400,))
async def change_integration(
    services: Used, act: Acting, response: Response, integration_id: uuid.UUID, version: IfMatch, wanted: Patch
) -> View:
    """A merge patch (RFC 7396). `status` alone switches it on (`active`) or off (`inactive`)."""
    act.entity = f"integration/{integration_id}"
    changed = await services.integrations.change(act, integration_id, version, wanted)
    etag(response, changed.version)
    return changed


@router.delete("/{integration_id}", status_code=204)
@allow("integrations:write", audits="integration.archive")
async def archive_integration(services: Used, act: Acting, integration_id: uuid.UUID) -> None:
    """It stops, its secrets are revoked, its logs stay. 409 while routes use it."""
    act.entity = f"integration/{integration_id}"
    await services.integrations.archive(act, integration_id)


@router.post("/{integration_id}/restore")
@allow("integrations:write", audits="integration.restore")
async def restore_integration(services: Used, act: Acting, response: Response, integration_id: uuid.UUID) -> View:
    """Bring an archived one back, inactive. Its secrets were revoked: set them anew."""
    act.entity = f"integration/{integration_id}"
    restored = await services.integrations.restore(act, integration_id)
    etag(response, restored.version)
    return restored


@router.post("/{integration_id}/activate")
@allow("integrations:write", audits="integration.activate")
async def activate_integration(
    services: Used, act: Acting, response: Response, integration_id: uuid.UUID, version: IfMatch
) -> View:
    """Messages flow from now on. In production this wants a signature."""
    act.entity = f"integration/{integration_id}"
    moved = await services.integrations.move(act, integration_id, version, Lifecycle.ACTIVE)
    etag(response, moved.version)
    return moved


@router.post("/{integration_id}/deactivate")
@allow("integrations:write", audits="integration.deactivate")
async def deactivate_integration(
    services: Used, act: Acting, response: Response, integration_id: uuid.UUID, version: IfMatch
) -> View:
    """Nothing is received from it or sent to it; deliveries wait. In production this wants a signature."""
    act.entity = f"integration/{integration_id}"
    moved = await services.integrations.move(act, integration_id, version, Lifecycle.INACTIVE)
    etag(response, moved.version)
    return moved


@router.post("/{integration_id}/validate")
@allow("integrations:read", audits="integration.check")
async def revalidate_integration(services: Used, act: Acting, integration_id: uuid.UUID) -> Validation:
    """What is wrong with it as it stands. Nothing is stored, nobody is dialled."""
    act.entity = f"integration/{integration_id}"
    found = await services.integrations.find(act.scope, integration_id)
    return await services.integrations.recheck(act.scope, found)


@router.post("/{integration_id}/initialize", responses={202: {"model": Initialization}})
@allow("integrations:write", audits="integration.initialize")
async def initialize_integration(
    services: Used, act: Acting, response: Response, integration_id: uuid.UUID, wait: Wait = PATIENCE
) -> Initialization:
    """Validation, authentication, endpoints, mappings, connectivity, active; it may be run again. 202 while it lasts.

    409 while it is initialized already; a try that a restart interrupted has failed. What only a person may switch on
    is `inactive` then: see `advice`.
    """
    act.entity = f"integration/{integration_id}"
    found = await services.integrations.find(act.scope, integration_id)
    tried = (await services.initializing.run(act, found, wait=wait))[1]
    if tried.status == "running":
        response.status_code = 202
        response.headers["location"] = f"/api/v1/integrations/{integration_id}/initializations"
    return tried


@router.get("/{integration_id}/initializations")
@allow("integrations:read", audits="integration.initializations")
async def list_initializations(
    services: Used, act: Acting, paging: Paging, integration_id: uuid.UUID
) -> Page[Initialization]:
    """Every try to make it work, the newest first."""
    act.entity = f"integration/{integration_id}"
    items, total = await services.initializing.listed(act.scope, integration_id, paging.offset, paging.limit)
    return Page[Initialization].of(items, total, paging)


@router.get("/{integration_id}/history")
@allow("integrations:read", audits="integration.history")
async def list_history(services: Used, act: Acting, paging: Paging, integration_id: uuid.UUID) -> Page[MoveView]:
    """Every step of its life, the newest first."""
    act.entity = f"integration/{integration_id}"
    items, total = await services.integrations.history(act.scope, integration_id, paging.offset, paging.limit)
    return Page[MoveView].of(items, total, paging)
