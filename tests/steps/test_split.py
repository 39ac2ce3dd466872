"""A split makes whole messages, and no result goes out under another patient or order."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.errors import ConfigError, FormatError, StepError
from hilum.formats.hl7v2 import Message
from hilum.sdk.contracts import StepContext, Work
from hilum.steps.split import Options, Split

HEAD = "MSH|^~\\&|LAB||HIS|||\\|ORU^R01|77|P|2.5"


def parts(by: str, *lines: str) -> list[list[str]]:
    """The segments of each part, without the head."""
    step = Split(Options(by=by), StepContext("UTC", "steps[0].split", lambda name: ""))
    work = Work("\r".join((HEAD, *lines, "")).encode(), attributes={"a": "b"})
    result = step.run(work)
    if result is work:
        return [work.body.decode().split("\r")[1:-1]]
    assert isinstance(result, list)
    found = []
    for number, part in enumerate(result, start=1):
        first, *rest = part.body.decode().split("\r")
        assert first == HEAD.replace("|77|", f"|77-{number}|")
        assert rest.pop() == "", "every segment ends as those of the message"
        assert part.attributes == {"a": "b"}
        found.append(rest)
    return found


@pytest.mark.ledger_part("S2-123", "split: one message for each order")
def test_one_order_a_message() -> None:
    assert parts("OBR", "PID|1", "PV1|1", "ORC|1", "OBR|1", "OBX|1", "NTE|1", "OBR|2", "OBX|2", "ORC|3", "OBR|3") == [
        ["PID|1", "PV1|1", "ORC|1", "OBR|1", "OBX|1", "NTE|1"],
        ["PID|1", "PV1|1", "OBR|2", "OBX|2"],
        ["PID|1", "PV1|1", "ORC|3", "OBR|3"],
    ]


def test_every_part_keeps_its_own_patient() -> None:
    assert parts("OBR", "SFT|1", "PID|1", "NK1|1", "OBR|1", "PID|2", "OBR|2", "OBR|3") == [
        ["SFT|1", "PID|1", "NK1|1", "OBR|1"],
        ["SFT|1", "PID|2", "OBR|2"],
        ["SFT|1", "PID|2", "OBR|3"],
    ]


def test_every_result_keeps_its_own_order() -> None:
    assert parts("OBX", "PID|1", "ORC|1", "OBR|1", "NTE|o", "OBX|1", "NTE|x", "OBX|2", "ORC|2", "OBR|2", "OBX|3",
                 "OBR|3", "OBX|4") == [
        ["PID|1", "ORC|1", "OBR|1", "NTE|o", "OBX|1", "NTE|x"],
        ["PID|1", "ORC|1", "OBR|1", "NTE|o", "OBX|2"],
        ["PID|1", "ORC|2", "OBR|2", "OBX|3"],
        ["PID|1", "OBR|3", "OBX|4"],
    ]  # fmt: skip


def test_an_order_without_obr_has_its_results_too() -> None:
    assert parts("OBX", "PID|1", "ORC|1", "RXE|1", "OBX|1", "OBX|2", "ORC|2", "OBX|3") == [
        ["PID|1", "ORC|1", "RXE|1", "OBX|1"],
        ["PID|1", "ORC|1", "RXE|1", "OBX|2"],
        ["PID|1", "ORC|2", "OBX|3"],
    ]


def test_other_segments_begin_parts() -> None:
    assert parts("PID", "PID|1", "OBR|1", "PID|2", "ORC|2", "OBR|2") == [
        ["PID|1", "OBR|1"],
        ["PID|2", "ORC|2", "OBR|2"],
    ]
    assert parts("PV1", "PID|1", "PV1|1", "ORC|1", "OBR|1", "PV1|2", "OBR|2") == [
        ["PID|1", "PV1|1", "ORC|1", "OBR|1"],
        ["PID|1", "PV1|2", "OBR|2"],
    ]
    assert parts("RXE", "PID|1", "ORC|1", "RXE|1", "RXR|1", "ORC|2", "RXE|2") == [
        ["PID|1", "ORC|1", "RXE|1", "RXR|1"],
        ["PID|1", "ORC|2", "RXE|2"],
    ]
    assert parts("ORC", "PID|1", "ORC|1", "OBR|1", "ORC|2", "OBR|2") == [
        ["PID|1", "ORC|1", "OBR|1"],
        ["PID|1", "ORC|2", "OBR|2"],
    ]


def test_what_is_one_part_goes_on_as_it_is() -> None:
    assert parts("OBR", "PID|1", "OBR|1") == [["PID|1", "OBR|1"]]
    assert parts("OBR", "PID|1") == [["PID|1"]]


@pytest.mark.parametrize(
    "lines",
    [
        ["PID|1", "OBR|1", "OBR|2", "PID|2"],
        ["PID|1", "PID|2", "OBR|1", "OBR|2"],
        ["PID|1", "ORC|1", "ORC|2", "OBR|1", "OBR|2"],
        ["PID|1", "OBR|1", "OBR|2", "ORC|3"],
    ],
)
def test_nothing_gets_lost(lines: list[str]) -> None:
    with pytest.raises(StepError, match="would be lost"):
        parts("OBR", *lines)


@given(
    st.lists(st.sampled_from(["PID", "PV1", "ORC", "OBR", "OBX", "NTE"]), max_size=14),
    st.sampled_from(["OBR", "OBX", "ORC"]),
)
def test_every_segment_is_in_a_part_and_under_what_preceded_it(names: list[str], by: str) -> None:
    lines = [f"{name}|{number}" for number, name in enumerate(names)]
    try:
        found = parts(by, *lines)
    except StepError:
        return
    assert {line for part in found for line in part} == set(lines)
    assert [line for part in found for line in part if line.startswith(by)] == [
        line for line in lines if line.startswith(by)
    ]
    for part in found if len(found) > 1 else []:
        assert part == sorted(part, key=lines.index)
        begin = next(number for number, line in enumerate(part) if line.startswith(by))
        earlier = lines[: lines.index(part[begin])]
        patients = [line for line in earlier if line.startswith("PID")]
        assert [line for line in part if line.startswith("PID")] == patients[-1:]
        if by == "OBX":
            since = earlier[earlier.index(patients[-1]) :] if patients else earlier
            orders = [line for line in since if line.startswith(("ORC", "OBR", "OBX"))]
            while orders and orders[-1].startswith("OBX"):
                orders.pop()
            last = orders[-2:] if [order[:3] for order in orders[-2:]] == ["ORC", "OBR"] else orders[-1:]
            assert [line for line in part[:begin] if line.startswith(("ORC", "OBR"))] == last


def test_a_batch_becomes_its_messages(make: Any) -> None:
    messages = [b"MSH|^~\\&|A|||||||1\rPID|1\r", b"MSH|^~\\&|A|||||||2\rPID|2\r"]
    file = b"FHS|^~\\&|A\rBHS|^~\\&|A\r" + b"".join(messages) + b"BTS|2\rFTS|1\r"
    result = make(Split, {"by": "batch"}).run(Work(file, attributes={"a": "b"}))
    assert [work.body for work in result] == messages
    assert [work.attributes for work in result] == [{"a": "b"}] * 2


def test_a_single_message_is_no_batch(make: Any, adt: Work) -> None:
    assert make(Split, {"by": "batch"}).run(adt) is adt


def test_line_ends_stay(make: Any) -> None:
    for end in (b"\r", b"\n", b"\r\n"):
        work = Work(end.join((b"MSH|^~\\&", b"OBX|1", b"OBX|2", b"")))
        assert [part.body for part in make(Split, {"by": "OBX"}).run(work)] == [
            end.join((b"MSH|^~\\&||||||||-1", b"OBX|1", b"")),
            end.join((b"MSH|^~\\&||||||||-2", b"OBX|2", b"")),
        ]


@pytest.mark.parametrize("body", [b"FHS|^~\\&\rFTS|0\r", b"nothing"])
def test_a_batch_without_messages(make: Any, body: bytes) -> None:
    with pytest.raises((StepError, FormatError)):
        make(Split, {"by": "batch"}).run(Work(body))


def test_a_control_id_that_the_message_cannot_write(make: Any) -> None:
    work = Work(b"MSH|-~|||||||7\rOBX|1\rOBX|2\r")  # a component separator that would need an escape
    with pytest.raises(StepError, match="MSH-10"):
        make(Split, {"by": "OBX"}).run(work)


def test_parts_are_bounded(make: Any) -> None:
    with pytest.raises(StepError, match="more than 10,000 parts"):
        make(Split, {"by": "OBX"}).run(Work(b"MSH|^~\\&\r" + b"OBX|1\r" * 10_001))


@pytest.mark.parametrize("by", ["MSH", "obr", "OBR-1", "files", ""])
def test_what_is_no_split(make: Any, by: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make(Split, {"by": by})
    assert caught.value.where == "routes[r].steps[0].verb.by"


def test_a_part_is_a_message(make: Any) -> None:
    work = Work(b"MSH|^~\\&|||||||ORU^R01|1\rOBR|1\rOBR|2\r")
    first, second = make(Split, {"by": "OBR"}).run(work)
    assert Message.parse(first.body)["OBR-1"] == "1"
    assert second.message["OBR-1"] == "2"
