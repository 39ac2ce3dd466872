"""Finds a patient's messages among many: ids by keyed hash, rows, and bodies opened. Budget: under 10 ms for 20.

Messages are put into a real store (sealed, indexed, committed in groups), then patients are looked up at random.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import tempfile
import time
from pathlib import Path

import uvloop
from rich.console import Console
from rich.progress import track
from rich.table import Table

import adt
from hilum.intake.identity import Identify, search_key
from hilum.model.message import Disposition, NewMessage
from hilum.security.keyring import Keyring
from hilum.store import Store, messages

PAGE = 20
START = 1_770_000_000_000_000


async def fill(store: Store, rows: int, patients: int, console: Console) -> None:
    identify = Identify(store.hash, 1, 1, "hl7v2", {}, True)
    for first in track(range(0, rows, 1_000), "storing", console=console):
        futures = []
        for number in range(first, min(first + 1_000, rows)):
            patient = b"%d" % (number * 7_919 % patients)
            body = adt.frame(b"S.0-%d" % number, number)[1:-2].replace(b"70014432", patient)
            found = identify(body)
            new = NewMessage(
                1, 1, START + number, Disposition.FILTERED, "AA", found.type, found.control_id, body,
                store.seal_hash(body), keys=found.keys,
            )  # fmt: skip
            futures.append(store.append(new))
        await asyncio.gather(*futures)


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir())


async def look(store: Store, patient: str) -> int:
    """One search as the API does it; returns how many bodies were opened."""
    ids = await store.keys.find(search_key(store.hash, 1, "patient", patient), limit=PAGE)
    rows = await store.read(messages.by_ids, ids)
    bodies = await store.read(messages.bodies, store.sealer, [row.id for row in rows])
    return len(bodies)


async def run(rows: int, searches: int) -> None:
    console = Console()
    patients = max(rows // PAGE, 1)
    with tempfile.TemporaryDirectory(dir=".") as name:
        folder = Path(name)
        keyring, _ = Keyring.create(folder / "hub.key")
        store = await Store(folder, keyring).open(lambda message: ())
        await fill(store, rows, patients, console)
        await asyncio.sleep(2)  # the last keys reach their file
        times, opened = [], 0
        for _ in range(searches):
            begin = time.perf_counter()
            opened += await look(store, str(random.randrange(patients)))
            times.append((time.perf_counter() - begin) * 1000)
        await store.close()
        size = _size(folder)
    table = Table(title=f"search by patient among {rows:,} messages")
    for column in ("searches", "bodies each", "p50 ms", "p99 ms", "budget ms", "met", "KB on disk a message"):
        table.add_column(column, justify="right")
    p99 = statistics.quantiles(times, n=100)[98]
    table.add_row(
        str(searches), f"{opened / searches:.1f}", f"{statistics.median(times):.2f}", f"{p99:.2f}", "10",
        "yes" if p99 < 10 else "no", f"{size / rows / 1024:.2f}",
    )  # fmt: skip
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--searches", type=int, default=500)
    args = parser.parse_args()
    uvloop.run(run(args.rows, args.searches))


if __name__ == "__main__":
    main()
