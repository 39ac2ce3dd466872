"""Opens every outgoing connection: resolves, asks the egress decision, connects to the checked address."""

from __future__ import annotations

import asyncio
import functools
import ssl
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx

from hilum import telemetry
from hilum.errors import Refused
from hilum.outbound.guard import Guard
from hilum.outbound.oauth2 import TokenEndpoint
from hilum.outbound.resolve import Resolve, resolve
from hilum.outbound.signing import SigningTransport
from hilum.outbound.tokens import Token, Tokens, key_of
from hilum.outbound.transport import GuardedTransport
from hilum.sdk.authentication import Kind, NoAuthentication, OAuth2
from hilum.security.egress import Allowed, Policy, named, spelled

log = telemetry.logger("dialer")


class Dialer:
    """Implements the sdk's Dialer, for whatever one policy holds for."""

    def __init__(
        self,
        roots: Sequence[Path],
        policy: Policy,
        resolve: Resolve = resolve,
        organization: str = "",
        tokens: Tokens | None = None,
        holder: str = "",
    ) -> None:
        """`roots`: the folders that file endpoints may use; their children too. `tokens` are the organization's.

        `holder`: the integration that it is for; what people consent to is for that alone.
        """
        self._roots = [root.resolve() for root in roots]
        self._guard = Guard(policy, resolve)
        self._organization = organization
        self._tokens = tokens or Tokens()
        self._holder = holder

    async def connect(
        self,
        protocol: Callable[[], asyncio.Protocol],
        host: str,
        port: int,
        *,
        tls: ssl.SSLContext | None = None,
        timeout: float = 10.0,  # noqa: ASYNC109 - connecting has its own limit, see the contract
        server_name: str | None = None,
    ) -> tuple[asyncio.Transport, asyncio.Protocol]:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout):
                last: OSError | None = None
                for address in await self._guard.addresses(host, port):
                    name = (server_name or spelled(host)) if tls else None
                    try:
                        return await loop.create_connection(protocol, address, port, ssl=tls, server_hostname=name)
                    except OSError as error:
                        last = error
                raise last or OSError(f"{host} has no address")
        except TimeoutError:
            raise TimeoutError(f"no connection to {host}:{port} within {timeout:g} s") from None

    def transport(
        self, *, tls: ssl.SSLContext | None = None, authentication: Kind | None = None
    ) -> httpx.AsyncBaseTransport:
        if authentication is None or isinstance(authentication, NoAuthentication):
            return GuardedTransport(self._guard, tls)
        context, access = self._shown(authentication, tls), None
        if isinstance(authentication, OAuth2):
            ask = self._endpoint(authentication, context).ask
            access = functools.partial(
                self._tokens.access, self._organization, authentication, ask, holder=self._holder
            )  # fmt: skip
        return SigningTransport(GuardedTransport(self._guard, context), authentication, access)

    async def sign_in(self, authentication: OAuth2, *, tls: ssl.SSLContext | None = None) -> None:
        """Have a token for what follows; one that holds is kept. Raises Failed, ConfigError, StoreError."""
        ask = self._endpoint(authentication, self._shown(authentication, tls)).ask
        await self._tokens.access(self._organization, authentication, ask, holder=self._holder)

    async def consent(
        self, authentication: OAuth2, code: str, verifier: str, redirect: str = "", *, tls: ssl.SSLContext | None = None
    ) -> Token:
        """Take up what a person consented to: the code that they came back with (RFC 6749, 4.1.3), our verifier.

        From here on transports with this authentication have tokens. Raises Failed, ConfigError, StoreError.
        """
        endpoint = self._endpoint(authentication, self._shown(authentication, tls))
        return await self._tokens.consented(
            self._organization, authentication, lambda: endpoint.redeem(code, verifier, redirect), self._holder
        )

    def grant(self, authentication: OAuth2) -> str:
        """What its tokens are kept under."""
        return key_of(authentication, self._holder)

    async def forget(self, grant: str) -> Token | None:
        """Drop a grant; what there was of it, to give it back. Raises StoreError."""
        return await self._tokens.forget(self._organization, grant)

    async def give_back(self, authentication: OAuth2, token: Token, *, tls: ssl.SSLContext | None = None) -> None:
        """Tell the authorization server that a token is not used any more (RFC 7009). Raises Failed, ConfigError."""
        await self._endpoint(authentication, self._shown(authentication, tls)).revoke(token)

    def _endpoint(self, authentication: OAuth2, context: ssl.SSLContext) -> TokenEndpoint:
        return TokenEndpoint(authentication, lambda: GuardedTransport(self._guard, context))

    @staticmethod
    def _shown(authentication: Kind, tls: ssl.SSLContext | None) -> ssl.SSLContext:
        """The context with our certificate, if there is one. Raises ConfigError where the authentication is faulty."""
        authentication.check()
        context = tls or ssl.create_default_context()
        authentication.present(context)
        return context

    def directory(self, path: str) -> Path:
        found = Path(path).resolve()
        if not any(found == root or root in found.parents for root in self._roots):
            log.warning("a folder was refused", folder=str(found), allowed=[str(root) for root in self._roots])
            raise Refused(f"{path} is outside the folders that files may use")
        return found


class Dialers:
    """Makes dialers: what one allows depends on who configured what it is for."""

    def __init__(
        self,
        files: Path,
        roots: Sequence[Path] = (),
        allowed: Sequence[Allowed] = (),
        resolve: Resolve = resolve,
        tokens: Tokens | None = None,
    ) -> None:
        """`files` is for everybody, a folder for each organization; `roots` are for the operator's file alone."""
        self._files, self._roots = files, roots
        self._allowed = allowed
        self._resolve = resolve
        self._tokens = tokens or Tokens()

    async def close(self) -> None:
        """Ask for no more tokens."""
        await self._tokens.close()

    def endpoint(self, organization: str, managed_by: str, values: Any, integration: str = "") -> Dialer:
        """For an endpoint, whose `values` have no references any more: a file's may go wherever they say."""
        if managed_by != "file":
            return self.organization(organization, integration)
        policy = Policy(named(values), self._allow(organization))
        return Dialer([self._files, *self._roots], policy, self._resolve, organization, self._tokens, integration)

    def organization(self, name: str, integration: str = "") -> Dialer:
        """For what an organization configured by itself: its integrations, its audit feed, its sign-in provider."""
        policy = Policy(allowed=self._allow(name))
        return Dialer([self._files / name], policy, self._resolve, name, self._tokens, integration)

    def _allow(self, organization: str) -> tuple[Allowed, ...]:
        return tuple(one for one in self._allowed if one.organization in (None, organization))
