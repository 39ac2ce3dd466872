"""Data sets of studies: tables of typed, labelled variables, imported from files, kept in versions."""

from __future__ import annotations

import json
import uuid
from typing import Annotated, Any

from fastapi import Query, Request, Response
from pydantic import BeforeValidator, Field

from hilum.api.errors import Invalid
from hilum.api.paging import Page, Paging
from hilum.api.services import Used
from hilum.api.surface import Acting, Surface, allow
from hilum.model.configuration import Name
from hilum.services.datasets import Arriving, DatasetView, ImportView

router = Surface("/datasets")
BYTES = "application/octet-stream"
LARGEST = 20 << 30  # bytes of a file
FILE = r"^[^/\\\x00-\x1f\x7f]+$"
_BODY = {"requestBody": {"required": True, "content": {BYTES: {"schema": {"type": "string", "format": "binary"}}}}}

StudyName = Annotated[Name, BeforeValidator(lambda text: text.lower() if isinstance(text, str) else text)]
"""Studies have names in lower case; people write CDISC01."""

StudyFilter = Annotated[StudyName | None, Query(description="Of this study.")]
TableName = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z_][\w.-]*$")]


@router.get("")
@allow("datasets:read", audits="dataset.list")
async def list_datasets(services: Used, act: Acting, paging: Paging, study: StudyFilter = None) -> Page[DatasetView]:
    """The newest version of each, by study and name."""
    items, total = await services.datasets.list(act.scope, study, paging.offset, paging.limit)
    return Page[DatasetView].of(items, total, paging)


@router.post("/imports", status_code=202, openapi_extra=_BODY)
@allow("datasets:write", audits="dataset-import.ask", body=LARGEST, fails=(413,))
async def import_datasets(
    services: Used,
    act: Acting,
    request: Request,
    response: Response,
    study: Annotated[StudyName, Query(description="Made where there is none.")],
    file: Annotated[
        str, Query(min_length=1, max_length=200, pattern=FILE, description="The file's name: its end says the format.")
    ],
    format: Annotated[str | None, Query(max_length=40, description="Where the name does not say it.")] = None,
    name: Annotated[TableName | None, Query(description="Of the data set; none: as the file says.")] = None,
    options: Annotated[str | None, Query(max_length=2_000, description="Of the format, a JSON object.")] = None,
) -> ImportView:
    """The body is the file. A job reads it: all of its tables are there afterwards, or none."""
    arriving = Arriving(study, file, format, name, _object(options))
    made = await services.datasets.take(act, arriving, request.stream())
    response.headers["location"] = f"/api/v1/datasets/imports/{made.id}"
    return made


@router.get("/imports")
@allow("datasets:read", audits="dataset-import.list")
async def list_dataset_imports(services: Used, act: Acting, paging: Paging) -> Page[ImportView]:
    """The newest first, with those that failed."""
    items, total = await services.datasets.imports(act.scope, paging.offset, paging.limit)
    return Page[ImportView].of(items, total, paging)


@router.get("/imports/{import_id}")
@allow("datasets:read", audits="dataset-import.read")
async def read_dataset_import(services: Used, act: Acting, import_id: uuid.UUID) -> ImportView:
    """How far it is; where it failed, at which row and variable."""
    act.entity = f"dataset-import/{import_id}"
    return await services.datasets.imported(act, import_id)


@router.get("/{dataset_id}")
@allow("datasets:read", audits="dataset.read")
async def read_dataset(services: Used, act: Acting, dataset_id: uuid.UUID) -> DatasetView:
    """With its variables, and its versions with where they came from."""
    act.entity = f"dataset/{dataset_id}"
    return await services.datasets.show(act, dataset_id)


@router.delete("/{dataset_id}", status_code=204)
@allow("datasets:write", audits="dataset.archive")
async def archive_dataset(services: Used, act: Acting, dataset_id: uuid.UUID) -> None:
    """It is not listed any more; an import of the same name brings it back."""
    act.entity = f"dataset/{dataset_id}"
    await services.datasets.archive(act, dataset_id)


def _object(text: str | None) -> dict[str, Any]:
    """Raises Invalid."""
    if text is None:
        return {}
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise Invalid("options must be a JSON object", field="options")
    return found
