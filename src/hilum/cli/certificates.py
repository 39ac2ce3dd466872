"""`hilum certificates`: see what ends when, add a chain with its key."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from hilum.cli import output
from hilum.cli.client import ask
from hilum.cli.options import DATA, Data, Json, Limit, Organization, Why
from hilum.errors import ConfigError

app = typer.Typer(no_args_is_help=True, help="Keep certificates, and be told in time when they end.")


@app.command("list")
def list_certificates(
    data: Data = DATA, organization: Organization = None, limit: Limit = 20, as_json: Json = False
) -> None:
    """List certificates: what ends first comes first.

    Examples:

        hilum certificates list
    """
    found = ask(data, lambda client: client.get("/certificates", size=limit), organization=organization)
    output.show_json(found) if as_json else _show(found)


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="As in ${secret:NAME.chain} and ${secret:NAME.key}.")],
    chain: Annotated[Path, typer.Argument(help="A PEM file with the certificate and those above it.")],
    key: Annotated[Path | None, typer.Option(help="A PEM file with its private key.")] = None,
    ask_passphrase: Annotated[bool, typer.Option("--passphrase", help="The key has one: ask for it.")] = False,
    study: Annotated[str | None, typer.Option(help="It is for this study alone.")] = None,
    data: Data = DATA,
    organization: Organization = None,
    reason: Why = None,
    as_json: Json = False,
) -> None:
    """Add a certificate. The files stay where they are; remove the key's file once it is here.

    Examples:

        hilum certificates add lab-tls chain.pem --key key.pem
    """
    body: dict[str, Any] = {"name": name, "chain": _read(chain), "study": study}
    if key is not None:
        body["key"] = _read(key)
    if ask_passphrase:
        body["passphrase"] = typer.prompt("Passphrase", hide_input=True, err=True)
    made = ask(data, lambda client: client.post("/certificates", **body), organization=organization, reason=reason)
    if as_json:
        output.show_json(made)
        return
    one = made["certificate"]
    output.out.print(f"{name} is kept: {output.plain(one['subject'])}, {one['days_left']} days left.", soft_wrap=True)


def _read(path: Path) -> str:
    try:
        return path.read_text("ascii")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not PEM"
        raise ConfigError(f"cannot read {path}: {reason}") from None


def _show(found: dict[str, Any]) -> None:
    if not found["items"]:
        output.out.print("There is no certificate. Add one: hilum certificates add NAME chain.pem --key key.pem")
        return
    shown = output.table("name", "subject", "study", "state", "days left", "key", right=("days left",), whole=("name",))
    for one in found["items"]:
        shown.add_row(
            Text(output.plain(one["name"]), "bold"), output.plain(one["subject"]), output.plain(one["study"]),
            output.state(one["state"]), "" if one["days_left"] is None else str(one["days_left"]),
            "yes" if one["key"]["set"] else "no",
        )  # fmt: skip
    output.out.print(shown)
