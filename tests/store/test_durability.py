"""What is acknowledged is on the disk: it survives SIGKILL, and is synced before anyone is told."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from hilum.model.message import NewMessage
from hilum.security.keyring import Keyring
from hilum.store import Store, deliveries, messages, schema

Arrived = Callable[..., NewMessage]
Open = Callable[..., Awaitable[Store]]
PRODUCE = textwrap.dedent("""
    import asyncio, hashlib, pathlib, sys
    from hilum.model.delivery import DeliveryState, Pending, Settled
    from hilum.model.message import Disposition, NewMessage
    from hilum.security.keyring import Keyring
    from hilum.store import Store

    folder, producers, count = pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    url = sys.argv[4] if len(sys.argv) > 4 else None

    def message(name):
        body = name.encode()
        made = [Pending(2, 1, 0, lane, lane, 7, body) for lane in (1, 2)]
        digest = hashlib.sha256(body).digest()
        return NewMessage(1, 1, 1, Disposition.DELIVERING, "AA", "", name, body, digest, deliveries=made)

    async def produce(store, producer):
        for number in range(count):
            new = await store.append(message(f"{producer}-{number}"))
            print("acked", new.id, new.control_id, flush=True)
            one = new.deliveries[0]
            store.mark.add(one.id)
            print("marked", one.id, flush=True)

    async def main():
        store = await Store(folder, Keyring.load(folder / "hub.key"), url).open(lambda message: ())
        before = store.writer.commits
        await asyncio.gather(*(produce(store, one) for one in range(producers)))
        print("commits", store.writer.commits - before, flush=True)
        await store.close()

    asyncio.run(main())
""")


def killed(*arguments: str) -> list[str]:
    """What a producer said until it was killed, amid its work."""
    lines: list[str] = []
    command = [sys.executable, "-c", PRODUCE, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            if len(lines) == 1_500:
                os.kill(process.pid, signal.SIGKILL)
        assert process.wait(30) == -signal.SIGKILL
    return lines


@pytest.mark.anyio
async def test_a_kill_loses_nothing_that_was_acknowledged(
    url: str | None, open_store: Open, arrived: Arrived, keyring: Keyring, tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    keyring.write(folder / "hub.key")
    lines = await asyncio.to_thread(killed, str(folder), "8", "100000", *([url] if url else []))
    whole = [line.split() for line in lines if line.endswith("\n")]
    acked = {int(one[1]): one[2] for one in whole if one[0] == "acked"}
    marked = {int(one[1]) for one in whole if one[0] == "marked"}
    assert len(acked) > 500
    store = await open_store(folder, url)
    rows = {row.id: row.control_id for row in await store.read(messages.by_ids, list(acked))}
    assert rows == acked
    bodies = await store.read(messages.bodies, store.sealer, list(acked))
    assert bodies == {one: name.encode() for one, name in acked.items()}
    states = await store.read(deliveries.states, list(marked))
    assert {state.name for state in states.values()} == {"DELIVERED"}
    assert len(states) == len(marked)
    columns = (schema.delivery.c.shard, schema.delivery.c.position)
    found: dict[int, list[int]] = {}
    new = await store.append(arrived("after"))
    assert new.id > max(acked)
    for shard, position in await store.read(lambda one: list(one.execute(sa.select(*columns)))):
        found.setdefault(shard, []).append(position)
    assert all(sorted(one) == list(range(1, len(one) + 1)) for one in found.values())


def test_every_commit_is_synced(tmp_path: Path, keyring: Keyring) -> None:
    """One producer that waits for each acknowledgement: as many syncs as commits at the least."""
    if shutil.which("strace") is None:
        pytest.skip("absent: strace, which counts the syncs")
    folder = tmp_path / "data"
    folder.mkdir()
    keyring.write(folder / "hub.key")
    summary = tmp_path / "syncs"
    trace = ["strace", "-f", "-c", "-e", "trace=fdatasync,fsync", "-o", str(summary)]
    command = [*trace, sys.executable, "-c", PRODUCE, str(folder), "1", "200"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    if "ptrace" in run.stderr and run.returncode:
        pytest.skip(f"absent: leave to trace ({run.stderr.splitlines()[0]})")
    assert run.returncode == 0, run.stderr
    lines = run.stdout.splitlines()
    assert sum(line.startswith("acked") for line in lines) == 200
    (commits,) = (int(line.split()[1]) for line in lines if line.startswith("commits"))
    assert commits >= 200
    calls = re.findall(r"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s.*(?:fdatasync|fsync)$", summary.read_text(), re.MULTILINE)
    assert sum(map(int, calls)) >= 200, summary.read_text()
