from __future__ import annotations

import base64
import subprocess
from pathlib import Path

import pytest

from hilum.errors import FormatError
from hilum.formats.host_keys import HostKey, algorithms, fingerprint, read

KIND = b"\0\0\0\x0bssh-ed25519"
BLOB = KIND + b"\0\0\0\x20" + bytes(32)
KEY = f"ssh-ed25519 {base64.b64encode(BLOB).decode()}"
PRINT = fingerprint(BLOB)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (KEY, HostKey(PRINT, "ssh-ed25519")),
        (f"  {KEY} hub@files  \n", HostKey(PRINT, "ssh-ed25519")),
        (f"files.example,10.0.0.1 {KEY}", HostKey(PRINT, "ssh-ed25519")),
        (f"[files.example]:2222 {KEY} comment", HostKey(PRINT, "ssh-ed25519")),
        (PRINT, HostKey(PRINT)),
        (f"{PRINT}=", HostKey(PRINT)),
        (f"ssh-rsa {PRINT}", HostKey(PRINT, "ssh-rsa")),
    ],
)
def test_keys_are_read_as_people_write_them(text: str, expected: HostKey) -> None:
    assert read(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "", "ssh-ed25519", "SHA256:short", "MD5:16:27:ac:a5:76:28:2d:36:63:1b:56:4d:eb:df:a6:48", f"ssh-dss {PRINT}",
        "ssh-ed25519 ????", f"ssh-rsa {base64.b64encode(BLOB).decode()}", f"@revoked * {KEY}", f"@cert-authority {KEY}",
        f"|1|hash|hash {KEY}", f"#old {KEY}", "ssh-ed25519 AAAA", f"{PRINT} {PRINT}",
    ],
)  # fmt: skip
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(FormatError, match="is no host key"):
        read(text)


def test_the_server_is_asked_for_what_is_trusted() -> None:
    every = algorithms([])
    assert every[0] == "ssh-ed25519"
    assert {"ssh-rsa", "ssh-dss"}.isdisjoint(every), "no signatures with SHA-1"
    assert algorithms([HostKey("SHA256:x", "ssh-rsa")]) == ["rsa-sha2-512", "rsa-sha2-256"]
    assert algorithms([HostKey("SHA256:x", "ssh-rsa"), HostKey("SHA256:y")]) == every


def test_fingerprints_are_those_of_ssh_keygen(tmp_path: Path) -> None:
    for kind, bits in (("ed25519", "256"), ("ecdsa", "384"), ("rsa", "2048")):
        made = tmp_path / kind
        try:
            subprocess.run(["ssh-keygen", "-q", "-t", kind, "-b", bits, "-N", "", "-f", str(made)], check=True)
        except FileNotFoundError:
            pytest.skip("ssh-keygen absent: apt install openssh-client")
        said = subprocess.run(
            ["ssh-keygen", "-l", "-E", "sha256", "-f", f"{made}.pub"], check=True, capture_output=True, text=True
        )
        assert read(made.with_suffix(".pub").read_text()).fingerprint == said.stdout.split()[1]
