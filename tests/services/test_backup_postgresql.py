"""On PostgreSQL the database's own tools back up, and docs/how-to/back-up-and-restore.md says how: it is done here."""

from __future__ import annotations

import asyncio
import hashlib
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from hilum.errors import ConfigError
from hilum.model.delivery import Pending
from hilum.model.message import Disposition, NewMessage
from hilum.security.keyring import Keyring
from hilum.services.backup import create
from hilum.store import Store, deliveries, messages, schema, snapshot

pytestmark = pytest.mark.anyio
PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "back-up-and-restore.md"


def address(conninfo: str) -> str:
    """As an operator writes it."""
    parts = conninfo_to_dict(conninfo)
    query = "&".join(f"{name}={value}" for name, value in parts.items() if name not in {"user", "password", "dbname"})
    password = f":{parts['password']}" if parts.get("password") else ""
    return f"postgresql://{parts.get('user', '')}{password}@/{parts['dbname']}?{query}"


def message(name: str) -> NewMessage:
    body = name.encode() * 100
    made = [Pending(2, 1, 0, 0, 7, 1, body) for _ in range(2)]
    digest = hashlib.sha256(body).digest()
    return NewMessage(
        1, 1, 5, Disposition.DELIVERING, "AA", "", name, body, digest, keys=(len(name) * 2,), deliveries=made
    )


def block(language: str, holding: str) -> str:
    """The commands of the page that hold some words."""
    found = re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    (one,) = [text for text in found if holding in text]
    return str(one)


async def shell(command: str, folder: Path, url: str) -> None:
    process = await asyncio.create_subprocess_shell(
        command, cwd=folder, env={"PATH": "/usr/bin:/bin:/usr/local/bin", "HILUM_DATABASE": url}, stderr=subprocess.PIPE
    )
    _, errors = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, errors.decode()


def counts(conninfo: str) -> dict[str, int]:
    with psycopg.connect(conninfo) as connection:
        names = [*schema.metadata.tables, "search_key"]
        found = {}
        for name in names:
            row = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(name))).fetchone()
            found[name] = row[0] if row else 0
        return found


@pytest.mark.ledger_part("S0-66", "the documented way on PostgreSQL: row counts and the newest message's body hash")
async def test_a_dump_is_restored_as_the_page_says(postgres: str, empty_postgres: str, tmp_path: Path) -> None:
    if shutil.which("pg_dump") is None or shutil.which("pg_restore") is None:
        pytest.skip("absent: pg_dump and pg_restore")
    (tmp_path / "data").mkdir()
    keyring, _ = Keyring.create(tmp_path / "data" / "hub.key")
    store = await Store(tmp_path / "data", keyring, address(postgres)).open(lambda one: ())
    stored = [await store.append(message(str(n))) for n in range(40)]
    await shell(block("sh", "pg_dump"), tmp_path, address(postgres))
    before = counts(postgres)
    lost = await store.append(message("lost"))
    store.mark.add(stored[0].deliveries[0].id)
    await store.close()

    await shell(block("sh", "pg_restore"), tmp_path, address(empty_postgres))
    assert counts(empty_postgres) == before
    with psycopg.connect(empty_postgres) as connection:
        for statement in block("sql", "generation").split(";"):
            if statement.strip():
                connection.execute(statement.encode())
    (tmp_path / "new").mkdir()
    shutil.copy(tmp_path / "data" / "hub.key", tmp_path / "new" / "hub.key")
    shutil.copy(tmp_path / "data" / "hub.mark", tmp_path / "new" / "hub.mark")
    again = await Store(tmp_path / "new", Keyring.load(tmp_path / "new" / "hub.key"), address(empty_postgres)).open(
        lambda one: ()
    )
    (newest,) = await again.read(lambda one: messages.newest(one, 1, messages.Filter(), limit=1))
    assert (newest.id, newest.body_hash) == (stored[-1].id, stored[-1].body_hash)
    bodies = await again.read(messages.bodies, again.sealer, [one.id for one in stored])
    assert bodies == {one.id: one.body for one in stored}
    states: dict[int, Any] = await again.read(deliveries.states, [stored[0].deliveries[0].id])
    assert [one.name for one in states.values()] == ["PENDING"], "the old life's mark is not believed"
    new = await again.append(message("new"))
    assert new.id > lost.id + snapshot.STEP // 2
    assert new.deliveries[0].id > lost.deliveries[0].id + snapshot.STEP // 2
    (first, second) = await again.read(deliveries.of_message, new.deliveries[0].id, 2)
    assert (first.position, second.position) == (81, 82)
    await again.close()


async def test_hilum_backup_says_what_to_do(postgres: str, tmp_path: Path) -> None:
    keyring, _ = Keyring.create(tmp_path / "hub.key")
    store = await Store(tmp_path, keyring, address(postgres)).open(lambda one: ())
    with pytest.raises(ConfigError, match=r"pg_dump, and keep hub\.key"):
        await create(store, tmp_path / "hub.age")
    await store.close()
    assert not (tmp_path / "hub.age").exists()
