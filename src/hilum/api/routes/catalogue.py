"""Connectors and steps: what can be configured, each with the JSON Schema of its settings."""

from __future__ import annotations

from fastapi import Response

from hilum.api.items import Items
from hilum.api.preconditions import keep
from hilum.api.services import Used
from hilum.api.surface import Surface, allow
from hilum.services import catalogue
from hilum.services.catalogue import ConnectorEntry, StepEntry

router = Surface(tag="catalogue")


@router.get("/connectors")
@allow("catalogue:read", audits="connector.list")
async def list_connectors(services: Used, response: Response) -> Items[ConnectorEntry]:
    """Every connector, by name."""
    keep(response)
    return Items(items=catalogue.connectors(services.registry))


@router.get("/steps")
@allow("catalogue:read", audits="step.list")
async def list_steps(services: Used, response: Response) -> Items[StepEntry]:
    """Every step, by name."""
    keep(response)
    return Items(items=catalogue.steps(services.registry))
