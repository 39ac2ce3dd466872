"""What every test may ask for: the loop, the corpora, a database of its own.

A part that is absent skips its tests, and the closing lines say so loudly; under CI an absent server fails.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import shutil
import subprocess
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import psycopg
import psycopg.conninfo
import pytest
import sqlalchemy as sa
from psycopg import sql
from sqlalchemy import make_url

from hilum import telemetry
from hilum.model.access import Principal, PrincipalKind, Scope
from hilum.model.audit import Act
from hilum.store import store as store_module
from hilum.store.database import Database
from hilum.store.grants import grant
from hilum.store.migrate import migrate, prepare

SETTINGS = {name: value for name, value in os.environ.items() if name.startswith("HILUM_")}
POSTGRES = SETTINGS.get("HILUM_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/postgres")
if "CI" not in os.environ:  # there hypothesis has such a profile of its own
    hypothesis.settings.register_profile("busy", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
    hypothesis.settings.load_profile("busy")
CORPUS = Path(SETTINGS.get("HILUM_CORPUS") or Path(__file__).parents[2] / "shared" / "corpus")


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The shell's HILUM_* variables must not reach what is tested."""
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def _own_secrets() -> Iterator[None]:
    """What a test made a secret would mask words of those after it, and thousands of them slow every log line down."""
    with telemetry.secrets.forgotten():
        yield


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """Async tests run on the loop that serves."""
    return "asyncio", {"use_uvloop": importlib.util.find_spec("uvloop") is not None}


@pytest.fixture(scope="session")
def act() -> Callable[..., Act]:
    """Makes an act of somebody at the hub's own machine, on the rows of an organization."""

    def make(organization: int = 1, action: str = "test.act") -> Act:
        who = Principal(PrincipalKind.LOCAL, "local:test", "local:test", organization)
        return Act(who, Scope(organization), action)

    return make


@pytest.fixture
def served_log(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], str]]:
    """Logs as `serve` does, whatever a command that ran before set; call it for what was logged since."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    telemetry.configure()
    yield lambda: caplog.text
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture(scope="session")
def corpus() -> Path:
    """The folder of messages and datasets that others wrote (HILUM_CORPUS)."""
    if not CORPUS.is_dir():
        pytest.skip(f"corpus absent: {CORPUS} (HILUM_CORPUS)")
    return CORPUS


@pytest.fixture(scope="session")
def postgres_server() -> str:
    """The URL of a server where databases may be created (HILUM_TEST_POSTGRES)."""
    try:
        psycopg.connect(POSTGRES, connect_timeout=5).close()
    except psycopg.OperationalError as error:
        absent = f"postgres absent: {str(error).splitlines()[0]} (HILUM_TEST_POSTGRES; scripts/services start)"
        if os.environ.get("CI"):
            pytest.fail(absent)
        pytest.skip(absent)
    return POSTGRES


@contextlib.contextmanager
def made_database(server: str, template: str) -> Iterator[str]:
    """The URL of a new database; dropped afterwards, whoever is still connected."""
    name = f"hilum_test_{uuid.uuid4().hex[:16]}"
    names = {"name": sql.Identifier(name), "template": sql.Identifier(template)}
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {name} TEMPLATE {template}").format(**names))
    yield make_url(server).set(database=name).render_as_string(hide_password=False)
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {name} WITH (FORCE)").format(**names))


@pytest.fixture(scope="session")
def migrated_postgres(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The name of a database that has our schema: it is copied in a tenth of the time of a migration."""
    with made_database(postgres_server, "template0") as made:
        owner = Database(_address(psycopg.conninfo.conninfo_to_dict(made)), tmp_path_factory.mktemp("template"))
        migrate(owner)
        owner.dispose()
        yield str(make_url(made).database)


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that has our schema."""
    made = Database(None, tmp_path_factory.mktemp("template"))
    migrate(made)
    made.dispose()
    return made.path


@pytest.fixture(autouse=True)
def _copied(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new SQLite store begins as a copy of a migrated one. `hilum serve` and test_migrate.py do migrate."""

    def copy(database: Database, owner: str | None) -> None:
        if database.embedded and not database.path.exists():
            shutil.copy(request.getfixturevalue("migrated_sqlite"), database.path)
        prepare(database, owner)

    monkeypatch.setattr(store_module, "prepare", copy)


@pytest.fixture
def postgres(postgres_server: str, migrated_postgres: str) -> Iterator[str]:
    """The URL of a migrated database of this test's own."""
    with made_database(postgres_server, migrated_postgres) as made:
        yield made


@pytest.fixture
def empty_postgres(postgres_server: str) -> Iterator[str]:
    """The same, with nothing in it."""
    with made_database(postgres_server, "template0") as made:
        yield made


@pytest.fixture
def owner_url(postgres: str) -> str:
    """The address of a migrated PostgreSQL database, as its owner."""
    return _address(psycopg.conninfo.conninfo_to_dict(postgres))


@pytest.fixture
def empty_url(empty_postgres: str) -> str:
    """The address of an empty PostgreSQL database, as its owner."""
    return _address(psycopg.conninfo.conninfo_to_dict(empty_postgres))


@pytest.fixture
def role_url(owner_url: str, tmp_path: Path) -> Iterator[str]:
    """The address of a migrated PostgreSQL database, as a role that may only read and write rows."""
    owner = Database(owner_url, tmp_path)
    name = f"hilum_test_{uuid.uuid4().hex[:16]}"
    role = sql.Identifier(name)
    with psycopg.connect(owner_url, autocommit=True) as server:
        server.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'test'").format(role))
    with owner.writer.begin() as connection:
        grant(connection, name)
    owner.dispose()
    yield _address({**psycopg.conninfo.conninfo_to_dict(owner_url), "user": name, "password": "test"})
    with psycopg.connect(owner_url, autocommit=True) as server:
        server.execute(sql.SQL("DROP OWNED BY {}").format(role))
        server.execute(sql.SQL("DROP ROLE {}").format(role))


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str | None:
    """The address of a store, on one database after the other; None is SQLite in the folder."""
    found: str | None = request.getfixturevalue("role_url") if request.param == "postgresql" else None
    return found


def _address(parts: dict[str, Any]) -> str:
    known = {one: parts.pop(one) for one in ("user", "password", "dbname") if one in parts}
    address = sa.URL.create(
        "postgresql", known.get("user"), known.get("password"), database=known.get("dbname"),
        query={name: str(value) for name, value in parts.items() if value is not None},
    )  # fmt: skip
    return address.render_as_string(hide_password=False)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was not tested because a part of the surroundings is absent."""
    reasons = Counter(str(report.longrepr[2]) for report in terminalreporter.stats.get("skipped", []))
    absent = {reason: count for reason, count in reasons.items() if "absent:" in reason}
    if absent:
        terminalreporter.section("NOT TESTED: parts are absent", sep="!", red=True, bold=True)
        for reason, count in sorted(absent.items()):
            terminalreporter.line(f"{count} tests: {reason.removeprefix('Skipped: ')}", red=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MB of its own, unmounted afterwards."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", disk], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"mount absent: {mounted.stderr.decode().strip()} (a full disk needs a small one)")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)
