"""What the audit trail shows of a changed document."""

from __future__ import annotations

from typing import Any

import pytest

from hilum.services.field_changes import HIDDEN, field_changes

OLD: dict[str, Any] = {
    "name": "lab", "active": True, "tags": ["a"], "headers": {}, "share": 0.5,
    "endpoints": [{"name": "in", "url": "mllp://10.0.0.1:1"}, {"name": "out", "retries": 0, "timeout": None}],
}  # fmt: skip


def test_each_field_that_differs_is_there_by_its_path() -> None:
    new = {**OLD, "active": False, "tags": ["a", "b"], "share": 0.25, "endpoints": [{"name": "out", "retries": 3}]}
    assert field_changes(OLD, new) == (
        {"active": True, "share": "0.5", "endpoints[in].name": "in", "endpoints[in].url": "mllp://10.0.0.1:1",
         "endpoints[out].retries": 0},
        {"active": False, "share": "0.25", "tags[1]": "b", "endpoints[out].retries": 3},
    )  # fmt: skip
    assert field_changes(OLD, OLD) == ({}, {})


def test_what_is_made_or_removed_is_there_as_a_whole() -> None:
    assert field_changes(None, {"name": "lab", "retries": 3}) == ({}, {"name": "lab", "retries": 3})
    assert field_changes({"name": "lab"}, None) == ({"name": "lab"}, {})


@pytest.mark.parametrize(
    ("path", "value", "shown"),
    [
        ("password", "canary", HIDDEN),
        ("clientSecret", "canary", HIDDEN),
        ("access_token", "canary", HIDDEN),
        ("api_key", "canary", HIDDEN),
        ("key", "-----BEGIN PRIVATE KEY-----", HIDDEN),
        ("Authorization", "Bearer canary", HIDDEN),
        ("password", "${secret:lab.password}", "${secret:lab.password}"),
        ("url", "https://hub:canary@lab.example.org/", f"https://{HIDDEN}@lab.example.org/"),
        ("url", "https://lab.example.org/a@b", "https://lab.example.org/a@b"),
        ("keyword", "shown", "shown"),
        ("lane", "PID-3.1", "PID-3.1"),
    ],
)
def test_secrets_are_not_shown(path: str, value: str, shown: str) -> None:
    assert field_changes({}, {"tls": {path: value}}) == ({}, {f"tls.{path}": shown})
    assert field_changes({}, {"lane": {"key": "PID-3.1"}}) == ({}, {"lane.key": "PID-3.1"})
