"""Figures for Prometheus."""

from __future__ import annotations

import ipaddress

from fastapi import Request, Response

from hilum.api.services import Used
from hilum.api.surface import Surface, known, open_to_all
from hilum.model.access import permit
from hilum.services.metrics import CONTENT_TYPE

mounts = ("",)
router = Surface(tag="metrics")
_EXAMPLE = 'hilum_backlog{organization="demo",destination="lab/out"} 0.0\n'


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {"example": _EXAMPLE}}}})
@open_to_all(fails=(401, 403))
async def metrics(request: Request, services: Used) -> Response:
    """All figures in Prometheus' text format, for this machine and for who has the scope metrics:read."""
    if not request.app.state.local and not _from_here(request):
        permit(await known(request), "metrics:read")
    return Response(await services.metrics.text(), media_type=CONTENT_TYPE)


def _from_here(request: Request) -> bool:
    """Whether the peer is this machine itself, and no proxy on it that speaks for someone else."""
    if "x-forwarded-for" in request.headers or "forwarded" in request.headers or request.client is None:
        return False
    try:
        return ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False
