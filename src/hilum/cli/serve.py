"""`hilum serve`: runs the hub until it is told to stop, and reads its configuration again on SIGHUP."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.panel import Panel
from rich.text import Text

from hilum import telemetry
from hilum.cli import output
from hilum.cli.options import DATA, Data
from hilum.cli.users import show_first_link_of
from hilum.errors import HilumError

if TYPE_CHECKING:
    from hilum.app import Hub

log = telemetry.logger("serve")
T = TypeVar("T")


def serve(
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", envvar="HILUM_CONFIG", help="YAML file or folder, applied at start."),
    ] = None,
    data: Data = DATA,
    http: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT", help="Where the API, health and metrics are served. [default: 127.0.0.1:8080]"
        ),
    ] = None,
    certificate: Annotated[
        Path | None,
        typer.Option(
            "--http-certificate", metavar="FILE", help="PEM, with its chain: HTTP over TLS 1.2 or newer alone."
        ),
    ] = None,
    key: Annotated[
        Path | None, typer.Option("--http-key", metavar="FILE", help="The certificate's private key, PEM.")
    ] = None,
    database: Annotated[
        str | None,
        typer.Option(metavar="URL", help="postgresql://… instead of SQLite in the data folder."),
    ] = None,
    file_root: Annotated[
        list[Path] | None, typer.Option(help="A folder that file endpoints may use; repeat for more.")
    ] = None,
    checkpoints: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Where the audit trail's checkpoints lie, best on another disk. [default: in DATA]"
        ),
    ] = None,
    docs: Annotated[
        bool | None, typer.Option("--docs/--no-docs", help="Serve the API's description at /api/v1/docs. [default: no]")
    ] = None,
    log_file: Annotated[Path | None, typer.Option(help="Log here as well; it rotates at 50 MB, ten are kept.")] = None,
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "info",
) -> None:
    """Run the hub.

    Logs are JSON lines on stdout (on a terminal: readable lines). SIGTERM and Ctrl-C drain it: what was taken is
    answered, what is being sent ends. SIGHUP reads the configuration and the certificate again; if the configuration is
    invalid, nothing of it changes.

    Examples:

        hilum serve --config hub.yaml

        hilum serve --config /etc/hilum --data /var/lib/hilum --http 127.0.0.1:8080 --log-file /var/log/hilum.log
    """
    from hilum.app import Hub
    from hilum.settings import Settings

    if log_level not in ("debug", "info", "warning", "error"):
        raise typer.BadParameter("must be debug, info, warning or error", param_hint="--log-level")
    telemetry.configure(level=log_level, file=str(log_file) if log_file else None, pretty=output.out.is_terminal)
    settings = Settings.read(
        data=data, database=database, http=http, config=config, file_roots=file_root, docs=docs,
        checkpoints=checkpoints, certificate=certificate, key=key,
    )  # fmt: skip
    run(_serve(Hub(settings)))


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run on the loop that serves: uvloop where there is one."""
    factory = None
    with contextlib.suppress(ImportError):
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(work)


async def _serve(hub: Hub) -> None:
    from hilum.app import run_until

    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    await hub.open()
    show_recovery_key(hub)
    reloads: set[asyncio.Task[None]] = set()

    def end() -> None:
        if stop.is_set():
            os._exit(130)  # asked twice: what is on disk is safe, the rest comes again
        log.info("stopping", hint="once more stops at once")
        stop.set()

    def reload() -> None:
        task = loop.create_task(_reload(hub))
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    loop.add_signal_handler(signal.SIGHUP, reload)
    await run_until(stop, hub, show_first_link_of)
    log.info("stopped")


async def _reload(hub: Hub) -> None:
    try:
        await hub.reload()
    except HilumError as error:
        log.error("configuration not applied, nothing changed", reason=str(error))
        return
    log.info("configuration read again")


def show_recovery_key(hub: Hub) -> None:
    """Once in a hub's life; it goes to the terminal alone, never to the log."""
    if hub.recovery_key is None:
        return
    note = Text.assemble(
        ("This is shown once and kept nowhere. ", "bold"),
        "Store it away from this machine: without it no backup of this hub can be restored.\n\n",
        (hub.recovery_key, "bold green"),
    )
    output.err.print(Panel(note, title="Recovery key", border_style="yellow", expand=False, width=88))
