"""The document is what the specification wants, and every example in it does what it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from schemathesis.specs.openapi.definitions import OPENAPI_31

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]
ELSEWHERE = {
    "start": 404, "callback": 401,  # no organization has a provider to sign in with
    "authorize_integration": 409, "oauth_callback": 409,  # nobody has to consent to what the examples make
    "make_first_link": 409,  # the hub has its users
    "read_archive": 404, "verify_archive": 404, "restore_archive": 404,  # no body is old enough
    "execute_endpoint": 502, "cancel_execution": 409,  # the partner of the examples is not there
    "cancel_export": 409, "retry_export": 409,  # it is done before anybody can
    "release_export": 409, "read_export_signature": 404,  # what the examples export waits for nobody
    "read_execution_blob": 404,  # nothing was that large
    "sync_integration": 409,  # nothing has streams yet
    "receive_webhook": 401,  # it is signed by who sends it
}  # fmt: skip
"""Operations that cannot succeed here."""


def check(one: Any, components: dict[str, Any]) -> None:
    """The status is a good one that the document has, and the body what it says."""
    response, documented = one.response, one.operation["responses"]
    expected = ELSEWHERE.get(one.name)
    assert response.status_code == expected if expected else response.status_code < 400, one.label
    assert str(response.status_code) in documented, one.label
    about = documented[str(response.status_code)]
    if "$ref" in about:
        about = components["responses"][about["$ref"].rpartition("/")[2]]
    assert bool(response.content) == bool(about.get("content")), one.label
    for kind, content in about.get("content", {}).items():
        if response.headers["content-type"].partition(";")[0] == kind == "application/json":
            jsonschema_rs.validate({**content["schema"], "components": components}, response.json())
            assert "example" in content, one.label
    assert response.content == b"" or response.headers["content-type"].partition(";")[0] in about["content"], one.label


@pytest.mark.ledger("S0-42")
async def test_every_example_does_what_the_document_says(world: Any) -> None:
    jsonschema_rs.validate(OPENAPI_31, world.document)  # the specification's own schema
    named = [one[0] for one in world.operations()]
    assert len(named) == len(set(named))
    for one in world.operations():
        found = await world.call(*one)
        check(found, world.document["components"])
        assert found.operation["summary"]
        for wrong in await world.failures(*one):
            assert str(wrong.response.status_code) in wrong.operation["responses"], wrong.label
            about = wrong.operation["responses"][str(wrong.response.status_code)]
            if "$ref" in about:
                about = world.document["components"]["responses"][about["$ref"].rpartition("/")[2]]
            schema = about["content"]["application/json"]["schema"]
            jsonschema_rs.validate({**schema, "components": world.document["components"]}, wrong.response.json())


async def test_so_do_those_that_are_for_the_hubs_own_machine_alone(world: Any, tmp_path: Path) -> None:
    document, client = world.local.openapi(), world.running.local
    jsonschema_rs.validate(OPENAPI_31, document)
    mine = {path: several for path, several in document["paths"].items() if path not in world.document["paths"]}
    assert {one["operationId"] for several in mine.values() for one in several.values()} >= {
        "check_configuration",
        "plan_configuration",
        "apply_configuration",
        "back_up",
    }
    for path, several in mine.items():
        for method, operation in several.items():
            body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("example")
            if operation["operationId"] == "back_up":
                body = {"target": str(tmp_path / "hub.backup")}
            response = await client.request(method, path, json=body)
            check(world.answered(operation["operationId"], method, path, operation, response), document["components"])
