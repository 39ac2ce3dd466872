"""Makes the file of an export: whole, sealed, or not there at all.

More than one file leaves as a ZIP. What was asked for encrypted is encrypted when it is whole; its bytes before that
are the same whenever the same is asked for.
"""

from __future__ import annotations

import asyncio
import gzip
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path

from hilum import clock
from hilum.exporting import bulk, data, package, pages, protect
from hilum.exporting.data import Written as Done
from hilum.exporting.means import Means, Watch
from hilum.exporting.parts import ZIP, Made, Parts
from hilum.exporting.protect import Plain
from hilum.model.export import ExportKind, Protection
from hilum.security.sealed_file import new_key
from hilum.store import Store, dataset_files, exports, files, organizations
from hilum.store.exports import Export, Written

_WARNINGS = 100  # that are kept
_PIECE = 1 << 20
Maker = Callable[[Means, Export, Parts, Watch], Awaitable[Done]]
MAKERS: Mapping[str, Maker] = {
    ExportKind.DATA: data.make, ExportKind.BULK: bulk.make, ExportKind.PACKAGE: package.make,
    ExportKind.REPORT: pages.make, ExportKind.DASHBOARD: pages.make,
}  # fmt: skip
"""By kind: what writes an export's files."""


async def make(means: Means, one: Export, watch: Watch) -> Written:
    """Raises HilumError, OSError; Conflict where nobody wants it any more. Then nothing is left of it."""
    owner = (await means.store.within(one.organization).read(organizations.get, one.organization)).uuid
    target, bound = place(means.store.folder, owner, one), exports.bound(one.organization, one.uuid)
    parts = Parts(target, bound, one.created_at)
    await asyncio.to_thread(_tidy, target)
    try:
        done = await MAKERS[one.kind](means, one, parts, watch)
        compress = one.definition.get("compress")
        packed, name = done.packed or compress == "zip", f"{Path(one.file).stem}.zip"
        made = await asyncio.to_thread(parts.finish, done.media_type, name, packed=packed)
        if compress == "gzip" and made.media_type != ZIP:  # several files are compressed as it is
            made = await asyncio.to_thread(_gzipped, target, bound, made)
        if (wanted := one.definition.get("protect")) is not None:
            protection = Protection.model_validate(wanted)
            password = ""
            if protection.password is not None:
                password = await means.secret(one.organization, one.study, protection.password)
            done.facts["plain"] = {"name": made.name, "bytes": made.size, "sha256": made.sha256.hex()}
            done.facts["encryption"] = {"kind": protection.kind, "recipients": len(protection.recipients)}
            made = await asyncio.to_thread(_protected, target, bound, made, protection, password, one.created_at)
    except BaseException:
        await asyncio.to_thread(parts.remove)
        raise
    sealed, number = await means.vault.seal(exports.key_place(one.organization, one.uuid), made.key)
    warnings = list(dict.fromkeys(done.warnings))[:_WARNINGS]
    return Written(
        made.size, made.sha256, sealed, number, done.rows, done.aside, made.name, made.media_type, warnings, done.facts
    )


async def pieces(means: Means, one: Export, made: Written, watch: Watch) -> AsyncIterator[bytes]:
    """The file that was made, for who sends it on. Raises StoreError, OSError, Conflict (nobody wants it any more)."""
    owner = (await means.store.within(one.organization).read(organizations.get, one.organization)).uuid
    key = await means.vault.open(exports.key_place(one.organization, one.uuid), made.sealed)
    bound = exports.bound(one.organization, one.uuid)
    with dataset_files.opened(place(means.store.folder, owner, one), key, bound) as stream:
        while piece := await asyncio.to_thread(stream.read, _PIECE):
            watch.check()
            yield piece


async def remove(store: Store, one: Export) -> None:
    """The file that was made is not wanted after all."""
    owner = (await store.within(one.organization).read(organizations.get, one.organization)).uuid
    await asyncio.to_thread(files.remove, place(store.folder, owner, one))


def _tidy(target: Path) -> None:
    """What a try that was killed has left."""
    for path in target.parent.glob(f"{target.name}.*{files.PARTIAL}"):
        path.unlink(missing_ok=True)


def place(folder: Path, owner: uuid.UUID, one: Export) -> Path:
    """Where its file lies."""
    return files.path_of(folder, files.PACKAGES, owner, one.uuid)


def _gzipped(target: Path, bound: bytes, made: Made) -> Made:
    """The file, smaller, in the place of what it was made of; no time stands in it (RFC 1952)."""
    key = new_key()
    with dataset_files.opened(target, made.key, bound) as stream, dataset_files.written(target, key, bound) as sealed:
        counted = dataset_files.Counted(sealed)
        with gzip.GzipFile("", "wb", fileobj=counted, mtime=0) as packer:
            while piece := stream.read(_PIECE):
                packer.write(piece)
    return Made(key, counted.size, counted.sha256.digest(), f"{made.name}.gz", "application/gzip")


def _protected(
    target: Path, bound: bytes, made: Made, protection: Protection, password: str, created: int
) -> Made:  # fmt: skip
    """The file, encrypted, in the place of what it was made of."""
    key, name = new_key(), f"{made.name}{protect.SUFFIXES[protection.kind]}"
    with dataset_files.opened(target, made.key, bound) as stream, dataset_files.written(target, key, bound) as sealed:
        counted = dataset_files.Counted(sealed)
        pieces = iter(lambda: stream.read(_PIECE), b"")
        plain = Plain(made.name, clock.from_micros(created), made.size, pieces)
        protect.encrypt(protection, password, plain, counted)
    return Made(key, counted.size, counted.sha256.digest(), name, protect.MEDIA_TYPES[protection.kind])
