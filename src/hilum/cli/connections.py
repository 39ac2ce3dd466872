"""`hilum connections report`: where data goes and comes from, what of it, why, and when last."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer
from rich.text import Text

from hilum.cli import output
from hilum.cli.client import Client, ask
from hilum.cli.options import DATA, Data, Organization

app = typer.Typer(no_args_is_help=True)
PATH = "/reports/connections"


@app.callback()
def connections() -> None:
    """Look at the connections to other systems."""


@app.command()
def report(
    data: Data = DATA,
    format: Annotated[Literal["table", "json", "csv"], typer.Option("--format", help="How to print it.")] = "table",
    organization: Organization = None,
) -> None:
    """Show every endpoint with its host, the data that passes, the legal basis, and when it was last tested and used.

    Examples:

        hilum connections report

        hilum connections report --format csv > connections.csv
    """
    if format == "csv":
        output.raw(ask(data, _csv, organization=organization))
        return
    found = ask(data, lambda client: client.get(PATH), organization=organization)
    if format == "json":
        output.show_json(found)
        return
    if not found["connections"]:
        output.out.print("No connection.")
        return
    shown = output.table("endpoint", "where", "host", "data", "legal basis", "last test (UTC)", "last access (UTC)",
                         "TLS")  # fmt: skip
    for one in found["connections"]:
        shown.add_row(
            Text(output.plain(f"{one['integration']}/{one['endpoint']}"), "bold"), one["direction"], _host(one),
            output.plain(" ".join(one["data_categories"])), output.plain(" ".join(one["legal_basis"])), _test(one),
            output.moment(one["last_access"]), output.plain(one["tls_version"]),
        )  # fmt: skip
    output.out.print(shown)


async def _csv(client: Client) -> bytes:
    return b"".join([piece async for piece in client.pieces(PATH, format="csv")])


def _host(one: dict[str, Any]) -> str:
    port = "" if one["port"] is None else f":{one['port']}"
    return output.plain(f"{one['host'] or ''}{port}" or one["scheme"])


def _test(one: dict[str, Any]) -> Text:
    """Red where it failed."""
    return Text(output.moment(one["last_test"]), "" if one["last_test_succeeded"] in (True, None) else "red")
