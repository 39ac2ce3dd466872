"""kill -9 amid an import and an export: after a restart each ends as if nothing had been."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from hilum.app import SOCKET
from hilum.exporting.verifying import verify

pytestmark = pytest.mark.anyio
ROWS = 150_000
CONFIG = {"version": 1, "organization": "trial", "environment": "test", "integrations": [], "routes": []}


async def content() -> AsyncIterator[bytes]:
    yield b"USUBJID,VISITNUM,AVAL,AVISIT\n"
    for first in range(0, ROWS, 10_000):
        yield b"".join(
            b"S-%06d,%d,%d.25,WEEK %d\n" % (one, one % 9, one, one % 9) for one in range(first, first + 10_000)
        )


def client(hub: Any) -> httpx.AsyncClient:
    """Of the hub's own socket."""
    transport = httpx.AsyncHTTPTransport(uds=str(hub.data / SOCKET))
    return httpx.AsyncClient(transport=transport, base_url="http://hub/api/v1", timeout=60)


async def reached(http: httpx.AsyncClient, path: str, condition: Callable[[Any], bool]) -> Any:
    """What is there once it is so."""
    async with asyncio.timeout(60):
        while not condition(found := (await http.get(path)).json()):  # noqa: ASYNC110 - another process's doing
            await asyncio.sleep(0.02)
    return found


@pytest.mark.ledger_part("S1-10", "interrupted by kill -9, begun anew, the same bytes")
async def test_kills_amid_import_and_export(e2e: Any, tmp_path: Path) -> None:
    hub = e2e.hub(tmp_path, CONFIG)
    await hub.start()
    async with client(hub) as http:
        query = {"study": "s1", "file": "lb.csv"}
        asked = (await http.post("/datasets/imports", params=query, content=content())).json()
        await reached(http, f"/datasets/imports/{asked['id']}", lambda one: one["status"] == "running")
        hub.kill()
    assert hub.rows("SELECT count(*) FROM dataset") == [(0,)]
    await hub.start()
    async with client(hub) as http:
        ended = ("succeeded", "failed")
        done = await reached(http, f"/datasets/imports/{asked['id']}", lambda one: one["status"] in ended)
        assert (done["status"], done["rows"], len(done["datasets"])) == ("succeeded", ROWS, 1)
        assert not list(hub.data.glob("work-*"))
        wanted = {"dataset": done["datasets"][0], "format": "xml"}
        export = (await http.post("/exports/data", json=wanted)).json()
        path = f"/exports/jobs/{export['id']}"
        running = await reached(http, path, lambda one: one["progress"]["rows_done"] > 0)
        assert running["status"] == "running", "it was quicker than the kill: make it larger"
        assert (await http.get(f"{path}/download")).status_code == 409
        hub.kill()
    await hub.start()
    async with client(hub) as http:
        done = await reached(http, path, lambda one: one["status"] in ended)
        assert (done["status"], done["progress"]["rows_done"]) == ("succeeded", ROWS)
        fetched = await http.get(f"{path}/download")
        assert hashlib.sha256(fetched.content).hexdigest() == done["sha256"]
        again = (await http.post("/exports/data", json=wanted)).json()
        undisturbed = await reached(http, f"/exports/jobs/{again['id']}", lambda one: one["status"] in ended)
        assert undisturbed["sha256"] == done["sha256"]
        assert not list(hub.data.rglob("*.partial"))
        path = await _packed(http)
        hub.kill()
    await hub.start()
    async with client(hub) as http:
        packed = await reached(http, path, lambda one: one["status"] in ended)
        assert (packed["status"], packed["progress"]["rows_done"]) == ("succeeded", ROWS)
        draft = await http.get(f"{path}/download", params={"draft": True})
        (tmp_path / "p.zip").write_bytes(draft.content)
        assert verify(tmp_path / "p.zip", None, None, lambda _: None).intact
        assert not list(hub.data.rglob("*.partial"))


@pytest.mark.ledger_part("S1-10", "a full disk ends an export, which says so and leaves nothing behind")
async def test_a_full_disk_ends_an_export(e2e: Any, tmp_path: Path, small_disk: Path) -> None:
    hub = e2e.hub(tmp_path, CONFIG, data=small_disk / "data")
    await hub.start()
    ended = ("succeeded", "failed")
    async with client(hub) as http:
        query = {"study": "s1", "file": "lb.csv"}
        asked = (await http.post("/datasets/imports", params=query, content=content())).json()
        done = await reached(http, f"/datasets/imports/{asked['id']}", lambda one: one["status"] in ended)
        assert done["status"] == "succeeded", done
        room = shutil.disk_usage(small_disk).free - (4 << 20)
        (small_disk / "ballast").write_bytes(bytes(room))
        wanted = {"dataset": done["datasets"][0], "format": "xml"}  # some 20 MB
        export = (await http.post("/exports/data", json=wanted)).json()
        path = f"/exports/jobs/{export['id']}"
        failed = await reached(http, path, lambda one: one["status"] in ended)
        assert failed["status"] == "failed"
        assert "No space left" in failed["error"]["reason"]
        assert (await http.get(f"{path}/download")).status_code == 409
        assert not list(hub.data.rglob("packages/**/*.*"))
        small = (await http.post("/exports/data", json={**wanted, "format": "parquet"})).json()
        made = await reached(http, f"/exports/jobs/{small['id']}", lambda one: one["status"] in ended)
        assert made["status"] == "succeeded", made["error"]
    assert await hub.stop() == 0


async def _packed(http: httpx.AsyncClient) -> str:
    """A package that is being made."""
    made = (await http.post("/exports/package", json={"study": "s1"})).json()
    path = f"/exports/jobs/{made['id']}"
    running = await reached(http, path, lambda one: one["progress"]["rows_done"] > 0)
    assert running["status"] == "running", "it was quicker than the kill: make it larger"
    return path
