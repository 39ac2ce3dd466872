"""What commands that export share: ask for it, watch it being made, fetch it whole."""

from __future__ import annotations

import asyncio
import hashlib
import os
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from hilum.cli import output
from hilum.cli.client import Client
from hilum.cli.datasets import trouble
from hilum.errors import HilumError

_LOOK = 0.2  # seconds between looks at how far it is


def bar() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    return Progress(*columns, console=output.err, transient=True, disable=not output.err.is_terminal)


async def made(client: Client, bar: Progress, path: str, wanted: dict[str, Any]) -> dict[str, Any]:
    """Ask, and wait until it is there. Raises DataError, HilumError."""
    found: dict[str, Any] = await client.post(path, **wanted)
    task = bar.add_task("writing", total=found["progress"]["rows_total"])
    while found["status"] in ("queued", "running"):
        await asyncio.sleep(_LOOK)
        found = await client.get(f"/exports/jobs/{found['id']}")
        bar.update(task, total=found["progress"]["rows_total"], completed=found["progress"]["rows_done"])
    if found["status"] == "failed":
        raise trouble(found["error"])
    if found["status"] not in ("succeeded", "partial"):
        raise HilumError(f"the export was {found['status']}")
    return found


async def fetched(client: Client, bar: Progress, done: dict[str, Any], to: Path, **query: Any) -> None:
    """The file is there whole, compared with its SHA-256, or not at all. Raises HilumError, OSError.

    Patients may be in it: its owner alone can read it, also where it takes the place of one that others could.
    """
    task, found = bar.add_task("fetching", total=done["bytes"]), hashlib.sha256()
    partial = to.with_name(f".{to.name}.partial")
    try:
        partial.unlink(missing_ok=True)  # of a run that was killed; its mode would stay
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            async for piece in client.pieces(f"/exports/jobs/{done['id']}/download", **query):
                file.write(piece)
                found.update(piece)
                bar.advance(task, len(piece))
            file.flush()
            os.fsync(file.fileno())
        if found.hexdigest() != done["sha256"]:
            raise HilumError("what came is not what was exported: its SHA-256 is another one")
        partial.replace(to)
    finally:
        partial.unlink(missing_ok=True)
