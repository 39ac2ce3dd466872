"""A code becomes tokens and a consent: once, for what is still asked for, and from the server that was asked."""

from __future__ import annotations

from typing import Any

import pytest

from hilum.errors import Conflict
from hilum.jobs import consent_give
from hilum.outbound.tokens import NotGranted
from hilum.sdk.faults import Fault, Timings

pytestmark = pytest.mark.anyio
CODE, VERIFIER = "the-code-of-the-server", "v" * 43
QUESTION = {"code": CODE, "verifier": VERIFIER, "redirect": "https://hub.example.org/cb", "issuer": None}
ANN = {"kind": "user", "id": "user:ann", "name": "Ann", "number": 1}


def asked(consenting: Any, *, state: str = "waiting", form: str = "", **other: Any) -> Any:
    return consenting.job(
        "consent_give", state=state, question=QUESTION | other, form=form or consenting.form, by=ANN
    )  # fmt: skip


async def test_a_code_becomes_a_consent(consenting: Any) -> None:
    done = await consent_give.run(consenting.context, asked(consenting, issuer="https://login.example.org"))
    assert done == {"scopes": ["orders"], "lacking": ["results"]}
    assert consenting.server.heard == [("give", CODE, VERIFIER, "https://hub.example.org/cb")]
    (one,) = (await consenting.given()).values()
    assert (one.key, one.scopes, one.given_name) == (consenting.server.grant, ("orders",), "Ann")


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"state": "running"}, "the hub stopped meanwhile"),
        ({"form": "another"}, "it was changed meanwhile"),
        ({"issuer": "https://evil.example.org"}, "another server's"),
    ],
)
async def test_a_code_that_is_not_to_be_sent_is_not(consenting: Any, said: dict[str, str], why: str) -> None:
    with pytest.raises(Conflict, match=why):
        await consent_give.run(consenting.context, asked(consenting, **said))
    assert consenting.server.heard == []
    assert await consenting.given() == {}


async def test_what_the_server_refuses_leaves_everything_as_it_was(consenting: Any) -> None:
    await consent_give.run(consenting.context, asked(consenting))
    before = await consenting.given()
    consenting.server.refuses = NotGranted("invalid_grant", Fault.CONSENT, Timings(1.0))
    with pytest.raises(NotGranted):
        await consent_give.run(consenting.context, asked(consenting))
    assert await consenting.given() == before
