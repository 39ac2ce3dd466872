"""Organizations: made by whoever runs the hub, seen by their own people, each with the trail of its beginning."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from hilum.app import Hub
from hilum.errors import Conflict, NotFound
from hilum.model.access import Binding, Principal, PrincipalKind, Role, Scope
from hilum.model.audit import Act
from hilum.model.organization import Settings
from hilum.services.organizations import FoundedOrganization
from hilum.store import audit, links, outbox, users
from hilum.store.audit import EventFilter
from hilum.store.users import UserFilter

pytestmark = pytest.mark.anyio
Acts = Callable[..., Act]


def person(role: Role, organization: int = 1, action: str = "test.act") -> Act:
    """An act of somebody with a role."""
    who = Principal(PrincipalKind.USER, str(uuid.uuid4()), "Somebody", organization, (Binding(role),))
    return Act(who, Scope(organization), action)


async def founded(hub: Hub, act: Act, name: str = "clinic") -> FoundedOrganization:
    act.action = "organization.create"
    return await hub.services().organizations.create(act, name, "The clinic", "ann@clinic.example", "Ann")


async def number(hub: Hub, name: str) -> int:
    return await hub.services().names.organization(name)


async def test_a_new_organization_has_one_administrator_who_is_invited(hub: Hub) -> None:
    made = await founded(hub, person(Role.PLATFORM_OPERATOR))
    clinic = await number(hub, "clinic")
    found, total = await hub.store.within(clinic).read(users.listed, clinic, UserFilter(), 0, 10)
    assert (total, found[0].email, found[0].state, found[0].has(Role.TENANT_ADMIN)) == (
        1, "ann@clinic.example", "invited", True
    )  # fmt: skip
    link = await hub.store.read(links.look, made.administrator.link.token)
    assert (link.organization, link.user) == (clinic, found[0].id)


@pytest.mark.ledger_part("S4-78", "a new organization is in its own trail and in that of its maker")
async def test_both_trails_have_it_once(hub: Hub) -> None:
    act = person(Role.PLATFORM_OPERATOR)
    made = await founded(hub, act)
    for owner in (1, await number(hub, "clinic")):
        [event] = await hub.store.within(owner).read(
            audit.newest, owner, EventFilter(action="organization.create")
        )  # fmt: skip
        document = event.document
        assert (document["organization"], document["actor"]["id"]) == (owner, act.principal.id)
        assert document["entity"] == f"organization/{made.organization.id}"
        assert document["after"]["administrator"]["email"] == "ann@clinic.example"
        assert made.administrator.link.token not in str(document)
    told = [note for note in await hub.store.read(outbox.after, 0) if note.topic == "organization.create"]
    assert len({note.organization for note in told}) == 2


async def test_nothing_is_left_of_one_that_fails(hub: Hub) -> None:
    act = person(Role.PLATFORM_OPERATOR)
    with pytest.raises(Conflict, match="there is an organization demo already"):
        await founded(hub, act, "demo")
    with pytest.raises(Conflict, match="the hub's own name"):
        await founded(hub, act, "system")
    assert not act.recorded
    assert await hub.store.read(audit.newest, 1, EventFilter(action="organization.create")) == []


@pytest.mark.ledger_part("S4-76", "another organization is not there, but for whoever runs the hub")
async def test_who_sees_which(hub: Hub, act: Acts) -> None:
    organizations = hub.services().organizations
    made = (await founded(hub, act())).organization
    clinic = await number(hub, "clinic")
    admin, boss = person(Role.TENANT_ADMIN, clinic), person(Role.PLATFORM_OPERATOR)
    [demo] = [one for one in (await organizations.list(boss, 0, 10))[0] if one.name == "demo"]
    assert [one.name for one in (await organizations.list(boss, 0, 10))[0]] == ["clinic", "demo"]
    assert await organizations.list(boss, 1, 1) == ([demo], 2)
    assert await organizations.list(admin, 0, 10) == ([made], 1)
    assert await organizations.list(admin, 10, 10) == ([], 1)
    assert await organizations.show(admin, made.id) == await organizations.show(boss, made.id) == made
    with pytest.raises(NotFound):
        await organizations.show(admin, demo.id)
    for somebody, theirs in ((admin, demo.id), (boss, made.id)):
        with pytest.raises(NotFound):
            await organizations.change(somebody, theirs, 1, title="Mine", settings=None)
    assert (await organizations.show(boss, demo.id)).title == ""


async def test_settings_are_its_own(hub: Hub, act: Acts) -> None:
    organizations = hub.services().organizations
    made = (await founded(hub, act())).organization
    admin = person(Role.TENANT_ADMIN, await number(hub, "clinic"), "organization.change")
    wanted: dict[str, Any] = {"title": None, "settings": Settings(session_idle=5)}
    changed = await organizations.change(admin, made.id, 1, **wanted)
    assert (changed.title, changed.settings.session_idle, changed.version) == ("The clinic", 5, 2)
    renamed = await organizations.change(admin, made.id, 2, title="Clinic", settings=None)
    assert (renamed.title, renamed.settings.session_idle, renamed.version) == ("Clinic", 5, 3)
