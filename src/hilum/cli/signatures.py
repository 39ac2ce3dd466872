"""`hilum signatures`: who signed what, and whether it holds. Signing itself needs an account: it is done over HTTP."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from hilum.cli import output
from hilum.cli.client import ask
from hilum.cli.options import DATA, Data, Json

app = typer.Typer(no_args_is_help=True)
Entity = Annotated[str | None, typer.Option("--entity", help="Of this record, such as user/019a….")]


@app.callback()
def signatures() -> None:
    """Look at electronic signatures."""


@app.command(name="list")
def list_signatures(
    entity: Entity = None,
    limit: Annotated[int, typer.Option("-n", min=1, max=100, help="How many.")] = 20,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Show signatures, the newest first.

    Examples:

        hilum signatures list

        hilum signatures list --entity user/019a3b4c-0000-7000-8000-000000000001
    """
    found = ask(data, lambda client: client.get("/signatures", entity=entity, size=limit))
    if as_json:
        output.show_json(found)
        return
    if not found["items"]:
        output.out.print("No signature.")
        return
    shown = output.table("id", "signed (UTC)", "signer", "meaning", "operation", "record", "is", whole=("id",))
    for one in found["items"]:
        shown.add_row(
            one["id"], output.moment(one["signed_at"]), output.plain(one["signer"]), output.plain(one["meaning"]),
            output.plain(one["operation"]), output.plain(f"{one['entity']} v{one['version']}"), one["record"],
        )  # fmt: skip
    output.out.print(shown)


@app.command()
def verify(
    id: Annotated[str, typer.Argument(help="The signature's id.")], data: Data = DATA, as_json: Json = False
) -> None:
    """Check that a signature is whole, in its place, and what became of its record. Exit code 1 where it is not valid.

    Example:

        hilum signatures verify 019a3b4c-0000-7000-8000-000000000001
    """
    found = ask(data, lambda client: client.get(f"/signatures/{id}/verification"))
    if as_json:
        output.show_json(found)
    else:
        output.out.print(output.plain(found["text"]), soft_wrap=True)
        mark = ("valid", "green") if found["valid"] else (f"not valid: {output.plain(found['problem'])}", "bold red")
        output.out.print(Text.assemble(mark, f"; the record: {found['record']}"), soft_wrap=True)
    if not found["valid"]:
        raise typer.Exit(1)
