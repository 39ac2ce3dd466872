"""Vendors: contacts, agreements with their ends, evidence, and which integrations are theirs."""

from __future__ import annotations

import dataclasses
import uuid
from typing import Any

from hilum import clock
from hilum.model.access import Scope
from hilum.model.audit import Act
from hilum.model.vendor import Vendor
from hilum.services.messages import stamp
from hilum.store import Connection, Store, vendors
from hilum.store.vendors import Row


@dataclasses.dataclass(frozen=True, slots=True)
class Linked:
    """An integration of a vendor's, by its name in files."""

    id: str
    handle: str


@dataclasses.dataclass(frozen=True, slots=True)
class VendorView:
    """`ending`: what ends within 60 days, or has ended, with the days that are left."""

    id: str
    name: str
    owner: str
    contacts: list[dict[str, Any]]
    agreements: list[dict[str, Any]]
    evidence: list[dict[str, Any]]
    notes: str
    integrations: list[Linked]
    ending: dict[str, int]
    version: int
    created_at: str


class Vendors:
    """The use cases."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def list(self, scope: Scope, text: str | None, offset: int, limit: int) -> tuple[list[VendorView], int]:
        """By name, and how many there are."""

        def read(connection: Connection) -> tuple[list[VendorView], int]:
            found, total = vendors.listed(connection, scope.organization, text, offset, limit)
            return [_view(connection, scope, one) for one in found], total

        return await self._store.within(scope.organization).read(read)

    async def show(self, scope: Scope, identifier: uuid.UUID) -> VendorView:
        """Raises NotFound."""

        def read(connection: Connection) -> VendorView:
            return _view(connection, scope, vendors.find(connection, scope.organization, identifier))

        return await self._store.within(scope.organization).read(read)

    async def create(self, act: Act, wanted: Vendor) -> VendorView:
        """Raises Conflict (the name)."""
        made: Row = await self._store.within(act.organization).change(act, vendors.create, act.organization, wanted)
        return await self.show(act.scope, made.uuid)

    async def replace(self, act: Act, identifier: uuid.UUID, version: int, wanted: Vendor) -> VendorView:
        """Raises NotFound, Stale, Conflict (the name)."""
        own = self._store.within(act.organization)
        await own.change(act, vendors.replace, act.organization, identifier, version, wanted)
        return await self.show(act.scope, identifier)

    async def archive(self, act: Act, identifier: uuid.UUID) -> None:
        """Raises NotFound, Conflict while integrations name it."""
        await self._store.within(act.organization).change(act, vendors.archive, act.organization, identifier)


def _view(connection: Connection, scope: Scope, one: Row) -> VendorView:
    model = one.model
    told = model.model_dump(mode="json", include={"contacts", "agreements", "evidence"})
    theirs = [Linked(str(identifier), name) for name, identifier in vendors.linked(connection, scope, model.name)]
    return VendorView(
        id=str(one.uuid), name=model.name, owner=model.owner, **told, notes=model.notes, integrations=theirs,
        ending=model.ending(clock.now().date()), version=one.version, created_at=stamp(one.created_at),
    )  # fmt: skip
