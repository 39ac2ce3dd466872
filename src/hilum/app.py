"""The one composition root: settings to store, registry, engine, services and the HTTP edge."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import gc
import socket
import ssl
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from hilum import telemetry
from hilum.api import Edge, Server, Services, create_app
from hilum.connectors import webhook
from hilum.engine.audit_feed import AuditFeeds
from hilum.engine.evidence import Evidence
from hilum.engine.interrupted import Interrupted
from hilum.engine.runner import Runner
from hilum.engine.supervisor import Supervisor
from hilum.engine.webhooks import Webhooks
from hilum.errors import ConfigError, FormatError
from hilum.intake.identity import Identify
from hilum.jobs import Context, Still
from hilum.model.access import HUB, SYSTEM, Scope
from hilum.model.audit import Act
from hilum.model.configuration import Integration
from hilum.model.message import Message
from hilum.model.status import Status
from hilum.outbound.dialer import Dialers
from hilum.outbound.kept import Kept
from hilum.outbound.tokens import Tokens
from hilum.sdk.registry import Registry, discover
from hilum.sdk.tls import Tls
from hilum.security.api_keys import Pepper
from hilum.security.keyring import Keyring
from hilum.security.keys.choice import providers
from hilum.security.passwords import Passwords
from hilum.security.signing import Signer
from hilum.security.tickets import Tickets
from hilum.services import backup
from hilum.services.activity import Activity
from hilum.services.analytics import Analytics
from hilum.services.answers import Answers
from hilum.services.api_keys import ApiKeys
from hilum.services.approvals import Approvals
from hilum.services.archives import Archives
from hilum.services.audit import Trail
from hilum.services.backup import KEYS
from hilum.services.certificates import Certificates
from hilum.services.configuration import Configurations, load
from hilum.services.connections import Connections
from hilum.services.consents import Consents
from hilum.services.credentials import Credentials
from hilum.services.datasets import Datasets
from hilum.services.entries import Entries
from hilum.services.events import Events
from hilum.services.executions import Executions
from hilum.services.export_links import ExportLinks
from hilum.services.export_plans import ExportPlans
from hilum.services.exports import Exports
from hilum.services.health import Health
from hilum.services.identity import Identity
from hilum.services.initializing import Initializing
from hilum.services.integration_health import IntegrationHealth
from hilum.services.integrations import Integrations
from hilum.services.jobs import Jobs
from hilum.services.lanes import Lanes
from hilum.services.legal_holds import LegalHolds
from hilum.services.mappings import Mappings
from hilum.services.messages import Messages
from hilum.services.metrics import Metrics
from hilum.services.names import Names
from hilum.services.oidc import Oidc
from hilum.services.organizations import Organizations
from hilum.services.own_account import OwnAccount
from hilum.services.policy import Policy
from hilum.services.previews import Previews
from hilum.services.proofs import Proofs
from hilum.services.records import Records
from hilum.services.replays import Replays
from hilum.services.retention import Retention
from hilum.services.route_documents import RouteDocuments
from hilum.services.routes import Routes
from hilum.services.sign_in import SignIn
from hilum.services.signatures import Signatures
from hilum.services.signing_keys import SigningKeys
from hilum.services.sources import Sources
from hilum.services.studies import Studies
from hilum.services.subject_exports import SubjectExports
from hilum.services.tests import Tests
from hilum.services.users import Users
from hilum.services.vault import Vault
from hilum.services.vendors import Vendors
from hilum.services.webhook_receivers import Listening, WebhookReceivers
from hilum.services.webhook_subscriptions import WebhookSubscriptions
from hilum.settings import Settings
from hilum.store import Store, configuration
from hilum.store.jobs import Job
from hilum.store.lock import FolderLock

log = telemetry.logger("app")
SOCKET = "hub.sock"


class Hub:
    """A data folder, opened. `open` is enough for the CLI; `run` lets it receive and deliver as well."""

    def __init__(self, settings: Settings, passwords: Passwords | None = None) -> None:
        """`passwords`: cheaper ones than those that serve, for tests."""
        self.settings = settings
        self._passwords = passwords or Passwords()
        self.registry: Registry = discover()
        self.recovery_key: str | None = None  # only at the first start: to be shown once
        self.first_link: str | None = None  # while nobody may sign in: makes the first administrator
        self._edge = Edge.read(**dataclasses.asdict(settings.web))
        self._lock = FolderLock(settings.data)
        self.supervisor: Supervisor | None = None
        self.runner: Runner | None = None
        self.evidence: Evidence | None = None
        self.feeds: AuditFeeds | None = None
        self._interrupted: Interrupted | None = None
        self._outbound: Dialers | None = None
        self.webhooks: Webhooks | None = None
        self.http: Server | None = None
        self._tls = _tls(settings)
        self._context: ssl.SSLContext | None = None
        self._local: Server | None = None
        self._services: Services | None = None
        self._running = False

    async def open(self) -> None:
        """Lock the folder, make keys at first start, open the store. Raises StoreLocked, ConfigError, StoreError."""
        data = self.settings.data
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock.acquire()
        try:
            telemetry.secrets.add(unquote(urlsplit(self.settings.database or "").password or ""))
            self.keyring = self._keys(data / KEYS)
            self.store = Store(data, self.keyring, self.settings.database, self.settings.owner, self.settings.pool)
            self.vault = Vault(self.store, providers(self.settings.keys, self.keyring, data / KEYS))
            await self.store.open(self._rebuild())
        except BaseException:
            self._lock.release()
            raise
        try:
            await self.vault.check()
        except BaseException:
            await self.store.close()
            self._lock.release()
            raise
        credentials, certificates = Credentials(self.store, self.vault), Certificates(self.store, self.vault)
        self.entries = Entries(credentials, certificates)
        self.configurations = Configurations(self.store, self.registry, self.settings.environ, self.entries)

    async def run(self) -> None:
        """Apply the configuration file, serve HTTP, take up the lanes, listen.

        Raises OSError where an HTTP address is taken, before any message is.
        """
        config = self.settings.config
        folder = None
        if config is not None:
            wanted, folder = load(config)
            await self.configurations.apply(self._act("configuration.apply"), wanted, folder, drain=True)
        self.first_link = await self.services().own_account.first_link()
        settings, dialers = self.settings, self._dialers(folder)
        self._outbound = dialers
        evidence = Evidence(self.store, settings.checkpoints or settings.data / "checkpoints", settings.owner)
        await evidence.start()
        self.evidence = evidence
        self.feeds = AuditFeeds(self.store, dialers, self.entries, socket.gethostname(), lambda: evidence.mine)
        await self.feeds.start()
        self._interrupted = Interrupted(self.store)
        await self._interrupted.start()
        await self._serve()
        self.supervisor = Supervisor(
            self.store, self.registry, dialers, environ=self.settings.environ, folder=folder, entries=self.entries
        )
        await self.supervisor.start()
        self.runner = Runner(self.store, self.registry, self.supervisor, self.evidence, self.vault, dialers)
        await self.runner.start()
        self.webhooks = Webhooks(self.store, dialers, self.vault, lambda: evidence.mine)
        await self.webhooks.start()
        self._running = True

    async def reload(self) -> None:
        """Read the files again; what is invalid changes nothing. Raises ConfigError, Conflict."""
        if self._tls is not None and self._context is not None:
            self._tls.renew(self._context)
        if self.settings.config is None:
            raise ConfigError("the hub was started without --config")
        wanted, folder = load(self.settings.config)
        await self.configurations.apply(self._act("configuration.reload"), wanted, folder)

    async def close(self) -> None:
        """Drain, then close. Safe to call after a failed start."""
        self._running = False
        if self._services is not None:
            self._services.events.close()
        await asyncio.gather(*(server.stop() for server in (self.http, self._local) if server is not None))
        if self._services is not None:
            await self._services.metrics.stop()
            await self._services.initializing.close()
        if self._interrupted is not None:
            await self._interrupted.stop()
        if self.webhooks is not None:
            await self.webhooks.stop()
        if self.runner is not None:
            await self.runner.stop()
        if self.supervisor is not None:
            await self.supervisor.stop()
        if self.feeds is not None:
            await self.feeds.stop()
        if self._outbound is not None:
            await self._outbound.close()
        if self.evidence is not None:
            await self.evidence.stop()
        if hasattr(self, "store"):
            await self.store.close()
        self._lock.release()

    def services(self) -> Services:
        """The use cases on this hub's store; the same ones every time. Needs `open`, not `run`."""
        if self._services is None:
            store, names, status = self.store, Names(self.store), self._status
            trail = Trail(store)
            routes = Routes(store, self.registry)
            jobs = Jobs(store, status, here=self._do)
            messages = Messages(store, names, routes)
            api_keys = ApiKeys(store, Pepper(self.keyring))
            signing, tickets, proofs = SigningKeys(store), Tickets(store.sealer), Proofs(store, self._passwords)
            sign_in, signer = SignIn(store, signing, tickets, proofs), Signer(self.keyring.evidence)
            policy = Policy(store, signer, self.keyring.evidence)
            integrations = Integrations(
                store, self.registry, self.configurations, self.entries.credentials, policy, self.settings.url
            )
            tests, previews = Tests(store, self.registry, jobs), Previews(messages)
            exports = Exports(store, self.vault, jobs, policy, self.registry)
            self._services = Services(
                registry=self.registry,
                names=names,
                messages=messages,
                replays=Replays(store, names, routes, messages),
                lanes=Lanes(store, names, jobs, status),
                sources=Sources(store, names, status),
                jobs=jobs,
                configurations=self.configurations,
                connections=Connections(store),
                consents=Consents(store, policy, jobs, self.settings.url),
                reload=self.reload,
                backup=functools.partial(backup.create, store),
                events=Events(store),
                health=Health(store, names, status, self._trouble),
                metrics=Metrics(store, names, status),
                answers=Answers(store),
                organizations=Organizations(store),
                studies=Studies(store),
                users=Users(store),
                api_keys=api_keys,
                vault=self.vault,
                vendors=Vendors(store),
                credentials=self.entries.credentials,
                certificates=self.entries.certificates,
                entries=self.entries,
                policy=policy,
                signatures=Signatures(store, Records(store), signer, proofs.prove, proofs.confirm),
                approvals=Approvals(store, policy),
                identity=Identity(store, signing, tickets, api_keys.principal),
                signing_keys=signing,
                proofs=proofs,
                sign_in=sign_in,
                own_account=OwnAccount(store, proofs),
                oidc=Oidc(store, names, jobs, sign_in, self.entries.values, self.settings.url),
                integrations=integrations,
                initializing=Initializing(store, self.registry, integrations, self.entries, tests),
                route_documents=RouteDocuments(store, self.registry, policy, previews),
                mappings=Mappings(store, self.registry, policy, previews),
                tests=tests,
                executions=Executions(store, self.registry, jobs),
                integration_health=IntegrationHealth(store, tests),
                activity=Activity(store, names),
                analytics=Analytics(store),
                record=trail.record,
                audit=trail,
                legal_holds=LegalHolds(store, names, policy),
                retention=Retention(store, policy),
                archives=Archives(store, self.vault, jobs),
                subject_exports=SubjectExports(store, self.vault),
                datasets=Datasets(store, self.vault, jobs),
                exports=exports,
                export_links=ExportLinks(store, exports),
                export_plans=ExportPlans(store, exports),
                webhook_subscriptions=WebhookSubscriptions(store, self.vault),
                webhook_receivers=WebhookReceivers(store, self.vault, self._listening, self.settings.url),
            )
        return self._services

    def _act(self, action: str) -> Act:
        """What the hub does by its operator's file."""
        return Act(HUB, Scope(SYSTEM), action, details={"file": str(self.settings.config)})

    async def _do(self, job: Job) -> object:
        """A job of a command on a folder without a running hub: one that touches no lane and dials nobody."""
        return await self.registry.jobs[job.kind](Context(self.store, Still(), {}, vault=self.vault), job)

    def _listening(self, organization: int, integration: str) -> Listening | None:
        """The source that takes an integration's webhooks; None while it does not run, or not in this process."""
        return None if self.supervisor is None else self.supervisor.source(organization, integration, webhook.Source)

    def _trouble(self) -> str:
        """What is wrong with the audit trail, and with sending it on."""
        return "; ".join(one.trouble for one in (self.evidence, self.feeds) if one is not None and one.trouble)

    def _status(self) -> Status | None:
        """None while the engine does not run."""
        return self.supervisor.status() if self.supervisor is not None and self._running else None

    async def _serve(self) -> None:
        services = self.services()
        services.metrics.start()
        self._local = Server(create_app(services, local=True, edge=self._edge), self.settings.data / SOCKET)
        await self._local.start()
        if self.settings.http is not None:
            self._context = None if self._tls is None else self._tls.listener()
            self.http = Server(create_app(services, local=False, edge=self._edge), self.settings.http, self._context)
            await self.http.start()

    def _keys(self, path: Path) -> Keyring:
        if path.exists():
            return Keyring.load(path)
        if (path.parent / "hub.db").exists():
            raise ConfigError(f"{path} is missing: without it nothing in {path.parent} can be read; restore it")
        keyring, self.recovery_key = Keyring.create(path)
        return keyring

    def _dialers(self, folder: Path | None) -> Dialers:
        files = self.settings.data / "files"
        files.mkdir(exist_ok=True)
        roots = [*self.settings.file_roots, *([folder] if folder else [])]
        return Dialers(files, roots, self.settings.egress, tokens=Tokens(Kept(self.store)))

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


def _tls(settings: Settings) -> Tls | None:
    """What HTTP is encrypted with. Raises ConfigError where a half of it is missing."""
    if settings.certificate is None and settings.key is None:
        return None
    if settings.certificate is None or settings.key is None:
        raise ConfigError("a certificate and its key belong together", where="http")
    return Tls(certificate=str(settings.certificate), key=str(settings.key))


async def run_until(stop: asyncio.Event, hub: Hub, started: Callable[[Hub], None] | None = None) -> None:
    """Run a hub that is open until `stop` is set, then drain it. `started` is called once it runs."""
    try:
        await hub.run()
        if started is not None:
            started(hub)
        _settle_collector()
        await stop.wait()
    finally:
        await hub.close()


def _settle_collector() -> None:
    """What the start made stays; looking through it again and again cost a tenth of the throughput."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
