from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum import telemetry
from hilum.errors import ConfigError
from hilum.security.references import FROM_API, LARGEST, Reference, missing, references, resolve, vault_names

ENVIRON = {"TOKEN": "s3cr3t-canary", "EMPTY": "", "NESTED": "${env:TOKEN}"}


def _resolve(value: object, folder: Path | None = None) -> object:
    return resolve(value, environ=ENVIRON, folder=folder)


@pytest.mark.ledger_part("C-44", "headers name their secrets by reference")
def test_a_reference_is_a_whole_value_or_a_part_of_one_at_any_depth() -> None:
    value = {
        "token": "${env:TOKEN}",
        "headers": [{"Authorization": "Bearer ${env:TOKEN}"}, "${env:TOKEN}:${env:TOKEN}"],
        "port": 7,
        "on": True,
        "none": None,
    }
    assert _resolve(value) == {
        "token": "s3cr3t-canary",
        "headers": [{"Authorization": "Bearer s3cr3t-canary"}, "s3cr3t-canary:s3cr3t-canary"],
        "port": 7,
        "on": True,
        "none": None,
    }
    assert value["token"] == "${env:TOKEN}"  # what came in is left alone


def test_what_a_reference_stands_for_is_not_looked_at_again() -> None:
    assert _resolve("${env:NESTED}") == "${env:TOKEN}"


def test_an_empty_variable_is_a_value() -> None:
    assert _resolve("a${env:EMPTY}b") == "ab"


def test_two_dollars_stand_for_a_literal() -> None:
    assert _resolve("$${env:TOKEN}") == "${env:TOKEN}"
    assert references("$${env:TOKEN}") == []


def test_keys_are_left_alone() -> None:
    assert _resolve({"${env:TOKEN}": "x"}) == {"${env:TOKEN}": "x"}


def test_a_file_loses_its_last_line_end_only(tmp_path: Path) -> None:
    (tmp_path / "password").write_bytes(b" two\nlines \r\n")
    assert _resolve("${file:password}", tmp_path) == " two\nlines "
    assert _resolve(f"${{file:{tmp_path / 'password'}}}") == " two\nlines "


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("${env:MISSING}", "${env:MISSING}: the environment has no such variable"),
        ("${file:missing}", "${file:missing}: cannot be read: No such file or directory"),
        ("${file:a\0b}", "cannot be read"),
        ("${secret:lab}", "the vault is not open here"),
        ("${vault:lab}", "a reference is"),
        ("${TOKEN}", "a reference is"),
        ("${env:}", "a reference is"),
        ("${env:TOKEN", "not closed"),
    ],
)
def test_what_is_missing_or_malformed_is_named_with_its_place(text: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        _resolve({"integrations": [{"endpoints": [{"token": f"${{env:TOKEN}}{text}"}]}]}, tmp_path)
    assert caught.value.where == "integrations[0].endpoints[0].token"
    assert reason in caught.value.reason
    assert "s3cr3t-canary" not in str(caught.value)


def test_a_file_that_is_no_secret_is_refused(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe canary")
    (tmp_path / "large").write_bytes(b"x" * (LARGEST + 1))
    for name, reason in (("binary", "UTF-8"), ("large", "more than"), (".", "directory")):
        with pytest.raises(ConfigError, match=reason) as caught:
            _resolve(f"${{file:{name}}}", tmp_path)
        assert "canary" not in str(caught.value)
        assert "xxx" not in str(caught.value)


def test_a_relative_file_needs_a_folder() -> None:
    with pytest.raises(ConfigError, match="must be absolute"):
        _resolve("${file:password}")


def test_what_comes_through_the_api_reads_neither_environment_nor_files(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("x")
    for text in ("${env:TOKEN}", "${file:password}"):
        with pytest.raises(ConfigError, match="not allowed here"):
            resolve(text, environ=ENVIRON, folder=tmp_path, allowed={"secret"})


def test_references_lists_kind_name_and_place() -> None:
    found = references({"a": ["x${env:A}", {"b": "${file:/run/b}${secret:c}"}], "n": 1})
    assert found == [
        Reference("env", "A", "a[0]"),
        Reference("file", "/run/b", "a[1].b"),
        Reference("secret", "c", "a[1].b"),
    ]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_escaping_makes_any_value_literal(value: object) -> None:
    def escape(item: object) -> object:
        if isinstance(item, str):
            return item.replace("${", "$${")
        if isinstance(item, dict):
            return {key: escape(below) for key, below in item.items()}
        if isinstance(item, list):
            return [escape(below) for below in item]
        return item

    assert _resolve(escape(value)) == value


@pytest.mark.ledger_part("S2-65", "what comes through the API reads no file and no variable of the machine")
@pytest.mark.parametrize("text", ["${env:HOST}", "${file:/etc/passwd}"])
def test_the_api_may_name_the_vault_alone(text: str) -> None:
    with pytest.raises(ConfigError, match="not allowed here"):
        resolve(text, environ={"HOST": "x"}, folder=None, allowed=FROM_API)
    assert resolve("a${secret:lab}", environ={}, folder=None, allowed=FROM_API, secrets=lambda name: "b") == "ab"


def test_what_the_vault_says_is_told_with_its_place() -> None:
    known = {"lab.token": "x", "lab.header": "y"}

    def look(name: str) -> str:
        if name in known:
            return known[name]
        raise ConfigError(missing(name, known))

    document = {"headers": {"a": "${secret:lab.token}", "b": "${secret:lab.pin}"}}
    assert vault_names(document) == {"lab"}
    with pytest.raises(ConfigError) as raised:
        resolve(document, environ={}, folder=None, secrets=look)
    assert str(raised.value) == "headers.b: ${secret:lab.pin}: lab has no pin; there are: header, token"
    assert missing("lab", known) == "say which field is meant, as in lab.header; there are: header, token"
    assert missing("other", known) == "the vault has no such entry that this integration may use"


def test_what_was_resolved_is_masked(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("from-a-file-4711\n")
    environ = {"LAB_PASSWORD": "password-4711", "LAB_HOST": "lab.example.org", "LAB_KEY": "key-in-a-header-4711"}
    found = resolve(
        {"url": "https://${env:LAB_HOST}/?p=${env:LAB_PASSWORD}", "headers": {"x": "${env:LAB_KEY}${file:secret}"}},
        environ=environ,
        folder=tmp_path,
    )
    masked = telemetry.mask(repr(found))
    assert "lab.example.org" in masked, "a host is no secret"
    for secret in ("password-4711", "key-in-a-header-4711", "from-a-file-4711"):
        assert secret not in masked
