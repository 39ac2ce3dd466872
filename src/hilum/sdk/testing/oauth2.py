"""An authorization server for tests (RFC 6749, 7009, 7523, 7636, 8705, 9207), and an API that takes its tokens."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import dataclasses
import hashlib
import json
import secrets
import ssl
import warnings
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from joserfc import jws
from joserfc.errors import SecurityWarning
from joserfc.jwk import Key

from hilum import clock
from hilum.sdk.http import Answer, Limits, Listener, Refusal, Request
from hilum.sdk.testing.fakes import free_port

_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@dataclasses.dataclass
class Client:
    """How it must sign in: basic, post, private_key_jwt, tls (the handshake did it) or none."""

    way: str = "basic"
    secret: str = ""
    key: Key | None = None
    algorithm: str = "RS384"


class No(Exception):
    """An error of RFC 6749, 5.2."""


class AuthorizationServer:
    """Gives tokens at /token, a code at /authorize, and takes the tokens at any other path."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.clients: dict[str, Client] = {}
        self.keys: dict[str, tuple[Key, str]] = {}  # whose assertions are taken as a grant, by issuer
        self.asked: list[dict[str, str]] = []  # the forms
        self.requests: list[Request] = []  # to the API
        self.live: set[str] = set()
        self.refresh: dict[str, str] = {}  # living refresh tokens, and the family of each
        self.used: dict[str, str] = {}
        self.codes: dict[str, tuple[str, str, str, str]] = {}  # client, challenge, redirect URI, scope
        self.redeemed: dict[str, str] = {}  # codes that were used, and the family of each
        self.issuer = ""  # named in what people bring back
        self.denies = ""  # the error that they bring back instead of a code
        self.grants: str | None = None  # the scope that is given, where that is another than was asked for
        self.revoked: list[dict[str, str]] = []  # the forms of what was given back
        self.answer: dict[str, Any] = {"expires_in": 3600}  # what a token's answer says besides
        self.broken: Answer | None = None  # instead of any token
        self.refreshing = False  # give refresh tokens
        self.pause = asyncio.Event()  # tokens are given while it is set
        self.pause.set()
        self._seen: set[str] = set()

    def check(self, request: Request) -> None:
        pass

    async def refused(self, peer: str, refusal: Refusal) -> None:
        pass

    async def take(self, request: Request) -> Answer:
        if request.path == "/token":
            return await self._token(request)
        if request.path == "/revoke":
            return self._given_back(request)
        if request.path == "/authorize":
            return self._consented(dict(parse_qsl(urlsplit(request.target).query)))
        self.requests.append(request)
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme == "Bearer" and token in self.live:
            return Answer(200, b'{"ok": true}')
        return Answer(401, b"{}", headers={"www-authenticate": 'Bearer error="invalid_token"'})

    def revoke(self) -> None:
        """No access token that was given holds any longer."""
        self.live.clear()

    async def _token(self, request: Request) -> Answer:
        form = dict(parse_qsl(request.body.decode(), keep_blank_values=True))
        self.asked.append(form)
        await self.pause.wait()
        if self.broken is not None:
            return self.broken
        try:
            client = self._signed_in(request, form)
            family = self._granted(client, form)
        except No as error:
            status = 401 if str(error) == "invalid_client" else 400
            said = {"error": str(error), "error_description": "canary-description"}
            return Answer(status, json.dumps(said).encode(), headers={"cache-control": "no-store"})
        return Answer(200, json.dumps(self._given(family)).encode())

    def _given_back(self, request: Request) -> Answer:
        """RFC 7009: the family ends; a token that is not known is none any more either."""
        form = dict(parse_qsl(request.body.decode(), keep_blank_values=True))
        try:
            self._signed_in(request, form)
        except No as error:
            return Answer(401, json.dumps({"error": str(error)}).encode())
        self.revoked.append(form)
        self._end(self.refresh.get(form["token"], ""))
        return Answer(200)

    def _given(self, family: str) -> dict[str, Any]:
        access = f"access-{secrets.token_urlsafe(16)}"
        self.live.add(access)
        said = {"access_token": access, "token_type": "Bearer", **self.answer}
        if self.refreshing:
            said["refresh_token"] = f"refresh-{secrets.token_urlsafe(16)}"
            self.refresh[said["refresh_token"]] = family
        return said

    def _signed_in(self, request: Request, form: dict[str, str]) -> str:
        """The client, if it showed who it is in its own way and in no other."""
        scheme, _, value = request.headers.get("authorization", "").partition(" ")
        shown = {
            "basic": scheme == "Basic", "post": "client_secret" in form, "private_key_jwt": "client_assertion" in form
        }  # fmt: skip
        if shown["basic"]:
            name, _, secret = base64.b64decode(value).decode().partition(":")
            name, secret = unquote(name), unquote(secret)
        else:
            name, secret = form.get("client_id", ""), form.get("client_secret", "")
        client = self.clients.get(name)
        if client is None or [way for way, used in shown.items() if used] not in ([client.way], []):
            raise No("invalid_client")
        if client.way in ("basic", "post") and not secrets.compare_digest(secret, client.secret):
            raise No("invalid_client")
        if client.way == "private_key_jwt":
            if form.get("client_assertion_type") != _ASSERTION or client.key is None:
                raise No("invalid_client")
            said = self._verified(form.get("client_assertion", ""), client.key, client.algorithm, "invalid_client")
            if said.get("iss") != name or said.get("sub") != name:
                raise No("invalid_client")
        return name

    def _verified(self, text: str, key: Key, algorithm: str, code: str) -> dict[str, Any]:
        """RFC 7523, 3: the signature, for us, not ended, and never seen before."""
        try:
            header = json.loads(base64.urlsafe_b64decode(text.partition(".")[0] + "=="))
            with warnings.catch_warnings(action="ignore", category=SecurityWarning):  # EdDSA has a newer name
                verified = jws.deserialize_compact(text, key, algorithms=[algorithm])
            said: dict[str, Any] = json.loads(verified.payload)
        except Exception:  # whatever is wrong with an assertion, the client has only the one code
            raise No(code) from None
        now = clock.micros() // 1_000_000
        fits = said.get("aud") == f"{self.url}/token" and now < said.get("exp", 0) <= now + 300
        if not fits or said["jti"] in self._seen or header.get("kid") != key.kid:
            raise No(code)
        self._seen.add(said["jti"])
        return said

    def _granted(self, client: str, form: dict[str, str]) -> str:
        """The family of the tokens."""
        grant = form.get("grant_type")
        if grant == "client_credentials":
            return secrets.token_hex(8)
        if grant == "urn:ietf:params:oauth:grant-type:jwt-bearer":
            key, algorithm = self.keys[client]
            self._verified(form["assertion"], key, algorithm, "invalid_grant")
            return secrets.token_hex(8)
        if grant == "authorization_code":
            return self._redeemed(client, form)
        if grant == "refresh_token":
            return self._rotated(form["refresh_token"])
        raise No("unsupported_grant_type")

    def _redeemed(self, client: str, form: dict[str, str]) -> str:
        """A code that is shown again ends what was given for it; one without a challenge takes no verifier (9700)."""
        if form["code"] in self.redeemed:
            self._end(self.redeemed[form["code"]])
            raise No("invalid_grant")
        owner, challenge, redirect, scope = self.codes.pop(form["code"], ("", "", "", ""))
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        if not challenge or base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != challenge:
            raise No("invalid_grant")
        if owner != client or form.get("redirect_uri") != redirect:
            raise No("invalid_grant")
        if scope or self.grants is not None:
            self.answer = {**self.answer, "scope": scope if self.grants is None else self.grants}
        self.redeemed[form["code"]] = secrets.token_hex(8)
        return self.redeemed[form["code"]]

    def _end(self, family: str) -> None:
        self.refresh = {one: other for one, other in self.refresh.items() if other != family}
        self.revoke()

    def _rotated(self, token: str) -> str:
        """Each is taken once; one that is shown again ends its whole family (RFC 9700, 4.14.2)."""
        if token in self.used:
            self._end(self.used[token])
            raise No("invalid_grant")
        if token not in self.refresh:
            raise No("invalid_grant")
        self.used[token] = self.refresh.pop(token)
        return self.used[token]

    def _consented(self, query: dict[str, str]) -> Answer:
        """Whoever comes consents, or refuses. Without a challenge there is a code too: not every server wants one."""
        if query.get("response_type") != "code" or query.get("code_challenge_method", "S256") != "S256":
            return Answer(400)
        code = f"code-{secrets.token_urlsafe(8)}"
        known = (query["client_id"], query.get("code_challenge", ""), query["redirect_uri"], query.get("scope", ""))
        self.codes[code] = known
        said = {"error": self.denies, "error_description": "canary-description"} if self.denies else {"code": code}
        said |= {"state": query["state"]} | ({"iss": self.issuer} if self.issuer else {})
        return Answer(302, headers={"location": f"{query['redirect_uri']}?{urlencode(said)}"})


@contextlib.asynccontextmanager
async def authorization_server(
    tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[AuthorizationServer]:
    """Open one on the loopback; `tls` is its context."""
    port = free_port()
    found = AuthorizationServer(f"{'https' if tls else 'http'}://{host}:{port}")
    listener = Listener(found, Limits())
    await listener.start("127.0.0.1", port, tls)
    try:
        yield found
    finally:
        found.pause.set()
        await listener.stop()
