"""Webhooks of a hub that is killed, and of a receiver that fails for days."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import struct
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from hilum.model.webhook import DELAYS
from hilum.sdk.testing.webhooks import WebhookReceiver

pytestmark = pytest.mark.anyio
ALLOWED = {"HILUM_EGRESS_ALLOW": "127.0.0.0/8"}
DAY = 86_400


@pytest.fixture
async def receiver() -> AsyncIterator[WebhookReceiver]:
    made = WebhookReceiver()
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


class Local:
    """What somebody at the hub's own machine asks it."""

    def __init__(self, hub: Any) -> None:
        self._hub = hub

    async def ask(self, method: str, path: str, **options: Any) -> Any:
        transport = httpx.AsyncHTTPTransport(uds=str(self._hub.data / "hub.sock"))
        async with httpx.AsyncClient(transport=transport, base_url="http://hub/api/v1", timeout=30) as client:
            response = await client.request(method, path, **options)
        assert response.is_success, response.text
        return response.json()

    async def subscribe(self, receiver: WebhookReceiver, *events: str) -> tuple[str, str]:
        """The subscription's id and its secret."""
        body = {"url": receiver.place, "events": list(events)}
        made = await self.ask("POST", "/webhooks/subscriptions", json=body)
        return str(made["subscription"]["id"]), str(made["secret"])

    async def study(self, name: str) -> None:
        await self.ask("POST", "/studies", json={"name": name, "title": name})


def config(e2e: Any) -> dict[str, Any]:
    found: dict[str, Any] = e2e.layout({"feed": {"url": f"mllp://127.0.0.1:{e2e.free_port()}"}}, {}, [])
    return found


@pytest.mark.ledger_part("S0-38", "a change and its event commit together; the event is told at least once, by one id")
async def test_kills_between_commit_and_send_lose_no_event(e2e: Any, tmp_path: Path, receiver: WebhookReceiver) -> None:
    """Killed right after each answer, and once while the receiver was being sent to."""
    hub = e2e.hub(tmp_path, config(e2e), environ=ALLOWED)
    local = Local(hub)
    await hub.start()
    _, secret = await local.subscribe(receiver, "study.create")
    for life in range(4):
        for number in range(3):
            await local.study(f"study-{life}-{number}")
        hub.kill()
        await hub.start()
    receiver.gate.clear()  # it takes what comes and does not say so
    before = len(receiver.heard)
    await local.study("while-sending")
    await e2e.until(lambda: len(receiver.heard) > before)
    hub.kill()
    receiver.gate.set()
    await hub.start()
    done = "SELECT count(*) FROM webhook_delivery WHERE state = 'delivered'"
    await e2e.until(lambda: hub.rows(done) == [(13,)])
    assert hub.rows("SELECT count(*) FROM webhook_delivery") == [(13,)], "one delivery for each event, whatever came"
    assert len(set(receiver.ids)) == 13
    assert len(receiver.heard) > 13, "what was under way was sent again, under its id"
    receiver.proven(secret)
    assert await hub.stop() == 0


class MovableClock:
    """The wall clock of a hub: `environ` is what it is started with."""

    def __init__(self, folder: Path) -> None:
        if not sys.platform.startswith("linux") or shutil.which("cc") is None:
            pytest.skip("cc absent: moving a hub's clock needs Linux and a C compiler")
        self._file, library = folder / "offset", folder / "moved_clock.so"
        source = Path(__file__).with_name("moved_clock.c")
        subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", library, source], check=True)
        self.environ = {"LD_PRELOAD": str(library), "MOVED_CLOCK": str(self._file)}
        self._file.write_bytes(bytes(8))

    def move(self, seconds: float) -> None:
        with self._file.open("r+b") as file:
            file.write(struct.pack("q", round(seconds * 1_000_000_000)))


@pytest.mark.slow
@pytest.mark.ledger_part("S0-39", "retries by the schedule; disabled after five days of nothing but failures, and told")
async def test_a_receiver_that_fails_for_days(e2e: Any, tmp_path: Path, receiver: WebhookReceiver) -> None:
    watcher = WebhookReceiver()
    await watcher.start()
    clock = MovableClock(tmp_path)
    hub = e2e.hub(tmp_path, config(e2e), environ={**ALLOWED, **clock.environ})
    local = Local(hub)
    await hub.start()
    try:
        failing, secret = await local.subscribe(receiver, "study.create")
        await local.subscribe(watcher, "webhook.disabled")
        receiver.status = 500
        await local.study("alpha")
        now = 0.0
        for tried, pause in enumerate(DELAYS[1:], 1):
            settled = [("waiting", tried)]  # the next try's moment was chosen: only now may the clock be moved
            await e2e.until(lambda rows=settled: hub.rows("SELECT state, attempts FROM webhook_delivery") == rows)
            assert len(receiver.heard) == tried
            if pause > 5:
                clock.move(now + pause * 0.9)
                await asyncio.sleep(1.5)
                assert len(receiver.heard) == tried, f"tried before its time, {pause} s"
            now += pause * 1.12
            clock.move(now)
        await e2e.until(lambda: hub.rows("SELECT state, attempts FROM webhook_delivery") == [("failed", 10)])
        waits = [after - before for before, after in itertools.pairwise(receiver.moments)]
        assert len(receiver.heard) == len(DELAYS)
        for wait, pause in zip(waits, DELAYS[1:], strict=True):
            assert pause * 0.9 <= wait <= pause * 1.2 + 40, (wait, pause)
        assert len(set(receiver.ids)) == 1, "the same webhook-id on every try"
        shown = await local.ask("GET", f"/webhooks/subscriptions/{failing}")
        assert (shown["state"], shown["failing_since"] is not None) == ("active", True), "not five days yet"
        assert watcher.heard == []
        clock.move(5.1 * DAY)
        await local.study("beta")
        await e2e.until(lambda: len(watcher.heard) == 1)
        shown = await local.ask("GET", f"/webhooks/subscriptions/{failing}")
        assert shown["state"] == "disabled"
        assert shown["reason"].startswith("every try failed since ")
        events = hub.rows("SELECT count(*) FROM audit_event WHERE action = 'webhook-subscription.disable'")
        assert events == [(1,)]
        await local.study("gamma")
        receiver.status = 200
        match = {"if-match": f'"v{shown["version"]}"'}
        await local.ask("POST", f"/webhooks/subscriptions/{failing}/enable", headers=match)
        replayed = await local.ask("POST", f"/webhooks/subscriptions/{failing}/replay", json={})
        assert replayed == {"deliveries": 1}
        await e2e.until(lambda: {one[0] for one in hub.rows("SELECT state FROM webhook_delivery")} == {"delivered"})
        counts = receiver.types.count("study.create")
        assert counts == len(receiver.heard) == 10 + 1 + 2, "ten tries, beta's first; then alpha's replay and beta"
        receiver.proven(secret, fresh=False)
        assert await hub.stop() == 0
    finally:
        await watcher.stop()
