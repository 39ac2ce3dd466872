"""Stored mappings and the routes that use them, on either database: one transaction, or none of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from hilum.app import Hub
from hilum.errors import ConfigError, Conflict, NotFound, Stale
from hilum.model import document
from hilum.model.access import Scope
from hilum.model.audit import Act
from hilum.model.configuration import Endpoint, Route
from hilum.services.previews import Sample
from hilum.store import configuration, mappings, routes
from hilum.store.mappings import Text
from hilum.store.routes import Wanted
from hilum.store.schema_evidence import audit_event

pytestmark = pytest.mark.anyio
BODY = "MSH|^~\\&|A|B|C|D|20260101||ADT^A01|1|P|2.5\nPID|1||x1"
EXAMPLE = {"input": BODY.replace("x1", "secret patient"), "expected": {"MSH-4": "B"}}


def text(value: str = "ONE", **more: Any) -> Text:
    return Text("", "UTC", {"set": {"MSH-5": value}, **more})


def using(*uses: str, name: str = "copy", **more: Any) -> Route:
    steps = [{"map": {"use": one}} for one in uses]
    return Route.model_validate({"name": name, "from": "adt/in", "steps": steps, "to": ["lab/out"], **more})


async def test_a_new_version_is_one_of_the_routes_that_follow(hub: Hub, act: Callable[..., Act]) -> None:
    services = hub.services()
    await services.mappings.create(act(), "codes", text())
    await services.route_documents.create(act(), using("codes"))
    await services.route_documents.create(act(), using("codes@1", name="fixed"))
    changed = await services.mappings.replace(act(), "codes", 1, text("TWO"))
    assert (changed.version, changed.current, changed.routes) == (2, 2, ["copy", "fixed"])
    follows = await services.route_documents.show(Scope(1), "copy")
    assert (follows.version, follows.mappings) == (2, {"codes": 2})
    assert (await services.route_documents.show(Scope(1), "fixed")).version == 1
    old, new = [await hub.store.within(1).read(routes.version, Scope(1), "copy", one) for one in (1, 2)]
    assert old.document["mappings"]["codes"]["document"] == {"set": {"MSH-5": "ONE"}}
    assert new.document["mappings"]["codes"] == {"version": 2, "document": {"set": {"MSH-5": "TWO"}}}
    ran = [await services.route_documents.preview(act(), one, Sample(body=BODY)) for one in ("copy", "fixed")]
    assert ["|TWO|" in (one.outputs[0].body or "") for one in ran] == [True, False]


async def test_a_mapping_that_breaks_a_route_changes_nothing(hub: Hub, act: Callable[..., Act]) -> None:
    services = hub.services()
    await services.mappings.create(act(), "codes", text())
    await services.route_documents.create(act(), using("codes"))

    def spoil(connection: sa.Connection) -> None:
        """As if a plug-in that the route needs was gone."""
        row = routes.current(connection, 1, "copy")
        assert row is not None
        steps = [*row.document["route"]["steps"], {"gone": {}}]
        pinned = {**row.document, "route": {**row.document["route"], "steps": steps}}
        configuration.put_route(connection, 1, "copy", pinned, None)

    await hub.store.write(spoil)
    with pytest.raises(Conflict, match="would not work any more"):
        await services.mappings.replace(act(), "codes", 1, text("TWO"))
    assert (await services.mappings.show(Scope(1), "codes")).version == 1
    assert (await services.route_documents.show(Scope(1), "copy")).version == 2


async def test_a_route_is_not_saved_with_a_mapping_of_a_moment_ago(hub: Hub, act: Callable[..., Act]) -> None:
    services = hub.services()
    await services.mappings.create(act(), "codes", text())
    ready = await services.route_documents.ready(Scope(1), using("codes"))
    await services.mappings.replace(act(), "codes", 1, text("TWO"))
    with pytest.raises(Conflict, match="mapping codes was changed meanwhile"):
        await hub.store.within(1).change(act(), routes.save, act(), "copy", None, ready.pinned)
    with pytest.raises(NotFound):
        await services.route_documents.show(Scope(1), "copy")
    ready = await services.route_documents.ready(Scope(1), using("codes"))
    await services.mappings.remove(act(), "codes")
    with pytest.raises(Conflict, match="mapping codes"):
        await hub.store.within(1).change(act(), routes.save, act(), "copy", None, ready.pinned)


async def test_a_file_may_use_a_stored_mapping(hub: Hub, act: Callable[..., Act], tmp_path: Any) -> None:
    services, steps = hub.services(), "{map: {use: codes}}"
    wanted = """
version: 1
organization: demo
integrations:
  - {name: adt, protocol: hl7_v2, endpoints: [{name: in, direction: inbound, url: "mllp://127.0.0.1:2575"}]}
  - {name: lab, protocol: hl7_v2, endpoints: [{name: out, direction: outbound, url: "mllp://127.0.0.1:2576"}]}
routes: [{name: of-a-file, from: adt/in, steps: [STEPS], to: [lab/out]}]
""".replace("STEPS", steps)
    file = document.load(wanted, "hub.yaml")
    with pytest.raises(ConfigError, match="there is no mapping codes"):
        await hub.configurations.apply(act(), file, tmp_path)
    await services.mappings.create(act(), "codes", text())
    await hub.configurations.apply(act(), file, tmp_path)
    await services.mappings.replace(act(), "codes", 1, text("TWO"))
    found = await services.route_documents.show(Scope(1), "of-a-file")
    assert (found.version, found.managed_by, found.mappings) == (2, "file", {"codes": 2})
    compiled, changes = await hub.configurations.plan(file, tmp_path)
    assert (compiled.problems, changes) == ((), []), "the file still says what stands"


async def test_a_released_route_keeps_its_files(hub: Hub, act: Callable[..., Act]) -> None:
    """The API brings no scripts and tables, but what a route has stays with it, through a rollback too."""
    services = hub.services().route_documents
    step = {"script": {"file": "stamp.py", "function": "transform"}}
    stolen = Route.model_validate({"name": "stolen", "from": "adt/in", "steps": [step], "to": ["lab/out"]})
    with pytest.raises(ConfigError, match=r"stamp\.py is not among the route's stored files"):
        await services.create(act(), stolen)
    await hub.configurations.release(act(), "adt-to-script")
    changed = await services.change(act(), "adt-to-script", 1, {"otherwise": ["lab/out"]})
    assert changed.files == ["stamp.py"]
    without = await services.change(act(), "adt-to-script", 2, {"steps": []})
    assert without.files == []
    back = await services.rollback(act(), "adt-to-script", 3, 1, "")
    assert (back.files, back.steps, back.otherwise) == (["stamp.py"], [step], [])
    ran = await services.preview(act(), "adt-to-script", Sample(body=BODY))
    assert (ran.repeatable, "|SEEN" in (ran.outputs[0].body or "")) == (False, True)


async def test_two_who_change_a_route_at_once(hub: Hub, act: Callable[..., Act]) -> None:
    services = hub.services().route_documents
    await services.create(act(), using(name="mine"))
    one, other = [await services.ready(Scope(1), using(name="mine", otherwise=given)) for given in ([], ["lab/out"])]
    change = hub.store.within(1).change
    await change(act(), routes.save, act(), "mine", 1, other.pinned)
    with pytest.raises(Stale):
        await change(act(), routes.save, act(), "mine", 1, one.pinned)
    with pytest.raises(Stale):
        await change(act(), routes.retire, act(), "mine", 1)
    assert (await services.show(Scope(1), "mine")).otherwise == ["lab/out"]


async def test_examples_are_in_no_audit_event(hub: Hub, act: Callable[..., Act]) -> None:
    """They are messages, and may be somebody's."""
    services = hub.services()
    await services.mappings.create(act(), "codes", text(examples=[EXAMPLE]))
    await services.mappings.replace(act(), "codes", 1, text("TWO", examples=[EXAMPLE]))
    steps = [{"map": {"set": {"MSH-6": "X"}, "examples": [EXAMPLE]}}]
    await services.route_documents.create(act(), Route.model_validate({**route_of("mine"), "steps": steps}))
    await services.route_documents.change(act(), "mine", 1, {"otherwise": ["lab/out"]})
    query = sa.select(audit_event.c.document)
    found = await hub.store.within(1).read(lambda connection: list(connection.execute(query).scalars()))
    assert not any("secret patient" in one for one in found)
    assert any(json.loads(one).get("after", {}).get("examples") == 1 for one in found if "TWO" in one)


def route_of(name: str) -> dict[str, Any]:
    return {"name": name, "from": "adt/in", "to": ["lab/out"]}


async def test_lists(hub: Hub, act: Callable[..., Act]) -> None:
    services = hub.services()
    for name in ("b", "a", "c"):
        await services.mappings.create(act(), name, Text(f"About {name.upper()}", "UTC", {}))
        await services.route_documents.create(act(), using(name, name=f"{name}-route"))
    await services.mappings.create(act(), "d", text(), draft=True)
    found, total = await services.mappings.list(Scope(1), None, 1, 2)
    assert ([one.name for one in found], total) == (["b", "c"], 4)
    found, total = await services.mappings.list(Scope(1), "about a", 0, 9)
    assert ([(one.name, one.routes) for one in found], total) == ([("a", ["a-route"])], 1)
    assert (await services.mappings.list(Scope(2), None, 0, 9)) == ([], 0)
    listed, total = await services.route_documents.list(Scope(1), Wanted(managed_by="api"), 1, 1)
    assert ([one.name for one in listed], total) == (["b-route"], 3)
    assert (await services.route_documents.list(Scope(2), Wanted(), 0, 9)) == ([], 0)


async def test_endpoints_are_given_the_document(hub: Hub, act: Callable[..., Act]) -> None:
    services = hub.services()
    await services.mappings.create(act(), "codes", text())
    await services.mappings.replace(act(), "codes", 1, text("TWO"))
    values = {"name": "out", "direction": "outbound", "url": "mllp://127.0.0.1:1"}
    one = Endpoint.model_validate({**values, "data_mapping": "codes@1", "response_mapping": "codes"})
    found = await hub.store.within(1).read(mappings.inlined, 1, one)
    assert (found.data_mapping, found.response_mapping) == ({"set": {"MSH-5": "ONE"}}, {"set": {"MSH-5": "TWO"}})
    assert await hub.store.within(1).read(mappings.inlined, 2, one) == one, "another organization's are not there"
