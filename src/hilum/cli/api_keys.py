"""`hilum api-keys`: what machines show instead of a password. A key is printed once, when it is made."""

from __future__ import annotations

import datetime
from typing import Annotated, Any, Literal

import typer
from rich.text import Text

from hilum import clock
from hilum.cli import output
from hilum.cli.client import Client, ask
from hilum.cli.options import DATA, Data, Json, Limit, Organization, Why
from hilum.errors import NotFound
from hilum.model.access import Role

app = typer.Typer(no_args_is_help=True, help="Let machines in: create, list, rotate and revoke API keys.")
Which = Annotated[str, typer.Argument(help="A key's id or prefix, as `api-keys list` prints it.", metavar="KEY")]
State = Literal["active", "expired", "revoked"]


@app.command("list")
def list_api_keys(
    data: Data = DATA,
    organization: Organization = None,
    name: Annotated[str | None, typer.Option(help="Those of this name.")] = None,
    state: Annotated[State | None, typer.Option(help="Without it, all.")] = None,
    limit: Limit = 20,
    as_json: Json = False,
) -> None:
    """List API keys, by name: what they may, until when, and when they were used last.

    Examples:

        hilum api-keys list

        hilum api-keys list --state active --json
    """
    query = {"name": name, "state": state, "size": limit}
    found = ask(data, lambda client: client.get("/api-keys", **query), organization=organization)
    output.show_json(found) if as_json else _show(found)


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="What it is for, such as lab-feed.")],
    scope: Annotated[list[str], typer.Option(help="A permission, such as messages:read; may be repeated.")],
    data: Data = DATA,
    organization: Organization = None,
    role: Annotated[Role, typer.Option(help="What the scopes are taken from.")] = Role.SERVICE,
    study: Annotated[str | None, typer.Option(help="A study; without it the whole organization.")] = None,
    days: Annotated[int, typer.Option(min=1, max=366, help="How long it holds.")] = 90,
    allow: Annotated[list[str] | None, typer.Option(help="A CIDR block that it comes from; may be repeated.")] = None,
    reason: Why = None,
    as_json: Json = False,
) -> None:
    """Create a key and print it: this is the only time that it is seen.

    Examples:

        hilum api-keys create lab-feed --scope messages:read --scope lanes:read

        hilum api-keys create prometheus --role platform_operator --scope metrics:read --allow 10.1.0.0/16
    """
    body = {
        "name": name, "role": role, "study": study, "scopes": scope, "allow": allow or [],
        "expires_at": (clock.now() + datetime.timedelta(days=days)).isoformat(),
    }  # fmt: skip
    made = ask(data, lambda client: client.post("/api-keys", **body), organization=organization, reason=reason)
    output.show_json(made) if as_json else _show_key(made)


@app.command()
def rotate(
    key: Which,
    data: Data = DATA,
    organization: Organization = None,
    overlap: Annotated[int, typer.Option(min=0, max=720, help="Hours that the old one still holds.")] = 24,
    reason: Why = None,
    as_json: Json = False,
) -> None:
    """Create a key that may the same, and let the old one end after a while.

    Examples:

        hilum api-keys rotate hilum_live_K2akMzDU --overlap 72
    """

    async def work(client: Client) -> Any:
        return await client.post(f"/api-keys/{await _find(client, key)}/rotate", overlap=overlap * 3_600)

    made = ask(data, work, organization=organization, reason=reason)
    output.show_json(made) if as_json else _show_key(made)


@app.command()
def revoke(key: Which, data: Data = DATA, organization: Organization = None, reason: Why = None) -> None:
    """Let a key hold no longer, within seconds.

    Examples:

        hilum api-keys revoke hilum_live_K2akMzDU --reason "found in a chat"
    """

    async def work(client: Client) -> None:
        await client.delete(f"/api-keys/{await _find(client, key)}")

    ask(data, work, organization=organization, reason=reason)
    output.out.print("Revoked.")


async def _find(client: Client, wanted: str) -> str:
    """The id of a key that was not revoked. Raises NotFound."""
    found: list[str] = []
    page = pages = 1
    while page <= pages:
        answer = await client.get("/api-keys", page=page, size=100)
        found += [one["id"] for one in answer["items"] if one["state"] != "revoked" and _is(one, wanted)]
        page, pages = page + 1, answer["pages"]
    if not found:
        raise NotFound(f"there is no API key {wanted}")
    return found[0]


def _is(one: dict[str, Any], wanted: str) -> bool:
    """Also where somebody gives the whole key, which is not sent anywhere."""
    prefix: str = one["prefix"]
    return wanted == one["id"] or wanted == prefix or wanted.startswith(f"{prefix}_")


def _show_key(made: dict[str, Any]) -> None:
    """The key alone on standard output, so that a script can take it."""
    output.out.print(made["key"], soft_wrap=True)
    until = output.moment(made["api_key"]["expires_at"])
    output.err.print(f"This is the only time that it is seen. It holds until {until} UTC.", soft_wrap=True)


def _show(found: dict[str, Any]) -> None:
    if not found["items"]:
        output.out.print("No API key is like that. Create one: hilum api-keys create NAME --scope messages:read")
        return
    shown = output.table(
        "name", "prefix", "role", "study", "scopes", "state", "expires", "used", whole=("prefix",)
    )  # fmt: skip
    for one in found["items"]:
        shown.add_row(
            Text(output.plain(one["name"]), "bold"), one["prefix"], one["role"], output.plain(one["study"]),
            output.plain(", ".join(one["scopes"])), output.state(one["state"]), output.moment(one["expires_at"])[:10],
            output.moment(one["used_at"])[:16] or "never",
        )  # fmt: skip
    output.out.print(shown)
    if found["total"] > len(found["items"]):
        output.hint(f"\n{len(found['items'])} of {found['total']}; narrow it with --name, or --limit 100")
