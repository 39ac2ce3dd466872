"""Says where a person goes to consent: an endpoint's settings may be references, which the engine alone looks up.

Arguments: `integration` (its number), `endpoint`, `question`. Question and answer are sealed: a state and a verifier.
"""

from __future__ import annotations

import json
from typing import Any

from hilum.errors import Conflict
from hilum.jobs import At, Context
from hilum.store import integrations
from hilum.store.jobs import Job

QUESTION, ANSWER = b"job|consent_begin|question", b"job|consent_begin|answer"


async def run(context: Context, job: Job) -> dict[str, Any]:
    """Raises ConfigError where nobody consents to that endpoint, or it cannot be set up."""
    if context.partners is None or job.organization is None:
        raise Conflict("nothing dials here")
    sealer = context.store.sealer
    asked = json.loads(sealer.open(bytes.fromhex(job.arguments["question"]), QUESTION))
    row = await context.store.within(job.organization).read(integrations.get, job.arguments["integration"])
    async with context.partners.open(At.of(row, job.arguments["endpoint"])) as partner:
        url = partner.consenting().place(asked["state"], asked["verifier"], asked["redirect"])
    return {"answer": sealer.seal(json.dumps({"url": url}).encode(), ANSWER).hex()}
