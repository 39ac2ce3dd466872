"""A file that came becomes data sets: all of its tables, or none, and nothing of it is left on the way."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest

from hilum.errors import HilumError, NotFound
from hilum.jobs import dataset_import
from hilum.services.datasets import Arriving
from hilum.store import jobs

pytestmark = pytest.mark.anyio


async def came(kept: Any, content: bytes, arriving: Arriving) -> Any:
    """The import once it ended; no engine runs, so the test runs the job."""

    async def pieces() -> AsyncIterator[bytes]:
        yield content

    act = kept.act("dataset-import.ask")
    services = kept.hub.services()
    services.datasets._jobs._here = None
    asked = await services.datasets.take(act, arriving, pieces())
    (job,) = [one for one in await kept.hub.store.read(jobs.open_ones) if one.kind == "dataset_import"]
    await kept.hub.store.write(jobs.begin, job.id)
    state, result = "done", {}
    try:
        result = await dataset_import.run(kept.context, job)
    except HilumError as error:
        state, result = "failed", {"reason": str(error)}
    await kept.hub.store.write(jobs.finish, job.id, state, result)
    return await services.datasets.imported(act, asked.id)


async def test_progress_and_provenance(kept: Any) -> None:
    done = await came(kept, b"A\n1\n2\n", Arriving("s1", "x.csv", name="X"))
    assert (done.status, done.rows, done.problem) == ("succeeded", 2, None)
    shown = await kept.hub.services().datasets.show(kept.act("dataset.read"), uuid.UUID(done.datasets[0]))
    assert (shown.name, shown.study) == ("X", "s1")
    assert shown.versions is not None
    assert shown.versions[0].provenance["format"] == "csv"


@pytest.mark.parametrize(
    ("content", "arriving", "reason"),
    [
        (b"A\n1\n", Arriving("s1", "x.csv", options={"nothing": 1}), "nothing"),
        (b"A\n1\n", Arriving("s1", "x.csv", format="docx"), "no import format is called 'docx'"),
        (b"A\n1\n", Arriving("s1", "x"), "nothing reads files that end in nothing"),
        (b"A,A\n1,2\n", Arriving("s1", "x.csv"), "two columns"),
    ],
)
async def test_what_cannot_be_read_is_nowhere(kept: Any, content: bytes, arriving: Arriving, reason: str) -> None:
    done = await came(kept, content, arriving)
    assert (done.status, done.datasets) == ("failed", [])
    assert done.problem is not None
    assert reason in done.problem["reason"]
    folder = kept.hub.settings.data
    assert not [*folder.glob("work-*"), *(folder / "datasets").rglob("*"), *(folder / "imports").rglob("*.sealed")]


async def test_what_a_killed_process_left_goes_with_the_next_import(kept: Any) -> None:
    left = kept.hub.settings.data / "work-left"
    left.mkdir()
    (left / "plain.csv").write_bytes(b"A\n1\n")
    await came(kept, b"A\n1\n", Arriving("s1", "x.csv"))
    assert not left.exists()


async def test_a_study_is_not_made_by_who_is_bound_to_another(kept: Any) -> None:
    act = kept.act("dataset-import.ask")
    act.scope = type(act.scope)(act.scope.organization, frozenset({7}))

    async def pieces() -> AsyncIterator[bytes]:
        yield b"A\n1\n"

    with pytest.raises(NotFound, match="there is no study s9"):
        await kept.hub.services().datasets.take(act, Arriving("s9", "x.csv"), pieces())
