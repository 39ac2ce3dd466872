"""Tokens that nobody consents to any more are dropped, and their server is told."""

from __future__ import annotations

from typing import Any

import pytest

from hilum.jobs import consent_revoke
from hilum.model.access import Principal, PrincipalKind
from hilum.store import consents

pytestmark = pytest.mark.anyio


async def run(consenting: Any, **grants: str) -> Any:
    return await consent_revoke.run(consenting.context, consenting.job("consent_revoke", grants=grants))


async def test_tokens_go_and_the_server_is_told(consenting: Any) -> None:
    assert await run(consenting, **{consenting.form: "grant-1"}) == {"told": {consenting.form: "revoked"}}
    assert consenting.server.heard == [("forget", "grant-1"), ("give back", "refresh")]


async def test_nobody_is_told_of_what_was_not_there(consenting: Any) -> None:
    consenting.server.held = None
    assert await run(consenting, **{consenting.form: "grant-1"}) == {"told": {}}
    assert consenting.server.heard == [("forget", "grant-1")]


async def test_tokens_of_a_form_that_was_changed_go_and_have_no_server_any_more(consenting: Any) -> None:
    assert await run(consenting, another="grant-2") == {"told": {"another": "unknown"}}
    assert consenting.server.heard == [("forget", "grant-2")]


async def test_what_somebody_consented_to_meanwhile_stays(consenting: Any) -> None:
    ann = Principal(PrincipalKind.USER, "user:ann", "Ann", consenting.row.organization)
    given = {"scopes": ["orders"], "until": None}
    await consenting.context.store.write(consents.give, consenting.row, consenting.form, "grant-1", ann, given)
    assert await run(consenting, **{consenting.form: "grant-1"}) == {"told": {}}
    assert consenting.server.heard == []
