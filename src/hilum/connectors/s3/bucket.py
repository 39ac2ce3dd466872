"""Requests to one bucket of a store that is spoken to as Amazon S3 is, and what its answers mean (API 2006-03-01)."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import dataclasses
import datetime
import hashlib
import re
import urllib.parse
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence

import httpx

from hilum import clock, telemetry
from hilum.errors import ConfigError, FormatError, HilumError, Refused
from hilum.formats import aws_signature, s3_answers
from hilum.formats.aws_signature import Key, Place
from hilum.formats.s3_answers import Answer
from hilum.sdk.faults import Failed, Fault, fault_of, fault_of_status, reason_of
from hilum.sdk.http_client import Client, beginning, seconds
from hilum.sdk.outcome import Permanent, Transient
from hilum.sdk.stopwatch import Stopwatch
from hilum.sdk.tls import version_of

HASH = "x-amz-meta-sha256"
"""Where an object of ours says what its content is: an ETag is no hash of one that came in parts."""

_ANSWER = 4 << 20  # bytes of an answer that is no object's content
_BESIDE = 1 << 20  # bytes from which hashing is a thread's work
_SLICE = 256 << 10  # bytes of a body that are handed to the socket at once
_CODE = re.compile(r"[A-Za-z0-9.]{1,64}")
_OURS = frozenset({
    "AccessDenied", "AuthorizationHeaderMalformed", "ExpiredToken", "InvalidAccessKeyId", "InvalidBucketName",
    "InvalidToken", "NoSuchBucket", "PermanentRedirect", "RequestTimeTooSkewed", "SignatureDoesNotMatch",
    "TemporaryRedirect", "TokenRefreshRequired",
})  # fmt: skip
"""What is wrong with our configuration, not with this object."""

_LATER = frozenset({
    "BadDigest", "ConditionalRequestConflict", "IncompleteBody", "InternalError", "OperationAborted", "RequestTimeout",
    "ServiceUnavailable", "SlowDown", "Throttling", "ThrottlingException", "TooManyRequests",
})  # fmt: skip
_STATUSES = {301: "PermanentRedirect", 307: "TemporaryRedirect", 401: "AccessDenied", 403: "AccessDenied",
             404: "NotFound", 412: "PreconditionFailed"}  # fmt: skip


class Told(HilumError):
    """The store says that it does not do this, and why. `region`: where the bucket is, if it is not where we asked."""

    def __init__(
        self, status: int, code: str, message: str, retry_after: float | None = None, region: str = ""
    ) -> None:
        self.status, self.code, self.retry_after = status, code, retry_after
        if region:
            message = f"the bucket is in the region {region}"
        super().__init__(telemetry.mask(f"{status} {code}: {message}" if message else f"{status} {code}"))

    @property
    def ours(self) -> bool:
        return self.code in _OURS or self.status in (301, 307, 401, 403)

    @property
    def fault(self) -> Fault:
        if self.ours and self.status not in (401, 403, 404):
            return Fault.CONFIGURATION
        return fault_of_status(self.status) or Fault.PROTOCOL

    def outcome(self) -> Transient | Permanent:
        """What the lane makes of it: it waits while we are refused, tries again what may work later."""
        if self.ours:
            return Transient(str(self))
        if self.code in _LATER or self.status in (408, 409, 429) or (self.status >= 500 and self.status != 501):
            return Transient(str(self), answered=True, retry_after=self.retry_after)
        return Permanent(str(self))


@dataclasses.dataclass(frozen=True, slots=True)
class Address:
    """Where a bucket is. `origin`: scheme, host and port; `host`: as the header has it; `root`: the bucket's path."""

    bucket: str
    origin: str
    host: str
    root: str

    @classmethod
    def of(cls, endpoint: str, bucket: str, path_style: bool) -> Address:
        parts = urllib.parse.urlsplit(endpoint)
        usual = {"https": 443, "http": 80}[parts.scheme]
        name = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else str(parts.hostname)
        host = name if path_style else f"{bucket}.{name}"
        if parts.port not in (None, usual):
            host = f"{host}:{parts.port}"
        folder = parts.path.rstrip("/")
        return cls(bucket, f"{parts.scheme}://{host}", host, f"{folder}/{bucket}" if path_style else folder)


@dataclasses.dataclass(frozen=True, slots=True)
class Item:
    """An object of a list. `etag`: without its quotation marks; `modified`: microseconds since 1970, 0: nobody says."""

    key: str
    size: int
    etag: str
    modified: int


@dataclasses.dataclass(frozen=True, slots=True)
class Found:
    """What is known of an object without reading it."""

    size: int
    etag: str
    sha256: str  # in hexadecimal; empty: nobody said it


@dataclasses.dataclass(frozen=True, slots=True)
class _Body:
    """`md5`: as Content-MD5 has it (RFC 1864), which stores compare with what they received."""

    content: bytes
    sha256: bytes
    md5: str


@dataclasses.dataclass(frozen=True, slots=True)
class _Said:
    headers: httpx.Headers
    content: bytes
    watch: Stopwatch
    tls: str | None


class _Slices:
    """A large body, so that no copy of all of it waits for the partner."""

    def __init__(self, content: bytes) -> None:
        self._content, self._at = content, 0

    def __aiter__(self) -> _Slices:
        return self

    async def __anext__(self) -> bytes:
        found = self._content[self._at : self._at + _SLICE]
        if not found:
            raise StopAsyncIteration
        self._at += len(found)
        return found


class Bucket:
    """One, with an access key. Every method raises Told and Failed, and ConfigError where TLS cannot work."""

    def __init__(
        self, client: Client, address: Address, key: Key, place: Place, limit: float, extra: Mapping[str, str]
    ) -> None:
        """`limit`: seconds of each step; `extra`: headers for new objects, about their encryption."""
        self._client, self._address, self._key, self._place = client, address, key, place
        self._limit, self._extra = limit, dict(extra)

    @property
    def name(self) -> str:
        return self._address.bucket

    async def close(self) -> None:
        await self._client.close()

    async def put(self, key: str, content: bytes, media_type: str, *, new: bool) -> None:
        """`new`: raises Told with 412 where there is such an object already."""
        body = await _body(content)
        said = self._object(media_type, body.sha256.hex(), new)
        said |= {"content-md5": body.md5, "x-amz-checksum-sha256": base64.b64encode(body.sha256).decode()}
        await self._ask("PUT", key, headers=said, body=body)

    async def begin(self, key: str, media_type: str, sha256: str) -> str:
        """An upload in parts; nobody sees it before `finish`. Gives its id."""
        said = self._object(media_type, sha256, new=False)
        answer = _read(await self._ask("POST", key, [("uploads", "")], headers=said))
        return answer.values.get("UploadId", "")

    async def part(self, key: str, upload: str, number: int, content: bytes) -> str:
        """Gives its ETag."""
        pairs, body = [("partNumber", str(number)), ("uploadId", upload)], await _body(content)
        said = await self._ask("PUT", key, pairs, headers={"content-md5": body.md5}, body=body)
        return str(said.headers.get("etag", ""))

    async def finish(self, key: str, upload: str, etags: Sequence[str], *, new: bool) -> None:
        """`new`: as for `put`. The store may begin to answer 200 before it knows that it fails."""
        parts = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{_escaped(etag)}</ETag></Part>"
            for number, etag in enumerate(etags, 1)
        )
        body = await _body(f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode())
        said = {"content-type": "application/xml", **({"if-none-match": "*"} if new else {})}
        _read(await self._ask("POST", key, [("uploadId", upload)], headers=said, body=body))

    async def abort(self, key: str, upload: str) -> None:
        await self._ask("DELETE", key, [("uploadId", upload)])

    async def head(self, key: str) -> Found | None:
        """None: there is none."""
        try:
            said = await self._ask("HEAD", key)
        except Told as error:
            if error.status == 404:
                return None
            raise
        size = said.headers.get("content-length", "")
        return Found(
            int(size) if size.isdecimal() else -1, _bare(said.headers.get("etag", "")), said.headers.get(HASH, "")
        )

    async def get(self, key: str, etag: str, most: int) -> bytes | None:
        """Its first bytes; None where it is another by now, or gone."""
        said = {"range": f"bytes=0-{most - 1}", **_only(etag)}
        try:
            return (await self._ask("GET", key, headers=said, most=most)).content
        except Told as error:
            if error.status in (404, 412):
                return None
            if error.status == 416:  # it has no bytes
                return b""
            raise

    async def copy(self, key: str, to: str, etag: str) -> None:
        """Raises Told with 412 where it is another by now."""
        said = {"x-amz-copy-source": aws_signature.path_of(f"/{self._address.bucket}/{key}"), **self._extra}
        if etag:
            said["x-amz-copy-source-if-match"] = f'"{etag}"'
        _read(await self._ask("PUT", to, headers=said))

    async def delete(self, key: str, etag: str) -> None:
        """The store compares where it can; so that others do not lose what nobody has read, it is looked at first."""
        found = await self.head(key)
        if found is not None and etag in ("", found.etag):
            await self._ask("DELETE", key, headers=_only(etag))

    async def listed(self, prefix: str) -> AsyncGenerator[list[Item], None]:
        """The objects whose keys begin so and have no further slash, a page at a time."""
        token = ""
        while True:
            answer, _ = await self.page(prefix, 1_000, token)
            yield [item for name, values in answer.items if name == "Contents" if (item := _item(values)) is not None]
            token = answer.values.get("NextContinuationToken", "")
            if answer.values.get("IsTruncated") != "true" or not token:
                return

    async def page(self, prefix: str, most: int, token: str = "") -> tuple[Answer, _Said]:
        """At most so many of them. Percent signs and spaces in keys come encoded, as in a form."""
        pairs = [("list-type", "2"), ("prefix", prefix), ("delimiter", "/"), ("encoding-type", "url"),
                 ("max-keys", str(most))]  # fmt: skip
        if token:
            pairs.append(("continuation-token", token))
        said = await self._ask("GET", "", pairs)
        return _read(said), said

    def _object(self, media_type: str, sha256: str, new: bool) -> dict[str, str]:
        return {"content-type": media_type, HASH: sha256, **({"if-none-match": "*"} if new else {}), **self._extra}

    async def _ask(
        self, method: str, key: str, pairs: Iterable[tuple[str, str]] = (), *, headers: Mapping[str, str] | None = None,
        body: _Body | None = None, most: int = _ANSWER,
    ) -> _Said:  # fmt: skip
        """One signed request. Path and query go as they were signed: no library writes them in another way."""
        watch = Stopwatch()
        path, query = aws_signature.path_of(f"{self._address.root}/{key}"), aws_signature.query_of(pairs)
        target = f"{path}?{query}" if query else path
        said = {"host": self._address.host, **(headers or {})}
        digest = aws_signature.EMPTY if body is None else body.sha256.hex()
        said |= aws_signature.sign(method, path, query, said, digest, self._key, self._place, clock.now())
        said |= {"user-agent": "hilum", "accept-encoding": "identity"}
        size = len(body.content) if body else 0
        if method in ("PUT", "POST"):
            said["content-length"] = str(size)
        content = _Slices(body.content) if body and size > _SLICE else body.content if body else None
        url = f"{self._address.origin}{target}"
        watch.asks(method, url, said)
        try:
            with watch.running():
                async with self._client.stream(
                    watch, method, url, httpx.Headers(said), content, self._limit, target=target.encode()
                ) as response:
                    tls = version_of(response.extensions.get("network_stream"))
                    status, told = response.status_code, response.headers
                    answer, _ = await beginning(response, most if status < 300 else _ANSWER)
        except (Refused, ConfigError, OSError, httpx.HTTPError) as error:
            late = "no answer in time" if watch.sent else "no connection in time"
            reason = late if isinstance(error, httpx.TimeoutException) else telemetry.mask(reason_of(error))
            raise Failed(reason, fault_of(error), watch.timings(), sent=watch.sent, trace=watch.told()) from None
        if status >= 300:
            raise _told(status, told, answer)
        return _Said(told, answer, watch, tls)


def _told(status: int, headers: Mapping[str, str], content: bytes) -> Told:
    values: dict[str, str] = {}
    with contextlib.suppress(FormatError):  # a HEAD has none, a proxy another
        values = s3_answers.read(content).values
    code, message = values.get("Code", ""), values.get("Message", "")
    code = code if _CODE.fullmatch(code) else _STATUSES.get(status, "Error")
    region = headers.get("x-amz-bucket-region", values.get("Region", ""))
    elsewhere = region if code in ("PermanentRedirect", "AuthorizationHeaderMalformed") else ""
    message = "".join(one for one in " ".join(message.split()) if one.isprintable())[:200]
    return Told(status, code, message, seconds(headers.get("retry-after", "")), elsewhere[:40])


def _read(said: _Said) -> Answer:
    """Raises Told also where the status was 200: then the store began to answer before it knew."""
    try:
        answer = s3_answers.read(said.content)
    except FormatError as error:
        raise Failed(str(error), Fault.PROTOCOL, said.watch.timings(), sent=True, trace=said.watch.told()) from None
    if answer.name == "Error":
        raise _told(200, said.headers, said.content)
    return answer


def _item(values: Mapping[str, str]) -> Item | None:
    """None where it is described as nothing that could be asked for."""
    size = values.get("Size", "")
    if not size.isdecimal() or "Key" not in values:
        return None
    modified = 0
    with contextlib.suppress(ValueError):
        modified = round(datetime.datetime.fromisoformat(values.get("LastModified", "")).timestamp() * 1_000_000)
    return Item(urllib.parse.unquote_plus(values["Key"]), int(size), _bare(values.get("ETag", "")), modified)


async def _body(content: bytes) -> _Body:
    """Large ones are hashed on a thread."""
    return _hashed(content) if len(content) < _BESIDE else await asyncio.to_thread(_hashed, content)


def _hashed(content: bytes) -> _Body:
    md5 = hashlib.md5(content, usedforsecurity=False).digest()
    return _Body(content, hashlib.sha256(content).digest(), base64.b64encode(md5).decode())


def _bare(etag: str) -> str:
    """Without its quotation marks, which some stores leave out in lists."""
    return etag.strip('"')


def _only(etag: str) -> dict[str, str]:
    """While it is this very object; without an ETag nobody can tell."""
    return {"if-match": f'"{etag}"'} if etag else {}


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
