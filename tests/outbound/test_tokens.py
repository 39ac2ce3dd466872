"""Tokens under load, at their end, revoked, rotated and shared: one request each time, and none is lost."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from hilum import clock
from hilum.errors import StoreError
from hilum.outbound.dialer import Dialer
from hilum.outbound.tokens import Memory, Tokens
from hilum.sdk.authentication import OAuth2, read
from hilum.sdk.faults import Failed, Fault
from hilum.sdk.http import Answer
from hilum.security.egress import LOOPBACK, Policy

pytestmark = pytest.mark.anyio
SECRET = "canary-of-the-client"


@pytest.fixture
def known(server: Any, client: Any) -> Any:
    """A server that knows the hub by its secret."""
    server.clients["hub"] = client("basic", SECRET)
    return server


def configured(server: Any, secret: str = SECRET, **values: Any) -> OAuth2:
    found = read({
        "type": "oauth2", "token_url": f"{server.url}/token", "client_id": "hub", "client_secret": secret, **values
    })  # fmt: skip
    assert isinstance(found, OAuth2)
    return found


@contextlib.asynccontextmanager
async def calling(dialer: Dialer, server: Any, config: OAuth2) -> AsyncIterator[Callable[[], Any]]:
    """A function that calls the API and gives the status."""
    transport = dialer.transport(authentication=config)
    async with httpx.AsyncClient(transport=transport, trust_env=False, timeout=20) as client:

        async def call() -> int:
            return (await client.post(f"{server.url}/api", content=b"{}")).status_code

        yield call


def at(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Move the clocks."""
    monotonic, micros = clock.monotonic, clock.micros
    monkeypatch.setattr(clock, "monotonic", lambda: monotonic() + seconds)
    monkeypatch.setattr(clock, "micros", lambda: micros() + round(seconds * 1_000_000))


async def fifty(server: Any, call: Callable[[], Any]) -> list[int]:
    """Fifty calls at once; the authorization server answers when all of them wait."""
    server.pause.clear()
    calls = [asyncio.create_task(call()) for _ in range(50)]
    await asyncio.sleep(0.3)  # until they wait; those that come later are fewer to hold off
    server.pause.set()
    return await asyncio.gather(*calls)


@pytest.mark.ledger_part("S3-32", "cached, asked for once however many wait, at first and after it ended")
async def test_fifty_calls_with_an_expired_token_ask_once(
    known: Any, dialer: Dialer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with calling(dialer, known, configured(known)) as call:
        assert await fifty(known, call) == [200] * 50
        assert len(known.asked) == 1
        at(monkeypatch, 3_601)
        known.revoke()
        assert await fifty(known, call) == [200] * 50
    assert len(known.asked) == 2


@pytest.mark.ledger_part("S3-32", "refreshed once on a 401")
async def test_fifty_calls_with_a_revoked_token_ask_once(known: Any, dialer: Dialer) -> None:
    async with calling(dialer, known, configured(known)) as call:
        assert await call() == 200
        known.revoke()
        assert await fifty(known, call) == [200] * 50
    assert len(known.asked) == 2


async def test_an_api_that_refuses_every_token_is_asked_twice(known: Any, dialer: Dialer) -> None:
    async with calling(dialer, known, configured(known)) as call:
        assert await call() == 200
        known.live = _Nothing()
        known.requests.clear()
        assert await call() == 401
    assert (len(known.requests), len(known.asked)) == (2, 2)


class _Nothing(set[str]):
    """No token ever holds."""

    def add(self, element: str) -> None:
        pass


@pytest.mark.ledger_part("S3-32", "refreshed at 80 % of its life, while the old one still holds")
async def test_a_token_is_renewed_before_it_ends(
    known: Any, dialer: Dialer, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    known.answer = {"expires_in": 1000}
    async with calling(dialer, known, configured(known)) as call:
        assert await call() == 200
        at(monkeypatch, 790)
        assert await call() == 200
        assert len(known.asked) == 1
        at(monkeypatch, 20)
        known.pause.clear()
        assert [await call(), await call()] == [200, 200]  # nobody waits for the new one
        known.pause.set()
        async with asyncio.timeout(10):
            while len(known.live) < 2:  # noqa: ASYNC110 - the server has no event for this
                await asyncio.sleep(0.01)
        assert await call() == 200
    assert len(known.asked) == 2
    shown = [request.headers["authorization"] for request in known.requests]
    assert shown[0] == shown[3] != shown[4]


async def test_a_renewal_that_fails_stops_nobody_while_the_old_token_holds(
    known: Any, dialer: Dialer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with calling(dialer, known, configured(known)) as call:
        assert await call() == 200
        at(monkeypatch, 3_000)
        known.broken = Answer(503)
        for _ in range(5):
            assert await call() == 200
            await asyncio.sleep(0.02)
        assert len(known.asked) == 2, "it is not tried again at once"
        at(monkeypatch, 700)
        with pytest.raises(Failed) as caught:
            await call()
        assert caught.value.fault is Fault.HTTP_5XX
        known.broken = None
        assert await call() == 200


@pytest.mark.ledger_part("S3-32", "expires_in absent, as text, or nonsense")
@pytest.mark.parametrize(
    ("said", "after", "asked"),
    [
        ({}, 2_000, 1),
        ({}, 3_601, 2),
        ({"expires_in": "600"}, 400, 1),
        ({"expires_in": "600"}, 601, 2),
        ({"expires_in": "soon"}, 2_000, 1),
        ({"expires_in": None}, 2_000, 1),
        ({"expires_in": True}, 2_000, 1),
        ({"expires_in": -5}, 0, 2),
    ],
)
async def test_how_long_a_token_is_used(
    known: Any, dialer: Dialer, monkeypatch: pytest.MonkeyPatch, said: dict[str, Any], after: float, asked: int
) -> None:
    known.answer = said
    async with calling(dialer, known, configured(known)) as call:
        assert await call() == 200
        at(monkeypatch, after)
        assert await call() == 200
    assert len(known.asked) == asked


@pytest.mark.ledger_part("S3-32", "a token belongs to one organization and one configuration; a rotated secret is used")
async def test_another_secret_and_another_organization_have_another_token(
    known: Any, client: Any, dialer: Dialer, tokens: Tokens
) -> None:
    async with calling(dialer, known, configured(known)) as call:
        assert await call() == 200
    known.clients["hub"] = client("basic", "rotated-secret-of-the-client")
    known.revoke()
    async with calling(dialer, known, configured(known, "rotated-secret-of-the-client")) as call:
        assert await call() == 200
        assert await call() == 200
    assert len(known.asked) == 2
    async with calling(dialer, known, configured(known)) as call:
        with pytest.raises(Failed, match="invalid_client"):
            await call()
    other = Dialer([], Policy(allowed=LOOPBACK), organization="other", tokens=tokens)
    async with calling(other, known, configured(known, "rotated-secret-of-the-client")) as call:
        assert await call() == 200
    shown = [request.headers["authorization"] for request in known.requests]
    assert (shown[1], len(set(shown))) == (shown[2], 3)


# What outlives a process


@pytest.fixture
def rotating(server: Any, client: Any) -> OAuth2:
    """A grant whose refresh token is replaced at every use."""
    server.clients["hub"] = client("basic", SECRET)
    server.refreshing, server.refresh["first"] = True, "family"
    return configured(server, grant_type="refresh_token", refresh_token="first")


def process(keeper: Any) -> tuple[Dialer, Tokens]:
    found = Tokens(keeper)
    return Dialer([], Policy(allowed=LOOPBACK), organization="demo", tokens=found), found


@pytest.mark.ledger_part("S3-32", "a refresh token that is returned is kept, and used by the next process")
async def test_a_new_process_goes_on_with_what_was_kept(server: Any, rotating: OAuth2) -> None:
    keeper = Memory()
    for count in range(3):
        dialer, _ = process(keeper)
        async with calling(dialer, server, rotating) as call:
            assert await call() == 200
            assert len(server.asked) == count + 1, "the access token was kept too"
            server.revoke()
            assert await call() == 200
    assert [form["refresh_token"] == "first" for form in server.asked] == [True, False, False, False]


@pytest.mark.ledger_part("S3-32", "several processes ask once between them")
async def test_processes_share_what_they_keep(server: Any, rotating: OAuth2) -> None:
    keeper = Memory()
    async with contextlib.AsyncExitStack() as stack:
        calls = [await stack.enter_async_context(calling(process(keeper)[0], server, rotating)) for _ in range(4)]
        for _ in range(3):
            assert await asyncio.gather(*(call() for call in calls * 5)) == [200] * 20
            server.revoke()
    assert len(server.asked) == 3
    assert len(server.used) == 3, "no refresh token was shown twice"


class _Away(Memory):
    """A keeper whose disk is full."""

    async def write(self, organization: str, key: str, value: str, until: int | None = None) -> None:
        raise StoreError("no room")


async def test_what_cannot_be_kept_is_remembered(server: Any, rotating: OAuth2) -> None:
    dialer, _ = process(_Away())
    async with calling(dialer, server, rotating) as call:
        for _ in range(3):
            assert await call() == 200
            server.revoke()
    assert len(server.used) == 3


async def test_who_stops_waiting_loses_no_refresh_token(server: Any, rotating: OAuth2) -> None:
    dialer, tokens = process(Memory())
    async with calling(dialer, server, rotating) as call:
        server.pause.clear()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await call()
        server.pause.set()
        assert await call() == 200
        server.revoke()
        assert await call() == 200
    assert len(server.asked) == 2
    await tokens.close()


async def test_closing_ends_what_is_being_asked(server: Any, rotating: OAuth2) -> None:
    dialer, tokens = process(Memory())
    server.pause.clear()
    async with calling(dialer, server, rotating) as call:
        waiting = asyncio.create_task(call())
        async with asyncio.timeout(10):
            while not server.asked:  # noqa: ASYNC110 - the server has no event for this
                await asyncio.sleep(0.01)
        await tokens.close()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    server.pause.set()
