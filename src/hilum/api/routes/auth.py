"""Signing in and out, one's own account, and the one-time links that give a first password. Secrets are in bodies only.

Tokens (RFC 9068) are for programs and short-lived; a browser gets a cookie that no script can read, and a CSRF token
that goes along with every change.
"""

from __future__ import annotations

import uuid
from typing import Annotated, Any

from fastapi import Request, Response
from pydantic import BaseModel, ConfigDict, Field

from hilum.api import cookies, texts
from hilum.api.callers import COOKIE
from hilum.api.paging import Page, Paging
from hilum.api.services import Used
from hilum.api.surface import Acting, Surface, allow, open_to_all
from hilum.api.texts import Email, Line, Name
from hilum.errors import Refused
from hilum.model.access import PERMISSIONS, PrincipalKind, permit
from hilum.model.audit import Act
from hilum.security.tickets import csrf
from hilum.services.messages import stamp
from hilum.services.sign_in import Issued, Shown

router = Surface("/auth")

Password = Annotated[texts.Password, Field(description="Never stored, only its hash.")]
Code = Annotated[str, Field(pattern=r"^[0-9]{6}$", description="A one-time code of the authenticator app.")]
Token = Annotated[texts.Opaque, Field(min_length=1, max_length=512)]


class Credentials(BaseModel):
    model_config = ConfigDict(extra="forbid")

    email: Email
    password: Password
    code: Code | None = Field(None, description="A one-time code, where the account has a second factor.")
    organization: Name | None = Field(None, description="Needed where the address has accounts in several.")


class Refreshing(BaseModel):
    model_config = ConfigDict(extra="forbid")

    refresh_token: Token = Field(..., description="The newest one; an older one ends the session.")


class AccessToken(BaseModel):
    model_config = ConfigDict(extra="forbid")

    token: Annotated[texts.Opaque, Field(min_length=1, max_length=2_048, description="An access token.")]


class Tokens(BaseModel):
    """As RFC 6749, section 5.1, has it."""

    access_token: str
    token_type: str = "Bearer"  # noqa: S105 - the scheme's name
    expires_in: int = Field(..., description="Seconds that the access token holds.")
    refresh_token: str = Field(..., description="Holds once, for new tokens.")

    @classmethod
    def of(cls, issued: Issued) -> Tokens:
        return cls(access_token=issued.access_token, expires_in=issued.expires_in, refresh_token=issued.refresh_token)


class ConsoleSession(BaseModel):
    csrf_token: str = Field(..., description="Goes into X-CSRF-Token with every change.")


class Me(BaseModel):
    """Who asks, and what they may do."""

    id: str
    kind: PrincipalKind
    name: str
    organization: str
    roles: list[dict[str, str | None]] = Field(..., description="A role, and the study it is for (null: all).")
    permissions: list[str] = Field(..., description="What one may do somewhere; studies narrow some of it.")
    csrf_token: str | None = Field(None, description="Of the console's session, where one asks with its cookie.")


class OwnSession(BaseModel):
    id: str
    kind: str = Field(..., description="cookie (a browser) or token (a program).")
    created_at: str
    seen_at: str = Field(..., description="Exact to half a minute.")
    expires_at: str
    source: str = Field(..., description="The address that it was begun from.")
    current: bool


class NewPassword(BaseModel):
    model_config = ConfigDict(extra="forbid")

    current_password: Password
    new_password: Password
    code: Code | None = None


class Proof(BaseModel):
    model_config = ConfigDict(extra="forbid")

    password: Password


class FullProof(Proof):
    code: Code


class Enrolment(BaseModel):
    """Shown once. Nothing is set until a code confirms it."""

    secret: str
    uri: str = Field(..., description="otpauth://…, for a QR code.")
    enrolment: str = Field(..., description="Goes back with a code, within ten minutes.")


class Confirmation(BaseModel):
    model_config = ConfigDict(extra="forbid")

    enrolment: Annotated[texts.Opaque, Field(min_length=1, max_length=1_024)]
    code: Code


class LinkToken(BaseModel):
    model_config = ConfigDict(extra="forbid")

    token: Token


class LinkUse(LinkToken):
    password: Password
    name: Line | None = Field(None, description="The first administrator's, as it is printed beside a signature.")
    email: Email | None = Field(None, description="The first administrator's, to sign in with.")


class Whose(BaseModel):
    purpose: str = Field(..., description="password, or first-administrator: then there is no user yet.")
    organization: str
    email: str
    name: str
    expires_at: str


class FirstLink(BaseModel):
    token: str = Field(..., description="Holds once, for a day. A newer one ends it.")


@router.post("/token")
@open_to_all(audits="session.create", fails=(401,))
async def sign_in(services: Used, act: Acting, wanted: Credentials, response: Response) -> Tokens:
    """Sign in for tokens. Whatever is wrong, the answer is the same, but for a missing one-time code."""
    _private(response)
    password = wanted.password.get_secret_value()
    return Tokens.of(await services.sign_in.tokens(act, wanted.email, password, wanted.code, wanted.organization))


@router.post("/refresh")
@open_to_all(audits="session.refresh", fails=(401,))
async def refresh(services: Used, act: Acting, wanted: Refreshing, response: Response) -> Tokens:
    """New tokens for a refresh token, which holds no longer. An older one ends the session: it was copied."""
    _private(response)
    return Tokens.of(await services.sign_in.refresh(act, wanted.refresh_token.get_secret_value()))


@router.post("/sign-out", status_code=204)
@allow("self:write", audits="session.end", fails=(404,))
async def sign_out(services: Used, act: Acting) -> None:
    """End this session: its tokens hold no longer."""
    await services.sign_in.sign_out(act)


@router.post("/revoke", status_code=204)
@allow("self:write", audits="token.revoke")
async def revoke_token(services: Used, act: Acting, wanted: AccessToken) -> None:
    """One of one's own access tokens holds no more; its session goes on. To end that, sign out."""
    await services.sign_in.revoke(act, wanted.token.get_secret_value())


@router.get("/jwks")
@open_to_all()
async def read_jwks(services: Used) -> dict[str, Any]:
    """The public keys of access tokens (RFC 7517)."""
    return await services.signing_keys.jwks()


@router.get("/me")
@allow("self:read", audits="self.read")
async def read_me(services: Used, act: Acting, request: Request, response: Response) -> Me:
    """Who asks, and what they may do."""
    _private(response)
    who = act.principal
    cookie = None if "authorization" in request.headers else request.cookies.get(COOKIE)
    studies = await services.own_account.studies(who)
    organizations = await services.names.organizations([act.organization])
    return Me(
        id=who.id,
        kind=who.kind,
        name=who.name,
        organization=organizations.get(act.organization, ""),
        roles=[{"role": one.role.value, "study": studies.get(one.study or 0)} for one in who.bindings],
        permissions=[one for one in PERMISSIONS if _may(act, one)],
        csrf_token=csrf(cookie) if cookie and who.session else None,
    )


@router.post("/session")
@open_to_all(audits="session.create", fails=(401,))
async def open_session(
    services: Used, act: Acting, wanted: Credentials, request: Request, response: Response
) -> ConsoleSession:
    """Sign in a browser: the cookie goes where no script reads it, the CSRF token into the answer."""
    password = wanted.password.get_secret_value()
    opened = await services.sign_in.session(act, wanted.email, password, wanted.code, wanted.organization)
    cookies.open_session(request, response, opened)
    return ConsoleSession(csrf_token=opened.csrf)


@router.delete("/session", status_code=204)
@allow("self:write", audits="session.end", fails=(404,))
async def close_session(services: Used, act: Acting, request: Request, response: Response) -> None:
    """Sign a browser out."""
    await services.sign_in.sign_out(act)
    cookies.close_session(request, response)


@router.get("/sessions")
@allow("self:read", audits="session.list")
async def list_sessions(services: Used, act: Acting, paging: Paging) -> Page[OwnSession]:
    """One's own that hold, the newest first."""
    found = await services.sign_in.sessions(act.principal)
    return Page[OwnSession].cut([_session(one) for one in found], paging)


@router.delete("/sessions", status_code=204)
@allow("self:write", audits="session.end-all")
async def end_sessions(services: Used, act: Acting) -> None:
    """Sign out everywhere, here as well."""
    await services.sign_in.end_all(act)


@router.delete("/sessions/{session_id}", status_code=204)
@allow("self:write", audits="session.end", fails=(404,))
async def end_session(services: Used, act: Acting, session_id: uuid.UUID) -> None:
    """End one of one's own."""
    await services.sign_in.end_session(act, session_id)


@router.post("/password", status_code=204)
@allow("self:write", audits="user.password")
async def change_password(services: Used, act: Acting, wanted: NewPassword) -> None:
    """Set one's own; all other sessions end."""
    current, new = wanted.current_password.get_secret_value(), wanted.new_password.get_secret_value()
    await services.own_account.change_password(act, current, new, wanted.code)


@router.post("/totp")
@allow("self:write", audits="user.totp-begin")
async def begin_totp(services: Used, act: Acting, proof: Proof, response: Response) -> Enrolment:
    """Begin to set a second factor: a secret for an authenticator app, which is shown this once."""
    _private(response)
    made = await services.own_account.begin_factor(act, proof.password.get_secret_value())
    return Enrolment(secret=made.secret, uri=made.uri, enrolment=made.enrolment)


@router.post("/totp/confirm", status_code=204)
@allow("self:write", audits="user.totp-set")
async def confirm_totp(services: Used, act: Acting, wanted: Confirmation) -> None:
    """Set it, by the first code."""
    await services.own_account.confirm_factor(act, wanted.enrolment.get_secret_value(), wanted.code)


@router.delete("/totp", status_code=204)
@allow("self:write", audits="user.totp-remove")
async def remove_totp(services: Used, act: Acting, proof: FullProof) -> None:
    """Remove one's second factor, by password and code."""
    await services.own_account.remove_factor(act, proof.password.get_secret_value(), proof.code)


@router.post("/link/look")
@open_to_all(audits="link.look", fails=(404,))
async def look_at_link(services: Used, act: Acting, wanted: LinkToken, response: Response) -> Whose:
    """Whose a one-time link is; it still holds afterwards."""
    _private(response)
    found = await services.own_account.look(act, wanted.token.get_secret_value())
    return Whose(
        purpose=found.purpose, organization=found.organization, email=found.email, name=found.name,
        expires_at=stamp(found.expires_at),
    )  # fmt: skip


@router.post("/link", status_code=204)
@open_to_all(audits="link.use", fails=(404, 409))
async def use_link(services: Used, act: Acting, wanted: LinkUse) -> None:
    """Set a password by a one-time link. The hub's first administrator says name and address as well."""
    await services.own_account.use(
        act, wanted.token.get_secret_value(), wanted.password.get_secret_value(), wanted.name or "", wanted.email or ""
    )


@router.post("/link/first", status_code=201)
@allow("hub:write", audits="link.create", local=True)
async def make_first_link(services: Used, act: Acting) -> FirstLink:
    """A link for the hub's first administrator; only while it has no user."""
    return FirstLink(token=await services.own_account.need_first_link(act))


@router.post("/keys", status_code=204)
@allow("hub:write", audits="signing-key.replace")
async def replace_signing_key(services: Used, act: Acting) -> None:
    """Sign access tokens with a new key from now on; what the old one signed holds until it expires."""
    await services.signing_keys.replace(act)


def _private(response: Response) -> None:
    response.headers["cache-control"] = "no-store"


def _may(act: Act, permission: str) -> bool:
    try:
        permit(act.principal, permission)
    except Refused:
        return False
    return True


def _session(one: Shown) -> OwnSession:
    return OwnSession(
        id=one.id, kind=one.kind, created_at=stamp(one.created_at), seen_at=stamp(one.seen_at),
        expires_at=stamp(one.expires_at), source=one.source, current=one.current,
    )  # fmt: skip
