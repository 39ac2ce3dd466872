"""Taking a field apart and putting it together again: repetitions, components, subcomponents, all as bytes.

Only the part that a path names is split; everything beside it is kept as it stands.
"""

from __future__ import annotations

from hilum.formats.hl7v2.delimiters import Delimiters
from hilum.formats.hl7v2.path import Path


def pick(field: bytes, path: Path, delimiters: Delimiters) -> bytes | None:
    """The part of `field` that `path` names, its repetition a number; None where there is no such part."""
    if delimiters.repetition_byte in field:
        repetitions = field.split(delimiters.repetition, path.nth)
        if path.nth > len(repetitions):
            return None
        field = repetitions[path.nth - 1]
    elif path.nth != 1:
        return None
    return part(field, path, delimiters)


def pick_all(field: bytes, path: Path, delimiters: Delimiters) -> list[bytes]:
    """The parts of `field` that `path` names, of every repetition or of one."""
    if path.repetition != "*":
        raw = pick(field, path, delimiters)
        return [] if raw is None else [raw]
    if path.component is None:
        return _split(field, delimiters)
    repetitions = _split(field, delimiters)
    return [raw for one in repetitions if (raw := part(one, path, delimiters)) is not None]


def part(repetition: bytes, path: Path, delimiters: Delimiters) -> bytes | None:
    """The component or subcomponent of one `repetition`; a value without parts is its own first part."""
    number = path.component
    if number is None:
        return repetition
    if delimiters.component_byte in repetition:
        components = repetition.split(delimiters.component, number)
        if number > len(components):
            return None
        repetition = components[number - 1]
    elif number != 1:
        return None
    number = path.subcomponent
    if number is None:
        return repetition
    if delimiters.subcomponent_byte in repetition:
        subcomponents = repetition.split(delimiters.subcomponent, number)
        return subcomponents[number - 1] if number <= len(subcomponents) else None
    return repetition if number == 1 else None


def put(field: bytes, path: Path, raw: bytes, delimiters: Delimiters) -> bytes:
    """`field` with the part that `path` names replaced by `raw`, extended up to it where it is too short.

    Raises ValueError where the message declares no delimiter for a part that must be made.
    """
    mark = delimiters.repetition
    if path.nth == 1 and delimiters.repetition_byte not in field:
        return raw if path.component is None else put_part(field, path, raw, delimiters)
    repetitions = _reach(field, mark, path.nth, "repetitions")
    for at in range(len(repetitions)) if path.repetition == "*" else (path.nth - 1,):
        repetitions[at] = put_part(repetitions[at], path, raw, delimiters)
    return mark.join(repetitions)


def put_part(repetition: bytes, path: Path, raw: bytes, delimiters: Delimiters) -> bytes:
    """One `repetition` with its component or subcomponent replaced by `raw`."""
    if path.component is None:
        return raw
    components = _reach(repetition, delimiters.component, path.component, "components")
    if path.subcomponent is not None:
        mark = delimiters.subcomponent
        subcomponents = _reach(components[path.component - 1], mark, path.subcomponent, "subcomponents")
        subcomponents[path.subcomponent - 1] = raw
        raw = mark.join(subcomponents)
    components[path.component - 1] = raw
    return delimiters.component.join(components)


def drop(field: bytes, path: Path, delimiters: Delimiters) -> bytes:
    """`field` without the part that `path` names: later repetitions move up, a component is left empty."""
    if path.whole:
        return b""
    repetitions = _split(field, delimiters)
    if path.component is None:
        del repetitions[path.nth - 1 : path.nth]
        return delimiters.repetition.join(repetitions)
    for at, one in enumerate(repetitions):
        if path.nth in (0, at + 1) and part(one, path, delimiters) is not None:
            repetitions[at] = put_part(one, path, b"", delimiters)
    return delimiters.repetition.join(repetitions)


def check_reach(raw: bytes, path: Path, delimiters: Delimiters) -> None:
    """Raise ValueError where `raw` has a line end or a delimiter that would reach beyond `path`."""
    refused = b"\r\n" + delimiters.field
    if not path.whole:
        refused += delimiters.repetition
    if path.component is not None:
        refused += delimiters.component
    if path.subcomponent is not None:
        refused += delimiters.subcomponent
    for byte in refused:
        if byte in raw:
            raise ValueError(f"{path}: {chr(byte)!r} would reach beyond the path")


def _split(field: bytes, delimiters: Delimiters) -> list[bytes]:
    return field.split(delimiters.repetition) if delimiters.repetition else [field]


def _reach(whole: bytes, mark: bytes, number: int, what: str) -> list[bytes]:
    """The parts of `whole`, at least `number` of them."""
    parts = whole.split(mark) if mark else [whole]
    if number > len(parts):
        if not mark:
            raise ValueError(f"the message declares no delimiter for {what}")
        parts += [b""] * (number - len(parts))
    return parts
