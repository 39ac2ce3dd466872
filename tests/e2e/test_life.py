"""A hub's life: it starts alone, reloads while it works, sends again what it is asked to, and ends in order."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.anyio


def _feed(port: int) -> dict[str, Any]:
    return {"feed": {"url": f"mllp://127.0.0.1:{port}"}}


async def test_the_end_waits_for_what_is_being_sent(e2e: Any, tmp_path: Path) -> None:
    partner, port = await e2e.partner(), e2e.free_port()
    partner.delay = 0.5
    hub = e2e.hub(tmp_path, e2e.layout(_feed(port), {"p": {"url": partner.url}}))
    sender = e2e.sender(port, "s")
    await hub.start()
    await sender.run(3)
    await e2e.until(lambda: partner.arrivals)
    assert await hub.stop(30) == 0
    sent = partner.distinct
    assert 1 <= sent < 3
    assert hub.rows("SELECT state, count(*) FROM delivery GROUP BY state ORDER BY state DESC") == [
        (1, sent),
        (0, 3 - sent),
    ]
    partner.life, partner.delay = 1, 0.0
    await hub.start()
    await e2e.until(lambda: partner.distinct == 3)
    assert await hub.stop() == 0
    assert partner.controls == sender.acknowledged  # no message came twice
    await e2e.proof.nothing_lost(hub, [sender], {"p": partner})


@pytest.mark.slow
async def test_the_end_does_not_wait_for_a_partner_that_hangs(e2e: Any, tmp_path: Path) -> None:
    """Neither its lane nor a sender that is answered after delivery only."""
    partner, port = await e2e.partner(lambda arrival: None), e2e.free_port()
    feed = {"feed": {"url": f"mllp://127.0.0.1:{port}", "ack": {"when": "delivered", "timeout": 60_000}}}
    hub = e2e.hub(tmp_path, e2e.layout(feed, {"p": {"url": partner.url, "timeout": 120_000}}))
    load = e2e.load(e2e.sender(port, "s"))
    await hub.start()
    await e2e.until(lambda: partner.arrivals)
    assert await hub.stop(30) == 0
    partner.life, partner.judge = 1, lambda arrival: "AA"
    await hub.start()
    await load.more(5)
    await load.stop()
    assert await hub.stop() == 0
    await e2e.proof.nothing_lost(hub, load.senders, {"p": partner})
    e2e.proof.order(hub, partner)


async def test_a_second_hub_on_the_folder_names_the_first(e2e: Any, tmp_path: Path) -> None:
    partner, port = await e2e.partner(), e2e.free_port()
    config = e2e.layout(_feed(port), {"p": {"url": partner.url}})
    (tmp_path / "second").mkdir()
    first = e2e.hub(tmp_path, config)
    second = e2e.hub(tmp_path / "second", config, data=first.data)
    await first.start()
    assert await asyncio.to_thread(second.spawn().wait, 30) == 1
    assert f"pid {first.process.pid}" in re.sub(r"\s+", " ", second.said())
    sender = e2e.sender(port, "s")
    await sender.run(3)  # the first goes on
    assert await first.stop() == 0


async def test_a_replay_is_a_new_message_that_points_to_its_original(e2e: Any, tmp_path: Path) -> None:
    partner, port = await e2e.partner(), e2e.free_port()
    hub = e2e.hub(tmp_path, e2e.layout(_feed(port), {"p": {"url": partner.url}}))
    sender = e2e.sender(port, "s")
    await hub.start()
    await sender.run(3)
    found = json.loads(hub.ask("messages", "search", "--control", "s-1", "--json"))["items"]
    assert [one["control_id"] for one in found] == ["s-1"]
    new = json.loads(hub.ask("replay", found[0]["id"], "--reason", "the ward lost it", "--json"))["id"]
    assert new != found[0]["id"]
    await e2e.until(lambda: len(partner.arrivals) == 4)
    assert partner.controls == ["s-0", "s-1", "s-2", "s-1"]
    assert partner.arrivals[3].body == partner.arrivals[1].body
    assert await hub.stop() == 0
    assert hub.rows("SELECT id, origin FROM message ORDER BY id") == [(1, None), (2, None), (3, None), (4, 2)]
    assert hub.rows("SELECT state FROM delivery") == [(1,)] * 4
    await e2e.proof.counters(hub)


async def test_reloads_under_load_lose_nothing(e2e: Any, tmp_path: Path) -> None:
    """Destinations come and go, one of them while the sources are held for it."""
    kept, coming, port = await e2e.partner(), await e2e.partner(), e2e.free_port()
    coming.delay = 0.02
    outbound = {"kept": {"url": kept.url}, "coming": {"url": coming.url, "max_lag": 5}}
    both = e2e.layout(_feed(port), outbound)
    alone = {**both, "routes": [one for one in both["routes"] if one["to"] == ["kept/out"]]}
    hub = e2e.hub(tmp_path, alone)
    load = e2e.load(*(e2e.sender(port, f"s{number}") for number in range(3)))
    await hub.start()
    for config in (both, alone, both, alone):
        await load.more(50)
        hub.configure(config)
        reloads = hub.said().count("configuration read again")
        hub.reload()
        await e2e.until(lambda reloads=reloads: hub.said().count("configuration read again") > reloads)
    hub.config.write_text("version: 1\nroutes: [{}]\n")
    hub.reload()
    await e2e.until(lambda: "nothing changed" in hub.said())
    await load.more(50)
    sent = await load.stop()
    await e2e.until(lambda: kept.distinct == sent)
    coming.delay = 0.0
    await e2e.until(lambda: hub.rows("SELECT count(*) FROM delivery WHERE state <> 1") == [(0,)])
    hub.configure(alone)
    assert await hub.stop() == 0
    assert all(one.lost == 0 for one in load.senders), "a reload dropped a connection"
    routed = hub.rows("SELECT control_id FROM message WHERE deliveries = 2 ORDER BY id")
    assert coming.controls == [control for (control,) in routed]
    assert routed
    await e2e.proof.nothing_lost(hub, load.senders, {"kept": kept})
    e2e.proof.order(hub, kept)


async def test_a_dropped_file_is_sent_and_a_posted_message_becomes_a_file(e2e: Any, tmp_path: Path) -> None:
    partner, port = await e2e.partner(), e2e.free_port()
    files = tmp_path / "files"
    drop, out = files / "drop", files / "out"
    for folder in (drop, out):
        folder.mkdir(parents=True)
    config = e2e.layout(
        {
            "drop": {"url": f"file://{drop}", "poll": 50, "stable_for": 0, "pattern": "*.hl7"},
            "web": {"url": f"http://127.0.0.1:{port}/hl7"},
        },
        {"p": {"url": partner.url}, "folder": {"url": f"file://{out}", "file_name": "{control_id}.hl7"}},
    )
    config["routes"] = [
        {"name": "drop-to-mllp", "from": "drop/in", "to": ["p/out"]},
        {
            "name": "web-to-file",
            "from": "web/in",
            "steps": [{"map": {"set": {"MSH-5": "X"}}}],
            "to": ["folder/out"],
        },
    ]
    hub = e2e.hub(tmp_path, config, file_roots=[files])
    await hub.start()
    body = e2e.admission("drop-1", 1, "4711")
    (drop / ".late.part").write_bytes(body)
    (drop / ".late.part").rename(drop / "late.hl7")
    await e2e.until(lambda: partner.arrivals)
    assert partner.arrivals[0].body == body
    await e2e.until((drop / "archive" / "late.hl7").exists)
    posted = e2e.admission("web-1", 1, "4711")
    async with httpx.AsyncClient() as client:
        url, typed = f"http://127.0.0.1:{port}/hl7", {"Content-Type": "application/hl7-v2"}
        answers = [await client.post(url, content=posted, headers=typed) for _ in range(2)]
    assert [one.status_code // 100 for one in answers] == [2, 2]
    await e2e.until((out / "web-1.hl7").exists)
    assert (out / "web-1.hl7").read_bytes() == posted.replace(b"|HUB|HILUM|", b"|X|HILUM|")
    assert await hub.stop() == 0
    assert [one.name for one in out.iterdir()] == ["web-1.hl7"]
    assert hub.rows("SELECT control_id FROM message ORDER BY id") == [
        ("drop-1",),
        ("web-1",),
    ]  # the second post is a repeat
    await e2e.proof.counters(hub)
