"""Integrations: made, seen, changed, switched on and off, archived. Making one work is initializing.py's.

What is stored is what a configuration file would say; secrets go into the vault, and references take their place.
"""

from __future__ import annotations

import dataclasses
import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hilum import clock
from hilum.errors import ConfigError, Conflict
from hilum.intake.routing import repin
from hilum.model.access import Scope
from hilum.model.audit import Act, Change
from hilum.model.configuration import Configuration, Integration
from hilum.model.identifier import new
from hilum.model.lifecycle import RUNS, Lifecycle
from hilum.model.signing import PRODUCTION
from hilum.sdk.registry import Registry
from hilum.services import drafts, endpoint_mappings
from hilum.services.configuration import Configurations
from hilum.services.consents import lacking
from hilum.services.credentials import Credentials, study_of
from hilum.services.integration_views import View, entry_of, views
from hilum.services.messages import stamp
from hilum.services.policy import Intent, Policy
from hilum.services.validation import Validation, validate
from hilum.store import Connection, Store, configuration, consents, integrations, organizations
from hilum.store.integrations import Row, Wanted

EXCEPT = "plaintext.except"
_FILE = "it is managed by a configuration file: change it there, or `hilum release` it first"


class NotValid(ConfigError):
    """What is wanted is no integration; `validation` says all that is wrong with it."""

    def __init__(self, validation: Validation) -> None:
        super().__init__(validation.message)
        self.where = validation.field or ""  # not in the text: that is document 003's
        self.validation = validation


@dataclasses.dataclass(frozen=True, slots=True)
class MoveView:
    """A step of its life. `before` null: it was made."""

    at: str
    before: str | None
    after: str
    by: str
    reason: str


class Integrations:
    """The use cases."""

    def __init__(
        self, store: Store, registry: Registry, configurations: Configurations, credentials: Credentials,
        policy: Policy, base: str = "",
    ) -> None:  # fmt: skip
        """`base`: where others reach the hub."""
        self._store = store
        self._registry = registry
        self._configurations = configurations
        self._credentials = credentials
        self._policy = policy
        self._base = base

    async def list(
        self, scope: Scope, wanted: Wanted, sort: str, offset: int, limit: int
    ) -> tuple[list[View], int]:  # fmt: skip
        """Those within, and how many there are."""
        read = self._store.within(scope.organization).read
        found, total = await read(integrations.listed, scope, wanted, sort, offset, limit)
        return [*await self._views(scope.organization, found)], total

    async def find(self, scope: Scope, identifier: uuid.UUID, *, archived: bool = False) -> Row:
        """Raises NotFound."""
        return await self._store.within(scope.organization).read(
            integrations.find, scope, identifier, archived=archived
        )

    async def show(self, scope: Scope, identifier: uuid.UUID, *, archived: bool = False) -> View:
        """Raises NotFound."""
        return await self.view(await self.find(scope, identifier, archived=archived))

    async def history(
        self, scope: Scope, identifier: uuid.UUID, offset: int, limit: int
    ) -> tuple[Sequence[MoveView], int]:  # fmt: skip
        """Its life so far, the newest first. Raises NotFound."""
        found = await self.find(scope, identifier, archived=True)
        read = self._store.within(scope.organization).read
        moves, total = await read(integrations.history, found.id, offset, limit)
        return [MoveView(stamp(one.stamp), one.before, one.after, one.actor, one.reason) for one in moves], total

    async def check(self, scope: Scope, given: Mapping[str, Any]) -> Validation:
        """What would be wrong with it. Writes nothing, dials nobody."""
        draft = drafts.read(given)
        found = validate(draft, self._registry)
        if found.valid:
            document = self._document(draft, str(draft.get("handle") or drafts.handle(str(draft["name"]), set())))
            for problem in await self.problems(scope.organization, document):
                found.refuse(problem, "/endpoints")
        return found

    async def recheck(self, scope: Scope, found: Row) -> Validation:
        """`check` of one that is stored. A consent that is lacking is nothing that a document could mend."""
        environment = found.environment or (await self.home(found.organization))[1]
        checked = await self.check(scope, {**drafts.given(found.document), "environment": environment})
        checked.warnings += await self._store.within(found.organization).read(lacking, found)
        return checked

    async def create(
        self, act: Act, given: Mapping[str, Any], also: Callable[[Connection, Row, bool], object] | None = None,
        lifecycle: Lifecycle = Lifecycle.INITIALIZING,
    ) -> Row:  # fmt: skip
        """Store it, not initialised yet. Raises NotValid, Conflict, NotFound and Refused (the study).

        `also` is done in the same transaction, with what is stored and whether a person alone may switch it on.
        """
        draft = drafts.read(given)
        found = await self.check(act.scope, given)
        if not found.valid:
            raise NotValid(found)
        own = self._store.within(act.organization)
        study = await study_of(self._store, act.scope, draft.get("study"))
        taken = await own.read(integrations.handles, act.organization)
        name = str(draft.get("handle") or drafts.handle(str(draft["name"]), taken))
        document = {"environment": "production", **self._document(draft, name)}
        if excepted := _excepted(document):
            await self._policy.check_own(act, EXCEPT, excepted, "production")
        identifier = new(clock.micros())
        entry = entry_of(identifier)
        parts = drafts.split(document, entry)
        await self._credentials.part(act, entry, parts.secrets, study)
        shown = _told(parts, entry)
        held = await self.held(act, parts.document["environment"], study, gxp=bool(parts.document.get("gxp")))

        def make(connection: Connection) -> Change:
            created = integrations.create(connection, act, identifier, parts.document, lifecycle, shown)
            if also is not None:
                also(connection, created.result, held)
            return created

        made: Row = await own.change(act, make)
        self._store.signal("configuration")
        return made

    async def held(self, act: Act, environment: str, study: int | None, *, gxp: bool) -> bool:
        """Whether one that works is left for a person to switch on: where GxP, or what policy asks for that, holds."""
        demand = await self._policy.demand(act.organization, "integration.activate", environment, study, gxp=gxp)
        unsaid = demand.reason and not act.reason.strip()
        return gxp or unsaid or demand.four_eyes or bool(demand.signature)

    async def replace(self, act: Act, identifier: uuid.UUID, version: int, given: Mapping[str, Any]) -> View:
        """A secret that is left out stays, null clears it. Raises NotFound, Stale, NotValid, Conflict."""
        found = await self._own(act, identifier)
        return await self._replace(act, found, version, drafts.read(given))

    async def change(self, act: Act, identifier: uuid.UUID, version: int, patch: Mapping[str, Any]) -> View:
        """A merge patch (RFC 7396), `status` of which moves it along. Raises as `replace` does."""
        found = await self._own(act, identifier)
        wanted = dict(patch)
        status = wanted.pop("status", None)
        if status is not None:
            after = _lifecycle(status)
            if wanted:
                raise ConfigError("change it and move it in two requests", where="status")
            return await self.move(act, identifier, version, after)
        draft = drafts.merged(drafts.given(found.document), drafts.read_patch(wanted))
        return await self._replace(act, found, version, drafts.read(draft))

    async def move(self, act: Act, identifier: uuid.UUID, version: int, after: Lifecycle) -> View:
        """Switch it on or off. Raises NotFound, Stale, Conflict, and what policy asks for."""
        found = await self._own(act, identifier)
        if found.lifecycle is Lifecycle.INITIALIZING and after is Lifecycle.INACTIVE:  # it never was anything else
            return await self._moved(act, found, after, version)
        await self._policy.check(act, _intent(found, after, version))
        return await self._moved(act, found, after, version)

    async def check_activation(self, act: Act, found: Row) -> None:
        """Raises what policy asks for before somebody may switch it on."""
        await self._policy.check(act, _intent(found, Lifecycle.ACTIVE, found.version))

    async def archive(self, act: Act, identifier: uuid.UUID) -> None:
        """It stops, its secrets are revoked, its logs stay. Raises NotFound, Conflict while routes use it."""
        found = await self._own(act, identifier)
        own = self._store.within(act.organization)
        users = await own.read(_routes_of, act.organization, found.name)
        if users:
            raise Conflict(f"routes use it: {', '.join(sorted(users))}; take it out of them first")
        await self._credentials.end_part(act, entry_of(found.uuid))
        act.conditions.append(lambda connection: consents.revoke(connection, found, None, act.principal.id))
        await self.move(act, identifier, found.version, Lifecycle.ARCHIVED)
        self._store.signal("awaited")  # what people consented to is dropped

    async def restore(self, act: Act, identifier: uuid.UUID) -> View:
        """Bring an archived one back, inactive. Its secrets were revoked: set them anew. Raises NotFound, Conflict."""
        found = await self.find(act.scope, identifier, archived=True)
        if found.archived_at is None:
            raise Conflict("it is not archived")
        return await self._moved(act, found, Lifecycle.INACTIVE)

    async def home(self, organization: int) -> tuple[str, str]:
        """The organization's name and environment. Raises NotFound."""
        found = await self._store.within(organization).read(organizations.get, organization)
        return found.name, found.environment

    async def view(self, one: Row) -> View:
        """As people see it."""
        return (await self._views(one.organization, [one]))[0]

    async def _views(self, organization: int, rows: Sequence[Row]) -> Sequence[View]:
        read = self._store.within(organization).read
        return await read(views, organization, rows, self._store.sealer, self._base)

    async def _moved(self, act: Act, found: Row, after: Lifecycle, version: int | None = None) -> View:
        own = self._store.within(act.organization)
        moved: Row = await own.change(act, integrations.move, act, found, after, version=version)
        self._store.signal("configuration")
        return await self.view(moved)

    async def _replace(self, act: Act, found: Row, version: int, draft: dict[str, Any]) -> View:
        entry = entry_of(found.uuid)
        if draft.get("handle", found.name) != found.name:
            raise ConfigError("is in files and routes, and never changes", where="handle")
        document = {"environment": found.environment or "production", **self._document(draft, found.name)}
        document["active"] = found.document.get("active", True)
        parts = drafts.split(document, entry, found.document)
        inline = drafts.inline(parts, entry)
        checked = validate({**inline, "name": inline.get("title"), "handle": found.name}, self._registry)
        if checked.valid:
            for problem in await self.problems(act.organization, inline):
                checked.refuse(problem, "/endpoints")
        if checked.valid:  # of a new one its initialization says it
            try:
                wanted = Integration.model_validate(inline).endpoints
                await endpoint_mappings.check(self._store, self._registry, act.organization, wanted)
            except ConfigError as error:
                checked.refuse(str(error), "/endpoints")
        if not checked.valid:
            raise NotValid(checked)
        study = await study_of(self._store, act.scope, draft.get("study"))
        seen = {"before": drafts.shown(found.document, {}, entry), "after": _told(parts, entry)}
        operation = "credential.change" if parts.secrets else "integration.change"  # it is a credential, wherever it is
        intent = Intent(operation, integrations.entity(found), seen["after"], version=version,
                        hidden=json.dumps(parts.secrets, sort_keys=True).encode(), gxp=found.model.gxp,
                        environment=found.environment or "")  # fmt: skip
        await self._policy.check(act, intent)
        if (excepted := _excepted(parts.document)) and excepted != _excepted(found.document):
            asked = dataclasses.replace(intent, operation=EXCEPT, wanted=excepted, hidden=b"", environment="production")
            await self._policy.check(act, asked)
        await self._check_environment(act, found, intent, parts.document["environment"])
        routes = await self._repinned(act.organization, parts.document)
        await self._credentials.part(act, entry, parts.secrets, study)
        own = self._store.within(act.organization)
        changed: Row = await own.change(act, _write, act, found, version, parts.document, seen, routes)
        self._store.signal("configuration")
        return await self.view(changed)

    async def _check_environment(self, act: Act, found: Row, intent: Intent, after: str) -> None:
        """Where messages flow, to come into production is to be activated there, to leave it to be deactivated."""
        before = found.environment or "production"
        if found.lifecycle not in RUNS or before == after or PRODUCTION not in (before, after):
            return
        operation = "integration.activate" if after == PRODUCTION else "integration.deactivate"
        asked = dataclasses.replace(intent, operation=operation, environment=PRODUCTION)
        await self._policy.check(act, asked)

    async def _repinned(self, organization: int, document: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """The routes that start or end at it, as they are with its new endpoints. Raises Conflict where one breaks."""
        stored = await self._store.within(organization).read(configuration.of, organization)
        changed = Integration.model_validate(document)
        endpoints = {f"{changed.name}/{one.name}": one for one in changed.endpoints}
        found = {}
        for route in stored.routes.values():
            try:
                pinned = repin(route.document, endpoints, changed.name, self._registry)
            except ConfigError as error:
                raise Conflict(f"its routes would not work any more: {error}") from None
            if pinned != route.document:
                found[route.name] = pinned
        return found

    async def problems(self, organization: int, document: Mapping[str, Any]) -> Sequence[str]:
        """What its connectors say of it."""
        one = Integration.model_validate(document)
        home = await self.home(organization)
        whole = Configuration(
            version=1, organization=home[0], environment=one.environment or "production", integrations=[one]
        )  # fmt: skip
        compiled, _ = await self._configurations.plan(whole, None, managed_by="api")
        return [one.removeprefix("integrations[0].") for one in compiled.problems]

    def _document(self, draft: Mapping[str, Any], name: str) -> dict[str, Any]:
        """What is stored of a draft: no default stands in it, so that what is handed down stays so."""
        document = {key: value for key, value in draft.items() if key not in ("handle", "name") and value is not None}
        return {"name": name, "title": draft.get("name") or name, **document}

    async def _own(self, act: Act, identifier: uuid.UUID) -> Row:
        """One that may be changed here. Raises NotFound, Conflict where a file has the say."""
        found = await self.find(act.scope, identifier)
        act.entity = integrations.entity(found)
        if found.managed_by != "api":
            raise Conflict(_FILE)
        return found


def _intent(found: Row, after: Lifecycle, version: int) -> Intent:
    """To move one along."""
    operation = {Lifecycle.ACTIVE: "activate", Lifecycle.ARCHIVED: "archive"}.get(after, "deactivate")
    return Intent(
        f"integration.{operation}", integrations.entity(found), {"status": after}, version=version,
        gxp=found.model.gxp, environment=found.environment or "",
    )  # fmt: skip


def _write(
    connection: Connection, act: Act, found: Row, version: int, document: dict[str, Any],
    seen: dict[str, dict[str, Any]], routes: dict[str, dict[str, Any]],
) -> Any:  # fmt: skip
    for name, pinned in routes.items():
        configuration.put_route(connection, act.organization, name, pinned, None, act)
    return integrations.replace(connection, act, found, version, document, seen["before"], seen["after"])


def _routes_of(connection: Connection, organization: int, name: str) -> list[str]:
    """The routes that start or end at an integration."""
    stored = configuration.of(connection, organization)
    found = []
    for route in stored.routes.values():
        told = route.document["route"]
        ends = [told["from"], *told.get("to", []), *told.get("otherwise", [])]
        if any(one.partition("/")[0] == name for one in ends):
            found.append(route.name)
    return found


def _excepted(document: Mapping[str, Any]) -> dict[str, Any]:
    """What may be said unencrypted in production, by endpoint: the address, why, and until when."""
    if document.get("environment") != "production":
        return {}
    given = [one for one in document.get("endpoints") or () if one.get("plaintext")]
    return {one["name"]: {"url": one["url"], **one["plaintext"]} for one in given}


def _told(parts: drafts.Split, entry: str) -> dict[str, Any]:
    """A document for the audit trail, and which of its secrets were touched."""
    touched = {"secrets": sorted(parts.secrets)} if parts.secrets else {}
    return drafts.shown(parts.document, {}, entry) | touched


def _lifecycle(status: Any) -> Lifecycle:
    known = {"active": Lifecycle.ACTIVE, "inactive": Lifecycle.INACTIVE}
    if not isinstance(status, str) or status.lower() not in known:
        raise ConfigError(f"can be set to {', '.join(known)}", where="status")
    return known[status.lower()]
