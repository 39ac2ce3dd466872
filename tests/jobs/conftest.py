"""A real store, and lanes that write down what a job asked of them."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from hilum import clock
from hilum.app import Hub
from hilum.errors import Refused
from hilum.jobs import At, Context, Still
from hilum.model import consent, document
from hilum.model.access import Principal, PrincipalKind, Scope
from hilum.model.audit import Act
from hilum.model.delivery import DeliveryState, Pending
from hilum.model.message import Disposition, NewMessage
from hilum.outbound.tokens import Token
from hilum.security.keyring import Keyring
from hilum.services.routes import Routes
from hilum.settings import Settings
from hilum.store import Store, audit, configuration, consents, integrations, messages, schema
from hilum.store.integrations import Row
from hilum.store.jobs import Job

DAY = 86_400_000_000
CONFIG = """
version: 1
organization: {name}
retention: {{bodies: 10}}
integrations:
  - {{name: adt, protocol: hl7_v2, endpoints: [{{name: in, direction: inbound, url: "mllp://127.0.0.1:{port}"}}]}}
  - {{name: lab, protocol: hl7_v2, endpoints: [{{name: out, direction: outbound, url: "mllp://127.0.0.1:9"}}]}}
routes:
  - {{name: adt-to-lab, from: adt/in, to: [lab/out]}}
"""


class RecordedLanes:
    """Stands for a destination's lanes: only delivery 7 waits at the head."""

    def __init__(self, reference: str) -> None:
        self.reference = reference
        self.asked: list[tuple[Any, ...]] = []

    def retry_now(self) -> None:
        self.asked.append(("retry",))

    def skip(self, delivery: int, reason: str, state: DeliveryState = DeliveryState.SKIPPED) -> bool:
        self.asked.append(("skip", delivery, reason, state))
        return delivery == 7


class Flushed:
    def __init__(self) -> None:
        self.times = 0

    async def flush(self) -> None:
        self.times += 1


@pytest.fixture
def lanes() -> dict[int, RecordedLanes]:
    return {3: RecordedLanes("lab/out")}


@pytest.fixture
def recorder() -> Flushed:
    return Flushed()


@pytest.fixture
async def store(tmp_path: Path, anyio_backend: object) -> AsyncIterator[Store]:
    keys, _ = Keyring.create(tmp_path / "hub.key")
    store = await Store(tmp_path, keys).open(lambda message: ())
    yield store
    await store.close()


@pytest.fixture
def context(store: Store, lanes: dict[int, RecordedLanes], recorder: Flushed) -> Context:
    return Context(store, recorder, lanes)


@pytest.fixture
def job() -> Callable[..., Job]:
    def make(kind: str, **arguments: Any) -> Job:
        return Job(1, "0" * 32, 1, kind, "running", arguments, None, "local:test", 0, None)

    return make


class Dialed:
    """A dialer whose connections end at a function of the test's own."""

    def __init__(self, answer: Callable[[httpx.Request], httpx.Response]) -> None:
        self._answer = answer

    def transport(self, *, tls: ssl.SSLContext | None = None) -> httpx.AsyncBaseTransport:
        assert tls is not None
        assert tls.verify_mode is ssl.CERT_REQUIRED
        return httpx.MockTransport(self._answer)

    async def connect(self, *_: Any, **__: Any) -> Any:
        raise OSError("only HTTP here")

    def directory(self, path: str) -> Path:
        raise Refused(path)


@pytest.fixture
def dialing(context: Context) -> Callable[..., Context]:
    """The context with a dialer; what is asked of it is answered by a function."""
    return lambda answer: dataclasses.replace(context, dialer=Dialed(answer))


class Server:
    """An authorization server, and a partner that asks a person for consent there."""

    grant = "kept-here"

    def __init__(self) -> None:
        self.heard: list[tuple[str, ...]] = []
        self.refuses: Exception | None = None
        self.held: Token | None = Token("access", "refresh")

    @contextlib.asynccontextmanager
    async def open(self, at: At) -> AsyncIterator[Server]:
        yield self

    def consenting(self) -> Server:
        return self

    def place(self, state: str, verifier: str, redirect: str) -> str:
        return f"https://login.example.org/authorize?state={state}&redirect_uri={redirect}"

    def from_here(self, issuer: str) -> bool:
        return issuer == "https://login.example.org"

    async def give(self, code: str, verifier: str, redirect: str) -> Token:
        self.heard.append(("give", code, verifier, redirect))
        if self.refuses is not None:
            raise self.refuses
        return Token("access", "refresh", 300.0, 86_400.0, ("orders",))

    async def forget(self, organization: int, grant: str) -> Token | None:
        self.heard.append(("forget", grant))
        return self.held

    async def give_back(self, token: Token) -> str:
        self.heard.append(("give back", token.refresh))
        return "revoked"


@dataclasses.dataclass
class Consenting:
    """An integration that a person has to consent to, and the server that asks for it."""

    context: Context
    server: Server
    row: Row

    @property
    def form(self) -> str:
        (one,) = consent.wanted(self.row.model)
        return one.form

    def job(self, kind: str, *, state: str = "waiting", question: object = None, **arguments: Any) -> Job:
        if question is not None:
            place = f"job|{kind}|question".encode()
            sealed = self.context.store.sealer.seal(json.dumps(question).encode(), place)
            arguments["question"] = sealed.hex()
        arguments = {"integration": self.row.id, "endpoint": "orders", **arguments}
        return Job(1, "0" * 32, self.row.organization, kind, state, arguments, None, "local:test", 0, None)

    async def given(self) -> dict[str, Any]:
        """What the store has of it, by form."""
        found: dict[str, Any] = await self.context.store.read(consents.of, self.row.organization, self.row.id)
        return found


@pytest.fixture
async def consenting(context: Context, store: Store) -> Consenting:
    part = {
        "name": "orders", "direction": "outbound", "url": "https://lab.example.org/orders",
        "authentication": {
            "type": "oauth2", "grant_type": "authorization_code", "client_id": "hub", "scopes": ["orders", "results"],
            "authorization_url": "https://login.example.org/authorize",
            "token_url": "https://login.example.org/token", "client_secret": "${secret:lab}",
        },
    }  # fmt: skip

    def settle_in(connection: sa.Connection) -> Row:
        owner = configuration.put_organization(connection, "demo", {})
        whole = {"name": "lab", "protocol": "rest_api", "endpoints": [part]}
        configuration.put_integration(connection, owner, "lab", whole, "api")
        configuration.put_endpoint(connection, owner, "lab/orders", "outbound", part)
        return integrations.get(connection, connection.execute(sa.select(schema.integration.c.id)).scalar_one())

    server = Server()
    return Consenting(dataclasses.replace(context, partners=server), server, await store.write(settle_in))


@dataclasses.dataclass
class Archive:
    """A data folder that is open, with organizations north (1) and south (2) that keep bodies for ten days."""

    hub: Hub
    folder: Path
    url: str | None

    @property
    def context(self) -> Context:
        return Context(self.hub.store, Still(), {}, vault=self.hub.vault, entries=self.hub.entries)

    async def close(self) -> None:
        await self.hub.close()

    async def reopen(self) -> None:
        """As after the end of another process that had it open."""
        self.hub = Hub(Settings(data=self.folder, database=self.url, http=None))
        await self.hub.open()

    async def settings(self, organization: int = 1, **values: Any) -> None:
        table = schema.organization
        mine = table.update().where(table.c.id == organization).values(settings=values)
        await self.hub.store.write(lambda connection: connection.execute(mine))

    async def receive(
        self, control: str, patient: str = "P4711", *, days: float, organization: int = 1, made: bytes | None = None
    ) -> NewMessage:
        """A message that came so many days ago and was delivered; `made`: a body kept with its delivery."""
        reference = Scope(organization)
        feed = await self.hub.services().names.endpoint(reference, "adt/in")
        lab = await self.hub.services().names.endpoint(reference, "lab/out")
        body = f"MSH|^~\\&|HIS|W|HUB|X|20260102||ADT^A01|{control}|P|2.5\rPID|1||{patient}\r".encode()
        start = await Routes(self.hub.store, self.hub.registry).of_endpoint(organization, feed)
        found = start.identify(body)
        one = Pending(lab, 1, 0, 0, 0, 0, made, keep=made is not None)
        stored = await self.hub.store.append(NewMessage(
            organization, feed, clock.micros() - int(days * DAY), Disposition.DELIVERING, "AA", found.type,
            found.control_id, body, self.hub.store.seal_hash(body), keys=found.keys, note=f"note of {patient}",
            deliveries=[one],
        ))  # fmt: skip
        await self.end(stored)
        return stored

    async def end(self, one: NewMessage) -> None:
        """Its deliveries were taken."""
        table = schema.delivery
        done = table.update().where(table.c.message == one.id).values(state=int(DeliveryState.DELIVERED), done_at=1)
        await self.hub.store.write(lambda connection: connection.execute(done))

    async def bodies(self, *stored: NewMessage) -> set[str]:
        """The control ids of those whose body is there, and as it came."""
        found = await self.hub.store.read(messages.bodies, self.hub.store.sealer, [one.id for one in stored])
        names = {one.id: one for one in stored}
        assert all(body == names[number].body for number, body in found.items())
        return {names[number].control_id for number in found}

    async def events(self, action: str, organization: int = 1) -> list[dict[str, Any]]:
        """The audit events of an action or a noun, the oldest first."""
        found = await self.hub.store.within(organization).read(
            audit.newest, organization, audit.EventFilter(action=action), limit=100
        )
        return [one.document for one in reversed(found)]

    def act(self, action: str, organization: int = 1) -> Act:
        who = Principal(PrincipalKind.LOCAL, "local:test", "local:test", organization)
        return Act(who, Scope(organization), action)

    def files(self, kind: str = "archive") -> list[Path]:
        return sorted(one for one in (self.folder / kind).rglob("*") if one.is_file())


@pytest.fixture
async def kept(url: str | None, tmp_path: Path, anyio_backend: object) -> AsyncIterator[Archive]:
    """On one database after the other; on PostgreSQL as a role that owns nothing."""
    made = Archive(Hub(Settings(data=tmp_path / "data", database=url, http=None)), tmp_path / "data", url)
    await made.hub.open()
    for number, name in enumerate(("north", "south"), 1):
        text = CONFIG.format(name=name, port=20_000 + number)
        await made.hub.configurations.apply(made.act("configuration.apply", number), document.load(text, name), None)
    yield made
    await made.close()


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Move the clock to this many days after the test began."""
    begun = clock.micros()

    def work(days: float) -> None:
        monkeypatch.setattr(clock, "micros", lambda: begun + int(days * DAY))

    return work
