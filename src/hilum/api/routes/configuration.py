"""The configuration: check it, see what it would change, make it so.

What reads files of the hub's machine or names its environment is there for its operator alone, on the local socket.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from hilum.api.errors import Invalid
from hilum.api.services import Used
from hilum.api.surface import Acting, Surface, allow
from hilum.api.texts import Line, Name, Note
from hilum.errors import ConfigError
from hilum.model import document
from hilum.model.configuration import Configuration
from hilum.services.configuration import Difference

router = Surface("/configuration")


class Document(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: Line = Field(..., description="The file's name, for messages.", examples=["hub.yaml"])
    text: str = Field(..., description="YAML.")


class Proposal(BaseModel):
    """One file or a folder's files, and the folder that holds their tables and scripts."""

    model_config = ConfigDict(extra="forbid")

    documents: list[Document] = Field(..., min_length=1)
    folder: Path | None = Field(None, description="An absolute path of the hub's machine.")
    drain: bool = Field(False, description="Removed endpoints still deliver what waits for them.")
    discard: Line | None = Field(None, description="Drop what waits for removed endpoints; the reason.")
    reason: Note = Field("", description="Why; in production it is needed.")

    def configuration(self) -> Configuration:
        """Raises ConfigError, Invalid."""
        if self.folder is not None and not self.folder.is_absolute():
            raise Invalid("must be an absolute path", field="folder")
        return document.merge([(one.name, one.text) for one in self.documents])


class Checked(BaseModel):
    problems: list[str]


class Planned(BaseModel):
    problems: list[str]
    changes: list[Difference]


class Applied(BaseModel):
    changes: list[Difference]


class Released(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: Name = Field(..., description="An integration or a route.", examples=["lab"])


class Handover(Released):
    reason: Note = Field("", description="Why; in production it is needed.")


@router.get("/schema")
@allow("configuration:read", audits="configuration.schema")
async def configuration_schema() -> dict[str, Any]:
    """The JSON Schema of the configuration document."""
    return document.schema()


@router.post("/check")
@allow("configuration:read", audits="configuration.check", local=True, body=10_000_000)
async def check_configuration(services: Used, wanted: Proposal) -> Checked:
    """Validate, compile, run the stored examples. Nothing is changed."""
    try:
        compiled, _ = await services.configurations.plan(wanted.configuration(), wanted.folder)
    except ConfigError as error:
        return Checked(problems=[str(error)])
    return Checked(problems=list(compiled.problems))


@router.post("/plan")
@allow("configuration:read", audits="configuration.plan", local=True, body=10_000_000)
async def plan_configuration(services: Used, wanted: Proposal) -> Planned:
    """What applying would change."""
    compiled, changes = await services.configurations.plan(wanted.configuration(), wanted.folder)
    return Planned(problems=list(compiled.problems), changes=changes)


@router.post("/apply")
@allow("configuration:write", audits="configuration.apply", local=True, body=10_000_000)
async def apply_configuration(services: Used, act: Acting, wanted: Proposal) -> Applied:
    """Make it so, all or nothing. 409: a removed endpoint has a backlog; say `drain` or `discard`."""
    configuration = wanted.configuration()
    compiled, changes = await services.configurations.plan(configuration, wanted.folder)
    if compiled.problems:
        problems = list(compiled.problems)
        raise Invalid("; ".join(problems), details={"problems": problems})
    act.reason = wanted.reason or act.reason
    if changes:
        await services.policy.check_configuration(act, configuration)
    changes = await services.configurations.apply(
        act, configuration, wanted.folder, drain=wanted.drain, discard=wanted.discard
    )
    return Applied(changes=changes)


@router.post("/reload")
@allow("hub:write", audits="configuration.reload", local=True, body=10_000_000)
async def reload_configuration(services: Used) -> dict[str, str]:
    """Read the hub's own file again; what is invalid changes nothing."""
    await services.reload()
    return {"status": "reloaded"}


@router.post("/release")
@allow("configuration:write", audits="configuration.release")
async def release_configuration(services: Used, act: Acting, wanted: Handover) -> Released:
    """Hand what a file manages over to API and console."""
    act.reason = wanted.reason or act.reason
    await services.policy.check_own(act, "configuration.release", {"name": wanted.name})
    await services.configurations.release(act, wanted.name)
    return Released(name=wanted.name)
