"""A filter passes or turns away, and says by which condition."""

from __future__ import annotations

from typing import Any

import pytest

from hilum.errors import ConfigError, FormatError, StepError
from hilum.model.message import Disposition
from hilum.sdk.contracts import Turned, Work
from hilum.steps.filter import Filter


@pytest.mark.parametrize("where", ["MSH-9.1 == 'ADT'", "OBX[*]-3.1 == 'HB'", "$file_name matches '.*hl7'"])
def test_what_meets_the_condition_passes_untouched(make: Any, adt: Work, where: str) -> None:
    body = adt.body
    assert make(Filter, {"where": where}).run(adt) is adt
    assert adt.body == body


def test_what_does_not_is_filtered(make: Any, adt: Work) -> None:
    turned = make(Filter, {"where": "MSH-9.1 == 'ORU'"}).run(adt)
    assert turned == Turned(Disposition.FILTERED, "does not meet MSH-9.1 == 'ORU'")


@pytest.mark.parametrize(
    ("values", "where"),
    [
        ({"where": "MSH-9.1 = 'ADT'"}, "routes[r].steps[0].verb.where"),
        ({"where": "MSH-9.1"}, "routes[r].steps[0].verb.where"),
        ({"where": ""}, "routes[r].steps[0].verb.where"),
        ({"when": "true"}, "routes[r].steps[0].verb.where"),
        ({"where": "true", "else": "x"}, "routes[r].steps[0].verb.else"),
        ("MSH-9.1 == 'ADT'", "routes[r].steps[0].verb"),
    ],
)
def test_what_is_no_filter(make: Any, values: Any, where: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make(Filter, values)
    assert caught.value.where == where


def test_what_cannot_be_decided_is_an_error(make: Any, adt: Work) -> None:
    with pytest.raises(StepError, match="division by zero"):
        make(Filter, {"where": "1 / 0 == 1"}).run(adt)
    with pytest.raises(FormatError):
        make(Filter, {"where": "MSH-9.1 == 'ADT'"}).run(Work(b"\x89PNG", "bytes"))
