"""Events go after the years that their organization keeps them, not a day earlier, and a signed start stays."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from hilum import clock
from hilum.engine.evidence import Evidence
from hilum.errors import Conflict
from hilum.jobs import Context, audit_purge
from hilum.model.access import HUB, Scope
from hilum.model.audit import Act
from hilum.model.message import Disposition, NewMessage
from hilum.store import Connection, Store, audit, chain, legal_holds, organizations
from hilum.store.jobs import Job
from hilum.store.legal_holds import Wanted
from hilum.store.schema import organization

pytestmark = pytest.mark.anyio
DAY = 86_400_000_000


@pytest.fixture
async def evidence(store: Store, tmp_path: Path) -> AsyncIterator[Evidence]:
    made = Evidence(store, tmp_path / "checkpoints")
    await made.prepare()
    yield made
    await made.leave()


@pytest.fixture
def trails(context: Context, evidence: Evidence) -> Context:
    return Context(context.store, context.recorder, context.lanes, trails=evidence)


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Move the clock to this many days after the test began."""
    begun = clock.micros()

    def work(days: int) -> None:
        monkeypatch.setattr(clock, "micros", lambda: begun + days * DAY)

    return work


async def record(store: Store, count: int) -> None:
    for _ in range(count):
        await store.journal.record(audit.event(Act(HUB, Scope(1), "user.show", entity="user/1")))


def positions(found: list[audit.SealedEvent]) -> list[int | None]:
    return [one.position for one in reversed(found)]


@pytest.mark.ledger_part("S4-70", "audit events are kept for seven years")
@pytest.mark.ledger_part("S0-65", "the purge of the audit trail is audited and leaves a chain that verifies")
async def test_seven_years_and_not_a_day_less(
    store: Store, evidence: Evidence, trails: Context, job: Callable[..., Job], later: Callable[[int], None]
) -> None:
    await store.write(organizations.create, "ward", "")
    await record(store, 3)
    await evidence.look(sign=True)
    later(7 * 365 - 30)
    await record(store, 2)
    await evidence.look(sign=True)
    later(7 * 365)  # two leap days short of seven years
    assert await audit_purge.run(trails, job("audit_purge")) == {"events": {}}
    later(7 * 365 + 3)
    assert await audit_purge.run(trails, job("audit_purge")) == {"events": {"ward": 3}}
    await evidence.look(sign=True)
    left = await store.read(audit.newest, 1, audit.EventFilter())
    assert positions(left) == [4, 5, 6]
    assert left[0].document["action"] == "audit.purge"
    assert left[0].document["actor"]["kind"] == "system"
    assert left[0].document["details"]["through"] == 3
    assert [one.start for one in await store.read(chain.copies, 1, limit=9)] == [False, False, True, False]
    assert all(one.intact for one in await evidence.check())


async def test_an_organization_may_keep_them_longer(
    store: Store, evidence: Evidence, trails: Context, job: Callable[..., Job], later: Callable[[int], None]
) -> None:
    await store.write(organizations.create, "ward", "")

    def keep(connection: Connection) -> None:
        connection.execute(sa.update(organization).values(settings={"audit_years": 10}))

    await store.write(keep)
    await record(store, 2)
    await evidence.look(sign=True)
    later(3_650)
    assert await audit_purge.run(trails, job("audit_purge")) == {"events": {}}
    later(3_660)
    assert await audit_purge.run(trails, job("audit_purge")) == {"events": {"ward": 2}}


@pytest.mark.ledger_part(
    "S0-65", "a legal hold keeps audit events from the first one on that may be about what it holds"
)
async def test_events_about_what_is_held_stay(
    store: Store, evidence: Evidence, trails: Context, job: Callable[..., Job], later: Callable[[int], None]
) -> None:
    await store.write(organizations.create, "ward", "")
    await record(store, 3)
    await evidence.look(sign=True)
    later(30)
    message = NewMessage(1, 1, clock.micros(), Disposition.FILTERED, "AA", "", "", b"body", b"", keys=(4,))
    await store.append(message)
    await record(store, 2)
    await evidence.look(sign=True)
    later(60)
    change = await store.write(legal_holds.place, store.sealer, 1, "eva", Wanted("case 17", "a claim", patient=4))
    await record(store, 1)
    await evidence.look(sign=True)
    later(10 * 365)
    assert await audit_purge.run(trails, job("audit_purge")) == {"events": {"ward": 3}}, "those of before the message"
    assert await audit_purge.run(trails, job("audit_purge")) == {"events": {}}
    await store.write(legal_holds.lift, 1, change.result.uuid, 1, "eva", "over")
    await evidence.look(sign=True)
    assert await audit_purge.run(trails, job("audit_purge")) == {"events": {"ward": 3}}
    assert all(one.intact for one in await evidence.check())


@pytest.mark.ledger_part("S0-65", "a hold that comes while events are about to go keeps them, and nothing is signed")
async def test_a_hold_that_comes_between_looking_and_removing_wins(
    store: Store, evidence: Evidence, trails: Context, job: Callable[..., Job], later: Callable[[int], None]
) -> None:
    await store.write(organizations.create, "ward", "")
    await record(store, 3)
    await evidence.look(sign=True)
    later(10 * 365)
    seen = await legal_holds.standing(store, 1)
    await store.write(legal_holds.place, store.sealer, 1, "eva", Wanted("case 17", "a claim"))
    with pytest.raises(Conflict, match="a legal hold was placed"):
        await evidence.purge(1, clock.micros(), seen)
    assert not any(one.start for one in await store.read(chain.copies, 1, limit=9))
    assert await audit_purge.run(trails, job("audit_purge")) == {"events": {}}
    await evidence.look(sign=True)
    assert positions(await store.read(audit.newest, 1, audit.EventFilter()))[:3] == [1, 2, 3]
    assert all(one.intact for one in await evidence.check())


@pytest.mark.ledger("S4-68")
async def test_changes_of_configuration_stay_for_seven_years(
    store: Store, evidence: Evidence, trails: Context, job: Callable[..., Job], later: Callable[[int], None]
) -> None:
    """Kept a day before seven years are over by the calendar, gone a day after; the purge is an event."""
    await store.write(organizations.create, "ward", "")
    later(0)
    now = clock.now().date()
    years = (now.replace(year=now.year + 7, day=min(now.day, 28)) - now.replace(day=min(now.day, 28))).days
    act = Act(HUB, Scope(1), "configuration.apply", entity="configuration/1")
    await store.journal.record(audit.event(act))
    await evidence.look(sign=True)
    later(years - 1)
    assert await audit_purge.run(trails, job("audit_purge")) == {"events": {}}
    assert [one.document["action"] for one in await store.read(audit.newest, 1, audit.EventFilter())] == [act.action]
    later(years + 1)
    assert await audit_purge.run(trails, job("audit_purge")) == {"events": {"ward": 1}}
    left = await store.read(audit.newest, 1, audit.EventFilter())
    assert [one.document["action"] for one in left] == ["audit.purge"]


async def test_without_a_keeper_nothing_goes(context: Context, job: Callable[..., Job]) -> None:
    with pytest.raises(Conflict):
        await audit_purge.run(context, job("audit_purge"))
