"""The mark survives what a process does not, belongs to one life of the store, and becomes rows at the next start."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from hilum.model.delivery import DeliveryState, Pending, Settled
from hilum.model.message import NewMessage
from hilum.store import Store, deliveries
from hilum.store.mark import Mark

Arrived = Callable[..., NewMessage]
Queued = Callable[..., Pending]
Open = Callable[..., Awaitable[Store]]
LIFE = bytes(range(16))


def test_what_is_marked_and_not_cleared_is_found_again(tmp_path: Path) -> None:
    mark = Mark(tmp_path / "hub.mark", LIFE)
    assert mark.left == []
    slots = [mark.add(one) for one in (7, 8, 1 << 60)]
    mark.clear([slots[1]])
    mark.close()
    again = Mark(tmp_path / "hub.mark", LIFE)
    assert sorted(again.left) == [7, 1 << 60]
    again.empty()
    assert again.left == []
    again.close()
    third = Mark(tmp_path / "hub.mark", LIFE)
    assert third.left == []
    third.close()


def test_another_life_of_the_store_does_not_believe_it(tmp_path: Path) -> None:
    mark = Mark(tmp_path / "hub.mark", LIFE)
    mark.add(7)
    mark.close()
    other = Mark(tmp_path / "hub.mark", bytes(16))
    assert other.left == []
    other.close()
    back = Mark(tmp_path / "hub.mark", LIFE)
    assert back.left == [], "nor does the first one again"
    back.close()


def test_it_says_when_it_is_full(tmp_path: Path) -> None:
    mark = Mark(tmp_path / "hub.mark", LIFE)
    slots: list[int] = []
    while not mark.full:
        slots.append(mark.add(len(slots) + 1))
    assert len(set(slots)) == len(slots) > 1_000
    mark.clear(slots[:1])
    assert not mark.full
    assert mark.add(99) == slots[0]
    mark.close()


@pytest.mark.parametrize("content", [b"", b"torn", bytes(100_000)])
def test_a_file_of_another_size_is_made_anew(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "hub.mark").write_bytes(content)
    mark = Mark(tmp_path / "hub.mark", LIFE)
    assert mark.left == []
    mark.add(3)
    mark.close()
    again = Mark(tmp_path / "hub.mark", LIFE)
    assert again.left == [3]
    again.close()


def test_it_survives_a_kill(tmp_path: Path) -> None:
    code = """
        import pathlib, sys, time
        from hilum.store.mark import Mark
        mark = Mark(pathlib.Path(sys.argv[1]), bytes(range(16)))
        slots = [mark.add(number) for number in range(1, 301)]
        mark.clear(slots[:100])
        print("marked", flush=True)
        time.sleep(60)
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "hub.mark")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "marked\n"
        os.kill(process.pid, signal.SIGKILL)
    mark = Mark(tmp_path / "hub.mark", LIFE)
    assert sorted(mark.left) == list(range(101, 301))
    mark.close()


@pytest.mark.anyio
async def test_marked_deliveries_are_delivered_at_the_next_start(
    url: str | None, open_store: Open, arrived: Arrived, queued: Queued, tmp_path: Path
) -> None:
    store = await open_store(tmp_path / "first", url)
    new = await store.append(arrived(deliveries=[queued(2), queued(2), queued(3), queued(2, lane=5), queued(2)]))
    settled, marked, other, parked, waiting = new.deliveries
    end = Settled(settled.id, 2, new.id, DeliveryState.DEAD, 4, 9, "AR")
    await store.settle([end], (), {2: (settled.id, 0, 1)}, ())
    await store.write(deliveries.park, [parked])
    for one in (settled.id, marked.id, other.id, parked.id, 987_654):  # the last one is nobody's
        store.mark.add(one)
    next_folder = tmp_path / "next"
    shutil.copytree(tmp_path / "first", next_folder)
    again = await open_store(next_folder, url)
    found = await again.read(deliveries.of_message, settled.id, 5)
    assert [one.state.name for one in found] == ["DEAD", "DELIVERED", "DELIVERED", "DELIVERED", "PENDING"]
    assert found[0].detail == "AR", "what was known already stays"
    assert found[1].detail == "acknowledged before a crash"
    assert await again.read(deliveries.standing) == {2: (settled.id, 2, 1), 3: (0, 1, 0)}
    assert (again.tallies.delivered[2], again.tallies.delivered[3], again.tallies.failed[2]) == (2, 1, 1)
    assert await again.read(deliveries.parked_lanes, 2) == {}, "a parked one that was taken is not sent again"
    assert await again.read(deliveries.waiting, 2, 0) == (1, waiting.id)
    assert again.mark.left == []
    await again.close()
    third = Mark(next_folder / "hub.mark", bytes(16))
    assert third.left == []
    third.close()
