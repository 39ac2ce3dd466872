"""What goes when, what is archived and its way back, from the command line."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hilum.app import Hub
from hilum.jobs import Context, retention
from hilum.model.retention import CLASSES
from hilum.settings import Settings
from hilum.store import archives

Call = Callable[..., Any]
DAY = 86_400_000_000


@pytest.fixture
def old(call: Call, hub: Any, adt: Callable[..., bytes], tmp_path: Path) -> Any:
    """The folder of a hub that no longer runs; its two messages are a hundred days old."""
    (tmp_path / "two.hl7").write_bytes(adt("A") + adt("B", "4712"))
    assert call("send", tmp_path / "two.hl7", "--to", f"mllp://127.0.0.1:{hub.inbound}").code == 0
    hub.process.end()
    connection = sqlite3.connect(hub.data / "hub.db")
    with connection:
        connection.execute("UPDATE message SET received_at = received_at - ?", (100 * DAY,))
        connection.execute("UPDATE delivery SET state = 1")
        connection.execute("UPDATE organization SET settings = '{\"archive_bodies\": true}'")
    connection.close()
    return hub


async def purge(folder: Path) -> str:
    """As the hub does every hour; the archive that it made."""
    hub = Hub(Settings(data=folder, http=None))
    await hub.open()
    try:
        await retention.run(Context(hub.store, None, {}, vault=hub.vault), None)  # type: ignore[arg-type]  # no engine
        (one,) = await hub.store.read(archives.there, 1)
        return str(one.uuid)
    finally:
        await hub.close()


def test_what_would_go_is_counted(call: Call, old: Any) -> None:
    shown = call("retention", "preview", "--data", old.data)
    assert (shown.code, shown.err) == (0, "")
    assert ["bodies", "2", "0"] in [line.split()[:3] for line in shown.out.splitlines()]
    assert "2 of the bodies would be archived first" in shown.out
    found = call("retention", "preview", "--data", old.data, "--json").json
    assert {one["kind"] for one in found["classes"]} == set(CLASSES)
    for name in ("integration log", "test results", "sessions"):
        assert name in shown.out
    assert "There is no archive." in call("archives", "list", "--data", old.data).out


def test_how_long_a_class_is_kept_is_seen_and_changed(call: Call, old: Any) -> None:
    shown = call("retention", "policies", "--data", old.data)
    (line,) = [one for one in shown.out.splitlines() if one.startswith("integration_logs")]
    assert line.split()[1:7] == ["7", "years", "7", "years", "7", "years"]
    changed = call("retention", "keep", "integration_logs", "10", "--reason", "our law", "--data", old.data)
    assert (changed.code, changed.out.strip()) == (0, "Lines of the integration log are kept for 10 years.")
    found = {one["kind"]: one["keep"] for one in call("retention", "policies", "--data", old.data, "--json").json}
    assert (found["integration_logs"], found["executions"]) == (10, 7)
    for words, reason in (
        (("integration_logs", 5), "at least 7 years, not 5"),
        (("bodies", 5), "the configuration says it"),
        (("nothing", 5), "there is no class nothing"),
    ):
        refused = call("retention", "keep", *words, "--reason", "less", "--data", old.data)
        assert (refused.code, reason in refused.err) == (1, True), refused.err


@pytest.mark.anyio
async def test_an_archive_is_listed_and_verified(call: Call, old: Any) -> None:
    archive = await purge(old.data)

    def ask(*words: object) -> Any:
        return asyncio.to_thread(call, *words, "--data", old.data)

    assert archive in (await ask("archives", "list")).out
    (one,) = (await ask("archives", "list", "--json")).json["items"]
    assert (one["id"], one["messages"]) == (archive, 2)
    verified = await ask("archives", "verify", archive)
    assert (verified.code, "2 bodies opened" in verified.out) == (0, True)
    asked = await ask("archives", "restore", archive, "--reason", "claim 17")
    assert (asked.code, "It will be done" in asked.out) == (0, True)
    message = (await ask("messages", "list", "--json")).json["items"][0]["id"]
    shown = await ask("messages", "show", message)
    assert f"hilum archives restore {archive}" in shown.out
    (file,) = (old.data / "archive").rglob("*.sealed")
    file.write_bytes(file.read_bytes()[:-1])
    broken = await ask("archives", "verify", archive)
    assert (broken.code, f"archive {archive} is not what was written" in broken.err) == (1, True)
    assert (await ask("archives", "verify", archive, "--json")).json["intact"] is False
