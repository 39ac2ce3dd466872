"""`hilum api-keys`: a key is printed once; a script can take it from standard output."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from hilum.security.api_keys import parse

Call = Callable[..., Any]


@pytest.fixture
def keys(hub: Any, call: Call) -> Call:
    """`hilum api-keys …` on a running hub."""
    return lambda *words: call("api-keys", *words, "--data", hub.data)


def status(hub: Any, key: str) -> int:
    """What a machine is answered that shows this key."""
    headers = {"authorization": f"Bearer {key}"}
    return httpx.get(f"http://127.0.0.1:{hub.http}/api/v1/lanes", headers=headers).status_code


def test_the_life_of_a_key(hub: Any, keys: Call) -> None:
    assert "Create one" in keys("list").out
    made = keys("create", "feed", "--scope", "lanes:read", "--scope", "messages:read", "--days", "10")
    key = made.out.strip()
    assert (made.code, parse(key) is None) == (0, False)
    assert "the only time" in made.err
    assert status(hub, key) == 200
    [shown] = keys("list", "--json").json["items"]
    assert (shown["name"], shown["scopes"], shown["state"]) == ("feed", ["lanes:read", "messages:read"], "active")
    listed = keys("list").out
    assert shown["prefix"] in listed
    assert key not in listed
    fresh = keys("rotate", shown["prefix"], "--overlap", "1").out.strip()
    assert [status(hub, one) for one in (key, fresh)] == [200, 200]
    assert keys("revoke", key, "--reason", "found in a chat").out.strip() == "Revoked.", "by the whole key, too"
    assert [status(hub, one) for one in (key, fresh)] == [401, 200]
    assert keys("list", "--state", "revoked", "--json").json["items"][0]["prefix"] == shown["prefix"]
    again = keys("revoke", shown["prefix"])
    assert (again.code, again.err.strip()) == (1, f"error: there is no API key {shown['prefix']}")


def test_mistakes_are_told_in_a_line(keys: Call) -> None:
    for words, why in (
        (("create", "feed", "--scope", "nothing:read"), "scopes: there is no permission nothing:read"),
        (("create", "feed", "--scope", "users:read"), "scopes: the role service has no users:read"),
        (("create", "feed", "--scope", "lanes:read", "--study", "none"), "study: there is no study none"),
        (("create", "feed", "--scope", "lanes:read", "--allow", "10.0.0.1/8"), "is no CIDR block"),
        (("revoke", "unknown"), "there is no API key unknown"),
    ):
        failed = keys(*words)
        assert (failed.code, why in failed.err) == (1, True), failed.err
    assert keys("create", "feed").code == 2, "without a scope there is nothing that it may"


def test_a_key_is_made_where_no_hub_runs(hub: Any, keys: Call) -> None:
    hub.process.end()
    made = keys("create", "feed", "--scope", "lanes:read", "--allow", "192.0.2.0/24", "--json")
    assert (made.code, made.json["api_key"]["allow"]) == (0, ["192.0.2.0/24"])
