"""Where a person goes to consent: asked of the engine, which alone looks references up."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from hilum.errors import Conflict
from hilum.jobs import consent_begin

pytestmark = pytest.mark.anyio
QUESTION = {"state": "st4te", "verifier": "v" * 43, "redirect": "https://hub.example.org/cb"}


async def test_the_address_comes_back_sealed(consenting: Any) -> None:
    done = await consent_begin.run(consenting.context, consenting.job("consent_begin", question=QUESTION))
    assert "login.example.org" not in str(done)
    answer = consenting.context.store.sealer.open(bytes.fromhex(done["answer"]), consent_begin.ANSWER)
    assert json.loads(answer) == {
        "url": "https://login.example.org/authorize?state=st4te&redirect_uri=https://hub.example.org/cb"
    }


async def test_without_an_engine_nobody_is_sent_anywhere(consenting: Any) -> None:
    nobody = dataclasses.replace(consenting.context, partners=None)
    with pytest.raises(Conflict, match="nothing dials here"):
        await consent_begin.run(nobody, consenting.job("consent_begin", question=QUESTION))
