"""Signing in with an OpenID Connect provider: authorization code with PKCE, state and nonce (RFC 9700, section 2.1).

What begins at the provider must end in the same browser: a sealed cookie holds state, nonce and verifier meanwhile.
Nobody is made a user by this; an administrator invites people, and the provider's verified address finds them.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import hmac
import json
import secrets
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlencode

from hilum import clock
from hilum.errors import Conflict, NotFound, PartnerFailed, PartnerSlow, StoreError, Unauthenticated
from hilum.jobs.oidc_exchange import ANSWER, QUESTION
from hilum.model.access import HUB, Scope
from hilum.model.audit import Act
from hilum.model.organization import SignInProvider
from hilum.services.jobs import Jobs
from hilum.services.names import Names
from hilum.services.sign_in import Opened, SignIn
from hilum.store import Store, organizations, sign_ins
from hilum.store.sign_ins import Account

WAIT = 600  # seconds that a person may take at the provider
_BELIEVED = 3_600.0  # seconds that a provider's place is
_PLACE = b"oidc|pending"
WRONG = "the provider's answer signs nobody in"
Values = Callable[[int, int | None, set[str]], Awaitable[dict[str, str]]]


@dataclasses.dataclass(frozen=True, slots=True)
class Begun:
    """Where the browser goes, and the cookie that it brings back."""

    url: str = dataclasses.field(repr=False)
    cookie: str = dataclasses.field(repr=False)


class Oidc:
    """One a process. `values` looks credentials up."""

    def __init__(self, store: Store, names: Names, jobs: Jobs, sign_in: SignIn, values: Values, url: str = "") -> None:
        """`url`: where browsers reach the hub, if that is known. Otherwise what the browser says counts."""
        self._store = store
        self._names = names
        self._jobs = jobs
        self._sign_in = sign_in
        self._values = values
        self._url = url
        self._places: dict[tuple[int, str], tuple[float, str]] = {}

    async def begin(self, act: Act, name: str, seen: str, path: str, back: str) -> Begun:
        """`seen`: our address as the browser has it; `path`: of our callback. Raises NotFound, PartnerFailed."""
        redirect = f"{self._url or seen}{path}"
        organization, provider = await self._provider(name)
        act.scope = Scope(organization)
        pending: dict[str, Any] = {
            "organization": organization, "name": name, "redirect": redirect, "back": back,
            "state": secrets.token_urlsafe(24), "nonce": secrets.token_urlsafe(24),
            "verifier": secrets.token_urlsafe(48), "until": clock.micros() + WAIT * 1_000_000,
        }  # fmt: skip
        challenge = base64.urlsafe_b64encode(hashlib.sha256(pending["verifier"].encode()).digest()).rstrip(b"=")
        query = {
            "response_type": "code", "client_id": provider.client_id, "redirect_uri": redirect,
            "scope": "openid email profile", "state": pending["state"], "nonce": pending["nonce"],
            "code_challenge": challenge.decode(), "code_challenge_method": "S256",
        }  # fmt: skip
        place = await self._place(act, organization, provider)
        sealed = self._store.sealer.seal(json.dumps(pending).encode(), _PLACE)
        cookie = base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()
        return Begun(f"{place}{'&' if '?' in place else '?'}{urlencode(query)}", cookie)

    async def finish(self, act: Act, cookie: str, state: str, code: str, issuer: str | None) -> tuple[Opened, str]:
        """A console's session, and where the browser goes. Raises Unauthenticated, whatever was wrong."""
        pending = self._pending(cookie)
        if not hmac.compare_digest(pending["state"].encode(), state.encode()):
            raise Unauthenticated(WRONG)
        act.scope = Scope(pending["organization"])
        try:
            organization, provider = await self._provider(pending["name"])
            if issuer is not None and issuer != provider.issuer:  # RFC 9207
                raise Conflict("the answer is another issuer's")
            account = await self._exchanged(act, organization, provider, pending, code)
        except (Conflict, NotFound, PartnerFailed) as error:
            act.details["why"] = str(error)
            raise Unauthenticated(WRONG) from None
        return await self._sign_in.session_for(act, account), str(pending["back"])

    async def _exchanged(
        self, act: Act, organization: int, provider: SignInProvider, pending: dict[str, Any], code: str
    ) -> Account:
        """The account of whoever the provider says it is. Raises Conflict, NotFound, PartnerFailed."""
        question = {
            "issuer": provider.issuer, "authority": provider.authority, "client": provider.client_id, "code": code,
            "secret": await self._secret(organization, provider), "verifier": pending["verifier"],
            "redirect": pending["redirect"], "nonce": pending["nonce"],
        }  # fmt: skip
        sealed = self._store.sealer.seal(json.dumps(question).encode(), QUESTION).hex()
        result = await self._job(act, "oidc_exchange", {"question": sealed})
        person = json.loads(self._store.sealer.open(bytes.fromhex(result["answer"]), ANSWER))
        if person["email"].rpartition("@")[2] != provider.domain:
            raise Conflict("the provider verified no address of the organization's domain")
        within, keyed = self._store.within(organization), self._store.hash
        mark = f"{provider.issuer} {person['subject']}"
        account = await within.read(sign_ins.by_provider, keyed, organization, mark)
        if account is None:
            linking = Act(HUB, Scope(organization), "user.link-provider", act.request_id, act.source)
            found = await within.change(linking, sign_ins.link_provider, keyed, organization, person["email"], mark)
            account = await within.read(sign_ins.get, organization, found)
        if account.state != "active":
            raise Conflict(f"the user is {account.state}")
        return account

    async def _provider(self, name: str) -> tuple[int, SignInProvider]:
        """An organization without one is as if there were none. Raises NotFound."""
        missing = NotFound("no organization of this name has people sign in so")
        try:
            number = await self._names.organization(name)
        except NotFound:
            raise missing from None
        found = (await self._store.within(number).read(organizations.settings, number)).oidc
        if found is None:
            raise missing
        return number, found

    async def _place(self, act: Act, organization: int, provider: SignInProvider) -> str:
        """The provider's authorization endpoint."""
        key = organization, provider.issuer
        until, place = self._places.get(key, (0.0, ""))
        if clock.monotonic() >= until:
            asked = {"issuer": provider.issuer, "authority": provider.authority}
            place = str((await self._job(act, "oidc_discover", asked))["place"])
            self._places[key] = clock.monotonic() + _BELIEVED, place
        return place

    async def _secret(self, organization: int, provider: SignInProvider) -> str | None:
        if provider.credential is None:
            return None
        found = await self._values(organization, None, {provider.credential})
        if provider.credential not in found:
            raise Conflict("the credential of the provider's client is missing")
        return found[provider.credential]

    async def _job(self, act: Act, kind: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Only the engine dials out. Raises PartnerFailed, PartnerSlow."""
        own = Act(HUB, act.scope, kind.replace("_", "."), act.request_id, act.source)
        try:
            state = await self._jobs.run(own, kind, arguments, "organization/sign-in-provider")
        except Conflict as error:  # the job's own reason
            raise PartnerFailed(str(error)) from None
        if state.result is None:
            raise PartnerSlow("the provider did not answer in time")
        return state.result

    def _pending(self, cookie: str) -> dict[str, Any]:
        try:
            sealed = base64.b64decode(cookie + "=" * (-len(cookie) % 4), altchars=b"-_", validate=True)
            found: dict[str, Any] = json.loads(self._store.sealer.open(sealed, _PLACE))
        except (ValueError, StoreError):
            raise Unauthenticated(WRONG) from None
        if found["until"] < clock.micros():
            raise Unauthenticated(WRONG, expired=True)
        return found
