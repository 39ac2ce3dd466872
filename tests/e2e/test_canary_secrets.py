"""Secrets and patients are planted wherever they may come from, and no sink shows them.

The hub runs as `hilum serve`, on SQLite and on PostgreSQL, against partners that take, refuse, break off and repeat
what they were sent. Sinks are responses, log lines, metrics, the audit trail and its export, the data folder's bytes,
all rows of the database, and the backup.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import dataclasses
import io
import json
import re
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import httpx
import psycopg
import pytest
import trustme
from psycopg import sql

pytestmark = pytest.mark.anyio
SECRETS = {
    "password": "Kanari/Passwort+4711&gelb",
    "token": "kanarienvogel.token.0815.XyZ",
    "rotated": "kanarienvogel-erneuert-9.9.9",
    "cookie": "kanari-cookie-4712-blau",
    "query": "kanari-query-4713-rot",
    "listener": "kanari-listener-4714-grau",
    "file": "kanari-datei-4715-weiss",
    "bearer": "kanari-bearer-4716-schwarz",
    "typed": "kanari-getippt-4717-lila",
    "userinfo": "kanari-userinfo-4718-rosa",
    "passphrase": "kanari-passphrase-4719",
}
PATIENT = ("Zaunkoenig", "Wilhelmine", "KANARI4711MRN", "Kanarienweg")
_PLAIN = ("Zaunkoenig^Wilhelmine", "KANARI4711MRN^^^MRN")


def forms(canary: str) -> list[bytes]:
    """A canary as it may hide: encoded as text, in a URL, in JSON, in base64 at any offset, in a dump's hexadecimal."""
    texts = dict.fromkeys([canary, quote(canary), quote(canary, safe=""), quote_plus(canary), json.dumps(canary)[1:-1]])
    found = [text.encode(encoding) for text in texts for encoding in ("utf-8", "utf-16-le")]
    raw = canary.encode()
    for before, skipped in ((0, 0), (1, 2), (2, 3)):
        encoded = base64.b64encode(b"\0" * before + raw)[skipped : (before + len(raw)) * 8 // 6]
        found += [encoded, encoded.replace(b"+", b"-").replace(b"/", b"_")]
    return [*found, raw.hex().encode(), raw.hex().upper().encode()]


def test_a_canary_is_found_in_every_form() -> None:
    for canary in SECRETS.values():
        for form in forms(canary):
            assert found(b"\0x" + form + b"\1", [canary]) == [canary]
        assert found(base64.b64encode(f"hub:{canary}".encode()), [canary]) == [canary]
    assert found(b"nothing", [*SECRETS.values(), *PATIENT]) == []


def unpacked(content: bytes) -> bytes:
    """What lies in an archive; other content as it is."""
    if not content.startswith(b"PK"):
        return content
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return b"\n".join(name.encode() + archive.read(name) for name in archive.namelist())


def found(content: bytes, canaries: list[str]) -> list[str]:
    return [canary for canary in canaries if any(form in content for form in forms(canary))]


class Web:
    """An HTTP partner. `mood`: take, refuse (repeating everything it was sent), break."""

    def __init__(self) -> None:
        self.mood = "take"
        self.seen: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                length = re.search(r"(?i)content-length: *(\d+)", head)
                body = await reader.readexactly(int(length[1]) if length else 0)
                self.seen.append(head)
                if self.mood == "break":
                    break
                said = head.encode() + body if self.mood == "refuse" else b"ok"
                status = b"422 Unprocessable" if self.mood == "refuse" else b"200 OK"
                writer.write(b"HTTP/1.1 %s\r\ncontent-length: %d\r\n\r\n%s" % (status, len(said), said))
                await writer.drain()
        writer.close()


@pytest.fixture
async def web(anyio_backend: object, e2e: Any) -> AsyncIterator[tuple[Web, int]]:
    partner, port = Web(), e2e.free_port()
    server = await asyncio.start_server(partner.serve, "127.0.0.1", port)
    yield partner, port
    server.close()


@dataclasses.dataclass
class Sinks:
    """Everything that came out. `clinical`: answers in which somebody asked for a patient's data."""

    responses: list[tuple[str, bytes]] = dataclasses.field(default_factory=list)
    clinical: list[tuple[str, bytes]] = dataclasses.field(default_factory=list)


class Client:
    """Asks over the hub's socket or over TCP and keeps what comes back, headers too."""

    def __init__(self, http: httpx.AsyncClient, sinks: Sinks) -> None:
        self._http = http
        self._sinks = sinks

    async def __call__(self, method: str, path: str, *expected: int, clinical: bool = False, **options: Any) -> Any:
        answer = await self._http.request(method, path, **options)
        sink = self._sinks.clinical if clinical else self._sinks.responses
        content = unpacked(answer.content) + repr(answer.headers.multi_items()).encode()
        sink.append((f"{method} {path.partition('?')[0]}", content))
        assert answer.status_code in (expected or (200, 201, 202, 204)), (path, answer.status_code, answer.text)
        return answer.json() if answer.headers.get("content-type", "").startswith("application/json") else None


def configuration(e2e: Any, port: int, partner: str, folder: Path) -> dict[str, Any]:
    """Secrets by every kind of reference: in headers, in a query, in a listener's token."""
    web = f"http://127.0.0.1:{port}"
    headers = {
        "Authorization": "Bearer ${secret:lab-token}",
        "Cookie": "session=${env:HUB_COOKIE}",
        "X-Custom": "${secret:lab.password}",
        "X-File": f"${{file:{folder / 'secret.txt'}}}",
    }
    inbound = {
        "adt": {"url": f"mllp://127.0.0.1:{e2e.free_port()}"},
        "posts": {"url": f"http://127.0.0.1:{e2e.free_port()}/in", "token": "${env:HUB_LISTENER}"},
    }
    outbound = {
        "lab": {"url": f"{web}/in?key=${{env:HUB_QUERY}}", "headers": headers, "retries": 1},
        "gone": {"url": "http://127.0.0.1:1/?key=${secret:lab-token}", "retries": 0},
        "ward": {"url": partner, "retries": 0},
    }
    found: dict[str, Any] = e2e.layout(inbound, outbound)
    return found


def patient(control: str) -> bytes:
    header = rf"MSH|^~\&|HIS|WARD|HUB|LAB|20260102030405||ADT^A01|{control}|P|2.5"
    return f"{header}\rPID|1||{_PLAIN[1]}||{_PLAIN[0]}||19310203|F|||Kanarienweg 3\r".encode()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> str | None:
    found: str | None = request.getfixturevalue("postgres") if request.param == "postgresql" else None
    return found


@pytest.mark.slow
@pytest.mark.ledger("S2-64")
@pytest.mark.ledger_part("S2-57", "stored credentials; export files are not encrypted yet")
@pytest.mark.ledger_part("S0-33", "a dump of the database shows no secret")
async def test_no_sink_shows_a_secret_or_a_patient(
    e2e: Any, web: tuple[Web, int], tmp_path: Path, database: str | None
) -> None:
    partner, port = web
    ward = await e2e.partner(lambda arrival: "AE")
    ward.remark = f"no bed for {_PLAIN[0]}, {_PLAIN[1]} with {SECRETS['cookie']}"  # a partner that knows too much
    (tmp_path / "secret.txt").write_text(SECRETS["file"])
    environ = {"HUB_COOKIE": SECRETS["cookie"], "HUB_QUERY": SECRETS["query"], "HUB_LISTENER": SECRETS["listener"]}
    hub = e2e.hub(tmp_path, configuration(e2e, port, ward.url, tmp_path), database=database, environ=environ)
    await hub.start()
    sinks, held = Sinks(), list(SECRETS.values())
    transport = httpx.AsyncHTTPTransport(uds=str(hub.data / "hub.sock"))
    async with (
        httpx.AsyncClient(transport=transport, base_url="http://hub/api/v1", timeout=30) as local,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{hub.http}", timeout=30) as open_door,
    ):
        ask, outside = Client(local, sinks), Client(open_door, sinks)
        await plant(ask)
        await deliver(e2e, hub, partner, ask)
        held += await knock(ask, outside, open_door, local)
        await look(hub, ask, outside)
        await ask("POST", "/backup", 200, 201, 202, 400, json={"path": str(tmp_path / "hub.age")})
        live = dump(database) if database else files(hub.data)
    assert await hub.stop() == 0
    assert hub.log.read_bytes().count(b"\n") > 10
    check(sinks, hub, held, live, dump(database) if database else {}, tmp_path)


async def plant(ask: Client) -> None:
    """Credentials and a certificate, right and wrong; a rotation."""
    basic = {"name": "lab", "kind": "basic", "fields": {"username": "hub"}}
    made = await ask("POST", "/credentials", json={**basic, "secrets": {"password": SECRETS["password"]}})
    token = {"name": "lab-token", "kind": "bearer", "secrets": {"token": SECRETS["token"]}}
    second = await ask("POST", "/credentials", json=token)
    await ask("POST", "/credentials", 409, json=token)
    await ask("POST", "/credentials", 400, json={**token, "name": SECRETS["typed"], "kind": SECRETS["typed"]})
    await ask("POST", "/credentials", 400, json={**basic, "name": "x", "secrets": {"password": [SECRETS["typed"]]}})
    await ask("POST", "/credentials", 400, json={**basic, "name": "x", "password": SECRETS["typed"]})
    tag = {"if-match": '"v1"'}
    where = f"/credentials/{second['id']}"
    await ask("POST", f"{where}/rotate", 200, json={"secrets": {"token": SECRETS["rotated"]}}, headers=tag)
    await ask("PATCH", where, 412, json={"secrets": {"token": SECRETS["typed"]}}, headers=tag)
    await ask("GET", f"/credentials/{made['id']}")
    await ask("GET", f"/credentials/{made['id']}/usage")
    await ask("DELETE", f"/credentials/{made['id']}", 409, headers=tag)
    leaf = trustme.CA().issue_cert("lab.example")
    chain, key = leaf.cert_chain_pems[0].bytes().decode(), leaf.private_key_pem.bytes().decode()
    await ask("POST", "/certificates", json={"name": "tls", "chain": chain, "key": key})
    wrong = {"name": "x", "chain": chain, "key": key, "passphrase": SECRETS["passphrase"]}
    await ask("POST", "/certificates", 400, json=wrong)
    SECRETS["key"] = key.splitlines()[2]  # a line from the middle stands for all of it


async def deliver(e2e: Any, hub: Any, partner: Web, ask: Client) -> None:
    """Messages over MLLP and HTTP: taken, refused with an echo, broken off; broken ones too; a replay."""
    inbound = {one["name"]: one["endpoints"][0]["url"] for one in hub.document["integrations"]}
    feed = int(inbound["adt"].rpartition(":")[2])
    for number, mood in enumerate(("take", "refuse", "break", "take")):
        partner.mood = mood
        reader, writer = await asyncio.open_connection("127.0.0.1", feed)
        seen = len(partner.seen)
        for body in (patient(f"M{number}"), b"Wilhelmine^KANARI4711MRN", b"Zaunkoenig Kanarienweg"):
            writer.write(b"\x0b" + body + b"\x1c\r")
        await reader.readuntil(b"\x1c\r")
        writer.close()
        await e2e.until(lambda seen=seen: len(partner.seen) > seen)
    assert any(SECRETS["rotated"] in head for head in partner.seen), "the secrets were in use"
    assert any(SECRETS["cookie"] in head and SECRETS["query"] in head for head in partner.seen)
    async with httpx.AsyncClient() as poster:
        for token in (SECRETS["listener"], SECRETS["typed"]):
            headers = {"authorization": f"Bearer {token}", "content-type": "x-application/hl7-v2+er7"}
            await poster.post(inbound["posts"], content=patient("P1"), headers=headers)
    listed = await ask("GET", "/messages?size=100")
    one = next(item for item in listed["items"] if item["control_id"] == "M1")
    await ask("GET", f"/messages/{one['id']}")
    await ask("GET", f"/messages/{one['id']}?include=body", clinical=True)
    await ask("GET", f"/messages/{one['id']}/body", clinical=True)
    await ask("GET", "/messages/search?key=patient&value=KANARI4711MRN", clinical=True)
    await ask("POST", f"/messages/{one['id']}/replay", json={"reason": "once more"})


async def knock(ask: Client, outside: Client, door: httpx.AsyncClient, local: httpx.AsyncClient) -> list[str]:
    """Wrong and right ways in over TCP. Returns the secrets that the hub itself handed out."""
    for headers in (
        {"authorization": f"Bearer {SECRETS['bearer']}"},
        {"authorization": "Basic " + base64.b64encode(f"hub:{SECRETS['bearer']}".encode()).decode()},
        {"cookie": f"hilum={SECRETS['bearer']}; __Host-hilum={SECRETS['bearer']}"},
        {"x-api-key": SECRETS["bearer"], "x-reason": "why"},
    ):
        await outside("GET", "/api/v1/credentials", 400, 401, headers=headers)
    await outside("GET", f"/api/v1/credentials?token={SECRETS['query']}", 401)
    await outside("GET", f"/api/v1/messages/search?key=patient&value={PATIENT[2]}", 401)
    body = {"email": "eve@example.org", "password": SECRETS["typed"]}
    await outside("POST", "/api/v1/auth/token", 401, json=body)
    await outside("POST", "/api/v1/auth/token", 400, json={**body, "email": [SECRETS["typed"]]})
    await outside("POST", "/api/v1/auth/link", 400, 401, 404, json={"token": SECRETS["typed"], "password": "x" * 20})
    wanted = {"name": "feed", "role": "tenant_admin", "scopes": ["credentials:read", "keys:rotate"]}
    made = (await local.post("/api-keys", json=wanted)).json()  # the one answer that holds it
    key = str(made["key"])
    mine = {"authorization": f"Bearer {key}"}
    for path in ("/credentials", "/keys", "/audit"):
        await outside("GET", f"/api/v1{path}", 200, 403, headers=mine)
    await outside("GET", f"/api/v1/credentials/{SECRETS['query']}", 400, 404, headers=mine)
    return [key.rpartition("_")[2] if len(key.rpartition("_")[2]) > 12 else key]


async def look(hub: Any, ask: Client, outside: Client) -> None:
    """Everything that tells how the hub is."""
    for path in ("/audit?size=100", "/audit/export", "/audit/checkpoints"):
        await ask("GET", path, 200)
    await outside("GET", "/metrics", 200)
    for path in ("/lanes", "/sources", "/credentials", "/certificates", "/keys",
                 "/configuration/schema", "/messages?size=100", "/organizations", "/openapi.json"):  # fmt: skip
        await ask("GET", path, 200, 404)
    text = hub.config.read_text()
    wrong = text.replace("http://127.0.0.1:1/", f"http://hub:{SECRETS['userinfo']}@127.0.0.1:1/")
    other = text.replace("http://127.0.0.1:1/", "http://hub:${secret:lab.password}@127.0.0.1:1/")
    assert wrong != text != other
    for document in (text, wrong, other, f"password: {SECRETS['typed']}", "version: 1"):
        proposal = {"documents": [{"name": "hub.yaml", "text": document}], "folder": str(hub.folder)}
        for verb in ("check", "plan"):
            await ask("POST", f"/configuration/{verb}", 200, 400, json=proposal)
    for path in ("/health/ready", "/health/live"):
        await outside("GET", path, 200, 503)


def files(folder: Path) -> dict[str, bytes]:
    """The raw bytes of everything in a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def dump(database: str) -> dict[str, bytes]:
    """Every value of every table, as text and as the bytes that it is."""
    found: dict[str, bytes] = {}
    with psycopg.connect(database) as server:
        names = server.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        for (name,) in names:
            rows = server.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(name))).fetchall()
            values = [value for row in rows for value in row]
            found[name] = b"\n".join(one if isinstance(one, bytes) else repr(one).encode() for one in values)
    assert len(found) > 20
    assert found["credential"]
    return found


def check(
    sinks: Sinks, hub: Any, held: list[str], live: dict[str, bytes], rows: dict[str, bytes], folder: Path
) -> None:
    """No sink has any of them."""
    secrets = [*held, SECRETS["key"]]
    shown: list[tuple[str, list[str]]] = [(name, found(content, secrets)) for name, content in sinks.clinical]
    both = [*secrets, *PATIENT]
    shown += [(name, found(content, both)) for name, content in sinks.responses]
    shown += [(f"live {name}", found(content, both)) for name, content in live.items()]
    shown += [(f"row of {name}", found(content, both)) for name, content in rows.items()]
    shown += [(f"stopped {name}", found(content, both)) for name, content in files(hub.data).items()]
    lines = hub.log.read_bytes().splitlines()
    shown += [(line.decode(errors="replace")[:400], found(line, both)) for line in lines]
    if (folder / "hub.age").exists():
        shown.append(("backup", found((folder / "hub.age").read_bytes(), both)))
    assert [(name, canaries) for name, canaries in shown if canaries] == []
    assert len(sinks.responses) > 40
    assert any(b"Zaunkoenig^Wilhelmine, " in content and b"with ***" in content for _, content in sinks.clinical)
