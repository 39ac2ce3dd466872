"""What the surfaces of routes and mappings share: versions in paths, rollback, a message to try one on."""

from __future__ import annotations

import uuid
from typing import Annotated, Any, Self

from fastapi import Path, Query
from pydantic import BaseModel, ConfigDict, Field, model_validator

from hilum.api.texts import Note
from hilum.model.configuration import Name
from hilum.services.previews import Sample

MESSAGE = "MSH|^~\\&|HIS|WARD|HUB|LAB|20260102030405||ADT^A01|7|P|2.5\nPID|1||4711"
_MOST = 1_000_000_000

Named = Annotated[Name, Path(description="Its name.")]
Number = Annotated[int, Path(ge=1, le=_MOST, description="The version.")]
Before = Annotated[
    int | None, Query(alias="from", ge=1, le=_MOST, description="A version; by default the one before `to`.")
]
After = Annotated[int | None, Query(alias="to", ge=1, le=_MOST, description="A version; by default the newest.")]


def example(value: Any) -> ConfigDict:
    """The configuration of a body with this example; a key that it does not know is an error."""
    return ConfigDict(extra="forbid", json_schema_extra={"example": value})


class Trial(BaseModel):
    """A stored message, or a body as text."""

    model_config = example({"body": MESSAGE})

    message_id: uuid.UUID | None = Field(None, description="A stored message; needs messages:payload.")
    body: str | None = Field(
        None, min_length=1, max_length=1_000_000, description="A message; line feeds end HL7 v2 segments as well."
    )

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.message_id is None) == (self.body is None):
            raise ValueError("give either message_id or body")
        return self

    def sample(self) -> Sample:
        """As the services take it."""
        return Sample(self.message_id, self.body)


class Rollback(BaseModel):
    """Back to what a version said."""

    model_config = example({"version": 1, "reason": "the laboratory asked for it"})

    version: int = Field(..., ge=1, le=_MOST, description="The version whose document comes back.")
    reason: Note = Field("", description="Why; without it X-Reason.")
