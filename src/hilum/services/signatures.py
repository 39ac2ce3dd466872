"""Electronic signatures: made by a person who proves to be there, shown with the record, verified at any time.

A signature is for one operation on one version of one record, is used once, and holds for a quarter of an hour until
it is used. Afterwards it stays as evidence.
"""

from __future__ import annotations

import dataclasses
import datetime
import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal

from hilum import clock
from hilum.errors import ConfigError, Conflict, NotFound, Refused, Stale
from hilum.model.access import Principal, PrincipalKind, Scope, permit
from hilum.model.audit import Act, Change
from hilum.model.identifier import new
from hilum.model.signing import OPERATIONS, Meaning, line
from hilum.security.signing import Signer, broken, digest
from hilum.services.records import Records
from hilum.store import Connection, Store, records, signatures
from hilum.store.records import Record
from hilum.store.signatures import Signature

VALID = 15 * 60 * 1_000_000  # microseconds in which it can be used
Prove = Callable[[Principal, str, str | None], Awaitable[None]]
"""Checks a person's password, and the code of his authenticator where he has one. Raises Refused."""

Confirm = Callable[[Principal, str], Awaitable[None]]
"""Checks a person's password alone. Raises Refused."""

State = Literal["current", "superseded", "altered", "gone"]


@dataclasses.dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody wants to sign. `version` None: the one that there is."""

    operation: str
    entity: str
    version: int | None
    meaning: Meaning
    reason: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class SignatureView:
    """A signature with all that 21 CFR 11.50 asks for; `text` is its one line. `record`: is it still what was signed?

    current: it is. superseded: the record has a later version. altered: the same version has another content, so it
    was changed behind the hub's back. gone: there is no such record any more.
    """

    id: uuid.UUID
    operation: str
    entity: str
    version: int
    meaning: str
    signer: str  # the printed name
    signer_id: str
    signed_at: datetime.datetime
    reason: str
    record_sha256: str
    used_at: datetime.datetime | None
    record: State
    text: str


@dataclasses.dataclass(frozen=True, slots=True)
class Verification(SignatureView):
    """`valid`: nothing of it was edited or moved; else `problem` says what is wrong. The rest is for one's own check:
    `statement` is canonical JSON, `seal` the Ed25519 signature (hex) over `hilum signature 1\\n` and it."""

    valid: bool
    problem: str
    statement: str
    seal: str
    public_key: str


class Signatures:
    """The use cases. `prove` checks who signs; `confirm` does after a session's first signature (11.200(a)(1))."""

    def __init__(self, store: Store, known: Records, signer: Signer, prove: Prove, confirm: Confirm) -> None:
        self._store = store
        self._records = known
        self._signer = signer
        self._prove = prove
        self._confirm = confirm

    async def create(self, act: Act, wanted: Wanted, password: str, code: str | None) -> SignatureView:
        """Sign. Raises ConfigError (no such operation), Refused, NotFound, Stale, and what `prove` raises."""
        principal = act.principal
        if wanted.operation not in OPERATIONS:
            raise ConfigError(f"there is no operation {wanted.operation}", where="operation")
        if principal.kind is not PrincipalKind.USER:
            raise Refused("only a person can sign, with an account of his own")
        act.entity, act.reason = wanted.entity, wanted.reason or act.reason
        act.details |= {"operation": wanted.operation, "meaning": wanted.meaning.value}
        may = permit(principal, OPERATIONS[wanted.operation].permission)  # who may not do it does not sign for it
        record = await self._records.of(act.scope, wanted.entity)
        if not record.within(may):
            raise NotFound(f"there is no {wanted.entity} that can be signed")
        if wanted.version not in (None, record.version):
            raise Stale(f"{wanted.entity} has version {record.version} by now, not {wanted.version}")
        within, session = self._store.within(act.organization), principal.session
        later = await within.read(signatures.signed_before, act.organization, principal.number, session)
        if later:
            await self._confirm(principal, password)
        else:
            await self._prove(principal, password, code)
        made: Signature = await within.change(act, self._add, act, wanted, record, not later)
        return _shown(made, (record.version, digest(record.document)))

    async def show(self, scope: Scope, identifier: uuid.UUID) -> SignatureView:
        """Raises NotFound."""
        found = await self._find(scope, identifier)
        return _shown(found, (await self._records.digests(scope, {found.entity})).get(found.entity))

    async def verify(self, scope: Scope, identifier: uuid.UUID) -> Verification:
        """Check the seal, that row and statement say the same, and the record. Raises NotFound."""
        found = await self._find(scope, identifier)
        shown = _shown(found, (await self._records.digests(scope, {found.entity})).get(found.entity))
        home, person = await self._store.within(scope.organization).read(_around, found)
        problem = broken(self._signer.public, found.text, found.seal, claims(found, home, person))
        if not problem and shown.record == "altered":
            problem = "the record was changed behind the hub's back: its version is the same, its content is not"
        return Verification(
            **{field.name: getattr(shown, field.name) for field in dataclasses.fields(SignatureView)},
            valid=not problem,
            problem=problem,
            statement=found.text,
            seal=found.seal.hex(),
            public_key=self._signer.public.hex(),
        )

    async def list(self, scope: Scope, entity: str | None, offset: int, limit: int) -> tuple[list[SignatureView], int]:
        """The newest first, and how many there are."""
        within = self._store.within(scope.organization)
        found, total = await within.read(signatures.newest, scope, entity, offset, limit)
        now = await self._records.digests(scope, {one.entity for one in found})
        return [_shown(one, now.get(one.entity)) for one in found], total

    async def _find(self, scope: Scope, identifier: uuid.UUID) -> Signature:
        found = await self._store.within(scope.organization).read(signatures.find, scope, identifier)
        if found is None:
            raise NotFound(f"there is no signature {identifier}")
        return found

    def _add(self, connection: Connection, act: Act, wanted: Wanted, seen: Record, whole: bool) -> Change:
        """In one transaction: the record is still what was looked at, the signature, and its session's first."""
        owner, stamp = act.organization, clock.micros()
        record = records.read(connection, owner, wanted.entity)
        if record is None or digest(record.document) != digest(seen.document):
            raise Conflict(f"{wanted.entity} was changed meanwhile: look at it again before you sign")
        home, person = signatures.home(connection, owner), signatures.signer(connection, owner, act.principal.number)
        if home is None or person is None:
            raise Refused("only a person can sign, with an account of his own")
        identifier = new(stamp)
        statement = {
            "id": str(identifier),
            "organization": str(home.uuid or home.name),
            "signer": {"id": person.id, "name": person.name},
            "time": clock.from_micros(stamp).isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "meaning": wanted.meaning.value,
            "operation": wanted.operation,
            "entity": wanted.entity,
            "version": record.version,
            "record_sha256": digest(record.document),
            "components": ["id", "password", *(["totp"] if whole and person.second_factor else [])],
            "reason": wanted.reason,
        }
        text, seal = self._signer.seal(statement)
        values = {
            "uuid": identifier, "organization": owner, "study": record.study, "user": act.principal.number,
            "operation": wanted.operation, "entity": wanted.entity, "entity_version": record.version, "stamp": stamp,
            "document": text, "seal": seal,
        }  # fmt: skip
        signatures.add(connection, act.principal.session, **values)
        made = signatures.find(connection, act.scope, identifier)
        after = {name: statement[name] for name in ("operation", "entity", "version", "meaning", "record_sha256")}
        return Change(made, f"signature/{identifier}", after=after)


def claims(one: Signature, home: signatures.Home, person: str) -> Mapping[str, Any]:
    """What the row and its surroundings say: a signature that was moved or copied says something else."""
    time = clock.from_micros(one.stamp).isoformat(timespec="microseconds").replace("+00:00", "Z")
    return {
        "id": str(one.uuid),
        "organization": str(home.uuid or home.name),
        "signer": {"id": person, "name": _signer(one).get("name")},  # the printed name; it may have changed since
        "time": time,
        "operation": one.operation,
        "entity": one.entity,
        "version": one.version,
    }


def _around(connection: Connection, one: Signature) -> tuple[signatures.Home, str]:
    home = signatures.home(connection, one.organization)
    person = signatures.signer(connection, one.organization, one.user)
    if home is None:
        raise NotFound("the organization is gone")
    return home, person.id if person is not None else ""


def _signer(one: Signature) -> Mapping[str, Any]:
    stated = one.document.get("signer")
    return stated if isinstance(stated, dict) else {}


def _shown(one: Signature, now: tuple[int, str] | None) -> SignatureView:
    document = one.document
    signer = _signer(one)
    return SignatureView(
        id=one.uuid,
        operation=one.operation,
        entity=one.entity,
        version=one.version,
        meaning=str(document.get("meaning")),
        signer=str(signer.get("name")),
        signer_id=str(signer.get("id")),
        signed_at=clock.from_micros(one.stamp),
        reason=str(document.get("reason", "")),
        record_sha256=str(document.get("record_sha256")),
        used_at=None if one.used_at is None else clock.from_micros(one.used_at),
        record=_state(one, str(document.get("record_sha256")), now),
        text=line(document) if signer else "This signature is damaged: verify it.",
    )


def _state(one: Signature, signed: str, now: tuple[int, str] | None) -> State:
    """What was signed for and then done has made the next version: it counts until somebody changes that."""
    if now is None:
        return "gone"
    version, content = now
    if version == one.version:
        return "current" if content == signed else "altered"
    return "current" if one.used_at is not None and version == one.version + 1 else "superseded"
