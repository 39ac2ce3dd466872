"""What somebody did, tried or was denied is in the audit trail, once."""

from __future__ import annotations

import datetime
import json
import uuid
from typing import Any

import pytest
import sqlalchemy as sa

from hilum import clock
from hilum.model.audit import Kind, kind_of
from hilum.store import Connection
from hilum.store.schema_evidence import audit_event

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]
SECRETS = (
    "a long phrase that nobody guesses", "another phrase that nobody guesses", "kept secret", "a newer secret", "MÜLLER"
)  # fmt: skip

UNTOUCHED = {"live", "ready", "metrics", "read_jwks", "receive_webhook"}
"""Operations that read or write nothing of an organization's, and what is a message, which is its own evidence."""


TRIES = {"begin_totp", "run_config_test", "test_integration", "check_integration_health", "try_webhook_subscription"}
"""Operations that look at something that is not the hub's, or get ready for something: nothing is changed by them."""


async def trail(world: Any) -> dict[str, list[dict[str, Any]]]:
    """All events of all organizations, by their request's id."""

    def read(connection: Connection) -> list[str]:
        return list(connection.execute(sa.select(audit_event.c.document)).scalars())

    found: dict[str, list[dict[str, Any]]] = {}
    for text in await world.running.hub.store.read(read):
        event = json.loads(text)
        found.setdefault(event["request_id"], []).append(event)
    return found


@pytest.mark.ledger("S0-19")
async def test_every_call_is_one_event_that_tells_all_about_it(world: Any) -> None:
    """Whether it did what was asked, was denied, or failed."""
    audited = [one for one in world.operations() if "x-audit-action" in one[3]]
    assert {one[0] for one in world.operations()} - {one[0] for one in audited} == UNTOUCHED
    called = [await world.call(*one) for one in audited]
    wrong = [each for one in audited for each in await world.failures(*one)]
    events, began = await trail(world), clock.now()
    for one in (*called, *wrong):
        action, response = one.operation["x-audit-action"], one.response
        if response.status_code in (429, 405):
            continue
        found = events.get(response.headers["x-request-id"], [])
        if one.name == "create_organization" and one in called:  # the new one's own trail begins with it
            found = [event for event in found if event["organization"] == 1]
        # what changes with it, such as the vault's entry of an integration, has an event of its own
        found = [event for event in found if event["action"] == action]
        assert [event["action"] for event in found] == [action], one.label
        (event,) = found
        ended = (
            "success" if response.status_code < 400 else "denied" if response.status_code in (401, 403) else "failure"
        )
        assert event["outcome"] == ended or response.status_code in (502, 504), one.label  # it was tried
        assert event["source"] == "192.0.2.7"
        assert event["time"].endswith("Z")
        assert abs(datetime.datetime.fromisoformat(event["time"]) - began) < datetime.timedelta(minutes=10)
        known = one.operation["security"] and response.status_code != 401
        nowhere = one.operation["security"] == [] and response.status_code >= 400  # nobody knows whose it was
        assert event["organization"] in ((0, 1) if nowhere or response.status_code == 401 else (1,)), one.label
        if known:
            assert (event["actor"]["kind"], event["actor"]["name"]) == ("user", "Ann Smith")
            assert uuid.UUID(event["actor"]["id"])
        if one in called and known:
            assert event["reason"] in ("an example", "the laboratory asked for it", "the laboratory lost it")
            assert event["entity"] or "{" not in one.path, one.label
            changed = ended == "success" and kind_of(action) is not Kind.READ and one.name not in TRIES
            assert not changed or {"before", "after"} <= event.keys(), one.label
    text = json.dumps(events, ensure_ascii=False)
    for secret in SECRETS:
        assert secret not in text
    assert '"***"' in text
