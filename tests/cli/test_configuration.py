"""Configuration from the command line: check without a hub, plan and apply with and without a running one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """The packaged demo configuration, and a broken one."""
    good = tmp_path / "good.yaml"
    good.write_text((Path(__file__).parents[2] / "src/hilum/cli/demo/hub.yaml").read_text("utf-8"), "utf-8")
    bad = tmp_path / "bad.yaml"
    text = good.read_text("utf-8").replace("from: adt-feed/in", "from: nowhere/in")
    bad.write_text(text.replace('expected: {MSH-5: LAB, PID-5: "DOE^Jane"}', "expected: {MSH-5: LIS}"), "utf-8")
    return {"good": good, "bad": bad}


def test_check_a_good_file(call: Callable[..., Any], files: dict[str, Path]) -> None:
    shown = call("check", files["good"])
    assert (shown.code, shown.err) == (0, "")
    assert "is in order: 5 integrations, 5 endpoints, 4 routes, 1 example" in shown.out
    assert call("check", files["good"], "--json").json == {"valid": True, "problems": []}


def test_check_names_every_problem_with_its_place(call: Callable[..., Any], files: dict[str, Path]) -> None:
    shown = call("check", files["bad"])
    assert shown.code == 1
    assert "nowhere/in" in shown.out
    assert "routes[0]" in shown.out
    found = call("check", files["bad"], "--json")
    assert found.code == 1
    assert not found.json["valid"]
    assert shown.err == f"error: {files['bad']} has {len(found.json['problems'])} problems\n"


def test_check_runs_the_stored_examples(call: Callable[..., Any], files: dict[str, Path]) -> None:
    text = files["good"].read_text("utf-8")
    files["good"].write_text(text.replace("expected: {MSH-5: LAB,", "expected: {MSH-5: LIS,"), "utf-8")
    shown = call("check", files["good"])
    assert shown.code == 1
    assert "examples[0]" in shown.out


def test_check_tells_where_yaml_is_none(call: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "hub.yaml").write_text("version: 1\nroutes: [\n")
    shown = call("check", tmp_path / "hub.yaml")
    assert shown.code == 1
    assert "hub.yaml line 3" in shown.out


def test_the_schema_is_json_schema(call: Callable[..., Any]) -> None:
    schema = call("config", "schema").json
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert {"integrations", "routes", "version"} <= set(schema["properties"])


def test_plan_and_apply_to_a_running_hub(call: Callable[..., Any], hub: Any) -> None:
    data = ("--data", hub.data)
    assert "Nothing would change." in call("plan", hub.config, *data).out
    text = hub.config.read_text("utf-8")
    hub.config.write_text(
        text.replace("retries: 2", "retries: 5") + "  - {name: all, from: adt-feed/in, to: [lab/out]}\n"
    )
    planned = call("plan", hub.config, *data)
    assert planned.code == 0
    assert "+ create  route        all" in planned.out
    assert "~ change  integration  lab" in planned.out
    assert "1 to create" in planned.out
    applied = call("apply", hub.config, *data, "--json").json
    assert {(one["action"], one["name"]) for one in applied["changes"]} >= {("create", "all"), ("change", "lab")}
    assert "Nothing would change." in call("plan", hub.config, *data).out


def test_apply_refuses_what_is_invalid(call: Callable[..., Any], hub: Any) -> None:
    text = hub.config.read_text("utf-8")
    hub.config.write_text(text.replace("to: [lab/out]", "to: [nobody/out]"))
    shown = call("apply", hub.config, "--data", hub.data)
    assert shown.code == 1
    assert "nobody/out" in shown.err
    assert call("plan", hub.config, "--data", hub.data).code == 1


def test_a_stopped_hub_is_changed_in_its_folder(call: Callable[..., Any], hub: Any) -> None:
    assert hub.process.end() == 0
    hub.config.write_text(hub.config.read_text("utf-8").replace("retries: 2", "retries: 7"))
    applied = call("apply", hub.config, "--data", hub.data, "--json")
    assert ("change", "lab") in {(one["action"], one["name"]) for one in applied.json["changes"]}
    assert call("plan", hub.config, "--data", hub.data, "--json").json["changes"] == []


def test_release_hands_over(call: Callable[..., Any], hub: Any) -> None:
    assert call("release", "lab", "--data", hub.data).code == 0
    shown = call("release", "nobody", "--data", hub.data)
    assert (shown.code, shown.err) == (1, "error: no integration or route is called nobody\n")


def test_drain_or_discard_not_both(call: Callable[..., Any], hub: Any) -> None:
    assert call("apply", hub.config, "--data", hub.data, "--drain", "--discard", "gone").code == 2


def test_a_removed_endpoint_with_a_backlog(
    call: Callable[..., Any], hub: Any, adt: Callable[..., bytes], tmp_path: Path, wait_until: Callable[..., Any]
) -> None:
    (tmp_path / "one.hl7").write_bytes(adt("1"))
    assert call("send", tmp_path / "one.hl7", "--to", f"mllp://127.0.0.1:{hub.inbound}").code == 0
    text = hub.config.read_text("utf-8")
    routeless = text[: text.index("  - name: lab")] + "routes: []\n"
    hub.config.write_text(routeless)
    refused = call("apply", hub.config, "--data", hub.data)
    assert refused.code == 1
    assert "lab/out (1)" in refused.err
    assert call("apply", hub.config, "--data", hub.data, "--discard", "partner is gone").code == 0

    def discarded() -> bool:
        items = call("messages", "list", "--data", hub.data, "--json").json["items"]
        return bool(items[0]["state"] == "discarded")

    wait_until(discarded, "the delivery is discarded")
