"""Links for partners without an account: they hold so long and so often, and every use of one is recorded."""

from __future__ import annotations

import uuid
from typing import Any

import httpx
import pytest

from hilum import clock
from hilum.store.schema_datasets import export_link

pytestmark = pytest.mark.anyio


@pytest.fixture
async def nobody(exporting: Any) -> Any:
    """Somebody without an account."""
    async with httpx.AsyncClient(base_url=str(exporting.http.base_url).removesuffix("/api/v1/")) as client:
        yield client


async def made(exporting: Any, **wanted: Any) -> tuple[Any, Any]:
    (dataset,) = (await exporting.imported())["datasets"]
    done = await exporting.exported(dataset)
    asked = await exporting.http.post(f"/exports/jobs/{done['id']}/links", json={"receiver": "Sponsor", **wanted})
    assert asked.status_code == 201, asked.text
    return done, asked.json()


@pytest.mark.ledger_part("S1-06", "expiring, counted, revocable, within one organization, every download in the audit")
@pytest.mark.ledger_part("S1-17", "signed links")
async def test_whoever_has_a_link_fetches_the_file_once(
    running: Any, exporting: Any, nobody: Any, signed_in: Any
) -> None:  # fmt: skip
    done, link = await made(exporting)
    assert (link["receiver"], link["downloads"], link["used"], link["holds"]) == ("Sponsor", 1, 0, True)
    fetched = await nobody.get(link["url"])
    assert fetched.status_code == 200, fetched.text
    assert fetched.content.startswith(b'"USUBJID"')
    assert fetched.headers["etag"] == f'"{done["sha256"]}"'
    again = await nobody.get(link["url"])
    assert (again.status_code, again.json()["error"]["code"]) == (410, "EXP001")
    (shown,) = (await exporting.http.get(f"/exports/jobs/{done['id']}/links")).json()["items"]
    assert (shown["used"], shown["holds"], shown["url"]) == (1, False, None)
    assert (await exporting.http.get(f"/exports/jobs/{done['id']}")).json()["downloads"] == 1
    auditor = await signed_in("auditor")
    found = (await auditor.get("/audit", params={"action": "export.fetch"})).json()["items"]
    events = [one["event"] for one in found]
    told = [(one["actor"]["name"], one["entity"], one["outcome"]) for one in events]
    assert ("Sponsor", f"export/{done['id']}", "success") in told
    assert events[-1]["details"]["link"] == link["id"]
    assert link["url"].rpartition("_")[2] not in str(events)


async def test_a_link_is_revoked(exporting: Any, nobody: Any) -> None:
    done, link = await made(exporting, downloads=None)
    assert (await nobody.get(link["url"], headers={"range": "bytes=0-3"})).content == b'"USU'
    path = f"/exports/jobs/{done['id']}/links/{link['id']}"
    assert (await exporting.http.delete(path)).status_code == 204
    assert (await nobody.get(link["url"])).status_code == 410
    assert (await exporting.http.delete(path)).status_code == 409


async def test_a_link_ends_with_its_time_and_with_its_file(running: Any, exporting: Any, nobody: Any) -> None:
    done, link = await made(exporting, downloads=None, hours=720)
    assert link["expires_at"] == done["expires_at"]  # 7 days, before the link's 30
    past = {"expires_at": clock.micros() - 1}
    await running.hub.store.write(lambda connection: connection.execute(export_link.update().values(past)))
    assert (await nobody.get(link["url"])).status_code == 410
    later = {"expires_at": clock.micros() + 3_600_000_000}
    await running.hub.store.write(lambda connection: connection.execute(export_link.update().values(later)))
    assert (await nobody.get(link["url"])).status_code == 200
    assert (await exporting.http.delete(f"/exports/jobs/{done['id']}")).status_code == 204
    assert (await nobody.get(link["url"])).status_code == 410


@pytest.mark.parametrize("change", ["secret", "row", "organization", "shape"])
async def test_what_is_no_link_opens_nothing(exporting: Any, nobody: Any, change: str) -> None:
    _, link = await made(exporting, downloads=None)
    place, _, secret = link["url"].rpartition("_")
    changed = {
        "secret": f"{place}_{'A' * 43}",
        "row": f"{place}9_{secret}",
        "organization": link["url"].replace("hilum_share_", "hilum_share_9"),
        "shape": link["url"][:-1],
    }[change]
    response = await nobody.get(changed)
    assert (response.status_code, response.json()["error"]["code"]) == (404, "EXP001")


async def test_nothing_is_linked_that_is_not_there(exporting: Any, signed_in: Any, running: Any) -> None:
    asked = await exporting.http.post(f"/exports/jobs/{uuid.uuid4()}/links", json={"receiver": "x"})
    assert asked.status_code == 404
    (dataset,) = (await exporting.imported())["datasets"]
    await running.hub.runner.stop()
    waiting = await exporting.asked(dataset)
    asked = await exporting.http.post(f"/exports/jobs/{waiting['id']}/links", json={"receiver": "x"})
    assert (asked.status_code, asked.json()["error"]["code"]) == (409, "EXP004")
