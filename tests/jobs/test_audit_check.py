"""The daily check judges every chain and says what it found."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from hilum.engine.evidence import Evidence
from hilum.errors import Conflict
from hilum.jobs import Context, audit_check
from hilum.model.access import HUB, Scope
from hilum.model.audit import Act
from hilum.store import Store, audit, chain, organizations
from hilum.store.jobs import Job

pytestmark = pytest.mark.anyio


async def test_a_broken_chain_is_named(store: Store, context: Context, job: Callable[..., Job], tmp_path: Path) -> None:
    await store.write(organizations.create, "ward", "")
    evidence = Evidence(store, tmp_path / "checkpoints")
    await evidence.prepare()
    trails = Context(context.store, context.recorder, context.lanes, trails=evidence)
    for _ in range(3):
        await store.journal.record(audit.event(Act(HUB, Scope(1), "user.show", entity="user/1")))
    await evidence.look(sign=True)
    name = (await store.read(chain.names))[1]
    whole = {"intact": True, "events": 3, "messages": 0, "last_protected": 3, "first_broken": None}
    assert (await audit_check.run(trails, job("audit_check")))[name] == whole
    with contextlib.closing(sqlite3.connect(tmp_path / "hub.db", isolation_level=None)) as owner:
        owner.execute("DROP TRIGGER audit_event_keep")
        owner.execute("DELETE FROM audit_event WHERE id = 2")
    found = (await audit_check.run(trails, job("audit_check")))[name]
    assert (found["intact"], found["first_broken"], found["last_protected"]) == (False, 2, 1)
    (event, _) = await store.read(audit.newest, 1, audit.EventFilter(action="audit.check"))
    assert (event.document["outcome"], event.document["error"]) == ("failure", "event 2 was removed")
    await evidence.leave()


async def test_without_a_keeper_there_is_nothing_to_check(context: Context, job: Callable[..., Job]) -> None:
    with pytest.raises(Conflict):
        await audit_check.run(context, job("audit_check"))
