"""`hilum report`: a report or a dashboard, as a file."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from hilum.cli import output
from hilum.cli.client import Client, connect
from hilum.cli.fetching import bar, fetched, made
from hilum.cli.options import DATA, Data, Json, Organization
from hilum.errors import ConfigError, NotFound

_SUFFIXES = {"csv": "zip"}  # a table a file, in one ZIP


def report(
    name: Annotated[str, typer.Argument(help="Such as integration-activity; a wrong one lists all.", metavar="NAME")],
    since: Annotated[
        str | None, typer.Option("--since", help="15m, 2h, 3d ago, or an ISO time (UTC); by default 7 days.")
    ] = None,
    until: Annotated[str | None, typer.Option("--until", help="The same, as the end; by default now.")] = None,
    format: Annotated[
        Literal["pdf", "xlsx", "csv", "json", "png", "svg"],
        typer.Option("--format", "-f", help="csv: reports alone, in a ZIP; png and svg: dashboards alone."),
    ] = "pdf",
    to: Annotated[
        Path | None, typer.Option("--to", metavar="FILE", help="Where to; by default NAME with its ending.")
    ] = None,
    paper: Annotated[Literal["a4", "letter"], typer.Option(help="Of PDF and pictures.")] = "a4",
    purpose: Annotated[str | None, typer.Option(help="Why; it is kept with the record, and on the page.")] = None,
    data: Data = DATA,
    organization: Organization = None,
    as_json: Json = False,
) -> None:
    """Write a report or a dashboard: what happened in a time, or how things stand.

    Examples:

        hilum report integration-activity --since 7d

        hilum report audit-trail --since 2026-05-01 --until 2026-06-01 --purpose "Inspection" --to audit.pdf

        hilum report message-traffic --since 1d --format png
    """
    target = to or Path(f"{name}.{_SUFFIXES.get(format, format)}")
    if target.is_dir():
        raise ConfigError(f"{target} is a folder; name a file", where="--to")
    wanted = {
        "format": format, "since": output.since(since), "until": output.since(until), "paper": paper,
        "purpose": purpose or "",
    }  # fmt: skip

    async def work() -> dict[str, Any]:
        async with connect(data, organization=organization) as client:
            kind = await _kind(client, name)
            with bar() as shown:
                done = await made(client, shown, f"/exports/{kind}", {**wanted, kind: name})
                await fetched(client, shown, done, target)
            return done

    done = asyncio.run(work())
    if as_json:
        output.show_json(done)
        return
    size = f"{done['bytes'] / 1e6:,.2f} MB"
    output.out.print(output.plain(f"{target} ({size}, SHA-256 {done['sha256'][:16]}…)"), soft_wrap=True)
    for one in done["warnings"]:
        output.hint(f"warning: {one}")


async def _kind(client: Client, name: str) -> str:
    """Whether it is a report or a dashboard. Raises NotFound, which says what there is."""
    known = {
        kind: [one["name"] for one in (await client.get(f"/exports/{kind}s"))["items"]]
        for kind in ("report", "dashboard")
    }
    for kind, names in known.items():
        if name in names:
            return kind
    told = "; ".join(f"{kind}s: {', '.join(names)}" for kind, names in known.items())
    raise NotFound(f"there is no report {name}. There are {told}")
