"""Makes an integration work: validation, authentication, endpoints, mappings, connectivity, active (S3-16).

In this order. Each step is noted as it begins; after one that failed no later one runs. It may be run again and again.
A try goes on by itself where it takes longer than somebody waits; one whose process is gone is ended by
engine/interrupted.py.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Literal
from uuid import UUID

from hilum import clock, telemetry
from hilum.errors import Conflict, HilumError
from hilum.model.access import Scope
from hilum.model.audit import Act, Change
from hilum.model.lifecycle import Lifecycle, health_of
from hilum.sdk.registry import Registry
from hilum.security.references import vault_names
from hilum.services import consents, endpoint_mappings
from hilum.services.entries import Entries
from hilum.services.integration_views import shown, signs
from hilum.services.integrations import Integrations, NotValid
from hilum.services.jobs import PATIENCE
from hilum.services.messages import stamp
from hilum.services.tests import Tests
from hilum.services.validation import Validation
from hilum.store import Connection, Store, initializations, integrations
from hilum.store.initializations import INTERRUPTED, LEASE, State
from hilum.store.integrations import Row

MOVE = "integration.move"
RELEASE = "it is switched on by a person: POST /api/v1/integrations/{id}/activate says what that needs"
_LONGEST = LEASE - 15  # seconds of a try: then it fails, long before another process may end it
_DRAIN = 5.0  # seconds that tries which run may still take when the hub ends
_LATE = f"not done within {_LONGEST:.0f} seconds"
log = telemetry.logger("integrations")


@dataclasses.dataclass(slots=True)
class Step:
    """One step. Times are RFC 3339; `endedAt` null: it runs."""

    step: str
    startedAt: str
    endedAt: str | None = None
    success: bool = False
    error: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Initialization:
    """A try. `connectivity` is null where it was not come to; `advice`: what a person has to do now."""

    id: str
    at: str
    by: str
    status: Literal["running", "succeeded", "failed"]
    success: bool
    error: str | None
    advice: str | None
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
        self._running: set[asyncio.Task[Row]] = set()

    async def create(
        self, act: Act, given: Mapping[str, Any], *, run: bool = True, off: bool = False, wait: float = PATIENCE
    ) -> Row:
        """Make one, and make it work: it is `testing` where that takes longer than `wait` seconds. `off`: inactive.

        Raises NotValid, which is remembered, and what `Integrations.create` raises.
        """
        await self._integrations.home(act.organization)  # raises NotFound: where there is none, nothing is remembered
        trial = _Trial()
        try:
            if off or not run:
                lifecycle = Lifecycle.INACTIVE if off else Lifecycle.INITIALIZING
                return await self._integrations.create(act, given, lifecycle=lifecycle)
            made = await self._integrations.create(act, given, self._beginning(act, trial))
        except NotValid as error:
            await self._refuse(act, error.validation)
            raise
        part = _part(act, MOVE)
        found = await self._store.within(act.organization).change(
            part, integrations.move, part, made, Lifecycle.TESTING
        )  # fmt: skip
        after = await self._awaited(act, found, trial, wait)
        return after or found

    async def run(self, act: Act, found: Row, *, wait: float = PATIENCE) -> tuple[Row, Initialization]:
        """The integration and the try as they are when it ended, or when `wait` seconds are over.

        Raises Conflict (somebody else does it too), Stale.
        """
        if found.managed_by != "api":
            raise Conflict("it is managed by a configuration file: that is applied, and never dials")
        trial = _Trial()
        trial.held = await self._integrations.held(
            act, found.environment or "", found.study, gxp=found.model.gxp
        )  # fmt: skip
        own = self._store.within(act.organization)
        found = await own.change(act, self._begin, act, found, trial)
        after = await self._awaited(act, found, trial, wait)
        (tried,), _ = await own.read(initializations.listed, found.id, 0, 1)
        return after or found, self._view(tried)

    async def close(self) -> None:
        """What runs gets a moment, then it is ended as what was interrupted."""
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=_DRAIN)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _awaited(self, act: Act, found: Row, trial: _Trial, wait: float) -> Row | None:
        """None: it still runs. Raises Conflict where somebody else ended it, StoreError."""
        task = asyncio.get_running_loop().create_task(self._go(act, found, trial))
        self._running.add(task)
        task.add_done_callback(self._ended)
        done, _ = await asyncio.wait({task}, timeout=wait)
        return task.result() if done else None

    def _ended(self, task: asyncio.Task[Row]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("how an initialization ended is not stored", reason=str(error))

    async def _go(self, act: Act, found: Row, trial: _Trial) -> Row:
        try:
            async with asyncio.timeout(_LONGEST):
                for name, work in (
                    ("validation", lambda: self._validate(act, found, trial)),
                    ("authentication", lambda: self._authenticate(act, found)),
                    ("endpoints", lambda: self._configure(found)),
                    ("mappings", lambda: self._map(found)),
                    ("connectivity", lambda: self._connect(act, found, trial)),
                    ("activation", _nothing),
                ):
                    await self._step(found, trial, name, work)
        except _Stop as stop:
            trial.error = str(stop)
        except TimeoutError:
            trial.fail(_LATE)
        except asyncio.CancelledError:  # the hub ends
            trial.fail(INTERRUPTED)
        except HilumError:  # of the store, or somebody else ended it
            raise
        except Exception as error:
            log.exception("initialization failed", integration=str(found.uuid))
            trial.fail(f"internal error: {type(error).__name__}")
        ending = _part(act, MOVE)
        after: Row = await self._store.within(act.organization).change(ending, self._end, ending, found, trial)
        self._store.signal("configuration")
        return after

    async def _step(self, found: Row, trial: _Trial, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Raises _Stop, and Conflict where somebody else ended the try."""
        one = Step(name, _now())
        trial.steps.append(one)
        sealed = initializations.seal(self._store.sealer, trial.id, trial.told())
        await self._store.within(found.organization).write(initializations.note, trial.id, sealed)
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

    async def _refuse(self, act: Act, validation: Validation) -> None:
        """Remember that something was asked for that is not valid (C-38)."""
        trial = _Trial(validation=dataclasses.asdict(validation), error=validation.message)
        trial.steps.append(Step("validation", _now(), _now(), error=validation.message))
        sealed = initializations.seal(self._store.sealer, trial.id, trial.told())
        known = (act.organization, None, act.principal.name, trial.id, sealed, State.FAILED)
        await self._store.within(act.organization).write(initializations.insert, *known)

    async def listed(
        self, scope: Scope, identifier: UUID, offset: int, limit: int
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

    def _beginning(self, act: Act, trial: _Trial) -> Callable[[Connection, Row, bool], None]:
        """Stores the try with what it is about: there is never one without the other."""

        def begin(connection: Connection, found: Row, held: bool) -> None:
            trial.held = held
            (document,) = shown(connection, act.organization, [found])
            trial.signs = signs(document)
            sealed = initializations.seal(self._store.sealer, trial.id, trial.told())
            initializations.begin(connection, act.organization, found.id, act.principal.name, trial.id, sealed)

        return begin

    def _begin(self, connection: Connection, act: Act, found: Row, trial: _Trial) -> Change:
        """Where messages flow they go on."""
        self._beginning(act, trial)(connection, found, trial.held)
        if found.lifecycle in (Lifecycle.INITIALIZING, Lifecycle.INACTIVE):
            return integrations.move(connection, act, found, Lifecycle.TESTING)
        return Change(found, integrations.entity(found), None, {"initialization": str(trial.id)})

    def _end(self, connection: Connection, act: Act, found: Row, trial: _Trial) -> Change:
        """Note how it went, move the lifecycle, set what the test found: one transaction."""
        sealer, tested = self._store.sealer, trial.connectivity
        state = State.SUCCEEDED if trial.error is None else State.FAILED
        initializations.note(connection, trial.id, initializations.seal(sealer, trial.id, trial.told()), state)
        health = None if tested is None else health_of([one["success"] for one in tested["endpoints"]])
        return initializations.end(connection, sealer, act, found.id, trial.error, health, held=trial.held)

    def _view(self, one: initializations.Try) -> Initialization:
        told = initializations.told(self._store.sealer, one)
        steps = [Step(**step) for step in told["steps"]]
        done = one.state is State.SUCCEEDED
        return Initialization(
            str(one.uuid), stamp(one.stamp), one.actor, _STATUS[one.state], done, told["error"],
            RELEASE if done and told.get("held") else None, steps, told["validation"], told["connectivity"],
        )  # fmt: skip


@dataclasses.dataclass(slots=True)
class _Trial:
    """A try while it runs. `held`: only a person may switch it on for the first time."""

    id: UUID = dataclasses.field(default_factory=initializations.name)
    steps: list[Step] = dataclasses.field(default_factory=list)
    validation: dict[str, Any] | None = None
    connectivity: dict[str, Any] | None = None
    error: str | None = None
    signs: str | None = None
    held: bool = False

    def told(self) -> dict[str, Any]:
        """As it is stored."""
        known = dataclasses.asdict(self)
        del known["id"]
        return known

    def fail(self, reason: str) -> None:
        """At the step where it stands."""
        self.error = reason
        for step in self.steps[-1:]:
            step.success, step.error = False, reason


_STATUS: dict[State, Literal["running", "succeeded", "failed"]] = {
    State.RUNNING: "running", State.SUCCEEDED: "succeeded", State.FAILED: "failed",
}  # fmt: skip


async def _nothing() -> None:
    """It is switched on with the same commit that stores how it went."""


def _part(act: Act, action: str) -> Act:
    """A part of the act with an event of its own."""
    return dataclasses.replace(act, action=action, conditions=[], details=dict(act.details), recorded=False)


def _now() -> str:
    return stamp(clock.micros())
