"""S3: what is asked of a store, what its answers mean, what is taken from it."""

# ruff: noqa: ASYNC110 - only looking at the store tells

from __future__ import annotations

import asyncio
import base64
import contextlib
import dataclasses
import datetime
import hashlib
import re
import uuid
from collections import deque
from collections.abc import AsyncIterator, Iterator
from typing import Any

import boto3  # type: ignore[import-untyped]  # it ships no types
import pytest
from botocore.auth import S3SigV4Auth  # type: ignore[import-untyped]  # it ships no types
from botocore.awsrequest import AWSRequest  # type: ignore[import-untyped]  # it ships no types
from botocore.credentials import Credentials  # type: ignore[import-untyped]  # it ships no types
from moto.server import ThreadedMotoServer

from hilum import clock
from hilum.connectors import s3
from hilum.connectors.s3.bucket import HASH
from hilum.model.message import Ack, Disposition
from hilum.outbound.dialer import Dialer
from hilum.sdk.config import read
from hilum.sdk.contracts import Deposit, Outbound, ProbeResult
from hilum.sdk.faults import Fault
from hilum.sdk.outcome import Ambiguous, Delivered, Deposited, Outcome, Permanent, Placed, Transient
from hilum.sdk.polling import HEAD
from hilum.sdk.testing import DirectDialer, MemoryInbox, free_port
from hilum.sdk.testing.web import Heard, HttpPartner, Said, http_partner
from hilum.security.egress import Policy

pytestmark = pytest.mark.anyio

ADT = b"MSH|^~\\&|A|B|C|D|20260101||ADT^A01|MSG7|P|2.5\rPID|1||4711\r"
ID, SECRET, TOKEN = "AKIDEXAMPLE", "canary-s3-secret", "canary-s3-token"
SIGNS = {"type": "access_key", "access_key_id": ID, "secret_access_key": SECRET}


@dataclasses.dataclass(frozen=True)
class Store:
    """A bucket of moto's."""

    endpoint: str
    bucket: str
    client: Any

    def names(self) -> list[str]:
        return [one["Key"] for one in self.client.list_objects_v2(Bucket=self.bucket).get("Contents", [])]

    def get(self, key: str) -> bytes:
        found: bytes = self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        return found

    def uploads(self) -> list[str]:
        """Those in parts that were not ended."""
        return [one["Key"] for one in self.client.list_multipart_uploads(Bucket=self.bucket).get("Uploads", [])]

    def put(self, key: str, body: bytes) -> None:
        self.client.put_object(Bucket=self.bucket, Key=key, Body=body)

    async def until(self, *, gone: str) -> None:
        async with asyncio.timeout(10):
            while gone in await asyncio.to_thread(self.names):
                await asyncio.sleep(0.02)


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", free_port(), verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def store(moto: str) -> Store:
    client = boto3.client(
        "s3", endpoint_url=moto, region_name="us-east-1", aws_access_key_id=ID, aws_secret_access_key=SECRET
    )
    found = Store(moto, f"b-{uuid.uuid4().hex}", client)
    client.create_bucket(Bucket=found.bucket)
    return found


def values(store: Store | HttpPartner, **changes: Any) -> dict[str, Any]:
    where = (
        {"url": f"s3://{store.bucket}/in", "endpoint": store.endpoint}
        if isinstance(store, Store)
        else {"url": "s3://exchange/in", "endpoint": store.url("").rstrip("/")}
    )
    return {**where, "authentication": SIGNS, "timeout": 5_000, **changes}


async def send(store: Store | HttpPartner, *outbounds: Outbound, **changes: Any) -> list[Outcome]:
    destination = s3.Destination(read(s3.Config, values(store, **changes), ""), DirectDialer())
    try:
        return [await destination.send(one) for one in outbounds]
    finally:
        await destination.close()


async def put(store: Store | HttpPartner, body: bytes, pieces: AsyncIterator[bytes], **changes: Any) -> Deposited:
    config = read(s3.Config, values(store, part_size=5 << 20, **changes), "")
    depositor = s3.Depositor(config, DirectDialer())
    try:
        return await depositor.deposit(Deposit("d1", "a.csv", len(body), hashlib.sha256(body).digest()), pieces)
    finally:
        await depositor.close()


async def probe(store: Store | HttpPartner, **changes: Any) -> ProbeResult:
    return await s3.Probe(read(s3.Config, values(store, **changes), ""), DirectDialer()).probe()


@contextlib.asynccontextmanager
async def polling(store: Store, inbox: MemoryInbox, **changes: Any) -> AsyncIterator[None]:
    source = s3.Source(read(s3.Config, values(store, **{"poll": 10, **changes}), ""), inbox, DirectDialer())
    await source.start()
    try:
        yield
    finally:
        await source.stop()


async def halves(body: bytes) -> AsyncIterator[bytes]:
    for at in (0, len(body) // 2):
        yield body[at : at + len(body) // 2]


def error(code: str, message: str = "", **more: str) -> bytes:
    rest = "".join(f"<{name}>{value}</{name}>" for name, value in more.items())
    return f"<Error><Code>{code}</Code><Message>{message}</Message>{rest}</Error>".encode()


def told(**answers: Said) -> Any:
    """Answers by method; without one, a HEAD finds nothing, and all else is done."""
    return lambda heard: answers.get(heard.method, Said(404) if heard.method == "HEAD" else Said(200, b""))


# What is asked


def theirs(heard: Heard, region: str, token: str = "") -> str:
    """The value of Authorization that botocore gives to a request as it came over the wire."""
    match = re.search(r"SignedHeaders=([a-z0-9;-]+),", heard.headers["authorization"])
    assert match is not None
    said = {name: heard.headers[name] for name in match[1].split(";")}
    request: Any = AWSRequest(heard.method, f"http://{heard.headers['host']}{heard.target}", said)
    request.context["timestamp"] = heard.headers["x-amz-date"]
    signer = S3SigV4Auth(Credentials(ID, SECRET, token or None), "s3", region)
    text = signer.canonical_request(request)
    signature = signer.signature(signer.string_to_sign(request, text), request)
    return f"AWS4-HMAC-SHA256 Credential={signer.scope(request)}, SignedHeaders={match[1]}, Signature={signature}"


@pytest.mark.parametrize("prefix", ["in", "", "a b+c/%C3%BC%26x=1", "%F0%9F%98%80/it's (1)~"])
async def test_what_goes_over_the_wire_is_signed_as_botocore_signs_it(prefix: str) -> None:
    signs = {**SIGNS, "session_token": TOKEN}
    async with http_partner(told()) as partner:
        changes = {"url": f"s3://exchange/{prefix}", "region": "eu-central-1", "authentication": signs}
        assert await send(partner, Outbound("7", ADT), **changes) == [Delivered("written")]
        assert partner.methods == ["HEAD", "PUT"]
        for heard in partner.heard:
            assert heard.headers["authorization"] == theirs(heard, "eu-central-1", TOKEN)
            assert heard.headers["x-amz-security-token"] == TOKEN
            assert heard.headers["x-amz-content-sha256"] == hashlib.sha256(heard.body).hexdigest()
            moment = datetime.datetime.strptime(f"{heard.headers['x-amz-date']}+0000", "%Y%m%dT%H%M%SZ%z")
            assert abs(clock.now() - moment) < datetime.timedelta(minutes=1)
            assert SECRET not in str(heard)


async def test_an_object_says_what_it_is() -> None:
    async with http_partner(told()) as partner:
        kms = {"server_side_encryption": "aws:kms", "kms_key": "alias/ward"}
        await send(partner, Outbound("7", ADT), **kms)
        heard = partner.heard[1]
    said = {
        "content-type": "application/hl7-v2", "content-length": str(len(ADT)), "if-none-match": "*",
        "content-md5": base64.b64encode(hashlib.md5(ADT).digest()).decode(),
        "x-amz-checksum-sha256": base64.b64encode(hashlib.sha256(ADT).digest()).decode(),
        HASH: hashlib.sha256(ADT).hexdigest(),
        "x-amz-server-side-encryption": "aws:kms", "x-amz-server-side-encryption-aws-kms-key-id": "alias/ward",
    }  # fmt: skip
    assert {name: heard.headers[name] for name in said} == said
    assert heard.target == "/exchange/in/7.hl7"
    assert heard.body == ADT


async def test_a_large_object_goes_in_parts(store: Store) -> None:
    body = bytes(range(256)) * 24_000  # 6 MB
    assert await send(store, Outbound("7", body), part_size=5 << 20) == [Delivered("written")]
    assert store.get("in/7.hl7") == body
    found = store.client.head_object(Bucket=store.bucket, Key="in/7.hl7")
    assert found["ETag"].endswith('-2"'), "it has two parts"
    assert found["Metadata"] == {"sha256": hashlib.sha256(body).hexdigest()}
    assert store.uploads() == []


async def test_nothing_is_overwritten_unless_that_is_wanted(store: Store) -> None:
    sent = [("1", b"one"), ("2", b"two"), ("1", b"one"), ("2", b"two")]
    outbounds = [Outbound(identity, body, attributes={"ward": "icu"}) for identity, body in sent]
    found = await send(store, *outbounds, file_name="{ward}.txt")
    assert [one.detail for one in found] == ["written", "written", "already there", "already there"]
    assert {key: store.get(key) for key in store.names()} == {"in/icu.txt": b"one", "in/icu-2.txt": b"two"}
    found = await send(store, outbounds[1], file_name="{ward}.txt", exists="refuse")
    assert found == [Permanent("another object has this name there")]
    assert await send(store, outbounds[1], file_name="{ward}.txt", exists="replace") == [Delivered("written")]
    assert store.get("in/icu.txt") == b"two"


async def test_who_takes_the_name_meanwhile_keeps_it(store: Store) -> None:
    """Between the look and the end of the upload; small and in parts."""
    for size in (10, 11 << 20):
        body = bytes(size)

        async def slow(body: bytes = body) -> AsyncIterator[bytes]:
            async for half in halves(body):
                yield half
                await asyncio.to_thread(store.put, "in/a.csv", b"another's")

        outcome = await put(store, body, slow())
        assert outcome == Transient("another object has got this name meanwhile", answered=True)
        assert {key: store.get(key) for key in store.names()} == {"in/a.csv": b"another's"}
        assert store.uploads() == []
        store.client.delete_object(Bucket=store.bucket, Key="in/a.csv")


async def test_an_upload_that_fails_is_given_up(store: Store) -> None:
    body = bytes(11 << 20)

    async def failing() -> AsyncIterator[bytes]:
        yield body[: len(body) * 9 // 10]
        assert await asyncio.to_thread(store.uploads) == ["in/a.csv"], "it had begun"
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        await put(store, body, failing())
    assert (store.names(), store.uploads()) == ([], [])
    assert isinstance(await put(store, body, halves(b"y" * len(body))), Permanent)
    assert (store.names(), store.uploads()) == ([], [])


# What an answer means


@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        (
            Said(403, error("AccessDenied", "User: x is not\nauthorized")),
            Transient("403 AccessDenied: User: x is not authorized"),
        ),
        (
            Said(403, error("SignatureDoesNotMatch", "Check your key.", StringToSign="canary")),
            Transient("403 SignatureDoesNotMatch: Check your key."),
        ),
        (Said(403, b"<html>denied</html>"), Transient("403 AccessDenied")),
        (Said(404, error("NoSuchBucket", "It is gone")), Transient("404 NoSuchBucket: It is gone")),
        (
            Said(301, error("PermanentRedirect", "elsewhere"), {"x-amz-bucket-region": "eu-west-1"}),
            Transient("301 PermanentRedirect: the bucket is in the region eu-west-1"),
        ),
        (
            Said(400, error("AuthorizationHeaderMalformed", "wrong", Region="eu-west-1")),
            Transient("400 AuthorizationHeaderMalformed: the bucket is in the region eu-west-1"),
        ),
        (
            Said(503, error("SlowDown", "Reduce your rate."), {"retry-after": "7"}),
            Transient("503 SlowDown: Reduce your rate.", answered=True, retry_after=7.0),
        ),
        (Said(500, error("InternalError")), Transient("500 InternalError", answered=True)),
        (Said(400, error("BadDigest", "MD5")), Transient("400 BadDigest: MD5", answered=True)),
        (
            Said(409, error("ConditionalRequestConflict")),
            Transient("409 ConditionalRequestConflict", answered=True),
        ),
        (Said(400, error("EntityTooLarge", "5 GB")), Permanent("400 EntityTooLarge: 5 GB")),
        (Said(501, error("NotImplemented", "If-None-Match")), Permanent("501 NotImplemented: If-None-Match")),
        (Said(400, b"\xff"), Permanent("400 Error")),
        (Said(0), Ambiguous("Server disconnected without sending a response.")),
    ],
)  # fmt: skip
async def test_what_an_answer_means(said: Said, outcome: Outcome) -> None:
    async with http_partner(told(PUT=said)) as partner:
        assert await send(partner, Outbound("7", ADT)) == [outcome]


async def test_what_is_wrong_before_anything_was_sent_is_not_ambiguous() -> None:
    async with http_partner(told(HEAD=Said(0))) as partner:
        (outcome,) = await send(partner, Outbound("7", ADT))
        assert isinstance(outcome, Transient)
        assert partner.methods == ["HEAD"]


DONE = b"<CompleteMultipartUploadResult/>"


@pytest.mark.parametrize(
    ("last", "outcome", "abandoned"),
    [
        (Said(200, DONE), Placed("s3://exchange/in/a.csv"), False),
        (Said(200, error("InternalError", "later")), Transient("200 InternalError: later", answered=True), True),
        (Said(200, b""), Ambiguous("the answer is no XML: no element found"), True),
        (Said(0), Ambiguous("Server disconnected without sending a response."), True),
    ],
)
async def test_the_end_of_an_upload_may_fail_after_its_answer_began(
    last: Said, outcome: Deposited, abandoned: bool
) -> None:
    begun = Said(200, b"<InitiateMultipartUploadResult><UploadId>u/1+</UploadId></InitiateMultipartUploadResult>")
    posts = deque([begun, last])
    body = bytes(6 << 20)

    def react(heard: Heard) -> Said:
        if heard.method == "POST":
            return posts.popleft()
        return Said(404) if heard.method == "HEAD" else Said(200, b"", {"etag": f'"<{len(partner.heard)}>"'})

    async with http_partner(react) as partner:
        assert await put(partner, body, halves(body)) == outcome
        methods = ["HEAD", "POST", "PUT", "PUT", "POST"]
        assert partner.methods == [*methods, *(["DELETE"] if abandoned else [])]
        assert partner.heard[2].target == "/exchange/in/a.csv?partNumber=1&uploadId=u%2F1%2B"
        assert partner.heard[4].body == (
            b'<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>"&lt;3&gt;"</ETag></Part>'
            b'<Part><PartNumber>2</PartNumber><ETag>"&lt;4&gt;"</ETag></Part></CompleteMultipartUpload>'
        )
        assert [len(one.body) for one in partner.heard[2:4]] == [5 << 20, 1 << 20]
        for heard in partner.heard:
            assert heard.headers["authorization"] == theirs(heard, "us-east-1")


async def test_a_probe_lists_one_object_and_reads_none(store: Store) -> None:
    store.put("in/a.hl7", ADT)
    found = await probe(store)
    assert (found.reachable, found.detail, found.status) == (True, "the bucket can be listed", 200)
    assert store.names() == ["in/a.hl7"]
    async with http_partner(lambda _: Said(200, b"<ListBucketResult/>")) as partner:
        assert (await probe(partner)).reachable
        (heard,) = partner.heard
        assert heard.method == "GET"
        wanted = "/exchange/?delimiter=%2F&encoding-type=url&list-type=2&max-keys=1&prefix=in%2F"
        assert heard.target == wanted


async def test_a_failure_has_its_class_and_shows_no_secret(store: Store) -> None:
    missing = await probe(store, url="s3://nobody-s-bucket/in")
    assert (missing.fault, missing.status) == (Fault.NOT_FOUND, 404)
    assert missing.detail.startswith("404 NoSuchBucket: ")
    async with http_partner(lambda _: Said(403, error("AccessDenied", "no"))) as partner:
        denied = await probe(partner)
        assert (denied.fault, denied.detail) == (Fault.FORBIDDEN, "403 AccessDenied: no")
        assert denied.advice
    async with http_partner(lambda _: Said(301, error("PermanentRedirect"))) as partner:
        assert (await probe(partner)).fault is Fault.CONFIGURATION
    async with http_partner(lambda _: Said(200, b"hello")) as partner:
        assert (await probe(partner)).fault is Fault.PROTOCOL
    config = read(s3.Config, values(store), "")
    refused = await s3.Probe(config, Dialer([], Policy())).probe()
    assert refused.fault is Fault.BLOCKED_BY_POLICY, "the hub's own dialer connects, or nobody"
    for one in (missing, denied, refused):
        assert SECRET not in repr(one)


# In


async def test_objects_are_taken_whatever_they_are_called_and_put_away(store: Store) -> None:
    inbox, names = MemoryInbox(), ["a b+c.hl7", "größe 😀.hl7", "it's (1)&=%25.hl7", "x.hl7"]
    for name in (*names, ".hidden.hl7", "half.hl7.part", "other.txt", "deeper/y.hl7"):
        store.put(f"in/{name}", name.encode())
    store.put("in/", b"")
    store.put("beside.hl7", b"beside")
    async with polling(store, inbox, pattern="*.hl7"):
        await inbox.until(len(names))
        for name in names:
            await store.until(gone=f"in/{name}")
        inbox.disposition, inbox.code = Disposition.ERROR, Ack.AR
        store.put("in/bad.hl7", b"junk")
        store.put("in/empty.hl7", b"")
        for name in ("bad.hl7", "empty.hl7"):
            await store.until(gone=f"in/{name}")
    assert sorted(inbox.bodies) == sorted([*(name.encode() for name in names), b"junk"])
    assert [one.reason for one in inbox.stored if one.reason] == ["the file is empty"]
    assert {one.attributes["file_name"] for one in inbox.stored} >= set(names)
    kept = {f"in/archive/{name}" for name in names} | {"in/error/bad.hl7", "in/error/empty.hl7"}
    left = {"in/", "in/.hidden.hl7", "in/half.hl7.part", "in/other.txt", "in/deeper/y.hl7", "beside.hl7"}
    assert set(store.names()) == kept | left
    assert store.get("in/archive/größe 😀.hl7") == "größe 😀.hl7".encode()


async def test_an_object_left_by_a_crash_after_the_commit_is_not_taken_twice(store: Store) -> None:
    inbox = MemoryInbox()
    for _ in range(2):  # the second time it lies there as if it had never been moved
        store.put("in/a.hl7", ADT)
        async with polling(store, inbox):
            await store.until(gone="in/a.hl7")
    assert inbox.bodies == [ADT]
    assert len(store.names()) == 2, "nothing is overwritten in the archive"


async def test_what_was_put_there_meanwhile_is_not_deleted_with_what_was_read(store: Store) -> None:
    inbox = MemoryInbox()
    inbox.hold()
    store.put("in/a.hl7", b"one")
    async with polling(store, inbox, after="delete"):
        await inbox.until(1)
        await asyncio.to_thread(store.put, "in/a.hl7", b"two")
        assert store.get("in/a.hl7") == b"two"
        inbox.release()
        await inbox.until(2)
        await store.until(gone="in/a.hl7")
    assert inbox.bodies == [b"one", b"two"]
    assert store.names() == []


async def test_objects_that_stay_are_taken_once_also_after_a_restart(store: Store) -> None:
    inbox = MemoryInbox()
    store.put("in/a.hl7", b"one")
    for _ in range(2):
        async with polling(store, inbox, after="keep"):
            await inbox.until(1)
            await asyncio.sleep(0.1)
    store.put("in/a.hl7", b"another")
    async with polling(store, inbox, after="keep"):
        await inbox.until(2)
    assert inbox.bodies == [b"one", b"another"]
    assert store.names() == ["in/a.hl7"]


async def test_an_oversized_object_is_put_aside_and_not_silent(store: Store) -> None:
    inbox = MemoryInbox()
    store.put("in/large.hl7", b"x" * 100_000)
    store.put("in/small.hl7", b"x" * 10)
    async with polling(store, inbox, after="delete", max_bytes=10):
        await store.until(gone="in/large.hl7")
        await store.until(gone="in/small.hl7")
    assert inbox.bodies == [b"x" * 10]
    (rejected,) = [one for one in inbox.stored if one.reason]
    assert (rejected.reason, len(rejected.body)) == ("the file has 100000 bytes, more than 10", HEAD)
    assert store.names() == ["in/error/large.hl7"]


async def test_a_list_of_several_pages_is_read_to_its_end() -> None:
    pages = {
        "": b"<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>n/1=</NextContinuationToken>"
        b"<Contents><Key>in/a</Key><Size>1</Size></Contents><Contents><Key>no size</Key></Contents></ListBucketResult>",
        "n%2F1%3D": b"<ListBucketResult><IsTruncated>false</IsTruncated>"
        b"<Contents><Key>in/b+c</Key><Size>1</Size></Contents></ListBucketResult>",
    }

    def react(heard: Heard) -> Said:
        if "list-type" in heard.target:
            found = re.search(r"continuation-token=([^&]*)", heard.target)
            return Said(200, pages[found[1] if found else ""])
        return Said(200, b"x") if heard.method == "GET" else Said(404)

    inbox = MemoryInbox()
    async with http_partner(react) as partner:
        config = read(s3.Config, values(partner, poll=10, after="keep"), "")
        source = s3.Source(config, inbox, DirectDialer())
        await source.start()
        await inbox.until(2)
        await source.stop()
    assert [one.attributes["file_name"] for one in inbox.stored] == ["a", "b c"]
