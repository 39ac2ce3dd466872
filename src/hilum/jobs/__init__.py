"""One job a file: `async def run(context, job)` returns the result. The engine finds them and knows none by name."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, Self

from hilum.model.configuration import Endpoint
from hilum.model.delivery import DeliveryState
from hilum.outbound.tokens import Token
from hilum.sdk.contracts import Call, Deposit, Dialer, ProbeResult, Reply
from hilum.sdk.outcome import Deposited
from hilum.security.envelope import Sealing
from hilum.security.references import Entries
from hilum.security.verdict import Verdict
from hilum.store import Connection, Store
from hilum.store.integrations import Row
from hilum.store.legal_holds import Holds

AWAITED = frozenset({"execute", "probe", "consent_begin", "consent_give", "consent_revoke"})
"""Kinds that somebody waits for: they run at once, beside each other. Who inserts one signals `awaited`, not `job`."""


class LaneControl(Protocol):
    """What a job may do to the lanes of a destination."""

    reference: str

    def retry_now(self) -> None: ...

    def skip(self, delivery: int, reason: str, state: DeliveryState = ...) -> bool: ...


class Flusher(Protocol):
    """Waits until results are in their rows."""

    def flush(self) -> Awaitable[None]: ...


class Still:
    """A Flusher where no lane runs."""

    async def flush(self) -> None: ...


class Trails(Protocol):
    """Keeps the chains of the audit trail."""

    async def check(self) -> list[Verdict]:
        """Judge each by its checkpoint file; what was found is recorded."""
        ...

    async def purge(self, number: int, cutoff: int, holds: Holds | None) -> int:
        """Remove an organization's events of before `cutoff` behind a signed start; how many.

        Raises Conflict where `holds` (None: nobody can hold there) no longer stand when they go.
        """
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class At:
    """An endpoint of an integration (its number) at a version of that: what a partner is found by."""

    organization: int
    integration: int
    endpoint: str
    version: int
    managed_by: str

    @classmethod
    def of(cls, one: Row, endpoint: str) -> Self:
        return cls(one.organization, one.id, endpoint, one.version, one.managed_by)


class Consenting(Protocol):
    """What a partner's endpoint does by a person's consent, at an authorization server."""

    @property
    def grant(self) -> str:
        """What its tokens are kept under."""

    def place(self, state: str, verifier: str, redirect: str) -> str:
        """Where the person goes (RFC 6749, 4.1.1). Raises ConfigError where they would not come back to `redirect`."""
        ...

    def from_here(self, issuer: str) -> bool:
        """Is this the server that they were sent to (RFC 9207)?"""
        ...

    async def give(self, code: str, verifier: str, redirect: str) -> Token:
        """Take up what they consented to. Raises Failed, ConfigError, StoreError."""
        ...

    async def give_back(self, token: Token) -> str:
        """Tell the server (RFC 7009): revoked, unknown (it has no such address), or why that failed."""
        ...


class Partner(Protocol):
    """The other end of an outbound endpoint, asked past its lane."""

    endpoint: Endpoint
    method: str | None  # upper case; None: its protocol has none

    async def ask(self, call: Call, patience: float) -> Reply:
        """Ask once, within the partner's rate limit; `patience`: seconds that may be waited for that. Raises Failed."""
        ...

    def consenting(self) -> Consenting:
        """Raises ConfigError where its authentication is no person's."""
        ...

    async def sign_in(self) -> None:
        """Have a token, where its authentication works with one. Raises Failed, ConfigError, StoreError."""
        ...

    async def probe(self) -> ProbeResult:
        """Test it without touching anything there. Raises HilumError, OSError."""
        ...

    async def deposit(self, deposit: Deposit, pieces: AsyncIterator[bytes]) -> Deposited:
        """Hand a whole file over, once. Raises ConfigError where its connector takes none; what `pieces` raises."""
        ...

    def outgoing(self, body: bytes) -> bytes:
        """Through the endpoint's `data_mapping`. Raises ConfigError, StepError."""
        ...

    def incoming(self, body: bytes) -> bytes | None:
        """An answer through `response_mapping`, None where there is none. Raises ConfigError, StepError."""
        ...


class Partners(Protocol):
    """Finds partners, whatever their integration's lifecycle; connections are kept from one job to the next."""

    def open(self, at: At) -> AbstractAsyncContextManager[Partner]:
        """The partner of an endpoint. Raises ConfigError where it cannot be set up, StoreError."""
        ...

    async def forget(self, organization: int, grant: str) -> Token | None:
        """Drop what somebody consented to; what there was of it. Raises StoreError."""
        ...

    async def silent(self, one: Row, endpoint: str) -> str:
        """Why an inbound endpoint does not listen that should; empty: it does."""
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class Ending:
    """A job's result, and what is written in one transaction with it. For those of AWAITED alone."""

    result: dict[str, Any]
    write: Callable[[Connection], object] | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Context:
    """What a job works with. `vault` None: there are no secrets; `trails`: nothing seals; `dialer`: nothing dials."""

    store: Store
    recorder: Flusher
    lanes: Mapping[int, LaneControl]
    vault: Sealing | None = None
    trails: Trails | None = None
    dialer: Dialer | None = None
    partners: Partners | None = None
    entries: Entries | None = None
