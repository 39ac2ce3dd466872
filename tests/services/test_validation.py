"""What is wrong with an integration, all at once, in document 003's words."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.sdk.registry import Registry, discover
from hilum.services import drafts
from hilum.services.validation import UNSAID, Validation, validate

REGISTRY: Registry = discover()
GOOD: dict[str, Any] = {
    "name": "Lab", "type": "API", "data_categories": ["laboratory"],
    "authentication": {"type": "bearer", "token": "a-token-of-ours"},
    "endpoints": [{"name": "orders", "url": "https://lab.example/orders", "method": "POST"}],
}  # fmt: skip


def checked(given: dict[str, Any]) -> Validation:
    return validate(drafts.read(given), REGISTRY)


def endpoint(**changes: Any) -> dict[str, Any]:
    (one,) = GOOD["endpoints"]
    return {**GOOD, "endpoints": [{key: value for key, value in {**one, **changes}.items() if value is not None}]}


def test_what_is_right_is_valid() -> None:
    found = checked(GOOD)
    assert (found.valid, found.errors, found.warnings) == (True, [], [])


@pytest.mark.ledger("S3-22")
@pytest.mark.ledger("S3-21")
def test_what_is_missing_is_said_at_once() -> None:
    found = checked({})
    assert found.valid is False
    assert found.errors == [f"Required field '{field}' is missing" for field in ("name", "type", "endpoints")]
    assert found.checkedFields == ["name", "type", "endpoints"]
    assert found.field == "/name"
    assert found.message == f"Integration validation failed: {', '.join(found.errors)}"
    assert "Required field 'endpoints' is missing" in checked({**GOOD, "endpoints": []}).errors
    assert set(vars_of(found)) >= {"valid", "errors", "warnings", "checkedFields"}


def vars_of(found: Validation) -> list[str]:
    return list(found.__slots__)


def test_a_webhook_needs_no_endpoint() -> None:
    assert checked({"name": "Hook", "type": "WEBHOOK", "endpoints": []}).valid


@pytest.mark.ledger("S3-23")
def test_the_six_types_and_no_other() -> None:
    urls = {
        "rest_api": "https://a.example", "fhir_api": "https://a.example", "hl7_v2": "mllp://a.example:1",
        "websocket": "https://a.example", "file_transfer": "file:///a", "database": "https://a.example",
    }  # fmt: skip
    for kind, url in urls.items():
        found = checked({"name": "x", "type": kind, "endpoints": [{"url": url, "method": "POST"}]})
        assert not [one for one in found.errors if "Invalid integration type" in one]
    assert checked({**GOOD, "type": "carrier_pigeon"}).errors == ["Invalid integration type: carrier_pigeon"]


@pytest.mark.parametrize(
    ("url", "refused"),
    [
        ("sftp://hub@files.example/in", False), ("sftp://hub:canary@files.example/in", True),
        ("https://hub@files.example/in", True), ("s3://hub@exchange/in", True),
    ],
)  # fmt: skip
def test_a_url_holds_no_credentials_but_the_name_of_an_sftp_user(url: str, refused: bool) -> None:
    found = checked({"name": "x", "protocol": "file_transfer", "endpoints": [{"url": url, "method": "POST"}]})
    assert any("the URL must hold no credentials" in one for one in found.errors) is refused


@pytest.mark.ledger("S3-24")
def test_every_endpoint_is_looked_at() -> None:
    found = checked({**GOOD, "endpoints": [{"method": "GET"}, {"url": "http://a.example", "method": "BREW"}]})
    assert found.errors == [
        "endpoints[0] (rest_api_1): Endpoint URL is required",
        "endpoints[1] (rest_api_2): Invalid HTTP method: BREW",
    ]
    assert found.warnings == ["endpoints[1] (rest_api_2): HTTP endpoint detected - recommend using HTTPS for security"]


@pytest.mark.ledger("S3-26")
def test_an_endpoint_has_a_url() -> None:
    assert checked(endpoint(url=None)).errors == ["endpoints[0] (orders): Endpoint URL is required"]
    assert checked(endpoint(url="")).errors == ["endpoints[0] (orders): Endpoint URL is required"]


@pytest.mark.ledger("S3-27")
def test_http_has_a_method_and_nothing_else_needs_one() -> None:
    assert checked(endpoint(method=None)).errors == ["endpoints[0] (orders): HTTP method is required"]
    assert checked({"name": "x", "type": "hl7_v2", "endpoints": [{"url": "mllp://lab.example:2575"}]}).valid
    assert checked({"name": "x", "type": "file_transfer", "endpoints": [{"url": "file:///out"}]}).valid


@pytest.mark.parametrize("url", ["lab", "https://", "https://a b.example", "https://a.example:99999", "//x", "\x00"])
@pytest.mark.ledger_part("S3-28", "a URL that cannot be read")
def test_a_url_can_be_read(url: str) -> None:
    assert checked(endpoint(url=url)).errors == [f"endpoints[0] (orders): Invalid URL format: {url}"]


SCHEMES = {
    "rest_api": {"http", "https"}, "fhir_api": {"http", "https"}, "websocket": {"ws", "wss"},
    "hl7_v2": {"mllp", "mllps", "http", "https", "file", "sftp"}, "file_transfer": {"file", "sftp", "ftp", "ftps"},
    "database": {"postgresql", "mysql", "mariadb", "sqlite"},
}  # fmt: skip


@pytest.mark.ledger("S3-28")
@pytest.mark.parametrize("protocol", SCHEMES)
def test_every_protocol_has_its_schemes(protocol: str) -> None:
    """Whatever connectors are installed; a scheme that is a plug-in's own fits where the plug-in says."""
    known = set().union(*SCHEMES.values())
    everything = Registry({one: REGISTRY.connector("http") for one in {*known, "acme"}}, {}, {}, {})
    for scheme in sorted(known):
        url = f"{scheme}:///in" if scheme in ("file", "sqlite") else f"{scheme}://lab.example:99/in"
        draft = {**GOOD, "protocol": protocol, "endpoints": [{"name": "a", "url": url, "method": "POST"}]}
        wrong = [f"endpoints[0] (a): {scheme} is not how {protocol} is spoken"]
        assert validate(drafts.read(draft), everything).errors == ([] if scheme in SCHEMES[protocol] else wrong)
    for url in ("lab.example", "http//lab.example", "https://", "https://lab.example:port/", "https://[::1/"):
        draft = {**GOOD, "protocol": protocol, "endpoints": [{"name": "a", "url": url, "method": "POST"}]}
        assert f"endpoints[0] (a): Invalid URL format: {url}" in validate(drafts.read(draft), everything).errors
    own = {**GOOD, "protocol": protocol, "endpoints": [{"name": "a", "url": "acme://lab.example", "method": "POST"}]}
    assert validate(drafts.read(own), everything).valid


@pytest.mark.ledger_part("S3-28", "the scheme belongs to the protocol")
def test_the_scheme_belongs_to_the_protocol() -> None:
    (error,) = checked({**GOOD, "protocol": "rest_api", "endpoints": [{"url": "mllp://a.example:1"}]}).errors
    assert "mllp is not how rest_api is spoken" in error
    (error,) = checked(endpoint(url="gopher://a.example/")).errors
    assert "no connector speaks 'gopher'" in error


@pytest.mark.ledger_part("S2-71", "no userinfo, at most 2048 characters")
def test_a_url_holds_no_credentials_and_is_not_endless() -> None:
    (error,) = checked(endpoint(url="https://hub:pass@lab.example/")).errors
    assert "must hold no credentials" in error
    assert "pass@" not in error
    (error,) = checked(endpoint(url=f"https://lab.example/{'x' * 2048}")).errors
    assert "more than 2048 characters" in error


@pytest.mark.ledger("S3-29")
def test_five_methods_in_any_case() -> None:
    for method in ("get", "Post", "PUT", "delete", "PATCH"):
        assert checked(endpoint(method=method)).valid
        assert drafts.read(endpoint(method=method))["endpoints"][0]["method"] == method.upper()
    for method in ("HEAD", "OPTIONS", "TRACE"):
        assert checked(endpoint(method=method)).errors == [f"endpoints[0] (orders): Invalid HTTP method: {method}"]


@pytest.mark.ledger("S2-30")
@pytest.mark.ledger("S3-25")
def test_no_authentication_is_a_warning() -> None:
    found = checked({key: value for key, value in GOOD.items() if key != "authentication"})
    assert (found.valid, found.warnings) == (True, ["No authentication configuration provided"])
    none = checked({**GOOD, "authentication": {"type": "none"}})
    assert (none.valid, none.warnings) == (True, ["No authentication configuration provided"])


@pytest.mark.ledger_part("S0-06", "production should say what data passes and why, in words that are known")
def test_production_says_what_passes_or_why() -> None:
    silent = {key: value for key, value in GOOD.items() if key != "data_categories"}
    assert (checked(silent).valid, checked(silent).warnings) == (True, [UNSAID]), "production is the default"
    assert checked({**silent, "environment": "production", "dataCategories": []}).warnings == [UNSAID]
    for said in ({"environment": "test"}, {"legal_basis": ["gdpr-9-2-h"]}, {"dataCategories": ["x-newborns"]}):
        found = checked({**silent, **said})
        assert (found.valid, found.warnings) == (True, []), said
    for key, word in (("data_categories", "health"), ("legal_basis", "gdpr-6-1-z"), ("legal_basis", "x-")):
        found = checked({**silent, key: [word]})
        assert (found.valid, found.field) == (False, f"/{key}/0")
        assert f"{word!r} is no" in found.errors[0]


@pytest.mark.parametrize(
    ("authentication", "text"),
    [
        ({"type": "oauth2", "clientId": "a", "clientSecret": "b"}, "OAuth2 token URL is required"),
        ({"type": "oauth2", "tokenUrl": "https://a.example/t"}, "OAuth2 client credentials are required"),
        ({"type": "api_key"}, "API key is required"),
        ({"type": "jwt"}, "JWT secret is required"),
        ({"type": "basic", "username": "u"}, "Basic authentication username and password are required"),
        ({"type": "certificate"}, "Client certificate and private key are required"),
    ],
)
def test_what_an_authentication_needs(authentication: dict[str, Any], text: str) -> None:
    assert checked({**GOOD, "authentication": authentication}).errors == [text]


def test_an_unknown_authentication_is_never_none() -> None:
    (error,) = checked({**GOOD, "authentication": {"type": "ntlm"}}).errors
    assert "certificate" in error


@pytest.mark.ledger("S2-31")
@pytest.mark.parametrize(("name", "right"), [("x", True), ("x" * 120, True), ("x" * 121, False), ("a\x07b", False)])
def test_a_name_has_1_to_120_characters(name: str, right: bool) -> None:
    assert checked({**GOOD, "name": name}).valid is right


@pytest.mark.ledger_part("S2-37", "100 to 300000 milliseconds")
def test_times_and_numbers_are_bounded() -> None:
    for timeout, right in ((100, True), (300_000, True), (99, False), (300_001, False), (0, False)):
        assert checked(endpoint(timeout=timeout)).valid is right
    for retries, right in ((0, True), (10, True), (11, False), (-1, False)):
        assert checked(endpoint(retries=retries)).valid is right


@pytest.mark.ledger("S2-39")
def test_a_sites_own_facts_are_bounded() -> None:
    assert checked({**GOOD, "config": {"x-ward": {"beds": [1, 2]}}}).valid
    assert not checked({**GOOD, "config": {"ward": 1}}).valid
    assert not checked({**GOOD, "config": {"x-big": "x" * 65_536}}).valid
    deep: Any = 1
    for _ in range(10):
        deep = {"x-a": deep}
    assert not checked({**GOOD, "config": {"x-deep": deep}}).valid


def test_a_key_that_there_is_not_is_named() -> None:
    (error,) = checked({**GOOD, "colour": "red"}).errors
    assert "colour" in error


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=10,
)
KEYS = st.sampled_from([*GOOD, "protocol", "headers", "config", "timeout", "retries", "tags", "environment"])


@given(st.dictionaries(KEYS, JSON, max_size=8))
def test_whatever_comes_gets_an_answer(given: dict[str, Any]) -> None:
    found = checked(given)
    assert found.valid is (not found.errors)
    assert (found.field is None) is found.valid


@given(st.dictionaries(st.sampled_from(["name", "url", "method", "timeout", "headers", "authentication"]), JSON))
def test_whatever_an_endpoint_is_gets_an_answer(given: dict[str, Any]) -> None:
    found = checked({**GOOD, "endpoints": [given]})
    assert found.valid is (not found.errors)
