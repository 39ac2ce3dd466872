"""A page with one thing to say, for people whose browser comes back from elsewhere: one file, no script, no secret."""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Sequence

from fastapi import Request
from fastapi.responses import HTMLResponse

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:40rem;margin:4rem auto;padding:0 1rem;color:#1a1a1a;background:#fff}
h1{font-size:1.4rem;border-bottom:1px solid #ccc;padding-bottom:.4rem}code{font:13px/1.45 ui-monospace,monospace}
@media(prefers-color-scheme:dark){body{color:#ddd;background:#161616}h1{border-color:#444}}
"""
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
POLICY = f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
"""The page's Content-Security-Policy: its own style, by hash, and nothing else."""


def wanted(request: Request) -> bool:
    """Whether a browser asks, which shows what it is given."""
    return "text/html" in request.headers.get("accept", "").lower()


def page(status: int, title: str, lines: Sequence[str]) -> HTMLResponse:
    """Whatever stands in title and lines is escaped."""
    said = "".join(f"<p>{html.escape(line)}</p>" for line in lines)
    head = html.escape(title)
    text = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{head}</title><style>{_STYLE}</style>'
    return HTMLResponse(f"{text}<h1>{head}</h1>{said}", status, {"content-security-policy": POLICY})
