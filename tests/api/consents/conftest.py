"""A hub, an authorization server, and people who go there and come back."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from hilum.app import SOCKET, Hub
from hilum.sdk.testing.oauth2 import AuthorizationServer, Client, authorization_server
from hilum.security.egress import LOOPBACK
from hilum.security.passwords import Cost, Passwords
from hilum.services.consents import CALLBACK
from hilum.settings import Settings

PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # nothing that it is used for is encrypted
PUBLIC = "https://hub.example.org"
PHRASE = "correct horse battery staple"
SECRET = "canary-secret-of-the-client"
CONFIG = "version: 1\norganization: demo\n"


@dataclasses.dataclass
class Site:
    """A hub, an authorization server, and the way of a person between them."""

    hub: Hub
    local: httpx.AsyncClient
    server: AuthorizationServer
    clients: list[httpx.AsyncClient] = dataclasses.field(default_factory=list)
    told: list[str] = dataclasses.field(default_factory=list)  # all that the hub answered

    def client(self, **headers: str) -> httpx.AsyncClient:
        async def keep(response: httpx.Response) -> None:
            await response.aread()
            self.told.append(response.text + repr(response.headers))

        port = self.hub.http.port if self.hub.http else 0
        made = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}/api/v1", timeout=30, headers=headers, trust_env=False, verify=PLAIN,
            event_hooks={"response": [keep]},
        )  # fmt: skip
        self.clients.append(made)
        return made

    async def person(
        self, email: str = "ann@demo.example", *roles: str, organization: str = "demo"
    ) -> httpx.AsyncClient:
        """Somebody who signed in by a token."""
        given = [{"role": one} for one in roles or ("integration_specialist",)]
        body = {"email": email, "name": email.partition("@")[0], "roles": given}
        made = await self.local.post(
            f"/api/v1/users?organization={organization}", json=body, headers={"x-reason": "a test"}
        )
        assert made.status_code == 201, made.text
        client = self.client()
        opened = await client.post("/auth/link", json={"token": made.json()["link"]["token"], "password": PHRASE})
        assert opened.status_code == 204, opened.text
        said = {"email": email, "password": PHRASE, "organization": organization}
        tokens = await client.post("/auth/token", json=said)
        assert tokens.status_code == 200, tokens.text
        client.headers["authorization"] = f"Bearer {tokens.json()['access_token']}"
        return client

    async def console(self, email: str) -> httpx.AsyncClient:
        """A browser in which somebody is signed in."""
        client = self.client()
        opened = await client.post("/auth/session", json={"email": email, "password": PHRASE, "organization": "demo"})
        assert opened.status_code < 300, opened.text
        client.headers["x-csrf-token"] = (await client.get("/auth/me")).json()["csrf_token"]
        return client

    async def integration(self, who: httpx.AsyncClient, *, run: bool = False, **authentication: Any) -> str:
        """Its id."""
        endpoint = {"name": "api", "url": f"{self.server.url}/api", "method": "POST"}
        if tls := authentication.pop("tls", None):
            endpoint["tls"] = tls
        signs = {
            "type": "oauth2", "grant_type": "authorization_code", "token_url": f"{self.server.url}/token",
            "authorization_url": f"{self.server.url}/authorize", "client_id": "hub", "scopes": ["read", "write"],
        } | authentication  # fmt: skip
        body = {"name": authentication.pop("name", "Lab"), "type": "API", "environment": "development",
                "authentication": {key: one for key, one in signs.items() if key != "name"},
                "endpoints": [endpoint]}  # fmt: skip
        made = await who.post(f"/integrations?initialize={json.dumps(run)}", json=body)
        assert made.status_code == 201, made.text
        return str(made.json()["id"])

    async def begin(self, who: httpx.AsyncClient, identifier: str, status: int = 200) -> str:
        """Where to go."""
        response = await who.post(f"/integrations/{identifier}/authorize")
        assert response.status_code == status, response.text
        if status != 200:
            return str(response.json()["error"]["message"])
        assert response.json()["redirect_uri"] == PUBLIC + CALLBACK
        return str(response.json()["authorization_url"])

    async def consent(self, url: str, tls: ssl.SSLContext | bool = True) -> dict[str, str]:
        """What a person comes back with."""
        async with httpx.AsyncClient(trust_env=False, verify=tls) as browser:
            answer = await browser.get(url)
        assert answer.status_code == 302, answer.text
        back = urlsplit(answer.headers["location"])
        assert f"{back.scheme}://{back.netloc}{back.path}" == PUBLIC + CALLBACK
        return dict(parse_qsl(back.query))

    async def back(
        self, said: dict[str, str], status: int = 200, browser: httpx.AsyncClient | None = None, **headers: str
    ) -> httpx.Response:
        client = browser or self.client()
        response = await client.get("/oauth/callback", params=said, headers=headers)
        assert response.status_code == status, response.text
        return response

    async def why(self, said: dict[str, str], status: int = 409, **others: Any) -> str:
        return str((await self.back(said, status, **others)).json()["error"]["message"])

    async def allowed(self, who: httpx.AsyncClient, identifier: str, tls: ssl.SSLContext | bool = True) -> None:
        """All of it."""
        await self.back(await self.consent(await self.begin(who, identifier), tls))

    async def shown(self, who: httpx.AsyncClient, identifier: str) -> dict[str, Any]:
        response = await who.get(f"/integrations/{identifier}/consents")
        assert response.status_code == 200, response.text
        (one,) = response.json()["items"]
        return dict(one)

    async def tested(self, who: httpx.AsyncClient, identifier: str) -> dict[str, Any]:
        """What a test says of its endpoint."""
        response = await who.post(f"/integrations/{identifier}/test")
        assert response.status_code == 200, response.text
        (one,) = response.json()["endpoints"]
        return dict(one)

    async def events(self, action: str) -> list[dict[str, Any]]:
        found = (await self.local.get("/api/v1/audit", params={"action": action, "size": 100})).json()["items"]
        return [one["event"] for one in found]


@contextlib.asynccontextmanager
async def opened(tmp_path: Path, url: str | None, server: AuthorizationServer, base: str) -> AsyncIterator[Site]:
    config = tmp_path / "hub.yaml"
    config.write_text(CONFIG, encoding="utf-8")
    data = tmp_path / "data"
    settings = Settings(data=data, database=url, http="127.0.0.1:0", url=base, config=config, egress=LOOPBACK)
    hub = Hub(settings, Passwords(Cost(time=1, memory=8, lanes=1)))
    await hub.open()
    transport = httpx.AsyncHTTPTransport(uds=str(data / SOCKET), verify=PLAIN)
    async with httpx.AsyncClient(transport=transport, base_url="http://hub", timeout=30) as local:
        site = Site(hub, local, server)
        try:
            await hub.run()
            yield site
        finally:
            for one in site.clients:
                await one.aclose()
            await hub.close()


@pytest.fixture
async def server() -> AsyncIterator[AuthorizationServer]:
    """One that knows the hub by a secret, and rotates refresh tokens."""
    async with authorization_server() as found:
        found.clients["hub"] = Client("basic", SECRET)
        found.refreshing = True
        yield found


@pytest.fixture
async def site(tmp_path: Path, url: str | None, server: AuthorizationServer) -> AsyncIterator[Site]:
    """On one database after the other."""
    async with opened(tmp_path, url, server, PUBLIC) as found:
        yield found


@pytest.fixture
async def embedded(tmp_path: Path, server: AuthorizationServer) -> AsyncIterator[Site]:
    """On SQLite alone: for what no database has a say in."""
    async with opened(tmp_path, None, server, PUBLIC) as found:
        yield found


@pytest.fixture
def open_site(tmp_path: Path) -> Callable[..., contextlib.AbstractAsyncContextManager[Site]]:
    """Opens a hub on a server: with its database, and the address that it knows of itself."""

    def make(
        server: AuthorizationServer, url: str | None = None, base: str = PUBLIC
    ) -> contextlib.AbstractAsyncContextManager[Site]:
        return opened(tmp_path, url, server, base)

    return make
