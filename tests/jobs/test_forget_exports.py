"""An export's file is gone after a week; its row, and who fetched it, stay."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hilum.jobs import forget_exports, subject_export
from hilum.store import jobs, subject_exports
from hilum.store.jobs import Job

pytestmark = pytest.mark.anyio


async def made(kept: Any, patient: str = "P4711", organization: int = 1) -> Any:
    """An export that is done."""
    services, act = kept.hub.services(), kept.act("subject-export.ask", organization)
    asked = await services.subject_exports.ask(act, patient, "json", "request 3")
    (found,) = [one for one in await kept.hub.store.read(jobs.open_ones) if one.kind == "subject_export"]
    await subject_export.run(kept.context, found)
    await kept.hub.store.write(jobs.begin, found.id)
    await kept.hub.store.write(jobs.finish, found.id, "done", {})
    return await services.subject_exports.show(kept.act("subject-export.read", organization), asked.id)


@pytest.mark.ledger_part("S1-29", "an export about a person lasts seven days, then its bytes are gone; its row stays")
async def test_it_is_gone_after_a_week(kept: Any, job: Callable[..., Job], later: Callable[[float], None]) -> None:
    await kept.receive("C1", days=1)
    one, theirs = await made(kept), await made(kept, organization=2)
    assert (one.expires_at - one.finished_at).days == 7
    assert len(kept.files("exports")) == 2
    later(6.9)
    assert await forget_exports.run(kept.context, job("forget_exports")) == {"exports": 0, "files": 0}
    later(7.1)
    assert await forget_exports.run(kept.context, job("forget_exports")) == {"exports": 2, "files": 2}
    assert kept.files("exports") == []
    shown = await kept.hub.services().subject_exports.show(kept.act("subject-export.read"), one.id)
    assert (shown.state, shown.reason, shown.sha256) == ("expired", "request 3", one.sha256)
    row = await kept.hub.store.read(subject_exports.find, 1, one.id)
    assert (row.sealed, row.key) == (None, None), "a copy of the file does not open any more"
    assert [event["entity"] for event in await kept.events("subject-export.expire", 2)] == [
        f"subject-export/{theirs.id}"
    ]
    assert await forget_exports.run(kept.context, job("forget_exports")) == {"exports": 0, "files": 0}


async def test_what_a_crash_left_goes_and_what_is_being_made_stays(kept: Any, job: Callable[..., Job]) -> None:
    await made(kept)
    (whole,) = kept.files("exports")
    running = await kept.hub.services().subject_exports.ask(kept.act("subject-export.ask"), "P4711", "csv", "again")
    begun = whole.with_name(f"{running.id}.sealed.partial")
    orphan = whole.with_name("00000000-0000-7000-8000-000000000000.sealed")
    for path in (begun, orphan):
        path.write_bytes(b"x")
    assert await forget_exports.run(kept.context, job("forget_exports")) == {"exports": 0, "files": 1}
    assert kept.files("exports") == sorted([whole, begun])
