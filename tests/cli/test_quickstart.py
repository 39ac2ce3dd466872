"""The quick start works as it is written: its blocks run, in their order, on ports that are free."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "quickstart.md").read_text("utf-8")


def block(name: str) -> str:
    """The shell block with this name."""
    (found,) = re.findall(rf"^```sh runnable {name}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return str(found)


@pytest.mark.ledger_part("S4-132", "five steps in this order, executed as written after the installation")
def test_the_steps_in_their_order(
    start: Callable[..., Any], free_ports: Callable[[int], list[int]], wait_until: Callable[..., Any], tmp_path: Path
) -> None:
    steps = re.findall(r"^## \d\. (\w+)$", PAGE, re.MULTILINE)
    assert steps == ["Install", "Configure", "Initialise", "Test", "Monitor"]
    mllp, http = free_ports(2)
    programs = tmp_path / "programs"
    programs.mkdir()
    hilum = programs / "hilum"
    hilum.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}/src" exec "{sys.executable}" -m hilum "$@"\n')
    hilum.chmod(hilum.stat().st_mode | stat.S_IXUSR)
    environment = {
        **os.environ,
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "HILUM_HTTP": f"127.0.0.1:{http}",
    }

    def run(name: str) -> str:
        text = block(name).replace(":2575", f":{mllp}").replace(":8080", f":{http}")
        ended = subprocess.run(
            ["bash", "-e", "-o", "pipefail"], input=text, capture_output=True, text=True, cwd=tmp_path, env=environment,
            check=False, timeout=60,
        )  # fmt: skip
        assert ended.returncode == 0, f"{name}\n{text}\n{ended.stdout}{ended.stderr}"
        return ended.stdout

    assert "1 example" in run("configure")
    assert block("initialise") == "hilum serve --config hub.yaml\n"
    hub = start("serve", "--config", "hub.yaml", "--http", f"127.0.0.1:{http}")
    hub.says("source runs")
    assert "Recovery key" in hub.text
    assert "AA" in run("test")
    wait_until((tmp_path / "delivered" / "MSG00001.hl7").exists, "the delivered file")
    delivered = run("delivered")
    assert "|ARCHIVE|" in delivered
    assert "|DOE^Jane|" in delivered
    if shutil.which("curl") is None:
        pytest.skip("curl absent: the last step is not run")
    monitored = run("monitor")
    assert "adt-feed/in" in monitored
    assert '"status":"ready"' in monitored
    assert "hilum_deliveries_total" in monitored
