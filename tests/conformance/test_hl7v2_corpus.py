"""Messages that others wrote: all bytes survive, a change touches nothing else, python-hl7 reads the same."""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from hilum.formats.hl7v2 import Batch, Message, Segment

hl7 = pytest.importorskip("hl7")

CORPUS = Path(os.environ.get("HILUM_CORPUS", Path(__file__).parents[3] / "shared" / "corpus")) / "hl7v2"
FILES = sorted(CORPUS.glob("*.hl7"))
MESSAGES = [path for path in FILES if path.read_bytes().startswith(b"MSH")]
BATCHES = [path for path in FILES if path.read_bytes().startswith((b"FHS", b"BHS"))]

each_message = pytest.mark.parametrize("path", MESSAGES, ids=lambda path: path.stem)
each_batch = pytest.mark.parametrize("path", BATCHES, ids=lambda path: path.stem)

pytestmark = pytest.mark.skipif(not FILES, reason=f"corpus absent: {CORPUS} (HILUM_CORPUS)")


def values(message: Message) -> dict[str, bytes]:
    """Every raw field by its path."""
    return {
        f"{segment.name}[{segment.index}]-{number}": field
        for segment in message.segments()
        for number, field in enumerate(segment.fields)
    }


def test_the_corpus_has_messages_and_batches() -> None:
    assert len(MESSAGES) > 200
    assert BATCHES


@each_message
@pytest.mark.ledger_part("S2-119", "byte-equal round trip of a public corpus")
def test_a_message_comes_out_byte_for_byte(path: Path) -> None:
    data = path.read_bytes()
    message = Message.parse(data)
    for segment in message.segments():
        for number in range(1, len(segment.fields)):
            assert segment[str(number)] is not None
    assert bytes(message) == data
    assert bytes(message.copy()) == data


@each_message
def test_a_field_that_is_set_and_restored_leaves_no_trace(path: Path) -> None:
    data = path.read_bytes()
    message = Message.parse(data)
    segments = [segment.raw for segment in message.segments()]
    before = message.raw("MSH-5")
    message.set("MSH-5", "XFORMED")
    assert message["MSH-5"] == "XFORMED"
    assert message.raw("MSH-5") == b"XFORMED"
    if before is not None:
        message.set_raw("MSH-5", before)
        assert bytes(message) == data
        return
    message.remove("MSH-5")
    after = [segment.raw for segment in message.segments()]
    separator = message.delimiters.field
    assert after[0].rstrip(separator) == segments[0].rstrip(separator)  # the separators up to MSH-5 stay
    assert after[1:] == segments[1:]


@each_message
def test_a_value_of_delimiters_is_read_back_and_changes_nothing_else(path: Path) -> None:
    message = Message.parse(path.read_bytes())
    before = values(message)
    d = message.delimiters
    every = (d.field, d.component, d.repetition, d.escape, d.subcomponent, d.truncation, b"\r\n")
    value = b"a".join(every).decode()
    if not d.escape:
        with pytest.raises(ValueError, match="no escape character"):
            message.set("MSH-6", value)
        return
    message.set("MSH-6", value)
    again = Message.parse(bytes(message))
    assert again["MSH-6"] == value
    after = values(again)
    after.pop("MSH[1]-6")
    padding = {key for key in after if key not in before}
    assert all(after.pop(key) == b"" for key in padding)
    assert after == {key: field for key, field in before.items() if key != "MSH[1]-6"}


@each_batch
def test_a_batch_file_comes_out_byte_for_byte(path: Path) -> None:
    data = path.read_bytes()
    batch = Batch.parse(data)
    assert bytes(batch) == data
    assert batch.messages
    for raw in batch.messages:
        assert bytes(Message.parse(raw)) == raw


@pytest.mark.ledger_part("S2-119", "values equal to those of another parser over a public corpus")
def test_values_are_those_of_python_hl7() -> None:
    """Compared by subcomponent, and counted, so that nothing passes by being skipped."""
    counts: Counter[str] = Counter()
    for path in MESSAGES:
        message = Message.parse(path.read_bytes())
        text = bytes(message).decode(message.charset, "surrogateescape")
        if any("line feed" in issue.reason for issue in message.issues):
            counts["line feeds inside a segment, which it takes for line ends"] += 1
            continue
        try:
            other = hl7.parse(re.sub(r"\r\n|\n", "\r", text))
        except AssertionError:
            counts["encoding characters that it refuses"] += 1
            continue
        counts["messages"] += 1
        theirs = [segment for segment in other if str(segment)]
        segments = message.segments()
        assert len(theirs) == len(segments)
        for segment, their in zip(segments, theirs, strict=True):
            counts["segments"] += 1
            assert str(their[0]) == segment.name
            assert len(their) == len(segment.fields)
            for number in range(3 if segment.name == "MSH" else 1, len(their)):
                compare(message, other, segment, number, their[number], counts)
    assert counts["messages"] > 200
    assert counts["fields"] > 20_000
    assert counts["values"] > 70_000
    assert counts["escaped"] > 20
    assert counts["encoding characters that it refuses"] <= 3
    assert counts["line feeds inside a segment, which it takes for line ends"] <= 1


def compare(message: Message, other: Any, segment: Segment, number: int, field: Any, counts: Counter[str]) -> None:
    """One field, down to its subcomponents; unescaped where python-hl7 keeps what the escapes say."""
    counts["fields"] += 1
    escape = message.delimiters.escape.decode() or None
    for repetition, components in enumerate(parts(field), start=1):
        for component, subcomponents in enumerate(parts(components), start=1):
            for subcomponent, value in enumerate(parts(subcomponents), start=1):
                place = f"{number}[{repetition}].{component}.{subcomponent}"
                ours, raw = segment[place], str(value)
                counts["values"] += 1
                if escape is None or escape not in raw:
                    assert str(ours) == raw, f"{segment.name}-{place}"
                elif re.fullmatch(r"(?:[^\\]|\\(?:[FSTRE]|X[0-9A-F]{2})\\)*", raw.replace(escape, "\\")):
                    counts["escaped"] += 1
                    assert ours == other.unescape(raw), f"{segment.name}-{place}"
                else:
                    counts["formatting or broken escapes, which it drops"] += 1


def parts(whole: Any) -> list[Any]:
    """The parts of a python-hl7 container; text is its own part, and so is an empty container."""
    return list(whole) or [""] if isinstance(whole, list) else [whole]
