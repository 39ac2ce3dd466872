"""What the operator says outside the configuration file: where data lives, what to listen on."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from hilum.errors import ConfigError
from hilum.model.pool import Pool
from hilum.security.egress import SETTING, Allowed
from hilum.security.keys.choice import KeyChoice
from hilum.security.keys.kms import KmsAddress
from hilum.security.keys.vault import VaultAddress

DATA = "hilum-data"
HTTP = "127.0.0.1:8080"


@dataclasses.dataclass(frozen=True, slots=True)
class Web:
    """The HTTP edge, as the operator writes it; hilum.api.edge reads and checks it."""

    origins: tuple[str, ...] = ()  # HILUM_ORIGINS: other origins whose pages may call the API, with commas
    proxies: tuple[str, ...] = ()  # HILUM_TRUSTED_PROXIES: networks whose X-Forwarded-… is believed, with commas
    docs: bool = False  # HILUM_DOCS: /api/v1/docs and openapi.json, for everybody
    body: int = 1_000_000  # HILUM_BODY_LIMIT: bytes
    known: int = 6_000  # HILUM_RATE: requests a minute of one principal
    together: int = 60_000  # HILUM_ORGANIZATION_RATE: of all principals of an organization
    unknown: int = 60  # HILUM_ADDRESS_RATE: from one address where nobody is known
    legacy_limits: bool = False  # HILUM_LEGACY_RATE_HEADERS: X-RateLimit-… as well
    logged: bool = True  # HILUM_ACCESS_LOG

    @classmethod
    def read(cls, environ: Mapping[str, str], *, docs: bool | None = None) -> Self:
        """Raises ConfigError."""
        usual = cls()
        return cls(
            _several(environ, "HILUM_ORIGINS"),
            _several(environ, "HILUM_TRUSTED_PROXIES"),
            _yes(environ, "HILUM_DOCS", usual.docs) if docs is None else docs,
            _number(environ, "HILUM_BODY_LIMIT", usual.body),
            _number(environ, "HILUM_RATE", usual.known),
            _number(environ, "HILUM_ORGANIZATION_RATE", usual.together),
            _number(environ, "HILUM_ADDRESS_RATE", usual.unknown),
            _yes(environ, "HILUM_LEGACY_RATE_HEADERS", usual.legacy_limits),
            _yes(environ, "HILUM_ACCESS_LOG", usual.logged),
        )


def _pool(environ: Mapping[str, str]) -> Pool:
    """Raises ConfigError: the embedded store needs two, one of them for the event loop."""
    usual = Pool()
    found = Pool(
        _number(environ, "HILUM_DATABASE_POOL", usual.size),
        _number(environ, "HILUM_DATABASE_OVERFLOW", usual.overflow),
        _number(environ, "HILUM_DATABASE_TIMEOUT", usual.timeout),
    )
    if found.size < 2:
        raise ConfigError("must be at least 2", where="HILUM_DATABASE_POOL")
    if found.timeout < 1:
        raise ConfigError("must be at least 1 second", where="HILUM_DATABASE_TIMEOUT")
    return found


def _url(text: str) -> str:
    """Without a slash at its end; empty: nobody said. Raises ConfigError."""
    parts = urlsplit(text.strip())
    if text and (parts.scheme not in ("http", "https") or not parts.netloc or parts.query or parts.fragment):
        raise ConfigError(f"{text!r} is no address such as https://hub.example.org", where="HILUM_URL")
    return text.strip().rstrip("/")


def _several(environ: Mapping[str, str], name: str) -> tuple[str, ...]:
    return tuple(one.strip() for one in environ.get(name, "").split(",") if one.strip())


def _number(environ: Mapping[str, str], name: str, usual: int) -> int:
    text = environ.get(name, "").strip() or str(usual)
    if not text.isdecimal():
        raise ConfigError(f"{text!r} is no whole number", where=name)
    return int(text)


def _yes(environ: Mapping[str, str], name: str, usual: bool) -> bool:
    text = environ.get(name, "").strip().lower()
    if text not in ("", "1", "0", "true", "false", "yes", "no", "on", "off"):
        raise ConfigError(f"{text!r} is neither yes nor no", where=name)
    return usual if not text else text in ("1", "true", "yes", "on")


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    """Flags of the CLI win over HILUM_… variables, which win over the defaults."""

    data: Path
    database: str | None = None  # postgresql://…; None: SQLite in the data folder
    owner: str | None = None  # HILUM_DATABASE_OWNER: the same database as a role that may purge the audit trail
    checkpoints: Path | None = None  # where the audit trail's checkpoints lie; None: in the data folder
    pool: Pool = dataclasses.field(
        default_factory=Pool
    )  # HILUM_DATABASE_POOL, _OVERFLOW, _TIMEOUT (seconds): connections that reads share
    http: str | None = HTTP
    url: str = ""  # HILUM_URL: where others reach the hub, as https://hub.example.org
    certificate: Path | None = None  # with `key`: HTTP is spoken over TLS alone
    key: Path | None = None
    config: Path | None = None
    file_roots: tuple[Path, ...] = ()  # folders that file endpoints may use; the config's folder and data/files always
    egress: tuple[Allowed, ...] = ()  # HILUM_EGRESS_ALLOW: where what people configure may connect to besides
    environ: Mapping[str, str] = dataclasses.field(default_factory=dict)
    web: Web = dataclasses.field(default_factory=Web)
    keys: KeyChoice = dataclasses.field(
        default_factory=KeyChoice
    )  # what wraps the data keys that secrets are sealed under

    @classmethod
    def read(
        cls,
        *,
        data: Path | None = None,
        database: str | None = None,
        http: str | None = None,
        config: Path | None = None,
        file_roots: list[Path] | None = None,
        docs: bool | None = None,
        checkpoints: Path | None = None,
        certificate: Path | None = None,
        key: Path | None = None,
    ) -> Self:
        """Raises ConfigError where a variable makes no sense."""
        environ = dict(os.environ)
        roots = file_roots or [Path(one) for one in environ.get("HILUM_FILE_ROOTS", "").split(os.pathsep) if one]
        return cls(
            data=data or Path(environ.get("HILUM_DATA", DATA)),
            database=database or environ.get("HILUM_DATABASE"),
            owner=environ.get("HILUM_DATABASE_OWNER") or None,
            checkpoints=checkpoints or _path(environ.get("HILUM_CHECKPOINTS")),
            pool=_pool(environ),
            http=http or environ.get("HILUM_HTTP", HTTP),
            url=_url(environ.get("HILUM_URL", "")),
            certificate=certificate or _path(environ.get("HILUM_HTTP_CERTIFICATE")),
            key=key or _path(environ.get("HILUM_HTTP_KEY")),
            config=config or (Path(environ["HILUM_CONFIG"]) if environ.get("HILUM_CONFIG") else None),
            file_roots=tuple(roots),
            egress=tuple(map(Allowed.read, _several(environ, SETTING))),
            environ=environ,
            web=Web.read(environ, docs=docs),
            keys=_keys(environ),
        )


def _keys(environ: Mapping[str, str]) -> KeyChoice:
    """HILUM_KEY_PROVIDER says what wraps; HILUM_VAULT_… and HILUM_KMS_… set up the two that ask another machine."""
    return KeyChoice(
        environ.get("HILUM_KEY_PROVIDER") or "file",
        {name: value for name, value in environ.items() if name.startswith("HILUM_KEY_")},
        _vault(environ),
        _kms(environ),
    )


def _vault(environ: Mapping[str, str]) -> VaultAddress | None:
    if not environ.get("HILUM_VAULT_ADDR"):
        return None
    return VaultAddress(
        environ["HILUM_VAULT_ADDR"],
        key=environ.get("HILUM_VAULT_KEY", "hilum"),
        mount=environ.get("HILUM_VAULT_MOUNT", "transit"),
        token=environ.get("HILUM_VAULT_TOKEN", ""),
        token_file=_path(environ.get("HILUM_VAULT_TOKEN_FILE")),
        namespace=environ.get("HILUM_VAULT_NAMESPACE", ""),
        authority=_path(environ.get("HILUM_VAULT_CACERT")),
    )


def _kms(environ: Mapping[str, str]) -> KmsAddress | None:
    """The access key may come as HILUM_KMS_… or as AWS's own tools have it."""
    key = environ.get("HILUM_KMS_KEY")
    if not key:
        return None

    def of(name: str, default: str = "") -> str:
        return environ.get(f"HILUM_KMS_{name}") or environ.get(f"AWS_{name}", default)

    return KmsAddress(
        environ.get("HILUM_KMS_ENDPOINT") or f"https://kms.{of('REGION')}.amazonaws.com",
        region=of("REGION"),
        key=key,
        access_key=of("ACCESS_KEY_ID"),
        secret_key=of("SECRET_ACCESS_KEY"),
        session_token=of("SESSION_TOKEN"),
        authority=_path(environ.get("HILUM_KMS_CACERT")),
    )


def _path(text: str | None) -> Path | None:
    return Path(text) if text else None
