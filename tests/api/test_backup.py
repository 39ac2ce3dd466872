"""A backup of a running hub over the local API."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hilum.services.backup import restore
from hilum.store import messages

pytestmark = pytest.mark.anyio
Make = Callable[..., bytes]


async def test_a_running_hub_is_backed_up_while_it_works(running: Any, message: Make, tmp_path: Path) -> None:
    await running.send(message("C1"), message("C2"))
    await running.settled("delivered", "delivered")
    target = tmp_path / "hub.age"
    report = await running.post("/backup", target=str(target))
    assert (report["archive"], report["rows"]["message"]) == (str(target), 2)
    assert report["size"] == target.stat().st_size
    assert await running.send(message("C3")) == ["AA"]
    again = await restore(target, running.hub.recovery_key, tmp_path / "again", verify=True)
    assert (again.rows["message"], again.opened) == (2, 2)
    assert await running.hub.store.read(messages.matching, 1, messages.Filter(), 10) == [1, 2, 3]


@pytest.mark.parametrize(("target", "field"), [("here.age", "target"), ("{folder}/nowhere/hub.age", None)])
async def test_a_target_that_cannot_be_is_refused(running: Any, tmp_path: Path, target: str, field: str | None) -> None:
    refused = await running.post("/backup", 400, target=target.format(folder=tmp_path))
    assert (refused["error"]["code"], refused["error"]["field"]) == ("INT002", field)
