"""A data folder that is open, on either database, and messages in it: no engine runs."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from hilum import clock
from hilum.app import Hub
from hilum.errors import Refused
from hilum.model import document
from hilum.model.access import Binding, Principal, PrincipalKind, Role, permit
from hilum.model.audit import Act
from hilum.model.delivery import Pending
from hilum.model.identifier import new as new_uuid
from hilum.model.message import Disposition, NewMessage
from hilum.security.passwords import Cost, Passwords
from hilum.security.signing import Signer
from hilum.services.approvals import Approvals
from hilum.services.policy import Policy
from hilum.services.records import Records
from hilum.services.signatures import Signatures
from hilum.settings import Settings
from hilum.store import audit, schema, schema_people

CHEAP = Cost(time=1, memory=8, lanes=1)  # what a password costs is tested elsewhere
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
async def hub(request: pytest.FixtureRequest, tmp_path: Path, act: Callable[..., Act]) -> AsyncIterator[Hub]:
    """With the configuration applied; nothing is received or sent."""
    url = address(request.getfixturevalue("postgres")) if request.param == "postgres" else None
    hub = Hub(Settings(data=tmp_path / "data", database=url, http=None), Passwords(CHEAP))
    await hub.open()
    try:
        (tmp_path / "stamp.py").write_text(SCRIPT, encoding="utf-8")
        await hub.configurations.apply(act(), document.load(CONFIG, "hub.yaml"), tmp_path)
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


@dataclasses.dataclass
class Desk:
    """Signatures, approvals and policy on a hub, with people whose components the test knows."""

    hub: Hub
    proved: list[str] = dataclasses.field(default_factory=list)  # what was asked of whoever signed
    codes: set[str] = dataclasses.field(default_factory=set)  # who has an authenticator

    def __post_init__(self) -> None:
        signer, store = Signer(bytes(32)), self.hub.store
        self.policy = Policy(store, signer, bytes(32))
        self.signatures = Signatures(store, Records(store), signer, self.prove, self.confirm)
        self.approvals = Approvals(store, self.policy)

    async def prove(self, principal: Principal, password: str, code: str | None) -> None:
        """Everything: `secret`, and `123456` where there is an authenticator."""
        self.proved.append("everything")
        if password != "secret" or (principal.name in self.codes and code != "123456"):
            raise Refused("wrong")

    async def confirm(self, principal: Principal, password: str) -> None:
        self.proved.append("password")
        if password != "secret":
            raise Refused("wrong")

    async def person(
        self, name: str, *roles: Role, study: int | None = None, organization: int = 1, code: bool = False
    ) -> Principal:
        """Somebody with an account and a session of today."""
        now, identifier = clock.micros(), new_uuid(clock.micros())
        home = {"organization": organization, "uuid": identifier}
        about = {"email": f"{name.lower()}@example.org", "name": name, "state": "active", "totp_step": 0,
                 "failures": 0, "identity_proofed": 0, "version": 1, "created_at": now,
                 "totp": b"sealed" if code else None}  # fmt: skip
        session = {"kind": "token", "digest": b"", "generation": 1, "created_at": now, "seen_at": now,
                   "expires_at": now + 10**10, "proved_at": now, "ended_why": "", "source": ""}  # fmt: skip

        def add(connection: sa.Connection) -> tuple[int, int]:
            person = connection.execute(schema_people.user.insert().values(**home, **about)).inserted_primary_key
            assert person is not None
            for role in roles:
                bound = {"organization": organization, "user": person[0], "role": role.value, "study": study}
                connection.execute(schema_people.role_binding.insert().values(bound))
            opened = {"organization": organization, "uuid": new_uuid(now), "user": person[0], **session}
            made = connection.execute(schema_people.session.insert().values(opened)).inserted_primary_key
            assert made is not None
            return person[0], made[0]

        if code:
            self.codes.add(name)
        number, opened = await self.hub.store.write(add)
        bindings = tuple(Binding(role, study) for role in roles)
        return Principal(
            PrincipalKind.USER, str(identifier), name, organization, bindings, number=number, session=opened
        )  # fmt: skip

    def act(self, who: Principal, permission: str = "self:write", **values: Any) -> Act:
        """An act of somebody, with the scope that a route's permission gives."""
        return Act(who, permit(who, permission), values.pop("action", "test.act"), **values)

    async def study(self, name: str, organization: int = 1) -> int:
        values = {"organization": organization, "uuid": new_uuid(clock.micros()), "name": name, "title": "",
                  "version": 1, "created_at": clock.micros()}  # fmt: skip
        made: int = await self.hub.store.write(lambda one: _insert(one, schema_people.study, values))
        return made

    async def credential(self, name: str, study: int | None = None, organization: int = 1) -> str:
        """A credential's entity."""
        now, identifier = clock.micros(), new_uuid(clock.micros())
        values = {"organization": organization, "uuid": identifier, "study": study, "name": name, "kind": "basic",
                  "fields": {"user": "hub"}, "secrets": {"password": {"version": 1}}, "sealed": b"x", "key": 1,
                  "version": 1, "created_at": now, "rotated_at": now}  # fmt: skip
        await self.hub.store.write(lambda one: _insert(one, schema_people.credential, values))
        return f"credential/{identifier}"

    async def set(self, table: sa.Table, identifier: str, **values: Any) -> None:
        """Change a row behind everybody's back."""
        where = table.c.uuid == uuid.UUID(identifier.rpartition("/")[2])
        await self.hub.store.write(lambda one: one.execute(table.update().where(where).values(values)))

    async def home(self, organization: int = 1, **values: Any) -> str:
        """Change the organization's row; its entity."""
        table = schema.organization
        mine = table.c.id == organization
        if values:
            await self.hub.store.write(lambda one: one.execute(table.update().where(mine).values(values)))
        identifier = await self.hub.store.read(lambda one: one.execute(sa.select(table.c.uuid).where(mine)).scalar())
        return f"organization/{identifier}"

    async def events(self, action: str, organization: int = 1) -> list[dict[str, Any]]:
        """The audit events of an action, the newest first."""
        found = await self.hub.store.within(organization).read(
            audit.newest, organization, audit.EventFilter(action=action)
        )  # fmt: skip
        return [one.document for one in found]


def _insert(connection: sa.Connection, table: sa.Table, values: dict[str, Any]) -> int:
    made = connection.execute(table.insert().values(values)).inserted_primary_key
    assert made is not None
    return int(made[0])


@pytest.fixture
async def desk(hub: Hub) -> Desk:
    return Desk(hub)
