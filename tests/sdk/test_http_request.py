"""Variables in URLs: typed, encoded, and never a way to another host or out of a folder."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.errors import ConfigError
from hilum.sdk.config import read
from hilum.sdk.http_request import Parameters, Probing, repeatable

URL = "https://lab.example:8443/v1/patients/{id}/results/{kind}?tenant=5"


def parameters(**values: Any) -> Parameters:
    return read(Parameters, values, "")


def query(url: str) -> list[tuple[str, str]]:
    return parse_qsl(urlsplit(url).query, keep_blank_values=True)


@pytest.mark.ledger("S3-40")
def test_variables_are_filled_in() -> None:
    found = parameters(
        query={"_count": 50, "since": "{since:date}", "identifier": "urn:mrn|{mrn}", "active": True, "page": "{page=}"},
        path={"kind": "{kind=lab}"},
    )
    url = found.address(URL, {"id": "a b/ü", "since": "2026-02-28", "mrn": "1&2=3"})
    assert url.startswith("https://lab.example:8443/v1/patients/a%20b%2F%C3%BC/results/lab?tenant=5&")
    assert query(url) == [
        ("tenant", "5"), ("_count", "50"), ("since", "2026-02-28"), ("identifier", "urn:mrn|1&2=3"), ("active", "true"),
    ]  # fmt: skip
    assert httpx.URL(url).host == "lab.example"
    for value in ("@evil.example", "//evil.example/", ".evil.example", "\\evil.example", "#", "?"):
        seen = httpx.URL(found.address(URL, {"id": value, "since": "2026-02-28", "mrn": value}))
        assert (seen.host, seen.port, seen.path.startswith("/v1/patients/")) == ("lab.example", 8443, True)
    for bad in ({"id": "..", "mrn": "1"}, {"id": "1", "mrn": "1", "since": "today"}, {"mrn": "1"}):
        with pytest.raises(ConfigError):
            found.address(URL, {"since": "2026-02-28", **bad})


def test_a_url_without_variables_stays_as_it_is() -> None:
    odd = "http://lab.example/a%2Fb/../c;x=1?q=%20&&z"
    assert parameters().address(odd, {}) == odd


def test_what_nobody_asks_for_goes_into_the_query_and_what_is_fixed_stays() -> None:
    found = parameters(query={"limit": 5})
    assert query(found.address("https://h/x", {"q": "a b"})) == [("limit", "5"), ("q", "a b")]
    with pytest.raises(ConfigError, match="limit is set by the endpoint"):
        found.address("https://h/x", {"limit": "9"})


def test_parameters_without_a_place_are_of_the_query() -> None:
    assert parameters(limit=5, q="{q}").query == {"limit": "5", "q": "{q}"}
    with pytest.raises(ConfigError):
        parameters(query={"a": "1"}, limit=5)


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("integer", {"7": "7", "-07": "-7"}, ["", "7.0", "x", "٣", "9" * 19, "1e3", " 1"]),
        ("number", {"7": "7", "-7.50": "-7.50"}, ["", "x", "1e3", "NaN", "7."]),
        ("boolean", {"TRUE": "true", "false": "false"}, ["1", "yes", ""]),
        ("date", {"2026-02-28": "2026-02-28", "20260228": "2026-02-28"}, ["2026-02-30", "28.2.2026", ""]),
        ("uuid", {"00000000-0000-7000-8000-00000000000A": "00000000-0000-7000-8000-00000000000a"}, ["x", ""]),
        ("string", {"a?b#c": "a?b#c", "": ""}, ["a\nb", "\x00", "x" * 2_001]),
    ],
)
def test_types(kind: str, good: dict[str, str], bad: list[str]) -> None:
    found = parameters(query={"v": f"{{v:{kind}}}"})
    for value, written in good.items():
        assert query(found.address("https://h/", {"v": value})) == ([("v", written)] if written else [])
    for value in bad:
        with pytest.raises(ConfigError, match=f"v must be of type {kind}"):
            found.address("https://h/", {"v": value})
    with pytest.raises(ConfigError, match="v is missing"):
        found.address("https://h/", {})


@pytest.mark.ledger_part("S3-40", "a path variable changes neither the host nor the folder")
@pytest.mark.parametrize("value", ["", ".", "..", "../x", "x/..", "a/../../b", "..\\x", "x/./y", "x\n", "\x00"])
def test_a_path_variable_does_not_climb(value: str) -> None:
    for template in ("https://h/a/{v}", "https://h/a/{v}/b", "https://h/{v}"):
        with pytest.raises(ConfigError, match="v "):
            parameters().address(template, {"v": value})


@given(st.text(max_size=60))
def test_whatever_the_value_host_and_folder_stay(value: str) -> None:
    try:
        url = parameters(query={"q": "{v}"}).address("https://lab.example/base/{v}/end?x=1", {"v": value})
    except ConfigError:
        return
    seen = httpx.URL(url)
    assert (seen.host, seen.scheme, seen.fragment) == ("lab.example", "https", "")
    assert seen.raw_path.decode().partition("?")[0].count("/") == 3
    assert unquote(seen.path) == f"/base/{value}/end" or "%" in value
    assert query(url) == [("x", "1"), ("q", value)]


@pytest.mark.parametrize(
    ("url", "values", "reason"),
    [
        ("https://{host}/x", {}, "not in its host"),
        ("https://h/{a b}", {}, "a variable is written"),
        ("https://h/{", {}, "a variable is written"),
        ("https://h/x", {"path": {"id": "1"}}, "has no {id}"),
        ("https://h/{id:money}", {}, "no type money"),
        ("https://h:x/", {}, "ort"),
    ],
)
def test_url_and_parameters_belong_together(url: str, values: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parameters(**values).check(url)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"query": {"a": "{a"}}, "a variable is written"),
        ({"query": {"a": "{a:money}"}}, "no type money"),
        ({"query": {"a": "{a:integer=x}"}}, "must be of type integer"),
        ({"query": {"a": ["x"]}}, "string"),
    ],
)
def test_a_template_that_is_none_is_refused(values: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        parameters(**values)


@pytest.mark.ledger_part("S2-38", "only what changes nothing twice is repeatable, unless it has an Idempotency-Key")
def test_what_may_be_sent_again() -> None:
    assert [method for method in ("GET", "put", "DELETE", "POST", "PATCH") if repeatable(method)] == [
        "GET", "put", "DELETE",
    ]  # fmt: skip
    assert repeatable("POST", "key-1")


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"method": "POST"}, "HEAD"),
        ({"path": "https://evil.example/"}, "path of the URL's host"),
        ({"path": "//evil.example/"}, "path of the URL's host"),
        ({"path": "/a#b"}, "path of the URL's host"),
        ({"path": "/{id}"}, "path of the URL's host"),
        ({"expect_text": "ok"}, "needs the method GET"),
        ({"expect_text": "ok", "method": "head"}, "needs the method GET"),
    ],
)
def test_a_probe_that_cannot_work_is_refused(values: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        read(Probing, values, "probe")


def test_where_a_probe_asks() -> None:
    own = parameters(query={"a": "1"}, path={"id": "{id=me}"})
    assert read(Probing, {}, "").address("https://h/{id}?x=2", own) == "https://h/me?x=2&a=1"
    assert read(Probing, {"path": "/health?deep=1"}, "").address("https://h:8/{id}?x=2", own) == (
        "https://h:8/health?deep=1"
    )
    with pytest.raises(ConfigError, match="name a path to probe"):
        read(Probing, {}, "").address("https://h/{id}", parameters())
