"""Stores on both databases. On PostgreSQL the store runs as a role that owns nothing, as it does in production.

(Row level security comes with the organizations' own roles; what is here proves that the grants suffice.)
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from psycopg import sql

from hilum import clock
from hilum.errors import StoreError
from hilum.model.delivery import Pending
from hilum.model.message import Disposition, Message, NewMessage
from hilum.security.keyring import Keyring
from hilum.store import Store
from hilum.store.database import Database
from hilum.store.migrate import migrate

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
def owner_url(postgres: str) -> str:
    """The address of an empty PostgreSQL database, as its owner."""
    return _address(psycopg.conninfo.conninfo_to_dict(postgres))


@pytest.fixture
def role_url(owner_url: str, tmp_path: Path) -> Iterator[str]:
    """The address of a migrated PostgreSQL database, as a role that may only read and write rows."""
    owner = Database(owner_url, tmp_path)
    migrate(owner)
    owner.dispose()
    name = f"hilum_test_{uuid.uuid4().hex[:16]}"
    role = sql.Identifier(name)
    with psycopg.connect(owner_url, autocommit=True) as server:
        server.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'test'").format(role))
        server.execute(
            sql.SQL("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {}").format(role)
        )
        server.execute(sql.SQL("GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {}").format(role))
    yield _address({**psycopg.conninfo.conninfo_to_dict(owner_url), "user": name, "password": "test"})
    with psycopg.connect(owner_url, autocommit=True) as server:
        server.execute(sql.SQL("DROP OWNED BY {}").format(role))
        server.execute(sql.SQL("DROP ROLE {}").format(role))


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str | None:
    """The address of a store, on one database after the other; None is SQLite in the folder."""
    found: str | None = request.getfixturevalue("role_url") if request.param == "postgresql" else None
    return found


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


def _address(parts: dict[str, Any]) -> str:
    known = {one: parts.pop(one) for one in ("user", "password", "dbname") if one in parts}
    address = sa.URL.create(
        "postgresql", known.get("user"), known.get("password"), database=known.get("dbname"),
        query={name: str(value) for name, value in parts.items() if value is not None},
    )  # fmt: skip
    return address.render_as_string(hide_password=False)
