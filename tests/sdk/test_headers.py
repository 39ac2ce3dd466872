from __future__ import annotations

import pytest

from hilum import telemetry
from hilum.sdk import headers


@pytest.mark.ledger_part("S2-36", "values of Authorization, Cookie, *key*, *token* and *secret* are secrets, by name")
@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("Authorization", True), ("proxy-authorization", True), ("Cookie", True), ("Set-Cookie", True),
        ("X-API-Key", True), ("Ocp-Apim-Subscription-Key", True), ("X-Auth-Token", True), ("client_secret", True),
        ("X-Password", True), ("Accept", False), ("X-Tenant", False), ("Access-Control-Allow-Headers", False),
    ],
)  # fmt: skip
def test_a_name_says_whether_its_value_is_a_secret(name: str, secret: bool) -> None:
    assert headers.is_secret(name) is secret


@pytest.mark.ledger_part("S2-36", "secret values stand in no text that leaves the hub")
def test_secret_values_are_masked() -> None:
    headers.protect({"X-API-Key": "canary-value-1", "Authorization": "Bearer canary-value-2", "X-Tenant": "north-wing"})
    assert telemetry.mask("a canary-value-1 b canary-value-2 c north-wing") == "a *** b *** c north-wing"


@pytest.mark.parametrize("name", ["Host", "Content-Length", "Connection", "TE", "Upgrade", "Idempotency-Key"])
def test_what_frames_the_message_is_the_hubs(name: str) -> None:
    with pytest.raises(ValueError, match="set by the hub"):
        headers.check({name: "canary"})


@pytest.mark.parametrize(("name", "value"), [("X Y", "canary"), ("", "canary"), ("X", "canary\r\nY: 1"), ("X", "ü")])
def test_what_is_no_header_is_refused_without_its_value(name: str, value: str) -> None:
    with pytest.raises(ValueError, match="no header") as caught:
        headers.check({name: value})
    assert "canary" not in str(caught.value)


def test_there_may_be_fifty() -> None:
    headers.check({f"X{number}": "1" for number in range(50)})
    with pytest.raises(ValueError, match="at most 50"):
        headers.check({f"X{number}": "1" for number in range(51)})
