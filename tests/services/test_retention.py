"""A preview of the next purge counts what it then removes, and what a hold keeps."""

from __future__ import annotations

import datetime
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from hilum import clock
from hilum.app import Hub
from hilum.engine.evidence import Evidence
from hilum.errors import NotFound
from hilum.jobs import Context, audit_purge, forget_exports, retention, subject_export
from hilum.model.access import Scope
from hilum.model.audit import Act
from hilum.model.message import Disposition, NewMessage
from hilum.services.legal_holds import LegalHold
from hilum.services.retention import Purge
from hilum.store import chain, jobs, legal_holds, schema

pytestmark = pytest.mark.anyio
DAY = 86_400_000_000
WAYS_OF_THEIR_OWN = ("bodies", "audit_events", "archives", "subject_exports")  # the others: tests/jobs/test_purge.py
Receive = Callable[..., Awaitable[NewMessage]]


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Let the clock stand at this many days after the test began."""
    begun = clock.micros()

    def work(days: float) -> None:
        stood = begun + int(days * DAY)
        monkeypatch.setattr(clock, "micros", lambda: stood)

    return work


@pytest.fixture
def receive(hub: Hub, new: Callable[..., NewMessage]) -> Receive:
    async def work(control: str, **values: Any) -> NewMessage:
        return await hub.store.append(new(control, hub, disposition=Disposition.FILTERED, **values))

    return work


async def previewed(hub: Hub, organization: int = 1) -> dict[str, tuple[int, int]]:
    found = await hub.services().retention.preview(Scope(organization))
    return {one.kind: (one.removed, one.held) for one in found.classes if one.kind in WAYS_OF_THEIR_OWN}


@pytest.mark.ledger_part("S0-65", "the dry run says what is then removed, class by class, and what a hold keeps")
async def test_a_preview_is_what_is_then_removed(
    hub: Hub, receive: Receive, act: Callable[..., Act], later: Callable[[float], None], tmp_path: Path
) -> None:
    table, services = schema.organization, hub.services()
    document = {"environment": "test", "retention": {"bodies": 10}}
    values = {"document": document, "settings": {"archive_bodies": True, "archive_years": 1}}
    await hub.store.write(lambda one: one.execute(sa.update(table).values(values)))
    context = Context(hub.store, None, {}, vault=hub.vault)  # type: ignore[arg-type]  # no engine runs
    evidence = Evidence(hub.store, tmp_path / "checkpoints")
    await evidence.prepare()

    async def place(name: str, before: NewMessage) -> LegalHold:
        until = clock.from_micros(before.received_at)
        holds = services.legal_holds
        return await holds.place(act(), name, "a claim", patient=None, endpoint=None, since=None, until=until)

    old = [await receive(f"C{n}", keys=(8 * n,)) for n in range(1, 5)]
    await receive("waits", lanes=(0,))
    await services.subject_exports.ask(act(), "4711", "json", "request 3")
    (made,) = [one for one in await hub.store.read(jobs.open_ones) if one.kind == "subject_export"]
    await subject_export.run(context, made)
    await evidence.look(sign=True)
    (sealed, _) = await hub.store.read(chain.tip, 1) or (0, b"")
    assert sealed > 1
    assert await previewed(hub) == {
        "bodies": (0, 0), "audit_events": (0, 0), "archives": (0, 0), "subject_exports": (0, 0)
    }  # fmt: skip

    later(11)
    hold = await place("case 17", old[1])
    found = await services.retention.preview(Scope(1))
    assert found.at == clock.from_micros(clock.micros())
    assert found.classes[0] == Purge("bodies", 3, 1, found.at - datetime.timedelta(days=10))
    assert found.archived == 3
    assert await previewed(hub) == {
        "bodies": (3, 1), "audit_events": (0, 0), "archives": (0, 0), "subject_exports": (1, 0)
    }  # fmt: skip
    done = await retention.run(context, made)
    assert done == {"bodies": {"demo": 3}, "archived": {"demo": 3}, "held": {"demo": 1}}
    assert (await forget_exports.run(context, made))["exports"] == 1
    assert await previewed(hub) == {
        "bodies": (0, 1), "audit_events": (0, 0), "archives": (0, 0), "subject_exports": (0, 0)
    }  # fmt: skip

    await hub.store.write(legal_holds.lift, 1, hold.id, 1, "eva", "over")
    hold = await place("case 18", old[2])
    later(10 * 365)
    assert await previewed(hub) == {
        "bodies": (0, 1), "audit_events": (0, sealed), "archives": (0, 1), "subject_exports": (0, 0)
    }  # fmt: skip
    assert (await retention.run(context, made)).get("archives") is None
    await hub.store.write(legal_holds.lift, 1, hold.id, 1, "eva", "over")
    counted = await previewed(hub)
    assert counted == {"bodies": (1, 0), "audit_events": (sealed, 0), "archives": (1, 0), "subject_exports": (0, 0)}
    trails = Context(hub.store, None, {}, trails=evidence)  # type: ignore[arg-type]  # no engine runs
    assert await audit_purge.run(trails, made) == {"events": {"demo": sealed}}
    done = await retention.run(context, made)
    assert (done["bodies"], done["archives"]) == ({"demo": 1}, {"demo": 1})
    await evidence.leave()


async def test_another_organizations_things_are_not_counted(
    hub: Hub, receive: Receive, act: Callable[..., Act], later: Callable[[float], None]
) -> None:
    await receive("C1")
    later(100)
    await hub.services().organizations.create(act(), "clinic", "", "ann@clinic.example", "Ann")
    clinic = await hub.services().names.organization("clinic")
    assert (await previewed(hub))["bodies"] == (1, 0)
    assert (await previewed(hub, clinic))["bodies"] == (0, 0)
    with pytest.raises(NotFound):
        await hub.services().retention.preview(Scope(77))
