"""Data keys under master keys of hub.key or of the environment."""

from __future__ import annotations

import base64
import dataclasses
import secrets
from pathlib import Path

import pytest

from hilum.errors import ConfigError, StoreError
from hilum.security.keyring import Keyring
from hilum.security.keys import Wrapped, context
from hilum.security.keys.choice import KeyChoice, providers
from hilum.security.keys.environment import environment_keys
from hilum.security.keys.file import FileKeys

KEY = secrets.token_bytes(32)
BOUND = context(1, 3)
ONE, OTHER = (base64.b64encode(secrets.token_bytes(32)).decode() for _ in range(2))


@pytest.fixture
def ring(tmp_path: Path) -> Keyring:
    return Keyring.create(tmp_path / "hub.key")[0]


def test_a_data_key_is_wrapped_under_the_newest_master(ring: Keyring, tmp_path: Path) -> None:
    keys = FileKeys(ring, tmp_path / "hub.key")
    wrapped = keys.wrap(KEY, BOUND)
    assert (wrapped.provider, wrapped.wrapped_by) == ("file", "1")
    assert keys.unwrap(wrapped, BOUND) == KEY
    assert KEY not in wrapped.wrapped
    assert keys.renew() == "2"
    again = keys.rewrap(wrapped, BOUND)
    assert again.wrapped_by == "2"
    assert keys.unwrap(again, BOUND) == keys.unwrap(wrapped, BOUND) == KEY
    later = FileKeys(Keyring.load(tmp_path / "hub.key"), tmp_path / "hub.key")
    assert later.unwrap(again, BOUND) == KEY
    assert later.current == "2"
    assert (tmp_path / "hub.key").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("bound", [context(2, 3), context(1, 4)])
def test_a_wrapped_key_that_was_moved_does_not_unwrap(ring: Keyring, tmp_path: Path, bound: bytes) -> None:
    keys = FileKeys(ring, tmp_path / "hub.key")
    with pytest.raises(StoreError, match="changed or moved"):
        keys.unwrap(keys.wrap(KEY, BOUND), bound)


def test_a_wrapped_key_that_was_changed_does_not_unwrap(ring: Keyring, tmp_path: Path) -> None:
    keys = FileKeys(ring, tmp_path / "hub.key")
    wrapped = keys.wrap(KEY, BOUND)
    for text in (wrapped.wrapped[:-1] + b"\0", b"\2" + wrapped.wrapped[1:], b""):
        with pytest.raises(StoreError):
            keys.unwrap(dataclasses.replace(wrapped, wrapped=text), BOUND)


def test_keys_of_the_environment() -> None:
    assert environment_keys({"HILUM_KEY_PROVIDER": "environment", "HOME": "/"}) is None
    keys = environment_keys({"HILUM_KEY_2026": ONE})
    assert keys is not None
    assert (keys.name, keys.current) == ("environment", "2026")
    wrapped = keys.wrap(KEY, BOUND)
    both = environment_keys({"HILUM_KEY_2026": ONE, "HILUM_KEY_2027": OTHER, "HILUM_KEY_CURRENT": "2027"})
    assert both is not None
    assert both.unwrap(wrapped, BOUND) == KEY
    assert both.rewrap(wrapped, BOUND).wrapped_by == "2027"


@pytest.mark.parametrize(
    ("environ", "reason"),
    [
        ({"HILUM_KEY_A": "c2hvcnQ="}, "32 random bytes in base64"),
        ({"HILUM_KEY_A": "%%%"}, "32 random bytes in base64"),
        ({"HILUM_KEY_A": ONE, "HILUM_KEY_B": OTHER}, "must name one of the keys in the environment: A, B"),
        ({"HILUM_KEY_A": ONE, "HILUM_KEY_CURRENT": "B"}, "must name one of the keys in the environment: A"),
    ],
)
def test_what_is_no_key_of_the_environment_is_said(environ: dict[str, str], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason) as raised:
        environment_keys(environ)
    assert not any(value in str(raised.value) for value in environ.values() if len(value) > 8)


def test_what_is_set_up_unwraps_and_one_wraps(ring: Keyring, tmp_path: Path) -> None:
    path = tmp_path / "hub.key"
    before = providers(KeyChoice(), ring, path)
    wrapped = before.wrap(KEY, BOUND)
    after = providers(KeyChoice("environment", {"HILUM_KEY_A": ONE}), ring, path)
    assert after.unwrap(wrapped, BOUND) == KEY
    moved = after.rewrap(wrapped, BOUND)
    assert (moved.provider, moved.wrapped_by) == ("environment", "A")
    assert after.unwrap(moved, BOUND) == KEY
    with pytest.raises(ConfigError, match="the key provider 'environment', which is not set up here"):
        before.unwrap(moved, BOUND)


def test_an_unknown_key_is_said_by_its_name(ring: Keyring, tmp_path: Path) -> None:
    here = providers(KeyChoice(), ring, tmp_path / "hub.key")
    with pytest.raises(ConfigError, match="wrapped under the key '9' of the key provider 'file', which is not here"):
        here.check(Wrapped("file", "9", b""))
    with pytest.raises(ConfigError, match="must be one of file, environment, vault, kms"):
        providers(KeyChoice("paper"), ring, tmp_path / "hub.key")
    with pytest.raises(ConfigError, match="'vault' is not set up; there are: file"):
        providers(KeyChoice("vault"), ring, tmp_path / "hub.key")
