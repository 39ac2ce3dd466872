"""Studies over HTTP: an organization's own, seen by those who are bound to them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.anyio
Sign = Callable[..., Awaitable[httpx.AsyncClient]]


def failed(response: httpx.Response, status: int, code: str, message: str = "") -> None:
    """That it is the envelope of this error."""
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (status, code), response.text
    assert message in error["message"]


async def created(client: httpx.AsyncClient, name: str, title: str = "") -> Any:
    response = await client.post("/studies", json={"name": name, "title": title})
    assert response.status_code == 201, response.text
    return response.json()


async def test_the_life_of_a_study(signed_in: Sign) -> None:
    admin = await signed_in("tenant_admin")
    response = await admin.post("/studies", json={"name": "trial", "title": "A trial"})
    study = response.json()
    path = f"/studies/{study['id']}"
    assert (response.status_code, response.headers["location"], response.headers["etag"]) == (
        201, f"/api/v1{path}", '"v1"'
    )  # fmt: skip
    assert (await admin.get(path)).json() == study
    failed(await admin.patch(path, json={"title": "Another"}), 428, "INT008")
    changed = await admin.patch(path, json={"title": "Another"}, headers={"if-match": '"v1"'})
    assert (changed.json()["title"], changed.json()["name"], changed.headers["etag"]) == ("Another", "trial", '"v2"')
    failed(await admin.patch(path, json={"title": "Late"}, headers={"if-match": '"v1"'}), 412, "INT004")
    failed(await admin.patch(path, json={"name": "new"}, headers={"if-match": '"v2"'}), 400, "INT002")
    assert (await admin.delete(path)).status_code == 204
    failed(await admin.delete(path), 404, "INT001")
    failed(await admin.get(path), 404, "INT001")
    failed(await admin.post("/studies", json={"name": "trial"}), 409, "INT004", "archived")
    assert (await admin.get("/studies")).json()["items"] == []


async def test_of_two_that_create_one_at_once_one_gets_409(signed_in: Sign) -> None:
    admin = await signed_in("tenant_admin")
    both = await asyncio.gather(*(admin.post("/studies", json={"name": "trial"}) for _ in range(2)))
    assert sorted(one.status_code for one in both) == [201, 409]


@pytest.mark.parametrize("body", [{}, {"name": "Two words"}, {"name": "trial", "title": "a\tb"}, {"name": "t", "x": 1}])
async def test_what_makes_no_sense_is_refused(signed_in: Sign, body: Any) -> None:
    admin = await signed_in("tenant_admin")
    failed(await admin.post("/studies", json=body), 400, "INT002")


@pytest.mark.ledger_part("S0-30", "bound to study A, one sees study A in lists, counts and by id, and no other")
async def test_who_is_bound_to_a_study_sees_that_one(signed_in: Sign) -> None:
    admin = await signed_in("tenant_admin")
    one, other = await created(admin, "one"), await created(admin, "other")
    bound = await signed_in({"role": "operator", "study": "one"})
    found = (await bound.get("/studies")).json()
    assert (found["items"], found["total"]) == ([one], 1)
    assert (await bound.get(f"/studies/{one['id']}")).json() == one
    failed(await bound.get(f"/studies/{other['id']}"), 404, "INT001")
    failed(await bound.post("/studies", json={"name": "mine"}), 403, "INT003")
    assert (await admin.get("/studies")).json()["total"] == 2


@pytest.mark.ledger_part("S4-76", "studies of another organization are not there")
async def test_another_organizations_study_is_not_there(running: Any, signed_in: Sign) -> None:
    await running.post(
        "/organizations", 201, name="clinic", administrator={"email": "cleo@clinic.example", "name": "Cleo"}
    )
    cleo = await signed_in("tenant_admin", organization="clinic")
    theirs = await created(cleo, "trial", "Theirs")
    admin = await signed_in("tenant_admin")
    mine = await created(admin, "trial", "Mine")
    assert (await admin.get("/studies")).json()["items"] == [mine]
    path = f"/studies/{theirs['id']}"
    failed(await admin.get(path), 404, "INT001")
    failed(await admin.patch(path, json={"title": "Mine"}, headers={"if-match": '"v1"'}), 404, "INT001")
    failed(await admin.delete(path), 404, "INT001")
    assert (await cleo.get(path)).json() == theirs


async def test_a_study_of_the_file_is_there_and_stays_while_something_belongs_to_it(
    running: Any, signed_in: Sign
) -> None:
    text = running.config.read_text(encoding="utf-8").replace("  - name: lab\n", "  - name: lab\n    study: trial\n")
    running.config.write_text(text, encoding="utf-8")
    await running.hub.reload()
    admin = await signed_in("tenant_admin")
    [study] = (await admin.get("/studies")).json()["items"]
    assert study["name"] == "trial"
    failed(await admin.delete(f"/studies/{study['id']}"), 409, "INT004", "integrations belong to trial: lab")
