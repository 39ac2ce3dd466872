"""Lists and other reads: pages of every list, and what may be kept of an answer."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]
WHOLE = {
    "list_consents",
    "list_connectors",
    "list_steps",
    "list_credential_kinds",
    "message_steps",
    "list_retention_policies",
    "list_export_dashboards",
    "list_export_formats",
    "list_export_links",
    "list_export_reports",
    "list_failures",
}
"""Lists of what the program itself knows, or of a single message or integration: they don't grow."""

KEPT = {"list_connectors", "list_steps"}
"""What a client's own cache may keep: the same for everybody in an organization, and about nobody."""

LOGS = {"list_messages", "search_messages", "list_events", "list_checkpoints"}
"""Lists that are read by a cursor: a page number would move while they grow."""

ALIVE = {
    "list_events", "show_event", "list_checkpoints", "export_events", "list_sessions", "list_lanes", "list_sources",
    "ready", "show_job", "message_steps", "read_stats", "read_config_stats", "read_analytics", "poll_events",
    "stream_events", "preview_retention", "read_integration", "read_integration_health", "list_integrations",
    "read_config", "list_configs", "list_datasets", "read_dataset",
    "read_dataset_import", "list_export_jobs", "list_dataset_imports", "list_failures", "report_connections",
    "download_export", "read_webhook_delivery", "list_webhook_deliveries", "read_webhook_subscription",
    "list_webhook_subscriptions",
}  # fmt: skip
"""Reads whose answer may be another one a moment later: with them the ETag is only looked at."""


def reads(world: Any) -> list[tuple[str, str, dict[str, Any]]]:
    return [(name, path, about) for name, method, path, about in world.operations() if method == "GET"]


def asks_for(operation: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {one["name"]: one["schema"] for one in operation.get("parameters", ()) if one["in"] == "query"}


@pytest.mark.ledger("S0-49")
async def test_every_list_has_pages_of_twenty_and_no_more_than_a_hundred(world: Any) -> None:
    who = await world.person()
    named = [one for one in reads(world) if one[0].startswith("list_") or one[0] in LOGS | WHOLE]
    lists = [one for one in named if one[1].startswith("/api/v1/")]  # document 002's own surface has no pages
    assert {name for name, _, about in lists if "size" not in asks_for(about)} == WHOLE
    for name, path, about in lists:
        query, known = await world.query(about), asks_for(about)
        if name in WHOLE:
            continue
        path = path.format_map(await world.place(who, name, path))
        assert (known["size"]["default"], known["size"]["maximum"]) == (20, 100), name
        assert ("page" in known) is not (name in LOGS), name
        wrong = [{"size": "101"}, {"size": "0"}] + [{"page": "0"}, {"page": "-1"}] * ("page" in known)
        for one in wrong:
            response = await who.ask("GET", path, params={**query, **one})
            error = response.json()["error"]
            assert (response.status_code, error["code"], error["field"]) == (
                400,
                world.code(path, 2),
                next(iter(one)),
            ), name
        usual = (await who.ask("GET", path, params=query)).json()
        if "page" in known:
            assert (usual["page"], usual["size"]) == (1, 20), name
    await many(world)
    for path, count in (("/users", 30), ("/studies", 30)):
        await same_order(who, f"/api/v1{path}", count)
    for path in ("/messages", "/audit"):
        await same_sequence(world, who, f"/api/v1{path}")


async def many(world: Any) -> None:
    """More than a page of users, studies, messages and events."""
    boss = await world.person()
    for number in range(30):
        for path, body in (
            ("/users", {"email": f"many{number}@example.org", "name": "The Same Name"}),
            ("/studies", {"name": f"many-{number}", "title": "The same title"}),
        ):
            made = await boss.ask("POST", f"/api/v1{path}", json=body)
            assert made.status_code == 201, made.text
    await world.receive(25)


async def same_order(who: Any, path: str, least: int) -> None:
    """The pages together are the whole list, in one order, each item once; items that are alike included."""
    whole = (await who.ask("GET", path, params={"size": 100})).json()
    assert least <= whole["total"] <= 100
    usual = (await who.ask("GET", path)).json()
    assert usual["items"] == whole["items"][:20]
    pages = [(await who.ask("GET", path, params={"size": 7, "page": page})).json() for page in range(1, 16)]
    assert [one["id"] for page in pages for one in page["items"]] == [one["id"] for one in whole["items"]]


async def same_sequence(world: Any, who: Any, path: str) -> None:
    """By the cursor each item comes once, the newest first, although more are added meanwhile."""
    first = (await who.ask("GET", path)).json()
    assert len(first["items"]) == 20
    found, cursor = [key(one) for one in first["items"]], first["next"]
    while cursor is not None and len(found) < 60:
        await world.receive(1)
        page = (await who.ask("GET", path, params={"before": cursor, "size": 9})).json()
        found += [key(one) for one in page["items"]]
        cursor = page["next"]
    assert len(found) == len({identifier for _, identifier in found})
    times = [time for time, _ in found]
    assert times == sorted(times, reverse=True)


def key(item: dict[str, Any]) -> tuple[str, str]:
    about = item.get("event", item)
    return about.get("received_at") or about["time"], about["id"]


@pytest.mark.ledger_part("S0-50", "all but the formats and templates of exports, which are to come")
async def test_what_may_be_kept_of_an_answer(world: Any) -> None:
    """ETag and 304 on every read in JSON; nothing is stored on its way but what is about nobody."""
    compared, viewer = 0, await world.person("viewer")
    for name, path, about in reads(world):
        who = await world.person()
        at, query = path.format_map(await world.place(who, name, path)), await world.query(about)
        first = await who.ask("GET", at, params=query)
        if name in KEPT:
            assert first.headers["cache-control"] == "private, no-cache", name  # asked for each time, by whose it is
            assert {one.strip() for one in first.headers["vary"].split(",")} >= {"Authorization", "Cookie"}
        else:
            assert first.headers["cache-control"] == "no-store", name
        if first.headers.get("content-type") != "application/json" or first.status_code != 200:
            continue
        tag = first.headers["etag"]
        again = await who.ask("GET", at, params=query, headers={"if-none-match": tag})
        if name not in ALIVE:
            assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag), name
            compared += 1
        other = await who.ask("GET", at, params=query, headers={"if-none-match": '"another"'})
        assert (other.status_code, bool(other.content)) == (200, True), name
        if about["security"]:  # whoever may not see it is told nothing by a tag that fits
            stranger = await who.ask("GET", at, params=query, headers={"authorization": "", "if-none-match": tag})
            assert stranger.status_code == 401, name
            own = await viewer.ask("GET", at, params=query)
            mine = await viewer.ask("GET", at, params=query, headers={"if-none-match": tag})
            same = own.headers.get("etag") == tag and name not in ALIVE
            assert mine.status_code == (304 if same else own.status_code) or name in ALIVE, name
    assert compared > 20
