"""Verifies a regulatory package that somebody was given: needs the file alone, no hub and no network.

Its files are those of the manifest, the manifest is sealed, the data have the rows and variables that it says, and
Define-XML describes them. With the signature that released it: that is of this very file, by the key that the manifest
names. Data files are unpacked for it, one after the other, into a temporary folder that its caller alone may read.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from hilum.errors import DataError, FormatError, HilumError
from hilum.exporting import checks
from hilum.formats import define, submission
from hilum.formats.submission import Problem
from hilum.sdk import table_formats
from hilum.sdk.config import read
from hilum.security.chain import PublicKey
from hilum.security.signing import broken, digest, key_id
from hilum.store.files import private

_PIECE = 1 << 20
_DEFINE = 64 << 20  # bytes of a Define-XML file that is read: some ten times as much in memory
_DATA = (".xpt", ".json", ".ndjson", ".dsjc")
Told = Callable[[str], None]
"""Told what is being looked at."""


@dataclasses.dataclass(slots=True)
class Verdict:
    """`sealed` None: no key was given. `released`: who signed for it; None: no signature was given, or it is none.

    The signature's key is the one that the manifest names: `released` holds only where `sealed` does.
    """

    manifest: dict[str, Any]
    problems: list[Problem]
    files: int = 0
    rows: int = 0
    datasets: int = 0
    sealed: bool | None = None
    released: dict[str, Any] | None = None
    warnings: int = 0

    @property
    def intact(self) -> bool:
        return not self.problems


def verify(path: Path, key: PublicKey | None, signature: Mapping[str, Any] | None, told: Told) -> Verdict:
    """Raises FormatError where it is no package at all, OSError."""
    try:
        package = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise FormatError(f"this is no package: {error}") from None
    with package:
        manifest = submission.read(package)
        verdict = Verdict(manifest, [], files=len(manifest["files"]))
        told("comparing files")
        verdict.problems += submission.compare(package, manifest)
        if not verdict.problems:
            verdict.problems += _data(package, verdict, told)
    if key is not None:
        verdict.sealed = submission.sealed(manifest, lambda name, seal, text: name == key.id and key.signed(seal, text))
        if not verdict.sealed:
            verdict.problems.append(Problem("manifest.json", "its seal is not by this key: it was changed"))
    if signature is not None:
        verdict.problems += _released(path, signature, verdict)
    return verdict


def _released(path: Path, given: Mapping[str, Any], verdict: Verdict) -> Iterator[Problem]:
    """What is wrong with the signature that released it."""
    try:
        text, record = str(given["statement"]), given["record"]
        public, seal = bytes.fromhex(given["public_key"]), bytes.fromhex(given["seal"])
        if why := broken(public, text, seal, {"record_sha256": digest(record), "operation": "export.release"}):
            yield Problem("", f"the signature does not hold: {why}")
            return
        statement, named = json.loads(text), record["sha256"]
        plain = record.get("facts", {}).get("plain", {}).get("sha256")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        yield Problem("", f"this is no signature of an export: {error}")
        return
    found = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            found.update(piece)
    if found.hexdigest() not in (named, plain):
        yield Problem("", "the signature is of another file than this one")
        return
    if key_id(public) != verdict.manifest.get("release_key"):  # else anybody could sign with a key of their own
        yield Problem("", "the signature is by a key that the manifest does not name")
        return
    verdict.released = statement


def _data(package: zipfile.ZipFile, verdict: Verdict, told: Told) -> Iterator[Problem]:
    """Rows and variables are those of the manifest, and what Define-XML says of them."""
    seen: dict[str, list[define.Observed]] = {}
    with tempfile.TemporaryDirectory(prefix="hilum-verify-") as folder:
        for one in verdict.manifest["files"]:
            name = str(one["path"])
            if "rows" not in one or not name.endswith(_DATA):
                continue
            told(f"reading {name}")
            try:
                observed = _observed(package, name, Path(folder))
            except HilumError as error:
                yield Problem(name, f"it cannot be read: {error}")
                continue
            verdict.datasets, verdict.rows = verdict.datasets + 1, verdict.rows + observed.rows
            seen.setdefault(name.rpartition("/")[0], []).append(observed)
            have = (observed.dataset.name, observed.rows, len(observed.dataset.variables))
            if have != (one.get("dataset"), one["rows"], one.get("variables")):
                yield Problem(name, f"it has {have[1]:,} rows and {have[2]:,} variables of {have[0]}, not as was said")
    for place, several in seen.items():
        told(f"comparing {place}/define.xml")
        yield from _described(package, f"{place}/define.xml", several, verdict)


def _described(
    package: zipfile.ZipFile, name: str, several: list[define.Observed], verdict: Verdict
) -> Iterator[Problem]:  # fmt: skip
    try:
        size = package.getinfo(name).file_size
        if size > _DEFINE:
            raise FormatError(f"it has {size:,} bytes, {_DEFINE:,} at most are read")
        found = checks.defined(package.read(name), several)
    except (KeyError, HilumError) as error:
        yield Problem(name, f"it cannot be read: {error}")
        return
    verdict.warnings += sum(one.severity != "error" for one in found)
    yield from (Problem(f"{name}: {one.path}", one.text) for one in found if one.severity == "error")


def _observed(package: zipfile.ZipFile, name: str, folder: Path) -> define.Observed:
    """What is in a data file. Raises FormatError, DataError."""
    path = folder / f"data{Path(name).suffix}"
    with package.open(name) as source, private(path) as target:
        while piece := source.read(_PIECE):
            target.write(piece)
    kind = table_formats.importer(path.name, path)
    tables = kind(read(kind.Config, {}, "options")).tables(path)
    try:
        table = next(tables)
    except StopIteration:
        raise DataError("there is no table in it") from None
    observer = define.Observer(table.dataset, most=1_000)
    for batch in table.batches:
        observer.see(batch)
    return observer.observed
