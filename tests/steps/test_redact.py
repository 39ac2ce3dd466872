"""What is redacted is gone everywhere: in every repetition and every segment of the name."""

from __future__ import annotations

from typing import Any

import pytest

from hilum.errors import ConfigError, StepError
from hilum.formats.hl7v2 import NULL
from hilum.sdk.contracts import Work
from hilum.steps.redact import Redact


def test_mask_every_repetition_and_segment(make: Any, adt: Work) -> None:
    message = make(Redact, {"mask": ["PID-3", "PID-5.1", "NTE-3", "PID-20", "PID-2"]}).run(adt).message
    assert message.raw("PID-3") == b"****~****"
    assert message.raw("PID-5") == b"****^Jane^\\T\\"
    assert message["NTE[*]-3"] == ["****", "****"]
    assert message["PID-20"] is None
    assert message["PID-2"] == "", "nothing is masked that is not there"
    for value in (b"4711", b"0815", b"Doe", b"first", b"second"):
        assert value not in adt.body


def test_mask_a_component_of_every_repetition(make: Any, adt: Work) -> None:
    message = make(Redact, {"mask": ["PID-3.1"], "with": "X"}).run(adt).message
    assert message.raw("PID-3") == b"X^^^MRN~X^^^NHS"


def test_an_index_names_one(make: Any, adt: Work) -> None:
    message = make(Redact, {"mask": ["PID-3[2].1", "OBX[1]-5"]}).run(adt).message
    assert message.raw("PID-3") == b"4711^^^MRN~****^^^NHS"
    assert message["OBX[*]-5"] == ["****", "high"]


def test_the_hl7_null_stays(make: Any) -> None:
    work = Work(b'MSH|^~\\&\rPID|1|""')
    assert make(Redact, {"mask": ["PID-2"]}).run(work).message["PID-2"] is NULL


def test_remove_every_one(make: Any, adt: Work) -> None:
    message = make(Redact, {"remove": ["NTE", "PID-3.1", "PID-5", "OBX[2]", "ZZZ"]}).run(adt).message
    assert not message.segments("NTE")
    assert message.raw("PID-3") == b"^^^MRN~^^^NHS"
    assert message["PID-5"] == ""
    assert len(message.segments("OBX")) == 1
    for value in (b"4711", b"0815", b"Doe", b"Jane", b"first", b"second", b"high"):
        assert value not in adt.body


def test_a_mask_that_the_message_cannot_hold(make: Any, adt: Work) -> None:
    with pytest.raises(StepError, match="character set"):
        make(Redact, {"mask": ["PID-3"], "with": "█"}).run(adt)


@pytest.mark.parametrize(
    ("values", "where"),
    [
        ({}, ""),
        ({"mask": ["PID"]}, ".mask[0]"),
        ({"mask": ["PID-3", "pid"]}, ".mask[1]"),
        ({"remove": ["MSH"]}, ".remove[0]"),
        ({"remove": ["MSH-2"]}, ".remove[0]"),
        ({"remove": "PID-3"}, ".remove"),
        ({"mask": ["PID-3"], "with": 1}, ".with"),
    ],
)
def test_what_is_no_redaction(make: Any, values: dict[str, Any], where: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make(Redact, values)
    assert caught.value.where == f"routes[r].steps[0].verb{where}"
