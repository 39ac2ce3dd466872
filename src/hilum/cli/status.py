"""`hilum status`: is the hub well, and what is not."""

from __future__ import annotations

from typing import Any

import typer
from rich.text import Text

from hilum.cli import output
from hilum.cli.client import Client, ask
from hilum.cli.lanes import show as show_lanes
from hilum.cli.options import DATA, Data, Json


def status(data: Data = DATA, as_json: Json = False) -> None:
    """Show whether all is well: the hub, its inbound endpoints, its destinations.

    Exit code 1 if something is not.

    Examples:

        hilum status

        hilum status --json
    """
    found = ask(data, _collect)
    if as_json:
        output.show_json(found)
    else:
        _show(found)
    if not found["well"]:
        raise typer.Exit(1)


async def _collect(client: Client) -> dict[str, Any]:
    sources = await client.all("/sources")
    lanes = await client.all("/lanes")
    ready = (await client.root("/health/ready")).json()
    troubled = [one["reference"] for one in sources if not one["running"]]
    troubled += [one["reference"] for one in lanes if one["state"] in ("blocked", "holding")]
    well = client.running and ready.get("status") == "ready" and not troubled and not ready.get("evidence")
    return {"running": client.running, "well": well, "ready": ready, "sources": sources, "lanes": lanes}


def _show(found: dict[str, Any]) -> None:
    word = "runs" if found["running"] else "is stopped"
    output.out.print(Text.assemble("The hub ", (word, "green" if found["running"] else "yellow"), ".\n"))
    if found["sources"]:
        shown = output.table("receives at", "address", "state", "received", "errors", "why",
                             right=("received", "errors"))  # fmt: skip
        for one in found["sources"]:
            state = "running" if one["running"] else "error" if found["running"] else "stopped"
            why = one.get("problem") or ", ".join(one.get("held") or [])
            shown.add_row(Text(output.plain(one["reference"]), "bold"), output.plain(one["url"]), output.state(state),
                          str(one["received"]), str(one["errors"]), output.plain(why))  # fmt: skip
        output.out.print(shown)
        output.out.print()
    if found["ready"].get("evidence"):
        output.out.print(Text(f"Evidence: {output.plain(found['ready']['evidence'])}\n", "red"), soft_wrap=True)
    show_lanes(found["lanes"])
