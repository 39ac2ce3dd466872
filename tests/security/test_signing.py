"""Signatures are sealed: an edit, another key and another place are each found."""

from __future__ import annotations

import hashlib
import json
import secrets
from typing import Any

import pytest
import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from hilum.security.signing import Signer, broken, digest

SEED = bytes(range(32))
ROW = {"id": "019a", "organization": "o", "operation": "user.roles", "entity": "user/1", "version": 3}
STATEMENT = {
    **ROW,
    "signer": {"id": "u", "name": "Eva Müller"},
    "time": "2026-11-25T10:02:03.123456Z",
    "meaning": "approval",
    "record_sha256": "ab" * 32,
    "reason": "",
}


@pytest.fixture
def signer() -> Signer:
    return Signer(SEED)


def test_what_was_sealed_holds(signer: Signer) -> None:
    text, seal = signer.seal(STATEMENT)
    assert broken(signer.public, text, seal, ROW) == ""
    assert json.loads(text) == {**STATEMENT, "format": "hilum-signature-1", "key": signer.key_id}


def test_anybody_can_check_a_seal_with_the_public_key_alone(signer: Signer) -> None:
    text, seal = signer.seal(STATEMENT)
    assert text.encode() == rfc8785.dumps(json.loads(text)), "canonical by another's implementation as well"
    Ed25519PublicKey.from_public_bytes(signer.public).verify(seal, b"hilum signature 1\n" + text.encode())


def test_the_key_follows_from_the_seed_and_is_none_that_seals_anything_else(signer: Signer) -> None:
    assert Signer(SEED).public == signer.public
    assert Signer(secrets.token_bytes(32)).public != signer.public
    checkpoints = Ed25519PrivateKey.from_private_bytes(SEED).public_key()
    assert signer.public != checkpoints.public_bytes_raw()


@pytest.mark.parametrize("name", sorted(STATEMENT))
def test_an_edit_of_any_field_breaks_the_seal(signer: Signer, name: str) -> None:
    text, seal = signer.seal(STATEMENT)
    edited: dict[str, Any] = {**json.loads(text), name: "other"}
    assert "the seal does not fit" in broken(signer.public, json.dumps(edited), seal, {})


def test_a_seal_of_another_key_or_for_another_purpose_does_not_fit(signer: Signer) -> None:
    text, _ = signer.seal(STATEMENT)
    other_text, other_seal = Signer(secrets.token_bytes(32)).seal(STATEMENT)
    assert "the seal does not fit" in broken(signer.public, text, other_seal, {})
    assert "the seal does not fit" in broken(signer.public, other_text, other_seal, {})
    assert "the seal does not fit" in broken(signer.public, text, b"", {})


@pytest.mark.ledger_part("S0-21", "a signature that is copied to another record fails verification")
@pytest.mark.parametrize("name", sorted(ROW))
def test_a_transplant_is_found(signer: Signer, name: str) -> None:
    text, seal = signer.seal(STATEMENT)
    assert broken(signer.public, text, seal, {**ROW, name: "elsewhere"}) == f"it was moved here: it says another {name}"


def test_a_digest_is_that_of_the_canonical_record() -> None:
    record = {"b": [1, None, True], "a": "ü"}
    assert digest(record) == hashlib.sha256(rfc8785.dumps(record)).hexdigest()
    assert digest({"a": "ü", "b": [1, None, True]}) == digest(record)
