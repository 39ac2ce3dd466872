"""`hilum exports`: what was exported, and the plans by which exports are asked for again and again."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from hilum.cli import output
from hilum.cli.client import Client, ask, connect
from hilum.cli.fetching import bar, made
from hilum.cli.options import DATA, Data, Json, Limit, Organization
from hilum.errors import ConfigError, NotFound
from hilum.model.export_plan import ExportPlan
from hilum.sdk.config import read

app = typer.Typer(no_args_is_help=True, help="See exports and the plans that ask for them.")
Plan = Annotated[str, typer.Argument(help="The plan, by its name.", metavar="PLAN")]
PLANS = "/exports/plans"


@app.command("list")
def list_exports(
    data: Data = DATA, limit: Limit = 20, organization: Organization = None, as_json: Json = False
) -> None:
    """List exports, the newest first.

    Examples:

        hilum exports list -n 50
    """
    found = ask(data, lambda client: client.get("/exports/jobs", size=limit), organization=organization)
    if as_json:
        output.show_json(found)
        return
    if not found["items"]:
        output.out.print("Nothing was exported yet.")
        return
    shown = output.table("id", "file", "state", "rows", "asked by", "asked (UTC)", "why", right=("rows",),
                         whole=("id",))  # fmt: skip
    for one in found["items"]:
        shown.add_row(
            Text(one["id"], "bold"), output.plain(one["file"]), output.state(one["status"]),
            f"{one['progress']['rows_done']:,}", output.plain(one["requested_by"]), output.moment(one["created_at"]),
            output.plain((one["error"] or {}).get("reason")),
        )  # fmt: skip
    output.out.print(shown)


@app.command()
def plans(data: Data = DATA, organization: Organization = None, as_json: Json = False) -> None:
    """List plans: when each comes next, with whose rights, and what came of it last.

    Examples:

        hilum exports plans
    """
    found = ask(data, lambda client: client.all(PLANS), organization=organization)
    if as_json:
        output.show_json(found)
        return
    if not found:
        output.out.print("There is no plan. Add one: hilum exports add FILE")
        return
    shown = output.table("plan", "kind", "owner", "cron (UTC)", "next (UTC)", "last", "problem")
    for one in found:
        shown.add_row(
            Text(output.plain(one["name"]), "bold"), one["kind"], output.plain(one["owner"]),
            output.plain(one["cron"]), output.moment(one["next_run"])[:16],
            output.state((one["last"] or {}).get("status", "")), Text(output.plain(one["problem"]), "red"),
        )  # fmt: skip
    output.out.print(shown)


@app.command()
def add(
    file: Annotated[Path, typer.Argument(help="A plan as JSON; - is standard input.", metavar="FILE")],
    data: Data = DATA,
    organization: Organization = None,
    as_json: Json = False,
) -> None:
    """Add a plan. It runs with the rights of whoever adds it.

    A file such as {"name": "weekly", "kind": "data", "cron": "0 6 * * 1", "wish": {"format": "csv", "source":
    {"records": "messages", "since": "last-week", "until": "last-week"}}}.

    Examples:

        hilum exports add weekly.json
    """
    wanted = _read(file)
    found = ask(data, lambda client: client.post(PLANS, **wanted), organization=organization)
    if as_json:
        output.show_json(found)
    else:
        text = f"next on {output.moment(found['next_run'])} UTC" if found["next_run"] else "it has no times of its own"
        output.out.print(output.plain(f"{found['name']}: {text}"), soft_wrap=True)


@app.command()
def run(plan: Plan, data: Data = DATA, organization: Organization = None, as_json: Json = False) -> None:
    """Ask for a plan's export now, with your own rights, and wait until it is there. Its times stay.

    Examples:

        hilum exports run weekly
    """

    async def work() -> dict[str, Any]:
        async with connect(data, organization=organization) as client:
            one = await _find(client, plan)
            with bar() as shown:
                return await made(client, shown, f"{PLANS}/{one['id']}/run", {})

    done = asyncio.run(work())
    if as_json:
        output.show_json(done)
    else:
        told = f"{done['file']}: {done['progress']['rows_done']:,} rows, export {done['id']}"
        output.out.print(output.plain(told), soft_wrap=True)


@app.command()
def remove(plan: Plan, data: Data = DATA, organization: Organization = None) -> None:
    """Remove a plan. What came of it stays.

    Examples:

        hilum exports remove weekly
    """

    async def work(client: Client) -> None:
        one = await _find(client, plan)
        await client.delete(f"{PLANS}/{one['id']}")

    ask(data, work, organization=organization)
    output.out.print(output.plain(f"{plan} runs no more."), soft_wrap=True)


async def _find(client: Client, name: str) -> dict[str, Any]:
    """By its name, whatever its case. Raises NotFound."""
    for one in await client.all(PLANS):
        if one["name"].casefold() == name.casefold():
            found: dict[str, Any] = one
            return found
    raise NotFound(f"there is no export plan {name}")


def _read(file: Path) -> dict[str, Any]:
    """A plan, as the API takes it. Raises ConfigError."""
    try:
        found = json.loads(typer.get_text_stream("stdin").read() if str(file) == "-" else file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot be read as JSON: {error}", where=str(file)) from None
    return read(ExportPlan, found, str(file)).model_dump(mode="json")
