"""Makes what runs equal to what is configured: sources listen, lanes deliver, a reload changes all or nothing."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from hilum import telemetry
from hilum.engine.feed import Feed
from hilum.engine.lanes import Lanes
from hilum.engine.pressure import Pressure, Valve
from hilum.engine.recorder import Recorder
from hilum.engine.secrets import Opened
from hilum.engine.setup import Setup
from hilum.engine.standin import StandIn
from hilum.errors import ConfigError, HilumError, StoreError
from hilum.intake.identity import Identify
from hilum.intake.inbox import Inbox
from hilum.intake.routing import Compiled, Routing, unpin
from hilum.intake.waiters import Waiters
from hilum.model.configuration import Endpoint, Integration
from hilum.model.delivery import Pending
from hilum.model.message import Disposition
from hilum.model.status import SourceStatus, Status
from hilum.outbound.dialer import Dialers
from hilum.pipeline import Pipeline
from hilum.sdk.contracts import Connector, Destination, Dialer, Source
from hilum.sdk.registry import Registry
from hilum.security.references import Entries
from hilum.store import Store, configuration, deliveries
from hilum.store.configuration import Stored

_FLUSH = 5.0  # seconds that results may take to be written before the hub ends without
_RETRY = 5.0  # seconds between tries to start a source whose port (or folder) is taken
_DRAIN = 1.0  # seconds between looks at removed endpoints
S = TypeVar("S", bound=Source[Any])
log = telemetry.logger("engine")


@dataclasses.dataclass(slots=True, eq=False)
class Running:
    """A source that should run: `problem` says why it does not."""

    reference: str
    url: str
    fingerprint: str
    inbox: Inbox
    source: Source[Any] | None = None
    problem: str = ""
    retrying: asyncio.Task[None] | None = None


class Supervisor:
    """The engine's heart. All its state is made from the store's rows."""

    def __init__(
        self,
        store: Store,
        registry: Registry,
        dialers: Dialers,
        *,
        environ: Mapping[str, str],
        folder: Path | None,
        entries: Entries | None = None,
    ) -> None:
        """References are looked up in `folder` (`${file:…}`), `environ` (`${env:…}`) and `entries` (`${secret:…}`)."""
        self._store = store
        self._registry = registry
        self.setup = Setup(registry, dialers, environ=environ, folder=folder)
        self.entries = entries
        self._secrets = Opened(store, entries)
        self._used: dict[int, str] = {}  # digests of the secrets that destinations were set up with
        self._pipelines: dict[int, Pipeline] = {}
        self.waiters = Waiters()
        self.recorder = Recorder(store, self.waiters)
        self.recorder.watermarks = self._watermarks
        self.pressure = Pressure(store.folder)
        self.lanes: dict[int, Lanes] = {}
        self.sources: dict[str, Running] = {}
        self._unsubscribe: Callable[[], None] = lambda: None
        self._draining: set[int] = set()  # removed destinations that still deliver what waits
        self._newest = 0  # the newest delivery of any destination
        self._lock = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Take up every lane, then let the sources listen."""
        self._store.listeners.append(self._announce)
        await self.reconcile()
        self._unsubscribe = self._store.subscribe("configuration", lambda: self._spawn(self.reconcile()))
        self._spawn(self._secrets.follow(self.reconcile))
        self._spawn(self.pressure.watch())
        self._spawn(self._drain())

    async def stop(self) -> None:
        """Drain: no new messages, what was taken is answered, what is being sent ends, results are written."""
        self._unsubscribe()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*(self._stop_source(one) for one in list(self.sources.values())))
        await asyncio.gather(*(lanes.close() for lanes in self.lanes.values()))
        with contextlib.suppress(ValueError):
            self._store.listeners.remove(self._announce)
        with contextlib.suppress(TimeoutError):  # what a full disk does not take is marked: the next start writes it
            await asyncio.wait_for(self.recorder.flush(), _FLUSH)

    async def reconcile(self) -> None:
        """Read the configuration and make it so. A single step can't fail half-way: routes compile first."""
        async with self._lock:
            stored = await self._store.read(configuration.read)
            if not await self._secrets.read(stored):
                asyncio.get_running_loop().call_later(_RETRY, self._again)
            wanted = [(one, _endpoints(one)) for one in stored]
            routings = {one.id: self._routings(one) for one in stored}
            standing = await self._store.read(deliveries.standing)
            for organization, endpoints in wanted:
                for reference, (integration, endpoint) in endpoints.items():
                    if endpoint.direction == "outbound":
                        await self._lanes(organization, reference, integration, endpoint, standing)
            await self._sources(wanted, routings)
            await self._retire(wanted)
            for lanes in self.lanes.values():
                self.pressure.lag(lanes)  # a source may feed others now

    @property
    def problems(self) -> dict[str, str]:
        """Sources that should run and do not, with the reason."""
        return {one.reference: one.problem for one in self.sources.values() if one.problem}

    def status(self) -> Status:
        """How everything stands right now."""
        tallies = self._store.tallies
        lanes = tuple(
            one.status(tallies.delivered[number], tallies.failed[number]) for number, one in self.lanes.items()
        )
        sources = tuple(self._source_status(key, one) for key, one in self.sources.items())
        return Status(lanes, sources, self.pressure.free_disk, self._store.writer.commits)

    def _source_status(self, key: str, one: Running) -> SourceStatus:
        number, received = one.inbox.endpoint, self._store.tallies.received
        valve = self.pressure.valves.get(key)
        return SourceStatus(
            number,
            one.inbox.organization,
            one.reference,
            one.url,
            one.source is not None and not one.problem,
            one.problem,
            tuple(sorted(valve.reasons)) if valve else (),
            sum(count for (endpoint, _), count in received.items() if endpoint == number),
            received[number, Disposition.ERROR],
            tuple(one.inbox.latency.counts),
            one.inbox.latency.sum,
        )

    def source(self, organization: int, integration: str, kind: type[S]) -> S | None:
        """An integration's source of some connector, while it runs."""
        for one in self.sources.values():
            mine = one.inbox.organization == organization and one.reference.partition("/")[0] == integration
            if mine and isinstance(one.source, kind):
                return one.source
        return None

    def pipeline(self, version: int) -> Pipeline:
        """The compiled route version of a number. Raises ConfigError where it no longer compiles."""
        found = self._pipelines.get(version)
        if found is None:
            with self._store.database.reader.connect() as connection:
                row = configuration.version(connection, version)
            if row is None:
                raise ConfigError(f"there is no route version {version}")
            found = self._pipelines[version] = unpin(row.document, self._registry)
        return found

    # Lanes

    async def _lanes(
        self,
        organization: Stored,
        reference: str,
        integration: Integration,
        endpoint: Endpoint,
        standing: Mapping[int, tuple[int, int, int]],
    ) -> None:
        number = organization.endpoints[reference]
        running = self.lanes.get(number)
        used = self._used_by(organization, integration.name, endpoint)
        if running is None:
            destination = self._destination(organization, reference, endpoint)
            feed = Feed(self._store, self.pipeline)
            running = Lanes(
                number, organization.id, reference, endpoint, destination, feed, self.recorder, self.pressure.lag
            )
            running.pause(not integration.active)
            await running.start(standing.get(number, (0, 0, 0))[0])
            self.lanes[number] = running
        elif running.endpoint != endpoint or self._used.get(number, "") != used:
            running.configure(endpoint, self._destination(organization, reference, endpoint))
        self._used[number] = used
        running.destination.late = running.judged_late
        running.pause(not integration.active)

    def _destination(self, organization: Stored, reference: str, endpoint: Endpoint) -> Destination[Any]:
        def make() -> Destination[Any]:
            connector, config, dialer = self._config(organization, reference, endpoint)
            if connector.destination is None:
                raise ConfigError(f"{endpoint.scheme} cannot send", where=reference)
            return connector.destination(config, dialer)

        try:
            return make()
        except HilumError as error:
            log.error("destination cannot be set up", destination=reference, reason=str(error))
            return StandIn(make)

    async def _retire(self, wanted: Sequence[tuple[Stored, dict[str, tuple[Integration, Endpoint]]]]) -> None:
        """Close the lanes of removed endpoints; what was removed with `--drain` goes on until it is empty."""
        kept = {one.endpoints[reference] for one, endpoints in wanted for reference in endpoints}
        self._draining = {one.endpoints[reference] for one, _ in wanted for reference in one.draining}
        for number in [number for number in self.lanes if number not in kept]:
            lanes = self.lanes.pop(number)
            self.pressure.forget(lanes)
            await lanes.close()
            await self.recorder.flush()

    async def _drain(self) -> None:
        """Forget removed endpoints once nothing waits for them any more, for ever."""
        while True:
            await asyncio.sleep(_DRAIN)
            lanes = self.lanes
            done = [one for one in self._draining if one not in lanes or not lanes[one].line.backlog]
            try:
                for number in done:
                    await self._store.write(configuration.drained, number)
                    self._draining.discard(number)
                if done:
                    await self.reconcile()
            except StoreError as error:
                log.error("a removed endpoint waits for the store", reason=str(error))

    # Sources

    def _routings(self, stored: Stored) -> dict[str, Routing]:
        """For each inbound endpoint all routes that start there."""
        starts: dict[str, list[Compiled]] = {}
        for version in stored.routes.values():
            pipeline = self._pipelines.get(version.id) or unpin(version.document, self._registry)
            self._pipelines[version.id] = pipeline
            destinations = {one: stored.endpoints[one] for one in pipeline.destinations}
            compiled = Compiled(version.id, version.name, pipeline, destinations)
            starts.setdefault(version.document["route"]["from"], []).append(compiled)
        return {reference: Routing(self._store.hash, routes) for reference, routes in starts.items()}

    async def _sources(
        self,
        wanted: Sequence[tuple[Stored, dict[str, tuple[Integration, Endpoint]]]],
        routings: Mapping[int, Mapping[str, Routing]],
    ) -> None:
        nothing = Routing(self._store.hash, [])
        keep: set[str] = set()
        for organization, endpoints in wanted:
            for reference, (integration, endpoint) in endpoints.items():
                if endpoint.direction != "inbound" or not integration.active:
                    continue
                key = f"{organization.name}:{reference}"
                keep.add(key)
                routing = routings[organization.id].get(reference, nothing)
                await self._source(key, organization, reference, endpoint, routing)
        for key in [key for key in self.sources if key not in keep]:
            await self._stop_source(self.sources.pop(key))

    async def _source(self, key: str, owner: Stored, reference: str, endpoint: Endpoint, routing: Routing) -> None:
        connector = self._registry.connector(endpoint.scheme, reference)
        format = str(endpoint.options.get("format", connector.format))
        identify = Identify(
            self._store.hash, owner.id, owner.endpoints[reference], format, endpoint.search, endpoint.dedupe
        )
        used = self._used_by(owner, reference.partition("/")[0], endpoint)
        fingerprint = json.dumps([endpoint.url, endpoint.timeout, endpoint.options, used], sort_keys=True, default=str)
        running = self.sources.get(key)
        if running is not None and running.fingerprint == fingerprint:
            running.inbox.routing, running.inbox.identify = routing, identify
            return
        if running is not None:
            await self._stop_source(running)
        inbox = Inbox(self._store, owner.id, owner.endpoints[reference], identify, routing, self.waiters)
        running = self.sources[key] = Running(reference, endpoint.url, fingerprint, inbox)
        await inbox.recover()
        await self._listen(key, owner, running, endpoint)

    async def _listen(self, key: str, owner: Stored, running: Running, endpoint: Endpoint) -> None:
        """Start a source; where it cannot, the endpoint is unhealthy and tried again, the rest runs."""
        try:
            connector, config, dialer = self._config(owner, running.reference, endpoint)
            if connector.source is None:
                raise ConfigError(f"{endpoint.scheme} cannot receive")
            source = connector.source(config, running.inbox, dialer)
            await source.start()
        except Exception as error:  # whatever a plug-in does, the others run
            running.problem = telemetry.mask(str(error)) or type(error).__name__
            log.warning("source does not run", source=running.reference, reason=running.problem)
            running.retrying = asyncio.create_task(self._listen_later(key, owner, running, endpoint))
            return
        running.source, running.problem = source, ""
        self.pressure.valves[key] = Valve(running.reference, source, running.inbox)
        log.info("source runs", source=running.reference, url=endpoint.url)

    async def _listen_later(self, key: str, owner: Stored, running: Running, endpoint: Endpoint) -> None:
        await asyncio.sleep(_RETRY)
        await self._listen(key, owner, running, endpoint)

    async def _stop_source(self, running: Running) -> None:
        if running.retrying is not None:
            running.retrying.cancel()
        for key, valve in list(self.pressure.valves.items()):
            if valve.inbox is running.inbox:
                self.pressure.valves.pop(key)
        if running.source is not None:
            await running.source.stop()
        await running.inbox.close()

    # The rest

    def _config(self, owner: Stored, reference: str, endpoint: Endpoint) -> tuple[Connector, Any, Dialer]:
        """An endpoint's connector, what it is set up with, and the dialer of whoever configured it."""
        integration = reference.partition("/")[0]
        secrets = self._secrets.of(owner.id, integration)
        return self.setup.of(owner.name, _managed_by(owner, integration), integration, endpoint, secrets)

    def _used_by(self, owner: Stored, integration: str, endpoint: Endpoint) -> str:
        """Tells whether an endpoint must be set up anew though it says the same: other secrets, in other hands."""
        return f"{_managed_by(owner, integration)} {self._secrets.digest(owner.id, integration, endpoint)}"

    def _announce(self, made: Sequence[Pending]) -> None:
        self._newest = max(self._newest, made[-1].id)
        for one in made:
            lanes = self.lanes.get(one.destination)
            if lanes is not None:
                lanes.announce(one)

    def _again(self) -> None:
        if self._tasks:  # else it has stopped meanwhile
            self._spawn(self.reconcile())

    def _watermarks(self) -> dict[int, int]:
        return {number: lanes.line.watermark(self._newest) for number, lanes in self.lanes.items()}

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.append(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        with contextlib.suppress(ValueError):
            self._tasks.remove(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("an engine task ended", reason=str(error), exc_info=error)


def _managed_by(stored: Stored, integration: str) -> str:
    """file or api. The row of an integration is removed by a file alone; the API archives it."""
    return stored.managed_by.get(f"integration/{integration}", "file")


def _endpoints(stored: Stored) -> dict[str, tuple[Integration, Endpoint]]:
    """Every endpoint by reference; removed ones that still drain are there as the outbound ones they were."""
    found: dict[str, tuple[Integration, Endpoint]] = {}
    for document in stored.integrations.values():
        integration = Integration.model_validate(document)
        for endpoint in integration.endpoints:
            found[f"{integration.name}/{endpoint.name}"] = (integration, endpoint)
    for reference, document in stored.draining.items():
        gone = Integration(name=reference.partition("/")[0], protocol="hl7_v2", endpoints=[])
        endpoint = Endpoint.model_validate(document)
        if endpoint.direction == "outbound":
            found.setdefault(reference, (gone, endpoint))
    return found
