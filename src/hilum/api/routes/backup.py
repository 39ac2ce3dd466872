"""A backup of the hub while it runs."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from hilum.api.errors import Invalid
from hilum.api.services import Used
from hilum.api.surface import Surface, allow
from hilum.services.backup import Report

router = Surface("/backup")


class Target(BaseModel):
    model_config = ConfigDict(extra="forbid")

    target: Path = Field(..., description="The archive: an absolute path of the hub's machine.")


@router.post("")
@allow("hub:write", audits="hub.back-up", local=True)
async def back_up(services: Used, wanted: Target) -> Report:
    """Write an encrypted archive of the data folder; the recovery key opens it."""
    if not wanted.target.is_absolute():
        raise Invalid("must be an absolute path", field="target")
    return await services.backup(wanted.target)
