"""Hubs that are really served, and both clients as their commands make them."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import itertools
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

from hilum import app
from hilum.sdk.testing import free_port

ROOT = Path(__file__).parents[2]
SOURCES = Path(app.__file__).parents[1]
PASSWORD = "correct horse battery staple"
SCOPES = ["catalogue:read", "integrations:read", "integrations:write"]
CONFIG = """
version: 1
organization: ward
environment: test
integrations:
  - {{name: feed, protocol: hl7_v2, endpoints: [{{name: in, direction: inbound, url: "mllp://127.0.0.1:{feed}"}}]}}
"""


@dataclasses.dataclass
class Served:
    """A hub in a process of its own."""

    url: str
    data: Path
    numbers: Iterator[int] = dataclasses.field(default_factory=itertools.count)

    def person(self, role: str) -> dict[str, str]:
        """What a new user of this role signs in with."""
        email = f"{role}{next(self.numbers)}@ward.example"
        body = {"email": email, "name": role, "roles": [{"role": role}]}
        transport = httpx.HTTPTransport(uds=str(self.data / app.SOCKET))
        with httpx.Client(transport=transport, base_url="http://hub", timeout=30) as local:
            path, reason = "/api/v1/users?organization=ward", {"x-reason": "a test needs people"}
            token = local.post(path, json=body, headers=reason).raise_for_status().json()["link"]["token"]
        opened = httpx.post(f"{self.url}/api/v1/auth/link", json={"token": token, "password": PASSWORD}, timeout=30)
        assert opened.status_code == 204, opened.text
        return {"email": email, "password": PASSWORD}

    def key(self, sdk: Any) -> str:
        """An API key that builds integrations."""
        with sdk.Hilum(self.url) as hub:
            hub.sign_in(**self.person("tenant_admin"))
            wanted = {"name": f"key-{next(self.numbers)}", "role": "integration_specialist", "scopes": SCOPES}
            found: str = hub(sdk.calls.create_api_key(wanted))["key"]
            return found


@contextlib.contextmanager
def serving(folder: Path, **environ: str) -> Iterator[Served]:
    """`hilum serve` with these settings."""
    config, port = folder / "hub.yaml", free_port()
    config.write_text(CONFIG.format(feed=free_port()), encoding="utf-8")
    served = Served(f"http://127.0.0.1:{port}", folder / "data")
    command = [sys.executable, "-m", "hilum", "serve", "--config", config, "--data", served.data]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HILUM_")}
    with (folder / "hub.log").open("wb") as log:
        process = subprocess.Popen(
            [*map(str, command), "--http", f"127.0.0.1:{port}"],
            stdout=log, stderr=log, env={**clean, "PYTHONPATH": str(SOURCES), **environ},
        )  # fmt: skip
    try:
        _await(process, served.url, folder / "hub.log")
        yield served
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    with httpx.Client(base_url=url, timeout=30, verify=False) as client:
        for _ in range(2_400):
            assert process.poll() is None, log.read_text(errors="replace")[-3_000:]
            with contextlib.suppress(httpx.TransportError):
                if client.get("/health/ready").status_code == 200:
                    return
            time.sleep(0.1)
    raise AssertionError(f"not ready: {log.read_text(errors='replace')[-3_000:]}")


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A hub as it comes; partners on this machine may be configured."""
    with serving(tmp_path_factory.mktemp("hub"), HILUM_EGRESS_ALLOW="127.0.0.0/8") as one:
        yield one


@pytest.fixture(scope="session")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A hub that takes twenty requests a minute of one caller, the next one after three seconds."""
    with serving(tmp_path_factory.mktemp("busy"), HILUM_RATE="20") as one:
        yield one


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The clients and what they are generated from, where nobody else writes."""
    tree = tmp_path_factory.mktemp("tree")
    ignored = shutil.ignore_patterns(
        "node_modules", "dist", "build", "models.py", "calls.py", "schema.ts", "__pycache__"
    )
    shutil.copytree(ROOT / "clients", tree / "clients", ignore=ignored)
    (tree / "tests" / "architecture").mkdir(parents=True)
    shutil.copy(ROOT / "tests" / "architecture" / "openapi.json", tree / "tests" / "architecture")
    return tree


@pytest.fixture(scope="session")
def package(tree: Path) -> Path:
    """The folder of the Python client, generated."""
    folder = tree / "clients" / "python"
    subprocess.run([sys.executable, folder / "generate.py"], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="session")
def sdk(package: Path) -> Iterator[ModuleType]:
    """The Python client."""
    sys.path.insert(0, str(package / "src"))
    try:
        yield importlib.import_module("hilum_client")
    finally:
        sys.path.remove(str(package / "src"))
