"""What the API's frame costs: an authenticated, audited list page and a create, beside a bare FastAPI route.

The hub holds many messages; bare app and hub are asked in turn, so that a noisy machine slows both. The access token
is an API key. Budget: at least half of the bare route's requests for the list, with a p99 under 20 ms.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import httpx
from rich.console import Console
from rich.table import Table

import processes
import search
from hilum.app import Hub
from hilum.model.access import HUB, SYSTEM, Scope
from hilum.model.audit import Act
from hilum.services.configuration import load
from hilum.settings import Settings

CONFIG = """\
version: 1
organization: demo
integrations:
  - name: adt-feed
    protocol: hl7_v2
    endpoints: [{{name: in, direction: inbound, url: "mllp://127.0.0.1:{port}"}}]
"""
UNLIMITED = {"HILUM_RATE": "100000000", "HILUM_ORGANIZATION_RATE": "100000000", "HILUM_ACCESS_LOG": "no"}
LIST, CREATE = "list page, 20 messages", "create a study"


async def prepare(folder: Path, config: Path, rows: int, console: Console) -> None:
    """A data folder with an endpoint and `rows` messages that came in there."""
    hub = Hub(Settings(data=folder, http=None))
    await hub.open()
    try:
        wanted, beside = load(config)
        await hub.configurations.apply(Act(HUB, Scope(SYSTEM), "benchmark.apply"), wanted, beside)
        await search.fill(hub.store, rows, max(rows // 20, 1), console)
    finally:
        await hub.close()


def api_key(folder: Path) -> str:
    """Made over the local socket, as the operator may."""
    transport = httpx.HTTPTransport(uds=str(folder / "hub.sock"))
    with httpx.Client(transport=transport, base_url="http://hub/api/v1") as local:
        wanted = {"name": "bench", "role": "tenant_admin", "scopes": ["messages:read", "studies:write"]}
        answer = local.post("/api-keys", json=wanted)
        if answer.is_error:
            raise RuntimeError(f"no API key: {answer.text}")
        return str(answer.json()["key"])


def load_http(port: int, path: str, connections: int, seconds: float, *options: str) -> dict[str, float]:
    """Run http_load.py to its end; RuntimeError where an answer was not the expected one."""
    command = processes.script("http_load.py", port, path, "--connections", connections, "--seconds", seconds, *options)
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode:
        raise RuntimeError(f"the load generator failed: {run.stderr.strip()[-1500:]}")
    figures: dict[str, float] = json.loads(run.stdout)
    return figures


def measure(folder: Path, args: argparse.Namespace, console: Console) -> None:
    port, http, bare_port = processes.free_port(), processes.free_port(), processes.free_port()
    config = folder / "hub.yaml"
    config.write_text(CONFIG.format(port=port))
    data = folder / "data"
    asyncio.run(prepare(data, config, args.rows, console))
    hilum = str(Path(sys.executable).parent / "hilum")
    serve = [hilum, "serve", "--config", str(config), "--data", str(data), "--http", f"127.0.0.1:{http}"]
    found: dict[tuple[str, str], list[dict[str, float]]] = defaultdict(list)
    with (
        processes.Party("bare", processes.script("bare.py", bare_port), folder / "bare.log") as bare,
        processes.Party("hub", serve, folder / "hub.log", UNLIMITED) as hub,
    ):
        bare.wait_for(bare_port)
        hub.wait_for(http)
        held = ("--header", f"authorization: Bearer {api_key(data)}")
        body = ("--method", "POST", "--status", "201", "--body", '{"name": "s{n}"}')
        for _ in range(args.rounds):
            for what, subject, target, path, options in (
                (LIST, "bare FastAPI", bare_port, "/list?size=20", ()),
                (LIST, "hub", http, "/api/v1/messages?size=20", held),
                (CREATE, "bare FastAPI", bare_port, "/studies", body),
                (CREATE, "hub", http, "/api/v1/studies", (*body, *held)),
            ):
                one = load_http(target, path, args.connections, args.seconds, *options)
                found[what, subject].append(one)
                console.print(f"{what}: {subject} {one['rate']:,.0f}/s, p99 {one['p99']:.2f} ms")
        resident = hub.usage().resident / 2**20
    console.print(table(found, args))
    console.print(f"memory of the hub afterwards: {resident:.0f} MB")


def table(found: dict[tuple[str, str], list[dict[str, float]]], args: argparse.Namespace) -> Table:
    """Medians of the rounds, each as a share of the bare route's."""
    shown = Table(title=f"{args.rows:,} messages, {args.connections} connections, medians of {args.rounds}")
    for column in ("what", "subject", "requests/s", "ratio", "p50 ms", "p99 ms", "budget", "met"):
        shown.add_column(column)
    for (what, subject), rounds in found.items():
        rate, p50, p99 = (statistics.median(one[name] for one in rounds) for name in ("rate", "p50", "p99"))
        ratio = rate / statistics.median(one["rate"] for one in found[what, "bare FastAPI"])
        judged = subject == "hub" and what == LIST
        met = ("yes" if ratio >= 0.5 and p99 < 20 else "no") if judged else ""
        budget = "≥ 0.5, p99 < 20 ms" if judged else ""
        shown.add_row(what, subject, f"{rate:,.0f}", f"{ratio:.2f}", f"{p50:.2f}", f"{p99:.2f}", budget, met)
    return shown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--connections", type=int, default=16)
    args = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 120)
    build = processes.HERE.parent / "build"
    build.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=build) as folder:
        try:
            measure(Path(folder), args, console)
        except RuntimeError as error:
            sys.exit(f"not measured: {error}")


if __name__ == "__main__":
    main()
