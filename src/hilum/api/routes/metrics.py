"""Figures for Prometheus, for this machine alone."""

from __future__ import annotations

import ipaddress

from fastapi import APIRouter, Request, Response

from hilum.api.services import Used
from hilum.errors import Refused
from hilum.services.metrics import CONTENT_TYPE

public = True
router = APIRouter(tags=["metrics"])


@router.get("/metrics", response_class=Response)
async def metrics(request: Request, services: Used) -> Response:
    """All figures in Prometheus' text format. Over TCP only loopback peers may read them."""
    if not request.app.state.local and not _from_here(request):
        raise Refused("metrics are for this machine alone: ask from loopback")
    return Response(await services.metrics.text(), media_type=CONTENT_TYPE)


def _from_here(request: Request) -> bool:
    """Whether the peer is this machine itself, and no proxy on it that speaks for someone else."""
    if "x-forwarded-for" in request.headers or "forwarded" in request.headers or request.client is None:
        return False
    try:
        return ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False
