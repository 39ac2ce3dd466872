"""Two organizations on one hub: everything of the one is asked for, changed and looked for by the other.

What the north has is collected through its own lists; a new surface is attacked without anybody adding a line, or
fails here for want of a body that could be sent to it.
"""

from __future__ import annotations

import asyncio
import dataclasses
import importlib
import io
import pkgutil
import re
import uuid
import zipfile
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
import trustme
from starlette.routing import WebSocketRoute

from hilum.api import create_app, routes
from hilum.api.surface import PREFIX, Guarded
from hilum.app import Hub
from hilum.errors import Unauthenticated
from hilum.model import document
from hilum.model.access import Binding, Principal, PrincipalKind, Role, Scope
from hilum.model.audit import Act
from hilum.model.delivery import Pending
from hilum.model.message import Disposition, NewMessage
from hilum.services.routes import Routes
from hilum.settings import Settings
from hilum.store import Connection, schema
from hilum.store.schema_people import study

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]
CONFIG = """
version: 1
organization: {name}
integrations:
  - name: {name}-feed
    protocol: hl7_v2
    study: {name}-alpha
    endpoints: [{{name: in, direction: inbound, url: "mllp://127.0.0.1:{port}"}}]
  - name: {name}-lab
    protocol: hl7_v2
    study: {name}-beta
    endpoints: [{{name: out, direction: outbound, url: "mllp://127.0.0.1:{partner}"}}]
routes:
  - {{name: {name}-route, from: {name}-feed/in, to: [{name}-lab/out]}}
"""
NUMBERS = {"north": 1, "south": 2}


class Everybody:
    """`north` and `south` may do everything in their organization; `north@5` in that study alone."""

    async def bearer(self, text: str, source: str) -> Principal:
        name, _, study = text.partition("@")
        if name not in NUMBERS:
            raise Unauthenticated
        roles = tuple(Binding(role, int(study) if study else None) for role in Role if role != "platform_operator")
        return Principal(PrincipalKind.USER, str(uuid.uuid5(uuid.NAMESPACE_OID, text)), text, NUMBERS[name], roles)

    async def cookie(self, text: str) -> tuple[Principal, str]:
        raise Unauthenticated


@dataclasses.dataclass
class Asked:
    """One app, asked by one or the other."""

    app: Any
    http: httpx.AsyncClient
    routes: list[tuple[str, str]]  # method and path, without those that everybody may call

    async def ask(self, who: str, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {who}", "if-match": '"v1"', "idempotency-key": uuid.uuid4().hex}
        response = await self.http.request(method, path, headers=headers, **options)
        assert response.status_code < 500, f"{method} {path}: {response.text}"
        return response

    async def get(self, who: str, path: str, **query: Any) -> Any:
        response = await self.ask(who, "GET", f"/api/v1{path}", params=query)
        assert response.status_code == 200, response.text
        return response.json()

    async def post(self, who: str, path: str, **body: Any) -> Any:
        response = await self.ask(who, "POST", f"/api/v1{path}", json=body)
        assert response.status_code < 300, f"{path}: {response.text}"
        return response.json()


def _paths() -> list[tuple[str, str]]:
    found = []
    for one in pkgutil.iter_modules(routes.__path__):
        module = importlib.import_module(f"{routes.__name__}.{one.name}")
        prefix = getattr(module, "mounts", (PREFIX,))[0]
        for route in module.router.routes:
            if isinstance(route, Guarded) and route.allowed.permission is not None and not route.allowed.local:
                found += [(method, prefix + route.path) for method in sorted(route.methods - {"HEAD"})]
    return found


@pytest.fixture(params=["sqlite", "postgresql"])
async def hub(request: pytest.FixtureRequest, tmp_path: Any, act: Callable[..., Act]) -> AsyncIterator[Hub]:
    """Both organizations' configuration applied; nothing is received or sent."""
    url = request.getfixturevalue("role_url") if request.param == "postgresql" else None
    hub = Hub(Settings(data=tmp_path / "data", database=url, http=None))
    await hub.open()
    try:
        for number, name in enumerate(NUMBERS, 1):
            text = CONFIG.format(name=name, port=20_000 + number, partner=21_000 + number)
            await hub.configurations.apply(act(number), document.load(text, f"{name}.yaml"), tmp_path)
        yield hub
    finally:
        await hub.close()


@pytest.fixture
async def asked(hub: Hub) -> AsyncIterator[Asked]:
    app = create_app(dataclasses.replace(hub.services(), identity=Everybody()), local=False)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://hub") as http:
        yield Asked(app, http, _paths())


async def receive(hub: Hub, who: str) -> None:
    """A message of an organization's patient, as its feed would have brought it."""
    scope = Scope(NUMBERS[who])
    feed = await hub.services().names.endpoint(scope, f"{who}-feed/in")
    lab = await hub.services().names.endpoint(scope, f"{who}-lab/out")
    body = f"MSH|^~\\&|{who}app|W|HUB|X|20260102||ADT^A01|{who}-control|P|2.5\rPID|1||{who}-patient\r".encode()
    start = await Routes(hub.store, hub.registry).of_endpoint(scope.organization, feed)
    found = start.identify(body)
    new = NewMessage(
        scope.organization, feed, 1_770_000_000_000_000, Disposition.DELIVERING, "AA", found.type, found.control_id,
        body, hub.store.seal_hash(body), keys=found.keys, note=f"{who}-note",
        deliveries=[Pending(lab, 1, 0, 0, 0, 0, None)],
    )  # fmt: skip
    await hub.store.append(new)


async def settle_in(hub: Hub, asked: Asked, who: str) -> None:
    """Give an organization something of everything."""
    await receive(hub, who)
    await asked.post(who, "/users", email=f"{who}@example.org", name=f"{who} person", roles=[{"role": "viewer"}])
    await asked.post(who, "/api-keys", name=f"{who}-key", scopes=["messages:read"])
    await asked.post(who, "/studies", name=f"{who}-gamma", title=f"{who} title")
    secret = {"fields": {"username": f"{who}-login"}, "secrets": {"password": f"{who}-very-secret"}}
    await asked.post(who, "/credentials", name=f"{who}-credential", kind="basic", study=f"{who}-alpha", **secret)
    subject = {"common_name": f"{who}.example.org"}
    await asked.post(who, "/certificates/requests", name=f"{who}-certificate", subject=subject)
    await asked.post(who, f"/lanes/{who}-lab/out/retry")
    await asked.post(who, "/webhooks/subscriptions", url=f"https://{who}.example.org/", events=["*"])
    hook = await asked.post(who, "/integrations?initialize=false", name=f"{who}-hook", type="WEBHOOK")
    await asked.post(who, "/webhooks/receivers", integration=hook["id"])
    await asked.post(who, "/exports/plans", name=f"{who}-plan", kind="data", wish=RECORDS)
    await asked.post(who, "/mappings", name=f"{who}-mapping", document={"set": {"MSH-5": f"{who}-app"}})


def identifiers(found: Any) -> set[str]:
    """Every UUID in an answer."""
    return set(re.findall(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", str(found)))


def collections(asked: Asked) -> list[str]:
    return sorted({path for method, path in asked.routes if method == "GET" and "{" not in path})


RECORDS = {"source": {"records": "messages"}, "format": "csv"}
PEM = trustme.CA().cert_pem.bytes().decode()
BODIES: dict[tuple[str, str], dict[str, Any]] = {
    ("PATCH", "/api/v1/organizations/{organization_id}"): {"title": "stolen"},
    ("PATCH", "/api/v1/studies/{study_id}"): {"title": "stolen"},
    ("PATCH", "/api/v1/users/{user_id}"): {"name": "stolen"},
    ("PUT", "/api/v1/users/{user_id}/roles"): {"roles": []},
    ("PATCH", "/api/v1/credentials/{credential_id}"): {"fields": {}},
    ("POST", "/api/v1/credentials/{credential_id}/rotate"): {"secrets": {"password": "stolen-by-south"}},
    ("POST", "/api/v1/approvals/{approval_id}/deny"): {"reason": "not ours"},
    ("POST", "/api/v1/certificates/{certificate_id}/renew"): {"subject": {"common_name": "stolen.example.org"}},
    ("POST", "/api/v1/certificates/{certificate_id}/complete"): {"chain": PEM},
    ("PUT", "/api/v1/certificates/{certificate_id}"): {"chain": PEM},
    ("POST", "/api/v1/lanes/{integration}/{endpoint}/skip"): {"delivery": 1, "reason": "stolen"},
    ("POST", "/api/v1/messages/{identifier}/replay"): {"reason": "stolen"},
    ("PUT", "/api/v1/vendors/{vendor_id}"): {"name": "stolen"},
    ("PUT", "/api/v1/exports/plans/{plan_id}"): {"name": "stolen", "kind": "data", "wish": RECORDS},
    ("POST", "/api/v1/exports/jobs/{job_id}/links"): {"receiver": "stolen"},
    ("PUT", "/api/v1/retention/policies/{kind}"): {"keep": 100},
    ("PUT", "/api/v1/routes/{name}"): {"name": "stolen", "from": "south-feed/in"},
    ("POST", "/api/v1/routes/{name}/rollback"): {"version": 1},
    ("POST", "/api/v1/routes/{name}/preview"): {"body": "MSH"},
    ("PUT", "/api/v1/mappings/{name}"): {"document": {}},
    ("POST", "/api/v1/mappings/{name}/rollback"): {"version": 1},
    ("POST", "/api/v1/mappings/{name}/preview"): {"body": "MSH"},
}
"""What a request with a path of somebody else's takes, where an empty object is not enough."""


@pytest.mark.ledger("S4-76", "S0-43")
@pytest.mark.ledger_part("S0-13", "another organization's id answers as an unknown one, on every route with an id")
async def test_the_south_finds_nothing_of_the_north(hub: Hub, asked: Asked) -> None:
    """Lists, searches, counts, jobs, exports, evidence, and every route that takes an id."""
    for who in NUMBERS:
        await settle_in(hub, asked, who)
    await nothing_by_side_ways(asked)
    queries = {"/api/v1/messages/search": {"key": "patient", "value": "north-patient"}}
    for path in collections(asked):
        alone = (await asked.ask("south", "GET", path, params=queries.get(path, {}))).text
        assert "north" not in alone, path
        theirs = (await asked.ask("north", "GET", path, params=queries.get(path, {}))).text
        shared = identifiers(theirs) & identifiers(alone)
        assert not shared, f"{path}: {shared}"
    for entity in ("", "north-feed/in"):
        response = await asked.ask("south", "GET", "/api/v1/messages", params={"endpoint": entity or "south-feed/in"})
        assert response.status_code == (404 if entity else 200)
    for page in ("/users", "/studies", "/credentials", "/api-keys", "/certificates"):
        assert (await asked.get("south", page))["total"] == (await asked.get("north", page))["total"]
    await nothing_by_id(asked)


async def nothing_by_side_ways(asked: Asked) -> None:
    """What is packed, what is remembered, what is counted, and ways in that there are none of."""
    for path in collections(asked):
        answer = await asked.ask("south", "GET", path, params={"key": "patient", "value": "x"})
        if answer.headers.get("content-type") == "application/zip":
            with zipfile.ZipFile(io.BytesIO(answer.content)) as packed:
                for name in packed.namelist():
                    assert "north" not in name
                    assert b"north" not in packed.read(name), f"{path}: {name}"
        theirs = await asked.ask("north", "GET", path, params={"key": "patient", "value": "x"})
        if "etag" in theirs.headers:
            headers = {"authorization": "Bearer south", "if-none-match": theirs.headers["etag"]}
            known = await asked.http.get(path, params={"key": "patient", "value": "x"}, headers=headers)
            assert known.status_code != 304 or answer.content == theirs.content, path
    made = {}
    for who in NUMBERS:  # the same key, the same request: each gets an answer of its own
        headers = {"authorization": f"Bearer {who}", "idempotency-key": "one-for-both"}
        response = await asked.http.post("/api/v1/studies", json={"name": "same"}, headers=headers)
        assert response.status_code == 201, response.text
        made[who] = response.json()["id"]
        elsewhere = headers | {"x-forwarded-for": "192.0.2.7"}  # at the hub's own machine everybody may see them
        assert (await asked.http.get("/metrics", headers=elsewhere)).status_code == 403, "they name every organization"
    assert made["north"] != made["south"]
    assert not [one for one in asked.app.routes if isinstance(one, WebSocketRoute)], "attack it here as well"


async def nothing_by_id(asked: Asked) -> None:
    """Every route that takes an id, with every id that the north has; the answer is that of an id nobody has."""
    ids = set()
    for path in collections(asked):
        ids |= identifiers((await asked.ask("north", "GET", path, params={"key": "patient", "value": "x"})).text)
    ids |= {one["id"] for one in (await asked.get("north", "/messages"))["items"]}
    mine = {
        identifier
        for path in collections(asked)
        for identifier in identifiers((await asked.ask("south", "GET", path)).text)
    }
    before = {path: (await asked.ask("north", "GET", path)).text for path in WATCHED}
    with_ids = [(method, path) for method, path in asked.routes if "{" in path]
    assert len(with_ids) > 25
    for method, path in with_ids:
        options = {} if method in ("GET", "DELETE") else {"json": BODIES.get((method, path), {})}
        unknown = await asked.ask("south", method, _at(path, str(uuid.uuid4()), "nobody"), **options)
        assert unknown.status_code == 404, f"{method} {path}: {unknown.text}"
        assert _said(unknown)["code"].endswith("001")
        tried = sorted({_at(path, identifier, "north-lab") for identifier in ids - mine})
        for found in await asyncio.gather(*(asked.ask("south", method, at, **options) for at in tried)):
            assert found.status_code == 404, f"{method} {path}: {found.text}"
            assert _said(found) == _said(unknown)
    assert {path: (await asked.ask("north", "GET", path)).text for path in WATCHED} == before


WATCHED = [f"/api/v1/{noun}" for noun in ("users", "studies", "credentials", "api-keys", "certificates", "messages")]


def _at(path: str, identifier: str, integration: str) -> str:
    path = path.replace("{integration}", integration).replace("{endpoint}", "out").replace("{number}", "1")
    return re.sub(r"\{[^}]*\}", identifier, path)


def _said(response: httpx.Response) -> dict[str, Any]:
    """An error without what is each request's own; the ids and names that were asked for are."""
    error = response.json()["error"]
    error["message"] = re.sub(r"[0-9a-f-]{36}|(north-lab|nobody)/out", "ID", error["message"])
    return {name: value for name, value in error.items() if name not in ("timestamp", "request_id")}


def study_numbers(connection: Connection) -> dict[str, int]:
    return {row.name: row.id for row in connection.execute(sa.select(study.c.name, study.c.id))}


@pytest.mark.ledger("S0-30")
async def test_in_one_study_the_others_are_not_there(hub: Hub, asked: Asked) -> None:
    await settle_in(hub, asked, "north")
    studies = {one["name"]: one for one in (await asked.get("north", "/studies"))["items"]}
    numbers = await hub.store.read(study_numbers)
    (message,) = (await asked.get("north", "/messages"))["items"]
    alpha, beta = (f"north@{numbers[f'north-{name}']}" for name in ("alpha", "beta"))
    assert [one["id"] for one in (await asked.get(alpha, "/messages"))["items"]] == [message["id"]]
    assert (await asked.get(beta, "/messages"))["items"] == []
    assert (await asked.get(beta, "/messages/search", key="patient", value="north-patient"))["items"] == []
    for path in (
        f"/messages/{message['id']}",
        f"/messages/{message['id']}/body",
        f"/studies/{studies['north-alpha']['id']}",
    ):
        assert (await asked.ask(alpha, "GET", f"/api/v1{path}")).status_code == 200, path
        assert (await asked.ask(beta, "GET", f"/api/v1{path}")).status_code == 404, path
    assert [one["reference"] for one in (await asked.get(beta, "/lanes"))["items"]] == ["north-lab/out"]
    assert (await asked.get(alpha, "/lanes"))["items"] == []
    assert (await asked.get("north", "/routes"))["total"] == 1
    for one in (alpha, beta):  # it goes from the one to the other
        assert (await asked.get(one, "/routes"))["total"] == 0
        assert (await asked.ask(one, "GET", "/api/v1/routes/north-route")).status_code == 404
    assert [one["reference"] for one in (await asked.get(alpha, "/sources"))["items"]] == ["north-feed/in"]
    assert (await asked.get(beta, "/sources"))["items"] == []
    assert (await asked.get(alpha, "/credentials"))["total"] == 1
    assert (await asked.get(beta, "/credentials"))["total"] == 0
    assert (await asked.ask(beta, "POST", "/api/v1/lanes/north-lab/out/retry", json={})).status_code < 300
    assert (await asked.ask(alpha, "POST", "/api/v1/lanes/north-lab/out/retry", json={})).status_code == 404
    await nothing_of_the_other_study(asked, alpha, beta)


async def nothing_of_the_other_study(asked: Asked, alpha: str, beta: str) -> None:
    """Lists, counts, exports and figures, and every route with an id; what has no studies is for the whole's people."""
    for study_name in ("alpha", "beta"):
        secret = {"fields": {"username": "hub"}, "secrets": {"password": "kept secret"}}
        name = f"north-{study_name}-login"
        await asked.post("north", "/credentials", name=name, kind="basic", study=f"north-{study_name}", **secret)
    seen: dict[str, dict[str, str]] = {alpha: {}, beta: {}}
    for who, theirs, feed in ((alpha, "north-beta", "north-lab"), (beta, "north-alpha", "north-feed")):
        for path in collections(asked):
            answer = await asked.ask(who, "GET", path, params={"key": "patient", "value": "north-patient"})
            assert answer.status_code in (200, 403) or "sessions" in path, f"{path}: {answer.text}"  # nobody signed in
            if answer.status_code == 200:
                seen[who][path] = answer.text
                assert theirs not in answer.text, path
                assert feed not in answer.text, path
    assert len(seen[alpha]) > 10
    mine = identifiers(seen[alpha]) - identifiers(seen[beta])
    assert len(mine) > 2
    for path in [path for method, path in asked.routes if method == "GET" and "{" in path]:
        for identifier in mine:
            answer = await asked.ask(beta, "GET", _at(path, identifier, "north-feed"))
            assert answer.status_code in (403, 404), f"{path}: {answer.text}"
    totals = [(await asked.get(who, "/credentials"))["total"] for who in ("north", alpha, beta)]
    assert totals == [3, 2, 1]
    figures = [(await asked.get(who, "/integrations/stats"))["total"] for who in ("north", alpha, beta)]
    assert figures[1:] == [1, 1]
    assert figures[0] > 2
    for export in ("/audit/export", "/subject-exports", "/archives"):
        assert (await asked.ask(alpha, "GET", f"/api/v1{export}")).status_code == 403, export


FREE = {"setting", "principal_index", "parked", "shard", "progress", "tally", "signing_key"}
"""Tables of the whole hub: ids, hashes and times."""


@pytest.mark.ledger_part("S4-75", "with no filter at all the database hides the others' rows, on both databases")
async def test_the_database_hides_the_north_from_whoever_asks_without_a_filter(hub: Hub, asked: Asked) -> None:
    for who in NUMBERS:
        await settle_in(hub, asked, who)

    def everything(connection: Connection) -> dict[str, list[Any]]:
        """All rows of all tables, narrowed by nothing that the application says."""
        tables = [table for table in schema.metadata.sorted_tables if table.name not in FREE]
        return {table.name: [tuple(row) for row in connection.execute(sa.select(table))] for table in tables}

    whole = await hub.store.read(everything)
    north, south = [await hub.store.within(number).read(everything) for number in NUMBERS.values()]
    filled = {name for name, rows in whole.items() if rows}
    assert {"message", "body", "delivery", "user", "credential", "certificate", "api_key", "audit_event"} <= filled
    for name in filled:
        assert "north" not in str(south[name]), name
        assert not set(map(str, north[name])) & set(map(str, south[name])), name
        assert len(north[name]) + len(south[name]) <= len(whole[name]), name
    assert not any((await hub.store.within(3).read(everything)).values())
