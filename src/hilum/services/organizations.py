"""Organizations: made by a platform operator, who invites the first administrator; the rest is the organization's."""

from __future__ import annotations

import dataclasses
import uuid
from typing import Any

from hilum.errors import NotFound, ReasonNeeded
from hilum.model.access import LOOKING, SYSTEM, Binding, Principal, Role, Scope, permit
from hilum.model.audit import Act, Change
from hilum.model.organization import Settings
from hilum.services.users import INVITATION, InvitedUser, linked, runs_the_hub
from hilum.store import Connection, Store, audit, endpoints, links, organizations, outbox, users
from hilum.store.users import Grant


@dataclasses.dataclass(frozen=True, slots=True)
class Organization:
    """`environment` is what its configuration file says; production until there is one."""

    id: uuid.UUID
    name: str
    title: str
    environment: str
    settings: Settings
    version: int


@dataclasses.dataclass(frozen=True, slots=True)
class FoundedOrganization:
    """A new organization and its first administrator, with the link to be handed over."""

    organization: Organization
    administrator: InvitedUser


class Organizations:
    """The use cases."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def list(self, act: Act, offset: int, limit: int) -> tuple[list[Organization], int]:
        """One's own; all of them for whoever runs the hub."""
        if runs_the_hub(act.principal):
            found, total = await self._store.within(None).read(organizations.listed, offset, limit)
            return [_view(one) for one in found], total
        own = await self._store.within(act.organization).read(organizations.get, act.organization)
        return [_view(own)][offset : offset + limit], 1

    async def show(self, act: Act, identifier: uuid.UUID) -> Organization:
        """Raises NotFound, of another one's too, but for whoever runs the hub."""
        everywhere = runs_the_hub(act.principal)
        found = await self._store.within(None if everywhere else act.organization).read(organizations.find, identifier)
        if not everywhere and found.id != act.organization:
            raise NotFound(f"there is no organization {identifier}")
        return _view(found)

    async def enter(self, act: Act, name: str) -> Principal:
        """Who runs the hub, in another organization: there as a viewer, with a reason that its own trail has.

        Raises Refused, ReasonNeeded, NotFound.
        """
        permit(act.principal, "organizations:enter")
        if not act.reason.strip():
            raise ReasonNeeded("organization.enter")
        known = await self._store.within(None).read(endpoints.organizations)
        if name not in known or known[name] == SYSTEM:
            raise NotFound(f"there is no organization {name}")
        home = next(one for one, number in known.items() if number == act.principal.organization)
        act.details["impersonation"] = {"from": home, "as": Role.VIEWER.value}
        settings = await self._store.within(known[name]).read(organizations.settings, known[name])
        return Principal(
            act.principal.kind, act.principal.id, act.principal.name, known[name], (Binding(Role.VIEWER),), LOOKING,
            strict=settings.strict,
        )  # fmt: skip

    async def create(self, act: Act, name: str, title: str, email: str, person: str) -> FoundedOrganization:
        """Make one and invite its first administrator. Raises Conflict."""
        made, first, token = await self._store.within(None).change(act, self._found, act, name, title, email, person)
        return FoundedOrganization(_view(made), linked(first, token, INVITATION))

    async def change(
        self, act: Act, identifier: uuid.UUID, version: int, *, title: str | None, settings: Settings | None
    ) -> Organization:
        """One's own; None leaves it as it is. Raises NotFound, Stale."""
        act.entity = f"organization/{identifier}"
        within = self._store.within(act.organization)
        found = await within.read(organizations.find, identifier)
        if found.id != act.organization:
            raise NotFound(f"there is no organization {identifier}")
        values: dict[str, Any] = {} if title is None else {"title": title}
        if settings is not None:
            values["settings"] = settings.model_dump(mode="json", exclude_defaults=True)
        return _view(await within.change(act, organizations.change, found.id, version, values))

    def _found(self, connection: Connection, act: Act, name: str, title: str, email: str, person: str) -> Change:
        """The new organization's trail begins with this act, and the operator's own has it as well."""
        made = organizations.create(connection, name, title)
        first = users.add(connection, self._store.hash, made.id, email, person, [Grant(Role.TENANT_ADMIN)])
        token = links.make(connection, made.id, first.id, INVITATION)
        after = {**organizations.shown(made), "administrator": {"id": str(first.uuid), **users.shown(first)}}
        done = Change((made, first, token), organizations.entity(made), None, after)
        there = dataclasses.replace(act, scope=Scope(made.id))
        audit.insert(connection, self._store.evidence, [audit.event(there, change=done)])
        outbox.insert(connection, made.id, act.action, done.entity)
        return done


def _view(one: organizations.Organization) -> Organization:
    return Organization(one.uuid, one.name, one.title, one.environment, one.settings, one.version)
