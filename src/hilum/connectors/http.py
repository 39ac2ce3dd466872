"""HTTP: requests that a partner answers, messages posted to it, and a listener that takes what partners post.

Out: each delivery, execution and file is one request, signed as `authentication` says; redirects are not followed,
cookies not kept. A delivery's id is its Idempotency-Key: that is why a lane may send a POST again. In: a listener that
answers after the commit, with id and disposition or, for HL7 v2 over HTTP, with the acknowledgment itself
(`answer: ack`): 200 for AA, 500 for AE, 400 for AR.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import dataclasses
import hmac
import ipaddress
import json
import re
import ssl
import urllib.parse
from collections.abc import AsyncIterator
from typing import Literal

import httpx
from pydantic import Field, field_validator, model_validator

from hilum import clock, telemetry
from hilum.errors import ConfigError, FormatError, Refused, StoreError
from hilum.formats import hl7v2
from hilum.model.message import Ack
from hilum.sdk import config, contracts, headers
from hilum.sdk.authentication import Authentication, Certificate
from hilum.sdk.contracts import Call, Connector, Deposit, Dialer, Inbox, Outbound, ProbeResult, Receipt, Reply
from hilum.sdk.deposits import Broken, Progress, Unlike, blocks
from hilum.sdk.faults import ADVICE, Failed, Fault, fault_of, fault_of_status, reason_of
from hilum.sdk.http import Answer, Limits, Listener, Refusal, Request
from hilum.sdk.http_client import Client, beginning, phrase, place, seconds
from hilum.sdk.http_request import CONTENT_TYPES, Method, Parameters, Probing
from hilum.sdk.outcome import Ambiguous, Delivered, Deposited, Outcome, Permanent, Placed, Transient
from hilum.sdk.stopwatch import Stopwatch
from hilum.sdk.tls import Tls, version_of

BLOCK = 256 << 10  # bytes of a file that are sent at once
PART = 65_536  # bytes of a partner's answer to a delivery that are kept
LARGEST = 10 << 20  # bytes of its answer to an execution that are kept, unless the endpoint says otherwise
MOST = 64 << 20  # that an endpoint may say

_STATUS = {Ack.AA: 200, Ack.CA: 200, Ack.AE: 500, Ack.CE: 500, Ack.AR: 400, Ack.CR: 400}
_HL7 = CONTENT_TYPES["hl7v2"]
_SIGN_IN = re.compile(r"(?i)\b(log-?[io]n|sign-?[io]n|sso|oauth2?|authorize|saml2?)\b")
_UNREACHED = (Refused, ConfigError, Failed, OSError, httpx.HTTPError)


class Config(config.Config):
    """Where to send to, or what to listen on."""

    url: str = Field(
        ...,
        description="http(s)://host:port/path to send to or to listen on. Out: the path may hold variables, as {id}.",
    )
    timeout: int = Field(
        30_000,
        ge=100,
        le=300_000,
        description="Milliseconds for a whole request: connecting, sending, the answer.",
    )
    format: Literal["hl7v2", "json", "bytes"] = Field(
        "hl7v2", description="What the bodies are. What is executed through the API is json unless this says otherwise."
    )
    tls: Tls | None = Field(None, description="Certificates for https; none: the system's authorities are trusted.")
    method: Method = Field("POST", description="Out: GET, POST, PUT, PATCH or DELETE.")
    authentication: Authentication | None = Field(None, description="Out: how we show who we are.")
    headers: dict[str, str] = Field({}, max_length=50, repr=False, description="Out: headers to send, credentials too.")
    parameters: Parameters = Field(Parameters(), description="Out: templates of the query, and of the path's {name}s.")
    content_type: str | None = Field(
        None, pattern=r"^[\x20-\x7e]{1,200}$", description="Out: Content-Type; by default the format's, or FHIR's."
    )
    probe: Probing = Field(Probing(), description="Out: how to find out whether the partner works.")
    max_answer: int = Field(
        LARGEST, ge=1, le=MOST, description="Out: bytes of an answer to an execution; a larger one is a failure."
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
            raise ValueError("must hold no credentials: use authentication, and a reference to a secret")
        _ = parts.port  # raises ValueError beyond 65535
        return url

    @field_validator("headers")
    @classmethod
    def _can_be_sent(cls, found: dict[str, str]) -> dict[str, str]:
        headers.check(found)
        return found

    @field_validator("allow")
    @classmethod
    def _are_networks(cls, networks: list[str]) -> list[str]:
        for network in networks:
            ipaddress.ip_network(network)
        return networks

    @model_validator(mode="after")
    def _fit_together(self) -> Config:
        if self.tls and not self.secure:
            raise ValueError("tls needs an https URL")
        if isinstance(self.authentication, Certificate) and not self.secure:
            raise ValueError("a client certificate needs an https URL")
        self.parameters.check(self.url)
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


class _Client(Client):
    """Sends what an endpoint sends."""

    def __init__(self, config: Config, dialer: Dialer) -> None:
        name = config.tls.server_name if config.tls else None
        super().__init__(lambda: dialer.transport(tls=config.sender(), authentication=config.authentication), name)
        self._config = config
        headers.protect(config.headers)

    def send(
        self, watch: Stopwatch, method: str, url: str, said: httpx.Headers, body: bytes, limit: float
    ) -> contextlib.AbstractAsyncContextManager[httpx.Response]:
        """`limit`: seconds. Raises ConfigError where certificates or authentication cannot work."""
        content = body if body or method in ("POST", "PUT", "PATCH") else None
        return self.stream(watch, method, url, said, content, limit)

    def headers(self, form: str, method: str, body: bytes) -> httpx.Headers:
        """The endpoint's own, and defaults for what nobody set. `form`: what the body is."""
        own = self._config
        said = httpx.Headers({"User-Agent": "hilum", "Accept-Encoding": "identity"})
        kind = own.content_type or CONTENT_TYPES[form]
        if form == "json":
            said["Accept"] = kind if kind.endswith("+json") else CONTENT_TYPES[form]
        if body and method != "GET":
            said["Content-Type"] = kind
        said.update(own.headers)
        return said


class Destination(contracts.Destination[Config]):
    """Sends each delivery as one request."""

    def __init__(self, config: Config, dialer: Dialer) -> None:
        super().__init__(config, dialer)
        self._client = _Client(config, dialer)

    async def send(self, outbound: Outbound) -> Outcome:
        watch = Stopwatch()
        try:
            async with asyncio.timeout(self.config.timeout / 1000):
                return await self._send(outbound, watch)
        except (Refused, ConfigError, Failed) as error:
            return Transient(str(error))
        except (TimeoutError, httpx.TimeoutException):
            return Ambiguous("no answer in time") if watch.sent else Transient("no connection in time")
        except (OSError, httpx.HTTPError) as error:
            return Ambiguous(f"no answer: {reason_of(error)}") if watch.sent else Transient(reason_of(error))

    async def close(self) -> None:
        await self._client.close()

    async def _send(self, outbound: Outbound, watch: Stopwatch) -> Outcome:
        method, body = self.config.method, outbound.body
        url = self.config.parameters.address(self.config.url, {})
        said = self._client.headers(self.config.format, method, body)
        if method != "GET":
            said["Idempotency-Key"] = outbound.id
        limit = self.config.timeout / 1000
        async with self._client.send(watch, method, url, said, body, limit) as response:
            content = b""
            with contextlib.suppress(httpx.HTTPError):  # the status alone decides
                content, _ = await beginning(response, PART)
            return _judge(response.status_code, response.headers, content)


class Depositor(contracts.Depositor[Config]):
    """Pushes each file as the body of one PUT or POST; where it ends early, its length says that it is none."""

    def __init__(self, config: Config, dialer: Dialer) -> None:
        super().__init__(config, dialer)
        self._client = _Client(config, dialer)

    async def deposit(self, deposit: Deposit, pieces: AsyncIterator[bytes]) -> Deposited:
        watch, progress = Stopwatch(), Progress()
        try:
            async with contextlib.aclosing(blocks(deposit, pieces, BLOCK, progress)) as content:
                return await self._push(deposit, content, watch)
        except Broken as error:
            raise error.error from None
        except Unlike as error:
            return Permanent(str(error))
        except (Refused, ConfigError, Failed) as error:
            return Transient(str(error))
        except httpx.TimeoutException:
            return Ambiguous("no answer in time") if watch.sent and progress.whole else Transient("it took too long")
        except (OSError, httpx.HTTPError) as error:
            reason = reason_of(error)
            return Ambiguous(f"no answer: {reason}") if watch.sent and progress.whole else Transient(reason)

    async def close(self) -> None:
        await self._client.close()

    async def _push(self, deposit: Deposit, content: AsyncIterator[bytes], watch: Stopwatch) -> Deposited:
        method = self.config.method
        if method not in ("PUT", "POST"):
            return Permanent(f"files are pushed by PUT or POST, not by {method}")
        if not headers.is_value(deposit.id):
            raise ConfigError("the deposit's id is no header's value")
        named = {"name": deposit.name} if self.config.parameters.asks(self.config.url, "name") else {}
        url = self.config.parameters.address(self.config.url, named)
        said = self._client.headers("bytes", method, b"")
        said["Content-Type"] = self.config.content_type or deposit.media_type
        said["Content-Length"] = str(deposit.size)
        said["Content-Disposition"] = f"attachment; filename*=UTF-8''{urllib.parse.quote(deposit.name, safe='')}"
        said["Repr-Digest"] = f"sha-256=:{base64.b64encode(deposit.sha256).decode()}:"
        said["Idempotency-Key"] = deposit.id
        async with self._client.stream(watch, method, url, said, content, self.config.timeout / 1000) as response:
            answer = b""
            with contextlib.suppress(httpx.HTTPError):  # the status alone decides
                answer, _ = await beginning(response, PART)
            found = _judge(response.status_code, response.headers, answer)
            return Placed(place(response), found.detail) if isinstance(found, Delivered) else found


class Exchange(contracts.Exchange[Config]):
    """Makes one request and gives its answer, whatever that is. Never repeats it."""

    def __init__(self, config: Config, dialer: Dialer) -> None:
        super().__init__(config, dialer)
        self._client = _Client(config, dialer)

    async def exchange(self, call: Call) -> Reply:
        watch = Stopwatch()
        limit = (call.timeout or self.config.timeout) / 1000
        try:
            async with asyncio.timeout(limit):
                with watch.running():
                    return await self._exchange(call, watch, limit)
        except TimeoutError:
            reason = "no answer in time" if watch.sent else "no connection in time"
            raise Failed(reason, Fault.TIMEOUT, watch.timings(), sent=watch.sent, trace=watch.told()) from None
        except _UNREACHED as error:
            reason = telemetry.mask(reason_of(error))
            raise Failed(reason, fault_of(error), watch.timings(), sent=watch.sent, trace=watch.told()) from None

    async def close(self) -> None:
        await self._client.close()

    async def _exchange(self, call: Call, watch: Stopwatch, limit: float) -> Reply:
        method = self.config.method
        url = self.config.parameters.address(self.config.url, call.parameters)
        said = self._headers(call)
        watch.asks(method, url, said)
        async with self._client.send(watch, method, url, said, call.body, limit) as response:
            tls = version_of(response.extensions.get("network_stream"))
            content, truncated = await beginning(response, self.config.max_answer)
            status, reason, shown, timings = (
                response.status_code, phrase(response), _shown(response.headers), watch.timings()
            )  # fmt: skip
            trace = watch.told(content) if truncated or status >= 400 else None
            return Reply(status, reason, shown, content, timings, truncated, trace=trace, tls=tls)

    def _headers(self, call: Call) -> httpx.Headers:
        """Raises ConfigError where the caller's do not fit the endpoint's."""
        form = self.config.format if "format" in self.config.model_fields_set else "json"
        said = self._client.headers(form, self.config.method, call.body)
        try:
            headers.check(call.headers)
        except ValueError as error:
            raise ConfigError(str(error), where="headers") from None
        own = {name.lower() for name in self.config.headers}
        for name, value in call.headers.items():
            if name.lower() in own:
                raise ConfigError(f"{name} is set by the endpoint", where="headers")
            said[name] = value
        if call.idempotency_key:
            if not headers.is_value(call.idempotency_key):
                raise ConfigError("this is no header's value", where="idempotency_key")
            said["Idempotency-Key"] = call.idempotency_key
        return said


class Probe(contracts.Probe[Config]):
    """Asks whether the partner works, by a method that changes nothing there."""

    async def probe(self) -> ProbeResult:
        watch = Stopwatch()
        client = _Client(self.config, self.dialer)
        try:
            async with asyncio.timeout(self.config.timeout / 1000):
                url = self.config.probe.address(self.config.url, self.config.parameters)
                for method in self._methods():
                    watch = Stopwatch()
                    with watch.running():
                        result = await self._ask(client, watch, method, url)
                    if result.status not in (405, 501):
                        break
                return result
        except TimeoutError:
            return _unreached("no answer in time" if watch.sent else "no connection in time", Fault.TIMEOUT, watch)
        except _UNREACHED as error:
            return _unreached(telemetry.mask(reason_of(error)), fault_of(error), watch)
        finally:
            await client.close()

    def _methods(self) -> tuple[str, ...]:
        """In order, as long as the partner does not know one."""
        wanted = self.config.probe
        if wanted.allow_unsafe:
            return (self.config.method,)
        return (wanted.method,) if wanted.method else ("HEAD", "GET", "OPTIONS")

    async def _ask(self, client: _Client, watch: Stopwatch, method: str, url: str) -> ProbeResult:
        said = client.headers(self.config.format, "GET", b"")
        watch.asks(method, url, said)
        async with client.send(watch, method, url, said, b"", self.config.timeout / 1000) as response:
            tls = version_of(response.extensions.get("network_stream"))
            content, _ = await beginning(response, PART)
            return dataclasses.replace(self._verdict(response, content, watch), tls=tls)

    def _verdict(self, response: httpx.Response, content: bytes, watch: Stopwatch) -> ProbeResult:
        status, wanted, advice = response.status_code, self.config.probe, ""
        detail, fault = f"HTTP {status}: {phrase(response)}", fault_of_status(status)
        if wanted.expect_status:
            fault = None if status in wanted.expect_status else fault or Fault.PROTOCOL
        elif status == 405 and self.config.method in _allowed(response):
            detail, fault = f"{detail}; it takes {self.config.method}", None
        if fault is None and wanted.expect_text and wanted.expect_text.encode() not in content:
            detail, fault = f"{detail}; the answer does not contain what is expected", Fault.PROTOCOL
        if 300 <= status < 400 and _SIGN_IN.search(response.headers.get("location", "")):
            detail, advice = f"{detail}; it leads to a sign-in page", ADVICE[Fault.AUTH]
        if fault is not None:
            advice = ADVICE[fault]
            if (wait := seconds(response.headers.get("retry-after", ""))) is not None:
                detail = f"{detail}; it asks to wait {wait:.0f} seconds"
        timings, trace = watch.timings(), watch.told(content)
        return ProbeResult(fault is None, timings.total, detail, advice, fault, status, timings, trace=trace)


def _unreached(detail: str, fault: Fault, watch: Stopwatch) -> ProbeResult:
    timings = watch.timings()
    return ProbeResult(False, timings.total, detail, ADVICE[fault], fault, None, timings, trace=watch.told())


def _shown(said: httpx.Headers) -> dict[str, str]:
    """Without cookies and other secrets."""
    return {name: value for name, value in said.items() if not headers.is_secret(name)}


def _allowed(response: httpx.Response) -> set[str]:
    return {one.strip().upper() for one in response.headers.get("allow", "").split(",")}


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
        return Transient(str(status), answered=True, retry_after=seconds(headers.get("retry-after", "")))
    return Permanent(f"{status}: redirects are not followed" if status < 400 else str(status))


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


connector = Connector(
    ("http", "https"), Config, Source, Destination, Probe, Exchange, Depositor, format="hl7v2", plain=("http",)
)
