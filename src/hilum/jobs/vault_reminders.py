"""Says in time, 60, 30, 14, 7 and 1 days before, that a certificate ends; and that a credential is to be rotated."""

from __future__ import annotations

from typing import Any

from hilum import clock
from hilum.jobs import Context
from hilum.model.access import HUB, Scope
from hilum.model.audit import Act, Change
from hilum.store import Connection, certificates, credentials
from hilum.store.certificates import Certificate
from hilum.store.credentials import DAY, Credential
from hilum.store.jobs import Job

_AGAIN = 7  # days until it is said again that a credential is due


class Overtaken(Exception):
    """Somebody else did it, or there is nothing to do any more."""


async def run(context: Context, job: Job) -> dict[str, Any]:
    """How many `certificates` and `credentials` were told of."""
    now = clock.micros()
    told = {"certificates": 0, "credentials": 0}
    for certificate in await context.store.read(certificates.ending, now + (certificates.WARNINGS[0] + 1) * DAY):
        days = certificates.threshold(certificate, now)
        if days is not None and await _tell(context, certificate, "certificate.expiring", certificates.warned, days):
            told["certificates"] += 1
    for credential in await context.store.read(credentials.rotating):
        if _due(credential, now) and await _tell(
            context, credential, "credential.rotation_due", credentials.reminded, now
        ):
            told["credentials"] += 1
    return told


def _due(one: Credential, now: int) -> bool:
    if one.due_at is None or one.due_at > now:
        return False
    return one.reminded_at is None or one.reminded_at < max(one.rotated_at, now - _AGAIN * DAY)


async def _tell(context: Context, one: Certificate | Credential, action: str, mark: Any, value: int) -> bool:
    def write(connection: Connection) -> Change:
        change: Change | None = mark(connection, one, value)
        if change is None:
            raise Overtaken
        return change

    try:
        await context.store.within(one.organization).change(Act(HUB, Scope(one.organization), action), write)
    except Overtaken:
        return False
    return True
