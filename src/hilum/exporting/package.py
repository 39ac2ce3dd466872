"""A study as it is submitted: data files, Define-XML, a reviewer's guide to fill in, checks, and a sealed manifest."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

import hilum
from hilum import clock
from hilum.errors import DataError
from hilum.exporting import checks, data
from hilum.exporting.data import Written
from hilum.exporting.guide import guide
from hilum.exporting.means import Means, Watch
from hilum.exporting.parts import ZIP, Parts
from hilum.exporting.tables import Opened, dataset_table
from hilum.formats import define, submission
from hilum.formats.submission import CHECKS, MANIFEST, Entry
from hilum.model.dataset import Dataset
from hilum.store import organizations
from hilum.store.exports import Export

_VALUES = 1_000  # of a variable, that are looked up in its code list


@dataclasses.dataclass(frozen=True, slots=True)
class Laid:
    """A data set that lies in the package, and what was seen of it."""

    observed: define.Observed
    where: str  # tabulations or analysis
    file: str
    findings: list[checks.Finding]


class _Observed(Opened):
    """A table that is looked at while it is read."""

    def __init__(self, table: Opened, observer: define.Observer) -> None:
        self.dataset, self.rows = table.dataset, table.rows
        self._table, self._observer = table, observer

    def batches(self, names: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
        for batch in self._table.batches(names):
            self._observer.see(batch)
            yield batch


async def make(means: Means, one: Export, parts: Parts, watch: Watch) -> Written:
    """Raises DataError where a data set cannot be written so, NotFound, StoreError, OSError, Conflict."""
    own, source = means.store.within(one.organization), one.definition["source"]
    home = await own.read(organizations.get, one.organization)
    whole, laid = Written(media_type=ZIP, packed=True), []
    watch.rows = sum(each["rows"] for each in source["datasets"])
    for each in source["datasets"]:
        table = await dataset_table(means, one.organization, home.uuid, each)
        laid.append(await asyncio.to_thread(_lay, table, one, each["folder"], parts, watch, whole))
    await asyncio.to_thread(_describe, one, home.name, laid, parts, means, whole)
    return whole


def _lay(table: Opened, one: Export, where: str, parts: Parts, watch: Watch, whole: Written) -> Laid:
    """Write a data set, and look at it."""
    before = watch.rows
    folder = parts.within(submission.folder(_study(one), where))
    observer = define.Observer(table.dataset, most=_VALUES)
    asked = {**one.definition, "where": [], "variables": None, "set_aside": False}
    known = {part.name for part in folder}
    try:
        made = data.write(_Observed(table, observer), asked, folder, watch)
    except DataError as error:
        raise DataError(f"{table.dataset.name}: {error.reason}", row=error.row, variable=error.variable) from None
    watch.rows = before
    whole.rows += made.rows
    whole.warnings += [f"{table.dataset.name}: {text}" for text in made.warnings]
    (file,) = {part.name for part in folder} - known
    return Laid(observer.observed, where, file.rpartition("/")[2], checks.keys(table, watch))


def _describe(one: Export, home: str, laid: list[Laid], parts: Parts, means: Means, whole: Written) -> None:
    """Everything that is said of the data files."""
    created, found = clock.iso(one.created_at), [finding for each in laid for finding in each.findings]
    for where in submission.FOLDERS:
        here = [each for each in laid if each.where == where]
        if here:
            folder = parts.within(submission.folder(_study(one), where))
            text = _define(one, created, here, where)
            folder.put("define.xml", text)
            found += checks.defined(text, [each.observed for each in here])
            folder.put(submission.GUIDES[where], guide(one, home, where, [each.observed for each in here], found))
    told = checks.told(found, [each.observed.dataset.name for each in laid])
    parts.put(CHECKS, json.dumps(told, indent=2, sort_keys=True).encode() + b"\n")
    entries = [_entry(part, laid) for part in parts.closed()]
    about = {
        "package": str(one.uuid), "study": one.definition["source"]["package"], "organization": home,
        "created": created, "requested_by": one.asked_name, "purpose": one.definition["purpose"],
        "generator": f"Hilum {hilum.__version__}", "checks": told["counts"],
        "release_key": means.store.signer_id,
    }  # fmt: skip
    key = means.store.evidence
    text = submission.manifest(about, entries, key.sign, key.public.id)
    parts.put(MANIFEST, text)
    whole.facts["checks"] = told["counts"]
    whole.warnings += [f"{each.path}: {each.text}" for each in found]


def _define(one: Export, created: str, here: list[Laid], where: str) -> bytes:
    source, name = one.definition["source"], one.definition["source"]["package"]
    lists = define.merged(each for laid in here for each in define.code_lists(laid.observed))
    said = source["standards"].get(where, "")
    title, _, version = said.partition(" ")
    kept = (define.Standard("STD.1", title, version),) if said else ()
    tables = tuple(
        define.table(each.observed, href=each.file, standard="STD.1" if kept else "", lists=lists,
                     origin=define.Origin("Not Available"))
        for each in here
    )  # fmt: skip
    guide = submission.GUIDES[where]
    supplement = define.Document("LF.guide", guide, "Reviewer's guide", "supplement")
    study = define.Study(name, name, source["protocol"])
    oid = f"MDV.{name}.{where}"
    return define.write(
        define.Define(study, tables, created, lists, kept, documents=(supplement,), oid=oid, originator="Hilum")
    )


def _entry(part: Any, laid: list[Laid]) -> Entry:
    folder, _, file = part.name.rpartition("/")
    size, digest = part.counted.size, part.counted.sha256.hexdigest()
    for each in laid:
        if file == each.file and folder.endswith(submission.FOLDERS[each.where]):
            dataset: Dataset = each.observed.dataset
            return Entry(part.name, size, digest, dataset.name, each.observed.rows, len(dataset.variables))
    return Entry(part.name, size, digest)


def _study(one: Export) -> str:
    from hilum.store.exports import file_name

    return file_name(one.definition["source"]["package"]).lower()
