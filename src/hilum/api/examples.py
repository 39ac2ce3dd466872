"""An example for every body in the OpenAPI document that brings none: made from its schema, the same every time."""

from __future__ import annotations

import re
from typing import Any

_FORMATS = {
    "uuid": "01981c9e-5f6a-7b3c-8d4e-2f1a0b9c8d7e", "date-time": "2026-01-21T10:00:00Z", "date": "2026-01-21",
    "uri": "https://example.org/", "binary": "…", "path": "/var/lib/hilum/example", "duration": "PT1M",
    "ipv4": "192.0.2.1", "password": "a long phrase that nobody guesses",
}  # fmt: skip
CHAIN = """-----BEGIN CERTIFICATE-----
MIIBAjCBtaADAgECAgEBMAUGAytlcDAaMRgwFgYDVQQDDA9sYWIuZXhhbXBsZS5v
cmcwIBcNMjYwMTAxMDAwMDAwWhgPMjEyNjAxMDEwMDAwMDBaMBoxGDAWBgNVBAMM
D2xhYi5leGFtcGxlLm9yZzAqMAUGAytlcAMhAIfVFXESK9C0dlSgO+4MQvcee9EN
nBfDcGSfJqnwtPQjox4wHDAaBgNVHREEEzARgg9sYWIuZXhhbXBsZS5vcmcwBQYD
K2VwA0EACooDBX2biTsSjRpQ8Rxwv5i3N77uTcs7ggoEpvCGqMqk9YKcKbg5Oe+I
ku+QPmJGPgMmDjpfz0scx/8/g9KPAw==
-----END CERTIFICATE-----
"""
_CONFIGURATION = """version: 1
organization: demo
integrations:
  - name: lab
    protocol: hl7_v2
    endpoints: [{name: out, direction: outbound, url: "mllp://127.0.0.1:2576"}]
"""
_KNOWN: dict[str, Any] = {
    "name": "lab-import", "email": "ann@example.org", "role": "viewer", "scopes": ["messages:read"], "kind": "basic",
    "reason": "the laboratory asked for it", "operation": "policy.change", "common_name": "lab.example.org",
    "chain": CHAIN, "title": "Heart failure, phase 3", "text": _CONFIGURATION,
    "new_password": "another phrase that nobody guesses",
}  # fmt: skip
"""By the name of a member; taken where the schema allows it."""
_SHAPES = (
    "users:read",
    "https://example.org",
    "example.org",
    "lab/out",
    "lab",
    "123456",
    "a1b2c3d4",
    "ABCD",
    "1.0",
    "2026-01-21",
)  # for patterns
_DEEPEST = 6


def fill(document: dict[str, Any]) -> None:
    """Give every body of `document` an example. What is sent has what it must have, and what says an example."""
    schemas = document["components"]["schemas"]
    for path in document["paths"].values():
        for operation in path.values():
            asked = operation.get("requestBody", {})
            for body in (asked, *operation["responses"].values()):
                for kind, content in body.get("content", {}).items():
                    if "example" not in content and "examples" not in content and kind.endswith("json"):
                        content["example"] = _Maker(schemas, body is asked).of(content.get("schema", {}))


class _Maker:
    """Makes values that fit schemas. `schemas` are the document's own; `brief`: without what may be left out."""

    def __init__(self, schemas: dict[str, Any], brief: bool) -> None:
        self._schemas = schemas
        self._brief = brief

    def of(self, schema: dict[str, Any], name: str = "", depth: int = 0) -> Any:
        """A value that fits `schema`, of a member that is called `name`."""
        while "$ref" in schema and "examples" not in schema:
            schema = self._schemas[schema["$ref"].rpartition("/")[2]]
        if schema.get("examples"):
            return schema["examples"][0]
        if name in _KNOWN and _fits(_KNOWN[name], schema):
            return _KNOWN[name]
        for said in ("example", "const", "default"):
            if schema.get(said) is not None:
                return schema[said]
        if schema.get("enum"):
            return schema["enum"][0]
        for either in ("anyOf", "oneOf", "allOf"):
            if schema.get(either):
                best = next((one for one in schema[either] if one.get("type") != "null"), schema[either][0])
                return self.of(best, name, depth)
        return self._plain(schema, name, depth)

    def _plain(self, schema: dict[str, Any], name: str, depth: int) -> Any:
        kind = schema.get("type")
        kind = next((one for one in kind if one != "null"), "null") if isinstance(kind, list) else kind
        if kind == "object":
            return self._object(schema, depth)
        if kind == "array":
            return [] if depth >= _DEEPEST else [self.of(schema.get("items", {}), name, depth + 1)]
        if kind == "string":
            return _text(schema, name)
        if kind in ("integer", "number"):
            return int(schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1))
        return {"boolean": True, "null": None}.get(str(kind), {})

    def _object(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        members, needed = schema.get("properties", {}), schema.get("required", ())
        if self._brief or depth >= _DEEPEST:
            told = [one for one, about in members.items() if "examples" in about and self._brief]
            members = {one: about for one, about in members.items() if one in needed or one in told}
        made = {one: self.of(about, one, depth + 1) for one, about in members.items()}
        others = schema.get("additionalProperties")
        if not members and isinstance(others, dict) and depth < _DEEPEST:
            made["name"] = self.of(others, "value", depth + 1)
        return made


def _fits(value: Any, schema: dict[str, Any]) -> bool:
    """Whether a known value is one of this schema, as far as it says so plainly."""
    kind = "string" if isinstance(value, str) else "array"
    if (
        schema.get("type") != kind
        or value not in schema.get("enum", [schema.get("const", value)])
        or schema.get("format", "password") != "password"
    ):
        return False
    return kind != "string" or bool(re.search(schema.get("pattern", ""), value))


def _text(schema: dict[str, Any], name: str) -> str:
    text = _FORMATS.get(schema.get("format", "")) or name.replace("_", "-").rstrip("-") or "text"
    pattern = schema.get("pattern")
    if pattern and not re.search(pattern, text):
        return next((one for one in _SHAPES if re.search(pattern, one)), text)
    least, most = schema.get("minLength", 0), schema.get("maxLength", 10_000)
    return (text + "-example" * (least // 8 + 1) if len(text) < least else text)[:most]
