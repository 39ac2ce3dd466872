"""The one composition root: settings to store, registry, engine, services and the HTTP edge."""

from __future__ import annotations

import asyncio
import functools
import gc
from collections.abc import Callable, Sequence
from pathlib import Path

from hilum import telemetry
from hilum.api import Server, Services, create_app
from hilum.engine.runner import Runner
from hilum.engine.supervisor import Supervisor
from hilum.errors import ConfigError, FormatError
from hilum.intake.identity import Identify
from hilum.model.configuration import Integration
from hilum.model.message import Message
from hilum.model.status import Status
from hilum.outbound.dialer import Dialer
from hilum.sdk.registry import Registry, discover
from hilum.security.keyring import Keyring
from hilum.services import backup
from hilum.services.backup import KEYS
from hilum.services.configuration import Configurations, load
from hilum.services.health import Health
from hilum.services.jobs import Jobs
from hilum.services.lanes import Lanes
from hilum.services.messages import Messages
from hilum.services.metrics import Metrics
from hilum.services.names import Names
from hilum.services.replays import Replays
from hilum.services.routes import Routes
from hilum.services.sources import Sources
from hilum.settings import Settings
from hilum.store import Store, configuration
from hilum.store.lock import FolderLock

log = telemetry.logger("app")
SOCKET = "hub.sock"


class Hub:
    """A data folder, opened. `open` is enough for the CLI; `run` lets it receive and deliver as well."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.registry: Registry = discover()
        self.recovery_key: str | None = None  # only at the first start: to be shown once
        self._lock = FolderLock(settings.data)
        self.supervisor: Supervisor | None = None
        self.runner: Runner | None = None
        self.http: Server | None = None
        self._local: Server | None = None
        self._services: Services | None = None
        self._running = False

    async def open(self) -> None:
        """Lock the folder, make keys at first start, open the store. Raises StoreLocked, ConfigError, StoreError."""
        data = self.settings.data
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock.acquire()
        try:
            keyring = self._keys(data / KEYS)
            self.store = Store(data, keyring, self.settings.database)
            await self.store.open(self._rebuild())
        except BaseException:
            self._lock.release()
            raise
        self.configurations = Configurations(self.store, self.registry, self.settings.environ)

    async def run(self) -> None:
        """Apply the configuration file, serve HTTP, take up the lanes, listen.

        Raises OSError where an HTTP address is taken, before any message is.
        """
        config = self.settings.config
        folder = None
        if config is not None:
            wanted, folder = load(config)
            await self.configurations.apply(wanted, folder, actor="local:serve", drain=True)
        await self._serve()
        self.supervisor = Supervisor(
            self.store, self.registry, Dialer(self._roots(folder)), environ=self.settings.environ, folder=folder
        )
        await self.supervisor.start()
        self.runner = Runner(self.store, self.registry, self.supervisor)
        await self.runner.start()
        self._running = True

    async def reload(self) -> None:
        """Read the file again; what is invalid changes nothing. Raises ConfigError, Conflict."""
        if self.settings.config is None:
            raise ConfigError("the hub was started without --config")
        wanted, folder = load(self.settings.config)
        await self.configurations.apply(wanted, folder, actor="local:serve")

    async def close(self) -> None:
        """Drain, then close. Safe to call after a failed start."""
        self._running = False
        await asyncio.gather(*(server.stop() for server in (self.http, self._local) if server is not None))
        if self._services is not None:
            await self._services.metrics.stop()
        if self.runner is not None:
            await self.runner.stop()
        if self.supervisor is not None:
            await self.supervisor.stop()
        if hasattr(self, "store"):
            await self.store.close()
        self._lock.release()

    def services(self) -> Services:
        """The use cases on this hub's store; the same ones every time. Needs `open`, not `run`."""
        if self._services is None:
            store, names, status = self.store, Names(self.store), self._status
            routes = Routes(store, self.registry)
            jobs = Jobs(store, status)
            messages = Messages(store, names, routes)
            self._services = Services(
                registry=self.registry,
                names=names,
                messages=messages,
                replays=Replays(store, names, routes, messages),
                lanes=Lanes(store, names, jobs, status),
                sources=Sources(store, names, status),
                jobs=jobs,
                configurations=self.configurations,
                reload=self.reload,
                backup=functools.partial(backup.create, store),
                health=Health(store, names, status),
                metrics=Metrics(store, names, status),
            )
        return self._services

    def _status(self) -> Status | None:
        """None while the engine does not run."""
        return self.supervisor.status() if self.supervisor is not None and self._running else None

    async def _serve(self) -> None:
        services = self.services()
        services.metrics.start()
        self._local = Server(create_app(services, local=True), self.settings.data / SOCKET)
        await self._local.start()
        if self.settings.http is not None:
            self.http = Server(create_app(services, local=False), self.settings.http)
            await self.http.start()

    def _keys(self, path: Path) -> Keyring:
        if path.exists():
            return Keyring.load(path)
        if (path.parent / "hub.db").exists():
            raise ConfigError(f"{path} is missing: without it nothing in {path.parent} can be read; restore it")
        keyring, self.recovery_key = Keyring.create(path)
        return keyring

    def _roots(self, folder: Path | None) -> list[Path]:
        files = self.settings.data / "files"
        files.mkdir(exist_ok=True)
        return [files, *self.settings.file_roots, *([folder] if folder else [])]

    def _rebuild(self) -> Callable[[Message], Sequence[int]]:
        """Makes search keys of stored messages again; the endpoints are read when the first one is asked for."""
        readers: dict[int, Identify] = {}

        def keys(message: Message) -> Sequence[int]:
            if not readers:
                readers.update(self._identifiers())
            reader = readers.get(message.endpoint)
            try:
                return reader.again(message) if reader is not None and message.body is not None else ()
            except FormatError:
                return ()

        return keys

    def _identifiers(self) -> dict[int, Identify]:
        with self.store.database.reader.connect() as connection:
            stored = configuration.read(connection)
        found: dict[int, Identify] = {}
        for owner in stored:
            for one in owner.integrations.values():
                integration = Integration.model_validate(one)
                for endpoint in integration.endpoints:
                    if endpoint.direction == "inbound":
                        number = owner.endpoints[f"{integration.name}/{endpoint.name}"]
                        connector = self.registry.connector(endpoint.scheme)
                        form = str(endpoint.options.get("format", connector.format))
                        search = endpoint.search
                        found[number] = Identify(self.store.hash, owner.id, number, form, search, endpoint.dedupe)
        return found


async def run_until(stop: asyncio.Event, hub: Hub) -> None:
    """Run a hub that is open until `stop` is set, then drain it."""
    try:
        await hub.run()
        _settle_collector()
        await stop.wait()
    finally:
        await hub.close()


def _settle_collector() -> None:
    """What the start made stays; looking through it again and again cost a tenth of the throughput."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
