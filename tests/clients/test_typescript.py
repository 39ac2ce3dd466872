"""The TypeScript client: generated, checked strictly, and run by Node against a served hub."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parents[2] / "clients" / "typescript"

SEVEN = (
    "createIntegration", "getIntegrations", "getIntegrationById", "updateIntegration", "deleteIntegration",
    "testConnection", "getStats",
)  # fmt: skip


def absent(what: str) -> None:
    """Loud, and a failure under CI, which has it all."""
    if os.environ.get("CI"):
        pytest.fail(f"absent: {what}")
    pytest.skip(f"node absent: {what}")


@pytest.fixture(scope="module")
def modules() -> Path:
    """What the lock file names, installed once into a folder that git ignores."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        absent("node and npm")
    installed = HERE / "node_modules" / ".package-lock.json"
    if not installed.is_file() or installed.stat().st_mtime < (HERE / "package-lock.json").stat().st_mtime:
        try:
            done = run("npm", "ci", cwd=HERE, timeout=120)
        except subprocess.TimeoutExpired:
            absent("npm's registry")
        if done.returncode:
            absent(f"what npm installs: {done.stderr[-300:]}")
    return HERE / "node_modules"


def run(*command: str, cwd: Path, timeout: float = 240, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, check=False, timeout=timeout, env={**os.environ, **environ}
    )


@pytest.mark.ledger("S2-13", "S2-14")
@pytest.mark.ledger("S0-61")  # with the Python client's tests, whose failure fails the row as well
@pytest.mark.slow
@pytest.mark.timeout(420)
def test_it_is_generated_typed_and_asks_a_hub(modules: Path, tree: Path, served: Any, busy: Any, sdk: Any) -> None:
    for name in SEVEN:
        assert callable(getattr(sdk.Hilum, name))
        assert callable(getattr(sdk.AsyncHilum, name))
    folder, key = tree / "clients" / "typescript", served.key(sdk)
    (folder / "node_modules").symlink_to(modules)
    example = example_of(folder / "README.md", served.url, key)
    (folder / "test" / "readme.test.ts").write_text(example, encoding="utf-8")
    person = served.person("tenant_admin")
    done = run(
        "npm", "test", cwd=folder, CLIENT_HUB=served.url, CLIENT_KEY=key, CLIENT_EMAIL=person["email"],
        CLIENT_PASSWORD=person["password"], CLIENT_BUSY_HUB=busy.url, CLIENT_BUSY_KEY=busy.key(sdk),
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6_000:] + done.stderr[-2_000:]
    assert "fail 0" in done.stdout
    assert (folder / "build" / "test" / "readme.test.js").is_file()
    tests = (folder / "test" / "hub.test.ts").read_text(encoding="utf-8")
    assert all(f".{name}(" in tests for name in SEVEN)


def example_of(page: Path, url: str, key: str) -> str:
    """The example, against this hub and from the sources."""
    [text] = re.findall(r"```ts\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    for written, meant in (("@hilum/client", "../src/index.js"), ("https://hub.example.org", url), ("hlm_…", key)):
        assert written in text
        text = text.replace(written, meant)
    return text
