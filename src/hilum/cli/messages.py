"""`hilum messages list | search | show`: what was received, what became of it, what was sent."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from hilum.cli import options, output
from hilum.cli.client import Client, ask
from hilum.cli.options import DATA, Data, Json
from hilum.cli.tree import differences, message_tree
from hilum.errors import FormatError

app = typer.Typer(no_args_is_help=True, help="Look at messages: list, search, show.")
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, max=100, help="How many at most.")]
Before = Annotated[str | None, typer.Option(help="Go on after this id, the last one of the page before.")]


@app.command("list")
def list_messages(
    data: Data = DATA,
    endpoint: options.EndpointFilter = None,
    state: options.StateFilter = None,
    type: options.TypeFilter = None,
    since: options.SinceFilter = None,
    until: options.UntilFilter = None,
    synthetic: options.SyntheticFilter = None,
    before: Before = None,
    limit: Limit = 20,
    as_json: Json = False,
) -> None:
    """List messages, the newest first.

    Examples:

        hilum messages list

        hilum messages list --state failed --since 2h

        hilum messages list --endpoint adt-feed/in --type ADT^A08 -n 100 --json
    """
    query = {**filters(endpoint, state, type, since, until, synthetic), "before": before, "size": limit}
    found = ask(data, lambda client: client.filled("/messages", **query))
    if as_json:
        output.show_json(found)
        return
    narrowed = any(value is not None for value in (endpoint, state, type, since, until, synthetic, before))
    _show_list(found, "No message is like that." if narrowed else _NOTHING)


@app.command()
def search(
    data: Data = DATA,
    patient: options.Patient = None,
    control: options.Control = None,
    key: options.Key = None,
    value: options.Value = None,
    before: Before = None,
    limit: Limit = 20,
    as_json: Json = False,
) -> None:
    """Find messages by patient, control id or another key.

    Keys are what an endpoint's `search:` names; HL7 v2 has patient by default.

    Examples:

        hilum messages search --patient 4711

        hilum messages search --control MSG00042

        hilum messages search --key order --value A-100
    """
    name, wanted = search_key(patient, control, key, value, needed=True)
    found = ask(data, lambda client: client.get("/messages/search", key=name, value=wanted, before=before, size=limit))
    if as_json:
        output.show_json(found)
        return
    _show_list(found, f"No message has that {name}. Keys: patient, control, and those under `search:` of an endpoint.")


@app.command()
def show(
    id: Annotated[str, typer.Argument(help="A message's id, as `messages list` prints it.", metavar="ID")],
    data: Data = DATA,
    raw: Annotated[bool, typer.Option("--raw", help="The bytes as they are, nothing else.")] = False,
    steps: Annotated[bool, typer.Option("--steps", help="What each step of its routes made of it.")] = False,
    sent: Annotated[int | None, typer.Option(min=1, metavar="N", help="What went out with delivery N.")] = None,
    as_json: Json = False,
) -> None:
    """Show a message as a tree, and what became of it.

    Examples:

        hilum messages show 019a…

        hilum messages show 019a… --steps

        hilum messages show 019a… --sent 1 --raw > sent.hl7
    """
    if steps:
        trace = ask(data, lambda client: client.get(f"/messages/{id}/steps"))
        output.show_json(trace) if as_json else _show_steps(trace["items"])
        return

    async def body(client: Client) -> bytes:
        part = f"/deliveries/{sent}" if sent is not None else ""
        return await client.content(f"/messages/{id}{part}/body")

    if raw or (sent is not None and not as_json):
        content = ask(data, body)
        output.raw(content) if raw else _show_body(content)
        return
    detail = ask(data, lambda client: client.get(f"/messages/{id}", include="body"))
    if as_json:
        output.show_json(detail)
        return
    _show_head(detail)
    _show_deliveries(detail.get("deliveries") or [])
    if detail.get("body") is None and not detail.get("body_base64"):
        output.out.print("\nIts body was removed: retention ended.")
        if detail.get("archive"):
            output.hint(f"An archive has it: hilum archives restore {detail['archive']}")
    else:
        _show_body(ask(data, body))


WIDE = 96  # columns that a line a message needs
_NOTHING = "No message yet. Send one: hilum send FILE --to mllp://127.0.0.1:2575"


def filters(
    endpoint: str | None, state: str | None, type: str | None, since: str | None, until: str | None,
    synthetic: bool | None = None,
) -> dict[str, Any]:  # fmt: skip
    """What messages are asked for, as the API takes it."""
    return {
        "endpoint": endpoint, "state": state, "type": type,
        "since": output.since(since), "until": output.since(until), "synthetic": synthetic,
    }  # fmt: skip


def search_key(
    patient: str | None, control: str | None, key: str | None, value: str | None, *, needed: bool = False
) -> tuple[str | None, str | None]:
    """The one key that is searched, and its value."""
    given = [(name, text) for name, text in (("patient", patient), ("control", control)) if text is not None]
    if (key is None) != (value is None):
        raise typer.BadParameter("--key NAME and --value TEXT belong together")
    if key is not None:
        given.append((key, value or ""))
    if len(given) > 1 or (needed and not given):
        raise typer.BadParameter("say one of --patient, --control, or --key with --value")
    return given[0] if given else (None, None)


def _show_list(found: dict[str, Any], nothing: str) -> None:
    items = found["items"]
    if not items:
        output.out.print(nothing, soft_wrap=True)
        return
    narrow = output.out.width < WIDE
    columns = ("received (UTC)", "message", "from", "state")
    wide = ("received (UTC)", "id", "from", "type", "control id", "state")
    shown = output.table(*(columns if narrow else wide), whole=("received (UTC)", "id", "type", "state"))
    for one in items:
        cells = (output.moment(one["received_at"])[5:], one["id"], output.plain(one["endpoint"]))
        kind, control, state = output.kind(one["type"]), output.plain(one["control_id"]), output.state(one["state"])
        if one["synthetic"]:
            state = Text.assemble(state, (" test", "dim"))
        if narrow:
            shown.add_row(cells[0], f"{kind} {control}\n{one['id']}".lstrip(), cells[2], state)
        else:
            shown.add_row(*cells, kind, control, state)
    output.out.print(shown)
    if found.get("next"):
        output.hint(f"\nOlder ones: the same with --before {found['next']}")


def _show_head(detail: dict[str, Any]) -> None:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim")
    grid.add_column(overflow="fold")
    rows: list[tuple[str, str | Text]] = [
        ("received", f"{output.moment(detail['received_at'])} UTC from {output.plain(detail['endpoint'])}"),
        ("state", output.state(detail["state"])),
        ("synthetic", "yes: it says that a test made it (MSH-11)" if detail["synthetic"] else ""),
        ("answered", output.state(detail["ack"]) if detail["ack"] else "nothing"),
        ("routes", ", ".join(output.plain(one) for one in detail.get("routes") or []) or "none"),
        ("note", output.plain(detail.get("note"))),
        ("replay of", output.plain(detail.get("origin"))),
        *((output.plain(name), output.plain(value)) for name, value in (detail.get("attributes") or {}).items()),
    ]  # fmt: skip
    for name, value in rows:
        if value:
            grid.add_row(name, value)
    title = " ".join(filter(None, (output.kind(detail["type"]), output.plain(detail["control_id"]))))
    output.out.print(Panel(grid, title=title or "message", subtitle=detail["id"], border_style="cyan", expand=False))


def _show_deliveries(deliveries: list[dict[str, Any]]) -> None:
    if not deliveries:
        return
    shown = output.table("", "to", "state", "attempts", "ended (UTC)", "answer", right=("", "attempts"))
    for one in deliveries:
        shown.add_row(
            str(one["number"]), output.plain(one["destination"]), output.state(one["state"]), str(one["attempts"]),
            output.moment(one.get("done_at")), output.plain(one.get("detail")),
        )  # fmt: skip
        for attempt in one.get("tries") or []:
            shown.add_row(
                "", Text(f"  try {attempt['number']}", "dim"), Text(output.plain(attempt["outcome"]), "yellow"), "",
                Text(output.moment(attempt["started_at"]), "dim"),
                Text(f"{output.plain(attempt['detail'])} ({attempt['milliseconds']:.0f} ms)", "dim"),
            )  # fmt: skip
    output.out.print(Group("", shown))


def _show_body(content: bytes) -> None:
    try:
        tree: Any = message_tree(content)
    except FormatError as error:
        output.out.print(f"\nNot HL7 v2 ({output.plain(error)}), {len(content):,} bytes:")
        tree = output.plain(content[:2_000].decode("utf-8", "replace").replace("\r", "\n"))
    output.out.print()
    output.out.print(tree)


def _show_steps(runs: list[dict[str, Any]]) -> None:
    if not runs:
        output.out.print("It took no route.")
    for run in runs:
        output.out.print(Text(output.plain(run["route"]), "bold cyan"))
        if run["problem"]:
            output.out.print(Text(f"  cannot be run any more: {output.plain(run['problem'])}", "red"), soft_wrap=True)
        elif not run["repeatable"]:
            output.hint("  it has steps that may have done otherwise then, such as a script")
        for step in run["steps"]:
            given, made = step["given"], step["made"]
            head = Text.assemble("  ", (output.plain(step["place"]), "bold"), "  ", output.plain(step["result"]))
            head.append(f"  {step['microseconds']:.0f} µs", "dim")
            output.out.print(head, soft_wrap=True)
            if len(given) == len(made):
                for before, after in zip(given, made, strict=True):
                    _show_changes(before, after)
            elif made:
                output.out.print(f"    {len(given)} became {len(made)}")
    if runs and sys.stdout.isatty():
        output.hint("What went out: hilum messages show ID --sent 1")


def _show_changes(before: str, after: str) -> None:
    try:
        changes = list(differences(_bytes(before), _bytes(after)))
    except FormatError:
        changes = [("body", f"{len(before)} characters", f"{len(after)} characters")] if before != after else []
    for path, old, new in changes:
        line = Text.assemble("    ", (f"{path:<12} ", "cyan"), (output.plain(old) or "(empty)", "red"), " → ",
                             (output.plain(new) or "(empty)", "green"))  # fmt: skip
        output.out.print(line, soft_wrap=True)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
