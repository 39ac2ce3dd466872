"""Who may call what: every route, every role, organization-wide and in one study, against a table that is checked in.

The table, matrix.txt, is for people to read and to review: HILUM_SNAPSHOT=write makes it anew from the declarations,
the requests below then prove that it holds.
"""

from __future__ import annotations

import dataclasses
import importlib
import os
import pkgutil
import re
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from hilum.api import create_app, routes
from hilum.api.surface import PREFIX, Guarded
from hilum.app import Hub
from hilum.errors import Unauthenticated
from hilum.model.access import PERMISSIONS, Binding, Principal, PrincipalKind, Role

TABLE = Path(__file__).with_name("matrix.txt")
WRITE = os.environ.get("HILUM_SNAPSHOT") == "write"
STUDY = 7


class Cast:
    """Knows everybody by a name like `viewer` or `viewer@7`, as if they had signed in."""

    async def bearer(self, text: str, source: str) -> Principal:
        role, _, study = text.partition("@")
        if role not in set(Role):
            raise Unauthenticated
        binding = Binding(Role(role), int(study) if study else None)
        return Principal(PrincipalKind.USER, str(uuid.uuid5(uuid.NAMESPACE_OID, text)), text, 1, (binding,))

    async def cookie(self, text: str) -> tuple[Principal, str]:
        raise Unauthenticated


def guarded() -> Iterator[tuple[str, str, Guarded]]:
    """Every route with its method and path."""
    for found in pkgutil.iter_modules(routes.__path__):
        module = importlib.import_module(f"{routes.__name__}.{found.name}")
        for route in module.router.routes:
            assert isinstance(route, Guarded)
            prefix = getattr(module, "mounts", (PREFIX,))[0]
            yield from ((method, prefix + route.path, route) for method in sorted(route.methods))


def table() -> list[str]:
    """A line a route: method, path, audit action, and who may, `*` where a role may in a study of its own as well."""
    lines = []
    for method, path, route in guarded():
        allowed = route.allowed
        if allowed.local:
            who = "on the hub's own machine"
        elif allowed.permission is None:
            who = "everybody"
        else:
            rule = PERMISSIONS[allowed.permission]
            who = " ".join(f"{role}{'*' if rule.by_study else ''}" for role in Role if role in rule.roles)
        lines.append(f"{method:6} {path:58} {allowed.action or '-':28} {who}".rstrip())
    return sorted(lines, key=lambda line: line.split()[1::-1])


@pytest.fixture
async def public(stopped: Hub) -> AsyncIterator[httpx.AsyncClient]:
    """The app as it is served on TCP, to whoever says that they are somebody."""
    services = stopped.services()
    app = create_app(dataclasses.replace(services, identity=Cast()), local=False)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://hub") as client:
        yield client


def test_the_table_says_what_the_routes_declare() -> None:
    found = table()
    if WRITE:
        TABLE.write_text("\n".join(found) + "\n", encoding="utf-8")
    assert found == TABLE.read_text(encoding="utf-8").splitlines(), (
        "HILUM_SNAPSHOT=write renews it; review what changed"
    )


def filled(path: str) -> str:
    """A path whose things do not exist."""
    return re.sub(r"\{[^}]*\}", lambda found: str(uuid.UUID(int=0)) if "number" not in found[0] else "1", path)


@pytest.mark.anyio
@pytest.mark.ledger("S0-22", "S0-45", "S4-77")
@pytest.mark.parametrize("line", TABLE.read_text(encoding="utf-8").splitlines() if TABLE.exists() else [])
async def test_each_role_may_what_the_table_says_and_no_more(public: httpx.AsyncClient, line: str) -> None:
    method, path, _, *who = line.split()
    options: dict[str, Any] = {"headers": {"if-match": '"v1"', "idempotency-key": "k1"}}
    if method in ("POST", "PUT", "PATCH"):
        options["json"] = {}
    if who[0] == "on":
        for role in Role:
            response = await public.request(method, filled(path), headers={"authorization": f"Bearer {role}"})
            assert response.status_code in (404, 405), f"{role} {line}"
        return
    nobody = await public.request(method, filled(path), **options)
    if who == ["everybody"]:
        return
    assert nobody.status_code == 401, line
    code = "EXP003" if path.startswith("/api/v1/exports") else "INT003"
    assert nobody.json()["error"]["code"] == code
    assert nobody.headers["www-authenticate"] == 'Bearer realm="hilum"'
    for role in Role:
        wide, narrow = role in who or f"{role}*" in who, f"{role}*" in who
        for name, may in ((str(role), wide), (f"{role}@{STUDY}", narrow)):
            options["headers"] |= {"authorization": f"Bearer {name}", "idempotency-key": uuid.uuid4().hex}
            response = await public.request(method, filled(path), **options)
            refused = response.status_code == 403 and response.json()["error"]["code"] == code
            assert "www-authenticate" not in response.headers, line
            assert response.status_code < 500, f"{name} {line}: {response.text}"
            assert refused is not may, f"{name} {'may' if may else 'may not'}: {line}: {response.text}"
