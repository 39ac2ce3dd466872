"""Who somebody is right now, by the id that a row keeps: for what is done in their name when they are not there.

Nobody shows anything here, so that what belongs to signing in (passwords that are due, second factors, addresses) is
not looked at: what counts is who still may, and what.
"""

from __future__ import annotations

import dataclasses
import uuid

import sqlalchemy as sa

from hilum import clock
from hilum.errors import NotFound, Refused
from hilum.model.access import Principal, PrincipalKind
from hilum.store import api_keys, organizations, sessions, users

_LOCAL = f"{PrincipalKind.LOCAL}:"


def of(connection: sa.Connection, organization: int, owner: str) -> Principal:
    """A user, an API key or somebody at the hub's machine, with the rights that stand now.

    Raises Refused saying why where they may act no more.
    """
    if owner.startswith(_LOCAL):
        return Principal(PrincipalKind.LOCAL, owner, owner, organization)
    try:
        identifier = uuid.UUID(owner)
    except ValueError:
        raise Refused(f"nobody here is {owner}") from None
    strict = organizations.settings(connection, organization).strict
    found = _user(connection, organization, identifier) or _key(connection, organization, identifier)
    if found is None:
        raise Refused(f"nobody here is {owner} any more")
    return dataclasses.replace(found, strict=strict)


def _user(connection: sa.Connection, organization: int, identifier: uuid.UUID) -> Principal | None:
    """Raises Refused."""
    try:
        one = users.find(connection, organization, identifier)
    except NotFound:
        return None
    if one.state != "active":
        raise Refused(f"the user {one.name} is {one.state}")
    bindings = sessions.bindings(connection, organization, one.id)
    return Principal(PrincipalKind.USER, str(one.uuid), one.name, organization, bindings, number=one.id)


def _key(connection: sa.Connection, organization: int, identifier: uuid.UUID) -> Principal | None:
    """Raises Refused."""
    try:
        one = api_keys.find(connection, organization, identifier)
    except NotFound:
        return None
    state = one.state(clock.micros())
    if state != "active":
        raise Refused(f"the API key {one.name} is {state}")
    return one.principal
