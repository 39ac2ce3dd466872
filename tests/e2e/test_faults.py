"""A full disk, a clock that jumps, a partner that is away for a day."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.anyio
HOUR = 3_600_000_000_000  # nanoseconds
DAY = 24 * HOUR


class MovableClock:
    """The wall clock of a hub: `environ` is what it is started with."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "offset"
        library = folder / "moved_clock.so"
        source = Path(__file__).with_name("moved_clock.c")
        subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", library, source], check=True)
        self.environ = {"LD_PRELOAD": str(library), "MOVED_CLOCK": str(self._file)}
        self._file.write_bytes(bytes(8))

    def move(self, nanoseconds: int) -> None:
        with self._file.open("r+b") as file:
            file.write(struct.pack("q", nanoseconds))


@pytest.fixture
def movable(tmp_path: Path) -> MovableClock:
    if not sys.platform.startswith("linux") or shutil.which("cc") is None:
        pytest.skip("cc absent: moving a hub's clock needs Linux and a C compiler")
    return MovableClock(tmp_path)


def _fill(disk: Path) -> Path:
    """Not a byte is left."""
    ballast = disk / "ballast"
    with ballast.open("ab", buffering=0) as file:
        for size in (1 << 20, 4096):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
    return ballast


def _ends(hub: Any, reference: str) -> list[tuple[int, int]]:
    """(state, count) of a destination's deliveries."""
    mine = f"destination = {hub.number(reference)}"
    return hub.rows(f"SELECT state, count(*) FROM delivery WHERE {mine} GROUP BY state ORDER BY state")


async def _full(e2e: Any, disk: Path, load: Any) -> Path:
    """Fill the disk until somebody is told AE. Once it looks, the hub holds its sources; then it is tried again."""
    for _ in range(10):
        refused = sum(one.codes["AE"] for one in load.senders)
        ballast = _fill(disk)
        try:
            await e2e.until(lambda refused=refused: sum(one.codes["AE"] for one in load.senders) > refused, 3)
        except TimeoutError:
            ballast.unlink()
            await load.more(20)
            continue
        return ballast
    raise AssertionError("a full disk was never noticed")


@pytest.mark.slow
async def test_a_full_disk_refuses_and_goes_on_once_there_is_room(e2e: Any, tmp_path: Path, small_disk: Path) -> None:
    partner, port = await e2e.partner(), e2e.free_port()
    config = e2e.layout({"feed": {"url": f"mllp://127.0.0.1:{port}"}}, {"p": {"url": partner.url}})
    hub = e2e.hub(tmp_path, config, data=small_disk / "data")
    load = e2e.load(*(e2e.sender(port, f"s{number}") for number in range(4)))
    await hub.start()
    await load.more(100)
    ballast = await _full(e2e, small_disk, load)
    await asyncio.sleep(1.5)
    assert hub.process.poll() is None, hub.said()
    ballast.unlink()
    await load.more(200)
    ballast = await _full(e2e, small_disk, load)
    assert await hub.stop() == 0  # it ends, although it cannot write
    ballast.unlink()
    partner.life = 1
    await hub.start()
    await load.more(50)
    sent = await load.stop()
    await e2e.until(lambda: partner.distinct >= sent)
    assert await hub.stop() == 0
    await e2e.proof.nothing_lost(hub, load.senders, {"p": partner})
    e2e.proof.order(hub, partner)


async def test_a_clock_that_jumps_changes_nothing_but_stamps(e2e: Any, tmp_path: Path, movable: MovableClock) -> None:
    partner, port = await e2e.partner(), e2e.free_port()
    config = e2e.layout({"feed": {"url": f"mllp://127.0.0.1:{port}"}}, {"p": {"url": partner.url}})
    hub = e2e.hub(tmp_path, config, environ=movable.environ)
    load = e2e.load(*(e2e.sender(port, f"s{number}") for number in range(3)))
    await hub.start()
    for offset in (-HOUR, HOUR, -DAY, DAY, 0):
        await load.more(60)
        movable.move(offset)
    await load.more(60)
    movable.move(-DAY)
    hub.kill()  # a start in the past of what is stored
    partner.life = 1
    await hub.start()
    await load.more(60)
    sent = await load.stop()
    await e2e.until(lambda: partner.distinct >= sent)
    assert await hub.stop() == 0
    stamps = [stamp for (stamp,) in hub.rows("SELECT received_at FROM message ORDER BY id")]
    assert min(b - a for a, b in itertools.pairwise(stamps)) < -DAY // 1000, "the clock did not move"
    ids = hub.rows("SELECT id FROM message ORDER BY id")
    assert ids == [(number,) for number in range(1, len(ids) + 1)]
    await e2e.proof.nothing_lost(hub, load.senders, {"p": partner})
    e2e.proof.order(hub, partner)


@pytest.mark.slow
@pytest.mark.ledger_part("S4-81", "queue: store-and-forward over a day, and its end where one is set")
async def test_a_partner_that_is_away_for_a_day_gets_everything_in_order(
    e2e: Any, tmp_path: Path, movable: MovableClock
) -> None:
    """Its messages wait; the other partner's do not; only where `expire` says so do they end."""
    away, limited, there, port = await e2e.partner(), await e2e.partner(), await e2e.partner(), e2e.free_port()
    await away.down()
    await limited.down()
    often = {"breaker": {"failures": 3, "open_for": 100}}
    outbound = {
        "away": {"url": away.url, **often}, "limited": {"url": limited.url, "expire": 12 * 3_600_000, **often},
        "there": {"url": there.url},
    }  # fmt: skip
    hub = e2e.hub(
        tmp_path, e2e.layout({"feed": {"url": f"mllp://127.0.0.1:{port}"}}, outbound), environ=movable.environ
    )
    sender = e2e.sender(port, "s")
    await hub.start()
    for hour in range(25):
        movable.move(hour * HOUR)
        await sender.run(20 * (hour + 1))
        await asyncio.sleep(0.3)
    await e2e.until(lambda: there.distinct == 500)
    assert hub.rows(
        f"SELECT state, count(*) FROM delivery WHERE destination = {hub.number('away/out')} GROUP BY state"
    ) == [(0, 500)]
    await away.up()
    await limited.up()
    await e2e.until(lambda: away.distinct == 500)
    await e2e.until(lambda: limited.distinct >= 240)
    assert await hub.stop() == 0
    assert away.controls == there.controls == sender.acknowledged
    assert limited.controls == sender.acknowledged[-len(limited.controls) :]
    assert _ends(hub, "limited/out") == [(1, 240), (3, 260)], "what is older than twelve hours, and nothing else"
    await e2e.proof.counters(hub)
