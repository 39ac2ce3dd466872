"""The examples in the documentation of the formats do what they show."""

from __future__ import annotations

import doctest
import importlib

import pytest


@pytest.mark.parametrize("name", ["hl7v2.batch", "hl7v2.message", "hl7v2.path", "hl7v2.segment", "mllp"])
def test_examples_are_true(name: str) -> None:
    found = doctest.testmod(importlib.import_module(f"hilum.formats.{name}"))
    assert found.attempted > 0
    assert found.failed == 0
