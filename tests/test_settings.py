"""Which key provider wraps, and how to reach it, as the environment says it."""

from __future__ import annotations

from pathlib import Path

import pytest

from hilum.errors import ConfigError
from hilum.settings import Settings

VAULT = {
    "HILUM_KEY_PROVIDER": "vault",
    "HILUM_VAULT_ADDR": "https://vault.example:8200",
    "HILUM_VAULT_TOKEN_FILE": "/run/vault/token",
    "HILUM_VAULT_KEY": "clinic",
    "HILUM_VAULT_NAMESPACE": "it",
}


def test_the_key_file_is_the_default() -> None:
    keys = Settings.read().keys
    assert (keys.provider, keys.vault, keys.kms) == ("file", None, None)


def test_vault_is_set_up_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in VAULT.items():
        monkeypatch.setenv(name, value)
    keys = Settings.read().keys
    assert keys.provider == "vault"
    assert keys.vault is not None
    assert (keys.vault.key, keys.vault.mount, keys.vault.token_file) == ("clinic", "transit", Path("/run/vault/token"))


@pytest.mark.parametrize("prefix", ["AWS_", "HILUM_KMS_"])
def test_kms_takes_amazons_variables_and_its_own(monkeypatch: pytest.MonkeyPatch, prefix: str) -> None:
    for name, value in (("REGION", "eu-central-1"), ("ACCESS_KEY_ID", "AKID"), ("SECRET_ACCESS_KEY", "secret-of-aws")):
        monkeypatch.setenv(f"{prefix}{name}", value)
    monkeypatch.setenv("HILUM_KMS_KEY", "alias/hilum")
    kms = Settings.read().keys.kms
    assert kms is not None
    assert (kms.url, kms.region, kms.access_key) == ("https://kms.eu-central-1.amazonaws.com", "eu-central-1", "AKID")
    assert "secret-of-aws" not in repr(kms)


def test_keys_of_the_environment_are_kept_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HILUM_KEY_2026", "value-of-a-key")
    keys = Settings.read().keys
    assert keys.environ == {"HILUM_KEY_2026": "value-of-a-key"}
    assert "value-of-a-key" not in repr(keys)


def test_the_operator_s_allow_list_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings.read().egress == ()
    monkeypatch.setenv("HILUM_EGRESS_ALLOW", "10.20.0.0/16:6661, [fd12::/16]:443,ward=192.168.7.0/24")
    assert [(str(one.network), one.port, one.organization) for one in Settings.read().egress] == [
        ("10.20.0.0/16", 6661, None), ("fd12::/16", 443, None), ("192.168.7.0/24", None, "ward"),
    ]  # fmt: skip
    monkeypatch.setenv("HILUM_EGRESS_ALLOW", "10.20.0.0/16,lab.example")
    with pytest.raises(ConfigError, match=r"HILUM_EGRESS_ALLOW: 'lab\.example'"):
        Settings.read()
