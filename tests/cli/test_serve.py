"""The process: it starts, drains, reads its configuration again, and two of them never share a folder."""

from __future__ import annotations

import json
import shlex
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx


def test_it_serves_and_ends_on_sigterm(hub: Any) -> None:
    answer = httpx.get(f"http://127.0.0.1:{hub.http}/health/live")
    assert answer.json() == {"status": "alive"}
    assert hub.process.end(signal.SIGTERM) == 0
    assert not (hub.data / "hub.sock").exists()


def test_sigint_drains_as_well(hub: Any) -> None:
    assert hub.process.end(signal.SIGINT) == 0
    assert "stopped" in hub.process.text


def test_the_log_is_json_and_the_recovery_key_is_not_in_it(hub: Any, start: Callable[..., Any]) -> None:
    hub.process.end()
    lines = hub.process.text.splitlines()
    logged = [line for line in lines if line.startswith("{")]
    assert {"source runs", "stopped"} <= {json.loads(line)["event"] for line in logged}
    assert "AGE-SECRET-KEY" not in "".join(logged)
    shown = [line for line in lines if "AGE-SECRET-KEY-1" in line]
    assert len(shown) == 1, "the recovery key is shown at the first start"
    again = start("serve", "--data", hub.data, "--http", f"127.0.0.1:{hub.http}")
    again.says("source runs")
    again.end()
    assert "AGE-SECRET-KEY" not in again.text


def test_a_second_hub_names_the_first(hub: Any, start: Callable[..., Any]) -> None:
    second = start("serve", "--data", hub.data, "--http", "127.0.0.1:0")
    assert second.end(None) == 1
    assert f"is in use by another hub (pid {hub.process.popen.pid})" in second.text
    assert len(second.text.splitlines()) == 1


def test_an_invalid_configuration_is_listed(start: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "hub.yaml").write_text("version: 1\nroutes:\n  - {name: a, from: no/where, to: [no/body]}\n", "utf-8")
    process = start("serve", "--config", "hub.yaml", "--data", "data", "--http", "127.0.0.1:0")
    assert process.end(None) == 1
    assert "no/where" in process.text
    assert "no/body" in process.text
    assert "Traceback" not in process.text


def test_a_taken_http_port_is_told(hub: Any, start: Callable[..., Any]) -> None:
    process = start("serve", "--data", "other", "--http", f"127.0.0.1:{hub.http}")
    assert process.end(None) == 1
    assert f"127.0.0.1:{hub.http}" in process.text
    assert "Traceback" not in process.text


def test_sighup_reads_the_configuration_again(
    hub: Any, call: Callable[..., Any], wait_until: Callable[..., Any]
) -> None:
    good = hub.config.read_text("utf-8")
    hub.config.write_text(good.replace("version: 1", "version: 9"))
    hub.process.tell(signal.SIGHUP)
    hub.process.says("configuration not applied, nothing changed")
    hub.config.write_text(good)
    assert call("plan", hub.config, "--data", hub.data, "--json").json["changes"] == []
    more = good + "  - {name: all, from: adt-feed/in, to: [lab/out]}\n"
    hub.config.write_text(more)
    hub.process.tell(signal.SIGHUP)
    hub.process.says("configuration read again")
    assert call("plan", hub.config, "--data", hub.data, "--json").json["changes"] == []
    assert hub.process.end() == 0


def test_the_log_file(start: Callable[..., Any], tmp_path: Path) -> None:
    process = start("serve", "--data", "data", "--http", "127.0.0.1:0", "--log-file", "hub.log")
    process.says("http listens")
    process.end()
    events = [json.loads(line)["event"] for line in (tmp_path / "hub.log").read_text().splitlines()]
    assert "stopped" in events


def test_a_wrong_log_level_is_a_usage_error(call: Callable[..., Any], tmp_path: Path) -> None:
    assert call("serve", "--data", tmp_path / "data", "--log-level", "loud").code == 2
    assert not (tmp_path / "data").exists()


def test_a_locked_folder_without_an_answer_is_told(hub: Any, call: Callable[..., Any]) -> None:
    (hub.data / "hub.sock").unlink()
    shown = call("messages", "list", "--data", hub.data)
    assert shown.code == 1
    assert f"(pid {hub.process.popen.pid}), but nothing answers on {hub.data / 'hub.sock'}" in shown.err


def test_the_first_start_prints_how_to_set_the_first_administrator(hub: Any, call: Callable[..., Any]) -> None:
    hub.process.says("Nobody can sign in yet")
    line = next(one for one in hub.process.lines if one.startswith("curl "))
    assert f"http://127.0.0.1:{hub.http}/api/v1/auth/link" in line
    words = shlex.split(line)
    body = json.loads(words[words.index("-d") + 1])
    url = next(one for one in words if one.startswith("http"))
    as_printed = httpx.post(url, json=body)
    assert as_printed.status_code == 400, "nobody gets the password of an example"
    assert not any(body["token"] in one for one in hub.process.lines if one.startswith("{")), "it is in no log"
    newer = call("users", "link", "--data", hub.data, "--json").json["token"]
    known = {**body, "password": "correct horse battery"}
    assert httpx.post(url, json=known).status_code == 404, "a newer link ends it"
    assert httpx.post(url, json={**known, "token": newer}).status_code == 204
    signed_in = httpx.post(url.replace("/link", "/token"), json={"email": body["email"], "password": known["password"]})
    assert signed_in.status_code == 200
    refused = call("users", "link", "--data", hub.data)
    assert refused.code == 1
    assert "users already" in refused.err


def test_a_hub_with_people_prints_no_link(hub: Any, call: Callable[..., Any], start: Callable[..., Any]) -> None:
    token = call("users", "link", "--data", hub.data, "--json").json["token"]
    body = {"token": token, "email": "ada@example.org", "name": "Ada", "password": "correct horse battery"}
    assert httpx.post(f"http://127.0.0.1:{hub.http}/api/v1/auth/link", json=body).status_code == 204
    hub.process.end()
    again = start("serve", "--data", hub.data, "--http", f"127.0.0.1:{hub.http}")
    again.says("source runs")
    again.end()
    assert "Nobody can sign in" not in again.text
