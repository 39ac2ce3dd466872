"""Stored mappings: named documents of field rules that several routes and endpoints use, with versions and examples.

A version whose examples fail is a draft at most, and nothing uses a draft. A new current version is a new version of
every route that uses the mapping without saying which: in the same transaction.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from hilum.errors import ConfigError, Conflict
from hilum.intake.routing import remap
from hilum.model.access import Scope
from hilum.model.audit import Act, Change
from hilum.pipeline.mapping import compile_step
from hilum.sdk.contracts import Step
from hilum.sdk.registry import Registry
from hilum.services import previews
from hilum.services.comparison import Comparison, compare
from hilum.services.messages import stamp
from hilum.services.policy import Intent, Policy
from hilum.services.previews import Checked, MappingPreview, Previews, Sample
from hilum.services.route_documents import OPERATION
from hilum.store import Connection, Store, mappings, routes
from hilum.store.mappings import Row, Text, Users

_LARGEST = 1_000_000  # bytes of a document, examples and all


@dataclasses.dataclass(frozen=True, slots=True)
class MappingView:
    """`current`: the version that is used where none is said; null while there are drafts alone."""

    id: str
    name: str
    version: int
    current: int | None
    draft: bool
    description: str
    timezone: str
    document: dict[str, Any]
    routes: list[str]
    endpoints: list[str]
    created_at: str
    created_by: str
    reason: str


@dataclasses.dataclass(frozen=True, slots=True)
class Ready:
    """A mapping that compiles, and what its examples found."""

    text: Text
    step: Step[Any]
    checked: Checked


class Mappings:
    """The use cases."""

    def __init__(self, store: Store, registry: Registry, policy: Policy, previewed: Previews) -> None:
        self._store = store
        self._registry = registry
        self._policy = policy
        self._previews = previewed

    async def list(self, scope: Scope, text: str | None, offset: int, limit: int) -> tuple[list[MappingView], int]:
        """The newest version of each, and how many there are."""

        def read(connection: Connection) -> tuple[list[MappingView], int]:
            found, total = mappings.listed(connection, scope.organization, text, offset, limit)
            usage = mappings.usage(connection, scope.organization)
            return [_view(one, usage) for one in found], total

        return await self._store.within(scope.organization).read(read)

    async def show(self, scope: Scope, name: str) -> MappingView:
        """Its newest version. Raises NotFound."""
        return await self._read(scope, mappings.find, name)

    async def versions(self, scope: Scope, name: str, offset: int, limit: int) -> tuple[Sequence[MappingView], int]:
        """Every version, the newest first, an archived one's too. Raises NotFound."""

        def read(connection: Connection) -> tuple[Sequence[MappingView], int]:
            found, total = mappings.versions(connection, scope.organization, name, offset, limit)
            usage = mappings.usage(connection, scope.organization)
            return [_view(one, usage) for one in found], total

        return await self._store.within(scope.organization).read(read)

    async def version(self, scope: Scope, name: str, number: int) -> MappingView:
        """Raises NotFound."""
        return await self._read(scope, mappings.version, name, number)

    async def newest(self, scope: Scope, name: str) -> MappingView:
        """Its newest version, an archived one's too. Raises NotFound."""
        return (await self.versions(scope, name, 0, 1))[0][0]

    async def compare(self, scope: Scope, name: str, before: int | None, after: int | None) -> Comparison:
        """`after` None: the newest; `before` None: the one before that. Raises NotFound."""

        def read(connection: Connection) -> Comparison:
            owner = scope.organization
            new = after or mappings.versions(connection, owner, name, 0, 1)[0][0].number
            old = before or max(new - 1, 1)
            one, other = [mappings.version(connection, owner, name, number) for number in (old, new)]
            return compare((old, dataclasses.asdict(one.text)), (new, dataclasses.asdict(other.text)), name)

        return await self._store.within(scope.organization).read(read)

    async def create(self, act: Act, name: str, text: Text, *, draft: bool = False) -> MappingView:
        """Raises ConfigErrors, Conflict."""
        ready = self.ready(text)
        _check(ready, draft)
        return await self._save(act, name, None, ready, draft=draft)

    async def replace(self, act: Act, name: str, version: int, text: Text, *, draft: bool = False) -> MappingView:
        """Raises NotFound, Stale, ConfigErrors, Conflict (a route breaks), and what policy asks for."""
        found = await self._own(act, name)
        ready = self.ready(text)
        _check(ready, draft)
        if not draft:
            await self._ask(act, found, version, text)
        return await self._save(act, name, version, ready, draft=draft)

    async def rollback(self, act: Act, name: str, version: int, number: int, reason: str) -> MappingView:
        """A new version with an old one's document. Raises as `replace` does."""
        act.reason = reason or act.reason
        found = await self._own(act, name)
        if number == found.current == found.newest:
            raise Conflict(f"version {number} is the current one")
        old = await self._store.within(act.organization).read(mappings.version, act.organization, name, number)
        act.details["rollback"] = number
        return await self.replace(act, name, version, old.text)

    async def remove(self, act: Act, name: str) -> None:
        """Its versions stay. Raises NotFound, Conflict while something uses it."""
        found = await self._own(act, name)
        await self._store.within(act.organization).change(act, mappings.archive, act, name, found.newest)

    async def check(self, scope: Scope, name: str) -> Checked:
        """Compile its newest version and run its examples. Raises NotFound."""
        found = await self._store.within(scope.organization).read(mappings.find, scope.organization, name)
        try:
            return self.ready(found.text).checked
        except ConfigError as error:
            return previews.broken(error)

    async def preview(self, act: Act, name: str, wanted: Sample) -> MappingPreview:
        """What its newest version makes of a message; nothing is sent. Raises NotFound, Refused, Conflict."""
        found = await self._own(act, name)
        return await self._previews.mapping(act, self.ready(found.text).step, wanted)

    async def rehearse(self, act: Act, draft: Text, wanted: Sample) -> MappingPreview:
        """`preview` of one that is not stored. Raises ConfigErrors too."""
        return await self._previews.mapping(act, self.ready(draft).step, wanted)

    def ready(self, text: Text) -> Ready:
        """Raises ConfigError where it does not compile; what its examples found is in the result."""
        if len(json.dumps(text.document)) > _LARGEST:
            raise ConfigError(f"has more than {_LARGEST:,} bytes", where="document")
        try:
            ZoneInfo(text.timezone)
        except (OSError, ValueError, KeyError):
            raise ConfigError(f"there is no time zone {text.timezone!r}", where="timezone") from None
        step = compile_step(text.document, registry=self._registry, timezone=text.timezone, where="document")
        tried = [(f"document.examples[{number}]", one) for number, one in enumerate(step.tried())]
        return Ready(text, step, previews.results(tried))

    async def _save(self, act: Act, name: str, version: int | None, ready: Ready, *, draft: bool) -> MappingView:
        own = self._store.within(act.organization)
        users = Users({}, (), frozenset())
        if not draft:
            users = await own.read(mappings.users, act.organization, name)
        made: Row = await own.change(act, self._write, act, name, version, ready.text, users, draft)
        self._store.signal("configuration")
        return _view(made, await own.read(mappings.usage, act.organization))

    def _write(
        self, connection: Connection, act: Act, name: str, version: int | None, text: Text, users: Users, draft: bool
    ) -> Change:
        """The mapping, and every route that uses it as it stands."""
        done = mappings.save(connection, act, name, version, text, draft=draft)
        if draft:
            return done
        following = _following(users, name)
        now = _following(mappings.users(connection, act.organization, name), name)
        if {one: number for one, (number, _) in now.items()} != {one: number for one, (number, _) in following.items()}:
            raise Conflict("the routes that use it were changed meanwhile: try again")
        given = {name: {"version": done.result.number, "document": text.document}}
        for route, (number, document) in following.items():
            try:
                pinned = remap(document, given, self._registry)
            except ConfigError as error:
                raise Conflict(f"its routes would not work any more: {error}") from None
            routes.repin(connection, act, route, number, pinned)
        told = {**(done.after or {}), "routes": sorted(following)} if following else done.after
        return dataclasses.replace(done, after=told)

    async def _ask(self, act: Act, found: Row, version: int, text: Text) -> None:
        """Policy, which looks at everything that uses it."""

        def read(connection: Connection) -> tuple[bool, str]:
            users = mappings.users(connection, act.organization, found.name)
            around = routes.Around(connection, act.organization)
            ends = around.ends(*(document["route"] for _, document in users.routes.values()))
            return ends.gxp or mappings.gxp(connection, act.organization, users.integrations), ends.environment

        gxp, environment = await self._store.within(act.organization).read(read)
        shown = {"description": text.description, "timezone": text.timezone, "document": routes.brief(text.document)}
        hidden = json.dumps(text.document).encode()
        await self._policy.check(
            act, Intent(OPERATION, act.entity, shown, hidden, version, gxp, environment)
        )  # fmt: skip

    async def _own(self, act: Act, name: str) -> Row:
        found = await self._store.within(act.organization).read(mappings.find, act.organization, name)
        act.entity = mappings.entity(found)
        return found

    async def _read(self, scope: Scope, function: Any, *args: Any) -> MappingView:
        def read(connection: Connection) -> MappingView:
            usage = mappings.usage(connection, scope.organization)
            return _view(function(connection, scope.organization, *args), usage)

        return await self._store.within(scope.organization).read(read)


def _check(ready: Ready, draft: bool) -> None:
    """Raises ConfigErrors where its examples fail and it is to be more than a draft."""
    if not draft:
        previews.failed(ready.checked)


def _following(users: Users, name: str) -> Mapping[str, tuple[int, dict[str, Any]]]:
    """The routes that take whatever is current."""
    return {route: one for route, one in users.routes.items() if name in one[1].get("mappings", {})}


def _view(one: Row, usage: Callable[[str], tuple[list[str], list[str]]]) -> MappingView:
    return MappingView(
        str(one.uuid), one.name, one.number, one.current, one.draft, one.text.description, one.text.timezone,
        one.text.document, *usage(one.name), stamp(one.created_at), one.created_by, one.reason,
    )  # fmt: skip
