"""Mappings: named documents of field rules that routes and endpoints use, with versions and examples that are run."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query, Response
from pydantic import BaseModel, Field, WithJsonSchema

from hilum.api.paging import Page, Paging
from hilum.api.preconditions import IfMatch, etag
from hilum.api.services import Used
from hilum.api.surface import Acting, Surface, allow
from hilum.api.texts import Prose
from hilum.api.versioned import MESSAGE, After, Before, Named, Number, Rollback, Trial, example
from hilum.model.configuration import Name
from hilum.services.comparison import Comparison
from hilum.services.mappings import MappingView
from hilum.services.previews import Checked, MappingPreview
from hilum.store.mappings import Text

router = Surface("/mappings")
Draft = Annotated[bool, Query(description="Nothing uses this version, and its examples may fail.")]
_DOCUMENT = {
    "set": {"MSH-5": "LAB"}, "compute": {"PID-3.1": "upper(PID-3.1)"},
    "examples": [{"input": MESSAGE, "expected": {"MSH-5": "LAB", "PID-3.1": "4711"}}],
}  # fmt: skip
Rules = Annotated[dict[str, Any], WithJsonSchema({"type": "object", "additionalProperties": True})]


class MappingText(BaseModel):
    """What a version of a mapping says."""

    model_config = example({"document": _DOCUMENT})

    description: Prose = Field("", description="What it is for.")
    timezone: str = Field("UTC", max_length=64, description="The zone in which its examples are run.")
    document: Rules = Field(..., description="What the step `map` takes: rules, `when`, `examples`.")

    def text(self) -> Text:
        return Text(self.description, self.timezone, self.document)


class NewMapping(MappingText):
    """A mapping and its name."""

    model_config = example({"name": "lab-codes", "document": _DOCUMENT})

    name: Name = Field(..., description="What routes and endpoints call it. It never changes.")


class MappingTrial(Trial):
    """A mapping that is not stored, and a message to try it on."""

    model_config = example({"mapping": {"document": _DOCUMENT}, "body": MESSAGE})

    mapping: MappingText


@router.get("")
@allow("mappings:read", audits="mapping.list")
async def list_mappings(
    services: Used,
    act: Acting,
    paging: Paging,
    q: Annotated[str | None, Query(max_length=120, description="In name or description.")] = None,
) -> Page[MappingView]:
    """The newest version of each, by name. Archived ones are left out."""
    items, total = await services.mappings.list(act.scope, q, paging.offset, paging.limit)
    return Page[MappingView].of(items, total, paging)


@router.post("", status_code=201)
@allow("mappings:write", audits="mapping.create", fails=(400, 409))
async def create_mapping(
    services: Used, act: Acting, response: Response, wanted: NewMapping, draft: Draft = False
) -> MappingView:
    """It is compiled and its examples are run first. A name that was archived goes on with its next version."""
    made = await services.mappings.create(act, wanted.name, wanted.text(), draft=draft)
    response.headers["location"] = f"/api/v1/mappings/{made.name}"
    etag(response, made.version)
    return made


@router.post("/preview")
@allow("mappings:write", audits="mapping.preview", fails=(400, 403, 404, 409))
async def preview_mapping_draft(services: Used, act: Acting, wanted: MappingTrial) -> MappingPreview:
    """What a mapping that is not stored makes of a message. Nothing is stored, nothing is sent."""
    return await services.mappings.rehearse(act, wanted.mapping.text(), wanted.sample())


@router.get("/{name}")
@allow("mappings:read", audits="mapping.read")
async def read_mapping(services: Used, act: Acting, response: Response, name: Named) -> MappingView:
    """Its newest version, which may be a draft, and what uses the mapping."""
    found = await services.mappings.show(act.scope, name)
    act.entity = f"mapping/{found.id}"
    etag(response, found.version)
    return found


@router.put("/{name}")
@allow("mappings:write", audits="mapping.change", fails=(400, 409))
async def replace_mapping(
    services: Used,
    act: Acting,
    response: Response,
    name: Named,
    version: IfMatch,
    wanted: MappingText,
    draft: Draft = False,
) -> MappingView:
    """A new version, and with it one of every route that uses the mapping without a version of its own."""
    changed = await services.mappings.replace(act, name, version, wanted.text(), draft=draft)
    etag(response, changed.version)
    return changed


@router.delete("/{name}", status_code=204)
@allow("mappings:write", audits="mapping.remove", fails=(409,))
async def remove_mapping(services: Used, act: Acting, name: Named) -> None:
    """Its versions stay. 409 while routes or endpoints use it."""
    await services.mappings.remove(act, name)


@router.get("/{name}/versions")
@allow("mappings:read", audits="mapping.versions")
async def list_mapping_versions(services: Used, act: Acting, paging: Paging, name: Named) -> Page[MappingView]:
    """The newest first; an archived one's too."""
    items, total = await services.mappings.versions(act.scope, name, paging.offset, paging.limit)
    act.entity = f"mapping/{items[0].id}" if items else ""
    return Page[MappingView].of(items, total, paging)


@router.get("/{name}/versions/{number}")
@allow("mappings:read", audits="mapping.version")
async def read_mapping_version(services: Used, act: Acting, name: Named, number: Number) -> MappingView:
    """One of them; an archived one's too."""
    found = await services.mappings.version(act.scope, name, number)
    act.entity = f"mapping/{found.id}"
    return found


@router.get("/{name}/diff")
@allow("mappings:read", audits="mapping.diff")
async def diff_mapping(
    services: Used, act: Acting, name: Named, before: Before = None, after: After = None
) -> Comparison:
    """What changed from one version to another: a unified diff of their YAML, and the paths that differ."""
    act.entity = f"mapping/{(await services.mappings.newest(act.scope, name)).id}"
    return await services.mappings.compare(act.scope, name, before, after)


@router.post("/{name}/rollback")
@allow("mappings:write", audits="mapping.rollback", fails=(400, 409))
async def rollback_mapping(
    services: Used, act: Acting, response: Response, name: Named, version: IfMatch, wanted: Rollback
) -> MappingView:
    """A new version with an old one's document."""
    changed = await services.mappings.rollback(act, name, version, wanted.version, wanted.reason)
    etag(response, changed.version)
    return changed


@router.post("/{name}/check")
@allow("mappings:read", audits="mapping.check")
async def check_mapping(services: Used, act: Acting, name: Named) -> Checked:
    """Compile its newest version and run the examples that are stored in it."""
    act.entity = f"mapping/{(await services.mappings.show(act.scope, name)).id}"
    return await services.mappings.check(act.scope, name)


@router.post("/{name}/preview")
@allow("mappings:read", audits="mapping.preview", fails=(400, 403, 409))
async def preview_mapping(services: Used, act: Acting, name: Named, wanted: Trial) -> MappingPreview:
    """What its newest version makes of a message. Nothing is sent."""
    return await services.mappings.preview(act, name, wanted.sample())
