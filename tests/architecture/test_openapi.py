"""The OpenAPI document: what clients are generated from changes on purpose or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from hilum.api import create_app
from hilum.api.headers import API_VERSION
from hilum.api.surface import served
from hilum.app import Hub
from hilum.settings import Settings

pytestmark = pytest.mark.anyio
WRITE = os.environ.get("HILUM_SNAPSHOT") == "write"  # read early: a test sees no HILUM_… of the shell
SNAPSHOT = Path(__file__).with_name("openapi.json")
BODIES = ("application/json", "application/problem+json")


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[Hub]:
    hub = Hub(Settings(data=tmp_path / "data", http=None))
    await hub.open()
    yield hub
    await hub.close()


@pytest.fixture
async def document(hub: Hub) -> Any:
    """As the app on TCP has it."""
    return create_app(hub.services(), local=False).openapi()


def operations(document: Any) -> Iterator[tuple[str, Any]]:
    for path, several in document["paths"].items():
        for method, operation in several.items():
            yield f"{method.upper()} {path}", operation


async def test_it_is_as_it_was(document: Any) -> None:
    text = json.dumps(document, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
    if WRITE:
        SNAPSHOT.write_text(text, encoding="utf-8")
    same = text == SNAPSHOT.read_text(encoding="utf-8")
    assert same, "HILUM_SNAPSHOT=write make test ARGS=tests/architecture/test_openapi.py renews it; review what changed"


@pytest.mark.ledger_part(
    "S0-42", "unique operationIds, a description, an example for every body, every error's envelope"
)
async def test_every_operation_is_documented(document: Any, hub: Hub) -> None:
    names = [operation["operationId"] for _, operation in operations(document)]
    assert len(names) == len(set(names))
    routes = [
        f"{method} {path}"
        for method, path, one in served(create_app(hub.services(), local=False))
        if one.include_in_schema and not path.startswith("/integration/")  # the shorter mount of /api/integration
    ]
    assert sorted(routes) == sorted(name for name, _ in operations(document))
    for name, operation in operations(document):
        assert operation["operationId"].isidentifier(), name
        assert operation["summary"], name
        assert operation.get("description"), f"{name} has no docstring"
        assert operation["tags"], name
        assert any(status.startswith(("2", "3")) for status in operation["responses"]), name
        assert ("x-permission" in operation) == bool(operation["security"]), name
        for body in (operation.get("requestBody", {}), *operation["responses"].values()):
            for kind, content in body.get("content", {}).items():
                assert kind not in BODIES or "example" in content or "examples" in content, name


async def test_every_error_has_the_envelope(document: Any) -> None:
    shared = document["components"]["responses"]
    for name, operation in operations(document):
        errors = {status: about for status, about in operation["responses"].items() if status >= "400"}
        assert {"400", "500", "503"} <= errors.keys(), name
        if operation["security"]:
            assert {"401", "403", "429"} <= errors.keys(), name
        for status, about in errors.items():
            if "$ref" in about:
                about = shared[about["$ref"].rpartition("/")[2]]
                assert set(about["content"]) == set(BODIES), (name, status)


@pytest.mark.ledger_part("S0-67", "the API's version in OpenAPI's info")
async def test_it_says_which_version_it_is(document: Any) -> None:
    assert (document["openapi"], document["info"]["version"]) == ("3.1.0", "1.0")
    assert document["info"]["version"] == API_VERSION, "what every answer says in X-API-Version"


async def test_examples_fit_their_schemas(document: Any) -> None:
    def fits(example: Any, schema: Any) -> None:
        jsonschema_rs.validate({**schema, "components": document["components"]}, example)

    for name, operation in operations(document):
        for body in (operation.get("requestBody", {}), *operation["responses"].values()):
            for content in body.get("content", {}).values():
                if "example" in content and "schema" in content:
                    try:
                        fits(content["example"], content["schema"])
                    except jsonschema_rs.ValidationError as error:
                        pytest.fail(f"{name}: {error.message}")
    for name, about in document["components"]["responses"].items():
        for content in about["content"].values():
            fits(content["example"], content["schema"])
        assert name
