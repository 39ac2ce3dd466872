"""Files encrypted for their recipients: opened again by their keys alone, and never whole in memory or on the disk."""

from __future__ import annotations

import datetime
import io
from collections.abc import Iterator
from typing import Any

import pyrage
import pysequoia
import pytest
import pyzipper

from hilum.errors import ConfigError
from hilum.exporting.protect import Plain, check, encrypt
from hilum.model.export import Protection

CREATED = datetime.datetime(2026, 1, 2, 3, 4, 6, tzinfo=datetime.UTC)
CONTENT = bytes(range(256)) * 4_000
PASSWORD = "correct horse battery"


def pieces() -> Iterator[bytes]:
    for start in range(0, len(CONTENT), 70_001):
        yield CONTENT[start : start + 70_001]


def encrypted(protection: Protection, password: str = "") -> bytes:
    sink = io.BytesIO()
    encrypt(protection, password, Plain("ädsl.csv", CREATED, len(CONTENT), pieces()), sink)
    return sink.getvalue()


def test_age_opens_with_each_recipient_and_with_no_other() -> None:
    first, second, stranger = (pyrage.x25519.Identity.generate() for _ in range(3))
    recipients = [str(first.to_public()), str(second.to_public())]
    found = encrypted(Protection(kind="age", recipients=recipients))
    assert CONTENT[:64] not in found
    assert pyrage.decrypt(found, [first]) == CONTENT
    assert pyrage.decrypt(found, [second]) == CONTENT
    with pytest.raises(pyrage.DecryptError):
        pyrage.decrypt(found, [stranger])


def test_openpgp_opens_with_the_key() -> None:
    key, stranger = pysequoia.Tsk.generate("Ann <ann@example.org>"), pysequoia.Tsk.generate("Eve <eve@example.org>")
    found = encrypted(Protection(kind="openpgp", recipients=[str(key.extract_certificate())]))
    assert CONTENT[:64] not in found
    assert bytes(pysequoia.decrypt(found, decryptor=key.decryptor()).bytes) == CONTENT
    with pytest.raises(Exception, match=r"."):
        pysequoia.decrypt(found, decryptor=stranger.decryptor())


@pytest.mark.filterwarnings("ignore:PBKDF2:DeprecationWarning")  # AE-2 says SHA-1 and 1,000 rounds
def test_a_zip_opens_with_the_password_by_another_library() -> None:
    found = encrypted(Protection(kind="zip", password="partner"), PASSWORD)
    with pyzipper.AESZipFile(io.BytesIO(found)) as package:
        (entry,) = package.infolist()
        assert entry.filename == "ädsl.csv"
        assert entry.wz_aes_strength == 3  # AES-256
        package.setpassword(PASSWORD.encode())
        assert package.read(entry) == CONTENT
        package.setpassword(b"wrong horse battery")
        with pytest.raises(RuntimeError, match="password"):
            package.read(entry)


def test_a_short_password_is_refused() -> None:
    with pytest.raises(ConfigError, match="12 characters"):
        encrypted(Protection(kind="zip", password="partner"), "short")


@pytest.mark.parametrize(
    ("kind", "recipient"),
    [("age", "age1nothing"), ("age", "AGE-SECRET-KEY-1"), ("age", "ssh-ed25519 AAAA"), ("openpgp", "-----BEGIN")],
)
def test_what_is_no_recipient_is_refused(kind: Any, recipient: str) -> None:
    with pytest.raises(ConfigError, match=r"recipients\[0\]"):
        check(Protection(kind=kind, recipients=[recipient]))


@pytest.mark.parametrize("kind", ["age", "openpgp"])
def test_a_source_that_breaks_breaks_it(kind: Any) -> None:
    def broken() -> Iterator[bytes]:
        yield CONTENT
        raise OSError(5, "the disk is broken")

    key = pysequoia.Tsk.generate("Ann <ann@example.org>")
    recipients = {"age": str(pyrage.x25519.Identity.generate().to_public()), "openpgp": str(key.extract_certificate())}
    with pytest.raises(Exception, match="the disk is broken"):
        encrypt(
            Protection(kind=kind, recipients=[recipients[kind]]), "", Plain("x", CREATED, 0, broken()), io.BytesIO()
        )


@pytest.mark.parametrize(
    "given",
    [{"kind": "zip"}, {"kind": "zip", "password": "a", "recipients": ["b"]}, {"kind": "age"},
     {"kind": "openpgp", "recipients": ["x"], "password": "a"}],
)  # fmt: skip
def test_keys_and_passwords_are_not_mixed(given: Any) -> None:
    with pytest.raises(ValueError, match=r"password|recipients"):
        Protection.model_validate(given)
