"""What the routes work with, and who asks: handed in by the composition root, found in the app's state."""

from __future__ import annotations

import dataclasses
import os
import pwd
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated

from fastapi import Depends, Query, Request

from hilum.sdk.registry import Registry
from hilum.services.backup import Report
from hilum.services.configuration import Configurations
from hilum.services.health import Health
from hilum.services.jobs import Jobs
from hilum.services.lanes import Lanes
from hilum.services.messages import Messages
from hilum.services.metrics import Metrics
from hilum.services.names import Names
from hilum.services.replays import Replays
from hilum.services.sources import Sources


@dataclasses.dataclass(frozen=True, slots=True)
class Services:
    """One set a hub."""

    registry: Registry
    names: Names
    messages: Messages
    replays: Replays
    lanes: Lanes
    sources: Sources
    jobs: Jobs
    configurations: Configurations
    reload: Callable[[], Awaitable[None]]
    backup: Callable[[Path], Awaitable[Report]]
    health: Health
    metrics: Metrics


def _services(request: Request) -> Services:
    found: Services = request.app.state.services
    return found


Used = Annotated[Services, Depends(_services)]


async def _organization(
    services: Used,
    organization: Annotated[str | None, Query(description="Its name; without one the hub's first.")] = None,
) -> int:
    return await services.names.organization(organization)


Organization = Annotated[int, Depends(_organization)]


def local_name(uid: int) -> str:
    """The actor that a user of this machine is: local:alice."""
    try:
        return f"local:{pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"local:{uid}"


def _actor(request: Request) -> str:
    """The peer of the local socket (server.py puts it where TCP has an address), else the hub's own user."""
    peer = request.client.host if request.client else ""
    return peer if peer.startswith("local:") else local_name(os.geteuid())


Actor = Annotated[str, Depends(_actor)]
