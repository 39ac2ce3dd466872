"""Alive and ready: for load balancers, service managers and people."""

from __future__ import annotations

from typing import Any

from fastapi import Request, Response

from hilum.api.services import Used
from hilum.api.surface import Surface, open_to_all

mounts = ("",)
router = Surface("/health")


@router.get("/live")
@open_to_all()
async def live() -> dict[str, str]:
    """The process answers."""
    return {"status": "alive"}


@router.get("/ready")
@open_to_all()
async def ready(request: Request, response: Response, services: Used) -> dict[str, Any]:
    """200 where the hub works, 503 where the store or the engine does not. `unhealthy` names sources that don't run."""
    found = await services.health.ready()
    response.status_code = 200 if found.ready else 503
    answer: dict[str, Any] = {
        "status": "ready" if found.ready else "not ready",
        "unhealthy": [one.reference for one in found.unhealthy],
    }
    if request.app.state.local:
        answer |= {"reason": found.reason, "sources": found.unhealthy, "free_disk": round(found.free_disk, 4)}
        answer["evidence"] = found.evidence
    return answer
