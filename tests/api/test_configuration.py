"""The configuration over the local API: check, plan, apply, reload, release."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from hilum.api import create_app
from hilum.app import Hub

pytestmark = pytest.mark.anyio
Make = Callable[..., bytes]
EMPTY = "version: 1\norganization: demo\n"


def proposal(text: str, **more: Any) -> dict[str, Any]:
    return {"documents": [{"name": "hub.yaml", "text": text}], **more}


async def test_check_names_every_problem_and_changes_nothing(running: Any) -> None:
    text = running.config.read_text(encoding="utf-8")
    assert await running.post("/configuration/check", **proposal(text)) == {"problems": []}
    broken = text.replace("to: [lab/out]", "to: [lab/nope]").replace("MSH-9.1 == 'ORU'", "MSH-9.1 ==")
    problems = (await running.post("/configuration/check", **proposal(broken)))["problems"]
    assert any("lab/nope" in one for one in problems)
    assert any("oru-to-registry" in one for one in problems)
    problems = (await running.post("/configuration/check", **proposal("version: [")))["problems"]
    assert len(problems) == 1
    assert "hub.yaml" in problems[0]
    planned = await running.post("/configuration/plan", **proposal(text))
    assert planned == {"problems": [], "changes": []}


async def test_plan_tells_what_apply_then_does(running: Any) -> None:
    text = running.config.read_text(encoding="utf-8").replace("MSH-5: LAB", "MSH-5: OTHER")
    planned = await running.post("/configuration/plan", **proposal(text))
    assert planned["problems"] == []
    (change,) = planned["changes"]
    assert (change["action"], change["kind"], change["name"]) == ("change", "route", "adt-to-lab")
    applied = await running.post("/configuration/apply", **proposal(text))
    assert applied["changes"] == planned["changes"]
    assert (await running.post("/configuration/plan", **proposal(text)))["changes"] == []


async def test_tables_are_read_from_the_folder(running: Any, tmp_path: Path) -> None:
    (tmp_path / "classes.csv").write_text("key,value\nI,IMP\n", encoding="utf-8")
    step = "{{lookup: {{path: PV1-2, file: classes.csv}}}}".format()
    text = running.config.read_text(encoding="utf-8").replace("{map: {set: {MSH-5: LAB}}}", step)
    assert "classes.csv" in text
    found = await running.post("/configuration/check", **proposal(text, folder=str(tmp_path)))
    assert found == {"problems": []}
    without = (await running.post("/configuration/check", **proposal(text)))["problems"]
    assert any("classes.csv" in one for one in without)
    refused = await running.post("/configuration/check", 400, **proposal(text, folder="here"))
    assert refused["error"]["field"] == "folder"


async def test_apply_refuses_what_is_wrong_whole(running: Any) -> None:
    text = running.config.read_text(encoding="utf-8")
    broken = text.replace("MSH-5: LAB", "MSH-5: OTHER").replace("to: [registry/out]", "to: [registry/nope]")
    refused = await running.post("/configuration/apply", 400, **proposal(broken))
    assert refused["error"]["code"] == "INT002"
    assert refused["error"]["details"]["problems"]
    assert (await running.post("/configuration/plan", **proposal(text)))["changes"] == []
    refused = await running.post("/configuration/apply", 400, **proposal("version: 2"))
    assert refused["error"]["field"] == "version"
    refused = await running.post("/configuration/apply", 400, documents=[])
    assert refused["error"]["field"] == "documents"


async def test_a_removed_endpoint_with_a_backlog_is_a_conflict(running: Any, message: Make) -> None:
    running.lab.code = "AR"
    await running.send(message("C1"))
    refused = await running.post("/configuration/apply", 409, **proposal(EMPTY))
    assert "lab/out (1)" in refused["error"]["message"]
    assert "--discard" in refused["error"]["message"]
    done = await running.post("/configuration/apply", **proposal(EMPTY, discard="the lab moved"))
    assert {one["action"] for one in done["changes"]} == {"remove"}
    await running.settled("discarded")
    (found,) = (await running.get("/messages", state="discarded"))["items"]
    detail = await running.get(f"/messages/{found['id']}", include="body")
    assert detail["deliveries"][0]["detail"] == "the lab moved"


async def test_reload_reads_the_file_again(running: Any) -> None:
    text = running.config.read_text(encoding="utf-8").replace("MSH-5: LAB", "MSH-5: OTHER")
    running.config.write_text(text, encoding="utf-8")
    assert await running.post("/configuration/reload") == {"status": "reloaded"}
    assert (await running.post("/configuration/plan", **proposal(text)))["changes"] == []
    running.config.write_text("version: 3", encoding="utf-8")
    refused = await running.post("/configuration/reload", 400)
    assert refused["error"]["code"] == "INT002"
    assert (await running.post("/configuration/plan", **proposal(text)))["changes"] == []


async def test_release_hands_over_to_the_api(running: Any) -> None:
    assert await running.post("/configuration/release", name="lab") == {"name": "lab"}
    without = running.config.read_text(encoding="utf-8").replace("to: [lab/out]", "to: [registry/out]")
    start, end = without.index("  - name: lab"), without.index("  - name: registry")
    planned = await running.post("/configuration/plan", **proposal(without[:start] + without[end:]))
    assert [(one["kind"], one["action"]) for one in planned["changes"]] == [("route", "change")]
    refused = await running.post("/configuration/release", 404, name="nothing")
    assert refused["error"]["code"] == "INT001"


async def test_the_schema_describes_every_key(running: Any) -> None:
    schema = await running.get("/configuration/schema")
    assert schema["$schema"].endswith("2020-12/schema")
    assert set(schema["properties"]) >= {"version", "organization", "integrations", "routes"}


async def test_a_first_configuration_can_be_applied_without_an_engine(stopped: Hub) -> None:
    transport = httpx.ASGITransport(create_app(stopped.services(), local=True))
    async with httpx.AsyncClient(transport=transport, base_url="http://hub/api/v1") as client:
        for path in ("/messages", "/lanes", "/sources"):
            assert (await client.get(path)).json()["items"] == []
        response = await client.post("/configuration/reload")
        assert response.status_code == 400
        response = await client.post("/configuration/apply", json=proposal(EMPTY))
        assert response.json() == {
            "changes": [
                {"action": "create", "kind": "organization", "name": "demo", "detail": "environment, retention"}
            ]
        }
        assert (await client.get("/messages", params={"organization": "demo"})).json()["items"] == []
