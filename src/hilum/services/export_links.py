"""Links to files of exports, for partners without an account: made, listed, revoked, and followed."""

from __future__ import annotations

import dataclasses
import datetime
import uuid
from typing import Any

from hilum import clock
from hilum.errors import Conflict, Gone, NotFound, Refused
from hilum.exporting import requests
from hilum.model.access import Principal, PrincipalKind, Scope, permit
from hilum.model.audit import Act, Change
from hilum.model.export import READY, Receiver
from hilum.services.exports import Exports, File, found
from hilum.store import Connection, Store, export_links, exports, owners
from hilum.store.export_links import Link

HOUR = 3_600


@dataclasses.dataclass(frozen=True, slots=True)
class LinkView:
    """A link. `downloads` null: any number; `url`: only in the answer that it is made by."""

    id: uuid.UUID
    receiver: str
    downloads: int | None
    used: int
    made_by: str
    created_at: datetime.datetime
    expires_at: datetime.datetime
    revoked_at: datetime.datetime | None
    holds: bool
    url: str | None = None


class ExportLinks:
    """The use cases."""

    def __init__(self, store: Store, exports: Exports) -> None:
        self._store = store
        self._exports = exports

    async def create(
        self, act: Act, identifier: uuid.UUID, receiver: Receiver, hours: int, downloads: int | None
    ) -> LinkView:  # fmt: skip
        """Raises NotFound, Refused (the source, the organization's rules), Conflict where there is no file."""
        within = self._store.within(act.organization)
        one = await within.read(found, act.scope, identifier)
        requests.allow(act, one)
        await self._exports.opened(one)
        link, secret = await within.change(act, _made, act, identifier, receiver, hours * HOUR, downloads)
        return dataclasses.replace(_view(link), url=f"/api/v1/exports/links/{secret}")

    async def list(self, scope: Scope, identifier: uuid.UUID) -> list[LinkView]:
        """The newest first. Raises NotFound."""
        return await self._store.within(scope.organization).read(_listed, scope, identifier)

    async def revoke(self, act: Act, identifier: uuid.UUID, link: uuid.UUID) -> None:
        """Raises NotFound, Conflict where it was revoked before."""
        await self._store.within(act.organization).change(act, _revoked, act.scope, identifier, link)

    async def follow(self, act: Act, text: str) -> tuple[File, Link]:
        """The file behind a link; the act becomes that of its holder. Raises NotFound, Gone."""
        token = export_links.read(text)
        within = self._store.within(token.organization)
        link, one = await within.read(_matched, token)
        act.scope, act.entity = Scope(token.organization), f"export/{one.uuid}"
        act.principal = Principal(PrincipalKind.NOBODY, f"link:{link.uuid}", link.receiver, token.organization)
        act.details |= {"link": str(link.uuid)}
        export_links.check(link)
        await within.read(_still_allowed, link, one)
        try:
            file = await self._exports.opened(one)
        except Conflict as error:
            raise NotFound(str(error)) from None
        act.details |= {"sha256": file.sha256.hex(), "bytes": file.size}
        return file, link

    async def given(self, link: Link) -> None:
        """Bytes are about to leave by it. Raises Gone where somebody else took the last download."""
        await self._store.within(link.organization).write(_used, link)


def _made(
    connection: Connection, act: Act, identifier: uuid.UUID, receiver: Receiver, seconds: int, downloads: int | None
) -> Change:  # fmt: skip
    one = found(connection, act.scope, identifier)
    requests.admit(connection, act, receiver)
    if one.status not in READY:
        raise Conflict(f"the export {identifier} is {one.status}: there is no file to fetch")
    told = f"{receiver.name} ({receiver.country})" if receiver.country else receiver.name
    return export_links.create(connection, one, told, seconds, downloads, (act.principal.id, act.principal.name))


def _listed(connection: Connection, scope: Scope, identifier: uuid.UUID) -> list[LinkView]:
    return [_view(one) for one in export_links.of(connection, found(connection, scope, identifier))]


def _revoked(connection: Connection, scope: Scope, identifier: uuid.UUID, link: uuid.UUID) -> Change:
    return export_links.revoke(connection, found(connection, scope, identifier), link)


def _matched(connection: Connection, token: export_links.Token) -> tuple[Link, exports.Export]:
    link = export_links.matched(connection, token)
    return link, exports.by_number(connection, link.organization, link.export)


def _still_allowed(connection: Connection, link: Link, one: exports.Export) -> None:
    """A link is worth what its maker may: whoever has left the house gives nothing away. Raises Gone."""
    try:
        maker = owners.of(connection, link.organization, link.made_by)
        requests.allow(Act(maker, permit(maker, "exports:create"), "export-link.follow"), one)
    except (Refused, NotFound):
        raise Gone("this link does not hold: who made it may give this away no more") from None


def _used(connection: Connection, link: Link) -> None:
    export_links.use(connection, link)
    exports.fetched(connection, exports.by_number(connection, link.organization, link.export))


def _view(one: Link) -> LinkView:
    holds = one.holds(clock.micros())
    revoked: Any = None if one.revoked_at is None else clock.from_micros(one.revoked_at)
    return LinkView(
        one.uuid, one.receiver, one.most, one.used, one.made_name, clock.from_micros(one.created_at),
        clock.from_micros(one.expires_at), revoked, holds,
    )  # fmt: skip
