"""The report of connections over HTTP, on both databases, of partners that were really spoken to."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import io
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
import trustme

from hilum import clock
from hilum.app import SOCKET, Hub
from hilum.sdk.testing.mllp import MllpPartner
from hilum.sdk.testing.web import HttpPartner
from hilum.security.egress import LOOPBACK
from hilum.security.passwords import Cost, Passwords
from hilum.services.connections import COLUMNS
from hilum.settings import Settings
from hilum.store import Connection, schema, schema_activity

pytestmark = pytest.mark.anyio
PATH = "/api/v1/reports/connections"
CONFIG = """
version: 1
organization: demo
integrations:
  - name: adt
    protocol: hl7_v2
    endpoints: [{{name: in, direction: inbound, url: "mllp://127.0.0.1:{feed}"}}]
  - name: lab
    title: "=cmd|' /C calc'!A0"
    protocol: hl7_v2
    data_categories: [identity, laboratory]
    legal_basis: [gdpr-6-1-e, gdpr-9-2-h]
    endpoints: [{{name: out, direction: outbound, url: "mllps://localhost:{lab}", tls: {{ca: "{ca}"}}}}]
  - name: orders
    protocol: rest_api
    provider: Müller & Sons
    endpoints:
      - {{name: add, direction: outbound, url: "https://localhost:{web}/orders?key=very-secret", retries: 0,
         headers: {{X-Key: very-secret}}, tls: {{ca: "{ca}"}}}}
  - name: files
    protocol: file_transfer
    endpoints: [{{name: out, direction: outbound, url: "file://{folder}"}}]
routes:
  - {{name: adt-to-lab, from: adt/in, to: [lab/out]}}
"""


class Partners:
    """A laboratory on MLLP and one on HTTP, both with TLS 1.2 or 1.3."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        self.ca = folder / "ca.pem"
        authority.cert_pem.write_to_path(self.ca)
        self.lab, self.web = MllpPartner(), HttpPartner()
        self._contexts = []
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            authority.issue_cert("localhost").configure_cert(context)
            context.maximum_version = version
            self._contexts.append(context)

    async def start(self) -> None:
        await self.lab.start(tls=self._contexts[0])
        await self.web.start(tls=self._contexts[1])

    async def stop(self) -> None:
        await self.lab.stop()
        await self.web.stop()


@pytest.fixture(params=["sqlite", "postgresql"])
async def hub(request: pytest.FixtureRequest, tmp_path: Path, port: int) -> AsyncIterator[Hub]:
    """On PostgreSQL as the role that owns nothing."""
    url = request.getfixturevalue("role_url") if request.param == "postgresql" else None
    partners = Partners(tmp_path)
    await partners.start()
    config = tmp_path / "hub.yaml"
    values = {"feed": port, "lab": partners.lab.port, "web": partners.web.port, "ca": partners.ca}
    config.write_text(CONFIG.format(**values, folder=tmp_path / "data" / "files"), encoding="utf-8")
    cheap = Passwords(Cost(time=1, memory=8, lanes=1))
    hub = Hub(Settings(data=tmp_path / "data", database=url, http=None, config=config, egress=LOOPBACK), cheap)
    await hub.open()
    try:
        await hub.run()
        yield hub
    finally:
        await hub.close()
        await partners.stop()


@pytest.fixture
async def local(hub: Hub, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.AsyncHTTPTransport(uds=str(tmp_path / "data" / SOCKET))
    async with httpx.AsyncClient(transport=transport, base_url="http://hub", timeout=30) as client:
        yield client


async def receive(port: int, body: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"\x0b" + body + b"\x1c\r")
    assert b"|AA|" in await asyncio.wait_for(reader.readuntil(b"\x1c\r"), 20)
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


def newest(connection: Connection) -> dict[str, int | None]:
    """The newest moment of each kind of row, by the reference of its endpoint."""
    message, delivery = schema.message, schema.delivery
    execution, probed = schema_activity.execution, schema_activity.probe_result
    names = {row.id: row.reference for row in connection.execute(sa.select(schema.endpoint))}
    found = {}
    for what, whose, when in (
        ("received", message.c.endpoint, message.c.received_at), ("sent", delivery.c.destination, delivery.c.done_at),
        ("asked", execution.c.endpoint, execution.c.started_at), ("tested", probed.c.endpoint, probed.c.stamp),
    ):  # fmt: skip
        rows = connection.execute(sa.select(whose, sa.func.max(when)).group_by(whose))
        found |= {f"{names[number]} {what}": at for number, at in rows}
    return found


@pytest.mark.ledger_part("S0-06", "figures equal the rows and the audit events that they come from, on both databases")
async def test_figures_equal_the_rows_that_they_come_from(
    hub: Hub, local: httpx.AsyncClient, port: int, message: Callable[..., bytes], until: Callable[..., Any]
) -> None:
    before = await reported(local)
    assert list(before) == ["adt/in", "files/out", "lab/out", "orders/add"]
    nothing = ("last_test", "last_test_succeeded", "last_access", "last_sync", "tls_version", "tls_seen_at")
    assert {one[name] for one in before.values() for name in nothing} == {None}

    items = (await local.get("/api/v1/integrations")).json()["items"]
    lab, orders = (next(one for one in items if one["handle"] == name) for name in ("lab", "orders"))
    tested = await local.post(f"/api/v1/integrations/{lab['id']}/test", json={})
    assert tested.json()["overall"]["success"], tested.text
    execute = f"/api/v1/integrations/{orders['id']}/endpoints/{orders['endpoints'][0]['id']}/execute"
    executed = await local.post(execute, json={"data": {"order": 1}})
    assert executed.status_code == 200, executed.text
    await receive(port, message("M1"))

    async def is_sent() -> bool:
        return bool((await hub.store.read(newest)).get("lab/out sent"))

    await until(is_sent)
    rows = {name: None if at is None else clock.iso(at) for name, at in (await hub.store.read(newest)).items()}
    found = await reported(local)
    assert [found[name]["last_access"] for name in found] == [
        rows["adt/in received"], None, rows["lab/out sent"], rows["orders/add asked"]
    ]  # fmt: skip
    assert found["orders/add"]["last_access"] == executed.json()["startedAt"]
    assert [found[name]["last_test"] for name in found] == [None, None, rows["lab/out tested"], None]
    assert (found["lab/out"]["last_test_succeeded"], found["lab/out"]["tls_version"]) == (True, "TLSv1.2")
    assert found["lab/out"]["tls_seen_at"] == rows["lab/out tested"]
    assert (found["orders/add"]["tls_version"], found["adt/in"]["tls_version"]) == ("TLSv1.3", None)

    events = [one["event"] for one in (await local.get("/api/v1/audit", params={"size": 100})).json()["items"]]
    for action, entity, at in (
        ("integration.test", f"integration/{lab['id']}", found["lab/out"]["last_test"]),
        ("execution.create", f"execution/{executed.json()['id']}", found["orders/add"]["last_access"]),
    ):
        (event,) = (one for one in events if (one["action"], one["entity"]) == (action, entity))
        assert (event["outcome"], at <= event["time"]) == ("success", True), "it is stored after what it tells of"
    (logged,) = (await local.get(f"/api/v1/integrations/{lab['id']}/logs")).json()["items"]
    assert (logged["kind"], found["lab/out"]["last_test"] <= logged["timestamp"]) == ("test", True)


async def reported(local: httpx.AsyncClient) -> dict[str, dict[str, Any]]:
    response = await local.get(PATH)
    assert response.status_code == 200, response.text
    return {f"{one['integration']}/{one['endpoint']}": one for one in response.json()["connections"]}


@pytest.mark.ledger_part("S0-06", "hosts without secrets, data categories, legal basis; CSV that is no formula")
async def test_what_is_shown_of_each(hub: Hub, local: httpx.AsyncClient) -> None:
    answer = await local.get(PATH)
    assert "very-secret" not in answer.text
    told = await reported(local)
    assert [(one["scheme"], one["host"]) for one in told.values()] == [
        ("mllp", "127.0.0.1"), ("file", None), ("mllps", "localhost"), ("https", "localhost")
    ]  # fmt: skip
    assert told["lab/out"]["data_categories"] == ["identity", "laboratory"]
    assert told["lab/out"]["legal_basis"] == ["gdpr-6-1-e", "gdpr-9-2-h"]
    assert (told["adt/in"]["data_categories"], told["adt/in"]["legal_basis"]) == ([], [])
    assert answer.json()["organization"] == "demo"

    tables = [await local.get(PATH, params={"format": "csv"}), await local.get(PATH, headers={"accept": "text/csv"})]
    assert len({one.content for one in tables}) == 1
    assert tables[0].headers["content-type"] == "text/csv; charset=utf-8"
    assert tables[0].headers["content-disposition"].startswith('attachment; filename="hilum-connections-')
    assert "very-secret" not in tables[0].text
    header, *rows = csv.reader(io.StringIO(tables[0].content.decode("utf-8"), newline=""))
    assert (header, tables[0].content.count(b"\r\n")) == (list(COLUMNS), 5)
    named = [dict(zip(header, one, strict=True)) for one in rows]
    table = {f"{row['integration']}/{row['endpoint']}": row for row in named}
    assert table["lab/out"]["title"] == "'=cmd|' /C calc'!A0"
    assert table["orders/add"]["provider"] == "Müller & Sons"
    for name, row in told.items():
        for column in COLUMNS:
            value = " ".join(row[column]) if isinstance(row[column], list) else row[column]
            assert table[name][column].removeprefix("'") == ("" if value is None else str(value)), column
    assert (await local.get(PATH, params={"format": "pdf"})).status_code == 400


@pytest.mark.ledger_part("S0-06", "each report is an event of the trail")
async def test_each_report_is_audited(hub: Hub, local: httpx.AsyncClient) -> None:
    await local.get(PATH, params={"format": "csv"})
    (event,) = (await local.get("/api/v1/audit", params={"action": "report.connections"})).json()["items"]
    assert event["event"]["details"] == {"format": "csv", "connections": 4}


@pytest.mark.ledger_part("S0-06", "what passes and why is said through the API, and shown")
async def test_what_passes_is_said_through_the_api(signed_in: Any, web: Any) -> None:
    specialist, auditor = await signed_in("integration_specialist"), await signed_in("auditor")
    draft = {
        "name": "Results", "type": "API", "environment": "development", "dataCategories": ["laboratory"],
        "endpoints": [{"url": web.url("/results"), "method": "POST"}],
    }  # fmt: skip
    made = (await specialist.post("/integrations", json=draft)).json()
    assert (made["data_categories"], made["legal_basis"]) == (["laboratory"], [])
    tag = {"if-match": f'"v{made["version"]}"'}
    wrong = await specialist.patch(f"/integrations/{made['id']}", json={"legal_basis": ["because"]}, headers=tag)
    assert (wrong.status_code, wrong.json()["error"]["field"]) == (400, "/legal_basis/0"), wrong.text
    changed = await specialist.patch(f"/integrations/{made['id']}", json={"legal_basis": ["gdpr-9-2-j"]}, headers=tag)
    assert (changed.status_code, changed.json()["legal_basis"]) == (200, ["gdpr-9-2-j"]), changed.text
    query = {"action": "integration.change", "outcome": "success"}
    (event,) = (await auditor.get("/audit", params=query)).json()["items"]
    assert event["event"]["after"] == {**event["event"]["after"], "legal_basis": ["gdpr-9-2-j"]}
    configs = str(specialist.base_url).replace("/v1/", "/integration/configs")  # document 002 has no field for it
    kept = await specialist.patch(f"{configs}/{made['id']}", json={"description": "of the laboratory"})
    assert kept.status_code == 200, kept.text
    report = (await auditor.get("/reports/connections")).json()["connections"]
    (row,) = (one for one in report if one["integration_id"] == made["id"])
    assert (row["data_categories"], row["legal_basis"]) == (["laboratory"], ["gdpr-9-2-j"])
    assert (await specialist.get("/reports/connections")).status_code == 403
