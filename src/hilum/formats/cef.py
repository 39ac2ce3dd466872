"""Audit events in CEF 0 (ArcSight Common Event Format, implementation standard 25): one line of text each.

`CEF:0|vendor|product|version|kind of event|its name|severity|key=value key=value`. A backslash stands before a pipe or
a backslash of the header, and before an equals sign or a backslash of a value. A line's end is \\n or \\r in a value,
and a space in the header. The format is lossy: its keys have lengths, and what is longer is cut.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from hilum.formats.ocsf import address, milliseconds
from hilum.model.audit import kind_of

_LOWEST, _MIDDLE = 1, 5  # of 0 to 10
_SHORT, _LONG, _LONGEST = 63, 1_023, 4_000  # characters that the dictionary allows
_OWN = ("request_id", "entity", "details", "before", "after")  # cs1 to cs5, whichever of them there are
_UNSEEN = re.compile(r"[\x00-\x09\x0b\x0c\x0e-\x1f\x7f]")  # controls that have no escape
_write = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, sort_keys=True).encode
_BREAK = re.compile(r"\r\n|[\r\n]")


def line(version: str, kind: str, name: str, severity: int, extension: Mapping[str, str | int]) -> str:
    """One event of a hub of `version`. Keys of the extension are the dictionary's."""
    head = "|".join(_head(one) for one in ("Hilum", "Hilum", version, kind, name, str(severity)))
    return f"CEF:0|{head}|" + " ".join(f"{key}={_value(str(value))}" for key, value in extension.items())


def event(found: Mapping[str, Any], position: int, version: str) -> str:
    """One event of the trail, `position` in its chain."""
    action, outcome = str(found["action"]), str(found["outcome"])
    extension: dict[str, str | int] = {
        "rt": milliseconds(str(found["time"])),
        "externalId": found["id"],
        "cat": kind_of(action).value,
        "act": action[:_SHORT],
        "outcome": outcome,
        **_who(found),
        "cn1": position,
        "cn1Label": "position",
        "cn2": found["organization"],
        "cn2Label": "organization",
    }
    why = " ".join(str(found[name]) for name in ("code", "error") if found.get(name))
    extension |= {"reason": why[:_LONG]} if why else {}
    extension |= {"msg": str(found["reason"])[:_LONG]} if found.get("reason") else {}
    for number, name in enumerate(_OWN, 1):
        if value := found.get(name):
            text = value if isinstance(value, str) else _write(value)
            extension |= {f"cs{number}": text[:_LONGEST], f"cs{number}Label": name}
    severity = _LOWEST if outcome == "success" else _MIDDLE
    return line(version, action, action.replace(".", " "), severity, extension)


def _who(found: Mapping[str, Any]) -> dict[str, str | int]:
    actor, source = found["actor"], str(found.get("source", ""))
    who: dict[str, str | int] = {
        "suser": (actor["name"] or actor["kind"])[:_LONG],
        "cs6": actor["kind"],
        "cs6Label": "actor",
    }
    if actor["id"]:
        who["suid"] = actor["id"][:_LONG]
    seen = address(source)
    if seen is None:
        return who | ({"shost": source[:_LONG]} if source else {})
    return who | ({"src": source} if seen.version == 4 else {"c6a2": source, "c6a2Label": "Source IPv6 Address"})


def _head(text: str) -> str:
    return _UNSEEN.sub(" ", _BREAK.sub(" ", text)).replace("\\", "\\\\").replace("|", "\\|")


def _value(text: str) -> str:
    text = _UNSEEN.sub(" ", text).replace("\\", "\\\\").replace("=", "\\=")
    return text.replace("\n", "\\n").replace("\r", "\\r")
