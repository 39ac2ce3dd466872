"""Vault's transit engine, over a server that holds keys as it does: versions, tokens, no plain key on a rewrap."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hilum import telemetry
from hilum.errors import ConfigError, StoreError
from hilum.security.keys import context
from hilum.security.keys.vault import VaultAddress, VaultKeys

KEY = secrets.token_bytes(32)
BOUND = context(1, 1)


class Transit:
    """Versions of one named key."""

    def __init__(self) -> None:
        self.token = "hvs.token-of-vault"
        self.versions = [AESGCM(secrets.token_bytes(32))]

    def __call__(self, path: str, headers: dict[str, str], asked: dict[str, Any], _: bytes) -> tuple[int, Any]:
        if headers.get("x-vault-token") != self.token:
            return 403, {"errors": ["permission denied for hvs.token-of-vault"]}
        verb = path.removeprefix("/v1/transit/").removesuffix("/hilum")
        if verb == "encrypt":
            return 200, {"data": {"ciphertext": self._seal(base64.b64decode(asked["plaintext"]))}}
        if verb == "decrypt":
            return 200, {"data": {"plaintext": base64.b64encode(self._open(asked["ciphertext"])).decode()}}
        if verb == "rewrap":
            return 200, {"data": {"ciphertext": self._seal(self._open(asked["ciphertext"]))}}
        return 404, {"errors": []}

    def _seal(self, plain: bytes) -> str:
        nonce = secrets.token_bytes(12)
        text = base64.b64encode(nonce + self.versions[-1].encrypt(nonce, plain, None)).decode()
        return f"vault:v{len(self.versions)}:{text}"

    def _open(self, ciphertext: str) -> bytes:
        _, version, text = ciphertext.split(":")
        raw = base64.b64decode(text)
        return self.versions[int(version[1:]) - 1].decrypt(raw[:12], raw[12:], None)


@pytest.mark.ledger_part("S0-33", "data keys are wrapped by Vault's transit engine")
def test_wrap_unwrap_and_rewrap(serve: Callable[..., Any], tmp_path: Path) -> None:
    transit = Transit()
    service = serve(transit)
    (tmp_path / "token").write_text(f"{transit.token}\n")
    keys = VaultKeys(VaultAddress(service.url, token_file=tmp_path / "token", namespace="clinic"))
    wrapped = keys.wrap(KEY, BOUND)
    assert (wrapped.provider, wrapped.wrapped_by) == ("vault", "hilum:v1")
    assert keys.knows(wrapped.wrapped_by)
    assert keys.unwrap(wrapped, BOUND) == KEY
    transit.versions.append(AESGCM(secrets.token_bytes(32)))
    again = keys.rewrap(wrapped, BOUND)
    assert again.wrapped_by == "hilum:v2"
    assert keys.unwrap(again, BOUND) == KEY
    path, headers, asked = service.asked[2]
    assert path == "/v1/transit/rewrap/hilum"
    assert set(asked) == {"ciphertext"}, "the data key did not come here"
    assert headers["x-vault-namespace"] == "clinic"
    assert telemetry.mask(f"x {transit.token} y") == "x *** y"


def test_a_wrapped_key_of_another_organization_is_refused(serve: Callable[..., Any]) -> None:
    transit = Transit()
    keys = VaultKeys(VaultAddress(serve(transit).url, token=transit.token))
    wrapped = keys.wrap(KEY, BOUND)
    with pytest.raises(StoreError, match="belongs to another organization or number"):
        keys.unwrap(wrapped, context(2, 1))
    again = keys.rewrap(wrapped, BOUND)
    with pytest.raises(StoreError, match="belongs to another organization or number"):
        keys.unwrap(again, context(1, 2))


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((403, {"errors": ["hvs.canary"]}), "Vault refused with status 403"),
        ((200, "not json hvs.canary"), "does not answer with JSON"),
        ((200, {"data": {"other": 1}}), "Vault answers without ciphertext"),
        ((200, {"data": {"ciphertext": "hvs.canary"}}), "no ciphertext"),
        ((302, {}), "Vault refused with status 302"),
        ((200, "x" * 2_000_000), "answers too much"),
    ],
)
def test_what_vault_answers_is_not_repeated(serve: Callable[..., Any], answer: tuple[int, Any], reason: str) -> None:
    keys = VaultKeys(VaultAddress(serve(lambda *_: answer).url, token="hvs.canary"))
    with pytest.raises(StoreError, match=reason) as raised:
        keys.wrap(KEY, BOUND)
    assert "canary" not in str(raised.value)


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        (VaultAddress("https://vault:8200"), "needs HILUM_VAULT_TOKEN_FILE"),
        (VaultAddress("http://vault.example:8200", token="x"), "over https"),
        (VaultAddress("ftp://vault", token="x"), "must be https"),
        (VaultAddress("https://vault", token="x", key="a/b"), "cannot stand in a path"),
        (VaultAddress("https://vault", token="x", mount="../sys"), "cannot stand in a path"),
        (VaultAddress("https://vault", token="x", authority=Path("/no/such")), "cannot read the certificates"),
    ],
)
def test_an_address_that_will_not_do_is_said(address: VaultAddress, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        VaultKeys(address)


def test_no_answer_and_no_token_are_said(tmp_path: Path, serve: Callable[..., Any]) -> None:
    with pytest.raises(StoreError, match=r"Vault does not answer \(ConnectError\)"):
        VaultKeys(VaultAddress("http://127.0.0.1:1", token="x")).wrap(KEY, BOUND)
    with pytest.raises(StoreError, match="cannot read Vault's token"):
        VaultKeys(VaultAddress(serve(Transit()).url, token_file=tmp_path / "none")).wrap(KEY, BOUND)
