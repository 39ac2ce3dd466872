"""An export that is sent: whole under its final name, or the export has failed and nothing is there."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.anyio
MORE = """
  - name: sponsor
    type: OTHER
    protocol: file_transfer
    provider: Sponsor Inc
    endpoints:
      - {{name: drop, direction: outbound, url: "file://{folder}", retries: 0}}
      - {{name: lost, direction: outbound, url: "file://{folder}/nowhere/at/all", retries: 1}}
  - name: push
    type: OTHER
    protocol: rest_api
    endpoints:
      - {{name: up, direction: outbound, url: "http://127.0.0.1:{port}/up", retries: 2}}
routes:"""


class Listener:
    """Takes what is posted; `fatal` of its coming requests end at 90 % of their body."""

    def __init__(self) -> None:
        self.fatal, self.bodies, self.heads, self.port = 0, [], [], 0
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            size = int(
                next(one for one in head.lower().split("\r\n") if one.startswith("content-length")).split(":")[1]
            )
            if self.fatal:
                self.fatal -= 1
                await reader.readexactly(size * 9 // 10)
                return
            self.bodies.append(await reader.readexactly(size))
            self.heads.append(head)
            writer.write(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@pytest.fixture
async def listener() -> AsyncIterator[Listener]:
    made = Listener()
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
def config(config: Path, tmp_path: Path, listener: Listener) -> Path:
    (tmp_path / "drop").mkdir()
    more = MORE.format(folder=tmp_path / "drop", port=listener.port)
    config.write_text(config.read_text("utf-8").replace("\nroutes:", more), encoding="utf-8")
    return config


@pytest.mark.ledger("S1-01")
@pytest.mark.ledger_part("S1-22", "file and HTTPS push: all of it under its final name")
@pytest.mark.ledger_part("S1-03", "the destination is an existing integration's endpoint")
async def test_a_file_is_placed_whole(exporting: Any, tmp_path: Path) -> None:
    (dataset,) = (await exporting.imported())["datasets"]
    where = [{"variable": "VISITNUM", "op": "eq", "value": 1}]
    sent = {"endpoint": "sponsor/drop", "name": "week.csv"}
    done = await exporting.exported(dataset, destination=sent, where=where, variables=["USUBJID"])
    assert done["status"] == "succeeded", done["error"]
    assert [one.name for one in (tmp_path / "drop").iterdir()] == ["week.csv"]
    content = (tmp_path / "drop" / "week.csv").read_bytes()
    assert hashlib.sha256(content).hexdigest() == done["sha256"]
    assert content == b'"USUBJID"\r\n"A-01"\r\n"A-02"\r\n'
    placed = done["facts"]["placed"]
    assert (placed["endpoint"], placed["attempts"]) == ("sponsor/drop", 1)


async def test_what_is_not_taken_has_failed(exporting: Any, tmp_path: Path) -> None:
    (dataset,) = (await exporting.imported())["datasets"]
    (tmp_path / "drop" / "nowhere").write_text("a file where a folder should be", encoding="utf-8")
    done = await exporting.exported(dataset, destination={"endpoint": "sponsor/lost"})
    assert done["status"] == "failed"
    assert "sponsor/lost did not take the file" in done["error"]["reason"]
    assert (await exporting.http.get(f"/exports/jobs/{done['id']}/download")).status_code == 409


async def test_a_receiver_that_dies_at_ninety_percent_is_asked_again(exporting: Any, listener: Listener) -> None:
    (dataset,) = (await exporting.imported())["datasets"]
    listener.fatal = 1
    done = await exporting.exported(dataset, destination={"endpoint": "push/up"})
    assert done["status"] == "succeeded", done["error"]
    assert done["facts"]["placed"]["attempts"] == 2
    (body,) = listener.bodies
    assert hashlib.sha256(body).hexdigest() == done["sha256"]
    assert f"idempotency-key: {done['id']}" in listener.heads[0].lower()
    listener.fatal = 3
    lost = await exporting.exported(dataset, destination={"endpoint": "push/up"})
    assert lost["status"] == "failed"
    assert len(listener.bodies) == 1  # nothing that is not whole was ever taken
    again = await exporting.http.post(f"/exports/jobs/{lost['id']}/retry")
    assert again.status_code == 202
    assert (await exporting.ended(lost["id"]))["status"] == "succeeded"
    assert listener.bodies[1] == body


@pytest.mark.parametrize(
    ("endpoint", "status", "reason"),
    [
        ("nobody/at", 404, "there is no endpoint nobody/at"),
        ("adt/in", 400, "is inbound"),
        ("lab/out", 400, "takes no files"),
    ],
)
async def test_where_nothing_can_be_sent(exporting: Any, endpoint: str, status: int, reason: str) -> None:
    (dataset,) = (await exporting.imported())["datasets"]
    asked = {"dataset": dataset, "format": "csv", "destination": {"endpoint": endpoint}}
    refused = await exporting.http.post("/exports/data", json=asked)
    assert (refused.status_code, reason in refused.json()["error"]["message"]) == (status, True), refused.text


@pytest.mark.ledger_part("S1-23", "an agreement that holds with the destination's vendor")
async def test_an_agreement_is_asked_for(running: Any, exporting: Any, signed_in: Any) -> None:
    from hilum.store.schema import organization

    (dataset,) = (await exporting.imported())["datasets"]
    rules = {"exports": {"agreement": True}}
    await running.hub.store.write(
        lambda connection: connection.execute(
            organization.update().where(organization.c.name == "demo").values(settings=rules)
        )
    )
    asked = {"dataset": dataset, "format": "csv", "destination": {"endpoint": "sponsor/drop"}}
    refused = await exporting.http.post("/exports/data", json=asked)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "EXP003")
    admin = await signed_in("tenant_admin")
    over = {"kind": "DPA", "reference": "7", "ends_on": "2020-01-01"}
    made = await admin.post("/vendors", json={"name": "Sponsor Inc", "agreements": [over]})
    assert made.status_code == 201, made.text
    assert (await exporting.http.post("/exports/data", json=asked)).status_code == 403
    held = {"name": "Sponsor Inc", "agreements": [{**over, "ends_on": None}]}
    changed = await admin.put(f"/vendors/{made.json()['id']}", json=held, headers={"if-match": made.headers["etag"]})
    assert changed.status_code == 200, changed.text
    done = await exporting.exported(dataset, destination={"endpoint": "sponsor/drop"})
    assert done["status"] == "succeeded", done["error"]
