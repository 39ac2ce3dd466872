"""HL7 v2 batch files: every message comes back byte for byte by our own reader, and the counts are right."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from hilum.errors import ConfigError, DataError
from hilum.exporters import hl7v2
from hilum.exporters.hl7v2 import Hl7v2Exporter
from hilum.formats.hl7v2.batch import Batch
from hilum.formats.hl7v2.message import Message
from hilum.model.dataset import Dataset, DataType, Variable
from hilum.sdk.tables import Unrepresentable, schema
from hilum.sdk.testing.exporter import ExporterSuite, write
from hilum.store.listings import LISTINGS, Window

MESSAGES = Dataset("messages", LISTINGS["messages"].columns(Window(1, 1, payload=True)))
BODIES = Dataset("messages", (Variable("body_base64"), Variable("id"), Variable("body")))
ADT = b"MSH|^~\\&|LAB||HIS||20260102||ADT^A01|1|P|2.5\rPID|1||4711^^^MRN\r"


def table(*bodies: bytes | None, dataset: Dataset = BODIES) -> pa.RecordBatch:
    """Bodies as the records of messages hold them."""
    values: dict[str, list[str | None]] = {name: [None] * len(bodies) for name in dataset.names}
    for row, body in enumerate(bodies):
        if body is None:
            continue
        try:
            values["body"][row] = body.decode()
        except UnicodeDecodeError:
            values["body_base64"][row] = base64.b64encode(body).decode()
    held = schema(dataset)
    return pa.record_batch([pa.array(values[one.name], one.type) for one in held], schema=held)


def exported(*bodies: bytes | None, **options: Any) -> bytes:
    return write(Hl7v2Exporter, BODIES, [table(*bodies)], options)["messages.hl7"]


class TestHl7v2(ExporterSuite):
    module = hl7v2
    options: ClassVar[Sequence[Mapping[str, Any]]] = ({}, {"batch_name": "B1", "receiving_facility": "A|B"})
    dataset: ClassVar[Dataset] = BODIES
    values: ClassVar[Mapping[str, Sequence[Any]]] = {
        "body_base64": [None, base64.b64encode(ADT + b"NTE|\xe4\r").decode()], "id": ["a", "b"],
        "body": [ADT.decode(), None],
    }  # fmt: skip


@pytest.mark.ledger_part("S1-27", "hl7v2: messages as a batch file, byte for byte, with their counts")
def test_every_message_comes_back() -> None:
    bodies = [
        ADT,
        ADT.replace(b"\r", b"\r\n"),
        ADT + b"NTE|1||\xe4\xf6\r",
        ADT.replace(b"|", b"#"),
        ADT.replace(b"\r", b"\n"),
    ]
    data = write(Hl7v2Exporter, MESSAGES, [table(*bodies, dataset=MESSAGES)])["messages.hl7"]
    found = Batch.parse(data)
    assert (found.messages, found.issues) == (bodies, [])
    (group,) = found.batches
    assert (group.trailer, found.file_trailer) == (b"BTS|5\r", b"FTS|1\r")
    assert data.startswith(
        b"FHS|^~\\&|HILUM||||20260102030405+0000||messages\rBHS|^~\\&|HILUM||||20260102030405+0000||"
    )


def test_a_message_without_a_line_end_gets_one() -> None:
    assert Batch.parse(exported(ADT[:-1], ADT)).messages == [ADT, ADT]


def test_no_rows_are_an_empty_batch() -> None:
    found = Batch.parse(exported())
    assert (found.messages, found.issues, found.file_trailer) == ([], [], b"FTS|1\r")


def test_headers_say_what_they_are_told() -> None:
    header = Batch.parse(exported(
        ADT, sending_application="A|1", sending_facility="B^2", receiving_application="C", receiving_facility="D",
        batch_name="N&M",
    )).batches[0].header  # fmt: skip
    assert header == b"BHS|^~\\&|A\\F\\1|B\\S\\2|C|D|20260102030405+0000||N\\T\\M\r"
    with pytest.raises(ValidationError, match="batch_name"):
        hl7v2.Options(batch_name="Müller")
    with pytest.raises(ValidationError, match="sending_facility"):
        hl7v2.Options(sending_facility="A\rBTS|9")


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (None, "there is no body"),
        (b"", "no HL7 v2"),
        (b"<xml/>", "no HL7 v2"),
        (b"MSH", "no HL7 v2"),
        (b"\xff\xfe\x00", "no HL7 v2"),
        (ADT + ADT, "more than one message"),
        (ADT + b"BTS|1\r", "more than one message"),
        (ADT + b"FTS|1", "more than one message"),
        (b"\r" + ADT, "something else"),
        (b"\xef\xbb\xbf" + ADT, "something else"),
        (b"FHS|^~\\&\r" + ADT, "no HL7 v2"),
    ],
)
def test_what_is_no_single_message_is_refused(body: bytes | None, why: str) -> None:
    with pytest.raises(DataError, match=why) as caught:
        exported(ADT, body)
    assert caught.value.row == 2
    assert caught.value.variable in ("body", "body_base64")
    aside: list[Unrepresentable] = []
    data = write(Hl7v2Exporter, BODIES, [table(ADT), table(body, ADT)], aside=aside)["messages.hl7"]
    assert [one.row for one in aside] == [2]
    found = Batch.parse(data)
    assert (found.messages, found.issues) == ([ADT, ADT], [])


def test_what_is_no_base64_is_refused() -> None:
    held = schema(BODIES)
    batch = pa.record_batch([pa.array([one], pa.string()) for one in ("[name]", "x", None)], schema=held)
    with pytest.raises(DataError, match="row 1, body_base64: this is no Base64"):
        write(Hl7v2Exporter, BODIES, [batch])


@pytest.mark.parametrize(
    "dataset",
    [
        Dataset("DM", (Variable("USUBJID"),)),
        Dataset("messages", LISTINGS["messages"].columns(Window(1, 1))),
        Dataset("messages", (Variable("body"), Variable("body_base64", DataType.DOUBLE))),
    ],
)
def test_another_table_is_refused_before_a_file_is_there(dataset: Dataset) -> None:
    with pytest.raises(ConfigError, match="takes the records `messages` with payload"):
        write(Hl7v2Exporter, dataset, [])


LINES = st.lists(st.binary(max_size=12), max_size=6).map(b"\r".join)


@given(st.lists(LINES.map(lambda rest: ADT + rest), max_size=5))
def test_any_message_comes_back_or_is_set_aside(bodies: list[bytes]) -> None:
    aside: list[Unrepresentable] = []
    data = write(Hl7v2Exporter, BODIES, [table(*bodies)], aside=aside)["messages.hl7"]
    kept = [body for row, body in enumerate(bodies, 1) if row not in {one.row for one in aside}]
    found = Batch.parse(data)
    assert not found.issues
    assert [one.removesuffix(b"\r") for one in found.messages] == [one.removesuffix(b"\r") for one in kept]


@pytest.mark.ledger_part("S1-27", "hl7v2: real messages of the corpus")
def test_the_corpus_comes_back(corpus: Path) -> None:
    files = sorted(path for path in (corpus / "hl7v2").rglob("*") if path.is_file() and path.stat().st_size < 100_000)
    bodies = [body for body in (path.read_bytes() for path in files) if _single(body)]
    assert len(bodies) > 50
    assert Batch.parse(exported(*bodies)).messages == [
        body if body.endswith((b"\r", b"\n")) else body + b"\r" for body in bodies
    ]


def _single(body: bytes) -> bool:
    try:
        Message.parse(body)
        return Batch.parse(body).messages == [body]
    except Exception:  # what is no message is no matter here
        return False
