"""Stores on both databases. On PostgreSQL the store runs as a role that owns nothing, as it does in production.

(Row level security comes with the organizations' own roles; what is here proves that the grants suffice.)
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from hilum import clock
from hilum.errors import StoreError
from hilum.model.delivery import Pending
from hilum.model.message import Disposition, Message, NewMessage
from hilum.security.keyring import Keyring
from hilum.store import Store

Open = Callable[..., Awaitable[Store]]


def dedupe_key(control_id: str) -> int:
    """A de-duplication key (its lowest bit is set), such as intake makes of MSH-10."""
    digest = hashlib.blake2b(control_id.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True) | 1


def keys_again(message: Message) -> Sequence[int]:
    """What the store calls to make the keys of a stored message again."""
    return [dedupe_key(message.control_id)]


@pytest.fixture(scope="session")
def key_of() -> Callable[[str], int]:
    """The key under which `arrived` messages are found, by control id."""
    return dedupe_key


@pytest.fixture(scope="session")
def keyring(tmp_path_factory: pytest.TempPathFactory) -> Keyring:
    """One set of keys for all tests of a run."""
    return Keyring.create(tmp_path_factory.mktemp("keys") / "hub.key")[0]


@pytest.fixture(scope="session")
def arrived() -> Callable[..., NewMessage]:
    """Makes a message as intake hands it over; its only key is that of its control id."""

    def make(control_id: str = "1", body: bytes = b"MSH|^~\\&|A", **values: Any) -> NewMessage:
        values = {
            "organization": 1, "endpoint": 1, "received_at": clock.micros(), "disposition": Disposition.DELIVERING,
            "ack": "AA", "type": "ADT^A01", "routes": "1", "keys": (dedupe_key(control_id),), **values,
        }  # fmt: skip
        return NewMessage(control_id=control_id, body=body, body_hash=hashlib.sha256(body).digest(), **values)

    return make


@pytest.fixture(scope="session")
def queued() -> Callable[..., Pending]:
    """Makes a delivery as the pipeline hands it over."""

    def make(destination: int = 2, *, lane: int = 0, shard: int | None = None, **values: Any) -> Pending:
        shard = (destination + lane) % 64 if shard is None else shard
        values = {"route": 1, "ordinal": 0, "digest": 7, "body": b"MSH|made", **values}
        return Pending(destination, lane=lane, shard=shard, **values)

    return make


@pytest.fixture
async def open_store(tmp_path: Path, keyring: Keyring, anyio_backend: object) -> AsyncIterator[Open]:
    """Opens stores (SQLite in `tmp_path` unless told otherwise) and closes those that are left open."""
    opened: list[Store] = []

    async def open(folder: Path = tmp_path, url: str | None = None) -> Store:
        await asyncio.to_thread(folder.mkdir, exist_ok=True)
        store = await Store(folder, keyring, url).open(keys_again)
        opened.append(store)
        return store

    yield open
    for store in opened:
        with contextlib.suppress(StoreError):  # the test has closed it already
            await store.close()


@pytest.fixture
async def store(url: str | None, open_store: Open) -> Store:
    """An open store, on one database after the other. (`url` is asked for first, so that it goes last.)"""
    return await open_store(url=url)


@pytest.fixture
async def sqlite_store(open_store: Open) -> Store:
    """An open store on SQLite."""
    return await open_store()
