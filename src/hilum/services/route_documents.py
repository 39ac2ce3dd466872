"""Routes as people write them: made, seen, changed, compared, rolled back, retired, tried on a message.

Every change is a new version; a message keeps the version that routed it. What came from a file is read-only.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field, ValidationError

from hilum.errors import ConfigError, ConfigErrors, Conflict
from hilum.intake.routing import pin, unpin
from hilum.model.access import Scope
from hilum.model.audit import Act
from hilum.model.configuration import Endpoint, Integration, Route
from hilum.pipeline import Pipeline, compile_route, used
from hilum.sdk.registry import Registry
from hilum.services import drafts, previews
from hilum.services.comparison import Comparison, compare
from hilum.services.messages import stamp
from hilum.services.policy import Intent, Policy
from hilum.services.previews import Checked, Preview, Previews, Sample
from hilum.store import Connection, Store, configuration, mappings, routes, studies
from hilum.store.configuration import Stored
from hilum.store.routes import Around, Row, Wanted

FILE = "it is managed by a configuration file: change it there, or `hilum release` it first"
OPERATION = "mapping.change"


class View(Route):
    """A route as people see it. `mappings` are the stored ones that it uses, with their versions."""

    id: str = Field(..., description="What signatures and audit events call it.")
    version: int = Field(..., ge=1)
    current: bool = Field(..., description="New messages take this version.")
    managed_by: str = Field(..., description="file or api.")
    studies: list[str] = Field(..., description="Those of the integrations at its ends.")
    gxp: bool = Field(..., description="A GxP integration is at one of its ends.")
    mappings: dict[str, int] = Field(..., description="Stored mappings that it uses, with the version of each.")
    files: list[str] = Field(..., description="Tables, profiles and scripts that are stored with it.")
    created_at: str
    created_by: str
    reason: str


@dataclasses.dataclass(frozen=True, slots=True)
class Ready:
    """A route that compiles."""

    pipeline: Pipeline
    pinned: dict[str, Any]


class RouteDocuments:
    """The use cases."""

    def __init__(self, store: Store, registry: Registry, policy: Policy, previewed: Previews) -> None:
        self._store = store
        self._registry = registry
        self._policy = policy
        self._previews = previewed

    async def list(self, scope: Scope, wanted: Wanted, offset: int, limit: int) -> tuple[list[View], int]:
        """The current ones within, and how many there are."""

        def read(connection: Connection) -> tuple[list[View], int]:
            around = Around(connection, scope.organization)
            found, total = routes.listed(connection, scope, wanted, offset, limit)
            return [_view(around, one) for one in found], total

        return await self._store.within(scope.organization).read(read)

    async def show(self, scope: Scope, name: str) -> View:
        """Raises NotFound."""
        return await self._read(scope, routes.find, name)

    async def versions(self, scope: Scope, name: str, offset: int, limit: int) -> tuple[Sequence[View], int]:
        """Every version, the newest first, a retired route's too. Raises NotFound."""

        def read(connection: Connection) -> tuple[Sequence[View], int]:
            around = Around(connection, scope.organization)
            found, total = routes.versions(connection, scope, name, offset, limit)
            return [_view(around, one) for one in found], total

        return await self._store.within(scope.organization).read(read)

    async def version(self, scope: Scope, name: str, number: int) -> View:
        """Raises NotFound."""
        return await self._read(scope, routes.version, name, number)

    async def compare(self, scope: Scope, name: str, before: int | None, after: int | None) -> Comparison:
        """`after` None: the newest; `before` None: the one before that. Raises NotFound."""

        def read(connection: Connection) -> Comparison:
            new = after or routes.versions(connection, scope, name, 0, 1)[0][0].number
            old = before or max(new - 1, 1)
            one, other = [routes.version(connection, scope, name, number) for number in (old, new)]
            return compare((old, one.route), (new, other.route), name)

        return await self._store.within(scope.organization).read(read)

    async def create(self, act: Act, wanted: Route) -> View:
        """Raises ConfigErrors, Conflict, Stale, and what policy asks for."""
        act.entity = routes.entity(act.organization, wanted.name)
        ready = await self.ready(act.scope, wanted)
        ends = await self._store.within(act.organization).read(routes.ends, act.organization, ready.pinned["route"])
        intent = self._intent(ends.entity, ready.pinned["route"], None, ends)  # there is no record of it yet
        await self._policy.check(act, intent)
        return await self._save(act, wanted.name, None, ready)

    async def replace(self, act: Act, name: str, version: int, wanted: Route) -> View:
        """Raises NotFound, Conflict (a file has the say), Stale, ConfigErrors, and what policy asks for."""
        return await self._replace(act, await self._own(act, name), version, wanted)

    async def change(self, act: Act, name: str, version: int, patch: Mapping[str, Any]) -> View:
        """A merge patch (RFC 7396). Raises as `replace` does."""
        found = await self._own(act, name)
        return await self._replace(act, found, version, _route(drafts.merged(found.route, patch)))

    async def rollback(self, act: Act, name: str, version: int, number: int, reason: str) -> View:
        """A new version with an old one's document. Raises NotFound, and as `replace` does."""
        act.reason = reason or act.reason
        found = await self._own(act, name)
        if number == found.number:
            raise Conflict(f"version {number} is the current one")
        old = await self._store.within(act.organization).read(routes.version, act.scope, name, number)
        act.details["rollback"] = number
        return await self._replace(act, found, version, _route(old.route), old)

    async def remove(self, act: Act, name: str) -> None:
        """New messages take it no more; its versions stay. Raises NotFound, Conflict, and what policy asks for."""
        found = await self._own(act, name)
        own = self._store.within(act.organization)
        ends = await own.read(routes.ends, act.organization, found.route)
        await self._policy.check(act, self._intent(act.entity, None, found.number, ends))
        await own.change(act, routes.retire, act, name, found.number)
        self._store.signal("configuration")

    async def check(self, scope: Scope, name: str) -> Checked:
        """Compile it as it is pinned, and run its stored examples. Raises NotFound."""
        found = await self._store.within(scope.organization).read(routes.find, scope, name)
        try:
            return previews.results(unpin(found.document, self._registry).tried())
        except ConfigError as error:
            return previews.broken(_without(error, name))

    async def preview(self, act: Act, name: str, wanted: Sample) -> Preview:
        """What it makes of a message; nothing is sent. Raises NotFound, Refused, Conflict."""
        act.entity = routes.entity(act.organization, name)
        found = await self._store.within(act.organization).read(routes.find, act.scope, name)
        try:
            pipeline = unpin(found.document, self._registry)
        except ConfigError as error:
            raise Conflict(f"it can no longer be run: {error}") from None
        return await self._previews.route(act, pipeline, wanted)

    async def rehearse(self, act: Act, draft: Route, wanted: Sample) -> Preview:
        """`preview` of a route that is not stored; its examples may fail. Raises ConfigErrors too."""
        found = await self._store.within(act.organization).read(routes.current, act.organization, draft.name)
        kept = found.document["materials"] if found is not None and await self._sees(act.scope, found) else {}
        ready = await self.ready(act.scope, draft, kept, examples=False)
        return await self._previews.route(act, ready.pipeline, wanted)

    async def ready(
        self, scope: Scope, wanted: Route, materials: Mapping[str, str] | None = None, *, examples: bool = True
    ) -> Ready:
        """Compiled with today's endpoints and mappings, and (`examples`) its examples run. Raises ConfigErrors.

        `materials`: the tables and scripts that it may read; only files of the operator's folder bring new ones.
        """

        def read(connection: Connection) -> tuple[Stored, dict[str, int], dict[str, dict[str, Any]]]:
            stored = configuration.of(connection, scope.organization)
            known = mappings.known(connection, scope.organization, used(wanted))
            return stored, studies.numbers(connection, scope.organization), known

        stored, numbers, known = await self._store.within(scope.organization).read(read)
        endpoints = _endpoints(stored, scope, numbers)
        source = endpoints.get(wanted.source)
        if source is None or source.direction != "inbound":
            raise ConfigErrors([ConfigError(f"there is no inbound endpoint {wanted.source}", where="from")])
        form = str(source.options.get("format", self._registry.connector(source.scheme, "from").format))
        outbound = {name: one for name, one in endpoints.items() if one.direction == "outbound"}
        try:
            pipeline = compile_route(
                wanted, registry=self._registry, source=source, source_format=form, destinations=outbound,
                materials=materials or {}, mappings=known,
            )  # fmt: skip
        except ConfigError as error:
            raise _without(error, wanted.name) from None
        if examples:
            previews.failed(previews.results(pipeline.tried()))
        pinned: dict[str, Any] = json.loads(json.dumps(pin(wanted, source, form, outbound, pipeline)))
        return Ready(pipeline, pinned)

    async def _replace(self, act: Act, found: Row, version: int, wanted: Route, old: Row | None = None) -> View:
        if wanted.name != found.name:
            raise ConfigError("is what messages were routed by, and never changes", where="name")
        ready = await self.ready(act.scope, wanted, (old or found).document["materials"])
        new = ready.pinned["route"]
        ends = await self._store.within(act.organization).read(routes.ends, act.organization, found.route, new)
        await self._policy.check(act, self._intent(act.entity, new, version, ends))
        return await self._save(act, found.name, version, ready)

    async def _save(self, act: Act, name: str, version: int | None, ready: Ready) -> View:
        own = self._store.within(act.organization)
        made: Row = await own.change(act, routes.save, act, name, version, ready.pinned)
        self._store.signal("configuration")
        return await own.read(lambda connection: _view(Around(connection, act.organization), made))

    def _intent(self, entity: str, route: Mapping[str, Any] | None, version: int | None, ends: routes.Ends) -> Intent:
        """What policy is asked. A second person is shown no examples: they are messages."""
        shown = {"route": None if route is None else routes.brief(dict(route))}
        hidden = json.dumps(route).encode()
        return Intent(OPERATION, entity, shown, hidden, version, ends.gxp, ends.environment)

    async def _own(self, act: Act, name: str) -> Row:
        """One that may be changed here. Raises NotFound, Conflict where a file has the say."""
        act.entity = routes.entity(act.organization, name)
        found = await self._store.within(act.organization).read(routes.find, act.scope, name)
        if found.managed_by != "api":
            raise Conflict(FILE)
        return found

    async def _sees(self, scope: Scope, one: Row) -> bool:
        ends = await self._store.within(scope.organization).read(routes.ends, scope.organization, one.route)
        return all(scope.admits(study) for study in ends.studies)

    async def _read(self, scope: Scope, function: Any, *args: Any) -> View:
        def read(connection: Connection) -> View:
            return _view(Around(connection, scope.organization), function(connection, scope, *args))

        return await self._store.within(scope.organization).read(read)


def _endpoints(stored: Stored, scope: Scope, numbers: Mapping[str, int]) -> dict[str, Endpoint]:
    """Those that somebody may see, by reference."""
    found: dict[str, Endpoint] = {}
    for document in stored.integrations.values():
        one = Integration.model_validate(document)
        if scope.admits(None if one.study is None else numbers.get(one.study)):
            found |= {f"{one.name}/{each.name}": each for each in one.endpoints}
    return found


def _route(values: Mapping[str, Any]) -> Route:
    """Raises ConfigErrors."""
    try:
        return Route.model_validate(values)
    except ValidationError as error:
        problems = []
        for one in error.errors(include_url=False, include_input=False, include_context=False):
            place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in one["loc"]).lstrip(".")
            problems.append(ConfigError(one["msg"].removeprefix("Value error, "), where=place))
        raise ConfigErrors(problems) from None


def _without(error: ConfigError, name: str) -> ConfigErrors:
    """The places within the route."""
    prefix = f"routes[{name}]."
    return ConfigErrors([ConfigError(one.reason, where=one.where.removeprefix(prefix)) for one in error.problems])


def _view(around: Around, one: Row) -> View:
    ends = around.ends(one.route)
    return View(
        **Route.model_validate(one.route).model_dump(by_alias=True),
        id=str(routes.identity(one.organization, one.name)), version=one.number, current=one.current,
        managed_by=one.managed_by, studies=list(ends.names), gxp=ends.gxp,
        mappings={name: used["version"] for name, used in one.document.get("mappings", {}).items()},
        files=sorted(one.document["materials"]), created_at=stamp(one.created_at), created_by=one.created_by,
        reason=one.reason,
    )  # fmt: skip
