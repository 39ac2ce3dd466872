"""Asks an OpenID Connect provider where people sign in."""

from __future__ import annotations

from typing import Any

from hilum.errors import Conflict
from hilum.jobs import Context
from hilum.outbound.provider import Provider
from hilum.store.jobs import Job


async def run(context: Context, job: Job) -> dict[str, Any]:
    """Arguments: issuer, authority. Result: `place`, its authorization endpoint."""
    if context.dialer is None:
        raise Conflict("nothing dials here")
    provider = Provider(context.dialer, job.arguments["issuer"], job.arguments["authority"])
    try:
        return {"place": (await provider.metadata())["authorization_endpoint"]}
    finally:
        await provider.close()
