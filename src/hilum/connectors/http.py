"""HTTP: messages posted to a partner, and a listener that takes what partners post.

Out: one POST a delivery with the delivery's id as Idempotency-Key; redirects are not followed, cookies not
kept. In: a listener that answers after the commit, with id and disposition or, for HL7 v2 over HTTP, with
the acknowledgment itself (`answer: ack`): 200 for AA, 500 for AE, 400 for AR.
"""

from __future__ import annotations

import asyncio
import contextlib
import email.utils
import hmac
import http.cookiejar
import ipaddress
import json
import os
import re
import socket
import ssl
import urllib.parse
from collections.abc import AsyncIterator
from typing import Literal

import httpx
from pydantic import Field, field_validator, model_validator

from hilum import clock
from hilum.errors import ConfigError, FormatError, Refused, StoreError
from hilum.formats import hl7v2
from hilum.model.message import Ack
from hilum.sdk import config, contracts
from hilum.sdk.contracts import Connector, Dialer, Inbox, Outbound, ProbeResult, Receipt
from hilum.sdk.http import Answer, Limits, Listener, Refusal, Request
from hilum.sdk.outcome import Ambiguous, Delivered, Outcome, Permanent, Transient
from hilum.sdk.tls import Tls

PART = 65_536  # bytes of a partner's answer that are kept

_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_VALUE = re.compile(r"(?! )[\x20-\x7e]{0,4000}(?<! )")
_OURS = frozenset({
    "connection", "content-length", "content-type", "expect", "host", "idempotency-key", "keep-alive",
    "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
})  # fmt: skip
_STATUS = {Ack.AA: 200, Ack.CA: 200, Ack.AE: 500, Ack.CE: 500, Ack.AR: 400, Ack.CR: 400}
_HL7 = "application/hl7-v2"


class Config(config.Config):
    """Where to post, or what to listen on."""

    url: str = Field(
        ..., description="Where to post to, or the address and path to listen on: http(s)://host:port/path."
    )
    timeout: int = Field(
        30_000,
        ge=100,
        le=300_000,
        description="Milliseconds for a whole request: connecting, sending, the answer.",
    )
    format: Literal["hl7v2", "bytes"] = Field("hl7v2", description="What the bodies are.")
    tls: Tls | None = Field(None, description="Certificates for https; none: the system's authorities are trusted.")
    headers: dict[str, str] = Field({}, max_length=50, repr=False, description="Out: headers to send, credentials too.")
    content_type: str | None = Field(
        None, pattern=r"^[\x20-\x7e]{1,200}$", description=f"Out: Content-Type; by default {_HL7} or octets."
    )
    answer: Literal["json", "ack"] = Field(
        "json", description="In: answer with id and disposition, or with an HL7 ACK."
    )
    token: str | None = Field(
        None, min_length=16, repr=False, description="In: the bearer token that partners must show."
    )
    allow: list[str] = Field([], max_length=1_000, description="In: networks that may connect, as CIDR; none: all may.")
    max_bytes: int = Field(16 << 20, ge=1, le=1 << 30, description="In: the largest body; others are answered 413.")
    max_connections: int = Field(200, ge=1, le=10_000, description="In: connections at a time.")
    idle_timeout: int = Field(
        60_000, ge=100, le=3_600_000, description="In: milliseconds that an idle connection is kept."
    )

    @field_validator("url")
    @classmethod
    def _is_an_address(cls, url: str) -> str:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.fragment:
            raise ValueError("must be written http(s)://host:port/path")
        if parts.username is not None or parts.password is not None:
            raise ValueError("must hold no credentials: use headers, and a reference to a secret")
        _ = parts.port  # raises ValueError beyond 65535
        return url

    @field_validator("headers")
    @classmethod
    def _can_be_sent(cls, headers: dict[str, str]) -> dict[str, str]:
        for name, value in headers.items():
            if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
                raise ValueError(f"{name!r} and its value are no header")
            if name.lower() in _OURS:
                raise ValueError(f"{name} is set by the hub")
        return headers

    @field_validator("allow")
    @classmethod
    def _are_networks(cls, networks: list[str]) -> list[str]:
        for network in networks:
            ipaddress.ip_network(network)
        return networks

    @model_validator(mode="after")
    def _tls_belongs_to_https(self) -> Config:
        if self.tls and not self.secure:
            raise ValueError("tls needs an https URL")
        return self

    @property
    def secure(self) -> bool:
        return self.url.lower().startswith("https:")

    @property
    def address(self) -> tuple[str, int]:
        parts = urllib.parse.urlsplit(self.url)
        return parts.hostname or "", (443 if self.secure else 80) if parts.port is None else parts.port

    def sender(self) -> ssl.SSLContext | None:
        """Raises ConfigError where a certificate cannot be loaded."""
        return (self.tls or Tls()).sender() if self.secure else None


class Source(contracts.Source[Config]):
    """Listens, and answers what it takes after the commit."""

    def __init__(self, config: Config, inbox: Inbox, dialer: Dialer) -> None:
        super().__init__(config, inbox, dialer)
        self._path = urllib.parse.urlsplit(config.url).path or "/"
        limits = Limits(
            config.max_bytes,
            config.max_connections,
            config.idle_timeout / 1000,
            config.timeout / 1000,
            tuple(config.allow),
        )
        self._listener = Listener(self, limits)

    async def start(self) -> None:
        """Raises OSError where the address is taken, ConfigError where the certificate cannot be loaded."""
        tls = (self.config.tls or Tls()).listener() if self.config.secure else None
        await self._listener.start(*self.config.address, tls)

    async def stop(self) -> None:
        await self._listener.stop()

    def pause(self) -> None:
        self._listener.running.clear()

    def resume(self) -> None:
        self._listener.running.set()

    def check(self, request: Request) -> None:
        shown = request.headers.get("authorization", "").encode()
        if self.config.token and not hmac.compare_digest(shown, f"Bearer {self.config.token}".encode()):
            raise Refusal(401, "the token is missing or wrong", {"www-authenticate": "Bearer"})
        if request.path != self._path:
            raise Refusal(404, "nothing listens on this path")
        if request.method != "POST":
            raise Refusal(405, "only POST is taken here", {"allow": "POST"})
        if request.headers.get("content-encoding", "identity").lower() != "identity":
            raise Refusal(415, "the body must not be compressed", {"accept-encoding": "identity"})

    async def take(self, request: Request) -> Answer:
        if not request.body:
            raise Refusal(400, "the body is empty")
        known = {"content_type": "content-type", "idempotency_key": "idempotency-key"}
        said = {name: request.headers[key][:200] for name, key in known.items() if key in request.headers}
        try:
            receipt = await asyncio.shield(self.inbox.receive(request.body, {"peer": request.peer, **said}))
        except StoreError:
            raise Refusal(503, "nothing could be stored", {"retry-after": "1"}) from None
        return self._answer(request.body, receipt)

    async def refused(self, peer: str, refusal: Refusal) -> None:
        """What was too large is stored as far as it was read, so that it is not silent."""
        if refusal.status == 413:
            with contextlib.suppress(StoreError):  # the partner is told either way
                await asyncio.shield(self.inbox.reject(refusal.body, refusal.reason, {"peer": peer}))

    def _answer(self, body: bytes, receipt: Receipt) -> Answer:
        status = _STATUS[receipt.code]
        ack = _ack(body, receipt) if self.config.answer == "ack" else None
        if ack:
            return Answer(status, ack, _HL7)
        disposition = receipt.disposition.name.lower()
        said = {"id": receipt.uuid, "disposition": disposition, "duplicate": receipt.duplicate}
        return Answer(status, json.dumps(said).encode())


class _Body(httpx.AsyncByteStream):
    """The body, which knows whether any of it was asked for: only then can the partner have taken it."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.sent = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self.sent = True
        yield self.body


class Destination(contracts.Destination[Config]):
    """Posts. Connections are kept between deliveries."""

    _client: httpx.AsyncClient | None = None

    async def send(self, outbound: Outbound) -> Outcome:
        body = _Body(outbound.body)
        try:
            async with asyncio.timeout(self.config.timeout / 1000):
                return await self._post(outbound, body)
        except (Refused, ConfigError) as error:
            return Transient(str(error))
        except (TimeoutError, httpx.TimeoutException):
            return Ambiguous("no answer in time") if body.sent else Transient("no connection in time")
        except (OSError, ssl.SSLError, httpx.HTTPError) as error:
            return Ambiguous(f"no answer: {_reason(error)}") if body.sent else Transient(_reason(error))

    async def close(self) -> None:
        client, self._client = self._client, None
        if client:
            await client.aclose()

    def _open(self) -> httpx.AsyncClient:
        if self._client is None:
            self._client = httpx.AsyncClient(
                transport=self.dialer.transport(tls=self.config.sender()),
                timeout=self.config.timeout / 1000,
                follow_redirects=False,
                trust_env=False,
                cookies=http.cookiejar.CookieJar(http.cookiejar.DefaultCookiePolicy(allowed_domains=[])),
            )
        return self._client

    async def _post(self, outbound: Outbound, body: _Body) -> Outcome:
        default = _HL7 if self.config.format == "hl7v2" else "application/octet-stream"
        headers = {
            "User-Agent": "hilum",
            "Accept-Encoding": "identity",
            **self.config.headers,
            "Content-Type": self.config.content_type or default,
            "Content-Length": str(len(outbound.body)),
            "Idempotency-Key": outbound.id,
        }
        name = self.config.tls.server_name if self.config.tls else None
        extensions = {"sni_hostname": name} if name else {}
        async with self._open().stream(
            "POST", self.config.url, content=body, headers=headers, extensions=extensions
        ) as response:
            content = bytearray()
            with contextlib.suppress(httpx.HTTPError):  # the status alone decides
                async for part in response.aiter_raw():
                    content += part
                    if len(content) >= PART:
                        break
            return _judge(response.status_code, response.headers, bytes(content[:PART]))


class Probe(contracts.Probe[Config]):
    """Connects, with TLS where the URL says so, and hangs up. No request is made."""

    async def probe(self) -> ProbeResult:
        start = clock.monotonic()
        advice = ""
        try:
            transport, _ = await self.dialer.connect(
                asyncio.Protocol,
                *self.config.address,
                tls=self.config.sender(),
                timeout=self.config.timeout / 1000,
                server_name=self.config.tls.server_name if self.config.tls else None,
            )
            transport.abort()
            detail = "connected with TLS" if self.config.secure else "connected"
        except (OSError, Refused, ConfigError) as error:
            detail, advice = _reason(error), _advice(error)
        return ProbeResult(not advice, (clock.monotonic() - start) * 1000, detail, advice)


def _judge(status: int, headers: httpx.Headers, content: bytes) -> Outcome:
    """RFC 9110: 2xx took it; 408, 425, 429 and 5xx may take it later; the rest never will.

    401 and 403 are about our credentials, not about this message, so the lane waits. An HL7
    acknowledgment in a 2xx answer has the last word.
    """
    if 200 <= status < 300:
        code = _acknowledged(content) if headers.get("content-type", "").startswith(_HL7) else None
        if code in ("AE", "CE"):
            return Transient(code, answered=True)
        return Permanent(code) if code in ("AR", "CR") else Delivered(code or str(status), content)
    if status in (401, 403):
        return Transient(f"{status}: the partner does not accept our credentials")
    if status in (408, 425, 429) or status >= 500:
        return Transient(str(status), answered=True, retry_after=_seconds(headers.get("retry-after", "")))
    return Permanent(f"{status}: redirects are not followed" if status < 400 else str(status))


def _seconds(retry_after: str) -> float | None:
    """Retry-After (RFC 9110, 10.2.3) in seconds from now; None where it says nothing."""
    if re.fullmatch(r"\d{1,9}", retry_after.strip()):
        return float(retry_after)
    try:
        until = email.utils.parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    return max(0.0, (until - clock.now()).total_seconds()) if until.tzinfo else None


def _acknowledged(content: bytes) -> str | None:
    """MSA-1 of an acknowledgment; None where it is none."""
    try:
        return str(hl7v2.Message.parse(content)["MSA-1"] or "") or None
    except FormatError:
        return None


def _ack(body: bytes, receipt: Receipt) -> bytes | None:
    """The acknowledgment; None where the message has no header that could be answered."""
    try:
        message = hl7v2.Message.parse(body)
    except FormatError:
        return None
    return message.ack(
        str(receipt.code),
        receipt.note or None,
        receipt.errors,
        control_id=receipt.uuid.replace("-", "")[-20:],
        timestamp=clock.now().strftime("%Y%m%d%H%M%S+0000"),
    )


def _reason(error: BaseException) -> str:
    """What went wrong at the partner's end, in a few words: the cause at the bottom of httpx's chain."""
    if isinstance(error, httpx.HTTPError):
        while deeper := error.__cause__ or error.__context__:
            error = deeper
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate: {error.verify_message}"
    if isinstance(error, OSError) and error.errno and error.errno > 0 and not isinstance(error, ssl.SSLError):
        return os.strerror(error.errno)
    return (str(error) or type(error).__name__)[:200]


def _advice(error: BaseException) -> str:
    if isinstance(error, Refused):
        return "Allow this address for outgoing connections."
    if isinstance(error, ConfigError):
        return "Correct the endpoint's tls."
    if isinstance(error, ssl.SSLError):
        return "Compare the partner's certificate, its name and its authority with the endpoint's tls."
    if isinstance(error, TimeoutError):
        return "Look for a firewall on the way, and whether the partner runs."
    if isinstance(error, socket.gaierror):
        return "The host's name is unknown: look for a misspelling, and at the name server."
    return "See whether the partner runs and listens on this port."


connector = Connector(("http", "https"), Config, Source, Destination, Probe, format="hl7v2", plain=("http",))
