"""A compiled route never raises and always says what became of a message."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.model.configuration import Endpoint, Route
from hilum.model.message import Disposition
from hilum.pipeline import Output, Pipeline, Routed, compile_route
from hilum.sdk.config import Config
from hilum.sdk.contracts import Step, Work
from hilum.sdk.registry import Registry

ADT = b"MSH|^~\\&|HIS||LAB||20240701||ADT^A01|7|P|2.5\rPID|1||4711^^^MRN||Doe^Jane\r"
ORU = b"MSH|^~\\&|HIS||LAB||20240701||ORU^R01|8|P|2.5\rPID|1||4711\rOBR|1\rOBX|1||A\rOBR|2\rOBX|1||B\r"
FILTER = {"filter": {"where": "MSH-9.1 == 'ADT'"}}
MAP = {"map": {"set": {"MSH-5": "XFORMED"}}}


def test_the_example_of_the_design(compiled: Any) -> None:
    pipeline = compiled([FILTER, MAP])
    body = ADT.replace(b"|LAB|", b"|XFORMED|")
    assert pipeline.run(ADT) == Routed(Disposition.DELIVERING, (Output("lab/out", body),))
    turned = pipeline.run(ORU)
    assert turned == Routed(Disposition.FILTERED, reason="steps[0].filter: does not meet MSH-9.1 == 'ADT'")
    assert pipeline.destinations == ("lab/out",)


def test_every_destination_gets_it_and_a_keyed_lane_its_key(compiled: Any) -> None:
    routed = compiled([{"map": {"set": {"PID-3.1": "NEW"}}}], to=("lab/out", "ward/out")).run(ADT)
    assert [(output.destination, output.key) for output in routed.outputs] == [("lab/out", None), ("ward/out", "NEW")]
    assert routed.outputs[0].body == routed.outputs[1].body


@pytest.mark.parametrize("body", [b"MSH|^~\\&\r", b"MSH|^~\\&\rPID|1||\r", b'MSH|^~\\&\rPID|1||""\r', b"\x89PNG"])
def test_a_message_without_the_key_has_none(compiled: Any, body: bytes) -> None:
    (output,) = compiled([], to=("ward/out",)).run(body).outputs
    assert output == Output("ward/out", body, None)


def test_without_steps_the_bytes_pass(compiled: Any) -> None:
    body = bytes(range(256))
    assert compiled([], format="bytes").run(body).outputs == (Output("lab/out", body),)


def test_without_a_destination_it_is_unrouted(compiled: Any) -> None:
    routed = compiled([FILTER], to=()).run(ADT)
    assert routed == Routed(Disposition.UNROUTED, reason="the route names no destination")
    assert compiled([FILTER], to=()).run(ORU).disposition is Disposition.FILTERED


def test_what_a_filter_turned_away_goes_otherwise_as_it_stood(compiled: Any) -> None:
    pipeline = compiled([MAP, FILTER, {"map": {"set": {"MSH-6": "LATER"}}}], otherwise=("ward/out",))
    routed = pipeline.run(ORU)
    body = ORU.replace(b"|LAB|", b"|XFORMED|")
    assert routed.disposition is Disposition.DELIVERING
    assert routed.outputs == (Output("ward/out", body, "4711"),)
    assert routed.reason.startswith("steps[1].filter: does not meet")
    assert [output.destination for output in pipeline.run(ADT).outputs] == ["lab/out"]
    assert pipeline.destinations == ("lab/out", "ward/out")


def test_the_parts_of_a_split_go_on_one_by_one(compiled: Any) -> None:
    split = {"split": {"by": "OBR"}}
    pipeline = compiled([split, MAP, {"filter": {"where": "OBX-3 == 'B'"}}], otherwise=("ward/out",))
    routed = pipeline.run(ORU)
    assert routed.disposition is Disposition.DELIVERING
    assert [(output.destination, output.body.count(b"XFORMED")) for output in routed.outputs] == [
        ("lab/out", 1),
        ("ward/out", 1),
    ]
    assert b"|8-2|" in routed.outputs[0].body
    assert b"|8-1|" in routed.outputs[1].body
    alone = compiled([split, {"filter": {"where": "OBX-3 == 'C'"}}]).run(ORU)
    assert alone.disposition is Disposition.FILTERED
    assert alone.reason == "steps[1].filter: does not meet OBX-3 == 'C'", "a reason is told once"


@pytest.mark.parametrize(
    ("step", "disposition", "reason"),
    [
        (
            {"map": {"compute": {"PID-9": "number(OBX-3) if OBX-3 == 'B' else 1"}}},
            Disposition.ERROR,
            "steps[1].map: compute.PID-9: a value is no number",
        ),
        (
            {"lookup": {"path": "OBX-3", "table": {"A": "a"}, "unmapped": "review"}},
            Disposition.REVIEW,
            "steps[1].lookup: OBX-3: the code is not in the table",
        ),
    ],
)
def test_one_part_that_fails_holds_all(compiled: Any, step: Any, disposition: Disposition, reason: str) -> None:
    assert compiled([{"split": {"by": "OBR"}}, step]).run(ORU) == Routed(disposition, reason=reason)


def test_an_error_names_the_step_and_no_value(compiled: Any) -> None:
    routed = compiled([FILTER, {"map": {"compute": {"PID-5": "PID-5.1 * 2"}}}]).run(ADT)
    assert routed == Routed(Disposition.ERROR, reason="steps[1].map: compute.PID-5: a value is no number")


def test_what_is_no_hl7_is_an_error_at_the_first_step_that_reads_it(compiled: Any) -> None:
    for format in ("hl7v2", "bytes"):
        routed = compiled([FILTER], format=format).run(b"\x89PNG")
        assert routed.disposition is Disposition.ERROR
        assert routed.reason.startswith("steps[0].filter: MSH: no message header")


def test_what_a_validation_rejects_carries_the_errors(compiled: Any) -> None:
    routed = compiled([{"validate": {}}]).run(ORU.replace(b"|2.5\r", b"|9.9\r"))
    assert routed.disposition is Disposition.ERROR
    assert "203" in {error.code for error in routed.errors}
    assert routed.reason.startswith("steps[0].validate: ")
    assert routed.outputs == ()


def test_findings_come_with_the_message(compiled: Any) -> None:
    compute = {"map": {"compute": {"MSH-7": "with_offset('20241027023000')"}}}
    finding = "a local time happens twice in Europe/Berlin; the earlier offset was taken"
    assert compiled([compute]).run(ADT).findings == (finding,)
    assert compiled([{"split": {"by": "OBR"}}, compute]).run(ORU).findings == (finding,)
    never = {"filter": {"where": "1 == 2"}}
    assert compiled([compute, never]).run(ADT).findings == (finding,)
    fails = {"map": {"compute": {"PID-1": "1 / 0"}}}
    assert compiled([compute, fails]).run(ADT).findings == (finding,)
    assert compiled([MAP]).run(ADT).findings == ()


def test_attributes_are_variables_and_stay_the_callers(compiled: Any) -> None:
    attributes = {"file_name": "a.hl7"}
    routed = compiled([{"map": {"compute": {"MSH-5": "$file_name"}}}, {"validate": {"on_error": "tag"}}]).run(
        ADT, attributes
    )
    assert b"|a.hl7|" in routed.outputs[0].body
    assert attributes == {"file_name": "a.hl7"}


@pytest.fixture
def scripted(compiled: Any, tmp_path: Path) -> Any:
    def call(body: str, *steps: Any, **more: Any) -> Pipeline:
        (tmp_path / "x.py").write_text(f"def transform(message):\n    {body}\n", encoding="utf-8")
        pipeline = compiled([{"script": {"file": "x.py"}}, *steps], folder=tmp_path, **more)
        assert isinstance(pipeline, Pipeline)
        return pipeline

    return call


def test_what_a_script_raises_is_an_error_without_its_text(scripted: Any) -> None:
    routed = scripted("raise RuntimeError(message['PID-5'])").run(ADT)
    assert routed == Routed(Disposition.ERROR, reason="steps[0].script: RuntimeError")


def test_a_script_makes_a_route_that_is_not_deterministic(scripted: Any, compiled: Any) -> None:
    assert scripted("pass").deterministic is False
    assert compiled([FILTER, MAP]).deterministic is True


def test_a_script_that_makes_nothing_filters(scripted: Any) -> None:
    assert scripted("return []", MAP).run(ADT) == Routed(
        Disposition.FILTERED, reason="steps[0].script: made no message"
    )


def test_a_script_that_makes_several(scripted: Any) -> None:
    assert len(scripted("return [message, message]", MAP).run(ADT).outputs) == 2
    assert scripted("return [message] * 10001", MAP).run(ADT).disposition is Disposition.ERROR


@pytest.mark.ledger_part("S2-122", "preview of a mapping on a sample: what each step makes of it")
def test_a_trace_tells_every_step(compiled: Any) -> None:
    pipeline = compiled([{"split": {"by": "OBR"}}, {"filter": {"where": "OBX-3 == 'B'"}}, MAP])
    split, filtered, mapped = pipeline.trace(ORU)
    assert (split.step, filtered.step, mapped.step) == ("steps[0].split", "steps[1].filter", "steps[2].map")
    assert split.input == (ORU,)
    assert split.output == filtered.input
    assert len(split.output) == 2
    assert filtered.output == split.output[1:] == mapped.input
    assert filtered.result == "filtered: steps[1].filter: does not meet OBX-3 == 'B'"
    assert mapped.output == (pipeline.run(ORU).outputs[0].body,)
    assert [trace.result for trace in (split, mapped)] == ["passed", "passed"]
    assert all(trace.microseconds >= 0 for trace in (split, filtered, mapped))


def test_a_trace_ends_where_the_message_does(compiled: Any) -> None:
    (only,) = compiled([FILTER, MAP]).trace(ORU)
    assert only.output == ()
    fails = {"map": {"compute": {"PID-1": "1 / 0"}}}
    passed, failed = compiled([FILTER, fails, MAP]).trace(ADT)
    assert passed.result == "passed"
    assert (failed.input, failed.output) == ((ADT,), ())
    assert failed.result == "error: steps[1].map: compute.PID-1: division by zero"


@pytest.mark.ledger_part("S2-122", "test cases stored with the mapping are run for a whole route")
def test_examples_of_all_steps(compiled: Any) -> None:
    wrong = {"input": ADT.decode(), "expected": {"MSH-5": "Y"}}
    right = {"input": ADT.decode(), "expected": {"MSH-5": "X"}}
    step = {"map": {"set": {"MSH-5": "X"}, "examples": [right, wrong]}}
    assert compiled([FILTER, step]).examples() == ["steps[1].map.examples[1]: MSH-5 is 'X', not 'Y'"]


def test_a_plugins_step_may_give_another_work(registry: Registry) -> None:
    class Answer(Step[Any]):
        """Gives a message of its own."""

        Config = Config

        def run(self, work: Work) -> Work:
            return Work(b"ANSWER", "bytes")

    pipeline = compile_route(
        Route.model_validate({"name": "r", "from": "hub/in", "steps": [{"answer": {}}], "to": ["lab/out"]}),
        registry=dataclasses.replace(registry, steps={**registry.steps, "answer": Answer}),
        source=Endpoint(name="in", direction="inbound", url="mllp://127.0.0.1:1"),
        source_format="hl7v2",
        destinations={"lab/out": Endpoint(name="out", direction="outbound", url="mllp://127.0.0.1:2")},
    )
    assert pipeline.run(ADT).outputs == (Output("lab/out", b"ANSWER"),)


STEPS = st.sampled_from(
    [
        FILTER,
        MAP,
        {"split": {"by": "OBR"}},
        {"split": {"by": "OBX"}},
        {"split": {"by": "batch"}},
        {"lookup": {"path": "OBX[*]-3", "table": {"A": "a"}, "unmapped": "review"}},
        {"lookup": {"path": "PID-3[*].1", "table": {"A": "a"}}},
        {"redact": {"mask": ["PID-3", "NTE-3.1"], "remove": ["OBX-5", "NTE"]}},
        {"validate": {"on_error": "tag"}},
        {"map": {"copy": {"ZPI-1": "PID-3"}, "move": {"OBX-4": "OBX-3"}, "remove": ["PID-3[1]"]}},
        {"map": {"compute": {"PID-5": "PID-3 * 2", "OBX-9": "join(OBX[*]-3, '|')"}}},
        {"map": {"each": [{"in": "OBX[*]", "where": "OBX-3 != 'A'", "do": {"remove": ["OBX"]}}]}},
        {"map": {"each": [{"in": "PID-3[*]", "do": {"default": {"PID-3.4": "$index"}}}], "when": "MSH-9 == 'ADT'"}},
    ]
)
LINES = st.lists(
    st.sampled_from(
        [
            b"PID|1||4711^^^MRN~0815", b"OBR|1", b"ORC|NW", b"OBX|1|NM|A||5", b"OBX|2|ST|B||\\X41\\~\\", b"NTE|1||x",
            b'PID|""|""|""', b"MSH|^~\\&|B", b"", b"BTS|1", b"ZPI|\xff\xfe|^~\\&", b"pid", b"PID", b"|||",
        ]
    ),
    max_size=12,
)  # fmt: skip
HEADS = st.sampled_from(
    [b"MSH|^~\\&|HIS||LAB||20240701||ADT^A01|7|P|2.5", b"MSH|^~\\&", b"MSH|", b"MSH", b"FHS|^~\\&", b"MSH#*~\\&#A",
     b"MSH|^~\\&|||||||ORU^R01|8|P|2.5||||||UNICODE UTF-8", b""]
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(STEPS, max_size=4), HEADS, LINES, st.sampled_from([b"\r", b"\n", b"\r\n"]))
def test_a_route_never_raises(compiled: Any, steps: list[Any], head: bytes, lines: list[bytes], end: bytes) -> None:
    pipeline = compiled(steps, to=("lab/out", "ward/out"), otherwise=("lab/out",))
    body = end.join((head, *lines))
    routed = pipeline.run(body)
    assert routed == pipeline.run(body), "the same message gives the same"
    assert isinstance(routed.disposition, Disposition)
    assert bool(routed.outputs) == (routed.disposition is Disposition.DELIVERING)
    assert routed.outputs or routed.reason
    assert "Error" not in routed.reason, "nothing unexpected"
    traces = pipeline.trace(body)
    assert len(traces) <= len(steps)
    if routed.disposition is Disposition.DELIVERING and len(traces) == len(steps) and traces:
        assert {output.body for output in routed.outputs} >= set(traces[-1].output)


@given(st.binary(max_size=80))
def test_any_bytes(compiled: Any, body: bytes) -> None:
    routed = compiled([FILTER, MAP]).run(b"MSH" + body)
    assert "Error" not in routed.reason
