"""Token buckets, and what is said of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import httpx
import pytest
from starlette.requests import Request

from hilum import clock
from hilum.api.edge import Edge, Rate
from hilum.api.limits import Buckets, Flood, Limits, headers, network
from hilum.app import Hub
from hilum.errors import Unauthenticated
from hilum.model.access import Binding, Principal, PrincipalKind, Role
from hilum.store import audit
from hilum.store.audit import EventFilter


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The clock, to be moved by hand."""
    hands = [1_000.0]
    monkeypatch.setattr(clock, "monotonic", lambda: hands[0])
    return hands


def request() -> Request:
    return Request({"type": "http", "state": {}, "headers": []})


def test_a_bucket_fills_again(now: list[float]) -> None:
    buckets = Buckets(Rate("default", 3, 60))
    assert [buckets.take("a") for _ in range(3)] == [2, 1, 0]
    assert buckets.take("a") == -1
    assert buckets.take("b") == 2
    now[0] += 10
    assert buckets.take("a") == pytest.approx(-0.5)
    now[0] += 10
    assert buckets.take("a") == pytest.approx(0)
    now[0] += 10_000
    assert buckets.take("a") == 2


def test_only_so_many_are_remembered(now: list[float]) -> None:
    buckets = Buckets(Rate("default", 2, 60))
    assert buckets.take("first") == 1
    for number in range(10_000):
        buckets.take(str(number))
    assert buckets.take("first") == 1


@pytest.mark.ledger_part(
    "S0-53", "a bucket for each key or user, organization and address; 429 says when to come again"
)
def test_who_shares_a_bucket(now: list[float]) -> None:
    limits = Limits(Edge(known=Rate("default", 2, 60), together=Rate("organization", 3, 60)))
    ann, bob = (Principal(PrincipalKind.USER, name, name, 1) for name in ("ann", "bob"))
    eve = Principal(PrincipalKind.API_KEY, "eve", "eve", 2)
    for _ in range(2):
        limits.principal(request(), ann)
    with pytest.raises(Flood) as flood:
        limits.principal(request(), ann)
    assert flood.value.after == pytest.approx(30)
    limits.principal(request(), bob)
    asked = request()
    with pytest.raises(Flood):
        limits.principal(asked, bob)  # he has one left, his organization has none
    assert dict(asked.state.limited)[b"ratelimit-policy"] == b'"organization";q=3;w=60'
    limits.principal(request(), eve)


def test_addresses_of_one_network_share_a_bucket(now: list[float]) -> None:
    limits = Limits(Edge(unknown=Rate("address", 1, 60)))
    limits.source(request(), "2001:db8::1")
    with pytest.raises(Flood):
        limits.source(request(), "2001:db8::2")
    limits.source(request(), "192.0.2.1")
    limits.source(request(), "192.0.2.2")
    assert network("local:ann") == "local:ann"


def test_the_fields_are_those_of_the_draft() -> None:
    assert headers(Rate("default", 100, 60), 50.7) == (
        (b"ratelimit-policy", b'"default";q=100;w=60'), (b"ratelimit", b'"default";r=50;t=30'),
    )  # fmt: skip
    legacy = dict(headers(Rate("default", 100, 60), 50, legacy=True))
    assert legacy[b"x-ratelimit-limit"] == b"100"
    assert legacy[b"x-ratelimit-remaining"] == b"50"


class Callers:
    """Knows `Bearer <kind>.<name>.<organization>`: users and API keys, of whichever organization."""

    async def bearer(self, text: str, source: str) -> Principal:
        kind, _, rest = text.partition(".")
        name, _, organization = rest.partition(".")
        if not organization:
            raise Unauthenticated
        return Principal(PrincipalKind(kind), f"{kind}-{name}", name, int(organization), (Binding(Role.VIEWER),))

    async def cookie(self, text: str) -> tuple[Principal, str]:
        raise Unauthenticated


@pytest.mark.anyio
@pytest.mark.ledger("S0-53")
async def test_whoever_asks_too_often_is_told_when_to_come_again(
    serving: Callable[..., httpx.AsyncClient], now: list[float], stopped: Hub
) -> None:
    """A token bucket for each key, each user, each organization and each address at which nobody is known."""
    edge = Edge(known=Rate("default", 3, 60), together=Rate("organization", 8, 60), unknown=Rate("address", 2, 60))

    def served(source: str, legacy: bool = False) -> httpx.AsyncClient:
        made = dataclasses.replace(edge, legacy_limits=legacy)
        return serving(edge=made, client=source, identity=Callers())

    async def ask(client: httpx.AsyncClient, who: str) -> httpx.Response:
        return await client.get("/lanes", headers={"authorization": f"Bearer {who}"} if who else {"authorization": ""})

    async with served("192.0.2.7") as http:
        for kind in ("user", "api_key"):
            left = [await ask(http, f"{kind}.ann.1") for _ in range(3)]
            assert [one.status_code for one in left] == [200] * 3
            assert [one.headers["ratelimit"] for one in left] == [
                '"default";r=2;t=20', '"default";r=1;t=40', '"default";r=0;t=60'
            ]  # fmt: skip
            flood = await ask(http, f"{kind}.ann.1")
            assert (flood.status_code, flood.json()["error"]["code"]) == (429, "INT006")
            assert flood.headers["ratelimit-policy"] == '"default";q=3;w=60'
            assert (flood.headers["ratelimit"], flood.headers["retry-after"]) == ('"default";r=0;t=60', "20")
            assert not any(name.startswith("x-ratelimit") for name in flood.headers)
            now[0] += 20  # one token came back, not all of them: no window begins anew
            assert [(await ask(http, f"{kind}.ann.1")).status_code for _ in range(2)] == [200, 429]
        now[0] += 1_000
        several = [(await ask(http, f"user.colleague{number}.1")).status_code for number in range(9)]
        assert several == [200] * 8 + [429]  # nobody of them asked twice; their organization did
        shared = await ask(http, "user.colleague1.1")
        assert (shared.status_code, shared.headers["ratelimit-policy"]) == (429, '"organization";q=8;w=60')
        assert (await ask(http, "user.colleague1.2")).status_code == 200  # another organization's
        assert [(await ask(http, "")).status_code for _ in range(3)] == [401, 401, 429]
        assert (await ask(http, "user.known.3")).status_code == 200  # from the same address
        now[0] += 1_000
        credentials = {"email": "ann@example.org", "password": "a guess"}
        tries = [(await http.post("/auth/token", json=credentials)).status_code for _ in range(3)]
        assert tries == [401, 401, 429]  # signing in has the address's, whoever one says that one is
        assert (await ask(http, "user.known.3")).status_code == 200
    async with served("198.51.100.9") as http:
        assert (await ask(http, "")).status_code == 401
    async with served("192.0.2.7", legacy=True) as http:
        told = (await ask(http, "user.ann.1")).headers
    assert [told[f"x-ratelimit-{name}"] for name in ("limit", "remaining", "reset")] == ["3", "2", "20"]
    events = await stopped.store.read(audit.newest, 1, EventFilter(action="lane.list"), limit=100)
    assert len(events) == 2 * 4 + 8 + 1  # what was turned away is not in the trail: a flood must not fill it
