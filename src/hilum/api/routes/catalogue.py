"""Connectors and steps: what can be configured, each with the JSON Schema of its settings."""

from __future__ import annotations

from fastapi import APIRouter

from hilum.api.items import Items
from hilum.api.services import Used
from hilum.services import catalogue
from hilum.services.catalogue import ConnectorEntry, StepEntry

router = APIRouter(tags=["catalogue"])


@router.get("/connectors")
async def list_connectors(services: Used) -> Items[ConnectorEntry]:
    """Every connector, by name."""
    return Items(items=catalogue.connectors(services.registry))


@router.get("/steps")
async def list_steps(services: Used) -> Items[StepEntry]:
    """Every step, by name."""
    return Items(items=catalogue.steps(services.registry))
