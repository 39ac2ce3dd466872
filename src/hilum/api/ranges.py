"""Parts of a file: Range and If-Range (RFC 9110, 14.2 and 13.1.5), one range at a time."""

from __future__ import annotations

import re

from fastapi import Request
from starlette.exceptions import HTTPException

_RANGE = re.compile(r"bytes=(?:(\d{1,15})-(\d{0,15})|-(\d{1,15}))")


def asked_range(request: Request, size: int, etag: str) -> tuple[int, int, int]:
    """First byte, last byte, and 206 or (all of it) 200. Raises HTTPException 416.

    Several ranges, other units and an If-Range that does not fit are answered with the whole, as the RFC allows.
    """
    whole = (0, size - 1, 200)
    found = _RANGE.fullmatch(request.headers.get("range", "").strip())
    if found is None or request.headers.get("if-range", etag) != etag:
        return whole
    if found[3] is not None:
        first, last = max(size - int(found[3]), 0), size - 1
        wanted = int(found[3]) > 0
    else:
        first, last = int(found[1]), min(int(found[2] or size), size - 1)
        if found[2] and int(found[2]) < first:
            return whole  # not valid: as if it were not there
        wanted = True
    if first >= size or not wanted:
        raise HTTPException(416, f"there are {size} bytes", {"content-range": f"bytes */{size}"})
    return first, last, 206
