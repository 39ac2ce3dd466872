"""The configuration: check it, see what it would change, make it so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from hilum.api.errors import Invalid
from hilum.api.services import Actor, Organization, Used
from hilum.errors import ConfigError
from hilum.model import document
from hilum.model.configuration import Configuration
from hilum.services.configuration import Change

router = APIRouter(prefix="/configuration", tags=["configuration"])


class Document(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = Field(..., description="The file's name, for messages.")
    text: str = Field(..., description="YAML.")


class Proposal(BaseModel):
    """One file or a folder's files, and the folder that holds their tables and scripts."""

    model_config = ConfigDict(extra="forbid")

    documents: list[Document] = Field(..., min_length=1)
    folder: Path | None = Field(None, description="An absolute path of the hub's machine.")
    drain: bool = Field(False, description="Removed endpoints still deliver what waits for them.")
    discard: str | None = Field(None, min_length=1, description="Drop what waits for removed endpoints; the reason.")

    def configuration(self) -> Configuration:
        """Raises ConfigError, Invalid."""
        if self.folder is not None and not self.folder.is_absolute():
            raise Invalid("must be an absolute path", field="folder")
        return document.merge([(one.name, one.text) for one in self.documents])


class Checked(BaseModel):
    problems: list[str]


class Planned(BaseModel):
    problems: list[str]
    changes: list[Change]


class Applied(BaseModel):
    changes: list[Change]


class Released(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = Field(..., min_length=1, description="An integration or a route.")


@router.get("/schema")
async def configuration_schema() -> dict[str, Any]:
    """The JSON Schema of the configuration document."""
    return document.schema()


@router.post("/check")
async def check_configuration(services: Used, wanted: Proposal) -> Checked:
    """Validate, compile, run the stored examples. Nothing is changed."""
    try:
        compiled, _ = await services.configurations.plan(wanted.configuration(), wanted.folder)
    except ConfigError as error:
        return Checked(problems=[str(error)])
    return Checked(problems=list(compiled.problems))


@router.post("/plan")
async def plan_configuration(services: Used, wanted: Proposal) -> Planned:
    """What applying would change."""
    compiled, changes = await services.configurations.plan(wanted.configuration(), wanted.folder)
    return Planned(problems=list(compiled.problems), changes=changes)


@router.post("/apply")
async def apply_configuration(services: Used, actor: Actor, wanted: Proposal) -> Applied:
    """Make it so, all or nothing. 409: a removed endpoint has a backlog; say `drain` or `discard`."""
    configuration = wanted.configuration()
    compiled, _ = await services.configurations.plan(configuration, wanted.folder)
    if compiled.problems:
        problems = list(compiled.problems)
        raise Invalid("; ".join(problems), details={"problems": problems})
    changes = await services.configurations.apply(
        configuration, wanted.folder, actor=actor, drain=wanted.drain, discard=wanted.discard
    )
    return Applied(changes=changes)


@router.post("/reload")
async def reload_configuration(services: Used) -> dict[str, str]:
    """Read the hub's own file again; what is invalid changes nothing."""
    await services.reload()
    return {"status": "reloaded"}


@router.post("/release")
async def release_configuration(services: Used, organization: Organization, wanted: Released) -> Released:
    """Hand what a file manages over to API and console."""
    names = await services.names.organizations([organization])
    await services.configurations.release(names.get(organization, ""), wanted.name)
    return wanted
