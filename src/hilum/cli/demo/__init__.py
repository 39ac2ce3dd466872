"""`hilum demo`: a hub with partners and traffic, so that there is something to look at a minute after installing."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import importlib.resources
import os
import shutil
import signal
import socket
import sys
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import httpx
import typer
from rich.console import Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from hilum import clock
from hilum.cli import output
from hilum.cli.client import Client, answers
from hilum.cli.users import show_first_link_of

if TYPE_CHECKING:
    from hilum.app import Hub
    from hilum.cli.demo.watch import Watch
    from hilum.model.audit import Act

PORTS = {"adt-feed": 2575, "oru-feed": 2576, "lab": 2577, "registry": 2578, "http": 8080}
DROP = "/var/lib/hilum/files/drop"  # as the packaged file has it
LOOK = 0.3  # seconds between two looks
SOON = 10.0  # seconds until the hints are shown where nobody can see a panel
WIDE = 110  # columns from which a command and its explanation fit side by side


def demo(
    data: Annotated[Path, typer.Option("--data", "-d", help="Its data folder; start again to go on in it.")] = Path(
        "demo-data"
    ),
    seconds: Annotated[float | None, typer.Option(min=1, help="End by itself after this time.")] = None,
) -> None:
    """Run a hub with traffic and partners, and show what happens.

    Two feeds, a folder and two simulated partners, one of which is moody. Ctrl-C ends it.

    Examples:

        hilum demo

        hilum demo --seconds 20 --data /tmp/hilum-demo
    """
    from hilum.app import Hub
    from hilum.cli.serve import run
    from hilum.security.egress import LOOPBACK
    from hilum.settings import Settings

    ports = {name: free_port(port) for name, port in PORTS.items()}
    config = write_config(data, ports)
    http = f"127.0.0.1:{ports['http']}"
    settings = Settings.read(data=data, http=http, config=config)
    # so that integrations with the demo's partners may be made through the API, too
    hub = Hub(dataclasses.replace(settings, egress=(*settings.egress, *LOOPBACK)))
    run(_demo(hub, ports, config, seconds))


def free_port(first: int) -> int:
    """The first port from `first` on that nobody uses. Raises OSError where there is none near."""
    for port in range(first, first + 2_000, 10):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port
    raise OSError(f"no free port near {first}")


def write_config(data: Path, ports: dict[str, int]) -> Path:
    """The packaged configuration with today's ports and the folder's own place."""
    text = importlib.resources.files("hilum.cli.demo").joinpath("hub.yaml").read_text("utf-8")
    for name, port in PORTS.items():
        text = text.replace(f"127.0.0.1:{port}", f"127.0.0.1:{ports[name]}")
    drop = data.resolve() / "files" / "drop"
    drop.mkdir(parents=True, exist_ok=True)
    config = data / "hub.yaml"
    config.write_text(text.replace(DROP, str(drop)), "utf-8")
    return config


async def _demo(hub: Hub, ports: dict[str, int], config: Path, seconds: float | None) -> None:
    from hilum.app import run_until
    from hilum.cli.demo import feeds
    from hilum.cli.demo.partners import Moody, Partner, reliable

    ended, stop, loop = asyncio.Event(), asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    if seconds is not None:
        loop.call_later(seconds, ended.set)
    data = hub.settings.data
    await hub.open()
    partners = [Partner(ports["lab"], reliable), Partner(ports["registry"], Moody())]
    for partner in partners:
        await partner.start()
    running = loop.create_task(run_until(stop, hub))
    work: list[Coroutine[Any, Any, None]] = [
        feeds.feed(feeds.adt(), ports["adt-feed"], 1.2),
        feeds.feed(feeds.oru(), ports["oru-feed"], 1.9),
        feeds.drop(feeds.files(), data / "files" / "drop", 5.0),
    ]
    tasks: list[asyncio.Task[Any]] = []
    try:
        await _until_it_answers(data, running)
        _welcome(hub, ports, config)
        tasks = [loop.create_task(one) for one in work]
        await _show(hub, ports, ended, running)
    finally:
        stop.set()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        try:
            await running
        finally:
            for partner in partners:
                await partner.stop()


async def _until_it_answers(data: Path, running: asyncio.Task[None]) -> None:
    while not await answers(data) and not running.done():  # noqa: ASYNC110 - a socket tells nobody when it appears
        await asyncio.sleep(0.05)
    if running.done():
        await running  # raises why


def _welcome(hub: Hub, ports: dict[str, int], config: Path) -> None:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold")
    grid.add_row("receives", f"mllp://127.0.0.1:{ports['adt-feed']} (ADT), mllp://127.0.0.1:{ports['oru-feed']} (ORU)")
    grid.add_row("", f"files in {hub.settings.data / 'files' / 'drop'}")
    grid.add_row("sends to", f"lab (port {ports['lab']}, reliable), registry (port {ports['registry']}, moody)")
    grid.add_row("configured by", str(config))
    grid.add_row("health, metrics", f"http://127.0.0.1:{ports['http']}")
    if hub.recovery_key is not None:
        grid.add_row("recovery key", Text(hub.recovery_key, "dim"))
    output.out.print(Panel(grid, title="Hilum demo: invented patients, real hub", border_style="cyan", expand=False))
    show_first_link_of(hub)


@contextlib.asynccontextmanager
async def _onlooker(hub: Hub) -> AsyncIterator[Client]:
    """Looks every few moments and is nobody's act: a trail full of that would hide what people do."""
    from hilum.api import create_app

    async def nothing(act: Act, **_: object) -> None:
        act.recorded = True

    app = create_app(dataclasses.replace(hub.services(), record=nothing), local=True)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://hub") as http:
        yield Client(http, running=True)


async def _show(hub: Hub, ports: dict[str, int], ended: asyncio.Event, running: asyncio.Task[None]) -> None:
    from hilum.cli.demo.watch import Watch

    def tell(line: Text) -> None:
        if terminal:
            output.out.print(line, no_wrap=True, overflow="ellipsis")
        else:
            output.out.print(line, soft_wrap=True)

    data = hub.settings.data
    terminal, started, told = output.out.is_terminal, clock.monotonic(), False
    async with _onlooker(hub) as client:
        watch = Watch(client, tell)
        await watch.prime()
        with (
            Live(console=output.out, auto_refresh=False, transient=True)
            if terminal
            else contextlib.nullcontext() as live
        ):
            while not ended.is_set() and not running.done():
                await watch.look()
                if live is not None:
                    live.update(_footer(watch, data, ports), refresh=True)
                elif not told and clock.monotonic() - started > SOON:
                    told = True
                    output.out.print(next_steps(watch, data, ports))
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(ended.wait(), LOOK)
        await watch.look()
    if not told:
        output.out.print(next_steps(watch, data, ports))
    output.out.print(f"\nEnding. {_counts(watch).plain}. All of it stays in {data}.", soft_wrap=True)


def _footer(watch: Watch, data: Path, ports: dict[str, int]) -> Group:
    return Group("", _counts(watch), next_steps(watch, data, ports))


def _counts(watch: Watch) -> Text:
    counts = watch.counts
    words = (
        ("received", "received", "cyan"), ("delivered", "delivered", "green"), ("retry", "retries", "yellow"),
        ("dead letter", "dead letters", "red"), ("filtered", "filtered", "dim"),
    )  # fmt: skip
    return Text(", ").join(Text(f"{label}: {counts[word]}", style) for word, label, style in words)


def next_steps(watch: Watch, data: Path, ports: dict[str, int]) -> Panel:
    """Commands to try in another terminal."""
    hilum, id = command(), watch.dead or "ID"
    steps = (
        (f"export HILUM_DATA={data}", "what the next ones look at"),
        (f"{hilum} messages list", "what came"),
        (f"{hilum} messages show {id}", "field by field; also --steps"),
        (f"{hilum} messages search --patient 4711", "all of a patient"),
        (f"{hilum} lanes", "how deliveries stand"),
        (f"{hilum} messages list --state failed", "dead letters"),
        (f"{hilum} replay {id}", "send it again"),
        (f"curl http://127.0.0.1:{ports['http']}/health/ready", "and /metrics"),
    )
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    for line, what in steps:
        if output.out.width >= WIDE:
            grid.add_row(line, Text(what, "dim"))
        else:  # beside its command the explanation would be a column of single words
            grid.add_row(Text(f"# {what}", "dim"))
            grid.add_row(line)
    return Panel(grid, title="Try next, in another terminal", border_style="green", expand=False)


def command() -> str:
    """How the user calls us."""
    if shutil.which("hilum"):
        return "hilum"
    called = Path(sys.argv[0])
    return os.path.relpath(called) if called.name == "hilum" else "python -m hilum"
