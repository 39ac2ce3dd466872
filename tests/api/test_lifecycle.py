"""The life of an integration over HTTP: what each status means, how it is come to, and that every step is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from hilum.sdk.testing import free_port
from hilum.sdk.testing.web import Said

pytestmark = pytest.mark.anyio
Sign = Callable[..., Awaitable[httpx.AsyncClient]]


def draft(url: str, **changes: Any) -> dict[str, Any]:
    endpoints = [{"name": "orders", "url": url, "method": "GET", "timeout": 5_000, "retries": 0}]
    return {"name": "Lab orders", "type": "API", "environment": "development", "endpoints": endpoints, **changes}


def failed(response: httpx.Response, status: int, code: str, message: str = "") -> None:
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (status, code), response.text
    assert message in error["message"], error


class One:
    """An integration and who looks after it."""

    def __init__(self, http: httpx.AsyncClient, made: dict[str, Any]) -> None:
        self.http = http
        self.path = f"/integrations/{made['id']}"
        self.endpoint = made["endpoints"][-1]["id"]
        self._config = f"{str(http.base_url).replace('/api/v1', '')}integration/configs/{made['id']}"

    async def now(self) -> dict[str, Any]:
        found: dict[str, Any] = (await self.http.get(self.path)).json()
        return found

    async def as_document_002(self) -> dict[str, Any]:
        found: dict[str, Any] = (await self.http.get(self._config)).json()["data"]
        return found

    async def post(self, verb: str, **headers: str) -> httpx.Response:
        tag = f'"v{(await self.now())["version"]}"'
        return await self.http.post(f"{self.path}/{verb}", headers={"if-match": tag, **headers})

    async def check(self) -> Any:
        return (await self.http.post(f"{self.path}/health/check")).json()

    async def execute(self, data: Any = None) -> httpx.Response:
        return await self.http.post(f"{self.path}/endpoints/{self.endpoint}/execute", json={"data": data})

    async def items(self, what: str, **query: str) -> list[dict[str, Any]]:
        """The newest first."""
        found: list[dict[str, Any]] = (await self.http.get(f"{self.path}/{what}", params=query)).json()["items"]
        return found

    async def steps(self) -> list[tuple[str | None, str]]:
        """Of its life, the oldest first."""
        return [(one["before"], one["after"]) for one in reversed(await self.items("history"))]


@pytest.fixture
async def make(signed_in: Sign) -> Callable[..., Awaitable[One]]:
    http = await signed_in("integration_specialist", email="ada@demo.example")

    async def create(wanted: dict[str, Any], **query: Any) -> One:
        response = await http.post("/integrations", json=wanted, params=query)
        assert response.status_code == 201, response.text
        return One(http, response.json())

    return create


@pytest.fixture
def spare() -> int:
    """A port that nobody has; `port` is the feed's."""
    return free_port()


Make = Callable[..., Awaitable[One]]


@pytest.mark.ledger("S2-49")
async def test_every_step_is_kept_with_who_why_and_when(make: Make, web: Any, running: Any) -> None:
    """Persons', the hub's own and a configuration file's; what may not follow is refused and leaves nothing."""
    one = await make(draft(web.url("/orders")))
    for _ in range(2):
        response = await one.post("deactivate", **{"x-reason": "the lab moves house"})
        assert (response.status_code, response.json()["status"]) == (200, "inactive")
    tag = {"if-match": response.headers["etag"], "x-reason": "it has moved"}
    assert (await one.http.patch(one.path, json={"status": "active"}, headers=tag)).status_code == 200
    failed(await one.post("restore"), 409, "INT004", "it is not archived")
    await web.stop()
    for _ in range(3):
        await one.check()
    await web.start()
    await one.check()
    assert (await one.http.delete(one.path, headers={"x-reason": "the lab closes"})).status_code == 204
    failed(await one.http.post(f"{one.path}/activate", headers={"if-match": '"v9"'}), 404, "INT001")
    assert (await one.http.post(f"{one.path}/restore", headers={"x-reason": "not yet"})).status_code == 200
    history = list(reversed(await one.items("history")))
    assert [(step["before"], step["after"], step["by"], step["reason"]) for step in history] == [
        (None, "initializing", "ada", ""), ("initializing", "testing", "ada", ""), ("testing", "active", "ada", ""),
        ("active", "inactive", "ada", "the lab moves house"), ("inactive", "active", "ada", "it has moved"),
        ("active", "error", "Hilum", "a check found no answer at orders"),
        ("error", "active", "Hilum", "a check found every endpoint"), ("active", "archived", "ada", "the lab closes"),
        ("archived", "inactive", "ada", "not yet"),
    ]  # fmt: skip
    assert [step["at"] for step in history] == sorted(step["at"] for step in history)

    text = running.config.read_text(encoding="utf-8")
    off = text.replace("type: OTHER", "type: OTHER\n    active: false")
    (registry,) = (await one.http.get("/integrations", params={"q": "registry"})).json()["items"]
    for document in (off, off, text):
        told = [{"name": "hub.yaml", "text": document}]
        await running.post("/configuration/apply", documents=told, folder=str(running.config.parent))
    of_file = await One(one.http, registry).items("history")
    assert [(step["before"], step["after"]) for step in of_file] == [
        ("inactive", "active"), ("active", "inactive"), (None, "active")
    ]  # fmt: skip
    assert of_file[0]["by"].startswith("local:")


def both_ways(web: Any, port: int) -> dict[str, Any]:
    """It receives over MLLP and sends over HTTP."""
    endpoints = [
        {"name": "in", "direction": "inbound", "url": f"mllp://127.0.0.1:{port}"},
        {"name": "out", "url": web.url("/hl7"), "method": "POST", "timeout": 5_000, "retries": 0},
    ]
    return draft("", type="HL7", endpoints=endpoints)


ADT = "MSH|^~\\&|HIS|W|HUB|X|20260101||ADT^A01|c1|P|2.5\rPID|1||4711\r"


async def listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionError:
        return False
    writer.close()
    return True


@pytest.mark.ledger_part("S2-45", "traffic both ways and in lanes; there are no schedules yet")
@pytest.mark.ledger_part("S2-48", "while it is initialised: nothing is received or sent; there are no sandbox runs yet")
async def test_nothing_flows_while_it_is_tested_and_everything_once_it_is_active(
    make: Make, web: Any, until: Any, running: Any, spare: int
) -> None:
    one = await make(both_ways(web, spare), initialize=False)
    assert ((await one.now())["status"], (await one.as_document_002())["status"]) == ("initializing", "TESTING")
    web.gate.clear()
    going = asyncio.create_task(one.http.post(f"{one.path}/initialize"))
    try:
        await web.until(1)
        assert ((await one.now())["status"], (await one.as_document_002())["status"]) == ("testing", "TESTING")
        failed(await one.execute(ADT), 409, "INT004", "testing")
        assert not await listens(spare)
        assert {heard.method for heard in web.heard} <= {"HEAD", "GET", "OPTIONS"}, "its own test alone"
    finally:
        web.gate.set()
        assert (await going).json()["success"]
    assert ((await one.now())["status"], (await one.as_document_002())["status"]) == ("active", "ACTIVE")
    await until(lambda: listens(spare))
    assert (await one.execute(ADT)).status_code == 200
    assert web.methods[-1] == "POST"
    lanes = {each["reference"]: each["state"] for each in (await running.get("/lanes"))["items"]}
    assert lanes["lab-orders/out"] == "idle"


@pytest.mark.ledger("S2-46")
async def test_an_inactive_one_is_asked_nothing_and_keeps_what_it_has(
    make: Make, web: Any, until: Any, spare: int
) -> None:
    one = await make(both_ways(web, spare))
    await until(lambda: listens(spare))
    assert (await one.execute(ADT)).status_code == 200
    kept = [await one.items(what) for what in ("executions", "logs", "initializations")]
    assert all(kept)
    assert (await one.post("deactivate")).json()["status"] == "inactive"
    assert (await one.as_document_002())["status"] == "INACTIVE"
    heard = len(web.heard)
    failed(await one.execute(ADT), 409, "INT004", "the integration is inactive")
    failed(await one.http.post(f"{one.path}/sync"), 409, "INT004", "the integration is inactive")

    async def silent() -> bool:
        return not await listens(spare)

    await until(silent)
    assert len(web.heard) == heard
    assert [await one.items(what) for what in ("executions", "logs", "initializations")] == kept
    assert (await one.steps())[-1] == ("active", "inactive")


@pytest.mark.ledger("S2-47")
async def test_so_many_failures_in_a_row_are_an_error_and_a_success_ends_it(make: Make, web: Any) -> None:
    usual = await make(draft(web.url("/orders"), name="Usual"))
    strict = await make(draft(web.url("/orders"), name="Strict", errorAfter=1, autoRecover=False))
    assert [(await usual.now())[key] for key in ("error_after", "auto_recover")] == [3, True]
    assert [(await strict.now())[key] for key in ("error_after", "auto_recover")] == [1, False]
    for wrong in ({"error_after": 0}, {"error_after": 1_001}, {"auto_recover": "perhaps"}):
        wanted = draft(web.url("/orders"), name="Wrong", **wrong)
        failed(await usual.http.post("/integrations", json=wanted), 400, "INT002", next(iter(wrong)))
    await web.stop()
    for _ in range(2):
        await usual.check()
    await web.start()
    await usual.check()  # a success between: they are not in a row
    await web.stop()
    for status in ("active", "active", "error"):
        assert ((await usual.check())["lifecycle"], (await usual.now())["status"]) == (status, status)
    assert (await strict.check())["lifecycle"] == "error"
    for one in (usual, strict):
        assert "Connection refused" in (await one.now())["last_error"]
        shown = await one.as_document_002()
        assert (shown["status"], shown["lastError"]) == ("ERROR", (await one.now())["last_error"])
    unmade = await make(draft(web.url("/orders"), name="Unmade"))
    assert (await unmade.steps())[-1] == ("testing", "error"), "a failed initialization"
    assert "Connection refused" in (await unmade.now())["last_error"]
    await web.start()
    for one in (usual, unmade):
        assert (await one.check())["lifecycle"] == "active"
        assert (await one.now())["last_error"] is None
    found = await strict.check()
    assert (found["status"], found["lifecycle"]) == ("healthy", "error"), "a person activates it"
    assert (await strict.post("activate")).json()["status"] == "active"


@pytest.mark.ledger("S2-60")
async def test_the_last_error_is_short_shows_no_secret_and_is_kept_in_the_log(make: Make, web: Any) -> None:
    """`é` has two bytes: a KiB is counted in bytes."""
    secret = {"authentication": {"type": "bearer", "token": "kanarienvogel-token-17"}}
    one = await make(draft(web.url("/orders"), **secret))
    assert (await one.now())["last_error"] is None
    await web.stop()
    await one.check()
    first = (await one.now())["last_error"]
    assert first == "Connectivity test failed: orders: Connection refused"
    assert (await one.as_document_002())["lastError"] == first
    await web.start()
    web.react = _says(503, "not kanarienvogel-token-17")
    await one.check()
    second = (await one.now())["last_error"]
    assert second.startswith("Connectivity test failed: orders: HTTP 503: ")
    assert "kanarienvogel" not in second
    web.react = _says(200, "OK")
    await one.check()
    assert ((await one.now())["last_error"], (await one.as_document_002())["lastError"]) == (None, None)
    errors = [entry["error"] for entry in await one.items("logs", outcome="failure")]
    assert errors == [second.partition("orders: ")[2], "Connection refused"]

    await web.stop()
    many = [{"name": f"n{n}", "url": web.url(f"/{'é' * 60}/{n}"), "method": "GET"} for n in range(12)]
    long = await make(draft("", name="Many", endpoints=many))
    error = (await long.now())["last_error"]
    assert error.startswith("Connectivity test failed: n0 (")
    assert 1_000 < len(error.encode()) <= 1_024
    (tried,) = await long.items("initializations")
    assert tried["error"].startswith(error)
    await web.start()
    assert (await long.check())["lifecycle"] == "active"
    assert (await long.now())["last_error"] is None
    assert (await long.items("initializations"))[0]["error"] == tried["error"]


def _says(status: int, reason: str) -> Callable[[Any], Any]:
    return lambda _: Said(status, b"", reason=reason)
