"""How long a request waits for work that goes on by itself, and what it is told then (ledger S0-52)."""

from __future__ import annotations

from typing import Annotated, TypeVar

from fastapi import Query, Response

from hilum.services.jobs import JobState

T = TypeVar("T")
Wait = Annotated[float, Query(ge=0, le=30, description="Seconds to wait for it to end; then 202 says where to look.")]


def accepted(response: Response, found: T | JobState) -> T | JobState:
    """A result as it is; 202 and its place for a job that goes on."""
    if isinstance(found, JobState):
        response.status_code = 202
        response.headers["location"] = f"/api/v1/jobs/{found.id}"
    return found
