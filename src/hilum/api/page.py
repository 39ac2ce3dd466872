"""The OpenAPI document as a page to read: one file, no script, nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Iterator
from typing import Any

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a;background:#fff}
h1{margin-bottom:0}h2{margin-top:2.5rem;border-bottom:1px solid #ccc}details{border:1px solid #ddd;border-radius:6px;
margin:.5rem 0;padding:.4rem .8rem}summary{cursor:pointer}code,pre{font:13px/1.45 ui-monospace,monospace}
pre{background:#f6f6f6;padding:.6rem;overflow:auto;border-radius:4px}table{border-collapse:collapse}td,th{text-align:left;
padding:.15rem .8rem .15rem 0;vertical-align:top}.m{display:inline-block;min-width:4.2rem;font-weight:600}
@media(prefers-color-scheme:dark){body{color:#ddd;background:#161616}pre{background:#222}details{border-color:#444}}
"""
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
POLICY = f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
"""The page's Content-Security-Policy: its own style, by hash, and nothing else."""


def page(document: dict[str, Any]) -> str:
    """HTML. Whatever stands in the document is escaped."""
    return "".join(_page(document))


def _page(document: dict[str, Any]) -> Iterator[str]:
    info = document["info"]
    title = html.escape(f"{info['title']} API {info['version']}")
    yield f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
    yield f'<h1>{title}</h1><p>{html.escape(info["description"])}</p><p><a href="openapi.json">openapi.json</a></p>'
    tags: dict[str, list[tuple[str, str, dict[str, Any]]]] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            tags.setdefault((operation.get("tags") or ["other"])[0], []).append((method.upper(), path, operation))
    for tag, several in sorted(tags.items()):
        yield f"<h2>{html.escape(tag)}</h2>"
        for method, path, operation in several:
            yield from _operation(method, path, operation, document["components"]["schemas"])


def _operation(method: str, path: str, operation: dict[str, Any], schemas: dict[str, Any]) -> Iterator[str]:
    yield f'<details id="{html.escape(operation["operationId"])}"><summary><code><span class="m">{method}</span>'
    yield f"{html.escape(path)}</code> {html.escape(operation.get('summary', ''))}</summary>"
    yield f"<p>{html.escape(operation.get('description', ''))}</p>"
    needs = operation.get("x-permission")
    yield f"<p>Permission: <code>{html.escape(needs)}</code></p>" if needs else "<p>Open to everybody.</p>"
    if operation.get("parameters"):
        yield "<table>"
        for one in operation["parameters"]:
            note = html.escape(one.get("description", ""))
            must = " (required)" if one.get("required") else ""
            yield f"<tr><td><code>{html.escape(one['name'])}</code><td>{html.escape(one['in'])}{must}<td>{note}"
        yield "</table>"
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        yield f"<p>Body, <code>{html.escape(kind)}</code>:</p>{_block(content.get('example'))}"
    for status, about in operation["responses"].items():
        named = about.get("$ref", "").rpartition("/")[2] or about.get("description", "")
        yield f"<p><code>{html.escape(status)}</code> {html.escape(named)}</p>"
        for content in about.get("content", {}).values():
            yield _block(content["example"]) if "example" in content else ""
    yield "</details>"


def _block(value: Any) -> str:
    return f"<pre>{html.escape(json.dumps(value, indent=2, ensure_ascii=False))}</pre>"
