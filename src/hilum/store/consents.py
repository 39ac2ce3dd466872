"""Keeps what people consented to for integrations, and what they have begun. Tokens are partner_tokens.py's.

What was begun is taken once, whatever comes of it, and holds for minutes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

from hilum import clock
from hilum.model.access import Principal
from hilum.model.audit import Change
from hilum.store import jobs, partner_tokens
from hilum.store.integrations import Row, entity
from hilum.store.schema import integration
from hilum.store.schema_consents import consent, consent_request

JOB = "consent_revoke"


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    """Somebody went to an authorization server. `principal`: kind, id, name, number. Times are microseconds."""

    integration: int
    principal: dict[str, Any]
    browser: bytes | None
    sealed: bytes
    until: int


@dataclasses.dataclass(frozen=True, slots=True)
class Consent:
    """What a person consented to; `until` and `lapsed_at` None: it did not end. Times are microseconds."""

    form: str
    key: str
    scopes: tuple[str, ...]
    given_at: int
    given_by: str
    given_name: str
    until: int | None
    lapsed_at: int | None

    @property
    def holds(self) -> bool:
        return self.lapsed_at is None and (self.until is None or self.until > clock.micros())


def place(state: bytes) -> bytes:
    """What a request's `sealed` is bound to."""
    return b"consent_request|" + state


def begin(connection: sa.Connection, one: Row, state: bytes, request: Request, told: dict[str, Any]) -> Change:
    """Keep what was begun, and forget what nobody came back to. `told`: for the audit trail."""
    table = consent_request
    connection.execute(
        table.delete().where(table.c.organization == one.organization, table.c.until < clock.micros())
    )  # fmt: skip
    values = {"organization": one.organization, "state": state, **dataclasses.asdict(request)}
    connection.execute(table.insert().values(values))
    return Change(None, entity(one), None, told)


def take(connection: sa.Connection, organization: int, state: bytes) -> Request | None:
    """What was begun with a state, once: whoever comes later finds nothing."""
    table = consent_request
    where = (table.c.organization == organization, table.c.state == state)
    row = connection.execute(table.delete().where(*where).returning(*table.c)).first()
    if row is None:
        return None
    browser = None if row.browser is None else bytes(row.browser)
    return Request(row.integration, row.principal, browser, bytes(row.sealed), row.until)


def give(connection: sa.Connection, one: Row, form: str, key: str, by: Principal, given: dict[str, Any]) -> Change:
    """A person consented, in place of who did so before. `given`: scopes, until."""
    connection.execute(consent.delete().where(*_of(one.organization, one.id), consent.c.form == form))
    values = {
        "organization": one.organization, "integration": one.id, "form": form, "key": key, "given_at": clock.micros(),
        "given_by": by.id, "given_name": by.name, "scopes": list(given["scopes"]), "until": given["until"],
    }  # fmt: skip
    connection.execute(consent.insert().values(values))
    return Change(None, entity(one), None, {"consent": "given", "scopes": list(given["scopes"])})


def of(connection: sa.Connection, organization: int, number: int) -> dict[str, Consent]:
    """Those of an integration, by form."""
    rows = connection.execute(sa.select(consent).where(*_of(organization, number)).order_by(consent.c.id))
    return {
        row.form: Consent(
            row.form, row.key, tuple(row.scopes), row.given_at, row.given_by, row.given_name, row.until, row.lapsed_at
        )
        for row in rows
    }


def extend(connection: sa.Connection, organization: int, key: str, until: int | None) -> None:
    """It was renewed, and ends then."""
    connection.execute(consent.update().where(*_kept(organization, key)).values(until=until))


def lapse(connection: sa.Connection, organization: int, key: str, sealed: bytes) -> Change:
    """The server takes it no more. `sealed`: what is kept in the tokens' place."""
    partner_tokens.write(connection, organization, key, sealed)
    where = (*_kept(organization, key), consent.c.lapsed_at.is_(None))
    connection.execute(consent.update().where(*where).values(lapsed_at=clock.micros()))
    query = sa.select(integration.c.uuid).join(consent, consent.c.integration == integration.c.id)
    found = connection.execute(query.where(*_kept(organization, key))).scalar()
    return Change(None, "" if found is None else f"integration/{found}", {"consent": "given"}, {"consent": "lapsed"})


def revoke(
    connection: sa.Connection, one: Row, forms: Collection[str] | None, actor: str
) -> Change:  # fmt: skip
    """Nobody consents any more: to some forms, or (None) to all. `result`: the job that drops the tokens, or None."""
    found = [each for form, each in of(connection, one.organization, one.id).items() if forms is None or form in forms]
    where = (*_of(one.organization, one.id), consent.c.form.in_([each.form for each in found]))
    connection.execute(consent.delete().where(*where))
    requests = consent_request
    connection.execute(
        requests.delete().where(requests.c.organization == one.organization, requests.c.integration == one.id)
    )
    number = None
    if found:
        arguments = {"integration": one.id, "grants": {each.form: each.key for each in found}}
        number = jobs.insert(connection, JOB, arguments, actor=actor, organization=one.organization)
    return Change(number, entity(one), {"consents": len(found)}, {"consents": 0})


def _of(organization: int, number: int) -> tuple[sa.ColumnElement[bool], ...]:
    return consent.c.organization == organization, consent.c.integration == number


def _kept(organization: int, key: str) -> tuple[sa.ColumnElement[bool], ...]:
    return consent.c.organization == organization, consent.c.key == key
