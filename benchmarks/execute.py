"""What an execution costs: one REST call through the hub, beside the same call made to the partner directly.

Everything that the hub promises is on: the execution, its log entry and its audit event are on the disk (SQLite FULL,
sealed) before the answer is given. Budget: 5 ms more at the median and 20 ms at the 95th percentile, one caller;
executions a second are measured with 50 callers at once.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import httpx
import uvloop
from rich.console import Console
from rich.table import Table

import processes
from api import UNLIMITED, load_http
from hilum.sdk.testing.web import HttpPartner, Said

CONFIG = """\
version: 1
organization: demo
integrations:
  - name: partner
    protocol: rest_api
    endpoints:
      - {{name: orders, direction: outbound, url: "http://127.0.0.1:{port}/orders", method: POST, retries: 0}}
"""
ORDER = '{"order": {"id": "{n}", "tests": ["GLU", "CRP", "HB"], "urgent": false}}'
SCOPES = ["executions:write", "executions:payload"]
P50, P95 = 5.0, 20.0  # milliseconds that the hub may add


async def answer(port: int) -> None:
    """The partner: takes every order and says so."""
    body = b'{"accepted": true, "number": "4711"}'
    await HttpPartner(lambda _: Said(201, body, reason="Created")).start(port)
    await asyncio.Event().wait()


def prepared(data: Path) -> tuple[str, str]:
    """The path of the endpoint, and an API key that may ask it."""
    transport = httpx.HTTPTransport(uds=str(data / "hub.sock"))
    with httpx.Client(transport=transport, base_url="http://hub/api/v1") as local:
        made = local.post("/api-keys", json={"name": "bench", "role": "integration_specialist", "scopes": SCOPES})
        if made.is_error:
            raise RuntimeError(f"no API key: {made.text}")
        (one,) = local.get("/integrations").json()["items"]
        (endpoint,) = one["endpoints"]
        return f"/api/v1/integrations/{one['id']}/endpoints/{endpoint['id']}/execute", made.json()["key"]


def measure(folder: Path, args: argparse.Namespace, console: Console) -> None:
    port, http = processes.free_port(), processes.free_port()
    config, data = folder / "hub.yaml", folder / "data"
    config.write_text(CONFIG.format(port=port))
    hilum = str(Path(sys.executable).parent / "hilum")
    serve = [hilum, "serve", "--config", str(config), "--data", str(data), "--http", f"127.0.0.1:{http}"]
    found: dict[tuple[str, int], list[dict[str, float]]] = defaultdict(list)
    with (
        processes.Party("partner", processes.script("execute.py", "--partner", port), folder / "p.log") as partner,
        processes.Party("hub", serve, folder / "hub.log", UNLIMITED) as hub,
    ):
        partner.wait_for(port)
        hub.wait_for(http)
        path, key = prepared(data)
        post, wrapped = ("--method", "POST", "--body"), f'{{"data": {ORDER}}}'
        direct = (*post, ORDER, "--status", "201")
        through = (*post, wrapped, "--header", f"authorization: Bearer {key}")
        load_http(http, path, 4, 1.0, *through)  # what is set up once is not what an execution costs
        before = hub.usage().cpu
        for _ in range(args.rounds):
            for callers in (1, args.callers):
                for subject, target, where, options in (
                    ("directly", port, "/orders", direct), ("through the hub", http, path, through)
                ):  # fmt: skip
                    one = load_http(target, where, callers, args.seconds, *options)
                    found[subject, callers].append(one)
                    console.print(f"{subject}, {callers} at once: {one['rate']:,.0f}/s, p50 {one['p50']:.2f} ms")
        spent = hub.usage().cpu - before
    executed = sum(one["requests"] for (subject, _), rounds in found.items() if "hub" in subject for one in rounds)
    console.print(table(found, args))
    console.print(f"CPU of the hub: {spent / executed * 1000:.2f} ms an execution")


def table(found: dict[tuple[str, int], list[dict[str, float]]], args: argparse.Namespace) -> Table:
    """Medians of the rounds; what the hub adds is judged with one caller."""
    shown = Table(title=f"POST to one REST partner, medians of {args.rounds} rounds of {args.seconds:g} s")
    for column in ("at once", "subject", "calls/s", "p50 ms", "p95 ms", "p99 ms", "budget", "met"):
        shown.add_column(column)

    def median(subject: str, callers: int, name: str) -> float:
        return statistics.median(one[name] for one in found[subject, callers])

    for callers in (1, args.callers):
        for subject in ("directly", "through the hub"):
            figures = [f"{median(subject, callers, name):.2f}" for name in ("p50", "p95", "p99")]
            shown.add_row(str(callers), subject, f"{median(subject, callers, 'rate'):,.0f}", *figures, "", "")
        more = [
            median("through the hub", callers, one) - median("directly", callers, one) for one in ("p50", "p95", "p99")
        ]
        judged = callers == 1
        met = ("yes" if more[0] < P50 and more[1] < P95 else "no") if judged else ""
        budget = f"p50 < {P50:g}, p95 < {P95:g}" if judged else ""
        shown.add_row(str(callers), "what the hub adds", "", *(f"{one:.2f}" for one in more), budget, met)
    return shown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--callers", type=int, default=50)
    parser.add_argument("--partner", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.partner:
        uvloop.run(answer(args.partner))
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
