"""Sources: the inbound endpoints, and why one does not run."""

from __future__ import annotations

from fastapi import APIRouter

from hilum.api.items import Items
from hilum.api.services import Organization, Used
from hilum.services.sources import Source

router = APIRouter(prefix="/sources", tags=["sources"])


@router.get("")
async def list_sources(services: Used, organization: Organization) -> Items[Source]:
    """Every inbound endpoint."""
    return Items(items=await services.sources.all(organization))
