"""What every test may ask for: the loop, the corpora, a database of its own.

A part that is absent skips its tests, and the closing lines say so loudly; under CI an absent server fails.
"""

from __future__ import annotations

import importlib.util
import os
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import make_url

SETTINGS = {name: value for name, value in os.environ.items() if name.startswith("HILUM_")}
POSTGRES = SETTINGS.get("HILUM_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/postgres")
CORPUS = Path(SETTINGS.get("HILUM_CORPUS") or Path(__file__).parents[2] / "shared" / "corpus")


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The shell's HILUM_* variables must not reach what is tested."""
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """Async tests run on the loop that serves."""
    return "asyncio", {"use_uvloop": importlib.util.find_spec("uvloop") is not None}


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


@pytest.fixture
def postgres(postgres_server: str) -> Iterator[str]:
    """The URL of an empty database of this test's own; dropped afterwards, whoever is still connected."""
    name = f"hilum_test_{uuid.uuid4().hex[:16]}"
    database = sql.Identifier(name)
    with psycopg.connect(postgres_server, autocommit=True) as server:
        server.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(database))
    yield make_url(postgres_server).set(database=name).render_as_string(hide_password=False)
    with psycopg.connect(postgres_server, autocommit=True) as server:
        server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(database))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was not tested because a part of the surroundings is absent."""
    reasons = Counter(str(report.longrepr[2]) for report in terminalreporter.stats.get("skipped", []))
    absent = {reason: count for reason, count in reasons.items() if "absent:" in reason}
    if absent:
        terminalreporter.section("NOT TESTED: parts are absent", sep="!", red=True, bold=True)
        for reason, count in sorted(absent.items()):
            terminalreporter.line(f"{count} tests: {reason.removeprefix('Skipped: ')}", red=True)
