"""`hilum retention …` and `hilum archives …`: what is kept how long, what goes when, what is archived, its way back.

Not to be confused with a backup (archive.py): that is of everything, an archive of bodies whose time is over.
"""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.text import Text

from hilum.cli import output
from hilum.cli.client import Client, ask
from hilum.cli.options import DATA, Data, Json, Limit, Organization, Why

app = typer.Typer(no_args_is_help=True, help="See and change how long what is kept; see what the next purge removes.")
archives = typer.Typer(no_args_is_help=True, help="See, verify and put back what was archived before it was removed.")
Id = Annotated[str, typer.Argument(help="The archive, as `hilum archives list` names it.")]
_KINDS = {
    "bodies": "bodies",
    "audit_events": "audit events",
    "archives": "archives",
    "subject_exports": "exports about people",
    "integration_logs": "integration log",
    "diagnostics": "diagnostics of errors",
    "test_results": "test results",
    "health_results": "health results",
    "executions": "executions",
    "execution_bodies": "bodies of executions",
    "webhook_deliveries": "webhook deliveries",
    "sessions": "sessions",
    "jobs": "jobs",
}


@app.command()
def preview(data: Data = DATA, organization: Organization = None, as_json: Json = False) -> None:
    """Count what would be removed now, and what stays because a legal hold holds it. Nothing is removed.

    Examples:

        hilum retention preview
    """
    found = ask(data, lambda client: client.get("/retention/preview"), organization=organization)
    if as_json:
        output.show_json(found)
        return
    shown = output.table("what", "removed", "held", "older than (UTC)", right=("removed", "held"))
    for one in found["classes"]:
        shown.add_row(_KINDS[one["kind"]], f"{one['removed']:,}", f"{one['held']:,}", output.moment(one["before"]))
    output.out.print(shown)
    if found["archived"]:
        output.hint(f"\n{found['archived']:,} of the bodies would be archived first.")


@app.command()
def policies(data: Data = DATA, organization: Organization = None, as_json: Json = False) -> None:
    """List how long each class is kept, what is usual, and what is the least.

    Examples:

        hilum retention policies
    """
    found = ask(data, lambda client: client.get("/retention/policies"), organization=organization)["items"]
    if as_json:
        output.show_json(found)
        return
    shown = output.table("class", "kept", "usual", "at least", "because", right=("kept", "usual", "at least"))
    for one in found:
        times = [f"{one[name]} {one['unit']}" for name in ("keep", "usual", "least")]
        shown.add_row(one["kind"], *times, one["why"])
    output.out.print(shown)


@app.command()
def keep(
    kind: Annotated[str, typer.Argument(help="The class, as `hilum retention policies` lists it.", metavar="CLASS")],
    number: Annotated[int, typer.Argument(min=1, help="Days or years, as the class has it.")],
    data: Data = DATA,
    organization: Organization = None,
    reason: Why = None,
    as_json: Json = False,
) -> None:
    """Keep a class of records for so long from now on. What the law wants kept cannot be kept for less.

    Examples:

        hilum retention keep integration_logs 10 --reason "our archive law"
    """
    path = f"/retention/policies/{quote(kind, safe='')}"

    async def change(client: Client) -> Any:
        known = await client.get(path)
        return await client.put(path, known["version"], keep=number)

    found = ask(data, change, organization=organization, reason=reason)
    if as_json:
        output.show_json(found)
    else:
        output.out.print(f"{found['what'].capitalize()} are kept for {found['keep']} {found['unit']}.")


@archives.command("list")
def list_archives(
    data: Data = DATA, organization: Organization = None, limit: Limit = 20, as_json: Json = False
) -> None:
    """List archives, the newest first.

    Examples:

        hilum archives list
    """
    found = ask(data, lambda client: client.get("/archives", size=limit), organization=organization)
    if as_json:
        output.show_json(found)
        return
    if not found["items"]:
        output.out.print("There is no archive.")
        return
    shown = output.table("id", "received from (UTC)", "to", "messages", "size", right=("messages", "size"),
                         whole=("id",))  # fmt: skip
    for one in found["items"]:
        shown.add_row(
            output.plain(one["id"]), output.moment(one["since"]), output.moment(one["until"]),
            f"{one['messages']:,}", f"{one['bytes'] / 1_000_000:,.1f} MB",
        )  # fmt: skip
    output.out.print(shown)


@archives.command()
def verify(id: Id, data: Data = DATA, organization: Organization = None, as_json: Json = False) -> None:
    """Compare an archive's checksum, open all of it, compare each body with what was received.

    Exit code 1: it is not what was written.

    Examples:

        hilum archives verify 019a…
    """
    found: dict[str, Any] = ask(
        data, lambda client: client.post(f"/archives/{id}/verify"), organization=organization
    )  # fmt: skip
    if as_json:
        output.show_json(found)
    elif found["intact"]:
        output.out.print(Text(f"It is what was written: {found['messages']:,} bodies opened and compared.", "green"))
    else:
        output.failure(found["problem"])
    if not found["intact"]:
        raise typer.Exit(1)


@archives.command()
def restore(
    id: Id,
    days: Annotated[int, typer.Option(min=1, max=90, help="Days until retention removes the bodies again.")] = 7,
    data: Data = DATA,
    organization: Organization = None,
    reason: Why = None,
    as_json: Json = False,
) -> None:
    """Put the bodies of an archive back, once its checksum was found right. A running hub does it.

    Examples:

        hilum archives restore 019a… --days 30 --reason "claim 17"
    """
    job = ask(
        data,
        lambda client: client.post(f"/archives/{id}/restore", days=days),
        organization=organization,
        reason=reason,
    )
    if as_json:
        output.show_json(job)
    elif job["state"] == "done":
        output.out.print(f"{job['result']['bodies']:,} bodies are back for {days} days.")
    else:
        output.out.print(f"It will be done (job {output.plain(job['id'])}).")
        output.hint("A running hub does it.")
