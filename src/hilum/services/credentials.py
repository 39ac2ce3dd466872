"""Credentials: secrets go in, are used, and never come back out to anybody."""

from __future__ import annotations

import dataclasses
import datetime
import json
import uuid
from collections.abc import Mapping
from typing import Any, Literal

from hilum import clock, telemetry
from hilum.errors import ConfigError, Conflict, NotFound, Refused
from hilum.model import credential as kinds
from hilum.model.access import Scope
from hilum.model.audit import Act, Change
from hilum.model.identifier import new
from hilum.security import credential_formats
from hilum.security.envelope import Place
from hilum.services.vault import Vault
from hilum.store import Connection, Store, credentials, studies, usage
from hilum.store.credentials import DAY, Credential, NewCredential
from hilum.store.usage import Usage

_MOST = 65_536  # bytes of all secrets of one credential
PART = "integration-"
"""How the names of those credentials begin that are parts of integrations; an integration's UUID follows."""

Secrets = dict[str, str | None]
"""What somebody wants: a value is set, None is cleared, what is left out stays as it is."""


@dataclasses.dataclass(frozen=True, slots=True)
class SecretView:
    """That a secret is there. `last4`: of long random ones, so that people can tell them apart."""

    set: bool
    last4: str
    updated_at: datetime.datetime
    updated_by: str
    version: int


@dataclasses.dataclass(frozen=True, slots=True)
class CredentialView:
    """A credential as it may be seen. Ages are in days; `unused_for` None: it was never used."""

    id: str
    name: str
    kind: str
    study: str | None
    fields: dict[str, Any]
    secrets: dict[str, SecretView]
    version: int
    created_at: datetime.datetime
    rotated_at: datetime.datetime
    rotate_every: int | None
    rotation: Literal["none", "ok", "due"]
    rotation_due_at: datetime.datetime | None
    age: int
    used_at: datetime.datetime | None
    unused_for: int | None


class Credentials:
    """The use cases on one hub's credentials."""

    def __init__(self, store: Store, vault: Vault) -> None:
        self._store = store
        self._vault = vault

    async def list(
        self, scope: Scope, offset: int, limit: int, kind: str | None = None
    ) -> tuple[list[CredentialView], int]:
        """Those within, by name, and how many there are."""
        own = self._store.within(scope.organization)
        found, total = await own.read(credentials.listed, scope, offset=offset, limit=limit, kind=kind)
        names = await own.read(studies.names, scope.organization)
        return [_view(one, names) for one in found], total

    async def show(self, scope: Scope, identifier: uuid.UUID) -> CredentialView:
        """Raises NotFound."""
        return await self._shown(await self._find(scope, identifier))

    async def named(self, scope: Scope, name: str) -> CredentialView:
        """Raises NotFound."""
        found = (await self._store.within(scope.organization).read(credentials.named, scope.organization, [name])).get(
            name
        )
        if found is None or not scope.admits(found.study):
            raise NotFound(f"there is no credential {name}")
        return await self._shown(found)

    async def create(
        self,
        act: Act,
        *,
        name: str,
        kind: str,
        fields: Mapping[str, Any],
        secrets: Secrets,
        study: str | None = None,
        rotate_every: int | None = None,
    ) -> CredentialView:
        """Raises ConfigError (a field), Conflict (the name), NotFound (the study), Refused (outside one's studies)."""
        own, organization = self._store.within(act.organization), act.organization
        if name.startswith(PART):
            raise ConfigError(f"names that begin with {PART} are the hub's own", where="name")
        number = await study_of(self._store, act.scope, study)
        if await own.read(credentials.taken, organization, name):  # before a data key is made for nothing
            raise Conflict(f"there is a credential or certificate {name} already")
        made = await self._made(act, name, kind, fields, secrets, number, rotate_every)
        return await self._shown(await own.change(act, credentials.insert, organization, made))

    async def part(self, act: Act, name: str, secrets: Secrets, study: int | None) -> None:
        """Put the secrets of an integration into a credential of its own, with the change that `act` is about to make.

        None clears one. It belongs to the integration's study, even if that changed.
        """
        found = (await self._store.within(act.organization).read(credentials.named, act.organization, [name])).get(name)
        if found is None:
            given = {one: value for one, value in secrets.items() if value is not None}
            if given:
                made = await self._made(act, name, "generic", {}, dict(given), study, None)
                act.conditions.append(lambda connection: credentials.insert(connection, act.organization, made))
        elif secrets or found.study != study:
            touched, whole = list(secrets), Scope(act.organization)
            columns = {"study": study, **(await self._anew(act, found, secrets) if secrets else {})}
            known = (found.uuid, found.version, touched, columns)
            act.conditions.append(lambda connection: credentials.change(connection, whole, *known))

    async def end_part(self, act: Act, name: str) -> None:
        """The credential that `part` made is gone for good with the change that `act` is about to make."""
        found = (await self._store.within(act.organization).read(credentials.named, act.organization, [name])).get(name)
        if found is not None:
            whole = Scope(act.organization)
            known = (found.uuid, found.version)
            act.conditions.append(lambda connection: credentials.archive(connection, whole, *known))

    async def change(
        self,
        act: Act,
        identifier: uuid.UUID,
        version: int,
        *,
        fields: Mapping[str, Any] | None = None,
        secrets: Secrets | None = None,
        **values: Any,
    ) -> CredentialView:
        """`values`: rotate_every. `fields` replaces all fields. Raises NotFound, Stale, ConfigError."""
        found = await self._find(act.scope, identifier)
        if fields is not None:
            values["fields"] = kinds.check(found.kind, fields)
        touched = secrets or {}
        if touched:
            values |= await self._anew(act, found, touched, values.get("fields"))
        elif fields is not None:
            credential_formats.check(found.kind, values["fields"], await self._open(found))
        own = self._store.within(act.organization)
        changed = await own.change(act, credentials.change, act.scope, identifier, version, list(touched), values)
        return await self._shown(changed)

    async def rotate(self, act: Act, identifier: uuid.UUID, version: int, secrets: Secrets) -> CredentialView:
        """New secrets in place of old ones; whoever refers to them uses them from the next connection on.

        Raises NotFound, Stale, ConfigError (none given, or one that is as it was).
        """
        found = await self._find(act.scope, identifier)
        given = {name: value for name, value in secrets.items() if value is not None}
        if not given:
            raise ConfigError("a rotation needs a new secret", where="secrets")
        before = await self._open(found)
        for name, value in given.items():
            if before.get(name) == value:
                raise ConfigError("is as it was: a rotation needs a new one", where=f"secrets.{name}")
        values = await self._anew(act, found, secrets)
        own = self._store.within(act.organization)
        changed = await own.change(act, credentials.change, act.scope, identifier, version, list(secrets), values)
        return await self._shown(changed)

    async def remove(self, act: Act, identifier: uuid.UUID, version: int) -> None:
        """Its secrets are gone for good. Raises NotFound, Stale, Conflict while integrations refer to it."""
        await self._store.within(act.organization).change(act, _remove, act.scope, identifier, version)

    async def usage(self, scope: Scope, identifier: uuid.UUID) -> Usage:
        """Who refers to it. Raises NotFound."""
        found = await self._find(scope, identifier)
        return await self._store.within(scope.organization).read(usage.of, scope, found.name)

    async def values(self, organization: int, study: int | None, names: set[str]) -> dict[str, str]:
        """What `NAME` and `NAME.FIELD` stand for, of those credentials that an integration of `study` may use.

        An integration of a study has those of the organization and of its own study; one of no study has all of the
        organization. A name that has no value is left out. Raises StoreError where the vault does not open.
        """
        own = self._store.within(organization)
        found = await own.read(credentials.named, organization, names)
        result: dict[str, str] = {}
        taken = []
        for name, one in found.items():
            if study is not None and one.study not in (None, study):
                continue
            secrets = await self._open(one)
            taken.append(one.id)
            main = kinds.main(one.kind, secrets)
            if main is not None:
                result[name] = secrets[main]
            result |= {f"{name}.{field}": str(value) for field, value in one.fields.items()}
            result |= {f"{name}.{field}": value for field, value in secrets.items()}
        if taken:
            await own.write(credentials.used, organization, taken, clock.micros())
        return result

    async def _made(
        self, act: Act, name: str, kind: str, fields: Mapping[str, Any], secrets: Secrets, study: int | None,
        rotate_every: int | None,
    ) -> NewCredential:  # fmt: skip
        """Checked and sealed, not stored yet. Raises ConfigError."""
        checked = kinds.check(kind, fields)
        identifier = new(clock.micros())
        values, about = _merged(act, kind, {}, {}, secrets)
        credential_formats.check(kind, checked, values)
        sealed, key = await self._seal(act.organization, identifier, values)
        return NewCredential(identifier, study, name, kind, checked, about, sealed, key, rotate_every)

    async def _find(self, scope: Scope, identifier: uuid.UUID) -> Credential:
        return await self._store.within(scope.organization).read(credentials.find, scope, identifier)

    async def _anew(
        self, act: Act, found: Credential, wanted: Secrets, fields: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """The columns of a credential whose secrets are changed, its fields too (None: not). Raises ConfigError."""
        values, about = _merged(act, found.kind, await self._open(found), found.secrets, wanted)
        credential_formats.check(found.kind, found.fields if fields is None else fields, values)
        sealed, key = await self._seal(found.organization, found.uuid, values)
        columns: dict[str, Any] = {"secrets": about, "sealed": sealed, "key": key}
        if any(value is not None for value in wanted.values()):
            columns["rotated_at"] = clock.micros()
        return columns

    async def _seal(self, organization: int, identifier: uuid.UUID, values: dict[str, str]) -> tuple[bytes, int]:
        plain = json.dumps(values).encode()
        if len(plain) > _MOST:
            raise ConfigError(f"the secrets have more than {_MOST} bytes", where="secrets")
        return await self._vault.seal(Place(organization, credentials.TABLE, identifier), plain)

    async def _open(self, found: Credential) -> dict[str, str]:
        """Its secrets, which the mask knows from now on."""
        place = Place(found.organization, credentials.TABLE, found.uuid)
        values: dict[str, str] = json.loads(await self._vault.open(place, found.sealed))
        for value in values.values():
            telemetry.secrets.add(value)
        return values

    async def _shown(self, one: Credential) -> CredentialView:
        return _view(one, await self._store.within(one.organization).read(studies.names, one.organization))


async def study_of(store: Store, scope: Scope, name: str | None) -> int | None:
    """The number of the study that something new is to belong to. Raises NotFound, Refused (outside one's own)."""
    if name is None:
        if scope.studies is not None:
            raise Refused("you may do this in your own studies alone: name one as `study`")
        return None
    number = (await store.within(scope.organization).read(studies.numbers, scope.organization)).get(name)
    if number is None or not scope.admits(number):
        raise NotFound(f"there is no study {name}")
    return number


def _merged(
    act: Act, kind: str, before: Mapping[str, str], about: Mapping[str, dict[str, Any]], wanted: Secrets
) -> tuple[dict[str, str], dict[str, dict[str, Any]]]:
    """The secrets as wanted, and what may be seen of each. Raises ConfigError where the kind has no such secret."""
    kinds.check_secrets(kind, wanted)
    values, told = dict(before), dict(about)
    for name, value in wanted.items():
        if value is None:
            values.pop(name, None)
            told.pop(name, None)
            continue
        telemetry.secrets.add(value)
        values[name] = value
        told[name] = {
            "updated_at": clock.micros(), "updated_by": act.principal.name or act.principal.id,
            "version": about.get(name, {}).get("version", 0) + 1, "last4": kinds.hint(kind, name, value),
        }  # fmt: skip
    return values, told


def _remove(connection: Connection, scope: Scope, identifier: uuid.UUID, version: int) -> Change:
    found = credentials.find(connection, scope, identifier)
    used = usage.of(connection, scope, found.name)
    if used.items or used.others:
        raise Conflict(f"{found.name} is in use by {used}: change what refers to it first")
    return credentials.archive(connection, scope, identifier, version)


def _view(one: Credential, names: Mapping[int, str]) -> CredentialView:
    now = clock.micros()
    due = one.due_at
    secrets = {
        name: SecretView(
            True, about["last4"], clock.from_micros(about["updated_at"]), about["updated_by"], about["version"]
        )
        for name, about in sorted(one.secrets.items())
    }
    return CredentialView(
        id=str(one.uuid), name=one.name, kind=one.kind, fields=one.fields, secrets=secrets, version=one.version,
        study=names.get(one.study) if one.study is not None else None,
        created_at=clock.from_micros(one.created_at), rotated_at=clock.from_micros(one.rotated_at),
        rotate_every=one.rotate_every, rotation="none" if due is None else "due" if due <= now else "ok",
        rotation_due_at=clock.from_micros(due) if due is not None else None, age=(now - one.rotated_at) // DAY,
        used_at=clock.from_micros(one.used_at) if one.used_at is not None else None,
        unused_for=(now - one.used_at) // DAY if one.used_at is not None else None,
    )  # fmt: skip
