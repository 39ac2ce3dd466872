"""Dates in expressions belong to the endpoint's zone; what is odd about one becomes a finding."""

from __future__ import annotations

from typing import Any

import pytest

from hilum.expressions import EvaluationError


def test_a_local_time_that_happens_twice_is_found(evaluate: Any) -> None:
    variables: dict[str, str] = {}
    assert evaluate("to_zone('20241027023000', 'UTC')", variables) == "20241027003000+0000"
    assert evaluate("with_offset('20241027023000')", variables) == "20241027023000+0200"
    finding = "a local time happens twice in Europe/Berlin; the earlier offset was taken"
    assert variables == {"findings": finding}
    assert evaluate("with_offset('20241103013000')", variables, zone="America/New_York") == "20241103013000-0400"
    assert variables["findings"].split("\n") == [
        finding,
        finding.replace("Europe/Berlin", "America/New_York"),
    ]


@pytest.mark.parametrize("call", ["to_zone({}, 'UTC')", "with_offset({})", "date_add({}, 1, 'hours')"])
def test_a_local_time_that_never_happens_is_an_error(evaluate: Any, call: str) -> None:
    with pytest.raises(EvaluationError, match="a local time that Europe/Berlin skips"):
        evaluate(call.format("'20240331023000'"))


@pytest.mark.parametrize(
    ("source", "result"),
    [
        ("date_add('20240331013000', 1, 'hours')", "20240331033000"),  # the clocks go forward
        ("date_add('20241027013000', 2, 'hours')", "20241027023000"),  # … and back
        ("date_add('20240331013000', 1, 'days')", "20240401013000"),
        ("date_add('20240331013000+0100', 60, 'minutes')", "20240331023000+0100"),
        ("date_add('20240331033000', -1, 'hours')", "20240331013000"),
        ("date_format('19700101', 'iso')", "1970-01-01"),
        ("date_format(date_add('19700101', 1, 'days'), 'hl7')", "19700102"),
        ("to_zone('19700101', 'Asia/Tokyo')", "19700101"),
        ("date_parse('2024-07-01T10:00:00.123Z', 'iso')", "20240701100000.123+0000"),
        ("date_parse('20240701', 'hl7')", "20240701"),
        ("with_offset(null)", None),
        ("without_offset('')", None),
        ("date_format('\"\"', 'iso')", None),
        ("to_zone(PID-20, 'UTC')", None),
        ("date_add(PID-20, 1, 'days')", None),
        ("date_parse(PID-20, 'iso')", None),
    ],
)
def test_dates(evaluate: Any, source: str, result: str | None) -> None:
    assert evaluate(source) == result


def test_hours_that_end_in_the_hour_that_happens_twice_are_found(evaluate: Any) -> None:
    variables: dict[str, str] = {}
    assert evaluate("date_add('20241027013000', 1, 'hours')", variables) == "20241027023000"
    assert "findings" in variables
