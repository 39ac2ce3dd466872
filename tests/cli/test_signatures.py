"""Signatures and approvals at the hub's own machine: looked at and verified, never made."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from hilum.api import create_app
from hilum.app import Hub
from hilum.model import document
from hilum.settings import Settings

Call = Callable[..., Any]
PASSWORD = "correct horse battery staple"
POLICY = [{"operation": "user.roles", "four_eyes": True}]


async def _sign(data: Path, act: Any) -> tuple[str, str]:
    """A user who signed for something, and asked for something else; their ids."""
    hub = Hub(Settings(data=data, http=None))
    await hub.open()
    try:
        wanted = document.load("version: 1\norganization: demo\nenvironment: test", "hub.yaml")
        await hub.configurations.apply(act(), wanted, None)
        local = httpx.ASGITransport(create_app(hub.services(), local=True))
        public = httpx.ASGITransport(create_app(hub.services(), local=False))
        async with (
            httpx.AsyncClient(transport=local, base_url="http://hub/api/v1") as here,
            httpx.AsyncClient(transport=public, base_url="http://hub/api/v1") as there,
        ):
            eva = {"email": "eva@demo.example", "name": "Eva", "roles": [{"role": "tenant_admin"}]}
            invited = (await here.post("/users", json=eva)).json()
            user = f"user/{invited['user']['id']}"
            await there.post("/auth/link", json={"token": invited["link"]["token"], "password": PASSWORD})
            tokens = await there.post("/auth/token", json={"email": eva["email"], "password": PASSWORD})
            there.headers["authorization"] = f"Bearer {tokens.json()['access_token']}"
            home = (await there.get("/organizations")).json()["items"][0]
            path, tag = f"/organizations/{home['id']}", {"if-match": f'"v{home["version"]}"'}
            await there.patch(path, json={"settings": {"policy": POLICY}}, headers=tag)
            tag = {"if-match": (await there.get(f"/users/{user[5:]}")).headers["etag"]}
            refused = await there.put(f"/users/{user[5:]}/roles", json={"roles": eva["roles"]}, headers=tag)
            request = refused.json()["error"]["details"]["approval_required"]["request"]
            asked = await there.post("/approvals", json={"request": request, "reason": "CR-17"})
            body = {"operation": "user.roles", "entity": user, "meaning": "approval", "password": PASSWORD}
            signed = await there.post("/signatures", json=body)
            return signed.json()["id"], asked.json()["id"]
    finally:
        await hub.close()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


def test_signatures_and_approvals_are_looked_at_and_verified(call: Call, data: Path, act: Any) -> None:
    signed, asked = asyncio.run(_sign(data, act))

    shown = call("signatures", "list", "--data", data)
    assert (shown.code, "Eva" in shown.out, signed in shown.out) == (0, True, True)
    [one] = call("signatures", "list", "--data", data, "--json").json["items"]
    assert one["record"] == "current"
    assert call("signatures", "list", "--data", data, "--entity", f"user/{signed}").out == "No signature.\n"
    verified = call("signatures", "verify", signed, "--data", data)
    assert verified.code == 0
    assert verified.out.splitlines() == [one["text"], "valid; the record: current"]

    shown = call("approvals", "list", "--data", data)
    assert all(part in shown.out for part in (asked, "Eva", "user.roles", "CR-17", "waiting"))
    assert call("approvals", "list", "--data", data, "--state", "denied").out == "No approval.\n"
    assert call("approvals", "list", "--data", data, "--json").json["total"] == 1

    with sqlite3.connect(data / "hub.db") as database:
        database.execute("UPDATE signature SET document = replace(document, 'Eva', 'Tom')")
    database.close()
    forged = call("signatures", "verify", signed, "--data", data)
    assert (forged.code, "not valid: the seal does not fit" in forged.out) == (1, True)
    assert call("signatures", "verify", signed, "--data", data, "--json").json["valid"] is False
