"""The Python client asks a served hub: pages, errors, limits, versions, what is lost on the way."""

from __future__ import annotations

import re
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from hilum.sdk.testing import free_port

pytestmark = pytest.mark.timeout(300)  # it may have to start two hubs first
Open = Callable[..., Any]
HOOK = {"type": "WEBHOOK", "status": "INACTIVE"}  # needs no partner


class Line(httpx.HTTPTransport):
    """The way to the hub: what went over it, and what is lost on it after the hub has done its part."""

    def __init__(self) -> None:
        super().__init__()
        self.went: list[tuple[str, str, int]] = []
        self.keys: list[str | None] = []
        self.lose = 0
        self._lock = threading.Lock()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = super().handle_request(request)
        with self._lock:
            self.went.append((request.method, request.url.path, response.status_code))
            self.keys.append(request.headers.get("idempotency-key"))
            lost, self.lose = self.lose > 0, max(self.lose - 1, 0)
        if lost:
            response.read()
            raise httpx.ReadError("the answer was lost", request=request)
        return response

    def statuses(self, path: str) -> list[int]:
        return [status for _, asked, status in self.went if asked == path]


@pytest.fixture(scope="module")
def key(served: Any, sdk: Any) -> str:
    found: str = served.key(sdk)
    return found


@pytest.fixture
def line() -> Line:
    return Line()


@pytest.fixture
def connect(served: Any, sdk: Any, key: str, line: Line) -> Iterator[Open]:
    """Makes clients of the hub, by default with the API key and without ever waiting."""
    made: list[Any] = []

    def connect(url: str = served.url, **options: Any) -> Any:
        given = {"transport": line, "sleep": lambda seconds: None, **({} if "tokens" in options else {"api_key": key})}
        made.append(sdk.Hilum(url, **{**given, **options}))
        return made[-1]

    yield connect
    for one in made:
        one.close()


def hook(**changes: Any) -> dict[str, Any]:
    return {**HOOK, "name": f"Hook {uuid.uuid4().hex[:12]}", **changes}


@pytest.mark.ledger_part("S2-13", "the Python client: the seven names, on a served hub")
@pytest.mark.ledger_part("S2-14", "the Python client: testConnection and getStats, on a served hub")
def test_the_seven_names(connect: Open, served: Any, sdk: Any) -> None:
    hub = connect()
    wanted = {"name": "Gateway", "type": "API", "provider": "Here", "endpoint": f"{served.url}/health/live"}
    made = hub.createIntegration(wanted)
    assert (made["success"], made["data"]["status"], made["message"]) == (True, "ACTIVE", "Integration created")
    identifier = made["data"]["id"]
    assert hub.getIntegrationById(identifier)["data"] == made["data"]
    found = hub.getIntegrations({"provider": "Here", "limit": 5})
    assert [one["id"] for one in found["data"]] == [identifier]
    assert found["pagination"] == {"page": 1, "limit": 5, "total": 1, "totalPages": 1}
    assert hub.updateIntegration(identifier, {"provider": "There"})["data"]["provider"] == "There"
    assert hub.testConnection(identifier)["data"]["overall"]["success"]
    assert hub.getStats()["data"]["totalIntegrations"] >= 2
    assert hub.deleteIntegration(identifier)["message"] == "Integration deleted"
    with pytest.raises(sdk.NotFound):
        hub.get_integration_by_id(identifier)


@pytest.mark.ledger_part("S0-61", "the Python client: an iterator over all pages, by page and by cursor")
@pytest.mark.slow
def test_every_item_of_every_page(connect: Open, served: Any, sdk: Any, line: Line) -> None:
    hub, calls = connect(), sdk.calls
    names = {f"Many {number:03}" for number in range(104)}
    for name in names:
        hub.create_integration(hook(name=name, provider="Many"))
    line.went.clear()
    assert {one["name"] for one in hub.each(calls.list_integrations(provider="Many"))} == names
    assert line.statuses("/api/v1/integrations") == [200, 200], "a hundred a page"
    assert {one["name"] for one in hub.each(calls.list_configs(provider="Many", limit=60))} == names
    assert line.statuses("/api/integration/configs") == [200, 200]
    admin = connect(tokens=None)
    admin.sign_in(**served.person("tenant_admin"))
    events = [one["event"]["id"] for one in admin.each(calls.list_events(action="integration.create", size=40))]
    assert len(events) == len(set(events)) >= 104
    assert len(line.statuses("/api/v1/audit")) >= 3


@pytest.mark.ledger_part("S0-61", "the Python client: typed errors with the envelope")
def test_errors_say_what_they_are(connect: Open, served: Any, sdk: Any) -> None:
    hub = connect()
    with pytest.raises(sdk.NotFound) as missing:
        hub(sdk.calls.read_integration(uuid.uuid4()))
    assert (missing.value.code, missing.value.status) == ("INT001", 404)
    assert missing.value.request_id.startswith("req_")
    assert missing.value.timestamp
    with pytest.raises(sdk.Invalid) as invalid:
        hub(sdk.calls.create_integration({"name": "x", "type": "API", "endpoints": [{"url": "nope"}]}))
    assert (invalid.value.code, invalid.value.field) == ("INT002", "/endpoints/0/url")
    assert invalid.value.details["errors"]
    with pytest.raises(sdk.Invalid, match="page"):
        hub(sdk.calls.list_integrations(page=0))
    viewer = connect(tokens=None)
    viewer.sign_in(**served.person("viewer"))
    with pytest.raises(sdk.Forbidden):
        viewer.create_integration(hook())
    with pytest.raises(sdk.Unauthenticated):
        connect(api_key="hlm_nobody")(sdk.calls.read_me())


@pytest.mark.ledger_part("S0-61", "the Python client: 429 waits as long as Retry-After says, and not for ever")
def test_it_waits_when_it_is_told_to(busy: Any, sdk: Any) -> None:
    waited: list[float] = []
    key = busy.key(sdk)

    def drain(hub: Any) -> None:
        for _ in range(1_000):
            hub(sdk.calls.list_integrations())

    impatient = sdk.Waits(patience=0.5)
    with sdk.Hilum(busy.url, api_key=key, waits=impatient, sleep=waited.append) as hub:
        with pytest.raises(sdk.RateLimited) as limited:
            drain(hub)
        assert limited.value.code == "INT006"
        assert 1 <= limited.value.retry_after <= 3
        assert waited == [], "that is more than its patience"
    with sdk.Hilum(busy.url, api_key=key) as hub:  # waits until it is let in
        assert hub(sdk.calls.list_integrations())["total"] == 1
    with sdk.Hilum(busy.url, api_key=key, sleep=waited.append) as hub, pytest.raises(sdk.RateLimited):
        drain(hub)
    assert len(waited) >= 3
    assert all(1 <= one <= 3 for one in waited)


@pytest.mark.ledger_part("S0-61", "the Python client: ETags, as far as the hub lets answers be kept")
def test_what_did_not_change_is_not_sent_again(connect: Open, sdk: Any, line: Line) -> None:
    hub, calls = connect(), sdk.calls
    first = hub(calls.list_connectors())
    first["items"].clear()  # is the caller's own
    assert hub(calls.list_connectors())["items"]
    assert line.statuses("/api/v1/connectors") == [200, 304]
    made = hub.create_integration(hook())["data"]["id"]
    path = f"/api/v1/integrations/{made}"
    for _ in range(2):
        hub(calls.read_integration(made))
    assert line.statuses(path) == [200, 200], "the hub said no-store"
    keeping = connect(remember="all")
    for _ in range(2):
        assert keeping.answer(calls.read_integration(made)).status == 200
    assert line.statuses(path)[2:] == [200, 304]
    keeping.update_integration(made, {"provider": "New"})
    assert keeping(calls.read_integration(made))["provider"] == "New"


def test_nobody_overwrites_what_he_has_not_seen(connect: Open, sdk: Any) -> None:
    hub, calls = connect(), sdk.calls
    made = hub.create_integration(hook())["data"]["id"]
    read = hub.answer(calls.read_integration(made))
    assert read.etag == f'"v{read.data["version"]}"'
    assert read.request_id
    hub(calls.change_integration(made, {"provider": "One"}, if_match=read.etag))
    with pytest.raises(sdk.Stale) as stale:
        hub(calls.change_integration(made, {"provider": "Two"}, if_match=read.etag))
    assert stale.value.code == "INT004"
    with pytest.raises(sdk.Stale):
        hub.update_integration(made, {"provider": "Two"}, if_match=read.etag)
    seen: list[str] = []

    def change(current: Any, etag: str) -> Any:
        if not seen:  # somebody else is faster
            hub.update_integration(made, {"description": "theirs"})
        seen.append(etag)
        return calls.change_integration(made, {"provider": current["provider"] + "!"}, if_match=etag)

    after = hub.edit(calls.read_integration(made), change)
    assert len(set(seen)) == 2
    assert (after["provider"], after["description"]) == ("One!", "theirs")


def test_a_lost_answer_changes_nothing_twice(connect: Open, sdk: Any, line: Line) -> None:
    hub, wanted = connect(), hook()
    line.lose = 1
    made = hub.create_integration(wanted)
    assert [status for method, _, status in line.went if method == "POST"] == [201, 201]
    first, second = line.keys
    assert first == second is not None
    assert made["data"]["name"] == wanted["name"]
    assert hub.get_integrations({"search": wanted["name"]})["pagination"]["total"] == 1
    line.lose = 1
    assert hub(sdk.calls.read_integration(made["data"]["id"]))["name"] == wanted["name"]


def test_what_has_no_key_is_not_sent_again(connect: Open, served: Any, sdk: Any, line: Line) -> None:
    hub = connect(tokens=None)
    person = served.person("viewer")
    line.lose = 1
    with pytest.raises(sdk.HubUnreachable) as lost:
        hub.sign_in(**person)
    assert lost.value.sent
    assert len(line.went) == 1


def test_who_is_not_there_is_asked_a_few_times(sdk: Any) -> None:
    waited: list[float] = []
    hub = sdk.Hilum(f"http://127.0.0.1:{free_port()}", sleep=waited.append)
    with hub, pytest.raises(sdk.HubUnreachable) as gone:
        hub.create_integration(hook())
    assert not gone.value.sent
    assert len(waited) == 3
    assert all(one <= 8 for one in waited)


def test_tokens_are_renewed_once_for_all(connect: Open, served: Any, sdk: Any, line: Line) -> None:
    """A refresh token holds once: a second use of it would end the session."""
    person, kept = served.person("viewer"), list[Any]()
    first = connect(tokens=None, on_tokens=kept.append)
    first.sign_in(**person)
    hub = connect(tokens={**kept[0], "access_token": "spent"}, on_tokens=kept.append)
    with ThreadPoolExecutor(8) as pool:
        names = list(pool.map(lambda _: hub(sdk.calls.read_me())["name"], range(24)))
    assert set(names) == {"viewer"}
    assert line.statuses("/api/v1/auth/refresh") == [200]
    assert len(kept) == 2
    hub.sign_out()
    with pytest.raises(sdk.Unauthenticated):
        hub(sdk.calls.read_me())
    late = connect(tokens={**kept[1], "access_token": "spent"})
    with pytest.raises(sdk.Unauthenticated):
        late(sdk.calls.read_me())


@pytest.mark.anyio
async def test_the_same_without_blocking(served: Any, sdk: Any, key: str) -> None:
    async with sdk.AsyncHilum(served.url, api_key=key) as hub:
        made = (await hub.createIntegration(hook(provider="Async")))["data"]
        listed = [one["name"] async for one in hub.each(sdk.calls.list_integrations(provider="Async", size=1))]
        assert listed == [made["name"]]
        changed = await hub.edit(
            sdk.calls.read_integration(made["id"]),
            lambda current, etag: sdk.calls.change_integration(
                current["id"], {"description": "Ünïcode"}, if_match=etag, reason="wegen Größe — 測試"
            ),
        )
        assert changed["description"] == "Ünïcode"
        assert (await hub.testConnection(made["id"]))["success"]
        assert (await hub.getStats())["success"]
        assert (await hub.updateIntegration(made["id"], {"provider": "B"}))["data"]["provider"] == "B"
        assert (await hub.getIntegrationById(made["id"]))["data"]["provider"] == "B"
        await hub.deleteIntegration(made["id"])
        assert (await hub.getIntegrations({"provider": "B"}))["data"] == []
    async with sdk.AsyncHilum(served.url) as hub:
        await hub.sign_in(**served.person("viewer"))
        assert (await hub(sdk.calls.read_me()))["roles"]
        await hub.sign_out()


def test_the_example_of_its_readme_runs(package: Path, served: Any, key: str, sdk: Any, capsys: Any) -> None:
    text = (package / "README.md").read_text(encoding="utf-8")
    [example] = re.findall(r"```python runnable\n(.*?)```", text, re.DOTALL)
    example = example.replace("https://hub.example.org", served.url).replace("hlm_…", key)
    exec(compile(example, "README.md", "exec"), {})
    assert "Lab results" in capsys.readouterr().out
