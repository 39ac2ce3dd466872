"""Every operation of the OpenAPI document is called as its own example says, by somebody who really signed in.

What an example cannot know (an id, a token, a code) is put in its place; a new route is called without a line here, or
fails for want of a thing that its path could name.
"""

from __future__ import annotations

import dataclasses
import datetime
import itertools
import re
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import httpx
import pyotp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from hilum import clock
from hilum.api import Edge, create_app
from hilum.model.access import Role

PHRASE = "a long phrase that nobody guesses"  # the document's own
EDGE = Edge.read(known=1_000_000, together=1_000_000, unknown=1_000_000, logged=False)
BIG = b'{"odd": "' + b"x" * 15_000_000 + b'"}'  # one for all that send it: an answer keeps what was asked
TABLE = b"USUBJID,AVAL\nA-01,5.5\n"
NOWHERE = str(uuid.UUID(int=0))
Operation = tuple[str, str, str, dict[str, Any]]


@dataclasses.dataclass
class Person:
    """Somebody with every role, signed in."""

    http: httpx.AsyncClient
    email: str
    refresh: str

    async def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        return await self.http.request(method, path, **options)

    async def get(self, path: str) -> Any:
        response = await self.ask("GET", f"/api/v1{path}")
        assert response.status_code == 200, response.text
        return response.json()


@dataclasses.dataclass
class Answered:
    """An operation, what was sent and what came back."""

    name: str
    method: str
    path: str
    operation: dict[str, Any]
    response: httpx.Response

    @property
    def label(self) -> str:
        return f"{self.method} {self.path}: {self.response.status_code} {self.response.text[:300]}"


class World:
    """A running hub, and what there is on it."""

    def __init__(self, running: Any, message: Callable[..., bytes], until: Callable[..., Awaitable[None]]) -> None:
        self.running, self._message, self._until = running, message, until
        self.local = create_app(running.hub.services(), local=True)
        self.app = create_app(running.hub.services(), local=False, edge=EDGE)
        self.document = self.app.openapi()
        self._numbers = itertools.count(1)
        self._clients: list[httpx.AsyncClient] = []

    def message(self, *given: Any, **others: Any) -> bytes:
        """A message that we wrote ourselves."""
        return self._message(*given, **others)

    def answered(self, *told: Any) -> Answered:
        return Answered(*told)

    async def close(self) -> None:
        for one in self._clients:
            await one.aclose()

    def client(self) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(self.app, client=("192.0.2.7", 1))
        self._clients.append(httpx.AsyncClient(transport=transport, base_url="http://hub"))
        return self._clients[-1]

    async def invited(self, *roles: str) -> tuple[str, str]:
        """Somebody's address, and the token of their link. No roles: all."""
        email = f"person{next(self._numbers)}@example.org"
        body = {"email": email, "name": "Ann Smith", "roles": [{"role": role} for role in roles or Role]}
        made = await self.running.local.post("/api/v1/users", json=body)
        assert made.status_code == 201, made.text
        return email, made.json()["link"]["token"]

    async def person(self, *roles: str) -> Person:
        email, token = await self.invited(*roles)
        client = self.client()
        opened = await client.post("/api/v1/auth/link", json={"token": token, "password": PHRASE})
        assert opened.status_code == 204, opened.text
        tokens = await client.post("/api/v1/auth/token", json={"email": email, "password": PHRASE})
        assert tokens.status_code == 200, tokens.text
        client.headers["authorization"] = f"Bearer {tokens.json()['access_token']}"
        return Person(client, email, tokens.json()["refresh_token"])

    async def begin(self) -> None:
        """A message that went its way; policy wants a second person for something that no example does."""
        await self.receive(1)
        who = await self.person()
        rule = {"operation": "policy.change", "environments": ["development"], "four_eyes": True}
        await self._change_settings(who, {"policy": [rule]}, 200)

    async def receive(self, count: int) -> None:
        """Messages of one patient, which go their way."""
        bodies = [self._message(f"R{next(self._numbers)}", patient="4711") for _ in range(count)]
        assert await self.running.send(*bodies) == ["AA"] * count
        await self.running.settled()

    async def home(self, who: Person) -> str:
        """The id of the organization that all of this happens in."""
        return str(next(one["id"] for one in (await who.get("/organizations"))["items"] if one["name"] == "demo"))

    async def _change_settings(self, who: Person, settings: Any, status: int) -> Any:
        path = f"/api/v1/organizations/{await self.home(who)}"
        found = await who.ask("GET", path)
        told = {"settings": {**found.json()["settings"], **settings}}
        response = await who.ask("PATCH", path, json=told, headers={"if-match": found.headers["etag"]})
        assert response.status_code == status, response.text
        return response.json()

    async def refused(self, who: Person) -> str:
        """What to ask for an approval with."""
        error = (await self._change_settings(who, {"policy": []}, 403))["error"]
        return str(error["details"]["approval_required"]["request"])

    async def stuck(self) -> int:
        """The delivery at the head of the laboratory's lane, which it refused."""
        self.running.lab.code = "AR"
        await self.running.send(self._message(f"S{next(self._numbers)}"), self._message(f"S{next(self._numbers)}"))
        found: list[int] = []

        async def reached() -> bool:
            lanes = {one["reference"]: one for one in (await self.running.get("/lanes", size=100))["items"]}
            found[:] = [one["delivery"] for one in lanes["lab/out"]["stuck"]]
            return bool(found) and lanes["lab/out"]["state"] == "blocked"

        await self._until(reached)
        self.running.lab.code = "AA"
        return found[0]

    async def call(self, name: str, method: str, path: str, operation: dict[str, Any]) -> Answered:
        """As a person of their own: some operations end sessions."""
        who = await self.person()
        place = await self.place(who, name, path)
        options: dict[str, Any] = {"headers": {"x-reason": "an example"}, "params": await self.query(operation)}
        if "412" in operation["responses"]:
            thing = await who.ask("GET", path[: path.index("}") + 1].format_map(place))
            options["headers"]["if-match"] = thing.headers["etag"]
        if takes_json(operation):
            options["json"] = await self.body(who, name, operation, place)
        elif "requestBody" in operation:
            options["content"] = TABLE
        response = await who.ask(method, path.format_map(place), **options)
        if response.status_code == 403 and "signature_required" in response.text:
            options["headers"]["x-signature"] = await self._signed(who, response.json()["error"]["details"])
            response = await who.ask(method, path.format_map(place), **options)
        return Answered(name, method, path, operation, response)

    async def _signed(self, who: Person, details: dict[str, Any]) -> str:
        """The signature that policy asks for."""
        needed = details["signature_required"]
        body = {"operation": needed["operation"], "entity": needed["entity"], "meaning": needed["meanings"][0]}
        made = await who.ask("POST", "/api/v1/signatures", json={**body, "password": PHRASE})
        assert made.status_code == 201, made.text
        return str(made.json()["id"])

    big = BIG

    def takes_json(self, operation: dict[str, Any]) -> bool:
        return takes_json(operation)

    def code(self, path: str, number: int) -> str:
        """What an error is called there (C-14)."""
        return f"{'EXP' if path.startswith('/api/v1/exports') else 'INT'}{number:03d}"

    def operations(self) -> Iterator[Operation]:
        """Name, method, path and description of each."""
        return operations(self.document)

    def operation(self, name: str) -> dict[str, Any]:
        return next(one[3] for one in self.operations() if one[0] == name)

    async def query(self, operation: dict[str, Any]) -> dict[str, str]:
        known = {"key": "patient", "value": "4711", "study": "trial", "file": "vs.csv"}
        needed = [one["name"] for one in operation.get("parameters", ()) if one["in"] == "query" and one["required"]]
        return {name: known[name] for name in needed}

    async def failures(self, name: str, method: str, path: str, operation: dict[str, Any]) -> list[Answered]:
        """What comes of requests that are wrong in one way or the other: each has an error that the document lists."""
        who, at = await self.person(), re.sub(r"\{[^}]*\}", NOWHERE, path)
        query = await self.query(operation)
        told: dict[str, Any] = {"headers": {"if-match": '"v1"'}, "params": query}
        if takes_json(operation):
            told["json"] = operation["requestBody"]["content"]["application/json"]["example"]
        odd: list[dict[str, Any]] = [
            {"headers": {"authorization": "Bearer nobody"}},
            {"headers": {"accept": "image/png"}},
            {"headers": {"if-match": "", "idempotency-key": "k" * 300}},
            {"headers": {"if-match": '"v99"'}},
            {"params": {**query, "size": "101", "page": "0"}},
            {},
        ]
        if "json" in told:
            odd += [{"json": []}, {"json": {**told["json"], "odd": 1}}]
            odd += [{"json": None, "content": BIG, "headers": {"content-type": "application/json"}}]
            odd += [{"json": None, "content": b"x", "headers": {"content-type": "text/plain"}}]
        found = []
        for one in odd:
            options = {**told, **one, "headers": {**told["headers"], **one.get("headers", {})}}
            response = await who.ask(method, at, **{key: value for key, value in options.items() if value is not None})
            if response.status_code >= 400:
                found.append(Answered(name, method, path, operation, response))
        return found

    async def place(self, who: Person, name: str, path: str) -> dict[str, str]:
        """What the path's parameters are: something that there is, made for this call where it can be."""
        if "{" not in path:
            return {}
        known = {
            "lanes": {"integration": "lab", "endpoint": "out"}, "oidc": {"organization": "demo"},
            "organizations": {"organization_id": await self.home(who)},
        }  # fmt: skip
        collection, first = path[: path.index("/{")], path[path.index("{") + 1 : path.index("}")]
        noun = collection.rpartition("/")[2]
        if noun in known:
            return known[noun]
        find = getattr(self, f"_some_{noun.replace('-', '_')}", None)
        made = await find(who, name) if find is not None else await self._made(who, collection)
        return {
            "number": "1",
            "blob_id": NOWHERE,
            "link_id": (await self._link(who, made))["id"] if "{link_id}" in path else NOWHERE,
            "delivery_id": await self._delivery(who, made) if "{delivery_id}" in path else NOWHERE,
            "endpoint_id": await self._endpoint(who, made, path),
            first: made,
        }

    async def _endpoint(self, who: Person, integration: str, path: str) -> str:
        if "{endpoint_id}" not in path:
            return NOWHERE
        found = await who.get(f"/integrations/{integration}")
        return str(found["endpoints"][0]["id"])

    async def _some_audit(self, who: Person, name: str) -> str:
        return str((await who.get("/audit"))["items"][-1]["event"]["id"])

    async def _some_messages(self, who: Person, name: str) -> str:
        return str((await who.get("/messages"))["items"][-1]["id"])

    async def _some_sessions(self, who: Person, name: str) -> str:
        return str((await who.get("/auth/sessions"))["items"][-1]["id"])

    async def _some_jobs(self, who: Person, name: str) -> str:
        if "export" in name:
            return await self._exported(who)
        return str((await who.ask("POST", "/api/v1/lanes/lab/out/retry")).json()["id"])

    async def _exported(self, who: Person) -> str:
        """An export that is done."""
        made = await self._made(who, "/api/v1/exports/data")

        async def is_done() -> bool:
            return bool((await who.get(f"/exports/jobs/{made}"))["status"] == "succeeded")

        await self._until(is_done)
        return made

    async def _link(self, who: Person, export: str) -> Any:
        return (await who.ask("POST", f"/api/v1/exports/jobs/{export}/links", json={"receiver": "Sponsor"})).json()

    async def _some_links(self, who: Person, name: str) -> str:
        return str((await self._link(who, await self._exported(who)))["url"]).rpartition("/")[2]

    async def _some_imports(self, who: Person, name: str) -> str:
        query = {"study": "trial", "file": f"vs{next(self._numbers)}.csv"}
        made = await who.ask("POST", "/api/v1/datasets/imports", params=query, content=TABLE)
        assert made.status_code == 202, made.text
        return str(made.json()["id"])

    async def _some_datasets(self, who: Person, name: str) -> str:
        at = f"/datasets/imports/{await self._some_imports(who, name)}"

        async def is_done() -> bool:
            return bool((await who.get(at))["datasets"])

        await self._until(is_done)
        return str((await who.get(at))["datasets"][0])

    async def _quiet(self, who: Person, place: Any = None) -> dict[str, Any]:
        """Five exports of an organization may be at work."""

        async def is_over() -> bool:
            return not {one["status"] for one in (await who.get("/exports/jobs"))["items"]} & {"queued", "running"}

        await self._until(is_over)
        return {}

    _export_data = _export_report = _export_dashboard = _quiet

    async def _export_package(self, who: Person, place: Any) -> dict[str, Any]:
        await self._quiet(who)
        await self._some_datasets(who, "")
        return {"study": "trial"}

    async def _export_bulk(self, who: Person, place: Any) -> dict[str, Any]:
        await self._quiet(who)
        rows = {"kind": "data", "dataset": await self._some_datasets(who, ""), "format": "csv"}
        return {"items": [rows, {"kind": "report", "report": "integration-activity", "format": "json"}]}

    async def _some_approvals(self, who: Person, name: str) -> str:
        return await self._made(await self.person(), "/api/v1/approvals")

    async def _some_certificates(self, who: Person, name: str) -> str:
        return await self._made(who, f"/api/v1/certificates{'/requests' * (name == 'complete_certificate')}")

    async def _some_policies(self, who: Person, name: str) -> str:
        return "execution_bodies"

    async def _some_archives(self, who: Person, name: str) -> str:
        return NOWHERE  # bodies are archived by their age

    async def _some_integrations(self, who: Person, name: str) -> str:
        made = await self._made(who, "/api/v1/integrations")
        if name == "restore_integration":
            assert (await who.ask("DELETE", f"/api/v1/integrations/{made}")).status_code == 204
        return made

    async def _some_executions(self, who: Person, name: str) -> str:
        """One whose partner could not be reached."""
        path = "/api/v1/integrations/{integration_id}/endpoints/{endpoint_id}/execute"
        done = await who.ask("POST", path.format_map(await self.place(who, "", path)), json={"data": {}})
        return str(done.json()["error"]["details"]["execution"])

    async def _some_routes(self, who: Person, name: str) -> str:
        made = await self._made(who, "/api/v1/routes")
        if name == "rollback_route":
            await self._again(who, f"/api/v1/routes/{made}", "PATCH", {"to": ["lab/out"]})
        return made

    async def _some_mappings(self, who: Person, name: str) -> str:
        made = await self._made(who, "/api/v1/mappings")
        if name == "rollback_mapping":
            await self._again(who, f"/api/v1/mappings/{made}", "PUT", {"document": {"set": {"MSH-5": "OTHER"}}})
        return made

    async def _again(self, who: Person, path: str, method: str, body: Any) -> None:
        """A second version."""
        tag = (await who.ask("GET", path)).headers["etag"]
        changed = await who.ask(method, path, json=body, headers={"if-match": tag, "x-reason": "an example"})
        assert changed.status_code == 200, changed.text

    async def _some_subject_exports(self, who: Person, name: str) -> str:
        made = await self._made(who, "/api/v1/subject-exports")

        async def is_done() -> bool:
            return (await who.get(f"/subject-exports/{made}"))["state"] == "done"

        if name == "download_subject_export":
            await self._until(is_done)
        return made

    async def _some_in(self, who: Person, name: str) -> str:
        return await self._made(who, "/api/v1/webhooks/receivers")

    async def _change_config(self, who: Person, place: Any) -> dict[str, Any]:
        """The failures of others made one of the example's name."""
        return {"name": f"Payments-{next(self._numbers)}"}

    async def _replace_vendor(self, who: Person, place: Any) -> dict[str, Any]:
        return {"name": f"vendor-{next(self._numbers)}"}

    async def _replace_integration(self, who: Person, place: Any) -> dict[str, Any]:
        return {"name": f"Lab results-{next(self._numbers)}"}

    async def _create_webhook_receiver(self, who: Person, place: Any) -> dict[str, Any]:
        """Of an integration of its own."""
        body = {"name": f"hook-{next(self._numbers)}", "type": "WEBHOOK"}
        made = await who.ask("POST", "/api/v1/integrations?initialize=false", json=body)
        assert made.status_code == 201, made.text
        return {"integration": made.json()["id"]}

    async def _made(self, who: Person, path: str) -> str:
        """The id of something new, as the example of its POST has it."""
        found = self.document["paths"][path]["post"]
        body = await self.body(who, found["operationId"], found, {})
        response = await who.ask("POST", path, json=body, headers={"x-reason": "an example"})
        assert response.status_code in (201, 202), f"{path}: {response.text}"
        return response.headers["location"].rpartition("/")[2]

    async def body(self, who: Person, name: str, operation: dict[str, Any], place: dict[str, str]) -> dict[str, Any]:
        """The example, with what it cannot know."""
        body: dict[str, Any] = dict(operation["requestBody"]["content"]["application/json"]["example"])
        if "201" in operation["responses"] and "name" in body:
            body["name"] = f"{body['name']}-{next(self._numbers)}"
        if "email" in body:
            body["email"] = f"new{next(self._numbers)}@example.org" if "name" in body else who.email
        make = getattr(self, f"_{name}", None)
        return body | (await make(who, place) if make is not None else {})

    async def _delivery(self, who: Person, subscription: str) -> str:
        """The id of a delivery to it."""
        response = await who.ask("POST", f"/api/v1/webhooks/subscriptions/{subscription}/test")
        assert response.status_code == 202, response.text
        return str(response.json()["id"])

    async def _replace_route(self, who: Person, place: dict[str, str]) -> dict[str, Any]:
        return {"name": place["name"]}

    async def _replace_export_plan(self, who: Person, place: Any) -> dict[str, Any]:
        return {"name": f"plan-{next(self._numbers)}"}

    async def _create_organization(self, who: Person, place: Any) -> dict[str, Any]:
        return {"administrator": {"email": f"new{next(self._numbers)}@example.org", "name": "Ann Smith"}}

    async def _refresh(self, who: Person, place: Any) -> dict[str, Any]:
        return {"refresh_token": who.refresh}

    async def _revoke_token(self, who: Person, place: Any) -> dict[str, Any]:
        """Another one of theirs."""
        tokens = await who.ask("POST", "/api/v1/auth/token", json={"email": who.email, "password": PHRASE})
        return {"token": tokens.json()["access_token"]}

    async def _use_link(self, who: Person, place: Any) -> dict[str, Any]:
        return {"token": (await self.invited())[1]}

    _look_at_link = _use_link

    async def _ask_approval(self, who: Person, place: Any) -> dict[str, Any]:
        return {"request": await self.refused(who)}

    async def _skip_delivery(self, who: Person, place: Any) -> dict[str, Any]:
        return {"delivery": await self.stuck()}

    async def _create_signature(self, who: Person, place: Any) -> dict[str, Any]:
        return {"entity": f"organization/{await self.home(who)}"}

    async def _confirm_totp(self, who: Person, place: Any) -> dict[str, Any]:
        begun = (await who.ask("POST", "/api/v1/auth/totp", json={"password": PHRASE})).json()
        self._secret = pyotp.TOTP(begun["secret"])
        return {"enrolment": begun["enrolment"], "code": self._secret.at(clock.micros() // 1_000_000)}

    async def _remove_totp(self, who: Person, place: Any) -> dict[str, Any]:
        confirmed = await who.ask("POST", "/api/v1/auth/totp/confirm", json=await self._confirm_totp(who, place))
        assert confirmed.status_code == 204, confirmed.text
        return {"code": self._secret.at(clock.micros() // 1_000_000 + 30)}  # that one was used

    async def _complete_certificate(self, who: Person, place: dict[str, str]) -> dict[str, Any]:
        asked = await who.get(f"/certificates/{place['certificate_id']}")
        return {"chain": issued(asked["request"])}


def takes_json(operation: dict[str, Any]) -> bool:
    return "application/json" in operation.get("requestBody", {}).get("content", {})


def issued(request: str) -> str:
    """What an authority makes of a request (PKCS#10)."""
    wanted, now = x509.load_pem_x509_csr(request.encode()), clock.now()
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Authority")])
    builder = x509.CertificateBuilder().subject_name(wanted.subject).issuer_name(name).public_key(wanted.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
    made = builder.not_valid_after(now + datetime.timedelta(days=9)).sign(
        ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()
    )
    return made.public_bytes(serialization.Encoding.PEM).decode()


def operations(document: dict[str, Any]) -> Iterator[Operation]:
    for path, several in document["paths"].items():
        for method, operation in several.items():
            yield operation["operationId"], method.upper(), path, operation


@pytest.fixture
async def world(
    running: Any, message: Callable[..., bytes], until: Callable[..., Awaitable[None]]
) -> AsyncIterator[World]:
    world = World(running, message, until)
    await world.begin()
    yield world
    await world.close()
