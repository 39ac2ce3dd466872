"""The keys are the owner's alone, read as they were written, and refused where anything about them is odd."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pyrage
import pytest

from hilum.errors import ConfigError
from hilum.security.keyring import Keyring


def test_keys_are_read_as_they_were_written(tmp_path: Path) -> None:
    made, _ = Keyring.create(tmp_path / "hub.key")
    assert Keyring.load(tmp_path / "hub.key") == made
    assert [len(key) for key in (*made.masters.values(), made.search)] == [32, 32]
    assert made.current == 1


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "hub.key"
    Keyring.create(path)
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o601])
def test_a_file_that_others_may_touch_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "hub.key"
    Keyring.create(path)
    path.chmod(mode)
    with pytest.raises(ConfigError, match="readable by others; run: chmod 600"):
        Keyring.load(path)
    path.chmod(0o400)
    Keyring.load(path)


def test_existing_keys_are_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "hub.key"
    made, _ = Keyring.create(path)
    with pytest.raises(FileExistsError):
        Keyring.create(path)
    assert Keyring.load(path) == made


def test_the_recovery_key_opens_what_is_encrypted_to_the_recipient_and_is_kept_nowhere(tmp_path: Path) -> None:
    made, recovery = Keyring.create(tmp_path / "hub.key")
    assert recovery.startswith("AGE-SECRET-KEY-1")
    assert recovery not in (tmp_path / "hub.key").read_text()
    sealed = io.BytesIO()
    pyrage.encrypt_io(io.BytesIO(b"backup"), sealed, [pyrage.x25519.Recipient.from_str(made.recipient)])
    identity = pyrage.x25519.Identity.from_str(recovery)
    assert pyrage.decrypt(sealed.getvalue(), [identity]) == b"backup"


def test_a_file_of_before_gets_a_key_for_the_evidence(tmp_path: Path) -> None:
    path = tmp_path / "hub.key"
    made, _ = Keyring.create(path)
    document = json.loads(path.read_text())
    del document["evidence"]
    path.write_text(json.dumps(document))
    first = Keyring.load(path)
    assert (first.masters, first.search, first.recipient) == (made.masters, made.search, made.recipient)
    assert first.evidence != made.evidence
    assert Keyring.load(path).evidence == first.evidence
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["hub.key"]


def test_no_two_hubs_have_the_same_keys(tmp_path: Path) -> None:
    made = [Keyring.create(tmp_path / str(number))[0] for number in range(20)]
    assert len({key for ring in made for key in (*ring.masters.values(), ring.search)}) == 40
    assert len({ring.recipient for ring in made}) == 20


@pytest.mark.parametrize(
    "text",
    [
        "", "{}", "[]", "null", '{"masters": {}}', "no json", json.dumps({"masters": {}, "search": "AA=="}),
        json.dumps({"masters": {"x": ""}, "search": "", "recipient": ""}),
        json.dumps({"masters": {"1": 7}, "search": "", "recipient": "age1x"}),
    ],
)  # fmt: skip
def test_what_is_no_key_file_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "hub.key"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="not a key file"):
        Keyring.load(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read the keys"):
        Keyring.load(tmp_path / "hub.key")


def test_the_highest_number_is_the_current_key() -> None:
    ring = Keyring({1: bytes(32), 12: bytes(32), 3: bytes(32)}, bytes(32), "age1")
    assert ring.current == 12
    assert Keyring.decode(ring.encode()) == ring
