"""Certificates: what there is and when it ends. Private keys go in, or are made here, and never come out.

A new certificate for the same name is asked for beside the one that is in use (`renew`), which is used until the issued
chain has come: then chain and key change together.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from hilum import clock, telemetry
from hilum.errors import ConfigError, Conflict
from hilum.model.access import Scope
from hilum.model.audit import Act, Change
from hilum.model.identifier import new
from hilum.security import certificates as x509
from hilum.security.certificates import Bundle, KeyKind, Link
from hilum.security.envelope import Place
from hilum.services.credentials import study_of
from hilum.services.vault import Vault
from hilum.store import Connection, Store, certificates, studies, usage
from hilum.store.certificates import Certificate
from hilum.store.credentials import DAY
from hilum.store.usage import Usage

CURRENT, PENDING = "key", "pending"  # what a row's sealed part holds: the key in use, the one that is asked for


@dataclasses.dataclass(frozen=True, slots=True)
class CertificateView:
    """A certificate as it may be seen. `days_left` is negative once it has ended; `key` tells that there is one."""

    id: str
    name: str
    study: str | None
    state: Literal["requested", "valid", "expiring", "expired"]
    subject: str
    issuer: str
    fingerprint: str
    not_before: datetime.datetime | None
    not_after: datetime.datetime | None
    days_left: int | None
    names: tuple[str, ...]
    uses: tuple[str, ...]
    key: dict[str, bool]
    renewing: bool
    version: int
    created_at: datetime.datetime


@dataclasses.dataclass(frozen=True, slots=True)
class ChainView:
    """The whole of what is public: the chain as text and link by link, and the request that waits for an answer."""

    certificate: CertificateView
    chain: str
    links: tuple[Link, ...]
    request: str


@dataclasses.dataclass(frozen=True, slots=True)
class Upload:
    """A chain as PEM with or without its key, or a PKCS#12 file."""

    chain: str | None = None
    key: str | None = dataclasses.field(default=None, repr=False)
    pkcs12: bytes | None = dataclasses.field(default=None, repr=False)
    passphrase: str | None = dataclasses.field(default=None, repr=False)

    def read(self) -> Bundle:
        """Raises ConfigError where it is not one chain, or the key is another's."""
        if self.passphrase:
            telemetry.secrets.add(self.passphrase)
        if (self.chain is None) == (self.pkcs12 is None):
            raise ConfigError("give a chain in PEM, or a PKCS#12 file", where="chain")
        if self.pkcs12 is not None:
            return x509.read_pkcs12(self.pkcs12, self.passphrase)
        return x509.read_pem(self.chain or "", self.key, self.passphrase)


class Certificates:
    """The use cases on one hub's certificates."""

    def __init__(self, store: Store, vault: Vault) -> None:
        self._store = store
        self._vault = vault

    async def list(self, scope: Scope, offset: int, limit: int) -> tuple[list[CertificateView], int]:
        """Those within, what ends first first, and how many there are."""
        own = self._store.within(scope.organization)
        found, total = await own.read(certificates.listed, scope, offset=offset, limit=limit)
        names = await own.read(studies.names, scope.organization)
        return [_view(one, names) for one in found], total

    async def show(self, scope: Scope, identifier: uuid.UUID) -> ChainView:
        """Raises NotFound."""
        return await self._shown(await self._find(scope, identifier))

    async def upload(self, act: Act, name: str, given: Upload, study: str | None = None) -> ChainView:
        """Raises ConfigError (no chain, another's key), Conflict (the name), NotFound (the study), Refused."""
        number = await study_of(self._store, act.scope, study)
        bundle, identifier = given.read(), new(clock.micros())
        keys = {CURRENT: bundle.key} if bundle.key is not None else {}
        values = {"uuid": identifier, "name": name, "study": number, "request": "", **_public(bundle)}
        values |= await self._sealed(act.organization, identifier, keys)
        return await self._shown(await self._change(act, certificates.insert, act.organization, values))

    async def request(
        self,
        act: Act,
        name: str,
        subject: dict[str, str],
        names: Sequence[str],
        kind: KeyKind,
        study: str | None = None,
    ) -> ChainView:
        """Make a key and a request for its certificate. Raises ConfigError, Conflict, NotFound, Refused."""
        number = await study_of(self._store, act.scope, study)
        key, request = x509.request(subject, names, kind)
        identifier = new(clock.micros())
        values = {
            "uuid": identifier, "name": name, "study": number, "request": request, "subject": _written(subject),
            "issuer": "", "fingerprint": "", "not_before": None, "not_after": None, "chain": "",
        }  # fmt: skip
        values |= await self._sealed(act.organization, identifier, {PENDING: key})
        return await self._shown(await self._change(act, certificates.insert, act.organization, values))

    async def renew(
        self,
        act: Act,
        identifier: uuid.UUID,
        version: int,
        subject: dict[str, str],
        names: Sequence[str],
        kind: KeyKind,
    ) -> ChainView:
        """Ask for a new one; the old one is in use until `complete`. Raises NotFound, Stale, ConfigError."""
        found = await self._find(act.scope, identifier)
        key, request = x509.request(subject, names, kind)
        keys = {**await self._open(found), PENDING: key}
        values = {"request": request, **await self._sealed(found.organization, found.uuid, keys)}
        return await self._shown(
            await self._change(act, certificates.change, act.scope, identifier, version, values)
        )  # fmt: skip

    async def complete(self, act: Act, identifier: uuid.UUID, version: int, chain: str) -> ChainView:
        """The issued chain of what was asked for. Raises NotFound, Stale, Conflict (nothing was), ConfigError."""
        found = await self._find(act.scope, identifier)
        keys = await self._open(found)
        if PENDING not in keys:
            raise Conflict(f"nothing was asked for under {found.name}: upload a chain with its key instead")
        bundle = x509.check_key(x509.read_pem(chain), keys[PENDING])
        return await self._put(act, found, version, bundle)

    async def replace(self, act: Act, identifier: uuid.UUID, version: int, given: Upload) -> ChainView:
        """Another chain, with its key, or with the key that is there already. Raises as `upload` does, and Stale."""
        found = await self._find(act.scope, identifier)
        bundle, keys = given.read(), await self._open(found)
        if bundle.key is None and CURRENT in keys:
            bundle = x509.check_key(bundle, keys[CURRENT])
        return await self._put(act, found, version, bundle)

    async def remove(self, act: Act, identifier: uuid.UUID, version: int) -> None:
        """Its key is gone for good. Raises NotFound, Stale, Conflict while integrations refer to it."""
        await self._change(act, _remove, act.scope, identifier, version)

    async def usage(self, scope: Scope, identifier: uuid.UUID) -> Usage:
        """Who refers to it. Raises NotFound."""
        found = await self._find(scope, identifier)
        return await self._store.within(scope.organization).read(usage.of, scope, found.name)

    async def values(self, organization: int, study: int | None, names: set[str]) -> dict[str, str]:
        """What `NAME.chain`, `NAME.key` and `NAME` (key and chain together) stand for, as credentials' values do."""
        found = await self._store.within(organization).read(certificates.named, organization, names)
        result: dict[str, str] = {}
        for name, one in found.items():
            if not one.chain or (study is not None and one.study not in (None, study)):
                continue
            keys = await self._open(one)
            result[f"{name}.chain"] = result[name] = one.chain
            if CURRENT in keys:
                result[f"{name}.key"] = keys[CURRENT]
                result[name] = keys[CURRENT] + one.chain
        return result

    async def _put(self, act: Act, found: Certificate, version: int, bundle: Bundle) -> ChainView:
        keys = {CURRENT: bundle.key} if bundle.key is not None else {}
        values = {"request": "", "warned": 0, **_public(bundle)}
        values |= await self._sealed(found.organization, found.uuid, keys)
        return await self._shown(await self._change(act, certificates.change, act.scope, found.uuid, version, values))

    async def _change(self, act: Act, function: Any, *args: Any) -> Any:
        return await self._store.within(act.organization).change(act, function, *args)

    async def _find(self, scope: Scope, identifier: uuid.UUID) -> Certificate:
        return await self._store.within(scope.organization).read(certificates.find, scope, identifier)

    async def _sealed(self, organization: int, identifier: uuid.UUID, keys: Mapping[str, str]) -> dict[str, Any]:
        if not keys:
            return {"sealed": None, "key": None}
        place = Place(organization, certificates.TABLE, identifier)
        sealed, number = await self._vault.seal(place, json.dumps(dict(keys)).encode())
        return {"sealed": sealed, "key": number}

    async def _open(self, found: Certificate) -> dict[str, str]:
        """Its private keys, which the mask knows from now on."""
        if found.sealed is None:
            return {}
        place = Place(found.organization, certificates.TABLE, found.uuid)
        keys: dict[str, str] = json.loads(await self._vault.open(place, found.sealed))
        for key in keys.values():
            telemetry.secrets.add(key)
        return keys

    async def _shown(self, one: Certificate) -> ChainView:
        names = await self._store.within(one.organization).read(studies.names, one.organization)
        return ChainView(_view(one, names), one.chain, x509.links(one.chain), one.request)


def _remove(connection: Connection, scope: Scope, identifier: uuid.UUID, version: int) -> Change:
    found = certificates.find(connection, scope, identifier)
    used = usage.of(connection, scope, found.name)
    if used.items or used.others:
        raise Conflict(f"{found.name} is in use by {used}: change what refers to it first")
    return certificates.archive(connection, scope, identifier, version)


def _public(bundle: Bundle) -> dict[str, Any]:
    leaf = bundle.links[0]
    return {
        "subject": leaf.subject, "issuer": leaf.issuer, "fingerprint": leaf.fingerprint,
        "not_before": leaf.not_before, "not_after": leaf.not_after, "chain": bundle.chain,
    }  # fmt: skip


def _written(subject: Mapping[str, str]) -> str:
    return f"CN={subject.get('common_name', '')}"


def _view(one: Certificate, names: Mapping[int, str]) -> CertificateView:
    links = x509.links(one.chain)
    left = (one.not_after - clock.micros()) // DAY if one.not_after is not None else None
    state: Literal["requested", "valid", "expiring", "expired"] = "requested"
    if left is not None:
        state = "expired" if left < 0 else "expiring" if left < certificates.WARNINGS[0] else "valid"
    return CertificateView(
        id=str(one.uuid), name=one.name, study=names.get(one.study) if one.study is not None else None, state=state,
        subject=one.subject, issuer=one.issuer, fingerprint=one.fingerprint,
        not_before=clock.from_micros(one.not_before) if one.not_before is not None else None,
        not_after=clock.from_micros(one.not_after) if one.not_after is not None else None, days_left=left,
        names=links[0].names if links else (), uses=links[0].uses if links else (),
        key={"set": one.sealed is not None}, renewing=bool(one.request and one.chain), version=one.version,
        created_at=clock.from_micros(one.created_at),
    )  # fmt: skip
