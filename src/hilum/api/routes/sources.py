"""Sources: the inbound endpoints, and why one does not run."""

from __future__ import annotations

from hilum.api.paging import Page, Paging
from hilum.api.services import Used
from hilum.api.surface import Acting, Surface, allow
from hilum.services.sources import Source

router = Surface("/sources")


@router.get("")
@allow("sources:read", audits="source.list")
async def list_sources(services: Used, act: Acting, paging: Paging) -> Page[Source]:
    """Every inbound endpoint, by name."""
    return Page[Source].cut(await services.sources.all(act.scope), paging)
