"""Keeps what executions sent and were answered where it is too large for their rows: sealed, and found by a pointer.

They are rows, so that backups have them, several processes share them, and what removes an execution's bodies removes
them in the same transaction.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import hashlib
import json
import uuid
from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa

from hilum import clock
from hilum.errors import NotFound
from hilum.model.identifier import new
from hilum.security.seal import Sealer
from hilum.store.schema_activity import execution, execution_blob

INLINE = 1 << 20  # bytes of a body that stand in its execution's row
JSON, TEXT, BYTES = "application/json", "text/plain", "application/octet-stream"


@dataclasses.dataclass(frozen=True, slots=True)
class Blob:
    """A body that is about to be stored, sealed already. `pointer` is what its execution says of it."""

    uuid: uuid.UUID
    sealed: bytes
    pointer: dict[str, Any]  # id, size, sha256, type


def seal(sealer: Sealer, content: bytes, kind: str) -> Blob:
    """`kind`: its media type. Work for a thread: there is much of it."""
    identifier = new(clock.micros())
    pointer = {
        "id": str(identifier), "size": len(content), "sha256": hashlib.sha256(content).hexdigest(), "type": kind,
    }  # fmt: skip
    return Blob(identifier, sealer.seal(content, _place(identifier)), pointer)


def insert(connection: sa.Connection, number: int, blobs: Iterable[Blob]) -> None:
    """Store an execution's."""
    owner = sa.select(execution.c.organization).where(execution.c.id == number).scalar_subquery()
    for one in blobs:
        values = {"uuid": one.uuid, "organization": owner, "execution": number, "content": one.sealed}
        connection.execute(execution_blob.insert().values(values))


def content(connection: sa.Connection, sealer: Sealer, number: int, identifier: uuid.UUID) -> bytes:
    """One of an execution. Raises NotFound: there is none, or retention removed it."""
    mine = (execution_blob.c.execution == number, execution_blob.c.uuid == identifier)
    sealed = connection.execute(sa.select(execution_blob.c.content).where(*mine)).scalar()
    if sealed is None:
        raise NotFound(f"Blob not found: {identifier}")
    return sealer.open(bytes(sealed), _place(identifier))


def remove(connection: sa.Connection, organization: int, numbers: Sequence[int]) -> None:
    """All of these executions."""
    mine = (execution_blob.c.organization == organization, execution_blob.c.execution.in_(numbers))
    connection.execute(execution_blob.delete().where(*mine))


def whole(connection: sa.Connection, sealer: Sealer, number: int, told: dict[str, Any] | None) -> dict[str, Any] | None:
    """A request or an answer as it would be if all of it stood in the row."""
    if told is None or not (told.keys() & POINTERS.keys()):
        return told
    found = dict(told)
    for pointer, member in POINTERS.items():
        if (where := found.pop(pointer, None)) is not None:
            found[member] = decoded(content(connection, sealer, number, uuid.UUID(where["id"])), where["type"])
    return found


def decoded(content: bytes, kind: str) -> Any:
    """JSON where it says so and is, else text; other bytes come as {"base64": …}."""
    if kind == JSON or kind.endswith("+json"):
        with contextlib.suppress(ValueError, RecursionError):
            return json.loads(content)
    try:
        return content.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(content).decode()}


POINTERS = {"blob": "data", "processedBlob": "processedData"}
"""Members that point to a blob, and those in whose place they stand."""


def _place(identifier: uuid.UUID) -> bytes:
    """What the sealed bytes are bound to."""
    return b"execution_blob|%s" % identifier.bytes
