"""A person's consent to an integration: begun, brought back, shown, taken back (RFC 6749 4.1, 7636, 7009, 9207, 9700).

What a person brings back holds once, for ten minutes, for the integration that it was begun for, and for who began it:
in the same browser where it was begun in one. Tokens go from the engine to their keeper and are never seen here.
"""

from __future__ import annotations

import base64
import dataclasses
import datetime
import hashlib
import hmac
import json
import re
import secrets
import uuid
from typing import Any, Literal

from hilum import clock, telemetry
from hilum.errors import Conflict, NotFound, PartnerFailed, PartnerSlow, Refused, StoreError
from hilum.jobs.consent_begin import ANSWER
from hilum.jobs.consent_begin import QUESTION as BEGIN
from hilum.jobs.consent_give import CHANGED, ELSEWHERE
from hilum.jobs.consent_give import QUESTION as GIVE
from hilum.model import consent
from hilum.model.access import HUB, Principal, PrincipalKind, Scope, permit
from hilum.model.audit import Act
from hilum.model.consent import Wanted
from hilum.model.lifecycle import Lifecycle
from hilum.services.jobs import PATIENCE, Jobs
from hilum.services.policy import Intent, Policy
from hilum.store import Connection, Store, consents, integrations, jobs, sign_ins
from hilum.store.consents import Consent, Request
from hilum.store.integrations import Row

CALLBACK = "/api/v1/oauth/callback"
WAIT = 600  # seconds that a person may take
PERMISSION = "integrations:write"
_PLACE = b"consent|state"
_CODE = re.compile(r"[a-z_]{1,40}")
OLD = "this authorization is not known, was answered before, or is older than ten minutes: begin again"
OTHERS = "this authorization was begun by somebody else, or in another browser: begin again"
NOWHERE = "the hub does not know its own address: set HILUM_URL to where people reach it, https://hub.example.org"
_DENIED = "the person, or the authorization server, did not allow it (access_denied): nothing was changed"


@dataclasses.dataclass(frozen=True, slots=True)
class Begun:
    """Where the person goes, in a browser. `scopes` are what they are asked for."""

    authorization_url: str = dataclasses.field(repr=False)
    redirect_uri: str
    scopes: list[str]
    expires_at: datetime.datetime


@dataclasses.dataclass(frozen=True, slots=True)
class Given:
    """What came of it. `lacking`: scopes that were asked for and not given."""

    integration_id: str
    integration: str
    scopes: list[str]
    lacking: list[str]


@dataclasses.dataclass(frozen=True, slots=True)
class ConsentView:
    """One consent and the endpoints that share it. `expires_at` null: as long as the server renews it."""

    state: Literal["missing", "given", "lapsed"]
    endpoints: list[str]
    scopes: list[str]
    given_by: str | None
    given_at: datetime.datetime | None
    expires_at: datetime.datetime | None
    lapsed_at: datetime.datetime | None
    advice: str | None


@dataclasses.dataclass(frozen=True, slots=True)
class Revoked:
    """`told`: what each authorization server said: revoked, unknown (it has no address for that), or why it failed."""

    revoked: int
    told: list[str]


class Consents:
    """The use cases. `base`: where people reach the hub; a request's own Host is never believed."""

    def __init__(self, store: Store, policy: Policy, jobs: Jobs, base: str = "") -> None:
        self._store = store
        self._policy = policy
        self._jobs = jobs
        self._base = base

    async def begin(self, act: Act, identifier: uuid.UUID, endpoint: str | None, browser: str | None) -> Begun:
        """`browser`: the value of its cookie, where this is asked for in one. Raises NotFound, Conflict, Refused."""
        row = await self._row(act, identifier)
        if act.principal.kind not in (PrincipalKind.USER, PrincipalKind.LOCAL):
            raise Refused("a person begins this, with an account of their own")
        one = _chosen(row, endpoint)
        redirect = self._redirect()
        told = {"authorize": list(one.endpoints), "scopes": list(one.scopes)}
        await self._check(act, row, told)
        secret, verifier = secrets.token_urlsafe(24), secrets.token_urlsafe(48)
        state = _text(self._store.sealer.seal(json.dumps([act.organization, secret]).encode(), _PLACE))
        for hidden in (state, verifier):
            telemetry.secrets.add(hidden)
        question = {"state": state, "verifier": verifier, "redirect": redirect}
        arguments = {"integration": row.id, "endpoint": one.endpoints[0], "question": self._sealed(question, BEGIN)}
        answer = await self._asked(act, "consent_begin", arguments)
        url = json.loads(self._store.sealer.open(bytes.fromhex(answer["answer"]), ANSWER))["url"]
        until, digest = clock.micros() + WAIT * 1_000_000, _digest(secret)
        known = {"verifier": verifier, "redirect": redirect, "endpoint": one.endpoints[0], "form": one.form}
        sealed = self._store.sealer.seal(json.dumps(known).encode(), consents.place(digest))
        by = {"kind": act.principal.kind, "id": act.principal.id, "name": act.principal.name,
              "number": act.principal.number}  # fmt: skip
        request = Request(row.id, by, None if browser is None else _digest(browser), sealed, until)
        await self._store.within(act.organization).change(act, consents.begin, row, digest, request, told)
        return Begun(url, redirect, list(one.scopes), clock.from_micros(until))

    async def finish(
        self, act: Act, *, state: str, code: str, error: str, issuer: str | None, browser: str | None,
        seen: Principal | None,
    ) -> Given:  # fmt: skip
        """`seen`: who is signed in to that browser. Raises Conflict, Refused; PartnerFailed where one may try again."""
        organization, digest = self._opened(state)
        act.scope = Scope(organization)
        own = self._store.within(organization)
        found = await own.write(consents.take, organization, digest)
        if found is None:
            raise Conflict(OLD)
        telemetry.secrets.add(code)  # not before: whoever sends anything at all must not choose what is masked
        row = await own.read(integrations.get, found.integration)
        by = found.principal
        act.entity = integrations.entity(row)
        act.principal = Principal(PrincipalKind(by["kind"]), by["id"], by["name"], organization, number=by["number"])
        if found.until < clock.micros():
            raise Conflict(OLD)
        _same(found, browser, seen)
        await self._stands(act, row)
        if error or not code:
            raise Conflict(_refusal(error))
        known = json.loads(self._store.sealer.open(found.sealed, consents.place(digest)))
        question = {"code": code, "verifier": known["verifier"], "redirect": known["redirect"], "issuer": issuer}
        arguments = {"integration": row.id, "endpoint": known["endpoint"], "form": known["form"], "by": by,
                     "question": self._sealed(question, GIVE)}  # fmt: skip
        answer = await self._asked(act, "consent_give", arguments)
        await self._look_again(row)
        return Given(str(row.uuid), row.title, answer["scopes"], answer["lacking"])

    async def listed(self, scope: Scope, identifier: uuid.UUID) -> list[ConsentView]:
        """Every consent that it needs; none: it needs none. Raises NotFound."""
        own = self._store.within(scope.organization)
        row = await own.read(integrations.find, scope, identifier)
        return [_view(one, found) for one, found in await own.read(standing, row)]

    async def revoke(self, act: Act, identifier: uuid.UUID, endpoint: str | None) -> Revoked:
        """Forget the tokens, of one endpoint or of all, and tell the authorization server. Raises NotFound."""
        row = await self._row(act, identifier)
        forms = None if endpoint is None else [_chosen(row, endpoint).form]
        await self._check(act, row, {"revoke": endpoint or "all"})
        own = self._store.within(act.organization)
        number = await own.change(act, consents.revoke, row, forms, act.principal.id)
        if number is None:
            return Revoked(0, [])
        return await self._told(number)

    async def _told(self, number: int) -> Revoked:
        """What the job made of it, which goes on by itself where it takes long."""
        await self._jobs.wait(number, consents.JOB, PATIENCE)
        job = await self._store.read_small(jobs.get, number)
        told = (job.result or {}).get("told", {}) if job.state == "done" else {}
        return Revoked(len(job.arguments["grants"]), list(told.values()))

    async def _row(self, act: Act, identifier: uuid.UUID) -> Row:
        row = await self._store.within(act.organization).read(integrations.find, act.scope, identifier)
        act.entity = integrations.entity(row)
        return row

    async def _check(self, act: Act, row: Row, told: dict[str, Any]) -> None:
        """What policy asks for a change of its credentials."""
        await self._policy.check(act, Intent(
            "credential.change", integrations.entity(row), told, version=row.version, gxp=row.model.gxp,
            environment=row.environment or "",
        ))  # fmt: skip

    def _redirect(self) -> str:
        if not self._base:
            raise Conflict(NOWHERE)
        return f"{self._base}{CALLBACK}"

    async def _stands(self, act: Act, row: Row) -> None:
        """Whoever began it may still do so. Raises Refused, Conflict of an archived integration."""
        if row.lifecycle is Lifecycle.ARCHIVED:
            raise Conflict(CHANGED)
        who = act.principal
        if who.kind is not PrincipalKind.USER:
            return
        try:
            account = await self._store.within(who.organization).read(sign_ins.get, who.organization, who.number)
        except NotFound:
            raise Refused(OTHERS) from None
        if account.state != "active":
            raise Refused("whoever began this is shut out by now")
        strict = account.settings.strict
        now = dataclasses.replace(who, bindings=account.bindings, strict=strict)
        if not permit(now, PERMISSION).admits(row.study):
            raise Refused("whoever began this may not do it any more")

    async def _asked(self, act: Act, kind: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Only the engine dials, and only it looks references up. Raises PartnerFailed, PartnerSlow, Conflict."""
        try:
            state = await self._jobs.ask(act, kind, arguments, PATIENCE)
        except Conflict as error:  # the job's own reason
            if kind == "consent_begin" or str(error) in (CHANGED, ELSEWHERE):
                raise
            raise PartnerFailed(f"{error}; nothing was changed: begin again") from None
        if state.state == "waiting":
            raise Conflict("no engine runs that could do it")
        if state.result is None:
            raise PartnerSlow(
                "the authorization server did not answer in time: look whether it is given, or begin again"
            )
        return state.result

    async def _look_again(self, row: Row) -> None:
        """Health, and with it the lifecycle, follow without anybody waiting for that."""
        act = Act(HUB, Scope(row.organization), "integration.test")
        arguments = {"integration": row.id, "endpoints": None, "purpose": "check", "feels": True}
        if row.lifecycle in (Lifecycle.ACTIVE, Lifecycle.ERROR):
            await self._jobs.ask(act, "probe", arguments, 0)

    def _sealed(self, question: dict[str, Any], place: bytes) -> str:
        return self._store.sealer.seal(json.dumps(question).encode(), place).hex()

    def _opened(self, state: str) -> tuple[int, bytes]:
        """Whose a state is, and its digest. Raises Conflict."""
        try:
            sealed = base64.b64decode(state + "=" * (-len(state) % 4), altchars=b"-_", validate=True)
            organization, secret = json.loads(self._store.sealer.open(sealed, _PLACE))
        except (ValueError, StoreError):
            raise Conflict(OLD) from None
        return int(organization), _digest(secret)


def standing(connection: Connection, row: Row) -> list[tuple[Wanted, Consent | None]]:
    """Every consent that an integration needs, and the one that there is."""
    wanted = consent.wanted(row.model)
    found = consents.of(connection, row.organization, row.id) if wanted else {}
    return [(one, found.get(one.form)) for one in wanted]


def lacking(connection: Connection, row: Row) -> list[str]:
    """What is to be said of consents that do not hold, with advice; none: all is well."""
    return [text for one, found in standing(connection, row) if (text := _advice(one, found)) is not None]


def _advice(one: Wanted, found: Consent | None) -> str | None:
    if found is not None and found.holds:
        return None
    what = "nobody has consented to it yet" if found is None else f"the consent that {found.given_name} gave has lapsed"
    verb = "authorize it" if found is None else "authorize it again"
    return f"{', '.join(one.endpoints)}: {what}: {verb} (POST /api/v1/integrations/{{id}}/authorize)"


def _chosen(row: Row, endpoint: str | None) -> Wanted:
    """Raises Conflict where nobody consents to it, NotFound, or where there are several and none is named."""
    wanted = consent.wanted(row.model)
    if endpoint is not None:
        if all(one.name != endpoint for one in row.model.endpoints):
            raise NotFound(f"Endpoint not found: {endpoint}")
        wanted = [one for one in wanted if endpoint in one.endpoints]
    if not wanted:
        raise Conflict("nobody consents to this: its authentication is no oauth2 with grant_type authorization_code")
    if len(wanted) > 1:
        raise Conflict(f"these have consents of their own: {'; '.join(', '.join(one.endpoints) for one in wanted)}: "
                       "name one as `endpoint`")  # fmt: skip
    return wanted[0]


def _same(found: Request, browser: str | None, seen: Principal | None) -> None:
    """Raises Refused where whoever comes back is not who went."""
    if found.browser is not None and (browser is None or not hmac.compare_digest(found.browser, _digest(browser))):
        raise Refused(OTHERS)
    person = found.principal["kind"] == PrincipalKind.USER
    if person and seen is not None and seen.id != found.principal["id"]:
        raise Refused(OTHERS)


def _refusal(error: str) -> str:
    """By the server's code alone: what else it says may be anything."""
    if error == "access_denied":
        return _DENIED
    if not error:
        return "the authorization server gave no code: begin again"
    named = f" ({error})" if _CODE.fullmatch(error) else ""
    return f"the authorization server refused{named}: nothing was changed"


def _view(one: Wanted, found: Consent | None) -> ConsentView:
    if found is None:
        return ConsentView("missing", [*one.endpoints], [], None, None, None, None, _advice(one, None))

    def when(at: int | None) -> datetime.datetime | None:
        return None if at is None else clock.from_micros(at)

    return ConsentView(
        "given" if found.holds else "lapsed", [*one.endpoints], [*found.scopes], found.given_name,
        when(found.given_at), when(found.until), when(found.lapsed_at), _advice(one, found),
    )  # fmt: skip


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _text(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
