"""Checks a configuration, shows what it would change, makes it so. Applying never dials."""

from __future__ import annotations

import dataclasses
import ipaddress
import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from hilum import clock, telemetry
from hilum.errors import ConfigError, Conflict, NotFound, StoreError
from hilum.intake.routing import pin
from hilum.model import document
from hilum.model.access import Scope
from hilum.model.audit import Act, Change
from hilum.model.configuration import Configuration, Endpoint
from hilum.pipeline import compile_route, used
from hilum.pipeline.mapping import compile_mapping, form_of
from hilum.sdk.authentication.oauth2 import ADDRESSES
from hilum.sdk.config import read
from hilum.sdk.registry import Registry
from hilum.security.references import FROM_API, KINDS, Secrets, missing, resolve, vault_names
from hilum.services.entries import Entries
from hilum.services.field_changes import field_changes
from hilum.store import Connection, Store, configuration, deliveries, jobs, mappings, studies
from hilum.store.configuration import Stored

log = telemetry.logger("configuration")
_NO_STUDY = -1  # a study that is about to be made: it has no entries yet, but is not the whole organization either


@dataclasses.dataclass(frozen=True, slots=True)
class Difference:
    """One difference between what is and what would be; `detail` lists the keys that differ."""

    action: Literal["create", "change", "remove"]
    kind: str  # integration, endpoint, route, organization
    name: str
    detail: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Compiled:
    """A configuration that was checked: its routes' pinned documents by name, and what was found wrong."""

    configuration: Configuration
    routes: Mapping[str, dict[str, Any]]
    problems: tuple[str, ...]


def load(path: Path) -> tuple[Configuration, Path]:
    """A file, or every *.yaml of a folder, and the folder of its tables. Raises ConfigError."""
    try:
        if path.is_dir():
            files = sorted([*path.glob("*.yaml"), *path.glob("*.yml")])
            if not files:
                raise ConfigError(f"{path} holds no .yaml file")
            return document.merge([(file.name, file.read_text("utf-8")) for file in files]), path
        return document.load(path.read_text("utf-8"), path.name), path.parent
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from None


def compile_all(
    wanted: Configuration,
    registry: Registry,
    *,
    folder: Path | None,
    environ: Mapping[str, str],
    vault: Mapping[str, Mapping[str, str]] | None = None,
    allowed: Collection[str] = KINDS,
    mappings: Mapping[str, Mapping[str, Any]] | None = None,
    endpoint_mappings: bool = True,
) -> Compiled:
    """Validate everything, compile every route, run every stored example. Never raises for what it finds.

    `vault`: by integration, the values of the vault that it may use, by NAME and NAME.FIELD. An entry that is not there
    is no problem: it may come later, and until then the endpoint that needs it does not run, and says so. `allowed`:
    the kinds of references. `mappings`: the stored ones, by NAME and NAME@3. `endpoint_mappings`: whether those that
    stand in endpoints are looked at too; of what the API makes its initialization does it, as a step of its own.
    """
    problems = list(document.check(wanted))
    endpoints = {f"{one.name}/{each.name}": each for one in wanted.integrations for each in one.endpoints}
    environments = {one.name: one.environment or wanted.environment for one in wanted.integrations}
    formats: dict[str, str] = {}
    for reference, endpoint in endpoints.items():
        try:
            connector = registry.connector(endpoint.scheme, f"{reference}.url")
            formats[reference] = str(endpoint.options.get("format", connector.format))
            values = {"url": endpoint.url, "timeout": endpoint.timeout, **endpoint.options}
            entries = _stood_in((vault or {}).get(reference.partition("/")[0], {}))
            values = resolve(values, environ=environ, folder=folder, allowed=allowed, secrets=entries)
            read(connector.config, values, reference)
            part = connector.source if endpoint.direction == "inbound" else connector.destination
            if part is None:
                verb = "receive" if endpoint.direction == "inbound" else "send"
                raise ConfigError(f"{endpoint.scheme} cannot {verb}", where=f"{reference}.direction")
            if environments[reference.partition("/")[0]] == "production":
                if endpoint.scheme in connector.plain:
                    problems += _plaintext(reference, endpoint, "url", endpoint.url)
                for name, url in _servers(values):
                    problems += _plaintext(reference, endpoint, name, url)
            if endpoint_mappings:
                problems += _mappings(reference, endpoint, form_of(endpoint, connector), registry)
        except ConfigError as error:
            problems.append(str(error))
    routes: dict[str, dict[str, Any]] = {}
    outbound = {reference: one for reference, one in endpoints.items() if one.direction == "outbound"}
    for route in wanted.routes:
        source = endpoints.get(route.source)
        if source is None or source.direction != "inbound":
            continue  # document.check said so
        try:
            form = formats.get(route.source, "bytes")
            pipeline = compile_route(
                route, registry=registry, source=source, source_format=form, destinations=outbound, folder=folder,
                mappings=mappings,
            )  # fmt: skip
            problems += [f"routes[{route.name}].{line}" for line in pipeline.examples()]
            routes[route.name] = _plain(pin(route, source, form, outbound, pipeline))
        except ConfigError as error:
            problems += [text for one in error.problems if (text := str(one)) not in problems]
    return Compiled(wanted, routes, tuple(problems))


def _stood_in(found: Mapping[str, str]) -> Secrets:
    """Looks into the vault; for an entry that is not there something stands in."""

    def look(name: str) -> str:
        entry = name.partition(".")[0]
        if name not in found and any(one.partition(".")[0] == entry for one in found):
            raise ConfigError(missing(name, found))
        return found.get(name, "stands-in")

    return look


def _servers(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Unencrypted addresses beside the URL: a store's, an authorization server's, which opens the partner (C-24)."""
    found = {"endpoint": values.get("endpoint")}
    given = values.get("authentication")
    if isinstance(given, Mapping):
        found |= {
            f"authentication.{name}": given.get(name) or given.get(name.replace("_url", "Url")) for name in ADDRESSES
        }
    for name, url in found.items():
        if isinstance(url, str) and url.lower().startswith("http://"):
            yield name, url


def _mappings(reference: str, endpoint: Endpoint, form: str, registry: Registry) -> Iterator[str]:
    """What is wrong with mappings that stand in an endpoint itself; those that it names were checked when stored."""
    for key in mappings.KEYS:
        given, where = getattr(endpoint, key), f"{reference}.{key}"
        if not isinstance(given, dict):
            continue
        try:
            made = compile_mapping(
                given, registry=registry, format=form, timezone=endpoint.timezone, where=where,
                answers=key == "response_mapping",
            )  # fmt: skip
            yield from (f"{where}.{line}" for line in made.step.examples())
        except ConfigError as error:
            yield str(error)


def _plaintext(reference: str, endpoint: Endpoint, place: str, url: str) -> Iterator[str]:
    """In production an unencrypted connection to another host names its reason."""
    host = urlsplit(url).hostname or ""
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = host == "localhost"
    if loopback:
        return
    if endpoint.plaintext is None:
        yield f"{reference}.{place}: production needs TLS to other hosts, or plaintext: {{reason, until}}"
    elif endpoint.plaintext.until < clock.now().date():
        yield f"{reference}.plaintext: the exception ended on {endpoint.plaintext.until}"


def plan(compiled: Compiled, stored: Stored | None) -> list[Difference]:
    """What applying would change, in order: organization, integrations, endpoints, routes."""
    wanted = compiled.configuration
    changes: list[Difference] = []
    old = stored.document if stored else {}
    new = _organization(wanted)
    if old != new:
        changes.append(
            Difference("change" if stored else "create", "organization", wanted.organization, _keys(old, new))
        )
    integrations = {one.name: _plain(one.model_dump(mode="json", by_alias=True)) for one in wanted.integrations}
    changes += _differences("integration", stored.integrations if stored else {}, integrations, stored)
    routes = {name: one.document for name, one in stored.routes.items()} if stored else {}
    changes += _differences("route", routes, compiled.routes, stored)
    return changes


def removed_endpoints(compiled: Compiled, stored: Stored | None) -> list[str]:
    """References of endpoints that the configuration no longer has."""
    if stored is None:
        return []
    wanted = {f"{one.name}/{each.name}" for one in compiled.configuration.integrations for each in one.endpoints}
    return sorted(one for one in stored.active - wanted if _of_file(stored, "integration", one.partition("/")[0]))


def _of_file(stored: Stored, kind: str, name: str) -> bool:
    """Only what came from a file is removed by a file."""
    return stored.managed_by.get(f"{kind}/{name}") == "file"


class Configurations:
    """The use cases. Everything they write, the engine makes so."""

    def __init__(
        self, store: Store, registry: Registry, environ: Mapping[str, str], entries: Entries | None = None
    ) -> None:
        """`entries` looks into the vault; None: every entry may be there."""
        self._store = store
        self._registry = registry
        self._environ = environ
        self._entries = entries

    async def plan(
        self, wanted: Configuration, folder: Path | None, managed_by: str = "file"
    ) -> tuple[Compiled, list[Difference]]:
        """What is managed by the API may refer to the vault alone, not to the machine's files and variables."""
        stored = await self._store.read(configuration.read, wanted.organization)
        compiled = compile_all(
            wanted,
            self._registry,
            folder=folder,
            environ=self._environ,
            vault=await self._vault(wanted, stored[0]) if stored else {},
            allowed=KINDS if managed_by == "file" else FROM_API,
            endpoint_mappings=managed_by == "file",
            mappings=await self._mappings(wanted, stored[0]) if stored else {},
        )
        return compiled, plan(compiled, stored[0] if stored else None)

    async def _vault(self, wanted: Configuration, stored: Stored) -> dict[str, dict[str, str]]:
        """By integration, what it may use of the entries that it names."""
        found: dict[str, dict[str, str]] = {}
        numbers = await self._store.within(stored.id).read(studies.numbers, stored.id)
        for one in wanted.integrations:
            names = vault_names(_plain(one.model_dump(mode="json", by_alias=True)))
            study = numbers.get(one.study, _NO_STUDY) if one.study is not None else None
            if names and self._entries is not None:
                try:
                    found[one.name] = await self._entries.values(stored.id, study, names)
                except StoreError as error:  # a key service may be away for a while: that stops no configuration
                    log.warning("the vault does not open; its entries are not checked", reason=str(error))
        return found

    async def _mappings(self, wanted: Configuration, stored: Stored) -> dict[str, dict[str, Any]]:
        names = [name for route in wanted.routes for name in used(route)]
        return await self._store.within(stored.id).read(mappings.known, stored.id, names) if names else {}

    async def apply(
        self,
        act: Act,
        wanted: Configuration,
        folder: Path | None,
        *,
        managed_by: str = "file",
        drain: bool = False,
        discard: str | None = None,
    ) -> list[Difference]:
        """Make it so, all or nothing. Raises ConfigError (problems), Conflict (a removed endpoint has backlog)."""
        compiled, changes = await self.plan(wanted, folder, managed_by)
        if compiled.problems:
            raise ConfigError("; ".join(compiled.problems))
        stored = await self._store.read(configuration.read, wanted.organization)
        gone = removed_endpoints(compiled, stored[0] if stored else None)
        waiting = await self._waiting(stored[0], gone) if stored else {}
        if waiting and not drain and discard is None:
            listed = ", ".join(f"{reference} ({count})" for reference, count in sorted(waiting.items()))
            raise Conflict(f"deliveries wait for removed endpoints: {listed}; use --drain, or --discard REASON")
        if changes:
            whole = self._store.within(None)  # it may make a new organization
            await whole.change(act, _write, act, compiled, changes, gone, managed_by, drain, discard)
            self._store.signal("configuration")
            self._store.signal("job")
        return changes

    async def release(self, act: Act, name: str) -> None:
        """Hand what a file manages over to API and console. Raises NotFound."""
        await self._store.within(act.organization).change(act, _release, act.organization, name)
        self._store.signal("configuration")  # from now on the deny rules of what people configure bind it

    async def _waiting(self, stored: Stored, references: list[str]) -> dict[str, int]:
        def count(connection: Connection) -> dict[str, int]:
            standing = deliveries.standing(connection)
            found = {}
            for reference in references:
                number = stored.endpoints[reference]
                watermark = standing.get(number, (0, 0, 0))[0]
                waiting, _ = deliveries.waiting(connection, number, watermark)
                found[reference] = waiting + sum(deliveries.parked_lanes(connection, number).values())
            return {reference: one for reference, one in found.items() if one}

        return await self._store.read(count)


def _release(connection: Connection, organization: int, name: str) -> Change:
    if not configuration.release(connection, organization, name):
        raise NotFound(f"no integration or route is called {name}")
    return Change(None, f"configuration/{name}", {"managed_by": "file"}, {"managed_by": "api"})


def _write(
    connection: Connection,
    act: Act,
    compiled: Compiled,
    changes: list[Difference],
    gone: list[str],
    managed_by: str,
    drain: bool,
    discard: str | None,
) -> Change:
    wanted = compiled.configuration
    owner = configuration.put_organization(connection, wanted.organization, _organization(wanted))
    act.scope = Scope(owner)
    stored = configuration.read(connection, wanted.organization)[0]
    before, after = _told(changes, stored, compiled)
    for integration in wanted.integrations:
        values = _plain(integration.model_dump(mode="json", by_alias=True))
        configuration.put_integration(connection, owner, integration.name, values, managed_by, act=act)
        for endpoint in integration.endpoints:
            configuration.put_endpoint(
                connection,
                owner,
                f"{integration.name}/{endpoint.name}",
                endpoint.direction,
                _plain(endpoint.model_dump(mode="json", by_alias=True)),
            )
    for name in set(stored.integrations) - {one.name for one in wanted.integrations}:
        if not _of_file(stored, "integration", name):
            continue
        configuration.remove_integration(connection, owner, name, act)
    for reference in gone:
        configuration.remove_endpoint(connection, owner, reference, draining=drain)
        if discard is not None:
            arguments = {"destination": stored.endpoints[reference], "reason": discard}
            jobs.insert(connection, "discard", arguments, actor=act.principal.id, organization=owner)
    for name, pinned in compiled.routes.items():
        configuration.put_route(connection, owner, name, pinned, managed_by, act)
    for name in set(stored.routes) - set(compiled.routes):
        if _of_file(stored, "route", name):
            configuration.retire_route(connection, owner, name)
    shown = [{"action": one.action, "kind": one.kind, "name": one.name, "detail": one.detail} for one in changes]
    after |= {"changes": shown, "removed": gone, "drain": drain, "discard": discard or ""}
    return Change(None, f"configuration/{wanted.organization}", before, after)


def _told(
    changes: list[Difference], stored: Stored, compiled: Compiled
) -> tuple[dict[str, Any], dict[str, Any]]:  # fmt: skip
    """Field by field, what integrations and routes were and what they become."""
    integrations = {one.name: one.model_dump(mode="json", by_alias=True) for one in compiled.configuration.integrations}
    old = {"integration": stored.integrations, "route": {name: one.document for name, one in stored.routes.items()}}
    new: dict[str, Mapping[str, Any]] = {"integration": integrations, "route": compiled.routes}
    before, after = dict[str, Any](), dict[str, Any]()
    for one in changes:
        if one.kind in old:
            was, becomes = field_changes(old[one.kind].get(one.name), new[one.kind].get(one.name))
            before |= {f"{one.kind}/{one.name}": was} if was else {}
            after |= {f"{one.kind}/{one.name}": becomes} if becomes else {}
    return before, after


def _organization(wanted: Configuration) -> dict[str, Any]:
    return {"environment": wanted.environment, "retention": wanted.retention.model_dump(mode="json")}


def _differences(
    kind: str, old: Mapping[str, dict[str, Any]], new: Mapping[str, dict[str, Any]], stored: Stored | None
) -> list[Difference]:
    changes = []
    for name in sorted({*old, *new}):
        if name not in old:
            changes.append(Difference("create", kind, name))
        elif name not in new:
            if stored is None or _of_file(stored, kind, name):
                changes.append(Difference("remove", kind, name))
        elif old[name] != new[name]:
            changes.append(Difference("change", kind, name, _keys(old[name], new[name])))
    return changes


def _keys(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> str:
    """The keys that differ, deep."""
    found = []
    for key in sorted({*old, *new}):
        one, other = old.get(key), new.get(key)
        if one == other:
            continue
        if isinstance(one, dict) and isinstance(other, dict):
            found.append(_keys(one, other, f"{prefix}{key}."))
        else:
            found.append(f"{prefix}{key}")
    return ", ".join(found)


def _plain(value: dict[str, Any]) -> dict[str, Any]:
    """As the database gives it back: JSON's types alone."""
    plain: dict[str, Any] = json.loads(json.dumps(value))
    return plain
