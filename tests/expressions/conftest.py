"""The message that the reference page shows, and a way to evaluate on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hilum.expressions import compile_expression
from hilum.formats.hl7v2 import Message

SAMPLE = rb"""MSH|^~\&|LAB|SITE|HIS|SITE|20240101120000||ORU^R01^ORU_R01|42|P|2.5
PID|1||4711^^^MRN~0815^^^NHS||Doe^Jane|""|19700101|f|
OBX|1|NM|GLU^Glucose||5.5|mmol/l
OBX|2|NM|HB^Haemoglobin||140|g/l
"""

Evaluate = Callable[..., Any]


@pytest.fixture(scope="session")
def sample_text() -> str:
    return SAMPLE.decode()


@pytest.fixture
def sample() -> Message:
    return Message.parse(SAMPLE)


@pytest.fixture
def evaluate(sample: Message) -> Evaluate:
    """Evaluate an expression on the sample; its variables can be given and are where findings go."""

    def call(source: str, variables: dict[str, str] | None = None, *, zone: str = "Europe/Berlin") -> Any:
        expression = compile_expression(source, timezone=zone)
        return expression.evaluate(sample, {} if variables is None else variables, ())

    return call
