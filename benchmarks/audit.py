"""What the audit trail costs: audited changes and audited reads per second of one organization, while all is sealed.

A change is a study's new title with its audit event and outbox row in one commit; a read is its event alone. Beside
them what the machine allows: SQLite FULL commits of one small row. The budget is 500 audited changes a second.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop
from rich.console import Console
from rich.table import Table

from commits import sqlite_commits
from hilum import telemetry
from hilum.engine.evidence import Evidence
from hilum.model.access import Principal, PrincipalKind, Scope
from hilum.model.audit import Act
from hilum.security.keyring import Keyring
from hilum.store import Store, audit, chain, organizations, studies

BUDGET = 500
WHO = Principal(PrincipalKind.USER, "019a0000-0000-7000-8000-000000000007", "Ada Example", 1)
Work = Callable[[], Awaitable[object]]


def act(action: str) -> Act:
    return Act(WHO, Scope(1), action, request_id="req_01M893QVYYQEGR585D8KG10VTT", source="192.0.2.7")


async def rate(work: Callable[[int], Work], together: int, seconds: float) -> tuple[float, float]:
    """Done a second with so many at once, and the 99th percentile of one in milliseconds."""
    took: list[float] = []
    until = time.monotonic() + seconds

    async def one(number: int) -> None:
        again = work(number)
        while (begun := time.monotonic()) < until:
            await again()
            took.append(time.monotonic() - begun)

    begun = time.monotonic()
    await asyncio.gather(*(one(number) for number in range(together)))
    elapsed = time.monotonic() - begun
    return len(took) / elapsed, sorted(took)[int(len(took) * 0.99)] * 1000


async def caught_up(store: Store) -> float:
    """Seconds until every event has its place."""
    begun = time.monotonic()
    while await store.read(chain.unsealed, store.evidence, await store.read(chain.newest_sealed), 1):  # noqa: ASYNC110 - rows tell nobody
        await asyncio.sleep(0.05)
    return time.monotonic() - begun


async def measure(folder: Path, url: str | None, seconds: float, table: Table) -> None:
    keys, _ = Keyring.create(folder / "hub.key")
    store = await Store(folder, keys, url).open(lambda message: ())
    await store.write(organizations.create, "ward", "Ward")
    evidence = Evidence(store, folder / "checkpoints")
    await evidence.start()
    within, name = store.within(1), "PostgreSQL" if url else "SQLite"
    made = [
        await within.change(act("study.create"), studies.create, 1, f"study-{number}", "Study") for number in range(64)
    ]

    versions = dict.fromkeys(range(64), 1)

    def change(number: int) -> Work:
        async def work() -> None:
            version = versions[number]
            values = {"title": f"Title {version}"}
            await within.change(act("study.update"), studies.change, 1, made[number].uuid, version, values)
            versions[number] += 1

        return work

    def read(number: int) -> Work:
        async def work() -> None:
            looked = act("study.show")
            looked.entity = f"study/{made[number].uuid}"
            await store.journal.record(audit.event(looked))

        return work

    for what, kind in (("changes", change), ("reads", read)):
        for together in (1, 16, 64):
            done, late = await rate(kind, together, seconds)
            lag = await caught_up(store)
            good = "" if what == "reads" else " ✓" if done >= BUDGET else f" (budget {BUDGET})"
            table.add_row(f"{name}: audited {what}", str(together), f"{done:,.0f}{good}", f"{late:.1f}", f"{lag:.1f}")
    await evidence.look(sign=True)
    begun = time.monotonic()
    verdicts = await evidence.check()
    events, intact = sum(one.events for one in verdicts), all(one.intact for one in verdicts)
    speed = events / (time.monotonic() - begun)
    table.add_row(f"{name}: events verified, {'all intact' if intact else 'BROKEN'}", "1", f"{speed:,.0f}", "", "")
    await evidence.stop()
    await store.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--postgres", default=os.environ.get("HILUM_BENCH_POSTGRES"), help="an empty database's URL")
    args = parser.parse_args()
    telemetry.configure(level="warning")
    table = Table("what", "at once", "per second", "p99 ms", "sealed after s")
    with tempfile.TemporaryDirectory(dir=Path()) as scratch:
        table.add_row(
            "SQLite FULL commits, one row", "1", f"{sqlite_commits(Path(scratch), args.seconds):,.0f}", "", ""
        )
        for url in (None, args.postgres) if args.postgres else (None,):
            with tempfile.TemporaryDirectory(dir=scratch) as folder:
                uvloop.run(measure(Path(folder), url, args.seconds, table))
    Console().print(table)


if __name__ == "__main__":
    main()
