"""What is sent is looked at before it is believed: names, sizes, depth, characters, of every operation with a body."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import warnings
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
import schemathesis
from hypothesis import HealthCheck
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error

from hilum.api import Server

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]


def places(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Every value within a body, and the way to it."""
    yield way, value
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield from places(one, (*way, key))


def changed(body: Any, way: tuple[Any, ...], value: Any) -> Any:
    """`body` with something else at one place."""
    if not way:
        return value
    found = copy.deepcopy(body)
    inner = found
    for key in way[:-1]:
        inner = inner[key]
    inner[way[-1]] = value
    return found


def deep(levels: int) -> Any:
    found: Any = "x"
    for _ in range(levels):
        found = {"a": found}
    return found


JUDGES = {"validate_integration", "receive_webhook"}
"""Operations that say of anything whether it would do; and what a partner sends, whatever it is: that is a message."""

PAYLOADS = {"data", "body", "input", "expected", "set"}
"""Members that are a message, go into one or to a partner: what is in them is not the API's to judge."""


@pytest.mark.ledger("S0-34")
async def test_what_no_operation_takes(world: Any) -> None:
    """Unknown members at any level, characters that nobody sees, what is too long, too deep, too big; and fuzz."""
    judged = 0
    for name, method, path, operation in world.operations():
        if not world.takes_json(operation) or name in JUDGES:
            continue
        who = await world.person()
        place = await world.place(who, name, path)
        good = await world.body(who, name, operation, place)

        at = path.format_map(place)

        async def refused(body: Any) -> None:
            response = await who.ask(method, at, json=body, headers={"if-match": '"v1"'})  # noqa: B023 - called within the turn
            assert response.status_code == 400, f"{method} {at} {str(body)[:200]}: {response.text[:300]}"  # noqa: B023 - called within the turn

        for way, value in places(good):
            if PAYLOADS.intersection(way):
                continue
            if isinstance(value, dict):
                await refused(changed(good, (*way, "odd"), 1))
            if isinstance(value, str):
                for unseen in ("\x07", "\x1b[2J", "\u202e", "\0", "\ufeff"):
                    await refused(changed(good, way, f"{value[:1]}{unseen}{value[1:]}"))
                await refused(changed(good, way, value + "x" * 500_000))
                judged += 1
        await refused(deep(40))
        headers = {"if-match": '"v1"', "content-type": "application/json"}
        assert (await who.ask(method, at, content=world.big, headers=headers)).status_code == 413, f"{method} {at}"
    assert judged > 40
    decomposed, composed = "Zoe\u0308 Mu\u0308ller", "Zo\xeb M\xfcller"
    who = await world.person()
    made = await who.ask("POST", "/api/v1/studies", json={"name": "nfc", "title": decomposed})
    assert made.json()["title"] == composed
    await fuzz(world.app, who.http.headers["authorization"])


async def fuzz(app: Any, token: str) -> None:
    """A few bad cases of each operation (tests/api/test_fuzz.py has more, and good ones): none is a 5xx."""
    server = Server(app, "127.0.0.1:0")
    await server.start()
    settings = hypothesis.settings(
        max_examples=2, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck),
        phases=[hypothesis.Phase.generate],
    )  # fmt: skip
    url, sent = f"http://127.0.0.1:{server.port}", list[str]()

    def attack(operation: Any) -> None:
        @hypothesis.given(case=operation.as_strategy(generation_mode=GenerationMode.NEGATIVE))
        @settings
        def send(case: Any) -> None:
            response = case.call(base_url=url, headers={"authorization": token}, timeout=60)
            case.validate_response(response, checks=[not_a_server_error])
            sent.append(operation.label)

        with contextlib.suppress(hypothesis.errors.Unsatisfiable):  # nothing wrong can be made of nothing
            send()

    def run() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for found in schemathesis.openapi.from_dict(app.openapi()).get_all_operations():
                operation = found.ok()
                if "/auth/" not in operation.path:  # whoever fuzzes must not sign out meanwhile
                    attack(operation)

    try:
        await asyncio.to_thread(run)
    finally:
        await server.stop()
    assert len(set(sent)) > 60
