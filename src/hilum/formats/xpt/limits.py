"""What an agency refuses of a transport file, beyond what the format itself does.

Source: FDA, Study Data Technical Conformance Guide, "SAS Transport Format" and "Dataset Size".
"""

from __future__ import annotations

from collections.abc import Iterable

from hilum.model.dataset import Dataset

NAME, LABEL, TEXT = 8, 40, 200  # characters, characters, bytes
FILE = 5_000_000_000  # bytes, beyond which a data set has to be split


def breaches(of: Dataset, text_length: int) -> Iterable[str]:
    """What is refused of a data set's description, in words; a text that declares no length has `text_length`."""
    yield from _name(of.name, "the data set's name")
    yield from _label(of.label, "the data set's label")
    for one in of.variables:
        yield from _name(one.name, "the variable name")
        yield from _label(one.label, f"the label of {one.name}")
        if not one.numeric and (one.length or text_length) > TEXT:
            yield f"{one.name} has {one.length or text_length} bytes, more than {TEXT}"


def _name(name: str, what: str) -> Iterable[str]:
    plain = name.isascii() and name.replace("_", "A").isalnum() and name[:1].isalpha()
    if not plain or name != name.upper() or len(name) > NAME:
        yield f"{what} {name!r} is not a letter and up to 7 letters, digits and _, all in upper case"


def _label(label: str, what: str) -> Iterable[str]:
    if not label.isascii():
        yield f"{what} is not ASCII"
    if len(label) > LABEL:
        yield f"{what} has {len(label)} characters, more than {LABEL}"
