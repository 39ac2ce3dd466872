"""What services do for somebody goes through the store as one organization sees it; who looks wider says why."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "src" / "hilum"
WIDER = re.compile(r"within\(None\)|store\.(?:read|read_small|write|append|route)\(")
REASONS = {
    "services/api_keys.py": "whose a key is, is not known before it is looked up",
    "services/configuration.py": "a file may name a new organization; on the hub's own machine alone",
    "services/consents.py": "waits for the job that it has just inserted, by its number",
    "services/health.py": "whether the store answers at all",
    "services/identity.py": "whose a session is, is not known before it is looked up",
    "services/jobs.py": "asks for the job that it has just inserted, by its number",
    "services/names.py": "names of organizations, endpoints and route versions by number",
    "services/organizations.py": "a platform operator makes organizations and lists them",
    "services/own_account.py": "whose a one-time link is, is not known before it is looked up",
    "services/policy.py": "names of organizations by number",
    "services/routes.py": "a pinned route version by its number, an endpoint's organization by its own",
    "services/sign_in.py": "whose an address is, is not known before it is looked up",
    "services/signing_keys.py": "the hub's own keys",
    "services/webhook_receivers.py": "whose a receiver's address is, is not known before it is looked up",
    "services/vault.py": "whether the keys of all organizations can be unwrapped",
}


@pytest.mark.ledger_part("S4-75", "who reads beyond one organization is listed with the reason")
def test_who_looks_beyond_one_organization_says_why() -> None:
    found = {
        str(path.relative_to(ROOT))
        for room in ("services", "api")
        for path in (ROOT / room).rglob("*.py")
        if WIDER.search(path.read_text(encoding="utf-8"))
    }
    assert found == REASONS.keys()
