"""`hilum users`: who there is, who comes and who goes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

Call = Callable[..., Any]
PASSWORD = "a long enough phrase"


@pytest.fixture
def people(hub: Any, call: Call) -> Call:
    """`hilum users …` on a running hub."""
    return lambda *words: call("users", *words, "--data", hub.data)


def signs_in(hub: Any, email: str) -> bool:
    body = {"email": email, "password": PASSWORD}
    return httpx.post(f"http://127.0.0.1:{hub.http}/api/v1/auth/token", json=body).status_code == 200


def test_somebody_comes_and_goes(hub: Any, people: Call) -> None:
    assert "Invite one" in people("list").out
    invited = people("invite", "Ada@Example.org", "--name", "Ada\x1b[2J", "--role", "viewer")
    assert (invited.code, "name" in invited.err) == (1, True), "control characters are refused"
    invited = people("invite", "Ada@Example.org", "--name", "Ada L.", "--role", "viewer", "--role", "operator")
    token = invited.out.strip()
    assert (invited.code, token.startswith("hilum_link_")) == (0, True)
    assert "Hand it over to Ada@Example.org" in invited.err
    link = f"http://127.0.0.1:{hub.http}/api/v1/auth/link"
    assert httpx.post(link, json={"token": token, "password": PASSWORD}).status_code == 204
    assert signs_in(hub, "ada@example.org")
    [ada] = people("list", "--json").json["items"]
    assert (ada["email"], ada["state"], [one["role"] for one in ada["roles"]]) == (
        "ada@example.org", "active", ["viewer", "operator"]
    )  # fmt: skip
    shown = people("list", "--role", "operator", "--search", "ada").out
    assert "Ada L." in shown
    assert "viewer, operator" in shown
    assert "shut out" in people("disable", "ADA@example.org", "--reason", "left on Friday").out
    assert not signs_in(hub, "ada@example.org")
    assert people("list", "--state", "disabled", "--json").json["total"] == 1
    failed = people("link", "ada@example.org")
    assert (failed.code, failed.err.strip()) == (1, "error: the user is disabled")


def test_mistakes_are_told_in_a_line(people: Call) -> None:
    for words, why in (
        (("disable", "nobody@example.org"), "there is no user nobody@example.org"),
        (("invite", "nobody", "--name", "N"), "email"),
        (("invite", "a@example.org", "--name", "A", "--role", "king"), "roles[0].role"),
        (("invite", "a@example.org", "--name", "A", "--role", "viewer@none"), "there is no study none"),
        (("list", "--organization", "nowhere"), "no organization is called nowhere"),
    ):
        failed = people(*words)
        assert (failed.code, why in failed.err) == (1, True), failed.err
    people("invite", "a@example.org", "--name", "A")
    again = people("invite", "a@example.org", "--name", "A")
    assert (again.code, again.err.strip()) == (1, "error: there is a user a@example.org already")


def test_a_list_says_how_many_there_are(people: Call) -> None:
    for number in range(3):
        assert people("invite", f"a{number}@example.org", "--name", f"A {number}", "--role", "viewer").code == 0
    shown = people("list", "--limit", "2").out
    assert "2 of 3" in shown
