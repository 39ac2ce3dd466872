"""A message that is not valid is answered, tagged or kept for a person."""

from __future__ import annotations

from typing import Any

import pytest

from hilum.errors import ConfigError
from hilum.model.message import Disposition
from hilum.sdk.contracts import Rejected, Turned, Work
from hilum.steps.validate import Validate

VALID = b"""MSH|^~\\&|HIS|H|LAB|L|20240701120000||ADT^A01^ADT_A01|7|P|2.5
EVN||20240701120000
PID|1||4711^^^MRN||Doe^Jane||19700101|F
PV1|1|I
""".replace(b"\n", b"\r")
BROKEN = VALID.replace(b"19700101", b"19701399").replace(b"EVN||20240701120000\r", b"")


def test_a_valid_message_passes(make: Any) -> None:
    work = Work(VALID)
    assert make(Validate, {}).run(work) is work
    assert work.attributes == {}
    assert work.body == VALID


def test_reject_answers_with_the_errors(make: Any) -> None:
    with pytest.raises(Rejected) as caught:
        make(Validate, {}).run(Work(BROKEN))
    assert {error.code for error in caught.value.errors} == {"100", "102"}
    assert "PID-7" in str(caught.value)
    assert "19701399" not in str(caught.value)


def test_review_keeps_it_for_a_person(make: Any) -> None:
    turned = make(Validate, {"on_error": "review"}).run(Work(BROKEN))
    assert isinstance(turned, Turned)
    assert turned.disposition is Disposition.REVIEW
    assert "PID-7" in turned.reason


def test_tag_lets_it_pass(make: Any) -> None:
    step = make(Validate, {"on_error": "tag"})
    broken, valid = Work(BROKEN), Work(VALID)
    assert step.run(broken) is broken
    assert broken.attributes["validation"] == "invalid"
    assert "PID-7" in broken.attributes["findings"]
    assert step.run(valid).attributes == {"validation": "valid"}
    assert broken.body == BROKEN


def test_warnings_count_if_asked(make: Any) -> None:
    work = Work(VALID.replace(b"|I\r", b"|QQ\r"))
    assert make(Validate, {}).run(work) is work
    with pytest.raises(Rejected, match="PV1-2"):
        make(Validate, {"severity": "warning"}).run(work)


def test_a_profile_tightens(make: Any) -> None:
    files = {"site.yaml": "fields:\n  PID-13: {required: true}\n"}
    with pytest.raises(Rejected, match="PID-13"):
        make(Validate, {"profile": "site.yaml"}, files=files).run(Work(VALID))


def test_findings_are_named_up_to_a_bound(make: Any) -> None:
    work = Work(VALID + b"".join(b"OBX|x|XX|||||||||Q\r" for _ in range(30)))
    with pytest.raises(Rejected, match=r"and \d+ more$") as caught:
        make(Validate, {}).run(work)
    assert len(caught.value.errors) == 20


@pytest.mark.parametrize(
    ("values", "files", "reason"),
    [
        ({"profile": "absent.yaml"}, {}, "absent.yaml is no file"),
        ({"profile": "p.yaml"}, {"p.yaml": "fields: 1"}, "p.yaml: fields"),
        ({"on_error": "drop"}, {}, "on_error"),
        ({"severity": "info"}, {}, "severity"),
    ],
)
def test_what_is_no_validation(make: Any, values: dict[str, Any], files: dict[str, str], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        make(Validate, values, files=files)
