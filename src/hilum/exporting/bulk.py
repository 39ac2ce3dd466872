"""Several exports in one package: a folder each, and a manifest that says of every one what became of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import hilum
from hilum import clock
from hilum.errors import Conflict, DataError, HilumError
from hilum.exporting import data, faults, pages
from hilum.exporting.data import Written
from hilum.exporting.means import Means, Watch
from hilum.exporting.parts import ZIP, Parts
from hilum.model.export import ExportKind, ExportStatus
from hilum.store import exports
from hilum.store.exports import Export

MANIFEST = "manifest.json"


async def make(means: Means, one: Export, parts: Parts, watch: Watch) -> Written:
    """Raises DataError where nothing at all came of it, StoreError, OSError, Conflict (nobody wants it any more)."""
    own, whole, told = means.store.within(one.organization), Written(media_type=ZIP, packed=True), []
    children = await own.read(exports.parts, one)
    for number, child in enumerate(children, 1):
        folder = f"{number:03d}-{exports.file_name(child.file).partition('.')[0]}"
        item = await _item(means, child, parts.within(folder), watch)
        told.append({"number": number, "id": str(child.uuid), **item})
        whole.rows += item.get("rows", 0)
        whole.aside += item["status"] != ExportStatus.SUCCEEDED
        whole.warnings += [f"{folder}: {text}" for text in item.get("warnings", ())]
    if children and not any(item["status"] in (ExportStatus.SUCCEEDED, ExportStatus.PARTIAL) for item in told):
        raise DataError(f"none of {len(children)} exports came to be; the first: {told[0]['error']['reason']}")
    await asyncio.to_thread(parts.put, MANIFEST, _manifest(one, told))
    return whole


async def _item(means: Means, child: Export, parts: Parts, watch: Watch) -> dict[str, Any]:
    """One of them, as the manifest tells it. Raises Conflict where nobody wants the whole any more."""
    own = means.store.within(child.organization)
    await own.write(exports.begin, child, None)
    told: dict[str, Any] = {
        "kind": child.kind,
        "source": child.definition["source"],
        "format": child.definition["format"],
    }
    try:
        made = await MAKERS[child.kind](means, child, parts, watch)
    except Conflict:
        raise
    except Exception as error:  # whatever it was, the others are still wanted
        await asyncio.to_thread(parts.clear)
        problem = faults.problem(error)
        await own.write(exports.end_part, child, ExportStatus.FAILED, 0, 0, [], problem)
        if not isinstance(error, HilumError | OSError):
            raise
        return {**told, "status": ExportStatus.FAILED, "error": problem, "files": []}
    status = ExportStatus.PARTIAL if made.aside else ExportStatus.SUCCEEDED
    await own.write(exports.end_part, child, status, made.rows, made.aside, made.warnings, None)
    listed = [
        {"name": part.name, "bytes": part.counted.size, "sha256": part.counted.sha256.hexdigest()}
        for part in await asyncio.to_thread(parts.closed)
    ]
    return {
        **told, "status": status, "rows": made.rows, "set_aside": made.aside, "warnings": made.warnings, "files": listed
    }  # fmt: skip


def _manifest(one: Export, told: list[dict[str, Any]]) -> bytes:
    document = {
        "export": str(one.uuid), "created": clock.iso(one.created_at), "requested_by": one.asked_name,
        "purpose": one.definition["purpose"], "generator": f"Hilum {hilum.__version__}", "items": told,
    }  # fmt: skip
    return json.dumps(document, indent=2, ensure_ascii=False, sort_keys=True).encode()


MAKERS: Mapping[str, Callable[[Means, Export, Parts, Watch], Awaitable[Written]]] = {
    ExportKind.DATA: data.make, ExportKind.REPORT: pages.make, ExportKind.DASHBOARD: pages.make,
}  # fmt: skip
"""What a package may have in it."""
