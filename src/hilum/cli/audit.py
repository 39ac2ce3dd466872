"""`hilum audit list | export | verify | key`: who did what, and the proof that nobody changed it since."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Table
from rich.text import Text

from hilum.cli import options, output
from hilum.cli.client import Client, ask
from hilum.cli.options import DATA, Data, Json

if TYPE_CHECKING:
    from hilum.security.verdict import Verdict

app = typer.Typer(no_args_is_help=True, help="Look at the audit trail, take it along, prove that nobody changed it.")
SHOWN = 20  # faults that are shown to people
Organization = Annotated[
    str | None, typer.Option(metavar="NAME", help="Whose trail; system: the hub's own. [default: the first one's]")
]


@app.command("list")
def list_events(
    data: Data = DATA,
    action: Annotated[str | None, typer.Option(help="Such as user.create, or its noun: user.")] = None,
    actor: Annotated[str | None, typer.Option(help="Who: a user's or key's id, or local:NAME.")] = None,
    entity: Annotated[str | None, typer.Option(help="Of what, such as message/019a….")] = None,
    outcome: Annotated[str | None, typer.Option(help="success, denied or failure.")] = None,
    since: options.SinceFilter = None,
    until: options.UntilFilter = None,
    before: Annotated[str | None, typer.Option(help="Go on after this, as the page before says.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=100, help="How many at most.")] = 20,
    organization: Organization = None,
    as_json: Json = False,
) -> None:
    """List what was done, the newest first.

    Examples:

        hilum audit list --since 2h

        hilum audit list --entity message/019a… --json

        hilum audit list --action user --outcome denied
    """
    query: dict[str, Any] = {
        "action": action, "actor": actor, "entity": entity, "outcome": outcome, "since": output.since(since),
        "until": output.since(until), "before": before, "size": limit, "organization": organization,
    }  # fmt: skip
    found = ask(data, lambda client: client.filled("/audit", **query))
    if as_json:
        output.show_json(found)
        return
    shown = output.table("time (UTC)", "who", "did", "to", "outcome", "place", right=("place",), whole=("time (UTC)",))
    for one in found["items"]:
        event = one["event"]
        shown.add_row(
            output.moment(event["time"]), output.plain(event["actor"]["name"] or event["actor"]["kind"]),
            output.plain(event["action"]), output.plain(event["entity"]), _outcome(event["outcome"]),
            str(one["position"] or "…"),
        )  # fmt: skip
    output.out.print(shown if found["items"] else "Nothing was done that is like that.")
    if found.get("next"):
        output.hint(f"\nOlder ones: the same with --before {found['next']}")


@app.command()
def export(
    to: Annotated[Path, typer.Argument(help="The zip to write; an existing one is replaced.", metavar="FILE")],
    data: Data = DATA,
    since: options.SinceFilter = None,
    organization: Organization = None,
) -> None:
    """Write the trail into a zip: events, their places, and of each message its id and hash.

    Bodies that are still kept are opened and hashed again, so that a changed one shows.

    Examples:

        hilum audit export trail.zip

        hilum audit export march.zip --since 2026-03-01
    """
    partial = to.with_name(f"{to.name}.partial")
    moment = output.since(since)

    async def work(client: Client) -> int:
        size = 0
        with partial.open("wb") as file:
            async for piece in client.pieces("/audit/export", since=moment, organization=organization):
                size += file.write(piece)
        return size

    try:
        size = ask(data, work)
        partial.replace(to)
    finally:
        partial.unlink(missing_ok=True)
    output.out.print(Text(f"Exported to {to} ({size / 1_000_000:,.1f} MB)", "green"), soft_wrap=True)
    output.hint(f"Verify it: hilum audit verify {to} --checkpoints FILE --key evidence.pub")


@app.command()
def verify(
    exported: Annotated[Path, typer.Argument(help="What `hilum audit export` wrote.", metavar="EXPORT")],
    checkpoints: Annotated[Path, typer.Option(help="The organization's checkpoint file.", metavar="FILE")],
    key: Annotated[Path, typer.Option(help="The public key: evidence.pub, kept by you.", metavar="FILE")],
    as_json: Json = False,
) -> None:
    """Prove that a trail is what was signed. Needs these three files and nothing else: no hub, no network.

    Use a checkpoint file and a key that the owner of the database could not have changed. Exit code 1: it is broken.

    Example:

        hilum audit verify trail.zip --checkpoints 019a….jsonl --key evidence.pub
    """
    from hilum.security.chain import PublicKey
    from hilum.security.verdict import Signed, judge
    from hilum.services import audit_export

    public = PublicKey.read(key.read_text("utf-8", errors="replace"))
    with audit_export.read(exported) as trail, checkpoints.open(encoding="utf-8", errors="replace") as lines:
        signed = Signed(trail.chain, public, lines)
        with _progress(trail.size) as told:
            events, messages = trail.events(told), trail.messages(told)
            verdict = judge(signed, events, messages, trail.unsealed(), begins=trail.begins)
    if as_json:
        output.show_json(_document(verdict))
    else:
        _show(verdict, whole=trail.begins is None)
    if not verdict.intact:
        raise typer.Exit(1)


@app.command()
def key(data: Data = DATA) -> None:
    """Print the public key that checkpoints are signed with, as PEM. Keep it away from the hub's machine.

    Example:

        hilum audit key > evidence.pub
    """
    typer.echo(ask(data, lambda client: client.get("/audit/key"))["pem"], nl=False)


def _outcome(word: str) -> Text:
    return Text(output.plain(word), {"success": "green", "denied": "yellow", "failure": "red"}.get(word, ""))


@contextmanager
def _progress(size: int) -> Iterator[Any]:
    columns = (TextColumn("verifying"), BarColumn(), TaskProgressColumn(), DownloadColumn())
    with Progress(*columns, console=output.err, transient=True, disable=not output.err.is_terminal) as progress:
        task = progress.add_task("", total=max(size, 1))
        yield lambda count: progress.advance(task, count)


def _show(verdict: Verdict, *, whole: bool) -> None:
    title = Text("The trail is what was signed.", "bold green")
    if not verdict.intact:
        title = Text("The trail is broken.", "bold red")
    elif not verdict.checkpoints:
        title = Text("Nothing is protected yet: the file holds no checkpoint.", "bold yellow")
    output.out.print(title)
    last = verdict.protected
    begins = "" if verdict.begins == 1 else f", from event {verdict.begins:,} on"
    lines = (
        ("chain", verdict.chain if whole else f"{verdict.chain}, a part of it"),
        ("events verified", f"{verdict.events:,}{begins}"),
        ("removed after their time", f"{verdict.removed:,}" if verdict.removed else ""),
        ("messages verified", f"{verdict.messages:,}, and {verdict.bodies:,} bodies opened"),
        ("checkpoints", f"{verdict.checkpoints:,}"),
        ("last protected event", f"{last.position:,}: {last.action}, {last.time} ({last.id})" if last else "none"),
        ("first broken event", f"{verdict.first:,}" if verdict.first is not None else ""),
        ("not protected yet", f"{verdict.unprotected:,} events, {verdict.unprotected_messages:,} messages"),
    )
    grid = Table.grid(padding=(0, 2))
    for name, value in lines:
        if value:
            grid.add_row(Text(f"  {name}", "dim"), output.plain(value))
    output.out.print(grid)
    for fault in verdict.faults[:SHOWN]:
        output.out.print(Text(f"  ✗ {output.plain(fault.what)}", "red"), soft_wrap=True)
    if len(verdict.faults) > SHOWN:
        output.hint(f"  … and more: {len(verdict.faults)} in all; --json has {len(verdict.faults)}")


def _document(verdict: Verdict) -> dict[str, Any]:
    last = verdict.protected
    return {
        "intact": verdict.intact, "chain": verdict.chain, "checkpoints": verdict.checkpoints,
        "events": verdict.events, "begins": verdict.begins, "removed": verdict.removed,
        "last_protected": None if last is None else {
            "position": last.position, "id": last.id, "time": last.time, "action": last.action,
        },
        "first_broken": verdict.first,
        "not_protected": {"events": verdict.unprotected, "messages": verdict.unprotected_messages},
        "messages": verdict.messages, "bodies": verdict.bodies,
        "faults": [{"position": one.position, "what": one.what} for one in verdict.faults],
    }  # fmt: skip
