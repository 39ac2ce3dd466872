"""`hilum approvals`: what waits for a second person. Deciding needs an account: it is done over HTTP."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from hilum.cli import output
from hilum.cli.client import ask
from hilum.cli.options import DATA, Data, Json

State = Literal["waiting", "approved", "denied", "used", "expired"]
app = typer.Typer(no_args_is_help=True)


@app.callback()
def approvals() -> None:
    """Look at what one person asked for and another one decides."""


@app.command(name="list")
def list_approvals(
    state: Annotated[State | None, typer.Option("--state", help="Only those.")] = None,
    limit: Annotated[int, typer.Option("-n", min=1, max=100, help="How many.")] = 20,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Show approvals, the newest first.

    Example:

        hilum approvals list --state waiting
    """
    found = ask(data, lambda client: client.get("/approvals", state=state, size=limit))
    if as_json:
        output.show_json(found)
        return
    if not found["items"]:
        output.out.print("No approval.")
        return
    shown = output.table("id", "asked (UTC)", "asked by", "operation", "of", "why", "state", "by", whole=("id",))
    for one in found["items"]:
        shown.add_row(
            one["id"], output.moment(one["asked_at"]), output.plain(one["asked_by"]), output.plain(one["operation"]),
            output.plain(one["entity"]), output.plain(one["reason"]), one["state"], output.plain(one["decided_by"]),
        )  # fmt: skip
    output.out.print(shown)
