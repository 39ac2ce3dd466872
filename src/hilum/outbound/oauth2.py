"""Asks an authorization server for tokens (RFC 6749, 7523, 8705). Of an error that it answers only the code is told."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import httpx

from hilum import clock, telemetry
from hilum.outbound.tokens import NotGranted, Token
from hilum.sdk.authentication import OAuth2
from hilum.sdk.authentication.kinds import basic
from hilum.sdk.faults import Failed, Fault, Timings, fault_of, fault_of_status, reason_of

TIMEOUT = 10.0  # seconds for a request
_LARGEST = 1 << 18  # bytes of an answer
_LONGEST = 31_536_000.0  # seconds that any token is believed to hold: a year
_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_PLACE = "the token URL"
_CODE = re.compile(r"[a-z_]{1,40}")
_TOKEN = re.compile(r"[\x21-\x7e]{1,16000}")


class TokenEndpoint:
    """One configuration's. A request has a connection of its own: they are rare, and whoever asked may be gone."""

    def __init__(self, config: OAuth2, connect: Callable[[], httpx.AsyncBaseTransport]) -> None:
        """`connect` makes a transport that goes through the guard and shows the client's certificate, if it has one."""
        self._config = config
        self._connect = connect

    async def ask(self, refresh: str) -> Token:
        """By `refresh`, a refresh token, or where that is empty by the configured grant. Raises Failed."""
        config = self._config
        form = {"scope": " ".join(config.scopes), "audience": config.audience}
        if refresh:
            form |= {"grant_type": "refresh_token", "refresh_token": refresh}
        elif config.grant_type == "jwt_bearer":
            assertion = config.assertion(config.subject or config.client_id)
            form |= {"grant_type": _JWT_BEARER, "assertion": assertion}
        else:
            form |= {"grant_type": "client_credentials"}
        return await self._post(form)

    async def redeem(self, code: str, verifier: str, redirect: str = "") -> Token:
        """For the code that a person came back with, and the verifier that we kept (RFC 7636). Raises Failed.

        `redirect`: as `OAuth2.consent` was given it.
        """
        return await self._post({
            "grant_type": "authorization_code", "code": code, "code_verifier": verifier,
            "redirect_uri": redirect or self._config.redirect_uri,
        })  # fmt: skip

    async def revoke(self, token: Token) -> None:
        """Give a grant back (RFC 7009): by its refresh token, where it has one. Raises Failed."""
        kind = "refresh_token" if token.refresh else "access_token"
        form = {"token": token.refresh or token.access, "token_type_hint": kind}
        begun = clock.monotonic()
        status, _ = await self._asked(self._config.revocation_url, form, "the revocation URL", begun)
        if status != 200:
            raise _failed(f"it answered {status}", Fault.AUTH, begun, "the revocation URL")

    def _signed(self, form: dict[str, str]) -> tuple[dict[str, str], dict[str, str]]:
        """Form and headers with what shows who the client is."""
        config = self._config
        headers = {"Accept": "application/json", "User-Agent": "hilum"}
        form = {name: value for name, value in form.items() if value}
        if config.way == "basic":  # RFC 6749, 2.3.1: both are encoded first
            pair = quote(config.client_id, safe=""), quote(config.client_secret, safe="")
            return form, {**headers, "Authorization": basic(*pair)}
        form["client_id"] = config.client_id
        if config.way == "post":
            form["client_secret"] = config.client_secret
        elif config.way == "private_key_jwt":
            form |= {"client_assertion_type": _ASSERTION, "client_assertion": config.assertion(config.client_id)}
        return form, headers

    def _client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=self._connect(), timeout=TIMEOUT, follow_redirects=False, trust_env=False)

    async def _post(self, wanted: dict[str, str]) -> Token:
        begun = clock.monotonic()
        status, body = await self._asked(self._config.token_url, wanted, _PLACE, begun)
        return self._token(status, _object(body), begun)

    async def _asked(self, url: str, wanted: dict[str, str], name: str, begun: float) -> tuple[int, bytes]:
        form, headers = self._signed(wanted)
        try:
            async with self._client() as client, client.stream("POST", url, data=form, headers=headers) as response:
                body = b""
                async for part in response.aiter_bytes():
                    body += part
                    if len(body) > _LARGEST:
                        raise _failed("its answer is too large", Fault.PROTOCOL, begun, name)
        except (OSError, httpx.HTTPError) as error:
            raise _failed(reason_of(error), fault_of(error), begun, name) from None
        return response.status_code, body

    def _token(self, status: int, said: dict[str, Any], begun: float) -> Token:
        if status != 200:
            code = said.get("error")
            if isinstance(code, str) and _CODE.fullmatch(code) and status < 500:
                failed = _failed(f"it answered {status}: {code}", Fault.AUTH, begun)
                raise NotGranted(str(failed), failed.fault, failed.timings) if code == "invalid_grant" else failed
            fault = Fault.AUTH if status in (400, 401) else fault_of_status(status) or Fault.PROTOCOL
            raise _failed(f"it answered {status}", fault, begun)
        access, refresh = said.get("access_token"), said.get("refresh_token")
        if not isinstance(access, str) or not _TOKEN.fullmatch(access):
            raise _failed("it gave no access token", Fault.PROTOCOL, begun)
        if str(said.get("token_type", "bearer")).lower() != "bearer":
            raise _failed("it gave a token of another type than Bearer", Fault.PROTOCOL, begun)
        refresh = refresh if isinstance(refresh, str) else ""
        for secret in (access, refresh):
            telemetry.secrets.add(secret)
        whole = said.get("refresh_expires_in", said.get("refresh_token_expires_in"))  # no standard has it, servers do
        scope = said.get("scope")
        return Token(
            access, refresh, _life(said.get("expires_in")), max(_life(whole) or 0.0, 0.0) or None,
            tuple(scope.split()) if isinstance(scope, str) else None,
        )  # fmt: skip


def _failed(reason: str, fault: Fault, begun: float, name: str = _PLACE) -> Failed:
    return Failed(f"{name}: {reason}", fault, Timings((clock.monotonic() - begun) * 1000))


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _life(value: Any) -> float | None:
    """Seconds; some servers write the number as text, some do not say."""
    try:
        found = float(value)
    except (TypeError, ValueError):
        return None
    return min(found, _LONGEST) if math.isfinite(found) and not isinstance(value, bool) else None
