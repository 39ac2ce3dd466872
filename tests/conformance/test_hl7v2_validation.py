"""Validation over messages that others wrote: never raises, names known rules, spares the clean ones."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hilum.errors import FormatError
from hilum.formats.hl7v2 import Message
from hilum.formats.hl7v2 import Path as Place
from hilum.formats.hl7v2.findings import RULES, ack_errors
from hilum.formats.hl7v2.validation import validate

CORPUS = Path(os.environ.get("HILUM_CORPUS", Path(__file__).parents[3] / "shared" / "corpus")) / "hl7v2"

CLEAN = 50
"""Messages of the corpus without an error, at least; many of its messages are broken on purpose."""


@pytest.fixture(scope="module")
def messages() -> dict[str, Message]:
    if not CORPUS.is_dir():
        pytest.skip(f"NO CORPUS: {CORPUS} is not there; set HILUM_CORPUS")
    found = {}
    for path in sorted(CORPUS.glob("*.hl7")):
        try:
            found[path.name] = Message.parse(path.read_bytes())
        except FormatError:  # a batch, or no message at all
            continue
    return found


def test_no_message_of_the_corpus_raises(messages: dict[str, Message]) -> None:
    assert len(messages) > 200
    for name, message in messages.items():
        for one in validate(message):
            assert one.rule in RULES, name
            assert one.text, name


def test_every_error_has_a_place_that_an_ack_can_name(messages: dict[str, Message]) -> None:
    for name, message in messages.items():
        for error in ack_errors(validate(message)):
            assert error.location is None or Place.parse(error.location).segment, name


def test_messages_in_order_are_not_accused(messages: dict[str, Message]) -> None:
    clean = [name for name, one in messages.items() if not ack_errors(validate(one))]
    assert len(clean) >= CLEAN
