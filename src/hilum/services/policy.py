"""Asks, before something is done, for what policy wants of it: a reason, a signature, a second person.

    await policy.check(act, Intent("user.roles", f"user/{identifier}", {"roles": roles}, version=version))
    await services.users.set_roles(act, identifier, version, roles)

What was found good is used up in the transaction of the change that follows (`Act.conditions`): both, or neither.
"""

from __future__ import annotations

import base64
import dataclasses
import functools
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

from hilum import clock
from hilum.errors import ApprovalNeeded, NotFound, ReasonNeeded, Refused, SignatureNeeded
from hilum.model.access import PrincipalKind, Scope
from hilum.model.audit import Act
from hilum.model.configuration import Configuration
from hilum.model.identifier import parse
from hilum.model.signing import PRODUCTION, Demand, Place, demanded, rules
from hilum.security.canonical import canonical
from hilum.security.signing import Signer, broken, digest
from hilum.services.signatures import VALID, claims
from hilum.store import Connection, Store, approvals, endpoints, records, signatures
from hilum.store.approvals import Approval
from hilum.store.signatures import Signature

ASKED_WITHIN = 3_600 * 1_000_000  # microseconds in which a refused request can be taken to a second person
_MOST = 8_000  # bytes of what is shown to him
_PERSON = "only a person can do this, with an account of his own"


@dataclasses.dataclass(frozen=True, slots=True)
class Intent:
    """What somebody is about to do to an entity (noun/uuid), of which he has seen `version` (None: as it is).

    `wanted` is what he asks for, as the second person is shown it: JSON without secrets. `hidden` is what else must
    not change between the approval and the deed, such as the secrets themselves. `gxp`: a GxP integration is
    concerned, even where the record does not say so. `environment`: where it happens, beside the organization's own.
    """

    operation: str
    entity: str
    wanted: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    hidden: bytes = dataclasses.field(default=b"", repr=False)
    version: int | None = None
    gxp: bool = False
    environment: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Looked:
    """What an intent meets: the organization, the record's version and study, what is demanded."""

    version: int
    study: int | None
    demand: Demand


class Policy:
    """One a hub. `secret` (32 bytes) keys fingerprints, so that they tell nothing of the secrets that they cover."""

    def __init__(self, store: Store, signer: Signer, secret: bytes) -> None:
        self._store = store
        self._signer = signer
        self._secret = hmac.digest(secret, b"hilum approvals", "sha256")

    @property
    def public_key(self) -> bytes:
        """What signatures are verified with (Ed25519, 32 bytes)."""
        return self._signer.public

    async def check(self, act: Act, intent: Intent) -> None:
        """Raises ReasonNeeded, ApprovalNeeded, SignatureNeeded, ConfigError (a policy that cannot be read).

        What the hub does by its operator's file is not asked for anything. Where a second person and a signature are
        wanted, the former comes first: that takes time, and a signature is for now.
        """
        if act.principal.kind is PrincipalKind.SYSTEM:
            return
        looked = await self.look(act.scope, intent)
        demand = looked.demand
        if demand.reason and not act.reason.strip():
            raise ReasonNeeded(intent.operation)
        approved = await self._approved(act, intent, looked) if demand.four_eyes else None
        signed = await self._signed(act, intent, looked) if demand.signature else None
        if approved is not None:
            act.details["approval"] = str(approved.uuid)
        if signed is not None:
            act.details["signature"] = str(signed.uuid)
        if approved is not None or signed is not None:
            act.conditions.append(functools.partial(self._use, intent, approved, signed))

    async def check_own(
        self, act: Act, operation: str, wanted: Mapping[str, Any], environment: str = ""
    ) -> None:  # fmt: skip
        """`check` for what is done to the act's organization as a whole, or to its configuration."""
        noun = "configuration" if operation.startswith("configuration.") else "organization"
        entity = await self._own(act.organization, noun)
        await self.check(act, Intent(operation, entity, wanted, environment=environment))

    async def check_configuration(self, act: Act, wanted: Configuration) -> None:
        """`check` for a whole configuration that is to be applied. What is new to the hub needs nothing."""
        known = await self._store.read(endpoints.organizations)
        if wanted.organization not in known:
            return
        act.scope = Scope(known[wanted.organization])
        told = {"routes": [one.name for one in wanted.routes], "environment": wanted.environment}
        gxp = any(one.gxp for one in wanted.integrations)
        entity = await self._own(act.organization, "configuration")
        await self.check(
            act, Intent("configuration.apply", entity, told, gxp=gxp, environment=wanted.environment)
        )  # fmt: skip

    async def _own(self, organization: int, noun: str) -> str:
        home = await self._store.within(organization).read(signatures.home, organization)
        if home is None:
            raise NotFound("there is no organization yet: create one")
        return f"{noun}/{home.uuid}"

    async def look(self, scope: Scope, intent: Intent) -> Looked:
        """What this needs here. Raises NotFound where the entity is not within, ConfigError."""
        owner, within = scope.organization, self._store.within(scope.organization)
        record = await within.read(records.read, owner, intent.entity)
        if record is None or not record.within(scope):
            raise NotFound(f"there is no {intent.entity}")
        gxp, version = intent.gxp or record.gxp, record.version if intent.version is None else intent.version
        demand = await self.demand(owner, intent.operation, intent.environment, record.study, gxp=gxp)
        return Looked(version, record.study, demand)

    async def demand(
        self, organization: int, operation: str, environment: str, study: int | None, *, gxp: bool
    ) -> Demand:  # fmt: skip
        """What an operation needs there, also on what is not stored yet. Raises NotFound, ConfigError."""
        home = await self._store.within(organization).read(signatures.home, organization, study)
        if home is None:
            raise NotFound("there is no organization yet: create one")
        where = PRODUCTION if PRODUCTION in (home.environment, environment) else home.environment
        return demanded(operation, Place(where, home.study, gxp), rules(home.settings))

    def asked(self, organization: int, principal: str, request: str) -> Mapping[str, Any]:
        """What `ApprovalNeeded.request` holds. Raises Refused where it is another's, too old, or was not made here."""
        text, _, mark = request.partition(".")
        try:
            content = base64.urlsafe_b64decode(text.encode("ascii"))
            fits = hmac.compare_digest(mark.encode("ascii"), self._mark(content))
            found: dict[str, Any] = json.loads(content) if fits else {}
        except ValueError:
            found = {}
        if (found.get("organization"), found.get("by")) != (organization, principal):
            raise Refused("this is not a request of yours that was refused for want of an approval")
        if found["until"] < clock.micros():
            raise Refused("this request is too old: repeat it first")
        return found

    async def _approved(self, act: Act, intent: Intent, looked: Looked) -> Approval:
        fingerprint = self._fingerprint(intent, looked.version)
        needed = functools.partial(ApprovalNeeded, intent.operation, intent.entity)
        if act.principal.kind is not PrincipalKind.USER:
            raise needed("", _PERSON)
        request = self._request(act, intent, looked, fingerprint)
        identifier = parse(act.approval)
        if identifier is None:
            raise needed(request)
        whole = Scope(act.organization)
        found = await self._store.within(act.organization).read(approvals.find, whole, identifier)
        if found is None or (found.operation, found.entity) != (intent.operation, intent.entity):
            raise needed(request, "the approval is for something else")
        if found.asked_by != act.principal.id or not hmac.compare_digest(found.fingerprint, fingerprint):
            raise needed(request, "the approval is for another request than this one")
        if found.state != "approved" or found.expires_at <= clock.micros():
            state = found.state if found.expires_at > clock.micros() else "expired"
            raise needed(request, f"the approval does not hold: it is {state}")
        return found

    async def _signed(self, act: Act, intent: Intent, looked: Looked) -> Signature:
        meanings = tuple(map(str, looked.demand.signature))
        needed = functools.partial(SignatureNeeded, intent.operation, intent.entity, meanings)
        if act.principal.kind is not PrincipalKind.USER:
            raise needed(_PERSON)
        identifier = parse(act.signature)
        if identifier is None:
            raise needed()
        within = self._store.within(act.organization)
        found = await within.read(signatures.find, Scope(act.organization), identifier)
        if found is None or found.user != act.principal.number:
            raise needed("there is no such signature of yours")
        home = await within.read(signatures.home, act.organization)
        if home is None or broken(self._signer.public, found.text, found.seal, claims(found, home, act.principal.id)):
            raise needed("the signature does not hold: it was edited or moved")
        if (found.operation, found.entity) != (intent.operation, intent.entity):
            raise needed("the signature is for something else")
        if found.document["meaning"] not in meanings:
            raise needed(f"the signature means {found.document['meaning']}, which will not do")
        if found.used_at is not None or found.stamp + VALID < clock.micros():
            raise needed("the signature was used, or is too old: sign again")
        if found.version != looked.version:
            raise needed(f"the signature is for version {found.version}, not for {looked.version}")
        return found

    def _use(self, intent: Intent, approved: Approval | None, signed: Signature | None, connection: Connection) -> None:
        """In the transaction of the change, before it: the record is still what was signed, and each counts once."""
        now = clock.micros()
        if approved is not None and not approvals.use(connection, approved, now):
            raise ApprovalNeeded(intent.operation, intent.entity, "", "the approval was used")
        if signed is None:
            return
        needed = functools.partial(SignatureNeeded, intent.operation, intent.entity, (signed.document["meaning"],))
        record = records.read(connection, signed.organization, signed.entity)
        if record is None or record.version != signed.version:
            raise needed("the record has another version by now than the one that was signed")
        if digest(record.document) != signed.document["record_sha256"]:
            raise needed("the record is another one than the one that was signed")
        if not signatures.use(connection, signed.organization, signed.id, now):
            raise needed("the signature was used: sign again")

    def _fingerprint(self, intent: Intent, version: int) -> bytes:
        hidden = hashlib.sha256(intent.hidden).hexdigest()
        told = [intent.operation, intent.entity, version, records.plain(intent.wanted), hidden]
        return hmac.digest(self._secret, b"fingerprint\n" + canonical(told), "sha256")

    def _request(self, act: Act, intent: Intent, looked: Looked, fingerprint: bytes) -> str:
        """What the caller takes to `POST /approvals`. Only the hub can make one: nobody approves what is not asked."""
        shown = records.plain(intent.wanted)
        size = len(canonical(shown))
        content = canonical({
            "organization": act.organization, "by": act.principal.id, "until": clock.micros() + ASKED_WITHIN,
            "operation": intent.operation, "entity": intent.entity, "version": looked.version, "study": looked.study,
            "wanted": shown if size <= _MOST else {"bytes": size}, "fingerprint": fingerprint.hex(),
        })  # fmt: skip
        return f"{base64.urlsafe_b64encode(content).decode()}.{self._mark(content).decode()}"

    def _mark(self, content: bytes) -> bytes:
        return hmac.digest(self._secret, b"request\n" + content, "sha256").hex().encode()
