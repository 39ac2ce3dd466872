"""S3: objects below a prefix of a bucket, at Amazon or in any store that is spoken to the same way.

In: each object is one message; it is moved, deleted, or kept and remembered. Out: one request for what is small, parts
for what is large; nobody sees an object before it is whole. Requests are signed (Signature Version 4), not the
connection: without TLS everybody on the way reads what is in them.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import posixpath
import re
import urllib.parse
from collections.abc import AsyncIterator, Iterator
from typing import Literal

import httpx
from pydantic import Field, field_validator, model_validator

from hilum import clock
from hilum.connectors.s3.bucket import Address, Bucket, Told
from hilum.errors import ConfigError
from hilum.formats.aws_signature import Key, Place
from hilum.sdk import contracts, file_name
from hilum.sdk.authentication import S3Authentication
from hilum.sdk.contracts import Connector, Deposit, Dialer, Inbox, Outbound, ProbeResult
from hilum.sdk.deposits import Broken, Progress, Unlike, blocks
from hilum.sdk.faults import ADVICE, Failed, Fault, Timings
from hilum.sdk.http_client import Client
from hilum.sdk.http_request import CONTENT_TYPES
from hilum.sdk.outcome import Ambiguous, Delivered, Deposited, Outcome, Permanent, Placed, Transient
from hilum.sdk.polling import HEAD, Look, Polled, Poller
from hilum.sdk.tls import Tls
from hilum.sdk.trace import Trace

PARTS = 10_000
"""That an upload may have at most (Amazon S3 user guide, "Multipart upload limits")."""

LARGEST_PART = 512 << 20  # bytes: it is held in memory
_CLEAN = 5.0  # seconds that giving an upload up may take
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")


class Config(Polled):
    """A prefix of a bucket."""

    url: str = Field(..., description="s3://bucket/prefix; the prefix is a folder's name, or none.")
    timeout: int = Field(30_000, ge=100, le=300_000, description="Milliseconds until an answer is late.")
    poll: int = Field(10_000, ge=10, le=86_400_000, description="In: milliseconds between two looks.")
    stable_for: int = Field(
        0, ge=0, le=86_400_000, description="In: milliseconds that size and time of an object must stay the same."
    )
    endpoint: str = Field("", description="The store's address, https://host:port; none: Amazon's of that region.")
    region: str = Field("us-east-1", pattern=r"^[a-z0-9-]{1,40}$", description="The region that the store names.")
    path_style: bool | None = Field(
        None, description="The bucket in the path, not in the host; none: so where `endpoint` is set."
    )
    authentication: S3Authentication = Field(..., description="The access key.")
    tls: Tls = Field(Tls(), description="Certificates, for a store whose authority is not the system's.")
    server_side_encryption: Literal["AES256", "aws:kms", "aws:kms:dsse"] | None = Field(
        None, description="Out: how the store encrypts new objects; none: as the bucket says."
    )
    kms_key: str | None = Field(
        None, pattern=r"^[\x21-\x7e]{1,2048}$", description="Out: the key's id or ARN, for aws:kms."
    )
    after: Literal["move", "delete", "keep"] = Field(
        "move", description="In: what becomes of an object that was taken. keep: it is remembered as its message is."
    )
    archive: str = Field("archive", description="In: prefix for what was taken, below the URL's; with / the bucket's.")
    error: str = Field("error", description="In: prefix for what could not be taken or processed; not with keep.")
    file_name: str = Field(file_name.DEFAULT, description=file_name.DESCRIPTION)
    exists: Literal["number", "replace", "refuse"] = Field(
        "number",
        description="Out: where another object has the name, take the next one (a-2.hl7), replace it, or refuse.",
    )
    part_size: int = Field(
        16 << 20, ge=5 << 20, le=LARGEST_PART, description="Out: bytes of a part; larger objects go in several."
    )

    @field_validator("url")
    @classmethod
    def _names_a_prefix(cls, url: str) -> str:
        parts = urllib.parse.urlsplit(url)
        bucket, prefix = parts.netloc, urllib.parse.unquote(parts.path)
        if parts.scheme != "s3" or parts.query or parts.fragment or not _BUCKET.fullmatch(bucket) or ".." in bucket:
            raise ValueError("must be written s3://bucket/prefix")
        _check_prefix(prefix)
        return url

    @field_validator("archive", "error")
    @classmethod
    def _is_another_prefix(cls, prefix: str) -> str:
        if not prefix.strip("/"):
            raise ValueError("must be another prefix than the one that is read")
        _check_prefix(prefix)
        return prefix

    @field_validator("endpoint")
    @classmethod
    def _is_an_address(cls, url: str) -> str:
        parts = urllib.parse.urlsplit(url)
        if url and (parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment):
            raise ValueError("must be written https://host:port")
        if parts.username is not None or parts.password is not None:
            raise ValueError("must hold no credentials")
        _ = parts.port  # raises ValueError beyond 65535
        try:
            httpx.URL(url)  # stricter about hosts: 0177.0.0.1 is none
        except httpx.InvalidURL as error:
            raise ValueError(str(error)) from None
        if not url.isascii():
            raise ValueError("must be ASCII: names of other alphabets are written xn--…")
        return url

    @field_validator("file_name")
    @classmethod
    def _is_a_template(cls, template: str) -> str:
        return file_name.check(template)

    @model_validator(mode="after")
    def _fit_together(self) -> Config:
        if self.kms_key and self.server_side_encryption in (None, "AES256"):
            raise ValueError("kms_key needs server_side_encryption: aws:kms")
        return self

    @property
    def prefix(self) -> str:
        """Empty, or with a slash at its end."""
        return _folder(urllib.parse.unquote(urllib.parse.urlsplit(self.url).path))

    @property
    def address(self) -> Address:
        bucket = urllib.parse.urlsplit(self.url).netloc
        by_path = bool(self.endpoint) or "." in bucket if self.path_style is None else self.path_style
        return Address.of(self.endpoint or f"https://s3.{self.region}.amazonaws.com", bucket, by_path)

    def below(self, folder: str) -> str:
        """The prefix of `archive` or `error`."""
        return _folder(folder) if folder.startswith("/") else f"{self.prefix}{_folder(folder)}"


def _check_prefix(prefix: str) -> None:
    if not prefix.isprintable() or any(part in (".", "..") for part in prefix.split("/")) or "//" in prefix:
        raise ValueError("the prefix has parts that none may have")
    if len(prefix.encode()) > 800:
        raise ValueError("the prefix has more than 800 bytes")


def _folder(path: str) -> str:
    return f"{path.strip('/')}/" if path.strip("/") else ""


def _bucket(config: Config, dialer: Dialer) -> Bucket:
    """Opens nothing yet. Raises ConfigError where the access key can be none."""
    shown = config.authentication
    shown.check()
    extra = {
        "x-amz-server-side-encryption": str(config.server_side_encryption or ""),
        "x-amz-server-side-encryption-aws-kms-key-id": config.kms_key or "",
    }
    secure = config.address.origin.startswith("https:")
    client = Client(
        lambda: dialer.transport(tls=config.tls.sender() if secure else None), config.tls.server_name
    )  # fmt: skip
    return Bucket(
        client, config.address, Key(shown.access_key_id, shown.secret_access_key, shown.session_token),
        Place(config.region), config.timeout / 1000, {name: value for name, value in extra.items() if value},
    )  # fmt: skip


class Source(Poller[Config]):
    """Polls a prefix. Objects below further slashes are not its business."""

    whole = True

    def __init__(self, config: Config, inbox: Inbox, dialer: Dialer) -> None:
        super().__init__(config, inbox, dialer)
        self.keeps = config.after == "keep"
        self._bucket: Bucket | None = None

    async def open(self) -> None:
        """Raises Told, Failed and ConfigError where the bucket cannot be listed."""
        self._bucket = _bucket(self.config, self.dialer)
        await self._bucket.page(self.config.prefix, 1)

    async def close(self) -> None:
        bucket, self._bucket = self._bucket, None
        if bucket is not None:
            await bucket.close()

    async def look(self) -> list[Look]:
        found, prefix = [], self.config.prefix
        async with contextlib.aclosing(self._opened().listed(prefix)) as pages:
            async for page in pages:
                for item in page:
                    name = item.key.removeprefix(prefix)
                    if name and "/" not in name and self.config.wants(name):
                        found.append(Look(name, item.size, item.modified, item.etag))
        return found

    async def read(self, look: Look) -> tuple[str, bytes | None]:
        if not look.size:
            return "the file is empty", b""
        large = look.size > self.config.max_bytes
        with _about_one():
            body = await self._opened().get(
                self.config.prefix + look.name, look.mark, HEAD if large else look.size
            )  # fmt: skip
        if body is None or (not large and len(body) != look.size):
            return "", None
        return f"the file has {look.size} bytes, more than {self.config.max_bytes}" if large else "", body

    async def put_away(self, look: Look, failed: bool) -> None:
        bucket, key = self._opened(), self.config.prefix + look.name
        with _about_one():
            if failed or self.config.after == "move":
                folder = self.config.below(self.config.error if failed else self.config.archive)
                target = folder + look.name
                if await bucket.head(target) is not None:
                    stem, suffix = posixpath.splitext(look.name)
                    target = f"{folder}{stem}.{clock.micros()}{suffix}"
                await bucket.copy(key, target, look.mark)
            await bucket.delete(key, look.mark)

    def _opened(self) -> Bucket:
        assert self._bucket is not None  # noqa: S101 - asked for after `open`
        return self._bucket


@contextlib.contextmanager
def _about_one() -> Iterator[None]:
    """What the store says about one object lets the others pass."""
    try:
        yield
    except Told as error:
        raise OSError(errno.EIO, str(error)) from None


class _Writer:
    """Puts objects below the prefix: whole, under their own name, or not at all."""

    def __init__(self, config: Config, dialer: Dialer) -> None:
        self._config, self._dialer = config, dialer
        self._open: Bucket | None = None

    async def close(self) -> None:
        bucket, self._open = self._open, None
        if bucket is not None:
            await bucket.close()

    async def put(
        self, deposit: Deposit, pieces: AsyncIterator[bytes], progress: Progress
    ) -> Placed | Transient | Ambiguous | Permanent:
        """Raises what `pieces` does."""
        if deposit.size > PARTS * LARGEST_PART:
            return Permanent(f"the file has more than {PARTS} parts of {LARGEST_PART} bytes")
        try:
            bucket = self._open = self._open or _bucket(self._config, self._dialer)
            name = await self._name(bucket, deposit)
            if not isinstance(name, str):
                return name
            await self._upload(bucket, self._config.prefix + name, deposit, pieces, progress)
        except Broken as error:
            raise error.error from None
        except Unlike as error:
            return Permanent(str(error))
        except ConfigError as error:
            return Transient(str(error))
        except Told as error:
            if error.status == 412:  # somebody was faster: the next try takes the next name
                return Transient("another object has got this name meanwhile", answered=True)
            return error.outcome()
        except Failed as error:
            return Ambiguous(str(error)) if error.sent and progress.whole else Transient(str(error))
        return Placed(f"s3://{bucket.name}/{self._config.prefix}{name}")

    async def _name(self, bucket: Bucket, deposit: Deposit) -> str | Placed | Permanent:
        """The first name that is free. Where it is there already, or may not be, nothing is sent."""
        if self._config.exists == "replace":
            return deposit.name
        for number in range(1, file_name.MOST + 1):
            name = file_name.numbered(deposit.name, number)
            found = await bucket.head(self._config.prefix + name)
            if found is None:
                return name
            if (found.size, found.sha256) == (deposit.size, deposit.sha256.hex()):
                return Placed(f"s3://{bucket.name}/{self._config.prefix}{name}", "already there")
            if self._config.exists == "refuse":
                return Permanent("another object has this name there")
        return Permanent(f"{file_name.MOST} objects have this name already")

    async def _upload(
        self, bucket: Bucket, key: str, deposit: Deposit, pieces: AsyncIterator[bytes], progress: Progress
    ) -> None:
        new, size = self._config.exists != "replace", max(self._config.part_size, -(-deposit.size // PARTS))
        async with contextlib.aclosing(blocks(deposit, pieces, size)) as content:
            if deposit.size <= size:
                body = b"".join([block async for block in content])
                progress.whole = True
                return await bucket.put(key, body, deposit.media_type, new=new)
            upload = await bucket.begin(key, deposit.media_type, deposit.sha256.hex())
            try:
                etags = [await bucket.part(key, upload, number, block) async for number, block in _counted(content)]
                progress.whole = True
                await bucket.finish(key, upload, etags, new=new)
            except BaseException:
                await _give_up(bucket, key, upload)
                raise


async def _counted(content: AsyncIterator[bytes]) -> AsyncIterator[tuple[int, bytes]]:
    number = 0
    async for block in content:
        number += 1
        yield number, block


async def _give_up(bucket: Bucket, key: str, upload: str) -> None:
    """Parts that stay are seen by nobody, but paid for: the bucket should end such uploads by itself (lifecycle)."""
    with contextlib.suppress(Told, Failed, TimeoutError):
        async with asyncio.timeout(_CLEAN):
            await bucket.abort(key, upload)


class Destination(contracts.Destination[Config]):
    """Puts one object a delivery. The same delivery finds its object there already and is delivered."""

    def __init__(self, config: Config, dialer: Dialer) -> None:
        super().__init__(config, dialer)
        self._writer = _Writer(config, dialer)

    async def send(self, outbound: Outbound) -> Outcome:
        body, progress = outbound.body, Progress()
        name = file_name.called(self.config.file_name, outbound)
        try:
            deposit = Deposit(
                outbound.id, name, len(body), hashlib.sha256(body).digest(), CONTENT_TYPES[self.config.format]
            )
        except ConfigError:
            return Permanent("the object's name is too long")
        try:
            async with asyncio.timeout(self.config.timeout / 1000):
                found = await self._writer.put(deposit, _once(body), progress)
        except TimeoutError:
            return Ambiguous("no answer in time") if progress.whole else Transient("no answer in time")
        return Delivered(found.detail) if isinstance(found, Placed) else found

    async def close(self) -> None:
        await self._writer.close()


class Depositor(contracts.Depositor[Config]):
    """Puts large files there, in parts."""

    def __init__(self, config: Config, dialer: Dialer) -> None:
        super().__init__(config, dialer)
        self._writer = _Writer(config, dialer)

    async def deposit(self, deposit: Deposit, pieces: AsyncIterator[bytes]) -> Deposited:
        return await self._writer.put(deposit, pieces, Progress())

    async def close(self) -> None:
        await self._writer.close()


class Probe(contracts.Probe[Config]):
    """Asks for the first object of the prefix, which reads none."""

    async def probe(self) -> ProbeResult:
        at, bucket = clock.monotonic(), None
        try:
            bucket = _bucket(self.config, self.dialer)
            async with asyncio.timeout(self.config.timeout / 1000):
                _, said = await bucket.page(self.config.prefix, 1)
            timings, trace = said.watch.timings(), said.watch.told()
            return ProbeResult(
                True, timings.total, "the bucket can be listed", status=200, timings=timings, tls=said.tls, trace=trace
            )
        except Told as error:
            return self._failed(at, str(error), error.fault, status=error.status)
        except Failed as error:
            return self._failed(at, str(error), error.fault, trace=error.trace)
        except ConfigError as error:
            return self._failed(at, str(error), Fault.CONFIGURATION)
        except TimeoutError:
            return self._failed(at, "no answer in time", Fault.TIMEOUT)
        finally:
            if bucket is not None:
                await bucket.close()

    @staticmethod
    def _failed(
        at: float, detail: str, fault: Fault, *, status: int | None = None, trace: Trace | None = None
    ) -> ProbeResult:
        took = (clock.monotonic() - at) * 1000
        return ProbeResult(False, took, detail, ADVICE[fault], fault, status, Timings(took), trace=trace)


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body


connector = Connector(("s3",), Config, Source, Destination, Probe, depositor=Depositor, format="hl7v2")
