"""The unit says what the design asks of it, and systemd reads it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def test_the_unit(call: Callable[..., Any]) -> None:
    shown = call("service", "install", "--print", "--config", "/etc/hilum/hub.yaml", "--user", "hub")
    assert shown.code == 0
    lines = shown.out.splitlines()
    for wanted in ("User=hub", "Restart=always", "LimitNOFILE=65536", "TimeoutStopSec=60", "NoNewPrivileges=yes",
                   "ExecReload=/bin/kill -HUP $MAINPID", "ReadWritePaths=/var/lib/hilum"):  # fmt: skip
        assert wanted in lines
    (start,) = (line for line in lines if line.startswith("ExecStart="))
    assert start.startswith("ExecStart=/")
    assert start.endswith("serve --config /etc/hilum/hub.yaml --data /var/lib/hilum --http 127.0.0.1:8080")


def test_systemd_reads_it(call: Callable[..., Any], tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze absent: the unit is not verified")
    unit = tmp_path / "hilum-test.service"
    unit.write_text(call("service", "install", "--print", "--user", "root").out)
    checked = subprocess.run([analyze, "verify", str(unit)], capture_output=True, text=True, check=False)
    assert "hilum-test.service" not in checked.stdout + checked.stderr, "it has nothing to say about our unit"


def test_what_cannot_stand_in_a_unit_is_refused(call: Callable[..., Any]) -> None:
    shown = call("service", "install", "--print", "--data", "/var/lib/my hub")
    assert shown.code == 1
    assert "cannot stand in a unit" in shown.err


def test_a_missing_configuration_is_told_before_anything_changes(call: Callable[..., Any], tmp_path: Path) -> None:
    config = tmp_path / "none.yaml"
    shown = call("service", "install", "--config", config, "--data", tmp_path / "data", "--name", "hilum-test")
    assert shown.code == 1
    wanted = f"{config} does not exist" if os.geteuid() == 0 else "needs root"
    assert wanted in shown.err
    assert not (tmp_path / "data").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="root absent: nothing can be installed")
def test_installed_for_a_user(call: Callable[..., Any], tmp_path: Path) -> None:
    config, data = tmp_path / "hub.yaml", tmp_path / "data"
    config.write_text("version: 1\n")
    command = ("service", "install", "--config", config, "--data", data, "--user", "nobody", "--units", tmp_path)
    shown = call(*command)
    assert shown.code == 0, shown.err
    assert shown.err.count("AGE-SECRET-KEY-1") == 1
    assert "systemctl enable --now hilum" in shown.out
    assert "User=nobody" in (tmp_path / "hilum.service").read_text()
    owners = {path.owner() for path in (data, *data.rglob("*"))}
    assert owners == {"nobody"}
    again = call(*command)
    assert (again.code, "exists already" in again.err) == (1, True)
