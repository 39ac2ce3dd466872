"""`hilum backup` and `hilum restore`: all that a hub holds in one encrypted file, and back."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Table
from rich.text import Text

from hilum.cli import output
from hilum.cli.client import ask
from hilum.cli.options import DATA, Data, Json
from hilum.errors import ConfigError


def backup(
    to: Annotated[Path, typer.Option("--to", metavar="FILE", help="The archive; an existing one is replaced.")],
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Write everything into one encrypted file.

    Only the recovery key opens it. The hub may go on running.

    Example:

        hilum backup --to /backup/hilum-monday.age
    """
    target = str(to.resolve())
    report = ask(data, lambda client: client.post("/backup", target=target))
    output.show_json(report) if as_json else _show(report, f"Backed up to {to}")


def restore(
    archive: Annotated[Path, typer.Argument(help="What `hilum backup` wrote.", metavar="FILE")],
    data: Annotated[Path, typer.Option("--data", "-d", help="An empty or new folder.")],
    recovery_key_file: Annotated[
        Path | None, typer.Option(help="A file that holds the recovery key; without it you are asked.")
    ] = None,
    verify: Annotated[bool, typer.Option("--verify", help="Open every body and compare its hash.")] = False,
    as_json: Json = False,
) -> None:
    """Make a data folder of a backup.

    Examples:

        hilum restore hilum-monday.age --data /var/lib/hilum

        hilum restore hilum-monday.age --data /tmp/rehearsal --verify --recovery-key-file key.txt
    """
    from hilum.services.backup import restore as work

    if recovery_key_file is None:
        key = typer.prompt("Recovery key", hide_input=True, err=True).strip()
    else:
        key = recovery_key_file.read_text("utf-8").strip()
    if not key:
        raise ConfigError("the recovery key is empty")
    with _progress("restoring") as told:
        report = dataclasses.asdict(asyncio.run(work(archive, key, data, verify=verify, progress=told)))
    if as_json:
        output.show_json(report)
        return
    _show(report, f"Restored to {data}")
    output.hint(f"Start it: hilum serve --config hub.yaml --data {data}")


@contextmanager
def _progress(what: str) -> Iterator[Callable[[float], None]]:
    """A bar on a terminal; it is told a share between 0 and 1."""
    columns = (TextColumn(what), BarColumn(), TaskProgressColumn())
    with Progress(*columns, console=output.err, transient=True, disable=not output.err.is_terminal) as progress:
        task = progress.add_task("", total=1.0)
        yield lambda share: progress.update(task, completed=share)


def _show(report: dict[str, Any], title: str) -> None:
    rows = report["rows"]
    lines = (
        ("written", f"{output.moment(report['created_at'])} UTC by Hilum {report['hilum']}"),
        ("size", f"{report['size'] / 1_000_000:,.1f} MB"),
        ("holds", f"{rows['message']:,} messages, {rows['delivery']:,} deliveries"),
        ("beside", f"{report['files']:,} archives and exports" if report["files"] else ""),
        ("missing", ", ".join(report["missing"])),
        ("compared", f"{report['opened']:,} bodies with their hash" if report["opened"] else ""),
    )
    grid = Table.grid(padding=(0, 2))
    for name, value in lines:
        if value:
            grid.add_row(Text(f"  {name}", "dim"), output.plain(value))
    output.out.print(Text(title, "green"), soft_wrap=True)
    output.out.print(grid)
