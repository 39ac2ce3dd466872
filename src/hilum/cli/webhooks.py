"""`hilum webhooks`: who is told of what, a test event, and sending again what failed."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import typer
from rich.text import Text

from hilum import clock
from hilum.cli import output
from hilum.cli.client import Client, ask
from hilum.cli.options import DATA, Data, Json, Organization, Why
from hilum.errors import NotFound

app = typer.Typer(no_args_is_help=True, help="See webhook subscriptions, test one, send again what failed.")
Id = Annotated[str, typer.Argument(help="The subscription, as `hilum webhooks list` names it.")]
BASE = "/webhooks/subscriptions"
PATIENCE = 25.0  # seconds for the first try of a test


@app.command("list")
def list_subscriptions(data: Data = DATA, organization: Organization = None, as_json: Json = False) -> None:
    """List subscriptions: where each goes, what it is told, how it stands.

    Examples:

        hilum webhooks list
    """
    found = ask(data, lambda client: client.get(BASE, size=100), organization=organization)
    if as_json:
        output.show_json(found)
        return
    if not found["items"]:
        output.out.print("There is no webhook subscription. Add one with POST /api/v1/webhooks/subscriptions.")
        return
    shown = output.table("id", "url", "events", "state", "failing since (UTC)", "why", whole=("id",))
    for one in found["items"]:
        shown.add_row(
            Text(one["id"], "bold"), output.plain(one["url"]), output.plain(", ".join(one["events"])),
            output.state(one["state"]), output.moment(one["failing_since"])[:16], output.plain(one["reason"]),
        )  # fmt: skip
    output.out.print(shown)


@app.command("test")
def send_test(id: Id, data: Data = DATA, organization: Organization = None, as_json: Json = False) -> None:
    """Send an event of type webhook.test, and show what the receiver answered.

    Examples:

        hilum webhooks test 01981c9e-5f6a-7b3c-8d4e-2f1a0b9c8d7e
    """

    async def work(client: Client) -> Any:
        made = await client.post(f"{BASE}/{id}/test")
        path, until = f"{BASE}/{id}/deliveries/{made['id']}", clock.monotonic() + PATIENCE
        found = await client.get(path)
        while client.running and not found["attempts"] and clock.monotonic() < until:
            await asyncio.sleep(0.2)
            found = await client.get(path)
        return found

    found = ask(data, work, organization=organization)
    taken = found["delivery"]["state"] == "delivered"
    if as_json:
        output.show_json(found)
    elif not found["attempts"]:
        output.out.print("It is queued; a running hub sends it.")
    else:
        last = found["attempts"][-1]
        status = "no answer" if last["status"] is None else f"HTTP {last['status']}"
        output.out.print(f"{status} after {last['duration']:.0f} ms: {output.plain(last['detail'])}", soft_wrap=True)
    raise typer.Exit(0 if taken or not found["attempts"] else 1)


@app.command()
def replay(
    id: Id,
    delivery: Annotated[str | None, typer.Option(help="One delivery; without it all of the range.")] = None,
    since: Annotated[str | None, typer.Option(help="Events from then on, RFC 3339.")] = None,
    until: Annotated[str | None, typer.Option(help="Events before then.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Delivered ones too, not only what failed.")] = False,
    reason: Why = None,
    data: Data = DATA,
    organization: Organization = None,
    as_json: Json = False,
) -> None:
    """Send deliveries again, under the ids that they have.

    Examples:

        hilum webhooks replay 01981c9e-5f6a-7b3c-8d4e-2f1a0b9c8d7e --since 2026-01-21T00:00:00Z
    """

    async def work(client: Client) -> Any:
        if delivery is not None:
            return await client.post(f"{BASE}/{id}/deliveries/{delivery}/replay")
        return await client.post(f"{BASE}/{id}/replay", since=since, until=until, state=None if every else "failed")

    found = ask(data, work, organization=organization, reason=reason)
    if as_json:
        output.show_json(found)
    elif found["deliveries"]:
        output.out.print(f"Sent again: {found['deliveries']}.")
    else:
        raise NotFound("nothing in that range is to be sent again")
