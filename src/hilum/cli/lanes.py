"""`hilum lanes`: how deliveries to each destination stand, and what a person may do about it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

import typer
from rich.text import Text

from hilum import clock
from hilum.cli import options, output
from hilum.cli.client import Client, ask
from hilum.cli.options import DATA, Data, Json
from hilum.errors import Conflict, HubUnreachable, NotFound

Lane = Annotated[str, typer.Argument(help="A destination, such as lab/out.", metavar="DESTINATION")]
PATIENCE = 15.0  # seconds
T = TypeVar("T")
app = typer.Typer(invoke_without_command=True)


@app.callback()
def lanes(context: typer.Context, data: Data = DATA, as_json: Json = False) -> None:
    """Show how deliveries stand; get stuck ones going.

    For every destination: its state, what waits, and why. `retry` and `skip` act on one.

    Examples:

        hilum lanes

        hilum lanes retry lab/out

        hilum lanes skip lab/out --reason "the patient was merged"
    """
    if context.invoked_subcommand is not None:
        context.default_map = {context.invoked_subcommand: {"data": data}}
        return
    items = ask(data, lambda client: client.all("/lanes"))
    if as_json:
        output.show_json({"items": items})
    else:
        show(items)


@app.command()
def retry(lane: Lane, data: Data = DATA, as_json: Json = False) -> None:
    """Try now: forget waiting times and the breaker, and try once more what a dead letter blocks.

    Example:

        hilum lanes retry lab/out
    """
    found = ask(data, lambda client: _act(client, lane, "retry"))
    output.show_json(found) if as_json else output.out.print(f"{output.plain(lane)} is being tried now.")


@app.command()
def skip(
    lane: Lane,
    reason: options.Reason,
    delivery: Annotated[
        int | None, typer.Option(help="Its number, where more than one lane is stuck (see `hilum lanes`).")
    ] = None,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Take the delivery at the head of a stuck lane out of it. It is kept, as skipped, with the reason.

    Example:

        hilum lanes skip lab/out --reason "the partner never had this patient"
    """

    async def work(client: Client) -> Any:
        number = delivery if delivery is not None else await _head(client, lane)
        return await _patiently(lambda: _act(client, lane, "skip", delivery=number, reason=reason))

    found = ask(data, work)
    output.show_json(found) if as_json else output.out.print("Skipped; the lane goes on.")


async def _act(client: Client, lane: str, verb: str, **body: Any) -> Any:
    if not client.running:
        raise HubUnreachable("no hub runs in this folder, so no lane moves; start it with: hilum serve")
    return await client.post(f"/lanes/{lane}/{verb}", **body)


async def _head(client: Client, lane: str) -> int:
    """The delivery that holds the destination up. Raises NotFound where it is not a single one."""

    async def look() -> int:
        items = await client.all("/lanes")
        one: dict[str, Any] = next((one for one in items if one["reference"] == lane), {"stuck": [], "backlog": 0})
        if not one["backlog"]:
            raise NotFound(f"nothing waits at {lane}")
        if not one["stuck"]:
            raise Conflict(f"nothing is stuck at {lane}: it is being sent")
        if len(one["stuck"]) > 1:
            raise NotFound(f"{lane} has {len(one['stuck'])} stuck lanes; say which with --delivery (see: hilum lanes)")
        number: int = one["stuck"][0]["delivery"]
        return number

    return await _patiently(look)


async def _patiently(work: Callable[[], Awaitable[T]]) -> T:
    """Try again while a delivery is being sent: that may take as long as a connection may."""
    end = clock.monotonic() + PATIENCE
    while True:
        try:
            return await work()
        except Conflict:
            if clock.monotonic() > end:
                raise
        await asyncio.sleep(0.3)


def show(items: list[dict[str, Any]]) -> None:
    """The destinations as a table, and below it what is stuck."""
    if not items:
        output.out.print("No destination yet. Add an outbound endpoint and run: hilum apply hub.yaml", soft_wrap=True)
        return
    shown = output.table("destination", "state", "health", "backlog", "oldest", "delivered", "failed", "why",
                         right=("backlog", "oldest", "delivered", "failed"))  # fmt: skip
    for one in items:
        shown.add_row(
            Text(output.plain(one["reference"]), "bold"), output.state(one["state"]), output.state(one["health"]),
            str(one["backlog"]), output.duration(one.get("oldest_waiting_seconds")), str(one["delivered"]),
            Text(str(one["failed"]), "red" if one["failed"] else ""), output.plain(one.get("reason")),
        )  # fmt: skip
    output.out.print(shown)
    stuck = [(one["reference"], head) for one in items for head in one.get("stuck") or []]
    if not stuck:
        return
    shown = output.table("stuck at", "delivery", "message", "waiting", "attempts", "next try", "why",
                         right=("delivery", "waiting", "attempts", "next try"), whole=("message",))  # fmt: skip
    for reference, head in stuck:
        next_try = "never" if head.get("retry_in") is None else output.duration(head["retry_in"])
        shown.add_row(output.plain(reference), str(head["delivery"]), head["message"], str(head["waiting"]),
                      str(head["attempts"]), next_try, output.plain(head["reason"]))  # fmt: skip
    output.out.print()
    output.out.print(shown)
    output.hint(f"\nhilum lanes retry {stuck[0][0]}, or hilum lanes skip {stuck[0][0]} --reason WHY")
