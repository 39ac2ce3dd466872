"""Routes over HTTP: made, seen, changed, compared, rolled back, retired; tried on a message before anything is sent."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from hilum.sdk.testing import free_port

pytestmark = pytest.mark.anyio
PASSWORD = "correct horse battery staple"  # of those who sign in here
Sign = Callable[..., Awaitable[httpx.AsyncClient]]
EXAMPLE = {"input": "MSH|^~\\&|A|B|C|D|2026||ADT^A01|1|P|2.5\nPID|1||x1", "expected": {"PID-3.1": "X1"}}


def route(**changes: Any) -> dict[str, Any]:
    steps = [{"filter": {"where": "MSH-9.1 == 'ADT'"}}, {"map": {"set": {"MSH-5": "REG"}}}]
    return {"name": "adt-copy", "from": "adt/in", "steps": steps, "to": ["registry/out"], **changes}


def failed(response: httpx.Response, status: int, code: str, message: str = "") -> dict[str, Any]:
    error: dict[str, Any] = response.json()["error"]
    assert (response.status_code, error["code"]) == (status, code), response.text
    assert message in error["message"], error
    return error


def tag(version: int) -> dict[str, str]:
    return {"if-match": f'"v{version}"'}


async def created(client: httpx.AsyncClient, wanted: dict[str, Any], path: str = "/routes") -> dict[str, Any]:
    response = await client.post(path, json=wanted)
    assert response.status_code == 201, response.text
    found: dict[str, Any] = response.json()
    return found


async def test_messages_take_what_was_made(running: Any, signed_in: Sign, message: Any, until: Any) -> None:
    specialist = await signed_in("integration_specialist")
    response = await specialist.post("/routes", json=route())
    assert response.status_code == 201, response.text
    assert (response.headers["location"], response.headers["etag"]) == ("/api/v1/routes/adt-copy", '"v1"')
    made = response.json()
    assert {key: made[key] for key in route()} == route()
    assert (made["managed_by"], made["version"], made["current"], made["gxp"]) == ("api", 1, True, False)
    assert made["created_by"] == "user0"
    assert (await specialist.get("/routes/adt-copy")).json() == made
    await sent(running, message, until, "C1", b"|REG|")


async def sent(running: Any, message: Any, until: Any, control: str, holds: bytes) -> None:
    """Sends until the copy is as the newest route makes it: the engine takes a change up a moment later."""

    async def reached() -> bool:
        count = len(running.registry.bodies)
        assert await running.send(message(f"{control}{count}{len(running.lab.bodies)}")) == ["AA"]
        await running.settled()
        return len(running.registry.bodies) > count and holds in running.registry.bodies[-1]

    await until(reached)


async def test_a_list_is_narrowed(signed_in: Sign) -> None:
    specialist = await signed_in("integration_specialist")
    await created(specialist, route())
    for query, names in (
        ({}, ["adt-copy", "adt-to-lab", "oru-to-registry"]), ({"managed_by": "api"}, ["adt-copy"]),
        ({"destination": "registry"}, ["adt-copy", "oru-to-registry"]), ({"destination": "lab/out"}, ["adt-to-lab"]),
        ({"source": "adt/in", "q": "ORU"}, ["oru-to-registry"]), ({"source": "lab"}, []),
    ):  # fmt: skip
        found = (await specialist.get("/routes", params=query)).json()
        assert ([one["name"] for one in found["items"]], found["total"]) == (names, len(names)), query
    page = (await specialist.get("/routes", params={"size": 2, "page": 2})).json()
    assert ([one["name"] for one in page["items"]], page["pages"]) == (["oru-to-registry"], 2)
    failed(await specialist.get("/routes", params={"size": 101}), 400, "INT002")


async def test_what_a_file_manages_is_read_only(running: Any, signed_in: Sign) -> None:
    specialist = await signed_in("integration_specialist")
    found = (await specialist.get("/routes/adt-to-lab")).json()
    assert (found["managed_by"], found["version"]) == ("file", 1)
    wanted = route(name="adt-to-lab")
    failed(await specialist.put("/routes/adt-to-lab", json=wanted, headers=tag(1)), 409, "INT004", "configuration file")
    failed(await specialist.patch("/routes/adt-to-lab", json={"to": []}, headers=tag(1)), 409, "INT004")
    failed(await specialist.delete("/routes/adt-to-lab"), 409, "INT004")
    failed(
        await specialist.post("/routes/adt-to-lab/rollback", json={"version": 1}, headers=tag(1)), 409, "INT004"
    )  # fmt: skip
    failed(await specialist.post("/routes", json=wanted), 409, "INT004", "already")
    await running.post("/configuration/release", name="adt-to-lab")
    assert (await specialist.put("/routes/adt-to-lab", json=wanted, headers=tag(1))).status_code == 200


async def test_put_and_patch_make_versions(signed_in: Sign) -> None:
    specialist = await signed_in("integration_specialist")
    await created(specialist, route())
    wanted = route(to=["lab/out"])
    failed(await specialist.put("/routes/adt-copy", json=wanted), 428, "INT008")
    put = await specialist.put("/routes/adt-copy", json=wanted, headers={**tag(1), "x-reason": "to the laboratory"})
    assert (put.status_code, put.headers["etag"], put.json()["to"]) == (200, '"v2"', ["lab/out"]), put.text
    assert put.json()["reason"] == "to the laboratory"
    failed(await specialist.put("/routes/adt-copy", json=wanted, headers=tag(1)), 412, "INT004")
    same = await specialist.put("/routes/adt-copy", json=wanted, headers=tag(2))
    assert same.json()["version"] == 2, "what says the same is no new version"
    patched = await specialist.patch("/routes/adt-copy", json={"retention": {"bodies": 7}}, headers=tag(2))
    assert patched.json()["retention"] == {"bodies": 7}, patched.text
    assert patched.json()["to"] == ["lab/out"]
    cleared = await specialist.patch("/routes/adt-copy", json={"retention": None}, headers=tag(3))
    assert (cleared.json()["retention"], cleared.json()["version"]) == (None, 4)
    error = failed(
        await specialist.patch("/routes/adt-copy", json={"name": "other"}, headers=tag(4)), 400, "INT002", "never"
    )  # fmt: skip
    assert error["field"] == "name"
    error = failed(await specialist.patch("/routes/adt-copy", json={"tow": []}, headers=tag(4)), 400, "INT002")
    assert error["field"] == "tow"
    listed = (await specialist.get("/routes/adt-copy/versions")).json()
    assert [one["version"] for one in listed["items"]] == [4, 3, 2, 1]
    assert [one["current"] for one in listed["items"]] == [True, False, False, False]
    assert (await specialist.get("/routes/adt-copy/versions/1")).json()["to"] == ["registry/out"]
    failed(await specialist.get("/routes/adt-copy/versions/9"), 404, "INT001")


async def test_all_that_does_not_compile_is_said_with_its_place(signed_in: Sign) -> None:
    specialist = await signed_in("integration_specialist")
    steps: list[Any] = [
        {"filter": {"where": "MSH-9.1 =="}}, {"map": {"set": {"MSH": "x"}}}, {"dance": {}}, {"map": {"sett": {}}},
        {"lookup": {"path": "PID-3.1", "file": "codes.csv"}}, {"map": {"use": "nobody"}},
    ]  # fmt: skip
    error = failed(await specialist.post("/routes", json=route(steps=steps, to=["lab/none"])), 400, "INT002")
    places = [one["field"] for one in error["details"]["errors"]]
    assert places == [
        "steps[0].filter.where", "steps[1].map.set.MSH", "steps[2].dance", "steps[3].map.sett", "steps[4].lookup",
        "steps[5].map.use", "to[0]",
    ]  # fmt: skip
    assert error["field"] == places[0]
    assert all(one["message"] for one in error["details"]["errors"])
    error = failed(await specialist.post("/routes", json=route(**{"from": "lab/out"})), 400, "INT002", "inbound")
    assert error["field"] == "from"
    wrong = {**EXAMPLE, "expected": {"PID-3.1": "Y"}}
    steps = [{"map": {"compute": {"PID-3.1": "upper(PID-3.1)"}, "examples": [EXAMPLE, wrong]}}]
    error = failed(await specialist.post("/routes", json=route(steps=steps)), 400, "INT002", "'X1', not 'Y'")
    assert error["field"] == "steps[0].map.examples[1]"
    assert (await specialist.get("/routes")).json()["total"] == 2, "nothing of it was stored"


@pytest.mark.ledger_part("S2-122", "routes: versions, a diff, rollback")
async def test_rollback_brings_an_old_document_back(signed_in: Sign) -> None:
    specialist = await signed_in("integration_specialist")
    await created(specialist, route())
    steps = [{"filter": {"where": "MSH-9.1 == 'ADT'"}}, {"map": {"set": {"MSH-5": "OTHER", "MSH-6": "X"}}}]
    await specialist.put("/routes/adt-copy", json=route(steps=steps, to=["lab/out"]), headers=tag(1))
    told = (await specialist.get("/routes/adt-copy/diff", params={"from": 1, "to": 2})).json()
    assert told["changed"] == ["steps[1].map.set.MSH-5", "steps[1].map.set.MSH-6", "to[0]"]
    assert told["unified"].startswith("--- adt-copy v1\n+++ adt-copy v2\n")
    assert {line for line in told["unified"].splitlines() if line[0] in "+-"} > {"-  - registry/out", "+  - lab/out"}
    assert (await specialist.get("/routes/adt-copy/diff")).json() == told, "by default the newest step"
    body = {"version": 1, "reason": "it was better"}
    failed(await specialist.post("/routes/adt-copy/rollback", json=body), 428, "INT008")
    back = await specialist.post("/routes/adt-copy/rollback", json=body, headers=tag(2))
    assert (back.status_code, back.json()["version"], back.json()["reason"]) == (200, 3, "it was better"), back.text
    first = (await specialist.get("/routes/adt-copy/versions/1")).json()
    assert {key: back.json()[key] for key in route()} == {key: first[key] for key in route()}
    same = (await specialist.get("/routes/adt-copy/diff", params={"from": 1, "to": 3})).json()
    assert (same["unified"], same["changed"]) == ("", [])
    failed(await specialist.post("/routes/adt-copy/rollback", json={"version": 3}, headers=tag(3)), 409, "INT004")
    failed(await specialist.post("/routes/adt-copy/rollback", json={"version": 9}, headers=tag(3)), 404, "INT001")


async def test_a_message_keeps_the_version_that_routed_it(
    running: Any, signed_in: Sign, message: Any, until: Any
) -> None:
    specialist = await signed_in("integration_specialist")
    await created(specialist, route())
    await sent(running, message, until, "A", b"|REG|")
    before = (await running.get("/messages"))["items"][0]["id"]
    steps = [{"map": {"set": {"MSH-5": "NEW"}}}]
    assert (await specialist.put("/routes/adt-copy", json=route(steps=steps), headers=tag(1))).status_code == 200
    await sent(running, message, until, "B", b"|NEW|")
    after = (await running.get("/messages"))["items"][0]["id"]
    shown = {one: (await running.get(f"/messages/{one}")) for one in (before, after)}
    assert "adt-copy v1" in shown[before]["routes"]
    assert "adt-copy v2" in shown[after]["routes"]
    way = next(one for one in shown[before]["deliveries"] if one["route"] == "adt-copy v1")
    body = await running.local.get(f"/api/v1/messages/{before}/deliveries/{way['number']}/body")
    assert b"|REG|" in body.content
    assert (await specialist.delete("/routes/adt-copy")).status_code == 204
    failed(await specialist.get("/routes/adt-copy"), 404, "INT001", "there is no route adt-copy")
    failed(await specialist.delete("/routes/adt-copy"), 404, "INT001")
    assert (await specialist.get("/routes/adt-copy/versions")).json()["total"] == 2, "they stay"
    body = await running.local.get(f"/api/v1/messages/{before}/deliveries/{way['number']}/body")
    assert b"|REG|" in body.content
    again = await created(specialist, route())
    assert again["version"] == 3


@pytest.mark.ledger_part("S4-16", "a route's stored examples, run through the API")
async def test_check_runs_the_stored_examples(running: Any, signed_in: Sign) -> None:
    specialist = await signed_in("integration_specialist")
    whole = "MSH|^~\\&|A|B|C|D|2026||ADT^A01|1|P|2.5\nPID|1||X1"
    both = [EXAMPLE, {"input": EXAMPLE["input"], "expected": whole}]
    steps = [{"map": {"compute": {"PID-3.1": "upper(PID-3.1)"}, "examples": both}}]
    await created(specialist, route(steps=steps))
    found = (await specialist.post("/routes/adt-copy/check")).json()
    assert (found["passed"], found["problems"]) == (True, [])
    first, second = found["examples"]
    assert (first["place"], first["passed"]) == ("steps[0].map.examples[0]", True)
    assert (first["expected"], first["found"]) == ({"PID-3.1": "X1"}, {"PID-3.1": "X1"})
    assert (second["expected"], second["found"]) == (whole, whole)


@pytest.mark.ledger_part("S2-122", "routes: a preview on a sample or a stored message")
async def test_a_preview_shows_each_step_and_sends_nothing(running: Any, signed_in: Sign, message: Any) -> None:
    specialist = await signed_in("integration_specialist")
    assert await running.send(message("P1")) == ["AA"]
    await running.settled("delivered")
    seen = len(running.lab.bodies), len(running.registry.bodies), (await running.get("/messages", size=100))["items"]
    identifier = seen[2][0]["id"]
    await created(specialist, route(otherwise=["lab/out"]))
    found = (await specialist.post("/routes/adt-copy/preview", json={"message_id": identifier})).json()
    assert (found["disposition"], found["repeatable"]) == ("delivering", True)
    assert [(one["place"], one["result"]) for one in found["steps"]] == [
        ("steps[0].filter", "passed"), ("steps[1].map", "passed"),
    ]  # fmt: skip
    (output,) = found["outputs"]
    assert (output["destination"], "|REG|" in output["body"], "MÜLLER" in output["body"]) == (
        "registry/out",
        True,
        True,
    )
    body = "MSH|^~\\&|A|B|C|D|2026||ORU^R01|1|P|2.5\nPID|1||x1"
    other = (await specialist.post("/routes/adt-copy/preview", json={"body": body})).json()
    assert [one["destination"] for one in other["outputs"]] == ["lab/out"]
    assert other["steps"][0]["result"].startswith("filtered")
    draft = route(name="draft", steps=[{"map": {"set": {"MSH-6": "ÄÖ"}}}])
    tried = (await specialist.post("/routes/preview", json={"route": draft, "message_id": identifier})).json()
    assert "|ÄÖ|" in tried["outputs"][0]["body"]
    wrong = {"route": route(steps=[{"map": {"set": {"MSH": "x"}}}]), "body": body}
    assert (
        failed(await specialist.post("/routes/preview", json=wrong), 400, "INT002")["field"] == "steps[0].map.set.MSH"
    )
    unread = (await specialist.post("/routes/adt-copy/preview", json={"body": "no message"})).json()
    assert (unread["disposition"], unread["outputs"]) == ("error", [])
    failed(await specialist.post("/routes/adt-copy/preview", json={}), 400, "INT002", "either")
    await running.settled()
    assert (len(running.lab.bodies), len(running.registry.bodies)) == seen[:2]
    assert (await running.get("/messages", size=100))["items"] == seen[2]
    assert (await specialist.get("/routes/draft")).status_code == 404


async def test_a_stored_message_is_shown_to_those_who_may_see_it(
    running: Any, signed_in: Sign, message: Any
) -> None:  # fmt: skip
    assert await running.send(message("P1")) == ["AA"]
    (one,) = await running.settled("delivered")
    viewer, operator = await signed_in("viewer"), await signed_in("operator")
    wanted = {"message_id": one["id"]}
    failed(await viewer.post("/routes/adt-to-lab/preview", json=wanted), 403, "INT003", "messages:payload")
    assert (await viewer.post("/routes/adt-to-lab/preview", json={"body": "MSH|^~\\&|A"})).status_code == 200
    assert (await operator.post("/routes/adt-to-lab/preview", json=wanted)).status_code == 200
    failed(await viewer.post("/routes", json=route()), 403, "INT003")
    events = (await running.get("/audit", action="route.preview"))["items"]
    told = [(one["event"]["outcome"], one["event"].get("details", {})) for one in events]
    assert sorted(outcome for outcome, _ in told) == ["denied", "success", "success"]
    assert any(details.get("payload") and details.get("message") == one["id"] for _, details in told)


@pytest.mark.ledger_part("S0-30", "routes: seen by whoever may see the integrations at all of their ends")
async def test_a_route_is_there_for_those_who_may_see_all_its_ends(running: Any, signed_in: Sign) -> None:
    specialist = await signed_in("integration_specialist")
    for name in ("alpha", "beta"):
        await running.post("/studies", 201, name=name)
        ends = [
            {"name": "in", "direction": "inbound", "url": f"mllp://127.0.0.1:{free_port()}"},
            {"name": "out", "direction": "outbound", "url": f"mllp://127.0.0.1:{free_port()}"},
        ]
        draft = {"name": name, "type": "HL7", "environment": "development", "study": name, "endpoints": ends}
        made = await specialist.post("/integrations", json=draft, params={"initialize": "false"})
        assert made.status_code == 201, made.text
    await created(specialist, route(to=["alpha/out"]))
    await created(specialist, route(name="own", **{"from": "alpha/in"}, to=["alpha/out"]))
    await created(specialist, route(name="both", **{"from": "alpha/in"}, to=["beta/out"]))
    one, two = ({"role": "integration_specialist", "study": study} for study in ("alpha", "beta"))
    inside, between = await signed_in(one), await signed_in(one, two)
    found = (await inside.get("/routes")).json()
    assert ([one["name"] for one in found["items"]], found["total"]) == (["own"], 1)
    assert found["items"][0]["studies"] == ["alpha"]
    for name in ("adt-copy", "both"):
        failed(await inside.get(f"/routes/{name}"), 404, "INT001", f"there is no route {name}")
        failed(await inside.put(f"/routes/{name}", json=route(name=name), headers=tag(1)), 404, "INT001")
        failed(await inside.delete(f"/routes/{name}"), 404, "INT001")
        failed(await inside.get(f"/routes/{name}/versions"), 404, "INT001")
        failed(await inside.get(f"/routes/{name}/versions/1"), 404, "INT001")
        failed(await inside.post(f"/routes/{name}/preview", json={"body": "MSH|^~\\&|A"}), 404, "INT001")
    error = failed(await inside.post("/routes", json=route(name="mine")), 400, "INT002", "no inbound endpoint adt/in")
    assert error["field"] == "from"
    wanted = route(name="own", **{"from": "alpha/in"}, to=["beta/out"])
    error = failed(await inside.put("/routes/own", json=wanted, headers=tag(1)), 400, "INT002", "beta/out")
    assert error["field"] == "to[0]"
    assert (await inside.patch("/routes/own", json={"steps": []}, headers=tag(1))).status_code == 200
    assert [one["name"] for one in (await between.get("/routes")).json()["items"]] == ["both", "own"]
    changed = await between.patch("/routes/both", json={"steps": []}, headers=tag(1))
    assert (changed.status_code, changed.json()["studies"]) == (200, ["alpha", "beta"]), changed.text


async def test_another_organization_has_routes_of_its_own(running: Any, signed_in: Sign) -> None:
    await running.post("/organizations", 201, name="clinic", administrator={"email": "c@clinic.example", "name": "C"})
    cleo = await signed_in("tenant_admin", organization="clinic")
    await created(await signed_in("integration_specialist"), route())
    assert (await cleo.get("/routes")).json()["total"] == 0
    for response in (
        await cleo.get("/routes/adt-copy"), await cleo.get("/routes/adt-copy/versions"),
        await cleo.get("/routes/adt-copy/diff"), await cleo.put("/routes/adt-copy", json=route(), headers=tag(1)),
        await cleo.delete("/routes/adt-copy"), await cleo.post("/routes/adt-copy/check"),
        await cleo.post("/routes/adt-copy/rollback", json={"version": 1}, headers=tag(1)),
    ):  # fmt: skip
        failed(response, 404, "INT001")
    failed(await cleo.post("/routes", json=route()), 400, "INT002", "no inbound endpoint")


@pytest.mark.ledger_part("S0-21", "changing a route of a GxP integration")
async def test_gxp_wants_a_reason_and_a_second_person(signed_in: Sign, web: Any) -> None:
    specialist = await signed_in("integration_specialist")
    draft = {"name": "Trial", "type": "API", "environment": "development", "gxp": True,
             "endpoints": [{"name": "out", "url": web.url("/orders"), "method": "POST"}]}  # fmt: skip
    assert (await specialist.post("/integrations", json=draft)).status_code == 201
    failed(await specialist.post("/routes", json=route(to=["trial/out"])), 400, "INT002", "reason")
    made = await created(specialist, route())
    assert not made["gxp"]
    wanted = route(to=["trial/out"])
    path, reason = "/routes/adt-copy", {"x-reason": "the trial begins"}
    failed(await specialist.put(path, json=wanted, headers=tag(1)), 400, "INT002", "reason")
    refused = failed(await specialist.put(path, json=wanted, headers={**tag(1), **reason}), 403, "INT003", "second")
    asked = refused["details"]["approval_required"]
    assert (asked["operation"], asked["entity"]) == ("mapping.change", f"route/{made['id']}")
    second = await signed_in("integration_specialist")
    one = (await specialist.post("/approvals", json={"request": asked["request"], "reason": "CR-17"})).json()
    assert (await second.post(f"/approvals/{one['id']}/approve", json={})).status_code == 200
    given = {**tag(1), **reason, "x-approval": one["id"]}
    failed(
        await specialist.put(path, json=route(to=["trial/out"], otherwise=["lab/out"]), headers=given), 403, "INT003"
    )
    failed(await specialist.put(path, json=wanted, headers=given), 403, "INT011", "signature")
    sign = {"operation": "mapping.change", "entity": asked["entity"], "meaning": "approval", "password": PASSWORD}
    signed = await specialist.post("/signatures", json=sign)
    assert signed.status_code == 201, signed.text
    changed = await specialist.put(path, json=wanted, headers={**given, "x-signature": signed.json()["id"]})
    assert (changed.status_code, changed.json()["version"], changed.json()["gxp"]) == (200, 2, True), changed.text
    failed(await specialist.delete(path), 400, "INT002", "reason")
    failed(await specialist.patch(path, json={"to": ["lab/out"]}, headers={**tag(2), **reason}), 403, "INT003")
