"""Asks a key service over HTTPS: short time-outs, no redirects, no proxy, answers of a bounded size, plain errors.

The operator's settings name the service, so that it may be anywhere but at a metadata address. The hub's dialer is not
asked: the vault opens before there is one, and from threads.
"""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpcore
import httpx

from hilum.errors import ConfigError, Refused, StoreError
from hilum.security.egress import Policy, named

_TIMEOUT = httpx.Timeout(10, connect=5)
_LARGEST = 1 << 20
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class Asking:
    """One service. Its errors name the service and the status, never what was sent or answered."""

    def __init__(self, service: str, url: str, authority: Path | None = None) -> None:
        """`authority`: a PEM file of those who may sign its certificate. Raises ConfigError where `url` will not do."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
            raise ConfigError(f"the address of {service} must be https://HOST[:PORT]")
        if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
            raise ConfigError(f"{service} is spoken to over https, or on this machine's own loopback")
        self.service, self.url = service, url.rstrip("/")
        policy = Policy(named(url))
        try:
            policy.place(parts.hostname, parts.port or (443 if parts.scheme == "https" else 80))
        except Refused as error:
            raise ConfigError(f"the address of {service} will not do: {error}") from None
        try:
            verify = ssl.create_default_context(cafile=str(authority) if authority is not None else None)
        except OSError as error:
            raise ConfigError(f"cannot read the certificates of {service}: {error.strerror}") from None
        self._client = httpx.Client(
            transport=_Transport(verify, policy), timeout=_TIMEOUT, trust_env=False, follow_redirects=False
        )

    def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> dict[str, Any]:
        """The answer's JSON object. Raises StoreError where there is none or it is a refusal."""
        try:
            with self._client.stream("POST", self.url + path, content=body, headers=headers) as response:
                content = b""
                for piece in response.iter_bytes():
                    content += piece
                    if len(content) > _LARGEST:
                        raise StoreError(f"{self.service} answers too much")
        except httpx.HTTPError as error:
            raise StoreError(f"{self.service} does not answer ({type(error).__name__})") from None
        if response.status_code != 200:
            raise StoreError(f"{self.service} refused with status {response.status_code}")
        try:
            answer = json.loads(content)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise StoreError(f"{self.service} does not answer with JSON")
        return answer

    def close(self) -> None:
        self._client.close()


class _Transport(httpx.HTTPTransport):
    """httpx's own over a pool that connects where the policy lets it."""

    def __init__(self, verify: ssl.SSLContext, policy: Policy) -> None:
        super().__init__(verify=verify, trust_env=False)
        self._pool = httpcore.ConnectionPool(ssl_context=verify, network_backend=_Backend(policy))


class _Backend(httpcore.NetworkBackend):
    """Resolves once, and connects to an address that was checked."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._inner = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        try:
            found = socket.getaddrinfo(self._policy.place(host, port), port, type=socket.SOCK_STREAM)
            addresses = list(dict.fromkeys(str(one[4][0]) for one in found))
            self._policy.check(host, port, addresses)
        except (Refused, OSError) as error:
            raise httpcore.ConnectError(str(error)) from error
        last: Exception = httpcore.ConnectError(f"{host} has no address")
        for address in addresses:
            try:
                return self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                last = error
        raise last
