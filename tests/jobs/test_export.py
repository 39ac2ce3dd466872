"""A data set becomes a file: whole and sealed, or not there; what cannot be written ends it, or is set aside."""

from __future__ import annotations

import io
import uuid
import zipfile
from collections.abc import AsyncIterator
from typing import Any

import pytest

from hilum.errors import HilumError
from hilum.jobs import dataset_import, export
from hilum.model.export import DataWish
from hilum.services.datasets import Arriving
from hilum.store import dataset_files, jobs

pytestmark = pytest.mark.anyio
ROWS = b"NAME,TEXT\n" + b"".join(b"r%d,t%d\n" % (one, one) for one in range(200))


async def run(kept: Any, kind: str, work: Any) -> Any:
    """Run the job of a kind that waits."""
    (job,) = [one for one in await kept.hub.store.read(jobs.open_ones) if one.kind == kind]
    await kept.hub.store.write(jobs.begin, job.id)
    state, result = "failed", {}
    try:
        result = await work(kept.context, job)
        state = "done"
    finally:
        await kept.hub.store.write(jobs.finish, job.id, state, result)
    return result


async def dataset(kept: Any, content: bytes = ROWS) -> uuid.UUID:
    async def pieces() -> AsyncIterator[bytes]:
        yield content

    services = kept.hub.services()
    services.datasets._jobs._here = None  # the test runs them
    await services.datasets.take(kept.act("dataset-import.ask"), Arriving("s1", "x.csv"), pieces())
    found = await run(kept, "dataset_import", dataset_import.run)
    return uuid.UUID(found["datasets"][0])


async def asked(kept: Any, **wanted: Any) -> Any:
    one = DataWish(dataset=await dataset(kept, wanted.pop("content", ROWS)), **wanted)
    return await kept.hub.services().exports.ask(kept.act("export.ask"), one)


async def fetched(kept: Any, identifier: uuid.UUID) -> bytes:
    file = await kept.hub.services().exports.file(kept.act("export.download"), identifier)
    return b"".join(file.pieces(0, file.size - 1))


def lying(kept: Any) -> list[str]:
    return sorted(one.name for one in (kept.hub.settings.data / "packages").rglob("*") if one.is_file())


async def test_the_file_lies_sealed(kept: Any) -> None:
    one = await asked(kept, format="csv")
    assert await run(kept, "export", export.run) == {"rows": 200, "aside": 0}
    assert lying(kept) == [f"{one.id}.sealed"]
    (file,) = (kept.hub.settings.data / "packages").rglob("*.sealed")
    assert b"r17" not in file.read_bytes()
    assert b"r17" in await fetched(kept, one.id)


async def test_what_was_set_aside_comes_in_a_zip(kept: Any) -> None:
    one = await asked(kept, format="xml", set_aside=True, content=b"A\nfine\nodd\x02\n")
    assert await run(kept, "export", export.run) == {"rows": 2, "aside": 1}
    with zipfile.ZipFile(io.BytesIO(await fetched(kept, one.id))) as package:
        assert package.testzip() is None
        assert package.namelist() == ["exceptions.csv", "x.xml"]
        assert b"2,A" in package.read("exceptions.csv")
    assert lying(kept) == [f"{one.id}.sealed"]


async def test_nothing_set_aside_is_no_zip(kept: Any) -> None:
    one = await asked(kept, format="csv", set_aside=True)
    await run(kept, "export", export.run)
    assert (await fetched(kept, one.id)).startswith(b'"NAME"')


async def test_a_value_that_cannot_be_written_leaves_no_file(kept: Any) -> None:
    one = await asked(kept, format="xml", content=b"A\nfine\nodd\x02\n")
    with pytest.raises(HilumError, match="row 2, A"):
        await run(kept, "export", export.run)
    assert lying(kept) == []
    shown = await kept.hub.services().exports.show(kept.act("export.read"), one.id)
    assert (shown.status, shown.error["row"], shown.error["variable"]) == ("failed", 2, "A")


async def test_one_that_was_cancelled_writes_nothing(kept: Any) -> None:
    one = await asked(kept, format="csv")
    await kept.hub.services().exports.cancel(kept.act("export.cancel"), one.id)
    assert await run(kept, "export", export.run) == {"status": "cancelled"}
    assert lying(kept) == []


async def test_whatever_breaks_ends_it(kept: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("of patient Doe")

    one = await asked(kept, format="csv")
    monkeypatch.setattr(dataset_files, "batches", broken)
    with pytest.raises(HilumError, match="internal error: RuntimeError"):
        await run(kept, "export", export.run)
    shown = await kept.hub.services().exports.show(kept.act("export.read"), one.id)
    assert (shown.status, shown.error["reason"]) == ("failed", "internal error: RuntimeError")
    assert lying(kept) == []


async def test_an_archived_data_set_is_not_exported(kept: Any) -> None:
    one = await asked(kept, format="csv")
    (there,), _ = await kept.hub.services().datasets.list(kept.act("dataset.list").scope, None, 0, 1)
    await kept.hub.services().datasets.archive(kept.act("dataset.archive"), there.id)
    with pytest.raises(HilumError, match="there is no"):
        await run(kept, "export", export.run)
    shown = await kept.hub.services().exports.show(kept.act("export.read"), one.id)
    assert shown.status == "failed"


async def test_a_changed_source_file_is_not_exported(kept: Any) -> None:
    one = await asked(kept, format="csv")
    (file,) = (kept.hub.settings.data / "datasets").rglob("*.sealed")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(HilumError):
        await run(kept, "export", export.run)
    assert lying(kept) == []
    shown = await kept.hub.services().exports.show(kept.act("export.read"), one.id)
    assert shown.status == "failed"
    assert "changed" in shown.error["reason"]
