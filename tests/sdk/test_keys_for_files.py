"""Keys for partners that take files: an SSH key, and an access key of an S3 store."""

from __future__ import annotations

from typing import Any

import asyncssh
import pytest

from hilum import telemetry
from hilum.sdk.authentication import AccessKey, SshKey, problems, read

OWN = asyncssh.generate_private_key("ssh-ed25519")
PLAIN, PEM, SEALED = (
    OWN.export_private_key(form, secret).decode()
    for form, secret in (("openssh", None), ("pkcs8-pem", None), ("pkcs8-pem", "canary-pass"))
)
ACCESS = {"type": "access_key", "access_key_id": "AKIDEXAMPLE", "secret_access_key": "canary-secret/+="}


@pytest.mark.parametrize("text", [PLAIN, PEM])
def test_an_ssh_key_in_any_form_is_sound(text: str) -> None:
    assert problems({"type": "ssh_key", "username": "hub", "private_key": text}) == ([], [])
    found = read({"type": "ssh_key", "privateKey": text})
    assert isinstance(found, SshKey)
    assert "PRIVATE KEY" not in repr(found)
    found.check()
    line = max(text.splitlines(), key=len)
    assert telemetry.mask(f"<{line}>") == f"<{telemetry.MASK}>"


def test_a_sealed_key_needs_its_passphrase() -> None:
    assert problems({"type": "ssh_key", "private_key": SEALED, "passphrase": "canary-pass"}) == ([], [])
    for wrong in ({}, {"passphrase": "canary-other"}):
        (error,), _ = problems({"type": "ssh_key", "private_key": SEALED, **wrong})
        assert error.startswith("SSH key: ")
        assert "canary" not in error


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"type": "ssh_key"}, "SSH private key is required"),
        ({"type": "ssh_key", "private_key": "canary"}, "SSH key: is no PEM private key, or has another passphrase"),
        ({"type": "ssh_key", "private_key": PEM, "username": "a\nb"}, "the user's name may hold no control characters"),
        ({"type": "access_key"}, "access key id and secret access key are required"),
        ({**ACCESS, "secret_access_key": " "}, "access key id and secret access key are required"),
        ({**ACCESS, "access_key_id": "AK/ID"}, "the access key id has characters that none may have"),
        ({**ACCESS, "session_token": "canary\n"}, "the session token has characters that no header may have"),
    ],
)
def test_what_is_wrong_is_said_without_the_secret(given: dict[str, Any], error: str) -> None:
    assert problems(given) == ([error], [])


@pytest.mark.parametrize(
    "given",
    [
        {"type": "ssh_key", "username": "${secret:files.username}", "private_key": "${secret:files}"},
        {"type": "ssh_key", "private_key": PLAIN, "passphrase": "${secret:files.passphrase}"},
        {"type": "access_key", "access_key_id": "${secret:store.id}", "secret_access_key": "${secret:store.key}"},
    ],
)
def test_references_are_not_looked_into(given: dict[str, Any]) -> None:
    assert problems(given) == ([], [])


def test_an_access_key_shows_no_secret() -> None:
    found = read({**ACCESS, "sessionToken": "canary-token"})
    assert isinstance(found, AccessKey)
    assert "canary" not in repr(found)
    assert set(found.secrets) == {"canary-secret/+=", "canary-token"}
