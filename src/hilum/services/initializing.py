"""Makes an integration work: validation, authentication, endpoints, mappings, connectivity, active (S3-16).

In this order. Each step is noted with its time; after one that failed no later one runs. It may be run again and again.
"""

from __future__ import annotations

import dataclasses
import json
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from hilum import clock, telemetry
from hilum.errors import Conflict, HilumError
from hilum.model.access import Scope
from hilum.model.audit import Act, Change
from hilum.model.lifecycle import RUNS, Lifecycle, health_of
from hilum.sdk.registry import Registry
from hilum.security.references import vault_names
from hilum.services import consents, endpoint_mappings
from hilum.services.entries import Entries
from hilum.services.integration_views import shown, signs
from hilum.services.integrations import Integrations, NotValid
from hilum.services.messages import stamp
from hilum.services.tests import Tests
from hilum.services.validation import Validation
from hilum.store import Connection, Store, initializations, integrations
from hilum.store.integrations import Row

MOVE = "integration.move"


@dataclasses.dataclass(slots=True)
class Step:
    """One step. Times are RFC 3339."""

    step: str
    startedAt: str
    endedAt: str = ""
    success: bool = False
    error: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Initialization:
    """A try. `connectivity` is null where it was not come to."""

    id: str
    at: str
    by: str
    success: bool
    error: str | None
    steps: list[Step]
    validation: dict[str, Any] | None
    connectivity: dict[str, Any] | None


class _Stop(Exception):
    """A step failed; why."""


class Initializing:
    """The use case."""

    def __init__(
        self, store: Store, registry: Registry, services: Integrations, entries: Entries, tests: Tests
    ) -> None:
        self._store = store
        self._registry = registry
        self._integrations = services
        self._entries = entries
        self._tests = tests

    async def create(self, act: Act, given: Mapping[str, Any], *, run: bool = True) -> Row:
        """Make one, and make it work. Raises NotValid, which is remembered, and what `Integrations.create` raises."""
        await self._integrations.home(act.organization)  # raises NotFound: where there is none, nothing is remembered
        try:
            made = await self._integrations.create(act, given)
        except NotValid as error:
            await self._refuse(act, error.validation)
            raise
        return (await self.run(act, made))[0] if run else made

    async def run(self, act: Act, found: Row) -> tuple[Row, Initialization]:
        """The integration as it is afterwards, and how it went. Raises Conflict, Stale (somebody else does it too)."""
        if found.managed_by != "api":
            raise Conflict("it is managed by a configuration file: that is applied, and never dials")
        own = self._store.within(act.organization)
        if found.lifecycle in (Lifecycle.INITIALIZING, Lifecycle.INACTIVE):  # where messages flow they go on
            found = await own.change(_part(act, MOVE), integrations.move, act, found, Lifecycle.TESTING)
        trial = _Trial()
        try:
            await trial.step("validation", lambda: self._validate(act, found, trial))
            await trial.step("authentication", lambda: self._authenticate(act, found))
            await trial.step("endpoints", lambda: self._configure(found))
            await trial.step("mappings", lambda: self._map(found))
            await trial.step("connectivity", lambda: self._connect(act, found, trial))
            await trial.step("activation", _nothing)
            error = None
        except _Stop as stop:
            error = str(stop)
        ending = _part(act, MOVE) if act.recorded else act  # one event says what was asked for, one what came of it
        after = await own.change(ending, self._end, act, found, trial, error)
        self._store.signal("configuration")
        return after, trial.view(act)

    async def _refuse(self, act: Act, validation: Validation) -> None:
        """Remember that something was asked for that is not valid (C-38)."""
        trial = _Trial()
        trial.validation = dataclasses.asdict(validation)
        trial.steps.append(Step("validation", _now(), _now(), error=validation.message))
        await self._store.within(act.organization).write(self._keep, act, None, trial, validation.message)

    async def listed(
        self, scope: Scope, identifier: uuid.UUID, offset: int, limit: int
    ) -> tuple[Sequence[Initialization], int]:
        """Every try, the newest first, and how many there are. Raises NotFound."""
        found = await self._integrations.find(scope, identifier, archived=True)
        own = self._store.within(scope.organization)
        tries, total = await own.read(initializations.listed, found.id, offset, limit)
        return [self._view(one) for one in tries], total

    async def _validate(self, act: Act, found: Row, trial: _Trial) -> None:
        checked = await self._integrations.recheck(act.scope, found)
        trial.validation = dataclasses.asdict(checked)
        if not checked.valid:
            raise _Stop(checked.message)

    async def _authenticate(self, act: Act, found: Row) -> None:
        names = vault_names(found.document)
        known = await self._entries.values(found.organization, found.study, names)
        lacking = sorted(names - {one.partition(".")[0] for one in known})
        if lacking:
            raise _Stop(f"Authentication setup failed: the vault has no {', '.join(lacking)} that it may use")
        unconsented = await self._store.within(found.organization).read(consents.lacking, found)
        if unconsented:
            raise _Stop(f"Authentication setup failed: {'; '.join(unconsented)}")
        given = [one.options.get("authentication") or {} for one in found.model.endpoints]
        if any(one.get("type") == "oauth2" for one in given):  # document 003 fetches a token at set-up
            result = await self._tests.run(_part(act, "integration.test"), found, kind="sign-in")
            if failed := {f"{one.name}: {one.error}": None for one in result.endpoints if not one.success}:
                raise _Stop(f"Authentication setup failed: {'; '.join(failed)}")

    async def _configure(self, found: Row) -> None:
        problems = await self._integrations.problems(found.organization, found.document)
        if problems:
            raise _Stop(f"Endpoint configuration failed: {', '.join(problems)}")

    async def _map(self, found: Row) -> None:
        await endpoint_mappings.check(self._store, self._registry, found.organization, found.model.endpoints)

    async def _connect(self, act: Act, found: Row, trial: _Trial) -> None:
        result = await self._tests.run(_part(act, "integration.test"), found)
        trial.connectivity = dataclasses.asdict(result)
        if result.error is not None:
            raise _Stop(result.error)

    def _end(self, connection: Connection, act: Act, found: Row, trial: _Trial, error: str | None) -> Change:
        """Note the try, move the lifecycle, set what the test found: one transaction."""
        self._keep(connection, act, found, trial, error)
        current = integrations.get(connection, found.id)
        tested = trial.connectivity
        health = current.health if tested is None else health_of([one["success"] for one in tested["endpoints"]])
        sealed = None
        if error is not None:
            sealed = integrations.seal_error(self._store.sealer, found.id, error)
        failures = 0 if error is None else current.failures + 1
        integrations.feel(connection, found.id, health, sealed, failures=failures)
        after = _after(connection, current, error)
        if after is not current.lifecycle:
            return integrations.move(connection, act, current, after)
        current = integrations.get(connection, found.id)
        return Change(current, integrations.entity(found), None, {"success": error is None})

    def _keep(self, connection: Connection, act: Act, found: Row | None, trial: _Trial, error: str | None) -> None:
        told = {"steps": [dataclasses.asdict(one) for one in trial.steps], "validation": trial.validation,
                "connectivity": trial.connectivity, "error": error}  # fmt: skip
        if found is not None:
            (document,) = shown(connection, act.organization, [found])
            told["signs"] = signs(document)
        text = telemetry.mask(json.dumps(told, default=str))
        sealed = self._store.sealer.seal(text.encode(), initializations.place(trial.id))
        initializations.insert(
            connection, act.organization, None if found is None else found.id, act.principal.name, trial.id, sealed,
            succeeded=error is None,
        )  # fmt: skip

    def _view(self, one: initializations.Try) -> Initialization:
        told = json.loads(self._store.sealer.open(one.sealed, initializations.place(one.uuid)))
        steps = [Step(**step) for step in told["steps"]]
        return Initialization(
            str(one.uuid), stamp(one.stamp), one.actor, one.succeeded, told["error"], steps, told["validation"],
            told["connectivity"],
        )  # fmt: skip


class _Trial:
    """A try while it runs."""

    def __init__(self) -> None:
        self.id = initializations.begin()
        self.steps: list[Step] = []
        self.validation: dict[str, Any] | None = None
        self.connectivity: dict[str, Any] | None = None

    async def step(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Raises _Stop."""
        one = Step(name, _now())
        self.steps.append(one)
        try:
            await work()
            one.success = True
        except _Stop as stop:
            one.error = str(stop)
            raise
        except HilumError as error:
            one.error = telemetry.mask(str(error))
            raise _Stop(one.error) from error
        finally:
            one.endedAt = _now()

    def view(self, act: Act) -> Initialization:
        error = next((one.error for one in self.steps if one.error), None)
        return Initialization(
            str(self.id), self.steps[0].startedAt, act.principal.name, error is None, error, self.steps,
            self.validation, self.connectivity,
        )  # fmt: skip


def _after(connection: Connection, current: Row, error: str | None) -> Lifecycle:
    """Where its lifecycle goes. What a person switched off, or GxP holds for, is switched on by a person alone."""
    if current.lifecycle in RUNS:
        return Lifecycle.ACTIVE if error is None else Lifecycle.ERROR
    if current.lifecycle is not Lifecycle.TESTING:  # somebody moved it meanwhile
        return current.lifecycle
    (move, *_), _ = integrations.history(connection, current.id, 0, 1)
    if move.before == Lifecycle.INACTIVE or (current.model.gxp and move.before == Lifecycle.INITIALIZING):
        return Lifecycle.INACTIVE
    return Lifecycle.ACTIVE if error is None else Lifecycle.ERROR


async def _nothing() -> None:
    """It is switched on with the same commit that stores how it went."""


def _part(act: Act, action: str) -> Act:
    """A part of the act with an event of its own."""
    return dataclasses.replace(act, action=action, conditions=[], details=dict(act.details), recorded=False)


def _now() -> str:
    return stamp(clock.micros())
