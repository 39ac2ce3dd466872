"""`hilum users`: who there is, invitations and one-time links, and how somebody is shut out."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.text import Text

from hilum.cli import output
from hilum.cli.client import PREFIX, SOCKET, Client, ask
from hilum.cli.options import DATA, Data, Json, Limit, Organization, Why
from hilum.errors import HubUnreachable, NotFound
from hilum.model.access import Role

if TYPE_CHECKING:
    from hilum.app import Hub

app = typer.Typer(no_args_is_help=True)


@app.callback()
def users() -> None:
    """Let people in and shut them out; a password is set by its owner alone, by a one-time link."""


State = Literal["invited", "active", "disabled", "removed"]


@app.command("list")
def list_users(
    data: Data = DATA,
    organization: Organization = None,
    state: Annotated[State | None, typer.Option(help="Without it, all that were not removed.")] = None,
    role: Annotated[Role | None, typer.Option(help="Those who have it, anywhere.")] = None,
    q: Annotated[str | None, typer.Option("--search", help="A part of the name or the address.")] = None,
    limit: Limit = 20,
    as_json: Json = False,
) -> None:
    """List users, by name.

    Examples:

        hilum users list

        hilum users list --role tenant_admin --json
    """
    query = {"state": state, "role": role, "q": q, "size": limit}
    found = ask(data, lambda client: client.get("/users", **query), organization=organization)
    output.show_json(found) if as_json else _show(found)


@app.command()
def invite(
    email: Annotated[str, typer.Argument(help="What one signs in with.")],
    name: Annotated[str, typer.Option(help="As it is printed beside a signature.")],
    role: Annotated[
        list[str] | None, typer.Option(help="A role, or role@study; may be repeated.", metavar="ROLE[@STUDY]")
    ] = None,
    data: Data = DATA,
    organization: Organization = None,
    reason: Why = None,
    as_json: Json = False,
) -> None:
    """Invite somebody: prints a one-time link that sets the password. It holds for a week.

    Examples:

        hilum users invite ada@example.org --name "Ada Lovelace" --role operator

        hilum users invite bob@example.org --name Bob --role viewer --role operator@trial-1
    """
    roles = [_role(one) for one in role or []]
    body = {"email": email, "name": name, "roles": roles}
    made = ask(data, lambda client: client.post("/users", **body), organization=organization, reason=reason)
    if as_json:
        output.show_json(made)
        return
    _show_token(email, made["link"]["token"])


@app.command()
def disable(
    email: Annotated[str, typer.Argument(help="Whose account.")],
    data: Data = DATA,
    organization: Organization = None,
    reason: Why = None,
    as_json: Json = False,
) -> None:
    """Shut somebody out: signed out at once, and nothing of the account holds until it is active again.

    Examples:

        hilum users disable bob@example.org --reason "left on Friday"
    """

    async def work(client: Client) -> Any:
        one = await _find(client, email)
        return await client.patch(f"/users/{one['id']}", one["version"], state="disabled")

    changed = ask(data, work, organization=organization, reason=reason)
    output.show_json(changed) if as_json else output.out.print(f"{output.plain(email)} is shut out.")


@app.command()
def link(
    email: Annotated[
        str | None, typer.Argument(help="Whose; without it, the first administrator's.", metavar="[EMAIL]")
    ] = None,
    data: Data = DATA,
    organization: Organization = None,
    reason: Why = None,
    as_json: Json = False,
) -> None:
    """Make a one-time link to set a password.

    It holds for a day, and ends the ones before it. Without EMAIL it makes the hub's first administrator.

    Examples:

        hilum users link

        hilum users link ada@example.org
    """
    found = ask(data, lambda client: _link(client, email), organization=organization, reason=reason)
    if as_json:
        output.show_json(found)
    elif email is None:
        show_first_link(found["token"], None, data)
    else:
        _show_token(email, found["token"])


async def _link(client: Client, email: str | None) -> Any:
    if email is None:
        if not client.running:
            raise HubUnreachable("no hub runs in this folder; at its start it prints such a link: hilum serve")
        return await client.post("/auth/link/first")
    one = await _find(client, email)
    return await client.post(f"/users/{one['id']}/link")


async def _find(client: Client, email: str) -> Any:
    """The user of an address. Raises NotFound."""
    found = await client.get("/users", q=email, size=100)
    one = next((one for one in found["items"] if one["email"] == email.strip().lower()), None)
    if one is None:
        raise NotFound(f"there is no user {email}")
    return one


def _role(text: str) -> dict[str, str]:
    role, _, study = text.partition("@")
    return {"role": role, "study": study} if study else {"role": role}


def _show_token(email: str, token: str) -> None:
    """The token alone on standard output, so that a script can take it."""
    output.out.print(token, soft_wrap=True)
    output.err.print(
        f"Hand it over to {output.plain(email)}: it sets a password once, by POST {PREFIX}/auth/link.", soft_wrap=True
    )


def _show(found: dict[str, Any]) -> None:
    if not found["items"]:
        output.out.print("No user is like that. Invite one: hilum users invite EMAIL --name NAME --role ROLE")
        return
    shown = output.table("name", "e-mail", "state", "roles", "signed in")
    for one in found["items"]:
        roles = ", ".join(f"{each['role']}@{each['study']}" if each["study"] else each["role"] for each in one["roles"])
        state = "locked" if one["locked"] and one["state"] == "active" else one["state"]
        shown.add_row(
            Text(output.plain(one["name"]), "bold"), output.plain(one["email"]), output.state(state),
            output.plain(roles), output.moment(one["signed_in_at"]) or "never",
        )  # fmt: skip
    output.out.print(shown)
    if found["total"] > len(found["items"]):
        output.hint(f"\n{len(found['items'])} of {found['total']}; narrow it with --search, or --limit 100")


def show_first_link_of(hub: Hub) -> None:
    """While nobody may sign in; it goes to the terminal alone, never to the log."""
    if hub.first_link is not None:
        show_first_link(hub.first_link, address(hub), hub.settings.data)


def address(hub: Hub) -> str | None:
    """Where the hub is reached from here; None where it does not listen."""
    if hub.http is None:
        return None
    host = (hub.settings.http or "").rpartition(":")[0]
    return f"http://{'127.0.0.1' if host in ('0.0.0.0', '[::]', '::') else host}:{hub.http.port}"  # noqa: S104 - not bound


def show_first_link(token: str, http: str | None, data: Path) -> None:
    """A command that sets the first administrator, to be copied: nothing may break its lines."""
    output.err.print(Text("\nNobody can sign in yet. Set the first administrator within a day, by:\n", "bold yellow"))
    output.err.print(Text(curl(token, http, data), "bold green"), soft_wrap=True)
    output.err.print(Text("\nThe link holds once. A new one: hilum users link\n", "dim"))


def curl(token: str, http: str | None, data: Path) -> str:
    """The request that uses a first link: over TCP, or (None) the data folder's socket."""
    place = f"{http}{PREFIX}/auth/link" if http else f"http://hub{PREFIX}/auth/link"
    socket = "" if http else f"--unix-socket {shlex.quote(str(data / SOCKET))} "
    # the password is too short on purpose: nobody shall have one that stands in an example
    body = {"token": token, "email": "you@example.org", "name": "Your Name", "password": "CHOOSE ONE"}
    header = "-H 'Content-Type: application/json'"
    return f"curl -sS {socket}{place} {header} -d {shlex.quote(json.dumps(body))}"
