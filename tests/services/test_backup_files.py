"""The files that rows name, archives and exports about a person, are in a backup of the embedded store."""

from __future__ import annotations

import dataclasses
import io
import sqlite3
import tarfile
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pyrage
import pytest

from hilum.errors import StoreError
from hilum.security.keyring import Keyring
from hilum.services.backup import KEYS, create, restore
from hilum.store import Store, archives, configuration, files, organizations, snapshot

pytestmark = pytest.mark.anyio


@dataclasses.dataclass
class Site:
    """A data folder with an open store of one organization, and the recovery key."""

    folder: Path
    keyring: Keyring
    recovery: str
    store: Store


@pytest.fixture
async def site(tmp_path: Path, anyio_backend: object) -> AsyncIterator[Site]:
    folder = tmp_path / "data"
    folder.mkdir()
    keyring, recovery = Keyring.create(folder / KEYS)
    store = await Store(folder, keyring).open(lambda message: ())
    await store.write(configuration.put_organization, "demo", {})
    yield Site(folder, keyring, recovery, store)
    await store.close()


def left(folder: Path) -> list[str]:
    """What a restore has left behind."""
    return sorted(one.name for one in folder.iterdir() if one.name != "hub.lock") if folder.exists() else []


def sealed(site: Site, members: dict[str, bytes], path: Path) -> Path:
    """A backup that someone else made for this hub."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    path.write_bytes(pyrage.encrypt(plain.getvalue(), [pyrage.x25519.Recipient.from_str(site.keyring.recipient)]))
    return path


def members(backup: Path, recovery: str) -> dict[str, bytes]:
    plain = pyrage.decrypt(backup.read_bytes(), [pyrage.x25519.Identity.from_str(recovery)])
    with tarfile.open(fileobj=io.BytesIO(plain)) as tar:
        return {one.name: tar.extractfile(one).read() for one in tar}  # type: ignore[union-attr]  # all are files


async def filed(site: Site, content: bytes) -> str:
    """An archive of bodies with this content; its place in the data folder."""
    identifier = uuid.uuid4()
    owner = await site.store.read(organizations.get, 1)
    path = files.path_of(site.folder, files.ARCHIVES, owner.uuid, identifier)
    with files.written(path) as file:
        file.write(content)
    size, sha256 = files.digest(path)
    made = archives.Written(identifier, 1, 2, size, sha256, b"key", 1, {1: ()})
    await site.store.write(archives.add, 1, made)
    return path.relative_to(site.folder).as_posix()


@pytest.mark.ledger_part("S0-66", "archives of bodies and exports about a person are in the backup, compared by hash")
async def test_the_files_that_rows_name_are_in_the_backup(site: Site, tmp_path: Path) -> None:
    name = await filed(site, b"sealed" * 100_000)
    (site.folder / name).with_name("of no row.sealed").write_bytes(b"x")
    assert (await create(site.store, tmp_path / "hub.age")).files == 1
    report = await restore(tmp_path / "hub.age", site.recovery, tmp_path / "new", verify=True)
    assert (report.files, report.missing) == (1, ())
    assert left(tmp_path / "new") == ["archive", "hub.db", "hub.key"]
    assert (tmp_path / "new" / name).read_bytes() == (site.folder / name).read_bytes()
    assert (tmp_path / "new" / name).stat().st_mode & 0o777 == 0o600
    assert len(list((tmp_path / "new" / name).parent.iterdir())) == 1, "only what a row names"

    whole = members(tmp_path / "hub.age", site.recovery)
    for change in ({name: b"other"}, {name.replace("archive", "exports"): b"x"}):
        other = sealed(site, {**whole, **change}, tmp_path / "other.age")
        with pytest.raises(StoreError, match="not hold what its manifest says"):
            await restore(other, site.recovery, tmp_path / "damaged")
        assert left(tmp_path / "damaged") == []
    silent = sealed(site, {one: held for one, held in whole.items() if one != name}, tmp_path / "silent.age")
    with pytest.raises(StoreError, match="not hold what its manifest says"):
        await restore(silent, site.recovery, tmp_path / "damaged")


async def test_a_lost_file_does_not_keep_the_rest_from_being_backed_up(site: Site, tmp_path: Path) -> None:
    """It may also have been removed right after the copy of the store was taken."""
    name = await filed(site, b"sealed")
    (site.folder / name).unlink()
    assert (await create(site.store, tmp_path / "hub.age")).missing == (name,)
    report = await restore(tmp_path / "hub.age", site.recovery, tmp_path / "new", verify=True)
    assert (report.files, report.missing, report.rows["archive"]) == (0, (name,), 1)


async def test_a_backup_of_before_there_were_archives_is_restored(site: Site, tmp_path: Path) -> None:
    await create(site.store, tmp_path / "hub.age")
    whole = members(tmp_path / "hub.age", site.recovery)
    older = tmp_path / "older.db"
    older.write_bytes(whole["hub.db"])
    connection = sqlite3.connect(older)
    for table in ("archived", "archive", "subject_export"):
        connection.execute(f"DROP TABLE IF EXISTS {table}")
    connection.close()
    assert snapshot.beside(older) == {}
