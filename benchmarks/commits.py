"""What the disk allows: SQLite commits of one small row (WAL, synchronous=FULL), and bare fdatasync.

A sender that waits for each acknowledgement can never be served faster than this.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table


def sqlite_commits(folder: Path, seconds: float) -> float:
    """Commits per second of one small row in a new database in that folder."""
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        database = sqlite3.connect(Path(scratch) / "commits.db", isolation_level=None)
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=FULL")
        database.execute("CREATE TABLE row (id INTEGER PRIMARY KEY, body BLOB)")
        count, started = 0, time.monotonic()
        until = started + seconds
        while time.monotonic() < until:
            database.execute("INSERT INTO row (body) VALUES (?)", (b"x" * 100,))
            count += 1
        took = time.monotonic() - started
        database.close()
    return count / took


def syncs(folder: Path, seconds: float) -> float:
    """fdatasync calls per second, each after an append of 4 KB."""
    sync = getattr(os, "fdatasync", os.fsync)
    with tempfile.NamedTemporaryFile(dir=folder, buffering=0) as file:
        count, started = 0, time.monotonic()
        until = started + seconds
        while time.monotonic() < until:
            file.write(b"x" * 4096)
            sync(file.fileno())
            count += 1
        return count / (time.monotonic() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=Path())
    parser.add_argument("--seconds", type=float, default=3.0)
    args = parser.parse_args()
    table = Table("what the disk allows", "per second", "ms each")
    for name, measure in (("SQLite FULL commit", sqlite_commits), ("append 4 KB + fdatasync", syncs)):
        rate = measure(args.folder, args.seconds)
        table.add_row(name, f"{rate:,.0f}", f"{1000 / rate:.3f}")
    Console().print(table)


if __name__ == "__main__":
    main()
