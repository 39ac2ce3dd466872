"""Refresh tokens and cookies: nobody makes one up, and one kind is not taken for the other."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from hilum.errors import Unauthenticated
from hilum.security.keyring import Keyring
from hilum.security.seal import Sealer
from hilum.security.tickets import Tickets, csrf, digest


@pytest.fixture
def tickets(tmp_path: Path) -> Tickets:
    return Tickets(Sealer(Keyring.create(tmp_path / "hub.key")[0]))


def test_a_ticket_tells_its_session_and_generation(tickets: Tickets) -> None:
    session = uuid.uuid4()
    assert tickets.read("token", tickets.make("token", session, 7)) == (session, 7)
    assert tickets.read("cookie", tickets.make("cookie", session)) == (session, 1)


def test_two_tickets_of_a_session_are_never_the_same(tickets: Tickets) -> None:
    session = uuid.uuid4()
    first, second = tickets.make("token", session), tickets.make("token", session)
    assert first != second
    assert digest(first) != digest(second)
    assert first.startswith("hilum_refresh_")
    assert session.hex not in first


def test_what_the_hub_did_not_make_opens_nothing(tickets: Tickets, tmp_path: Path) -> None:
    session = uuid.uuid4()
    (tmp_path / "other").mkdir()
    other = Tickets(Sealer(Keyring.create(tmp_path / "other" / "hub.key")[0]))
    made = tickets.make("token", session)
    changed = made[:-2] + ("A" if made[-2] != "A" else "B") + made[-1]
    for kind, text in (
        ("token", other.make("token", session)),
        ("token", changed),
        ("token", made.removeprefix("hilum_refresh_")),
        ("token", "hilum_refresh_" + tickets.make("cookie", session)),
        ("cookie", made.removeprefix("hilum_refresh_")),
        ("cookie", ""),
        ("cookie", "é" * 20),
        ("cookie", "A" * 5_000),
    ):
        with pytest.raises(Unauthenticated):
            tickets.read(kind, text)  # type: ignore[arg-type]  # both are kinds


def test_a_csrf_token_belongs_to_one_cookie(tickets: Tickets) -> None:
    one, other = tickets.make("cookie", uuid.uuid4()), tickets.make("cookie", uuid.uuid4())
    assert csrf(one) == csrf(one) != csrf(other)
    assert csrf(one) != digest(one).hex()  # what the store keeps does not tell it
