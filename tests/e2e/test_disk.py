"""What is on disk when a sender is told so, and what nobody can read there."""

from __future__ import annotations

import os
import re
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.anyio


def _children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


async def test_every_acknowledgement_has_its_own_sync(e2e: Any, tmp_path: Path) -> None:
    """One sender, one message at a time: each ACK needs a sync between its message and itself."""
    if shutil.which("strace") is None:
        pytest.skip("strace absent: syncs cannot be counted")
    partner, port, trace = await e2e.partner(), e2e.free_port(), tmp_path / "trace"
    await partner.down()  # so that no result is written meanwhile
    config = e2e.layout({"feed": {"url": f"mllp://127.0.0.1:{port}"}}, {"p": {"url": partner.url}})
    calls = "trace=fdatasync,fsync,write,writev,sendto,sendmsg"
    hub = e2e.hub(tmp_path, config, prefix=["strace", "-f", "-y", "-s", "4000", "-e", calls, "-o", trace])
    await hub.start()
    await e2e.sender(port, "s").run(40)
    (traced,) = _children(hub.process.pid)
    os.kill(traced, signal.SIGKILL)  # strace ends with it
    hub.process.wait()
    synced, acknowledged = False, 0
    for line in trace.read_text(errors="replace").splitlines():
        if re.search(r"fdatasync\(\d+<[^>]*hub\.db-wal>\)|fdatasync resumed", line):
            synced = True
        elif "MSA|AA|s-" in line:
            assert synced, f"acknowledged before it was on disk: {line[:200]}"
            synced, acknowledged = False, acknowledged + 1
    assert acknowledged == 40


async def test_no_patient_is_readable_in_the_data_folder(e2e: Any, tmp_path: Path) -> None:
    """After a run and after kill -9: bodies, search keys, what partners said and what steps noted."""
    partner, port = await e2e.partner(lambda arrival: "AA" if arrival.control != "s-2" else "AR"), e2e.free_port()
    partner.remark = "Okonkwo, PATIENT77882 is not ours"
    lane = {"key": "PID-3.1", "concurrency": 2}
    config = e2e.layout({"feed": {"url": f"mllp://127.0.0.1:{port}"}}, {"p": {"url": partner.url, "lane": lane}})
    hub = e2e.hub(tmp_path, config)
    sender = e2e.sender(port, "s", lambda number: f"PATIENT7788{number}")
    secrets = re.compile(rb"PATIENT7788|Okonkwo|Ifeoma|Fjordgata|V2026-004417|Anaphylaxis")

    def leaks() -> list[str]:
        files = [one for one in hub.data.rglob("*") if one.is_file()]
        assert {"hub.db", "keys.db", "hub.mark"} <= {one.name for one in files}
        return [one.name for one in files if secrets.search(one.read_bytes())]

    await hub.start()
    await sender.run(30)
    await e2e.until(lambda: partner.distinct == 30)
    hub.kill()
    assert leaks() == []
    await hub.start()
    await sender.run(40)
    found = hub.ask("messages", "search", "--patient", "PATIENT778835", "--json")
    assert "s-35" in found  # the keys are there, for those who may ask
    assert await hub.stop() == 0
    assert leaks() == []
    assert not secrets.search(hub.log.read_bytes()), "the log names a patient"
