"""Partners of outbound endpoints that are asked past their lanes: executions and connectivity tests.

One is set up when it is first asked for, from the rows as they stand, and set up anew once the configuration or a
secret that it uses was changed. Its connections are its own; the partner's rate limit it shares with the lane.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from hilum import clock
from hilum.engine.consenting import Consenting
from hilum.engine.lanes import Lanes
from hilum.engine.setup import Setup
from hilum.engine.supervisor import Supervisor
from hilum.errors import ConfigError
from hilum.jobs import At
from hilum.model.configuration import Endpoint
from hilum.model.identifier import new
from hilum.model.lifecycle import RUNS
from hilum.outbound.breaker import Breaker
from hilum.outbound.dialer import Dialer
from hilum.outbound.limiter import Limiter
from hilum.outbound.tokens import Token
from hilum.pipeline.mapping import compile_mapping, form_of
from hilum.sdk.authentication import OAuth2
from hilum.sdk.contracts import (
    Call,
    Connector,
    Deposit,
    Depositor,
    Destination,
    Exchange,
    Outbound,
    ProbeResult,
    Reply,
)
from hilum.sdk.faults import Failed, Fault, Timings
from hilum.sdk.outcome import Ambiguous, Delivered, Deposited, Outcome, Permanent, Placed, Transient
from hilum.security.references import Entries, Secrets, missing, vault_names
from hilum.store import Connection, Store, endpoints, integrations, mappings, organizations, vault
from hilum.store.integrations import Row

_KEPT = 512  # partners that are kept open
_NO_ROOM = "the endpoint's own rate limit leaves no room in time"
_LOOKS = 20  # at a source that is about to start
_OURS = frozenset({Fault.RATE_LIMITED, Fault.CONFIGURATION, Fault.BLOCKED_BY_POLICY, Fault.CONSENT})
"""Faults that say nothing of whether the partner is there."""


class Partner:
    """The other end of one endpoint. `users` are those who ask it right now."""

    def __init__(
        self, number: int, endpoint: Endpoint, connector: Connector, config: Any, dialer: Dialer, setup: Setup,
        shared: Callable[[], Limiter | None],
    ) -> None:  # fmt: skip
        """`shared`: the limiter of the endpoint's lane, where there is one."""
        self.number, self.endpoint, self.config = number, endpoint, config
        method = getattr(config, "method", None)
        self.method = str(method).upper() if method else None
        self.breaker = Breaker(endpoint.breaker)
        self.users, self.gone = 0, False
        self._connector, self._dialer, self._registry = connector, dialer, setup.registry
        self._shared = shared
        self._own = Limiter(endpoint.rate_limit) if endpoint.rate_limit else None
        self._mappings: dict[str, Callable[[bytes], bytes]] = {}
        self._exchange: Exchange[Any] | None = None
        self._destination: Destination[Any] | None = None
        self._depositor: Depositor[Any] | None = None
        self._fault = Fault.REFUSED  # the last one that the breaker counted

    async def ask(self, call: Call, patience: float) -> Reply:
        """Raises Failed, also where nobody is asked: the breaker is open, or the rate limit leaves no room in time."""
        if pause := self.breaker.wait():
            text = f"it failed {self.breaker.failures} times in a row and is left alone for {pause:.1f} s"
            raise Failed(text, self._fault, Timings(0.0))
        limiter = self._shared() or self._own
        if limiter is None:
            return await self._judged(call)
        until = clock.monotonic() + patience
        if not await limiter.enter(patience):
            raise Failed(_NO_ROOM, Fault.RATE_LIMITED, Timings(0.0))
        try:
            if pause := limiter.wait():
                if clock.monotonic() + pause > until:
                    limiter.give_back()
                    raise Failed(_NO_ROOM, Fault.RATE_LIMITED, Timings(0.0))
                await asyncio.sleep(pause)
            return await self._judged(call)
        finally:
            limiter.leave()

    async def _judged(self, call: Call) -> Reply:
        """What became of it, told to the breaker."""
        try:
            reply = await self._asked(call)
        except Failed as error:
            if error.fault not in _OURS:
                self._fault = error.fault
                self.breaker.failure()
            raise
        self.breaker.success()
        return reply

    def consenting(self) -> Consenting:
        """Raises ConfigError where its authentication is no person's."""
        return Consenting(self.config, self._dialer, self.endpoint.name)

    async def sign_in(self) -> None:
        authentication, sender = getattr(self.config, "authentication", None), getattr(self.config, "sender", None)
        if isinstance(authentication, OAuth2):
            await self._dialer.sign_in(authentication, tls=sender() if callable(sender) else None)

    async def probe(self) -> ProbeResult:
        """Raises ConfigError where its connector knows no test; whatever a plug-in raises."""
        if self._connector.probe is None:
            raise ConfigError(f"{self.endpoint.scheme} has no connectivity test", where=self.endpoint.name)
        found = await self._connector.probe(self.config, self._dialer).probe()
        if found.reachable:
            self.breaker.success()
        return found

    async def deposit(self, deposit: Deposit, pieces: AsyncIterator[bytes]) -> Deposited:
        """Try once. Raises ConfigError where its connector takes no files; what `pieces` raises."""
        if self._connector.depositor is None:
            raise ConfigError(f"{self.endpoint.scheme} takes no files", where=self.endpoint.name)
        if self._depositor is None:
            self._depositor = self._connector.depositor(self.config, self._dialer)
        done = await self._depositor.deposit(deposit, pieces)
        if isinstance(done, Placed):
            self.breaker.success()
        return done

    def outgoing(self, body: bytes) -> bytes:
        """Raises ConfigError, StepError."""
        made = self._mapped("data_mapping", body)
        return body if made is None else made

    def incoming(self, body: bytes) -> bytes | None:
        """Raises ConfigError, StepError."""
        return self._mapped("response_mapping", body)

    async def close(self) -> None:
        for part in (self._exchange, self._destination, self._depositor):
            if part is not None:
                await part.close()
        self._exchange = self._destination = self._depositor = None

    def _mapped(self, key: str, body: bytes) -> bytes | None:
        document = getattr(self.endpoint, key)
        if document is None:
            return None
        compiled = self._mappings.get(key)
        if compiled is None:
            compiled = self._mappings[key] = compile_mapping(
                document, registry=self._registry, format=form_of(self.endpoint, self._connector),
                timezone=self.endpoint.timezone, where=f"{self.endpoint.name}.{key}", answers=key == "response_mapping",
            )  # fmt: skip
        return compiled(body)

    async def _asked(self, call: Call) -> Reply:
        if self._connector.exchange is not None:
            if self._exchange is None:
                self._exchange = self._connector.exchange(self.config, self._dialer)
            return await self._exchange.exchange(call)
        if self._connector.destination is None:
            raise Failed(f"{self.endpoint.scheme} cannot be asked", Fault.CONFIGURATION, Timings(0.0))
        if self._destination is None:
            self._destination = self._connector.destination(self.config, self._dialer)
        return await self._sent(self._destination, call)

    async def _sent(self, destination: Destination[Any], call: Call) -> Reply:
        """The outcome of a send as an answer: 200 where it was taken, 500 and 400 as our listeners say AE and AR."""
        limit = (call.timeout or self.endpoint.timeout) / 1000
        at = clock.monotonic()
        outbound = Outbound(call.idempotency_key or str(new(clock.micros())), call.body)
        outcome: Outcome
        try:
            async with asyncio.timeout(limit):
                outcome = await destination.send(outbound)
        except TimeoutError:
            outcome = Ambiguous(f"no answer within {limit:g} s")
        took = clock.monotonic() - at
        timings = Timings(took * 1000)
        match outcome:
            case Delivered():
                return Reply(200, outcome.detail, {}, outcome.response, timings)
            case Permanent():
                return Reply(400, outcome.detail, {}, b"", timings)
            case Transient(answered=True):
                after = {} if outcome.retry_after is None else {"retry-after": f"{outcome.retry_after:.0f}"}
                return Reply(500, outcome.detail, after, b"", timings)
            case Transient():
                raise Failed(outcome.detail, Fault.REFUSED, timings)
            case Ambiguous():
                fault = Fault.TIMEOUT if took >= limit * 0.95 else Fault.PROTOCOL
                raise Failed(outcome.detail, fault, timings, sent=True)


@dataclasses.dataclass(slots=True)
class _Known:
    """A partner, and what it was set up from."""

    partner: Partner
    version: int
    doubt: int
    standing: tuple[int, ...] | None  # of the vault; None: it uses nothing of it
    managed_by: str


class Partners:
    """All of them, by integration and endpoint."""

    def __init__(self, store: Store, supervisor: Supervisor) -> None:
        self._store = store
        self._setup: Setup = supervisor.setup
        self._entries: Entries | None = supervisor.entries
        self._lanes: Mapping[int, Lanes] = supervisor.lanes
        self._sources = supervisor.sources
        self._known: OrderedDict[tuple[int, str], _Known] = OrderedDict()
        self._names: dict[int, str] = {}
        self._doubt = 0  # counted up when files, variables or rows may say something else
        self._lock = asyncio.Lock()
        self._forget = store.subscribe("configuration", self._look_again)

    async def close(self) -> None:
        """Whoever still asks ends on its own."""
        self._forget()
        while self._known:
            await self._drop(self._known.popitem()[1].partner)

    @contextlib.asynccontextmanager
    async def open(self, at: At) -> AsyncIterator[Partner]:
        """Raises ConfigError, StoreError."""
        partner = await self._current(at)
        partner.users += 1
        try:
            yield partner
        finally:
            partner.users -= 1
            if partner.gone and not partner.users:
                await partner.close()

    async def forget(self, organization: int, grant: str) -> Token | None:
        owner = await self._store.read(organizations.get, organization)
        return await self._setup.dialers.organization(owner.name).forget(grant)

    async def silent(self, one: Row, endpoint: str) -> str:
        """A source that was configured just now gets the time to start."""
        reference = f"{one.name}/{endpoint}"
        if one.lifecycle not in RUNS:
            return ""
        for _ in range(_LOOKS):
            for source in list(self._sources.values()):
                if source.reference == reference and source.inbox.organization == one.organization:
                    return source.problem
            await asyncio.sleep(0.1)
        return "it does not listen"

    async def _current(self, at: At) -> Partner:
        key = (at.integration, at.endpoint)
        known = self._known.get(key)
        if known is None or not await self._holds(known, at):
            async with self._lock:
                known = self._known.get(key)
                if known is None or not await self._holds(known, at):
                    known = await self._renewed(known, at)
        self._known[key] = known
        self._known.move_to_end(key)
        while len(self._known) > _KEPT:
            await self._drop(self._known.popitem(last=False)[1].partner)
        return known.partner

    async def _holds(self, known: _Known, at: At) -> bool:
        if (known.version, known.doubt, known.managed_by) != (at.version, self._doubt, at.managed_by):
            return False
        return known.standing is None or known.standing == await self._store.read_small(vault.standing)

    async def _renewed(self, known: _Known | None, at: At) -> _Known:
        """Set up from what stands now; where that comes to the same, the old one and its connections stay."""
        one, name = await self._store.within(at.organization).read(integrations.get, at.integration), at.endpoint
        endpoint = next((each for each in one.model.endpoints if each.name == name), None)
        if endpoint is None:
            raise ConfigError(f"{one.name} has no endpoint {name}")
        endpoint = await self._store.within(one.organization).read(mappings.inlined, one.organization, endpoint)
        doubt, standing, secrets = self._doubt, *await self._secrets(one)
        owner, number = await self._store.within(one.organization).read(self._read, one, name)
        connector, config, dialer = self._setup.of(owner, one.managed_by, one.name, endpoint, secrets)
        same = known is not None and known.managed_by == one.managed_by
        if known is not None and same and (known.partner.endpoint, known.partner.config) == (endpoint, config):
            return dataclasses.replace(known, version=one.version, doubt=doubt, standing=standing)

        def shared() -> Limiter | None:
            lanes = self._lanes.get(number)
            return None if lanes is None else lanes.limiter

        made = Partner(number, endpoint, connector, config, dialer, self._setup, shared)
        if known is not None:
            await self._drop(known.partner)
        return _Known(made, one.version, doubt, standing, one.managed_by)

    async def _secrets(self, one: Row) -> tuple[tuple[int, ...] | None, Secrets]:
        """How the vault stands, and what it has for an integration."""
        names = vault_names(one.document)
        if not names or self._entries is None:
            return None, _nothing
        standing = await self._store.read(vault.standing)
        values = await self._entries.values(one.organization, one.study, names)

        def look(name: str) -> str:
            if name not in values:
                raise ConfigError(missing(name, values))
            return values[name]

        return standing, look

    def _read(self, connection: Connection, one: Row, name: str) -> tuple[str, int]:
        """What the organization is called, and the endpoint's number."""
        owner = self._names.get(one.organization)
        if owner is None:
            owner = self._names[one.organization] = organizations.get(connection, one.organization).name
        reference = f"{one.name}/{name}"
        found = endpoints.numbers(connection, one.organization, [reference])
        if reference not in found:
            raise ConfigError(f"there is no endpoint {reference} any more")
        return owner, found[reference]

    def _look_again(self) -> None:
        self._doubt += 1

    async def _drop(self, partner: Partner) -> None:
        partner.gone = True
        if not partner.users:
            await partner.close()


def _nothing(name: str) -> str:
    raise ConfigError("the vault is not open here")
