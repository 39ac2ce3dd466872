"""An export plan: an export that is asked for again and again, by a name and at its times."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from hilum.model.configuration import UNSEEN
from hilum.model.cron import check
from hilum.model.export import ExportKind
from hilum.model.period import KNOWN

_EXAMPLE: dict[str, Any] = {
    "name": "Messages of last week",
    "kind": "data",
    "wish": {"source": {"records": "messages", "since": "last-week", "until": "last-week"}, "format": "csv"},
    "cron": "0 6 * * 1",
}


class ExportPlan(BaseModel):
    """What is asked for, and when."""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_extra={"example": _EXAMPLE})

    name: Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=rf"^[^{UNSEEN}]*$")] = Field(
        ..., description="What it is called; none of the organization's other plans is."
    )
    kind: ExportKind = Field(..., description="What is exported.")
    # no model of its own: a word in the place of a time would be none of the types that clients are generated with
    wish: dict[str, Any] = Field(
        ...,
        max_length=50,
        description=f"What `POST /exports/{{kind}}` takes. `since` and `until` may be words as well: {KNOWN}.",
    )
    cron: Annotated[str, StringConstraints(max_length=100), AfterValidator(check)] | None = Field(
        None, description="When, as a cron expression of five fields in UTC; null: when somebody says so."
    )
