"""An operator's own function: what it may return, and what becomes of what it does wrong."""

from __future__ import annotations

from typing import Any

import pytest

from hilum.errors import ConfigError, StepError
from hilum.model.message import Disposition
from hilum.sdk.contracts import Turned, Work
from hilum.steps.map import Map
from hilum.steps.script import Script


@pytest.fixture
def run(make: Any, adt: Work) -> Any:
    """Run a function of this body on the message."""

    def call(body: str) -> Any:
        source = "import copy\n\ndef transform(message):\n    " + body.replace("\n", "\n    ")
        return make(Script, {"file": "own/x.py"}, files={"own/x.py": source}).run(adt)

    return call


def test_nothing_returned_goes_on_with_the_message(run: Any, adt: Work) -> None:
    assert run("message.set('MSH-5', 'OWN')") is adt
    assert b"|OWN|" in adt.body


def test_what_is_not_changed_leaves_as_it_came(run: Any, adt: Work) -> None:
    body = adt.body
    assert run("message['PID-3']").body == body


def test_another_message(run: Any, adt: Work) -> None:
    assert run("return bytes(message).replace(b'ADT', b'XXX')").message["MSH-9.1"] == "XXX"
    assert run("new = message.copy()\nnew.set('MSH-5', 'COPY')\nreturn new").message["MSH-5"] == "COPY"


def test_several(run: Any) -> None:
    result = run("return [bytes(message), message]")
    assert [work.message["MSH-10"] for work in result] == ["7", "7"]
    assert [work.attributes for work in result] == [{"file_name": "a.hl7"}] * 2
    assert run("return []") == []


def test_false_filters(run: Any) -> None:
    assert run("return False") == Turned(Disposition.FILTERED, "own/x.py: transform returned False")


@pytest.mark.parametrize("answer", ["True", "'text'", "1", "[None]", "['text']"])
def test_what_is_no_message_is_an_error(run: Any, answer: str) -> None:
    with pytest.raises(StepError, match="transform returned"):
        run(f"return {answer}")


def test_what_it_raises_passes_through(run: Any) -> None:
    with pytest.raises(ZeroDivisionError):
        run("1 / 0")


def test_it_is_not_deterministic() -> None:
    assert Script.deterministic is False
    assert Map.deterministic is True


def test_another_function(make: Any, adt: Work) -> None:
    files = {"x.py": "def route(message):\n    return False\n"}
    assert isinstance(make(Script, {"file": "x.py", "function": "route"}, files=files).run(adt), Turned)


@pytest.mark.parametrize(
    ("values", "source", "reason"),
    [
        ({"file": "absent.py"}, "", "absent.py is no file"),
        ({"file": "x.txt"}, "", "pattern"),
        ({"file": "x.py"}, "def transform(", "SyntaxError"),
        ({"file": "x.py"}, "raise SystemExit(3)", "SystemExit"),
        ({"file": "x.py"}, "1 / 0", "ZeroDivisionError"),
        ({"file": "x.py"}, "transform = 1", "no function transform"),
        ({"file": "x.py", "function": "a.b"}, "", "pattern"),
    ],
)
def test_what_is_no_script(make: Any, values: dict[str, str], source: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        make(Script, values, files={"x.py": source})
