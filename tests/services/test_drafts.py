"""What people send becomes the form that files have; secrets go one way."""

from __future__ import annotations

import json
import zlib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hilum.model.configuration import Integration
from hilum.services import drafts

LAB = {
    "name": "Lab results",
    "type": "LAB_SYSTEM",
    "authentication": {"type": "oauth2", "tokenUrl": "https://x.example/token", "clientId": "hub",
                       "clientSecret": "S1"},
    "headers": {"X-Site": "north", "X-Api-Key": "S2"},
    "endpoints": [{"url": "https://lab.example/orders", "method": "post",
                   "rateLimit": {"requests": 5, "perSeconds": 2}}],
}  # fmt: skip
ENTRY = "lab-results-secrets"


def stored(draft: dict[str, Any], before: dict[str, Any] | None = None) -> drafts.Split:
    return drafts.split({"name": "lab-results", "title": draft.get("name"), **_rest(draft)}, ENTRY, before)


def _rest(draft: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in draft.items() if key not in ("name", "handle")}


def test_document_003s_names_are_ours() -> None:
    draft = drafts.read(LAB)
    assert draft["authentication"]["token_url"] == "https://x.example/token"
    (endpoint,) = draft["endpoints"]
    assert endpoint["method"] == "POST"
    assert endpoint["name"] == "rest_api_1"
    assert endpoint["direction"] == "outbound"
    assert endpoint["rate_limit"] == {"messages": 5, "period": 2000}
    assert draft["headers"] == LAB["headers"], "headers are not ours to spell"
    limit = {"requests": 5, "perSeconds": 60, "burst": 2, "concurrency": 3}
    (endpoint,) = drafts.read({**LAB, "endpoints": [{"url": "https://a.example", "rateLimit": limit}]})["endpoints"]
    assert endpoint["rate_limit"] == {"messages": 5, "period": 60_000, "burst": 2, "concurrency": 3}


def test_the_type_of_document_003_is_the_protocol() -> None:
    draft = drafts.read({"name": "x", "type": "hl7_v2", "endpoints": [{"url": "mllp://a:1"}]})
    assert (draft["type"], draft["protocol"]) == ("HL7", "hl7_v2")
    assert (
        drafts.read({"name": "x", "type": "LAB_SYSTEM", "endpoints": [{"url": "mllp://a:1"}]})["protocol"] == "hl7_v2"
    )
    assert drafts.read({"name": "x", "type": "FHIR", "endpoints": [{"url": "https://a"}]})["protocol"] == "fhir_api"
    assert drafts.read({"name": "x", "type": "banana"})["type"] == "banana", "the validation names it"


def test_a_handle_is_made_of_the_name_and_is_nobody_elses() -> None:
    assert drafts.handle("Lab results (North)", set()) == "lab-results-north"
    assert drafts.handle("Lab", {"lab", "lab-2"}) == "lab-3"
    assert drafts.handle("检验", set()) == "integration"


def test_secrets_are_taken_out_and_referred_to() -> None:
    parts = stored(drafts.read(LAB))
    header = f"headers_X_Api_Key_{zlib.crc32(b'headers_X-Api-Key'):08x}"
    assert parts.secrets == {"authentication_client_secret": "S1", header: "S2"}
    text = json.dumps(parts.document)
    assert "S1" not in text
    assert "S2" not in text
    assert parts.document["authentication"]["client_secret"] == f"${{secret:{ENTRY}.authentication_client_secret}}"
    assert parts.document["headers"]["X-Site"] == "north"
    assert Integration.model_validate(parts.document).endpoints[0].options["authentication"]["client_id"] == "hub"


def test_what_is_left_out_stays_and_null_clears() -> None:
    before = stored(drafts.read(LAB)).document
    left = json.loads(json.dumps(LAB))
    del left["authentication"]["clientSecret"]
    left["headers"]["X-Api-Key"] = drafts.HIDDEN
    parts = stored(drafts.read(left), before)
    assert parts.secrets == {}
    assert parts.document["authentication"] == before["authentication"]
    assert parts.document["headers"] == before["headers"]
    left["authentication"]["clientSecret"] = None
    parts = stored(drafts.read(left), before)
    assert parts.secrets == {"authentication_client_secret": None}
    assert "client_secret" not in parts.document["authentication"]


def test_another_kind_of_authentication_keeps_nothing_of_the_old_one() -> None:
    before = stored(
        drafts.read({**LAB, "authentication": {"type": "basic", "username": "u", "password": "P"}})
    ).document
    parts = stored(drafts.read({**LAB, "authentication": {"type": "bearer"}}), before)
    assert parts.document["authentication"] == {"type": "bearer"}


def test_a_secret_is_never_shown() -> None:
    parts = stored(drafts.read(LAB))
    about = {"authentication_client_secret": {"last4": "", "version": 1}}
    seen = drafts.shown(parts.document, about, ENTRY)
    assert seen["authentication"]["client_secret"] == {"set": True, "last4": "", "version": 1}
    assert seen["headers"]["X-Api-Key"] == drafts.HIDDEN
    again = stored({**seen, "name": "Lab results"}, parts.document)
    assert again.document == parts.document, "what was shown can be sent back"


def test_a_reference_of_ones_own_stays_one() -> None:
    draft = drafts.read({**LAB, "authentication": {"type": "bearer", "token": "${secret:theirs.token}"}})
    parts = stored(draft)
    assert parts.document["authentication"]["token"] == "${secret:theirs.token}"
    seen = drafts.shown(parts.document, {}, ENTRY)
    assert seen["authentication"]["token"] == {"set": True, "reference": "${secret:theirs.token}"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from([*LAB, "protocol", "handle", "config", "x"]), JSON, max_size=8))
def test_whatever_comes_is_read(given: dict[str, Any]) -> None:
    draft = drafts.read(given)
    assert isinstance(drafts.split(draft, ENTRY).document, dict)


@given(st.dictionaries(st.text(max_size=8), JSON, max_size=5), st.dictionaries(st.text(max_size=8), JSON, max_size=5))
def test_a_merge_patch_is_what_rfc_7396_says(document: dict[str, Any], patch: dict[str, Any]) -> None:
    found = drafts.merged(document, patch)
    for key, value in patch.items():
        if value is None:
            assert key not in found
        elif not isinstance(value, dict):
            assert found[key] == value
    for key in document.keys() - patch.keys():
        assert found[key] == document[key]
    assert drafts.merged(document, {}) == document
