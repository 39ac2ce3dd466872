"""`hilum credentials`: put secrets in, replace them, see what there is. A secret is typed or piped, no argument."""

from __future__ import annotations

import sys
from typing import Annotated, Any, Literal

import typer
from rich.text import Text

from hilum.cli import output
from hilum.cli.client import Client, ask
from hilum.cli.options import DATA, Data, Json, Limit, Organization, Why
from hilum.errors import ConfigError, NotFound
from hilum.model.credential import KINDS

app = typer.Typer(no_args_is_help=True, help="Keep secrets that the configuration names as ${secret:NAME}.")
Name = Annotated[str, typer.Argument(help="As in ${secret:NAME}.", metavar="NAME")]
Secret = Annotated[str | None, typer.Option("--secret", help="Which of its secrets; without it the main one.")]
Kind = Literal["api_key", "basic", "bearer", "oauth2", "jwt", "ssh_key", "generic"]
Days = Annotated[int | None, typer.Option(min=1, max=3_650, help="Days after which it should be rotated.")]


@app.command("list")
def list_credentials(
    data: Data = DATA, organization: Organization = None, limit: Limit = 20, as_json: Json = False
) -> None:
    """List credentials by name: their kind, age, when each was used last. Never a secret.

    Examples:

        hilum credentials list
    """
    found = ask(data, lambda client: client.get("/credentials", size=limit), organization=organization)
    output.show_json(found) if as_json else _show(found)


@app.command("set")
def set_credential(
    name: Name,
    kind: Annotated[Kind, typer.Option(help="Of a new one.")] = "generic",
    field: Annotated[list[str] | None, typer.Option(help="NAME=VALUE of what may be seen; may be repeated.")] = None,
    secret: Secret = None,
    study: Annotated[str | None, typer.Option(help="A new one is for this study alone.")] = None,
    rotate_every: Days = None,
    data: Data = DATA,
    organization: Organization = None,
    reason: Why = None,
    as_json: Json = False,
) -> None:
    """Add a credential, or change one. The secret is asked for, or read from standard input.

    Examples:

        hilum credentials set lab --kind basic --field username=hub

        pass show lab/token | hilum credentials set lab-token --kind bearer --rotate-every 90
    """
    fields = dict(_pair(one) for one in field or [])
    value = _value()

    async def work(client: Client) -> Any:
        known = await _find(client, name)
        if known is None:
            wanted = {"name": name, "kind": kind, "fields": fields, "study": study, "rotate_every": rotate_every}
            return await client.post("/credentials", **wanted, secrets={secret or _main(kind): value})
        wanted = {"secrets": {secret or _main(known["kind"]): value}}
        wanted |= {"fields": {**known["fields"], **fields}} if fields else {}
        wanted |= {"rotate_every": rotate_every} if rotate_every is not None else {}
        return await client.patch(f"/credentials/{known['id']}", known["version"], **wanted)

    done = ask(data, work, organization=organization, reason=reason)
    output.show_json(done) if as_json else output.out.print(f"{name} is set, version {done['version']}.")


@app.command()
def rotate(
    name: Name,
    secret: Secret = None,
    data: Data = DATA,
    organization: Organization = None,
    reason: Why = None,
    as_json: Json = False,
) -> None:
    """Replace a secret. Integrations that refer to it use the new one from their next connection on.

    Examples:

        hilum credentials rotate lab --reason "once a quarter"
    """
    value = _value()

    async def work(client: Client) -> Any:
        known = await _find(client, name)
        if known is None:
            raise NotFound(f"there is no credential {name}")
        secrets = {secret or _main(known["kind"]): value}
        return await client.post_on(f"/credentials/{known['id']}/rotate", known["version"], secrets=secrets)

    done = ask(data, work, organization=organization, reason=reason)
    output.show_json(done) if as_json else output.out.print(f"{name} is rotated, version {done['version']}.")


def _value() -> str:
    """What is typed without being shown, or what comes through a pipe, without its last line end."""
    if sys.stdin.isatty():
        typed: str = typer.prompt("Secret", hide_input=True, confirmation_prompt=True, err=True)
        return typed
    value = sys.stdin.read().removesuffix("\n").removesuffix("\r")
    if not value:
        raise ConfigError("no secret came through standard input")
    return value


def _main(kind: str) -> str:
    known = KINDS[kind].secrets
    return known[0] if known else "value"


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ConfigError(f"--field is NAME=VALUE, not {text}")
    return name, value


async def _find(client: Client, name: str) -> dict[str, Any] | None:
    page = pages = 1
    while page <= pages:
        answer = await client.get("/credentials", page=page, size=100)
        for one in answer["items"]:
            if name in (one["name"], one["id"]):
                found: dict[str, Any] = one
                return found
        page, pages = page + 1, answer["pages"]
    return None


def _show(found: dict[str, Any]) -> None:
    if not found["items"]:
        output.out.print("There is no credential. Add one: hilum credentials set NAME --kind bearer")
        return
    shown = output.table("name", "kind", "study", "secrets", "age", "rotation", "used", right=("age",), whole=("name",))
    for one in found["items"]:
        shown.add_row(
            Text(output.plain(one["name"]), "bold"), one["kind"], output.plain(one["study"]),
            output.plain(", ".join(one["secrets"])), f"{one['age']} d", output.state(one["rotation"]),
            output.moment(one["used_at"])[:16] or "never",
        )  # fmt: skip
    output.out.print(shown)
    if found["total"] > len(found["items"]):
        output.hint(f"\n{len(found['items'])} of {found['total']}; more with --limit 100")
