"""What is wrong, what is in the way and what breaks: how every operation says so."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from hilum.api import Edge, create_app
from hilum.api.errors import GENERIC
from hilum.errors import StoreError

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]
EDGE = Edge.read(known=1_000_000, together=1_000_000, unknown=1_000_000, logged=False)
NOWHERE = "00000000-0000-0000-0000-000000000000"


JUDGES = {"validate_integration", "receive_webhook"}
"""Operations that say of anything whether it would do; and what a partner sends, whatever it is: that is a message."""


@pytest.mark.ledger("S0-44")
async def test_what_is_wrong_with_a_request_is_said_field_by_field(world: Any) -> None:
    """400 INT002 with the first error's place, and all of them in details."""
    who = await world.person()

    async def said(status: int, method: str, path: str, **options: Any) -> dict[str, Any]:
        response = await who.ask(method, path, **options)
        assert response.status_code == status, f"{method} {path} {options}: {response.text}"
        error: dict[str, Any] = response.json()["error"]
        assert error["code"] == world.code(path, 2)
        first = error["details"]["errors"][0]
        if isinstance(first, str):  # document 003 has them as sentences, and their place beside them
            assert error["field"], f"{method} {path}: {error}"
        else:
            assert error["field"] == first["field"], f"{method} {path}: {error}"
            assert all(one["message"] for one in error["details"]["errors"])
            assert "wr0ng" not in response.text  # what was sent is not repeated
        return error

    for name, method, path, operation in world.operations():
        if not path.startswith("/api/v1/") or name in JUDGES:
            continue
        at = re.sub(r"\{[^}]*\}", NOWHERE, path)
        versioned = {"if-match": '"v1"'}
        if world.takes_json(operation):
            at = path.format_map(await world.place(who, name, path))
            example = operation["requestBody"]["content"]["application/json"]["example"]
            form = {"content-type": "application/json", **versioned}
            assert (await said(400, method, at, content=b"{wr0ng", headers=form))["field"] == "body"
            odd = await said(400, method, at, json={**example, "odd_1": 1, "odd_2": 2}, headers=versioned)
            assert len(odd["details"]["errors"]) == 2
            several = await said(
                400, method, at, json={key: [["wr0ng"]] for key in example} | {"odd": 1}, headers=versioned
            )
            assert len(several["details"]["errors"]) >= min(2, len(example)), several
        for one in operation.get("parameters", ()):
            schema = next((each for each in one["schema"].get("anyOf", [one["schema"]])), {})
            if one["in"] == "path" and schema.get("format") == "uuid":
                wrong = re.sub(r"\{[^}]*\}", NOWHERE, path.replace(f"{{{one['name']}}}", "wr0ng"))
                assert (await said(400, method, wrong, headers=versioned, **_empty(operation)))["field"] == one[
                    "name"
                ], name
            if one["in"] == "query" and schema.get("type") == "integer":
                query = {**await world.query(operation), one["name"]: "wr0ng"}
                assert (await said(400, method, at, params=query))["field"] == one["name"]


def _empty(operation: dict[str, Any]) -> dict[str, Any]:
    content = operation.get("requestBody", {}).get("content", {})
    return {"json": content["application/json"]["example"]} if "application/json" in content else {}


ALIKE = {"place_legal_hold"}
"""What may have the name of another one: it is told apart by what it is about."""


@pytest.mark.ledger("S0-46")
async def test_what_is_there_already_and_what_moved_on_is_a_conflict(world: Any) -> None:
    """409 for a second one of a name and for a state that forbids it, 412 for a version that is not the last."""
    who, named, versioned = await world.person(), set(), set()

    def conflict(response: httpx.Response, status: int) -> None:
        told = (status, world.code(response.request.url.path, 4))
        assert (response.status_code, response.json()["error"]["code"]) == told, response.text

    for name, method, path, operation in world.operations():
        if method == "POST" and "{" not in path and "201" in operation["responses"]:
            body = await world.body(who, name, operation, {})
            if "name" in body or "email" in body:
                answers = [await who.ask(method, path, json=body) for _ in range(3)]  # a key may have a successor
                assert answers[0].status_code == 201, answers[0].text
                if name not in ALIKE:
                    named.add(name)
                    conflict(answers[2], 409)
        if "412" in operation["responses"]:
            versioned.add(name)
            place = await world.place(who, name, path)
            thing = path[: path.index("}") + 1].format_map(place)
            before = await who.ask("GET", thing)
            body = {"json": await world.body(who, name, operation, place)} if "requestBody" in operation else {}
            stale = await who.ask(
                method, path.format_map(place), headers={"if-match": '"v99"', "x-reason": "why"}, **body
            )
            if "signature_required" not in stale.text:  # policy asks first, and a signature is for one version alone
                conflict(stale, 412)
            after = await who.ask("GET", thing)
            assert after.headers["etag"] == before.headers["etag"]
    assert named >= {"create_study", "create_organization", "create_credential", "invite_user", "create_api_key"}
    assert len(versioned) > 8
    decided = await world.call("deny", "POST", "/api/v1/approvals/{approval_id}/deny", world.operation("deny"))
    at = f"/api/v1/approvals/{decided.response.json()['id']}/approve"
    conflict(await (await world.person()).ask("POST", at, json={}), 409)


class Broken:
    """A service that nobody foresaw."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("patient Doe")

    def __call__(self, *_: Any, **__: Any) -> Any:
        raise RuntimeError("patient Doe")


class Locked:
    """A service whose store does not answer."""

    def __getattr__(self, name: str) -> Any:
        raise StoreError("cannot store: relation patient_doe does not exist")


ALONE = {
    "live",
    "configuration_schema",
    "list_credential_kinds",
    "list_export_formats",
    "list_export_reports",
    "list_export_dashboards",
}
"""Operations that need no service: nothing of theirs can fail."""


@pytest.mark.ledger("S0-47")
async def test_whatever_breaks_the_caller_is_told_no_more_than_an_id(world: Any, served_log: Callable[[], str]) -> None:
    services = world.running.hub.services()
    working = {"identity", "record", "metrics", "answers"}  # what an answer needs on its way
    others = [one.name for one in dataclasses.fields(services) if one.name not in working]
    for broken, status in ((Broken(), 500), (Locked(), 503)):
        replaced: Any = dict.fromkeys(others, broken)
        app = create_app(dataclasses.replace(services, **replaced), local=False, edge=EDGE)
        who = await world.person()
        who.http = httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://hub", headers=who.http.headers
        )  # fmt: skip
        for name, method, path, operation in world.operations():
            if name in ALONE | {"metrics", "callback"}:
                continue
            place = dict.fromkeys(re.findall(r"\{([^}]*)\}", path), NOWHERE) | {"number": "1"}
            options = {"headers": {"if-match": '"v1"'}, "params": await world.query(operation), **_empty(operation)}
            response = await who.ask(method, path.format_map(place), **options)
            assert response.status_code == status, f"{name}: {response.text}"
            error = response.json()["error"]
            assert (error["code"], error["message"], error["details"]) == (world.code(path, 5), GENERIC, {}), name
            assert "doe" not in response.text.lower()
            assert "Traceback" not in response.text
            assert error["request_id"] in served_log()
        await who.http.aclose()
    assert "RuntimeError: patient Doe" in served_log()
