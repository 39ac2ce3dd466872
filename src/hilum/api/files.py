"""Answers with a file that lies sealed: whole, or the part of it that Range asks for (RFC 9110; RFC 9530)."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Iterator

from fastapi import Request, Response
from fastapi.responses import StreamingResponse

from hilum.api.methods import HEAD
from hilum.api.ranges import asked_range
from hilum.model.audit import Act
from hilum.services.exports import File

BYTES = "application/octet-stream"
"""Whatever is in it: no browser is to show it."""


def answer(request: Request, act: Act, file: File) -> Response:
    """ETag is its SHA-256; what part was asked for is noted with the act. Raises Invalid, HTTPException 416."""
    digest = file.sha256.hex()
    first, last, status = asked_range(request, file.size, f'"{digest}"')
    headers = {
        "content-disposition": f'attachment; filename="{file.name}"', "cache-control": "no-store",
        "etag": f'"{digest}"', "accept-ranges": "bytes", "content-length": str(last + 1 - first),
        "repr-digest": f"sha-256=:{base64.b64encode(file.sha256).decode()}:",
    }  # fmt: skip
    if status == 206:
        headers["content-range"] = f"bytes {first}-{last}/{file.size}"
        act.details |= {"range": f"{first}-{last}"}
    return StreamingResponse(_stream(file.pieces(first, last)), status, headers, BYTES)


def gives(request: Request, file: File) -> bool:
    """Whether the answer has bytes of it: not where only its head is asked for, or the caller has it already."""
    known = request.headers.get("if-none-match", "")
    return HEAD not in request.scope and known != "*" and f'"{file.sha256.hex()}"' not in known


async def _stream(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    while piece := await asyncio.to_thread(next, pieces, b""):
        yield piece
