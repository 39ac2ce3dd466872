"""One POST, and what is told of it: the answer's beginning, when to come again, why there was none."""

from __future__ import annotations

import datetime
import email.utils
from collections.abc import AsyncIterator

import httpx
import pytest

from hilum import clock
from hilum.outbound.posting import PART, post
from hilum.sdk.testing.web import HttpPartner, Said, http_partner

pytestmark = pytest.mark.anyio


@pytest.fixture
async def partner() -> AsyncIterator[HttpPartner]:
    async with http_partner() as made:
        yield made


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(trust_env=False, follow_redirects=False) as made:
        yield made


@pytest.mark.parametrize(("status", "taken"), [(200, True), (204, True), (302, False), (404, False), (503, False)])
async def test_only_2xx_is_taken(partner: HttpPartner, client: httpx.AsyncClient, status: int, taken: bool) -> None:
    partner.next.append(Said(status, b"" if status == 204 else b"said", {"location": "/else"}))
    answer = await post(client, partner.url("/in"), {"webhook-id": "1"}, b"body")
    assert (answer.status, answer.taken, len(partner.heard)) == (status, taken, 1)
    assert (partner.heard[0].body, partner.heard[0].headers["webhook-id"]) == (b"body", "1")
    assert ("redirects are not followed" in answer.detail) == (status == 302)


async def test_an_answer_is_read_so_far(partner: HttpPartner, client: httpx.AsyncClient) -> None:
    body = b"".join(b"line %05d\n" % number for number in range(900))  # no other test's secret
    partner.next.extend([Said(body=body), Said(body=body)])
    answer = await post(client, partner.url(), {}, b"")
    assert (answer.body, answer.detail) == (body[:PART], body[:PART].decode())
    assert len((await post(client, partner.url(), {}, b"", most=9_000)).body) == 9_000


@pytest.mark.parametrize(("said", "seconds"), [("7", 7.0), ("", None), ("soon", None), ("-3", None)])
async def test_when_to_come_again(
    partner: HttpPartner, client: httpx.AsyncClient, said: str, seconds: float | None
) -> None:
    partner.next.append(Said(503, headers={"retry-after": said} if said else {}))
    assert (await post(client, partner.url(), {}, b"")).retry_after == seconds


async def test_a_date_to_come_again_at(partner: HttpPartner, client: httpx.AsyncClient) -> None:
    until = email.utils.format_datetime(clock.now() + datetime.timedelta(hours=1), usegmt=True)
    partner.next.append(Said(503, headers={"retry-after": until}))
    found = (await post(client, partner.url(), {}, b"")).retry_after
    assert found is not None
    assert 0 < found <= 3_600


async def test_where_nobody_answers(partner: HttpPartner, client: httpx.AsyncClient) -> None:
    url = partner.url()
    partner.next.append(Said(0))
    assert (await post(client, url, {}, b"")).status is None
    await partner.stop()
    answer = await post(client, url, {}, b"")
    assert (answer.status, answer.taken) == (None, False)
    assert answer.detail
