"""Routes: list, add, read, replace, change, retire; versions, diff, rollback; checked and tried before they are saved.

Every change is a new version, and a message keeps the version that routed it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Query, Response
from pydantic import BaseModel, Field, WithJsonSchema

from hilum.api.paging import Page, Paging
from hilum.api.preconditions import IfMatch, etag
from hilum.api.services import Used
from hilum.api.surface import Acting, Surface, allow
from hilum.api.versioned import MESSAGE, After, Before, Named, Number, Rollback, Trial, example
from hilum.model.configuration import Route
from hilum.services.comparison import Comparison
from hilum.services.previews import Checked, Preview
from hilum.services.route_documents import View
from hilum.store import routes
from hilum.store.routes import Wanted

router = Surface("/routes")
_EXAMPLE = {
    "name": "adt-copy", "from": "adt/in",
    "steps": [{"filter": {"where": "MSH-9.1 == 'ADT'"}}, {"map": {"set": {"MSH-5": "REGISTRY"}}}],
    "to": ["registry/out"],
}  # fmt: skip


class NewRoute(Route):
    """As a configuration file has it."""

    model_config = example(_EXAMPLE)


Patch = Annotated[
    dict[str, Any],
    WithJsonSchema({"type": "object", "additionalProperties": True, "example": {"to": ["registry/out"]}}),
]


class RouteTrial(Trial):
    """A route that is not stored, and a message to try it on."""

    model_config = example({"route": _EXAMPLE, "body": MESSAGE})

    route: NewRoute


class Narrowed(BaseModel):
    """What a list is narrowed by."""

    source: str | None = Field(None, max_length=127, description="From this integration, or integration/endpoint.")
    destination: str | None = Field(None, max_length=127, description="To this integration, or integration/endpoint.")
    managed_by: Literal["file", "api"] | None = None
    q: str | None = Field(None, max_length=120, description="In its name or those of its ends.")

    def wanted(self) -> Wanted:
        return Wanted(self.source, self.destination, self.managed_by, self.q)


@router.get("")
@allow("routes:read", audits="route.list")
async def list_routes(
    services: Used, act: Acting, paging: Paging, narrowed: Annotated[Narrowed, Query()]
) -> Page[View]:  # fmt: skip
    """Those whose ends one may see, all of them, by name."""
    items, total = await services.route_documents.list(act.scope, narrowed.wanted(), paging.offset, paging.limit)
    return Page[View].of(items, total, paging)


@router.post("", status_code=201)
@allow("routes:write", audits="route.create", fails=(400, 409))
async def create_route(services: Used, act: Acting, response: Response, wanted: NewRoute) -> View:
    """It is compiled and its examples are run first. All that is wrong is in `details.errors`, each with its place."""
    made = await services.route_documents.create(act, wanted)
    response.headers["location"] = f"/api/v1/routes/{made.name}"
    etag(response, made.version)
    return made


@router.post("/preview")
@allow("routes:write", audits="route.preview", fails=(400, 403, 404, 409))
async def preview_draft(services: Used, act: Acting, wanted: RouteTrial) -> Preview:
    """What a route that is not stored makes of a message. Nothing is stored, nothing is sent."""
    return await services.route_documents.rehearse(act, wanted.route, wanted.sample())


@router.get("/{name}")
@allow("routes:read", audits="route.read")
async def read_route(services: Used, act: Acting, response: Response, name: Named) -> View:
    """The version that new messages take."""
    act.entity = routes.entity(act.organization, name)
    found = await services.route_documents.show(act.scope, name)
    etag(response, found.version)
    return found


@router.put("/{name}")
@allow("routes:write", audits="route.change", fails=(400, 409))
async def replace_route(
    services: Used, act: Acting, response: Response, name: Named, version: IfMatch, wanted: NewRoute
) -> View:
    """A new version. 409 where a configuration file manages it; a GxP integration at its ends asks for more."""
    changed = await services.route_documents.replace(act, name, version, wanted)
    etag(response, changed.version)
    return changed


@router.patch("/{name}")
@allow("routes:write", audits="route.change", fails=(400, 409))
async def change_route(
    services: Used, act: Acting, response: Response, name: Named, version: IfMatch, wanted: Patch
) -> View:
    """A merge patch (RFC 7396): lists, such as the steps, are replaced whole."""
    changed = await services.route_documents.change(act, name, version, wanted)
    etag(response, changed.version)
    return changed


@router.delete("/{name}", status_code=204)
@allow("routes:write", audits="route.remove", fails=(409,))
async def remove_route(services: Used, act: Acting, name: Named) -> None:
    """New messages take it no more. Its versions stay for what they routed, and what waits is still delivered."""
    await services.route_documents.remove(act, name)


@router.get("/{name}/versions")
@allow("routes:read", audits="route.versions")
async def list_route_versions(services: Used, act: Acting, paging: Paging, name: Named) -> Page[View]:
    """The newest first; a retired route's too."""
    act.entity = routes.entity(act.organization, name)
    items, total = await services.route_documents.versions(act.scope, name, paging.offset, paging.limit)
    return Page[View].of(items, total, paging)


@router.get("/{name}/versions/{number}")
@allow("routes:read", audits="route.version")
async def read_route_version(services: Used, act: Acting, name: Named, number: Number) -> View:
    """One of them; a retired route's too."""
    act.entity = routes.entity(act.organization, name)
    return await services.route_documents.version(act.scope, name, number)


@router.get("/{name}/diff")
@allow("routes:read", audits="route.diff")
async def diff_route(
    services: Used, act: Acting, name: Named, before: Before = None, after: After = None
) -> Comparison:
    """What changed from one version to another: a unified diff of their YAML, and the paths that differ."""
    act.entity = routes.entity(act.organization, name)
    return await services.route_documents.compare(act.scope, name, before, after)


@router.post("/{name}/rollback")
@allow("routes:write", audits="route.rollback", fails=(400, 409))
async def rollback_route(
    services: Used, act: Acting, response: Response, name: Named, version: IfMatch, wanted: Rollback
) -> View:
    """A new version with an old one's document, compiled with today's endpoints and mappings."""
    changed = await services.route_documents.rollback(act, name, version, wanted.version, wanted.reason)
    etag(response, changed.version)
    return changed


@router.post("/{name}/check")
@allow("routes:read", audits="route.check")
async def check_route(services: Used, act: Acting, name: Named) -> Checked:
    """Compile it as it stands and run the examples that are stored in it."""
    act.entity = routes.entity(act.organization, name)
    return await services.route_documents.check(act.scope, name)


@router.post("/{name}/preview")
@allow("routes:read", audits="route.preview", fails=(400, 403, 409))
async def preview_route(services: Used, act: Acting, name: Named, wanted: Trial) -> Preview:
    """What each step makes of a message, and what would go where. Nothing is sent."""
    return await services.route_documents.preview(act, name, wanted.sample())
