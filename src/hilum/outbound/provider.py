"""Speaks to an OpenID Connect provider: what it is like (Discovery 1.0), a code for an ID token (RFC 6749), its keys.

Redirects are not followed, answers are small, and every address is the issuer's own word about itself.
"""

from __future__ import annotations

import base64
import json
import ssl
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

from hilum.errors import Refused
from hilum.sdk.contracts import Dialer

_TIMEOUT = 5.0  # seconds for each request
_LARGEST = 1 << 18  # bytes of an answer


class Provider:
    """One provider. `authority`: certificates, as PEM, that it is believed by; empty: the system's. Raises Refused."""

    def __init__(self, dialer: Dialer, issuer: str, authority: str) -> None:
        try:
            context = ssl.create_default_context(cadata=authority or None)
        except ssl.SSLError:
            raise Refused("the authority's certificates cannot be read") from None
        self._issuer = issuer
        self._http = httpx.AsyncClient(
            transport=dialer.transport(tls=context), timeout=_TIMEOUT, follow_redirects=False, trust_env=False
        )

    async def close(self) -> None:
        await self._http.aclose()

    async def metadata(self) -> dict[str, Any]:
        """What it says of itself. Raises Refused where that is not its own, or not encrypted."""
        found = await self._json("GET", f"{self._issuer.rstrip('/')}/.well-known/openid-configuration")
        if found.get("issuer") != self._issuer:
            raise Refused("the provider says that it is another issuer")
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
            place = found.get(name)
            if not isinstance(place, str) or urlsplit(place).scheme != "https" or not urlsplit(place).hostname:
                raise Refused(f"the provider's {name} is no https address")
        return found

    async def token(
        self, endpoint: str, *, client: str, secret: str | None, code: str, verifier: str, redirect: str
    ) -> str:
        """The ID token for a code, with its PKCE verifier (RFC 7636). Raises Refused."""
        form = {
            "grant_type": "authorization_code", "code": code, "redirect_uri": redirect, "code_verifier": verifier,
        }  # fmt: skip
        headers = {}
        if secret is None:
            form["client_id"] = client
        else:
            pair = f"{quote(client, safe='')}:{quote(secret, safe='')}"  # RFC 6749, section 2.3.1
            headers["authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        found = await self._json("POST", endpoint, data=form, headers=headers)
        if not isinstance(found.get("id_token"), str):
            raise Refused("the provider gave no ID token")
        return str(found["id_token"])

    async def keys(self, place: str) -> dict[str, Any]:
        """Its JWKS (RFC 7517)."""
        return await self._json("GET", place)

    async def _json(self, method: str, url: str, **options: Any) -> dict[str, Any]:
        try:
            async with self._http.stream(method, url, **options) as response:
                body = b""
                async for part in response.aiter_bytes():
                    body += part
                    if len(body) > _LARGEST:
                        raise Refused("the provider's answer is too large")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Refused(f"the provider cannot be reached ({type(error).__name__})") from None
        try:
            found = json.loads(body)
        except (ValueError, RecursionError):
            found = None
        if response.status_code != 200:
            raise Refused(f"the provider answered {response.status_code}{_why(found)}")
        if not isinstance(found, dict):
            raise Refused("the provider's answer is no JSON object")
        return found


def _why(found: Any) -> str:
    """The error code of RFC 6749, section 5.2: a word, no free text."""
    code = found.get("error") if isinstance(found, dict) else None
    return f": {code}" if isinstance(code, str) and code.replace("_", "").isalpha() and len(code) < 40 else ""
