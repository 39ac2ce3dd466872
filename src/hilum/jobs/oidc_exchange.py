"""Gives a code of an OpenID Connect provider back to it for an ID token, and judges that."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from hilum import clock
from hilum.errors import Conflict
from hilum.jobs import Context
from hilum.outbound.provider import Provider
from hilum.security import id_tokens
from hilum.store.jobs import Job

QUESTION, ANSWER = b"job|oidc_exchange|question", b"job|oidc_exchange|answer"


async def run(context: Context, job: Job) -> dict[str, Any]:
    """Argument and result are sealed: a code and a client's secret; who it is. Raises Refused."""
    if context.dialer is None:
        raise Conflict("nothing dials here")
    sealer = context.store.sealer
    asked = json.loads(sealer.open(bytes.fromhex(job.arguments["question"]), QUESTION))
    provider = Provider(context.dialer, asked["issuer"], asked["authority"])
    try:
        known = await provider.metadata()
        text = await provider.token(
            known["token_endpoint"], client=asked["client"], secret=asked["secret"], code=asked["code"],
            verifier=asked["verifier"], redirect=asked["redirect"],
        )  # fmt: skip
        keys = await provider.keys(known["jwks_uri"])
    finally:
        await provider.close()
    now = clock.micros() // 1_000_000
    found = id_tokens.judge(
        text, keys, issuer=asked["issuer"], client=asked["client"], nonce=asked["nonce"], now=now
    )  # fmt: skip
    return {"answer": sealer.seal(json.dumps(dataclasses.asdict(found)).encode(), ANSWER).hex()}
