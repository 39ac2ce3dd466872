from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import itertools
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import boto3  # type: ignore[import-untyped]  # it ships no types
import pytest
from moto.server import ThreadedMotoServer

from hilum.connectors import s3
from hilum.connectors.s3.bucket import Address
from hilum.errors import ConfigError
from hilum.sdk import testing
from hilum.sdk.config import read
from hilum.sdk.testing import free_port
from hilum.sdk.testing.web import HttpPartner, Said

pytestmark = pytest.mark.anyio

AMAZON = "exchange.s3.us-east-2.amazonaws.com"
SIGNS = {"type": "access_key", "access_key_id": "AKIDEXAMPLE", "secret_access_key": "canary-s3-secret"}


@dataclasses.dataclass(frozen=True)
class Store:
    """A bucket of a store on the loopback."""

    port: int
    bucket: str = dataclasses.field(default_factory=lambda: f"b-{uuid.uuid4().hex}")

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def client(self) -> Any:
        """Amazon's own."""
        return boto3.client(
            "s3", endpoint_url=self.endpoint, region_name="us-east-1", aws_access_key_id="AKIDEXAMPLE",
            aws_secret_access_key="canary-s3-secret",
        )  # fmt: skip

    def names(self) -> list[str]:
        return [one["Key"] for one in self.client.list_objects_v2(Bucket=self.bucket).get("Contents", [])]

    def objects(self) -> dict[str, bytes]:
        client = self.client
        return {key: client.get_object(Bucket=self.bucket, Key=key)["Body"].read() for key in self.names()}

    def uploads(self) -> list[str]:
        """Those in parts that were not ended."""
        return [one["Key"] for one in self.client.list_multipart_uploads(Bucket=self.bucket).get("Uploads", [])]

    @property
    def received(self) -> list[bytes]:
        return list(self.objects().values())

    def put(self, key: str, body: bytes) -> None:
        self.client.put_object(Bucket=self.bucket, Key=key, Body=body)


@contextlib.contextmanager
def moto(store: Store) -> Iterator[Store]:
    """A server in a thread of its own."""
    server = ThreadedMotoServer("127.0.0.1", store.port, verbose=False)
    server.start()
    try:
        with contextlib.suppress(store.client.exceptions.BucketAlreadyOwnedByYou):
            store.client.create_bucket(Bucket=store.bucket)
        yield store
    finally:
        server.stop()


def values(store: Store, **changes: Any) -> dict[str, Any]:
    own = {"url": f"s3://{store.bucket}/in", "endpoint": store.endpoint, "authentication": SIGNS}
    return {**own, "timeout": 5_000, **changes}


class Bucket:
    """A partner that is a store."""

    module: ClassVar[ModuleType] = s3

    def address(self, folder: Path) -> Store:
        return Store(free_port())

    def port(self, place: Store) -> int:
        return place.port

    def through(self, place: Store, port: int) -> Store:
        return dataclasses.replace(place, port=port)

    def values(self, place: Store) -> dict[str, Any]:
        return values(place, poll=10, part_size=5 << 20)

    @contextlib.asynccontextmanager
    async def playing(self, place: Store, mood: testing.Mood) -> AsyncIterator[Any]:
        if mood == "takes":
            with moto(place):
                yield place
            return
        if mood == "silent":
            async with await asyncio.start_server(listen, "127.0.0.1", place.port):
                yield place
            return
        partner = HttpPartner(lambda heard: Said(404) if heard.method == "HEAD" else ANSWERS[mood])
        await partner.start(place.port)
        try:
            yield partner
        finally:
            await partner.stop()

    def partner(self, place: Store, mood: testing.Mood) -> Any:
        return self.playing(place, mood)


async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Knows no object, and says nothing else."""
    with contextlib.suppress(OSError, asyncio.IncompleteReadError), contextlib.closing(writer):
        while (await reader.readuntil(b"\r\n\r\n")).startswith(b"HEAD "):
            writer.write(b"HTTP/1.1 404 Not Found\r\n\r\n")
        await reader.read()


def error(code: str, message: str = "") -> bytes:
    return f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()


ANSWERS = {
    "refuses": Said(400, error("EntityTooLarge", "Your proposed upload is too large")),
    "busy": Said(503, error("SlowDown", "Please reduce your request rate."), {"retry-after": "7"}),
}


class TestConfig(testing.ConfigSuite):
    module: ClassVar[ModuleType] = s3
    example: ClassVar[dict[str, Any]] = {"url": "s3://exchange/in", "authentication": SIGNS}


class TestSource(Bucket, testing.SourceSuite):
    numbers = itertools.count(1)

    @pytest.fixture
    def place(self) -> Iterator[Store]:
        with moto(Store(free_port())) as store:
            yield store

    async def deliver(self, place: Store, body: bytes) -> None:
        name = f"{next(self.numbers):03}.hl7"
        await asyncio.to_thread(place.put, f"in/{name}", body)
        while True:
            found = await asyncio.to_thread(place.names)
            if f"in/{name}" not in found:
                break
            await asyncio.sleep(0.02)
        if f"in/archive/{name}" not in found:
            raise AssertionError("it was not taken")

    @contextlib.asynccontextmanager
    async def occupied(self, place: Store) -> AsyncIterator[None]:
        place.client.delete_bucket(Bucket=place.bucket)
        yield
        place.client.create_bucket(Bucket=place.bucket)


class TestDestination(Bucket, testing.DestinationSuite):
    pass


@pytest.mark.ledger_part("S1-22", "S3-compatible")
class TestDepositor(Bucket, testing.DepositorSuite):
    large: ClassVar[int] = 12 << 20  # three parts

    async def held(self, place: Store) -> dict[str, bytes]:
        found = await asyncio.to_thread(place.objects)
        return {key.removeprefix("in/"): body for key, body in found.items()}


class TestProbe(Bucket, testing.ProbeSuite):
    pass


# Config


def config(**changes: Any) -> s3.Config:
    return read(s3.Config, {"url": "s3://exchange/in", "authentication": SIGNS, **changes}, "")


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "s3:///in"}, {"url": "s3://a"}, {"url": "s3://a..b/in"}, {"url": "s3://user@bucket/in"},
        {"url": "s3://bucket/in?x=1"}, {"url": "s3://bucket/a/../b"}, {"url": "s3://bucket/a//b"},
        {"url": "s3://bucket/a%0Ab"}, {"url": f"s3://bucket/{'x' * 801}"}, {"endpoint": "minio:9000"},
        {"endpoint": "ftp://minio"}, {"endpoint": "http://k:canary@minio"}, {"endpoint": "http://minio:99999"},
        {"endpoint": "https://minio/?x"}, {"endpoint": "http://0177.0.0.1"}, {"endpoint": "https://größe.example"},
        {"archive": "/"}, {"error": "a/../b"}, {"file_name": "current.hl7"},
        {"region": "eu west"}, {"server_side_encryption": "rot13"}, {"kms_key": "k"}, {"part_size": 1 << 20},
        {"authentication": None}, {"authentication": {"type": "basic", "username": "a", "password": "canary"}},
        {"authentication": {"type": "access_key", "access_key_id": "a"}},
    ],
)  # fmt: skip
def test_a_configuration_that_cannot_work_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        config(**wrong)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "address"),
    [
        (
            {"region": "us-east-2"},
            Address("exchange", f"https://{AMAZON}", AMAZON, ""),
        ),
        (
            {"url": "s3://a.b", "region": "eu-west-1"},
            Address("a.b", "https://s3.eu-west-1.amazonaws.com", "s3.eu-west-1.amazonaws.com", "/a.b"),
        ),
        (
            {"endpoint": "http://minio:9000"},
            Address("exchange", "http://minio:9000", "minio:9000", "/exchange"),
        ),
        (
            {"endpoint": "https://minio:443/s3/", "path_style": True},
            Address("exchange", "https://minio", "minio", "/s3/exchange"),
        ),
        (
            {"endpoint": "https://store.example", "path_style": False},
            Address("exchange", "https://exchange.store.example", "exchange.store.example", ""),
        ),
        (
            {"endpoint": "http://[fd12::1]:9000"},
            Address("exchange", "http://[fd12::1]:9000", "[fd12::1]:9000", "/exchange"),
        ),
    ],
)  # fmt: skip
def test_where_a_bucket_is(changes: dict[str, Any], address: Address) -> None:
    assert config(**changes).address == address


@pytest.mark.parametrize(
    ("url", "prefix", "archive"),
    [
        ("s3://exchange", "", "archive/"), ("s3://exchange/", "", "archive/"),
        ("s3://exchange/in/", "in/", "in/archive/"), ("s3://exchange/a%20b/c", "a b/c/", "a b/c/archive/"),
    ],
)  # fmt: skip
def test_a_prefix_is_a_folder(url: str, prefix: str, archive: str) -> None:
    found = config(url=url)
    assert (found.prefix, found.below(found.archive), found.below("/done")) == (prefix, archive, "done/")
