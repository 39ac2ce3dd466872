"""A backup of a running hub is whole, encrypted and checked; what is restored is the same hub in a new life."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import io
import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tarfile
import textwrap
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pyrage
import pytest

from hilum import __version__
from hilum.errors import ConfigError, Conflict, StoreError
from hilum.model.delivery import Attempt, DeliveryState, Pending, Settled
from hilum.model.message import Disposition, Message, NewMessage
from hilum.security.keyring import Keyring
from hilum.services.backup import KEYS, Report, create, restore
from hilum.store import Store, configuration, deliveries, jobs, messages, migrate, snapshot

pytestmark = pytest.mark.anyio
CANARY = b"Zaunkoenig"


class Site:
    """A hub's data folder with an open store, and the recovery key that its operator keeps."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.keyring, self.recovery = Keyring.create(folder / KEYS)
        self.store = Store(folder, self.keyring)

    async def fill(self, count: int = 60) -> None:
        """Messages in all states, with all that may hang on one."""
        store = self.store
        owner = await store.write(configuration.put_organization, "demo", {"environment": "test"})
        await store.write(configuration.put_endpoint, owner, "lab/out", "outbound", {"url": "mllp://127.0.0.1:1"})
        await store.write(configuration.put_route, owner, "a", {"route": {"from": "in/x"}}, "file")
        await store.write(jobs.insert, "retention", {}, actor="test")
        for number in range(count):
            new = await store.append(message(str(number), deliveries=[delivery(), delivery(keep=True)]))
            first, second = new.deliveries
            tried = [Attempt(first.id, 1, 5, 5, "transient", "AE")]
            done = [Settled(first.id, 2, new.id, DeliveryState.DELIVERED, 2, 9, "AA")] if number % 3 else []
            await store.settle(done, tried, {2: (0, len(done), 0)}, ())
            if number % 7 == 0:
                await store.write(deliveries.park, [second])


def message(name: str, body: bytes = b"", **values: Any) -> NewMessage:
    body = body or CANARY + name.encode() * 50
    key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:6], "big") | 1
    values = {"note": "n", "attributes": {"file": name}, "keys": (key,), **values}
    digest = hashlib.sha256(body).digest()
    return NewMessage(1, 1, 5, Disposition.DELIVERING, "AA", "ADT^A01", name, body, digest, **values)


def delivery(**values: Any) -> Pending:
    return Pending(
        **{"destination": 2, "route": 1, "ordinal": 0, "lane": 0, "shard": 7, "digest": 1, "body": b"made", **values}
    )


def keys_again(found: Message) -> list[int]:
    return list(message(found.control_id).keys)


async def start(folder: Path) -> Store:
    return await Store(folder, Keyring.load(folder / KEYS)).open(keys_again)


def tables(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of a store that nobody has open."""
    connection = sqlite3.connect(path)
    try:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: sorted(connection.execute(f"SELECT * FROM {name}").fetchall(), key=repr) for name in names}
    finally:
        connection.close()


def content(path: Path) -> bytes:
    return path.read_bytes()


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def names(folder: Path) -> list[str]:
    return sorted(one.name for one in folder.iterdir())


def left(folder: Path) -> list[str]:
    """What a restore that failed has left behind."""
    return sorted(one.name for one in folder.iterdir() if one.name != "hub.lock") if folder.exists() else []


@pytest.fixture
async def site(tmp_path: Path, anyio_backend: object) -> AsyncIterator[Site]:
    made = Site(tmp_path / "data")
    await made.store.open(keys_again)
    yield made
    with contextlib.suppress(StoreError):  # the test has closed it already
        await made.store.close()


@pytest.fixture
async def archive(site: Site, tmp_path: Path) -> Path:
    """A backup of a filled hub."""
    await site.fill()
    await create(site.store, tmp_path / "hub.age")
    return tmp_path / "hub.age"


@pytest.mark.ledger_part("S0-66", "a restore has the row counts and the newest message's body hash of the backup")
@pytest.mark.ledger_part("S1-05", "restore into an empty instance reproduces the snapshot (diff = 0)")
async def test_a_restored_hub_has_every_row(site: Site, archive: Path, tmp_path: Path) -> None:
    await site.store.close()
    before = tables(site.store.database.path)
    report = await restore(archive, site.recovery, tmp_path / "new", verify=True)
    after = tables(tmp_path / "new" / "hub.db")
    counts = {name: len(rows) for name, rows in before.items() if name != "alembic_version"}
    assert counts == {**report.rows, "tally": counts["tally"], "setting": counts["setting"]}, "closing saves counts"
    assert before.keys() == after.keys()
    differ = {name for name in before if before[name] != after[name]}
    assert differ <= {"setting", "shard", "tally"}, "a new life begins behind the old one's ids; nothing else differs"
    newest = max(before["message"])
    assert (report.newest, report.body_hash) == (newest[0], newest[9].hex())
    assert report.opened == len(before["body"]) == 60
    scripts = Path(migrate.__file__).parent / "migrations" / "versions"
    assert (report.hilum, report.schema) == (__version__, max(one.name[1:5] for one in scripts.glob("v*.py")))
    keys = (tmp_path / "new" / KEYS, site.folder / KEYS)
    assert keys[0].read_bytes() == keys[1].read_bytes()
    assert left(tmp_path / "new") == ["hub.db", "hub.key"]
    assert {one.stat().st_mode & 0o777 for one in (tmp_path / "new").iterdir()} == {0o600}


async def test_a_backup_under_load_is_of_one_moment(site: Site, tmp_path: Path) -> None:
    """Whatever is committed while it is written: no delivery without its message, no message without its body."""
    noise = random.Random(1)
    going = True

    async def produce(producer: int) -> None:
        number = 0
        while going:
            number += 1
            await site.store.append(message(f"{producer}-{number}", noise.randbytes(3_000), deliveries=[delivery()]))

    for n in range(200):
        await site.store.append(message(f"first {n}", noise.randbytes(20_000)))
    producers = [asyncio.create_task(produce(one)) for one in range(4)]
    reports: list[Report] = []
    for n in range(3):
        reports.append(await create(site.store, tmp_path / f"{n}.age"))
    going = False
    await asyncio.gather(*producers)
    counts = [one.rows["message"] for one in reports]
    assert counts == sorted(counts)
    assert counts[0] < counts[2], "work went on meanwhile"
    for n, made in enumerate(reports):
        restored = await restore(tmp_path / f"{n}.age", site.recovery, tmp_path / f"new {n}", verify=True)
        assert restored.rows == made.rows
        assert restored.opened == made.rows["body"] == made.rows["message"] == made.newest
        found = tables(tmp_path / f"new {n}" / "hub.db")
        assert {row[1] for row in found["delivery"]} <= {row[0] for row in found["message"]}
    assert not (site.folder / "backup-copy.db").exists()


async def test_a_restored_hub_goes_on(site: Site, archive: Path, tmp_path: Path) -> None:
    lost = await site.store.append(message("after the backup", deliveries=[delivery()]))
    site.store.mark.add(1)  # of delivery 1, in the old life
    await restore(archive, site.recovery, tmp_path / "new")
    shutil.copy(site.folder / "hub.mark", tmp_path / "new" / "hub.mark")
    store = await start(tmp_path / "new")
    assert (await store.read(deliveries.states, [1]))[1] is DeliveryState.PENDING, "the old life's mark is not believed"
    assert await store.read(messages.find, 1, uuid.UUID(lost.uuid)) is None
    new = await store.append(message("new", deliveries=[delivery(), delivery(shard=8)]))
    assert new.id > lost.id + snapshot.STEP // 2, "no id is given out twice"
    assert new.deliveries[0].id > lost.deliveries[0].id + snapshot.STEP // 2
    positions = {one.shard: one.position for one in await store.read(deliveries.of_message, new.deliveries[0].id, 2)}
    assert positions == {7: 121, 8: 1}, "positions go on without a gap"
    waiting = await store.read(deliveries.pending, 2, 0, 1_000)
    parked = await store.read(deliveries.parked_lanes, 2)
    assert len(waiting) + sum(parked.values()) == 20 + 60 + 2, "what waited when it was backed up waits again"
    for name in ("0", "59", "new"):
        (found,) = await store.keys.find(message(name).keys[0])
        assert (await store.read(messages.by_ids, [found]))[0].control_id == name
    assert sum(store.tallies.received.values()) == 61
    await store.close()
    again = await start(tmp_path / "new")
    later = await again.append(message("later"))
    assert later.id == new.id + 1
    await again.close()


async def test_a_restored_hub_can_be_backed_up_and_restored_again(site: Site, archive: Path, tmp_path: Path) -> None:
    await restore(archive, site.recovery, tmp_path / "second")
    store = await start(tmp_path / "second")
    new = await store.append(message("new"))
    await create(store, tmp_path / "second.age")
    await store.close()
    report = await restore(tmp_path / "second.age", site.recovery, tmp_path / "third", verify=True)
    assert report.newest == new.id
    third = await start(tmp_path / "third")
    assert (await third.append(message("x"))).id > new.id + snapshot.STEP // 2
    await third.close()


@pytest.mark.ledger_part("S0-66", "the backup is encrypted; the hub's own keys do not open it")
async def test_only_the_recovery_key_opens_an_archive(site: Site, archive: Path, tmp_path: Path) -> None:
    sealed = content(archive)
    assert sealed.startswith(b"age-encryption.org/v1\n")
    for known in (CANARY, b"SQLite format", b"hub.key", b"manifest", *(key for key in site.keyring.masters.values())):
        assert known not in sealed
    assert mode(archive) == 0o600
    other = str(pyrage.x25519.Identity.generate())
    with pytest.raises(ConfigError, match="does not open"):
        await restore(archive, other, tmp_path / "new")
    for nonsense in ("", "secret", site.keyring.recipient, site.recovery[:-1]):
        with pytest.raises(ConfigError, match="no recovery key"):
            await restore(archive, nonsense, tmp_path / "new")
    assert left(tmp_path / "new") == []
    report = await restore(archive, f" {site.recovery}\n", tmp_path / "new")
    assert report.opened == 0


async def test_an_archive_that_was_cut_short_is_refused(site: Site, archive: Path, tmp_path: Path) -> None:
    whole = content(archive)
    ends = [0, 1, 20, 150, 200, 300, *range(400, len(whole), len(whole) // 6), len(whole) - 17, len(whole) - 1]
    for end in ends:
        (tmp_path / "cut.age").write_bytes(whole[:end])
        with pytest.raises(StoreError, match=r"damaged|no backup"):
            await restore(tmp_path / "cut.age", site.recovery, tmp_path / "new", verify=True)
        assert left(tmp_path / "new") == [], end


async def test_an_archive_that_was_changed_is_refused(site: Site, archive: Path, tmp_path: Path) -> None:
    changing = bytearray(content(archive))
    for place in [30, 120, *range(300, len(changing), len(changing) // 8)]:
        changing[place] ^= 0x20
        (tmp_path / "changed.age").write_bytes(changing)
        changing[place] ^= 0x20
        with pytest.raises((StoreError, ConfigError), match=r"damaged|no backup|does not open"):
            await restore(tmp_path / "changed.age", site.recovery, tmp_path / "new")
        assert left(tmp_path / "new") == []
    (tmp_path / "longer.age").write_bytes(changing + b"x")
    with pytest.raises(StoreError, match="damaged"):
        await restore(tmp_path / "longer.age", site.recovery, tmp_path / "new")


def sealed(site: Site, members: dict[str, bytes], path: Path) -> Path:
    """An archive that someone else made for this hub, who has its public key alone."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    path.write_bytes(pyrage.encrypt(plain.getvalue(), [pyrage.x25519.Recipient.from_str(site.keyring.recipient)]))
    return path


def members(archive: Path, recovery: str) -> dict[str, bytes]:
    plain = pyrage.decrypt(archive.read_bytes(), [pyrage.x25519.Identity.from_str(recovery)])
    with tarfile.open(fileobj=io.BytesIO(plain)) as tar:
        return {one.name: tar.extractfile(one).read() for one in tar}  # type: ignore[union-attr]  # all are files


def changed(name: str, change: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, bytes]], dict[str, bytes]]:
    def apply(found: dict[str, bytes]) -> dict[str, bytes]:
        document = json.loads(found[name])
        change(document)
        return {**found, name: json.dumps(document).encode()}

    return apply


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda found: {**found, "../escaped": b"x"}, "holds ../escaped, which no backup has"),
        (lambda found: {**found, "hub.mark": b"x"}, "holds hub.mark, which no backup has"),
        (lambda found: {"hub.db": found["hub.db"], "hub.key": found["hub.key"]}, "is no backup"),
        (lambda found: {"manifest.json": b"{}"}, "is no backup"),
        (lambda found: {}, "is no backup"),
        (lambda found: {**found, "hub.db": found["hub.db"][:-4096]}, "not hold what its manifest says"),
        (lambda found: {**found, "hub.key": found["hub.key"] + b" "}, "not hold what its manifest says"),
        (changed("manifest.json", lambda one: one["rows"].update(message=3)), "not hold what its manifest says"),
        (changed("manifest.json", lambda one: one.update(body_hash="00")), "not hold what its manifest says"),
        (changed("manifest.json", lambda one: one.update(format=2)), "which is newer"),
        (changed("manifest.json", lambda one: one.pop("files")), "is no backup"),
    ],
    ids=["path", "mark", "no manifest", "only manifest", "nothing", "store", "keys", "rows", "hash", "format", "files"],
)  # fmt: skip
async def test_an_archive_must_hold_what_its_manifest_says(
    site: Site, archive: Path, tmp_path: Path, change: Any, reason: str
) -> None:
    other = sealed(site, change(members(archive, site.recovery)), tmp_path / "other.age")
    with pytest.raises(StoreError, match=reason):
        await restore(other, site.recovery, tmp_path / "new")
    assert left(tmp_path / "new") == []
    assert not (tmp_path / "escaped").exists()


async def test_what_is_no_archive_is_refused(site: Site, tmp_path: Path) -> None:
    recipient = [pyrage.x25519.Recipient.from_str(site.keyring.recipient)]
    (tmp_path / "text").write_bytes(b"hello " * 1_000)
    (tmp_path / "no tar").write_bytes(pyrage.encrypt(b"hello " * 100_000, recipient))
    (tmp_path / "empty").write_bytes(pyrage.encrypt(b"", recipient))
    for name in ("text", "no tar", "empty"):
        with pytest.raises(StoreError, match=r"damaged|no backup"):
            await restore(tmp_path / name, site.recovery, tmp_path / "new")
    with pytest.raises(ConfigError, match="No such file"):
        await restore(tmp_path / "absent.age", site.recovery, tmp_path / "new")
    with pytest.raises(ConfigError, match="Is a directory"):
        await restore(tmp_path, site.recovery, tmp_path / "new")
    assert left(tmp_path / "new") == []


async def test_a_store_of_a_newer_hilum_is_not_restored(site: Site, tmp_path: Path) -> None:
    await site.store.write(lambda one: one.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'"))
    await create(site.store, tmp_path / "hub.age")
    with pytest.raises(StoreError, match="schema 9999, which a newer Hilum made"):
        await restore(tmp_path / "hub.age", site.recovery, tmp_path / "new")
    assert left(tmp_path / "new") == []


@pytest.mark.ledger_part("S0-66", "restore --verify opens every body and compares its hash")
@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        ("UPDATE body SET sealed = (SELECT sealed FROM body WHERE message = 4) WHERE message = 9", "changed or moved"),
        ("UPDATE message SET body_hash = zeroblob(32) WHERE id = 9", "the body of message 9 is not what was received"),
        ("UPDATE message SET note = (SELECT note FROM message WHERE id = 4) WHERE id = 9", "changed or moved"),
        ("UPDATE attempt SET detail = x'0101' || zeroblob(60) WHERE id = 9", "a key that this data"),
        ("UPDATE delivery SET sealed = zeroblob(60) WHERE id = 10", "a key that this data"),
    ],
    ids=["moved", "hash", "note", "attempt", "delivery"],
)
async def test_verifying_finds_what_a_checksum_cannot(site: Site, tmp_path: Path, damage: str, reason: str) -> None:
    """The store was damaged before it was backed up: the archive is whole, its content is not."""
    await site.fill(12)
    await site.store.write(lambda connection: connection.exec_driver_sql(damage))
    await create(site.store, tmp_path / "hub.age")
    with pytest.raises(StoreError, match=reason):
        await restore(tmp_path / "hub.age", site.recovery, tmp_path / "new", verify=True)
    assert left(tmp_path / "new") == []
    await restore(tmp_path / "hub.age", site.recovery, tmp_path / "new")


async def test_only_an_empty_folder_is_restored_into(site: Site, archive: Path, tmp_path: Path) -> None:
    with pytest.raises(Conflict, match="is not empty"):
        await restore(archive, site.recovery, site.folder)
    new = tmp_path / "new"
    for name in ("hub.db", "notes.txt", ".hidden"):
        new.mkdir()
        (new / name).write_text("mine")
        with pytest.raises(Conflict, match="is not empty"):
            await restore(archive, site.recovery, new)
        assert (new / name).read_text() == "mine"
        shutil.rmtree(new)
    (new / "restoring").mkdir(parents=True)  # an earlier one was killed
    (new / "restoring" / "hub.db").write_text("half")
    (new / "hub.lock").touch()
    await restore(archive, site.recovery, new)
    assert left(new) == ["hub.db", "hub.key"]


async def test_an_older_archive_is_replaced_by_a_whole_one(site: Site, tmp_path: Path) -> None:
    target = tmp_path / "hub.age"
    target.write_text("yesterday's")
    (site.folder / "backup-copy.db").write_text("an earlier one was killed")
    (tmp_path / "hub.age.partial").write_text("likewise")
    shares: list[float] = []
    report = await create(site.store, target, shares.append)
    await asyncio.sleep(0)
    assert report.size == target.stat().st_size
    assert shares == sorted(shares)
    assert (shares[0] >= 0, shares[-1]) == (True, 1.0)
    assert names(tmp_path) == ["data", "hub.age"]
    assert not (site.folder / "backup-copy.db").exists()
    with pytest.raises(ConfigError, match="not a file in a folder that exists"):
        await create(site.store, tmp_path / "no" / "hub.age")
    with pytest.raises(ConfigError, match="not a file in a folder that exists"):
        await create(site.store, site.folder)


async def test_one_backup_at_a_time(site: Site, tmp_path: Path) -> None:
    descriptor = os.open(site.folder, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    with pytest.raises(Conflict, match="another backup"):
        await create(site.store, tmp_path / "hub.age")
    os.close(descriptor)
    await create(site.store, tmp_path / "hub.age")


async def test_without_the_keys_there_is_no_backup(site: Site, tmp_path: Path) -> None:
    (site.folder / KEYS).unlink()
    with pytest.raises(ConfigError, match=r"hub\.key"):
        await create(site.store, tmp_path / "hub.age")
    assert names(tmp_path) == ["data"]


LIMITED = """
    import asyncio, pathlib, resource, signal, sys
    from hilum.errors import HilumError
    from hilum.security.keyring import Keyring
    from hilum.services.backup import create, restore
    from hilum.store import Store

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    folder, what, limit, recovery = pathlib.Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]

    async def main():
        store = await Store(folder / "data", Keyring.load(folder / "data" / "hub.key")).open(lambda message: ())
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        try:
            if what == "create":
                await create(store, folder / "hub.age")
            else:
                await restore(folder / "hub.age", recovery, folder / "new")
        except HilumError as error:
            print(type(error).__name__)
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        await store.close()

    asyncio.run(main())
"""


@pytest.mark.parametrize("limited", ["the copy", "the archive", "the restore"])
async def test_a_disk_that_is_too_small(site: Site, archive: Path, tmp_path: Path, limited: str) -> None:
    """In a process of its own, where the kernel refuses to let files grow behind a limit."""
    await site.store.close()
    before = content(archive)
    size = site.store.database.path.stat().st_size
    what, limit = {
        "the copy": ("create", size // 2), "the archive": ("create", size + 512), "the restore": ("restore", size // 2),
    }[limited]  # fmt: skip
    command = [sys.executable, "-c", textwrap.dedent(LIMITED), str(tmp_path), what, str(limit), site.recovery]
    run = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split()[-1] in {"StoreFull", "StoreError", "ConfigError"}
    assert content(archive) == before, "the older archive is still there"
    assert left(tmp_path / "new") == []
    assert set(names(tmp_path)) - {"new"} == {"data", "hub.age"}
    assert not (site.folder / "backup-copy.db").exists()


async def test_memory_stays_small_however_big_the_store_is(tmp_path: Path) -> None:
    code = """
        import asyncio, pathlib, random, resource, sys
        from hilum.model.message import Disposition, NewMessage
        from hilum.security.keyring import Keyring
        from hilum.services.backup import create, restore
        from hilum.store import Store

        folder = pathlib.Path(sys.argv[1])
        noise = random.Random(1)
        peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1 if sys.platform == "linux" else 1024)

        async def main():
            (folder / "data").mkdir()
            keyring, recovery = Keyring.create(folder / "data" / "hub.key")
            store = await Store(folder / "data", keyring).open(lambda message: ())
            for _ in range(160):
                await store.append(NewMessage(1, 1, 1, Disposition.FILTERED, "", "", "", noise.randbytes(1 << 20), b""))
            before = peak()
            report = await create(store, folder / "hub.age")
            await store.close()
            await restore(folder / "hub.age", recovery, folder / "new")
            print(report.size >> 20, (peak() - before) >> 10)

        asyncio.run(main())
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)]
    run = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=100, check=False)
    assert run.returncode == 0, run.stderr
    size, grown = map(int, run.stdout.split()[-2:])
    assert size >= 160
    assert grown < 40, "megabytes"
