"""Checks a configuration, shows what it would change, makes it so. Applying never dials."""

from __future__ import annotations

import dataclasses
import ipaddress
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from hilum import clock
from hilum.errors import ConfigError, Conflict, NotFound
from hilum.intake.routing import pin
from hilum.model import document
from hilum.model.configuration import Configuration, Endpoint
from hilum.pipeline import compile_route
from hilum.sdk.config import read
from hilum.sdk.registry import Registry
from hilum.security.references import resolve
from hilum.store import Connection, Store, configuration, deliveries, jobs
from hilum.store.configuration import Stored


@dataclasses.dataclass(frozen=True, slots=True)
class Change:
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
    wanted: Configuration, registry: Registry, *, folder: Path | None, environ: Mapping[str, str]
) -> Compiled:
    """Validate everything, compile every route, run every stored example. Never raises for what it finds."""
    problems = list(document.check(wanted))
    endpoints = {f"{one.name}/{each.name}": each for one in wanted.integrations for each in one.endpoints}
    formats: dict[str, str] = {}
    for reference, endpoint in endpoints.items():
        try:
            connector = registry.connector(endpoint.scheme, f"{reference}.url")
            formats[reference] = str(endpoint.options.get("format", connector.format))
            values = {"url": endpoint.url, "timeout": endpoint.timeout, **endpoint.options}
            read(connector.config, resolve(values, environ=environ, folder=folder), reference)
            part = connector.source if endpoint.direction == "inbound" else connector.destination
            if part is None:
                verb = "receive" if endpoint.direction == "inbound" else "send"
                raise ConfigError(f"{endpoint.scheme} cannot {verb}", where=f"{reference}.direction")
            if wanted.environment == "production" and endpoint.scheme in connector.plain:
                problems += _plaintext(reference, endpoint)
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
                route, registry=registry, source=source, source_format=form, destinations=outbound, folder=folder
            )
            problems += [f"routes[{route.name}].{line}" for line in pipeline.examples()]
            routes[route.name] = _plain(pin(route, source, form, outbound, pipeline))
        except ConfigError as error:
            if str(error) not in problems:
                problems.append(str(error))
    return Compiled(wanted, routes, tuple(problems))


def _plaintext(reference: str, endpoint: Endpoint) -> Iterator[str]:
    """In production an unencrypted connection to another host names its reason."""
    host = urlsplit(endpoint.url).hostname or ""
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = host == "localhost"
    if loopback:
        return
    if endpoint.plaintext is None:
        yield f"{reference}.url: production needs TLS to other hosts, or plaintext: {{reason, until}}"
    elif endpoint.plaintext.until < clock.now().date():
        yield f"{reference}.plaintext: the exception ended on {endpoint.plaintext.until}"


def plan(compiled: Compiled, stored: Stored | None) -> list[Change]:
    """What applying would change, in order: organization, integrations, endpoints, routes."""
    wanted = compiled.configuration
    changes: list[Change] = []
    old = stored.document if stored else {}
    new = _organization(wanted)
    if old != new:
        changes.append(Change("change" if stored else "create", "organization", wanted.organization, _keys(old, new)))
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

    def __init__(self, store: Store, registry: Registry, environ: Mapping[str, str]) -> None:
        self._store = store
        self._registry = registry
        self._environ = environ

    async def plan(self, wanted: Configuration, folder: Path | None) -> tuple[Compiled, list[Change]]:
        compiled = compile_all(wanted, self._registry, folder=folder, environ=self._environ)
        stored = await self._store.read(configuration.read, wanted.organization)
        return compiled, plan(compiled, stored[0] if stored else None)

    async def apply(
        self,
        wanted: Configuration,
        folder: Path | None,
        *,
        actor: str,
        managed_by: str = "file",
        drain: bool = False,
        discard: str | None = None,
    ) -> list[Change]:
        """Make it so, all or nothing. Raises ConfigError (problems), Conflict (a removed endpoint has backlog)."""
        compiled, changes = await self.plan(wanted, folder)
        if compiled.problems:
            raise ConfigError("; ".join(compiled.problems))
        stored = await self._store.read(configuration.read, wanted.organization)
        gone = removed_endpoints(compiled, stored[0] if stored else None)
        waiting = await self._waiting(stored[0], gone) if stored else {}
        if waiting and not drain and discard is None:
            listed = ", ".join(f"{reference} ({count})" for reference, count in sorted(waiting.items()))
            raise Conflict(f"deliveries wait for removed endpoints: {listed}; use --drain, or --discard REASON")
        if changes:
            await self._store.write(_write, compiled, gone, managed_by, drain, discard, actor)
            self._store.signal("configuration")
            self._store.signal("job")
        return changes

    async def release(self, organization: str, name: str) -> None:
        """Hand what a file manages over to API and console. Raises NotFound."""
        stored = await self._store.read(configuration.read, organization)
        if not stored or not await self._store.write(configuration.release, stored[0].id, name):
            raise NotFound(f"no integration or route is called {name}")

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


def _write(
    connection: Connection,
    compiled: Compiled,
    gone: list[str],
    managed_by: str,
    drain: bool,
    discard: str | None,
    actor: str,
) -> None:
    wanted = compiled.configuration
    owner = configuration.put_organization(connection, wanted.organization, _organization(wanted))
    stored = configuration.read(connection, wanted.organization)[0]
    for integration in wanted.integrations:
        values = _plain(integration.model_dump(mode="json", by_alias=True))
        configuration.put_integration(connection, owner, integration.name, values, managed_by)
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
        configuration.remove_integration(connection, owner, name)
    for reference in gone:
        configuration.remove_endpoint(connection, owner, reference, draining=drain)
        if discard is not None:
            arguments = {"destination": stored.endpoints[reference], "reason": discard}
            jobs.insert(connection, "discard", arguments, actor=actor, organization=owner)
    for name, pinned in compiled.routes.items():
        configuration.put_route(connection, owner, name, pinned, managed_by)
    for name in set(stored.routes) - set(compiled.routes):
        if _of_file(stored, "route", name):
            configuration.retire_route(connection, owner, name)


def _organization(wanted: Configuration) -> dict[str, Any]:
    return {"environment": wanted.environment, "retention": wanted.retention.model_dump(mode="json")}


def _differences(
    kind: str, old: Mapping[str, dict[str, Any]], new: Mapping[str, dict[str, Any]], stored: Stored | None
) -> list[Change]:
    changes = []
    for name in sorted({*old, *new}):
        if name not in old:
            changes.append(Change("create", kind, name))
        elif name not in new:
            if stored is None or _of_file(stored, kind, name):
                changes.append(Change("remove", kind, name))
        elif old[name] != new[name]:
            changes.append(Change("change", kind, name, _keys(old[name], new[name])))
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
