"""The contracts a plug-in implements (Source, Destination, Depositor, Probe, Step, Job) and is given (Inbox, Dialer).

A connector file holds, in this order: a docstring whose first line is its catalogue text, `class Config`,
then its Source, Destination, Depositor and Probe. The engine owns retries, lanes, secrets, logs, metrics and audit.
"""

from __future__ import annotations

import abc
import asyncio
import dataclasses
import re
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from hilum.errors import ConfigError, StepError
from hilum.formats import hl7v2
from hilum.formats.json_document import JsonDocument
from hilum.model.message import Ack, Disposition
from hilum.sdk.authentication import Kind
from hilum.sdk.config import Config
from hilum.sdk.faults import Fault, Timings
from hilum.sdk.outcome import Deposited, Outcome
from hilum.sdk.trace import Trace

C = TypeVar("C", bound=Config)
_LONGEST_NAME = 200  # bytes: room for a number, and for the name of an unfinished file
_NAME = re.compile(r"[^./\\][^/\\]*")


@dataclasses.dataclass(slots=True)  # not frozen: made for each message, and three times as dear
class Receipt:
    """What the inbox answers once a message is on disk (or was recognised as a duplicate of one that is).

    `code` is AA, AE or AR (table 0008, original mode). `delivered` matters only where the source asked to wait
    for delivery: None means still pending.
    """

    uuid: str
    code: Ack
    disposition: Disposition
    duplicate: bool = False
    delivered: bool | None = None
    note: str = ""
    errors: tuple[hl7v2.AckError, ...] = ()
    message: hl7v2.Message | None = None  # what was received, where it was read; nobody changes it


class Inbox(Protocol):
    """Where a Source hands over what it received. Every call stores; nothing is dropped."""

    def receive(
        self, body: bytes, attributes: Mapping[str, str] | None = None, *, wait: float | None = None
    ) -> asyncio.Future[Receipt]:
        """Store `body`, route it, resolve after the commit; with `wait` (seconds) after delivery or that time.

        Fails with StoreError if nothing was stored. `seen` knows it again by `attributes["identity"]` and ["digest"].
        """
        ...

    async def seen(self, identity: str) -> bool:
        """Was something received under this identity, such as a file's name, size and hash?"""
        ...

    def reject(self, body: bytes, reason: str, attributes: Mapping[str, str] | None = None) -> asyncio.Future[Receipt]:
        """Store what cannot be taken (oversized, unreadable) with disposition error, so that it is not silent."""
        ...


class Dialer(Protocol):
    """The only way out. It applies the egress decision to the address that is really connected to."""

    async def connect(
        self,
        protocol: Callable[[], asyncio.Protocol],
        host: str,
        port: int,
        *,
        tls: ssl.SSLContext | None = None,
        timeout: float = 10.0,  # noqa: ASYNC109 - part of the contract: connecting has its own limit
        server_name: str | None = None,
    ) -> tuple[asyncio.Transport, asyncio.Protocol]:
        """Open a TCP connection. Raises OSError (unreachable, refused, TLS) or hilum.errors.Refused (policy)."""
        ...

    def transport(self, *, tls: ssl.SSLContext | None = None, authentication: Kind | None = None) -> Any:
        """An `httpx.AsyncBaseTransport` whose connections are opened by this dialer.

        Its requests show who we are; tokens that this takes are got, kept and renewed. `tls` is the caller's no more:
        a certificate of ours is put into it. Raises ConfigError where the authentication cannot work.
        """
        ...

    def directory(self, path: str) -> Path:
        """The folder itself, if it is inside an allowed root. Raises hilum.errors.Refused."""
        ...


@dataclasses.dataclass(slots=True)  # see Receipt
class Outbound:
    """One message for one destination. The same delivery has the same `id` and `body` on every attempt."""

    id: str  # stable: travels along so that the partner can recognise a repeat
    body: bytes
    delivery: int = 0  # the hub's own number of the delivery, for `Destination.late`
    attempt: int = 1
    attributes: Mapping[str, str] = dataclasses.field(default_factory=dict)


class Source(abc.ABC, Generic[C]):
    """Receives or polls. `start` returns once it listens; an OSError leaves the endpoint unhealthy and retried."""

    def __init__(self, config: C, inbox: Inbox, dialer: Dialer) -> None:
        self.config = config
        self.inbox = inbox
        self.dialer = dialer

    @abc.abstractmethod
    async def start(self) -> None: ...

    @abc.abstractmethod
    async def stop(self) -> None:
        """Take nothing new, answer what was taken, close."""

    @abc.abstractmethod
    def pause(self) -> None:
        """Read no more for now; connections stay open (back-pressure)."""

    @abc.abstractmethod
    def resume(self) -> None: ...


class Destination(abc.ABC, Generic[C]):
    """Sends. Called by one lane at a time unless the lane allows concurrency.

    `late` is set by the engine: a destination whose partner commits first and judges later (enhanced mode)
    tells it (delivery, why) if the judgement on a delivered message is negative or does not come.
    """

    late: Callable[[int, str], None] | None = None

    def __init__(self, config: C, dialer: Dialer) -> None:
        self.config = config
        self.dialer = dialer

    @abc.abstractmethod
    async def send(self, outbound: Outbound) -> Outcome:
        """Send once. Never retries, never raises for what the partner or the network does."""

    async def close(self) -> None:
        """Close what is held open."""


@dataclasses.dataclass(frozen=True, slots=True)
class Deposit:
    """A file of any size for one partner. The same deposit has the same `id` and content on every attempt."""

    id: str  # stable: travels along so that the partner can recognise a repeat
    name: str  # what it is to be called there: one name, no folders
    size: int  # bytes
    sha256: bytes  # of the content
    media_type: str = "application/octet-stream"

    def __post_init__(self) -> None:
        """Raises ConfigError where this can be no file's name: it must not lead anywhere else, nor be hidden."""
        long = len(self.name.encode(errors="surrogatepass")) > _LONGEST_NAME
        if long or not self.name.isprintable() or self.name.strip(" ") != self.name or not _NAME.fullmatch(self.name):
            raise ConfigError("a file's name has no slashes, begins with no dot and is 200 bytes long at most")


class Depositor(abc.ABC, Generic[C]):
    """Hands over whole files, for exports: what is under the final name is all of it, or it is not there."""

    def __init__(self, config: C, dialer: Dialer) -> None:
        self.config = config
        self.dialer = dialer

    @abc.abstractmethod
    async def deposit(self, deposit: Deposit, pieces: AsyncIterator[bytes]) -> Deposited:
        """Take the pieces as fast as the partner does, and try once; never raises for what that or the network does.

        `hilum.sdk.deposits.blocks` sees to it that size and hash are right before the end is sent: Permanent where
        they are not. What `pieces` raises comes through. The Config's time-out is one step's, not the whole file's.
        """

    async def close(self) -> None:
        """Close what is held open."""


@dataclasses.dataclass(frozen=True, slots=True)
class ProbeResult:
    """What a safe connectivity test found. `advice` says what a person should do about a failure.

    `status` is the protocol's own code, such as HTTP's, where the partner gave one; `tls` what was negotiated, as
    ssl names it (TLSv1.3), None where nothing was; `trace` what went over HTTP.
    """

    reachable: bool
    milliseconds: float
    detail: str = ""
    advice: str = ""
    fault: Fault | None = None
    status: int | None = None
    timings: Timings | None = None
    tls: str | None = dataclasses.field(default=None, kw_only=True)
    trace: Trace | None = None


class Probe(abc.ABC, Generic[C]):
    """A connectivity test without side effects at the partner: never the endpoint's own unsafe method."""

    def __init__(self, config: C, dialer: Dialer) -> None:
        self.config = config
        self.dialer = dialer

    @abc.abstractmethod
    async def probe(self) -> ProbeResult: ...


@dataclasses.dataclass(frozen=True, slots=True)
class Call:
    """One request that somebody makes through the API. Headers and parameters add to the endpoint's own."""

    body: bytes
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    parameters: Mapping[str, str] = dataclasses.field(default_factory=dict)
    timeout: int | None = None  # milliseconds; None: the endpoint's
    idempotency_key: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Reply:
    """What the partner answered. `status` and `reason` are HTTP's; other protocols give 200 for what was taken.

    `tls`: see ProbeResult.
    """

    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes
    timings: Timings
    truncated: bool = False  # the body was larger than what is kept
    tls: str | None = dataclasses.field(default=None, kw_only=True)
    trace: Trace | None = None


class Exchange(abc.ABC, Generic[C]):
    """Asks and waits for the answer itself, once. A connector without one is asked through its Destination."""

    def __init__(self, config: C, dialer: Dialer) -> None:
        self.config = config
        self.dialer = dialer

    @abc.abstractmethod
    async def exchange(self, call: Call) -> Reply:
        """Whatever the partner answers is a Reply. Raises Failed where there was no answer."""

    async def close(self) -> None:
        """Close what is held open."""


@dataclasses.dataclass(frozen=True, slots=True)
class Connector:
    """What a connector module declares as `connector`: its schemes and its parts (None: it has none)."""

    schemes: tuple[str, ...]
    config: type[Config]
    source: type[Source[Any]] | None = None
    destination: type[Destination[Any]] | None = None
    probe: type[Probe[Any]] | None = None
    exchange: type[Exchange[Any]] | None = None
    depositor: type[Depositor[Any]] | None = None
    format: str = "bytes"  # what its payloads are unless the endpoint says otherwise: hl7v2, bytes …
    plain: tuple[str, ...] = ()  # those of its schemes that do not encrypt
    extra: str | None = None  # the optional extra of the hilum package that it needs


class Work:
    """One message on its way through the steps: bytes, and their parsed form once a step touches it."""

    __slots__ = ("_body", "_message", "attributes", "format")

    def __init__(
        self,
        body: bytes,
        format: str = "hl7v2",
        attributes: Mapping[str, str] | None = None,
        message: hl7v2.Message | None = None,
    ) -> None:
        """`message` is `body` parsed, where someone has done that already; it is this work's to change."""
        self._body: bytes | None = body
        self._message: hl7v2.Message | JsonDocument | None = message
        self.format = format
        self.attributes = dict(attributes) if attributes else {}

    @property
    def body(self) -> bytes:
        """The payload as it stands now."""
        if self._body is None:
            self._body = bytes(self._message)  # type: ignore[arg-type]  # one of the two is always set
        return self._body

    @property
    def message(self) -> hl7v2.Message:
        """The HL7 v2 message, parsed at first touch. Raises FormatError."""
        if not isinstance(self._message, hl7v2.Message):
            self._message = hl7v2.Message.parse(self.body)
        return self._message

    @property
    def json(self) -> JsonDocument:
        """The JSON document, parsed at first touch; who changes it says so with `become`. Raises FormatError."""
        if not isinstance(self._message, JsonDocument):
            self._message = JsonDocument.parse(self.body)
        return self._message

    def document(self, format: str) -> Any:
        """The message parsed: a JsonDocument where `format` is json, else an HL7 v2 message. Raises FormatError."""
        return self.json if format == "json" else self.message

    def edit(self) -> hl7v2.Message:
        """The message, about to be changed: the bytes are made anew when they are asked for."""
        message = self.message
        self._body = None
        return message

    def replace(self, body: bytes) -> None:
        """Go on with another payload."""
        self._body, self._message = body, None

    def become(self, document: hl7v2.Message | JsonDocument, format: str) -> None:
        """Go on with this document as the payload. Raises ValueError where it cannot be written."""
        self._body, self._message, self.format = bytes(document), document, format

    def copy(self) -> Work:
        return Work(self.body, self.format, self.attributes)


@dataclasses.dataclass(frozen=True, slots=True)
class Turned:
    """A step ends the message's way here: `filtered` by choice, or in `review` for a person."""

    disposition: Disposition
    reason: str


Result = Work | list[Work] | Turned


class Rejected(StepError):
    """A step refuses the message; `errors` go into the ERR segments of the answer."""

    def __init__(self, reason: str, errors: tuple[hl7v2.AckError, ...] = ()) -> None:
        self.errors = errors
        super().__init__(reason)


@dataclasses.dataclass(frozen=True, slots=True)
class Tried:
    """A stored example that was run. `problems`: what it expects and does not find; none: it passed."""

    input: str
    expected: Any
    found: Any  # written as `expected` is; None where nothing was made
    problems: tuple[str, ...]


def _no_mapping(name: str) -> Mapping[str, Any]:
    raise ConfigError(f"there is no mapping {name}")


@dataclasses.dataclass(frozen=True, slots=True)
class StepContext:
    """What a step may know when it is compiled."""

    timezone: str  # the source endpoint's zone
    where: str  # the step's place in the document, for error messages: routes[0].steps[1].map
    read: Callable[[str], str]  # a table, profile or script by its name in the operator's folder; raises ConfigError
    mapping: Callable[[str], Mapping[str, Any]] = _no_mapping  # a stored mapping, NAME or NAME@3; raises ConfigError
    format: str = "hl7v2"  # what its messages are: hl7v2, json, bytes …; empty: that is not known


class Step(abc.ABC, Generic[C]):
    """One verb on a message. Compiled once (`__init__`, raises ConfigError), then called for every message.

    `reads` and `makes` are the formats of its messages before and after; `hl7v2_only` steps are refused others.
    """

    Config: ClassVar[type[Config]]
    deterministic: ClassVar[bool] = True  # False: what it makes is stored, since it cannot be made again
    hl7v2_only: ClassVar[bool] = False

    def __init__(self, config: C, context: StepContext) -> None:
        if self.hl7v2_only and context.format == "json":
            raise ConfigError("works on HL7 v2 alone, and its messages are JSON here", where=context.where)
        self.config = config
        self.context = context
        self.reads = self.makes = context.format or "hl7v2"

    @abc.abstractmethod
    def run(self, work: Work) -> Result:
        """Change `work` and return it, return several, or turn it away. Raises StepError."""

    def tried(self) -> list[Tried]:
        """Run the step's stored examples."""
        return []

    def examples(self) -> list[str]:
        """Run the step's stored examples; a line for all that one expects and does not find."""
        return [f"examples[{number}]: {line}" for number, one in enumerate(self.tried()) for line in one.problems]
