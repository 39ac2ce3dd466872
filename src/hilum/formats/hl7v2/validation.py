"""Holds a message to its version of HL7 v2: segments, their order and number, and their fields.

What is found is judged by a site's profile, if there is one. Nothing that parses makes it raise, and Z
segments stand wherever they like.
"""

from __future__ import annotations

from hilum.formats.hl7v2.content import Content, Row, check_text, read_rows
from hilum.formats.hl7v2.definitions import Definitions, definitions, nearest
from hilum.formats.hl7v2.findings import Finding, finding
from hilum.formats.hl7v2.message import Message
from hilum.formats.hl7v2.profile import Profile
from hilum.formats.hl7v2.structure import Fault, Matcher, Misfit

_ANYWHERE = ("ADD",)  # continues any segment (chapter 2, "Continuation messages")


def validate(message: Message, profile: Profile | None = None) -> list[Finding]:
    """What is wrong with `message`: first of the whole, then of the order, then field by field."""
    rows, marks = read_rows(message)
    version = profile.version if profile and profile.version else message.version
    known = definitions(version)
    found = [] if profile and profile.version else _check_version(version)
    found += [finding("MSH-2", "delimiters", text) for text in message.delimiters.issues]
    structure, notes = _find_structure(message, known)
    found += notes
    found += _check_order(rows, structure, known, profile)
    found += check_text(rows, marks.codec)
    content = Content(known, marks)
    for row in rows:
        content.check(row)
    found += content.findings
    return profile.judge(found, rows, Content(known, marks)) if profile else found


def _check_version(version: str) -> list[Finding]:
    if not version:  # MSH-12 is required anyway
        return []
    used = nearest(version)
    if used is None:
        return [finding("MSH-12", "version-unknown", f"no version of HL7 v2; read as {definitions(version).version}")]
    if used != version:
        return [finding("MSH-12", "version-nearest", f"no definitions of this version; read as {used}")]
    return []


def _find_structure(message: Message, known: Definitions) -> tuple[str | None, list[Finding]]:
    """The message structure that the event has, or else MSH-9.3 names; and what is odd about MSH-9."""
    kind, event, declared = message.type, message.trigger, message.structure
    if not message.raw("MSH-9"):  # it is required anyway
        return None, []
    fallback = declared if known.structure(declared) else None
    if kind not in known.types:
        if kind.startswith("Z"):
            return fallback, [finding("MSH-9.1", "message-local", "a message type of the site")]
        text = f"no message type of version {known.version}"
        return fallback, [finding("MSH-9.1", "message-type-unknown", text)]
    name = known.event_structure(kind, event)
    if name is None:
        return fallback, [_explain_event(event, known, fallback)]
    if declared and declared != name and kind != "ACK":
        return name, [finding("MSH-9.3", "structure-mismatch", f"the structure of the event is {name}")]
    return name, []


def _explain_event(event: str, known: Definitions, fallback: str | None) -> Finding:
    events = known.table("0003")
    if event.startswith("Z"):
        return finding("MSH-9.2", "message-local", "a trigger event of the site")
    if not event and fallback is None:
        return finding("MSH-9.2", "event-unknown", "the message type needs a trigger event")
    if event and events and event not in events.codes:
        return finding("MSH-9.2", "event-unknown", f"no trigger event of version {known.version}")
    return finding("MSH-9", "structure-unknown", f"version {known.version} gives this event no structure")


def _check_order(rows: list[Row], structure: str | None, known: Definitions, profile: Profile | None) -> list[Finding]:
    """Segments against the structure; of a message without one, only whether the version has them."""
    found: list[Finding] = []
    ordered: list[Row] = []
    for row in rows:
        if profile and profile.forbids(row.name):
            found.append(finding(row.label, "segment-forbidden", "the profile forbids this segment"))
        elif (row.name.startswith("Z") and len(row.name) == 3) or (profile and profile.allows(row.name)):
            continue
        elif known.segment(row.name) is None:
            found.append(finding(row.label, "segment-unknown", f"no segment of version {known.version}"))
        elif row.name not in _ANYWHERE:
            ordered.append(row)
    tree = known.structure(structure) if structure else None
    if tree is not None:
        names = [row.name for row in ordered]
        misfits = Matcher(tree).match(names)
        if misfits and known.automaton(tree.name).accepts(names):
            misfits = []
        found += [_explain(misfit, ordered, tree.name, known) for misfit in misfits]
    return found


_WORDS: dict[Fault, str] = {
    "missing": "required",
    "order": "not where the structure has it",
    "repeats": "repeated beyond its cardinality",
    "unexpected": "no part of it",
}


def _explain(misfit: Misfit, rows: list[Row], structure: str, known: Definitions) -> Finding:
    title = known.segment_name(misfit.segment)
    which = f", which begins the group {misfit.group}," if misfit.group else ""
    text = f"{structure}: {title}{which} is {_WORDS[misfit.fault]}"
    path = misfit.segment if misfit.at < 0 else rows[misfit.at].label
    return finding(path, f"segment-{misfit.fault}", text)
