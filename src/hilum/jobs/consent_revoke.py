"""Drops the tokens of what nobody consents to any more, and tells the authorization server so where it can be told.

Arguments: `integration` (its number), `grants` (what each is kept under, by form). They are dropped whatever it says.
"""

from __future__ import annotations

from typing import Any

from hilum.errors import ConfigError, Conflict
from hilum.jobs import At, Context
from hilum.model import consent
from hilum.outbound.tokens import Token
from hilum.store import consents, integrations
from hilum.store.integrations import Row
from hilum.store.jobs import Job


async def run(context: Context, job: Job) -> dict[str, Any]:
    """Result: `told`, what each server said, by form: revoked, unknown (no address for that), or why it failed."""
    if context.partners is None or job.organization is None:
        raise Conflict("nothing dials here")
    own = context.store.within(job.organization)
    row = await own.read(integrations.get, job.arguments["integration"])
    anew = await own.read(consents.of, job.organization, row.id)  # somebody may have consented since
    told = {}
    for form, grant in job.arguments["grants"].items():
        if form in anew:
            continue
        token = await context.partners.forget(job.organization, grant)
        if token is not None:
            told[form] = await _tell(context, row, form, token)
    return {"told": told}


async def _tell(context: Context, row: Row, form: str, token: Token) -> str:
    endpoints = [one.endpoints[0] for one in consent.wanted(row.model) if one.form == form]
    if not endpoints:
        return "unknown"
    try:
        async with context.partners.open(At.of(row, endpoints[0])) as partner:  # type: ignore[union-attr]  # run looked
            return await partner.consenting().give_back(token)
    except ConfigError:  # its endpoint or its secrets are gone
        return "unknown"
