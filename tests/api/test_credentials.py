"""/credentials, /certificates and /keys over the hub's socket: what goes in, and that no secret comes out."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import trustme
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from hilum import clock
from hilum.security.api_keys import PATTERN
from hilum.store import Connection, jobs, outbox
from hilum.store.credentials import DAY
from hilum.store.schema_people import credential

pytestmark = pytest.mark.anyio
CANARY = "kanarienvogel-4711-gelb-und-laut"
BASIC = {"name": "lab", "kind": "basic", "fields": {"username": "hub"}, "secrets": {"password": CANARY}}


@pytest.fixture
async def ask(running: Any) -> Callable[..., Any]:
    """Asks the running hub; every answer is searched for the secret."""

    async def work(
        method: str, path: str, expected: int, body: Any = None, version: int | None = None
    ) -> httpx.Response:
        headers = {} if version is None else {"if-match": f'"v{version}"'}
        answer: httpx.Response = await running.local.request(method, f"/api/v1{path}", json=body, headers=headers)
        assert answer.status_code == expected, answer.text
        assert CANARY not in answer.text
        return answer

    return work


@pytest.mark.ledger("S2-35")
async def test_a_credential_from_its_making_to_its_end(ask: Callable[..., Any]) -> None:
    made = await ask("POST", "/credentials", 201, BASIC)
    where = made.headers["location"].removeprefix("/api/v1")
    assert made.headers["etag"] == '"v1"'
    assert made.json()["secrets"]["password"]["set"] is True
    assert set(made.json()["secrets"]["password"]) == {"set", "last4", "updated_at", "updated_by", "version"}
    listed = (await ask("GET", "/credentials?kind=basic", 200)).json()
    assert (listed["total"], listed["items"][0]["name"]) == (1, "lab")
    assert (await ask("GET", "/credentials?kind=jwt", 200)).json()["total"] == 0
    assert (await ask("GET", where, 200)).json() == listed["items"][0]
    await ask("PATCH", where, 428, {"rotate_every": 90})
    changed = await ask("PATCH", where, 200, {"rotate_every": 90}, 1)
    assert (changed.json()["rotate_every"], changed.headers["etag"]) == (90, '"v2"')
    kept = (await ask("PATCH", where, 200, {"fields": {"username": "v"}}, 2)).json()
    assert (kept["rotate_every"], kept["secrets"]["password"]["version"]) == (90, 1)
    await ask("POST", f"{where}/rotate", 412, {"secrets": {"password": "another one"}}, 2)
    rotated = (await ask("POST", f"{where}/rotate", 200, {"secrets": {"password": "another one"}}, 3)).json()
    assert rotated["secrets"]["password"]["version"] == 2
    cleared = (await ask("PATCH", where, 200, {"secrets": {"password": None}, "rotate_every": None}, 4)).json()
    assert (cleared["secrets"], cleared["rotate_every"]) == ({}, None)
    assert (await ask("GET", f"{where}/usage", 200)).json() == {"items": [], "others": 0}
    await ask("DELETE", where, 428)
    await ask("DELETE", where, 204, version=5)
    await ask("GET", where, 404)


@pytest.mark.parametrize(
    "body",
    [
        {**BASIC, "name": "has.dot"},
        {**BASIC, "kind": "paper"},
        {**BASIC, "fields": {}},
        {**BASIC, "secrets": {"pass word": CANARY}},
        {**BASIC, "secrets": {"key": CANARY}},
        {**BASIC, "secrets": {"password": {"deep": CANARY}}},
        {**BASIC, "secrets": {"password": CANARY * 2_000}},
        {**BASIC, "rotate_every": 0},
        {**BASIC, "fields": {"username": 1.5}},
        {**BASIC, "fields": {"username": ["a"]}},
        {**BASIC, "kind": "generic", "fields": {"x": "a\0b"}},
        {**BASIC, "kind": "generic", "fields": {"x": 1}},
        {**BASIC, "password": CANARY},
    ],
)
async def test_what_is_refused_is_not_repeated(ask: Callable[..., Any], body: dict[str, Any]) -> None:
    await ask("POST", "/credentials", 400, body)
    assert (await ask("GET", "/credentials", 200)).json()["total"] == 0


async def test_a_name_is_taken_once_and_kinds_are_described(ask: Callable[..., Any]) -> None:
    await ask("POST", "/credentials", 201, BASIC)
    await ask("POST", "/credentials", 409, BASIC)
    kinds = {one["kind"]: one for one in (await ask("GET", "/credentials/kinds", 200)).json()["items"]}
    assert kinds["basic"]["secrets"] == ["password"]
    assert "username" in kinds["basic"]["fields"]["properties"]
    assert kinds["generic"] == {"kind": "generic", "fields": None, "secrets": None}


async def test_certificates(ask: Callable[..., Any]) -> None:
    leaf = trustme.CA().issue_cert("lab.example")
    chain, key = leaf.cert_chain_pems[0].bytes().decode(), leaf.private_key_pem.bytes().decode()
    made = await ask("POST", "/certificates", 201, {"name": "lab-tls", "chain": chain, "key": key})
    where = made.headers["location"].removeprefix("/api/v1")
    assert made.json()["certificate"]["key"] == {"set": True}
    for path in ("/certificates", where):
        assert key.splitlines()[1] not in (await ask("GET", path, 200)).text
    other = trustme.CA().issue_cert("other.example").private_key_pem.bytes().decode()
    refused = await ask("POST", "/certificates", 400, {"name": "x", "chain": chain, "key": other})
    assert refused.json()["error"]["field"] == "key"
    assert other.splitlines()[1] not in refused.text
    await ask("POST", "/certificates", 400, {"name": "x", "pkcs12": base64.b64encode(b"x").decode()})
    asked = await ask(
        "POST", "/certificates/requests", 201, {"name": "hub", "subject": {"common_name": "hub.example"}}
    )  # fmt: skip
    assert "BEGIN CERTIFICATE REQUEST" in asked.json()["request"]
    assert "PRIVATE KEY" not in asked.text
    other_where = asked.headers["location"].removeprefix("/api/v1")
    await ask("POST", f"{other_where}/complete", 400, {"chain": chain}, 1)
    await ask("POST", f"{where}/complete", 409, {"chain": chain}, 1)
    renewing = await ask("POST", f"{where}/renew", 200, {"subject": {"common_name": "lab.example"}}, 1)
    assert renewing.json()["certificate"]["renewing"] is True
    await ask("PUT", where, 200, {"chain": chain, "key": key}, 2)
    await ask("DELETE", where, 204, version=3)
    await ask("GET", f"{other_where}/usage", 200)


async def test_keys(ask: Callable[..., Any], until: Callable[..., Any]) -> None:
    await ask("POST", "/credentials", 201, BASIC)
    (first,) = (await ask("GET", "/keys", 200)).json()["items"]
    assert (first["number"], first["provider"], first["current"], first["sealed"]) == (1, "file", True, 1)
    assert (await ask("POST", "/keys/rotate", 202)).json()["number"] == 2

    async def resealed() -> bool:
        keys = (await ask("GET", "/keys", 200)).json()["items"]
        return [one["sealed"] for one in keys] == [1, 0] and keys[1]["retired_at"] is not None

    await until(resealed)
    assert (await ask("POST", "/keys/rewrap", 200, {"new_master": True})).json() == {"keys": 2}
    assert {one["wrapped_by"] for one in (await ask("GET", "/keys", 200)).json()["items"]} == {"2"}


@pytest.mark.ledger("S4-103")
async def test_ages_reminders_disuse_and_a_prefix_that_scanners_know(
    running: Any, ask: Callable[..., Any], until: Callable[..., Any]
) -> None:
    store = running.hub.store
    await ask("POST", "/credentials", 201, {**BASIC, "rotate_every": 30})
    await ask("POST", "/credentials", 201, {**BASIC, "name": "young", "rotate_every": 90})

    def age(connection: Connection) -> None:
        old = {"rotated_at": clock.micros() - 45 * DAY, "used_at": clock.micros() - 40 * DAY}
        connection.execute(credential.update().where(credential.c.name == "lab").values(old))

    await store.write(age)
    lab, young = (await ask("GET", "/credentials", 200)).json()["items"]
    assert (lab["age"], lab["rotation"], lab["unused_for"]) == (45, "due", 40)
    assert (young["age"], young["rotation"], young["unused_for"]) == (0, "ok", None)
    await store.write(jobs.insert, "vault_reminders", {}, actor="schedule")
    store.signal("job")

    async def reminded() -> bool:
        notes = await store.read(outbox.after, 0)
        return [note.entity for note in notes if note.topic == "credential.rotation_due"] == [f"credential/{lab['id']}"]

    await until(reminded)
    made = (await ask("POST", "/api-keys", 201, {"name": "feed", "role": "service", "scopes": ["lanes:read"]})).json()
    assert PATTERN.search(f"left in a file: {made['key']}."), "and that is what docs tell scanners"


def pem(made: Any) -> str:
    """A private key, PEM."""
    how = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    text: bytes = made.private_bytes(*how)
    return text.decode()


@pytest.mark.ledger("S2-72")
async def test_a_credential_that_cannot_be_one_is_not_kept(ask: Callable[..., Any]) -> None:
    """Its form is judged before it is saved; whether the partner takes it is not asked: nobody is dialled."""
    leaf, other = trustme.CA().issue_cert("lab.example"), trustme.CA().issue_cert("lab.example")
    chain = leaf.cert_chain_pems[0].bytes().decode()
    dialled: list[object] = []
    partner = await asyncio.start_server(lambda *_: dialled.append(1), "127.0.0.1", 0)
    token_url = f"http://127.0.0.1:{partner.sockets[0].getsockname()[1]}/token"
    ec_key, ed_key = pem(ec.generate_private_key(ec.SECP256R1())), pem(ed25519.Ed25519PrivateKey.generate())
    client, signer = {"token_url": token_url, "client_id": "hub"}, {"issuer": "hub", "algorithm": "ES256"}
    kinds: list[tuple[str, dict[str, str], dict[str, str], dict[str, str], str]] = [
        ("api_key", {}, {"key": "sk-live-1"}, {"key": "sk live"}, "secrets.key"),
        ("bearer", {}, {"token": "abc.def=="}, {"token": "abc def"}, "secrets.token"),
        ("basic", {"username": "hub"}, {"password": "a phrase"}, {"password": "a phrase\n"}, "secrets.password"),
        ("oauth2", client, {"client_secret": "s3cret"}, {"client_secret": "s3cret "}, "secrets.client_secret"),
        ("jwt", signer, {"private_key": ec_key}, {"private_key": ed_key}, "secrets.private_key"),
        ("jwt", {**signer, "algorithm": "HS256"}, {"shared_secret": "0123-4567-89ab-cdef" * 2},
         {"shared_secret": "0123-4567-89ab-cdef"}, "secrets.shared_secret"),
        ("ssh_key", {"username": "hub"}, {"private_key": ed_key}, {"private_key": chain}, "secrets.private_key"),
    ]  # fmt: skip
    for number, (kind, fields, good, bad, where) in enumerate(kinds):
        body = {"name": f"partner-{number}", "kind": kind, "fields": fields}
        refused = (await ask("POST", "/credentials", 400, {**body, "secrets": bad})).json()["error"]
        assert (refused["code"], refused["field"]) == ("INT002", where)
        assert (await ask("GET", "/credentials", 200)).json()["total"] == number, "nothing was kept"
        made = await ask("POST", "/credentials", 201, {**body, "secrets": good})
        at = made.headers["location"].removeprefix("/api/v1")
        for method, path in (("PATCH", at), ("POST", f"{at}/rotate")):
            refused = (await ask(method, path, 400, {"secrets": bad}, 1)).json()["error"]
            assert refused["field"] == where
        assert (await ask("GET", at, 200)).json() == made.json()
    certificates: list[tuple[dict[str, str], str]] = [
        ({"chain": "no certificate"}, "chain"),
        ({"chain": chain.replace("A", "!")}, "chain"),
        ({"chain": chain, "key": "no key"}, "key"),
        ({"chain": chain, "key": other.private_key_pem.bytes().decode()}, "key"),
        ({"pkcs12": "not base64!"}, "pkcs12"),
        ({"pkcs12": base64.b64encode(b"no file").decode()}, "pkcs12"),
    ]
    for content, where in certificates:
        refused = (await ask("POST", "/certificates", 400, {"name": "lab-tls", **content})).json()["error"]
        assert refused["field"] == where
        assert (await ask("GET", "/certificates", 200)).json()["total"] == 0
    await ask("POST", "/certificates", 201, {"name": "t", "chain": chain, "key": leaf.private_key_pem.bytes().decode()})
    partner.close()
    assert not dialled
