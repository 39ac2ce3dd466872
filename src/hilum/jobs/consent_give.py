"""Gives the code that a person came back with to the authorization server, and keeps what there is for it.

Arguments: `integration` (its number), `endpoint`, `form` (what they were asked for), `by` (who), `question`, which is
sealed: code, verifier, where they came back to, who answered. A code is good once: a restart does not try it again.
"""

from __future__ import annotations

import json
from typing import Any

from hilum import telemetry
from hilum.errors import Conflict
from hilum.jobs import At, Context
from hilum.model import consent
from hilum.model.access import Principal, PrincipalKind, Scope
from hilum.model.audit import Act
from hilum.model.lifecycle import Lifecycle
from hilum.outbound.tokens import until_of
from hilum.store import consents, integrations
from hilum.store.jobs import Job

QUESTION = b"job|consent_give|question"
CHANGED = "it was changed meanwhile: begin again"
ELSEWHERE = "the answer is another server's than the one that was asked"


async def run(context: Context, job: Job) -> dict[str, Any]:
    """Raises Conflict, ConfigError, and Failed where the server does not take the code or cannot be asked."""
    if context.partners is None or job.organization is None:
        raise Conflict("nothing dials here")
    if job.state == "running":
        raise Conflict("the hub stopped meanwhile: begin again")
    asked = json.loads(context.store.sealer.open(bytes.fromhex(job.arguments["question"]), QUESTION))
    for secret in (asked["code"], asked["verifier"]):
        telemetry.secrets.add(secret)
    own, form, endpoint = context.store.within(job.organization), job.arguments["form"], job.arguments["endpoint"]
    row = await own.read(integrations.get, job.arguments["integration"])
    wanted = {one.form: one for one in consent.wanted(row.model) if endpoint in one.endpoints}
    if form not in wanted or row.lifecycle is Lifecycle.ARCHIVED:
        raise Conflict(CHANGED)
    async with context.partners.open(At.of(row, endpoint)) as partner:
        consenting = partner.consenting()
        if asked["issuer"] is not None and not consenting.from_here(asked["issuer"]):
            raise Conflict(ELSEWHERE)
        token = await consenting.give(asked["code"], asked["verifier"], asked["redirect"])
    scopes = wanted[form].scopes if token.scopes is None else token.scopes
    by = job.arguments["by"]
    person = Principal(PrincipalKind(by["kind"]), by["id"], by["name"], job.organization)
    act = Act(person, Scope(job.organization), "consent.give")
    given = {"scopes": scopes, "until": until_of(token)}
    await own.change(act, consents.give, row, form, consenting.grant, person, given)
    return {"scopes": list(scopes), "lacking": sorted({*wanted[form].scopes} - {*scopes})}
