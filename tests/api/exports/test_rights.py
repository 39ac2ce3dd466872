"""Rights are those in the export's own study, when it is asked for and whenever it is fetched."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from hilum.jobs import Context, Still, forget_exports
from hilum.store.schema import job
from hilum.store.schema_datasets import export as table

pytestmark = pytest.mark.anyio


async def test_a_right_in_another_study_opens_nothing_here(running: Any, exporting: Any, signed_in: Any) -> None:
    (dataset,) = (await exporting.imported(study="alpha"))["datasets"]
    await exporting.imported(study="beta")
    done = await exporting.exported(dataset)
    asked = {"format": "csv", "source": {"records": "messages", "payload": True}}
    whole = await exporting.ended((await exporting.http.post("/exports/data", json=asked)).json()["id"])
    failed = await exporting.exported(dataset, protect={"kind": "zip", "password": "nobody.has"})
    both = await signed_in({"role": "auditor"}, {"role": "operator", "study": "beta"})
    assert (await both.post("/exports/data", json={"dataset": dataset, "format": "csv"})).status_code == 404
    for one in (done, whole):
        path = f"/exports/jobs/{one['id']}"
        assert (await both.get(path)).status_code == 200  # that it was is an auditor's to know
        assert (await both.get(f"{path}/download")).status_code == 404
        assert (await both.get(f"{path}/download", params={"draft": True})).status_code == 404
        assert (await both.post(f"{path}/links", json={"receiver": "me"})).status_code == 404
    assert (await both.post(f"/exports/jobs/{failed['id']}/retry")).status_code == 404


async def test_a_link_ends_with_the_rights_of_who_made_it(running: Any, exporting: Any, signed_in: Any) -> None:
    (dataset,) = (await exporting.imported())["datasets"]
    done = await exporting.exported(dataset)
    path = f"/exports/jobs/{done['id']}/links"
    link = (await exporting.http.post(path, json={"receiver": "Sponsor", "downloads": None})).json()
    base = str(exporting.http.base_url).removesuffix("/api/v1/")
    async with httpx.AsyncClient(base_url=base) as nobody:
        assert (await nobody.get(link["url"])).status_code == 200
        me = (await exporting.http.get("/auth/me")).json()["id"]
        admin = await signed_in("tenant_admin")
        user = await admin.get(f"/users/{me}")
        gone = await admin.delete(f"/users/{me}", headers={"if-match": user.headers["etag"]})
        assert gone.status_code in (200, 204), gone.text
        assert (await nobody.get(link["url"])).status_code == 410
    auditor = await signed_in("auditor")
    events = (await auditor.get("/audit", params={"action": "export.fetch"})).json()["items"]
    assert [one["event"]["outcome"] for one in events] == ["failure", "success"]


async def test_only_what_gives_bytes_counts(exporting: Any) -> None:
    (dataset,) = (await exporting.imported())["datasets"]
    done = await exporting.exported(dataset)
    made = await exporting.http.post(f"/exports/jobs/{done['id']}/links", json={"receiver": "Sponsor"})
    url, etag = made.json()["url"].removeprefix("/api/v1"), f'"{done["sha256"]}"'
    assert (await exporting.http.head(url)).status_code == 200
    assert (await exporting.http.get(url, headers={"if-none-match": etag})).status_code == 304
    assert (await exporting.http.get(url, headers={"range": "bytes=99999-"})).status_code == 416
    assert (await exporting.http.get(f"/exports/jobs/{done['id']}")).json()["downloads"] == 0
    assert (await exporting.http.get(url)).status_code == 200
    assert (await exporting.http.get(url)).status_code == 410
    assert (await exporting.http.get(f"/exports/jobs/{done['id']}")).json()["downloads"] == 1


async def test_an_export_without_a_job_has_failed(running: Any, exporting: Any) -> None:
    (dataset,) = (await exporting.imported())["datasets"]
    await running.hub.runner.stop()
    lost, waits = await exporting.asked(dataset), await exporting.asked(dataset)
    store = running.hub.store

    def break_it(connection: Any) -> None:
        for row in connection.execute(job.select().where(job.c.kind == "export")).all():
            if row.arguments["export"] == lost["id"]:
                connection.execute(job.update().where(job.c.id == row.id).values(state="failed"))
        connection.execute(table.update().where(table.c.uuid != None).values(status="running"))  # noqa: E711 - SQL

    await store.write(break_it)
    await forget_exports.run(Context(store, Still(), {}), None)  # type: ignore[arg-type]  # it asks nothing of its job
    found = (await exporting.http.get(f"/exports/jobs/{lost['id']}")).json()
    assert (found["status"], "interrupted" in found["error"]["reason"]) == ("failed", True)
    assert (await exporting.http.get(f"/exports/jobs/{waits['id']}")).json()["status"] == "running"
