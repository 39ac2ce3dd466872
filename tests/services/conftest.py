"""A data folder that is open, on either database, and messages in it: no engine runs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from hilum import clock
from hilum.app import Hub
from hilum.model import document
from hilum.model.delivery import Pending
from hilum.model.message import Disposition, NewMessage
from hilum.settings import Settings

CONFIG = """
version: 1
organization: demo
integrations:
  - {name: adt, type: HL7, protocol: hl7_v2, endpoints: [{name: in, direction: inbound, url: "mllp://127.0.0.1:2575"}]}
  - {name: lab, protocol: hl7_v2, endpoints: [{name: out, direction: outbound, url: "mllp://127.0.0.1:2576"}]}
routes:
  - {name: adt-to-lab, from: adt/in, steps: [{map: {set: {MSH-5: LAB}}}], to: [lab/out]}
  - {name: adt-to-script, from: adt/in, steps: [{script: {file: stamp.py, function: transform}}], to: [lab/out]}
"""
SCRIPT = '''
import itertools

count = itertools.count(1)


def transform(message):
    """Never makes the same twice."""
    message.set("MSH-6", f"SEEN{next(count)}")
    return message
'''


def address(conninfo: str) -> str:
    """The URL of a database that is given in psycopg's words."""
    known = {name: str(value) for name, value in psycopg.conninfo.conninfo_to_dict(conninfo).items()}
    where = {name: value for name, value in known.items() if name in ("host", "port")}
    url = sa.URL.create("postgresql", known.get("user"), known.get("password"), database=known["dbname"], query=where)
    return url.render_as_string(hide_password=False)


@pytest.fixture(params=["sqlite", "postgres"])
async def hub(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Hub]:
    """With the configuration applied; nothing is received or sent."""
    url = address(request.getfixturevalue("postgres")) if request.param == "postgres" else None
    hub = Hub(Settings(data=tmp_path / "data", database=url, http=None))
    await hub.open()
    try:
        (tmp_path / "stamp.py").write_text(SCRIPT, encoding="utf-8")
        await hub.configurations.apply(document.load(CONFIG, "hub.yaml"), tmp_path, actor="test")
        yield hub
    finally:
        await hub.close()


@pytest.fixture
def new() -> Callable[..., NewMessage]:
    """A message as intake would hand it to the store."""

    def make(control: str, hub: Hub, *, lanes: tuple[int, ...] = (), **values: Any) -> NewMessage:
        body = f"MSH|^~\\&|HIS|W|HUB|X|20260102||ADT^A01|{control}|P|2.5\rPID|1||4711\r".encode()
        made = [Pending(2, 1, number, lane, 0, 0, None) for number, lane in enumerate(lanes)]
        defaults: dict[str, Any] = {
            "organization": 1,
            "endpoint": 1,
            "received_at": clock.micros(),
            "disposition": Disposition.DELIVERING if made else Disposition.UNROUTED,
            "ack": "AA",
            "type": "ADT^A01",
            "control_id": control,
            "body": body,
            "body_hash": hub.store.seal_hash(body),
            "routes": "1",
            "deliveries": made,
        }
        return NewMessage(**(defaults | values))

    return make
