"""No secret in a log line: by value, by the name of its field, by how it looks; in whatever a traceback shows."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
import re2  # type: ignore[import-untyped]  # it ships no types
import structlog
from hypothesis import given
from hypothesis import strategies as st

from hilum import telemetry
from hilum.telemetry import MASK, Secrets

VALUE = "K4n ry/Secret+7&ü"
PEM = "-----BEGIN PRIVATE KEY-----\n" + "\n".join(
    "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg"[n:] for n in range(3)
)


@pytest.fixture
def secrets() -> Secrets:
    made = Secrets()
    made.add(VALUE)
    return made


@pytest.mark.parametrize(
    "form",
    [VALUE, quote(VALUE), quote(VALUE, safe=""), quote_plus(VALUE), json.dumps(VALUE)[1:-1], f"x{VALUE}y"],
)
def test_a_value_is_found_in_every_form(secrets: Secrets, form: str) -> None:
    assert VALUE not in secrets.mask(f"a {form} b")
    assert form not in secrets.mask(f"a {form} b")


@given(before=st.binary(max_size=7), after=st.binary(max_size=7))
def test_a_value_is_found_inside_of_base64(before: bytes, after: bytes) -> None:
    """Such as Authorization: Basic base64(user:password), wherever the value begins."""
    secrets = Secrets()
    secrets.add(VALUE)
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        masked = secrets.mask(encode(before + VALUE.encode() + after).decode())
        assert MASK in masked
        assert len(masked) <= (len(before) + len(after) + 6) * 4 / 3 + len(MASK) + 3


def test_each_line_of_a_private_key_is_found(secrets: Secrets) -> None:
    secrets.add(PEM)
    for line in PEM.splitlines()[1:]:
        assert secrets.mask(f"near {line}") == f"near {MASK}"
    assert secrets.mask(repr(PEM)) == f"'{MASK}'"


@given(st.text(max_size=20))
def test_any_text_can_be_masked_and_be_a_secret(text: str) -> None:
    """Halves of characters too: they come from broken file names and JSON."""
    assert isinstance(telemetry.mask(f"{text}\ud800"), str)
    secrets = Secrets()
    secrets.add(f"{text}\udc80xxxxxx")
    assert secrets.mask("nothing") == "nothing"


def test_each_of_many_is_found_from_the_moment_that_it_is_added(secrets: Secrets) -> None:
    """However they are looked for: one by one, or all at once."""
    for number in range(200):
        secrets.add(f"secret number {number:03}")
        assert secrets.mask(f"a secret number {number:03} b") == "a *** b"
        assert secrets.mask("a secret number 000, secret number 200") == "a ***, secret number 200"
    secrets.remove("secret number 000")
    secrets.remove("secret number 199")
    assert secrets.mask("secret number 000 199") == "secret number 000 199"
    assert secrets.mask("secret number 199, secret number 198") == "secret number 199, ***"


def test_what_finds_them_is_not_kept_when_another_one_takes_its_place(secrets: Secrets) -> None:
    """re2 keeps what it compiled; with thousands of secrets that were gigabytes."""
    for number in range(400):
        secrets.add(f"secret number {number:03}")
        secrets.mask("nothing")
    assert re2._Regexp._make.cache_info().currsize == 0  # re2 says it nowhere else


def test_what_is_added_for_a_while_is_forgotten(secrets: Secrets) -> None:
    with secrets.forgotten():
        secrets.remove(VALUE)
        secrets.add("for a while")
        assert secrets.mask(f"{VALUE} for a while") == f"{VALUE} {MASK}"
    assert secrets.mask(f"{VALUE} for a while") == f"{MASK} for a while"


def test_short_values_and_removed_ones_are_not_looked_for(secrets: Secrets) -> None:
    secrets.add("12345")
    assert secrets.mask("12345") == "12345"
    secrets.remove(VALUE)
    assert secrets.mask(VALUE) == VALUE


def test_the_registry_is_bounded_and_keeps_what_is_in_use() -> None:
    secrets = Secrets()
    secrets.MOST = 20  # type: ignore[misc]  # a small one for this test
    secrets.add("the one that is in use")
    for number in range(100):
        secrets.add(f"secret number {number}")
        secrets.add("the one that is in use")
    assert secrets.mask("the one that is in use") == MASK
    assert secrets.mask("secret number 99") == MASK
    assert secrets.mask("secret number 3") == "secret number 3"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Authorization: Bearer abcdefgh", f"Authorization: {MASK}"),
        ("sent bearer abcdefgh12345678 to x", f"sent bearer {MASK} to x"),
        ("sent bearer abc***78 to x", f"sent bearer {MASK} to x"),  # of which something was known by value
        ('{"cookie": "session=1; other=2", "n": 1}', f'{{"cookie": "{MASK}", "n": 1}}'),
        ("https://user:pass@lab.example/a?x=1", f"https://{MASK}@lab.example/a?x=1"),
        ("https://lab.example/a?access_token=abc&x=1", f"https://lab.example/a?access_token={MASK}&x=1"),
        ('{"client_secret": "abc", "id": 1}', f'{{"client_secret": "{MASK}", "id": 1}}'),
        ("x-api-key=abc;", f"x-api-key={MASK};"),
        (f"key\n{PEM}", f"key\n{MASK}"),
        ("eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiIxIn0.c2ln", MASK),
        ("the password is wrong, the token has expired", "the password is wrong, the token has expired"),
        (
            "basic authentication failed at https://lab.example/a",
            "basic authentication failed at https://lab.example/a",
        ),
        ("mllp://lab.example:2575", "mllp://lab.example:2575"),
    ],
)
def test_what_looks_like_a_secret_is_masked(text: str, masked: str) -> None:
    assert telemetry.mask(text) == masked


@pytest.mark.parametrize("name", ["password", "Lab-Password", "apiKey", "X-API-Key", "client_secret", "Set-Cookie",
                                  "AUTHORIZATION", "refresh_token", "private_key", "ssh_passphrase"])  # fmt: skip
def test_fields_that_name_a_secret_are_masked(name: str) -> None:
    assert telemetry.masked({"deep": [{name: "x"}, {name: 4711}, {name: None}, {name: ["x"]}]}) == {
        "deep": [{name: MASK}, {name: MASK}, {name: None}, {name: MASK}]
    }


def test_other_fields_are_kept() -> None:
    found = {"key_id": "a", "tokens_left": 3, "secretary": "b", "reason": "c", "n": 1.5, "ok": True}
    assert telemetry.masked(found) == found


@pytest.fixture
def log_file(tmp_path: Path) -> Iterator[Path]:
    """Logging as `serve --log-file` sets it up, put back afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    telemetry.configure(file=str(tmp_path / "hub.log"))
    telemetry.secrets.add(VALUE)
    yield tmp_path / "hub.log"
    telemetry.secrets.remove(VALUE)
    for handler in root.handlers:
        if handler not in handlers:
            handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.mark.parametrize(
    "text", ["://" + "x" * 300_000, "eyJ-" * 100_000, "token" * 80_000, "basic " * 60_000, "cookie" + " " * 300_000]
)
def test_long_texts_are_masked_all_the_same(text: str) -> None:
    """Python's own expressions took minutes: whoever could write a text could stop the hub."""
    masked = telemetry.mask(f"{text} password=hunter22")
    assert "hunter22" not in masked
    assert masked.endswith("***")


@pytest.mark.ledger_part("S2-64", "logs hold no secret")
def test_no_log_line_has_a_secret(log_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = telemetry.logger("test")
    log.info("connected", url=f"https://u:{quote(VALUE)}@lab", headers={"Authorization": "x y z", "n": VALUE.encode()})
    log.warning(f"no answer to {VALUE}", password="short", count=3)
    try:
        raise ValueError(f"cannot use {VALUE}") from OSError(VALUE)
    except ValueError:
        log.exception("failed", extra=[VALUE, {"token": "abc"}])
        logging.getLogger("somebody.else").exception("failed with %s", VALUE)
    logging.getLogger("somebody.else").warning("sent %s", base64.b64encode(f"user:{VALUE}".encode()).decode())
    lines = log_file.read_text()
    assert len(lines.splitlines()) == 5
    assert "cannot use ***" in lines
    assert "Traceback" in lines
    for text in (lines, capsys.readouterr().out):
        for form in (VALUE, quote(VALUE), json.dumps(VALUE)[1:-1], "short", "x y z", '"abc"'):
            assert form not in text
        assert base64.b64encode(VALUE.encode()).decode()[4:16] not in text
