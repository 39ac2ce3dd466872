"""The language of conditions and computed values: compiled once, pure and bounded.

Described in docs/reference/expressions.md.
"""

from __future__ import annotations

from hilum.expressions.compiler import Expression, compile_condition, compile_expression
from hilum.expressions.paths import HL7_NULL, Loop, Loops, Place, Position, everywhere, expand, follow, read
from hilum.expressions.values import FINDINGS, EvaluationError, Kind, Variables, as_text, note

__all__ = [
    "FINDINGS",
    "HL7_NULL",
    "EvaluationError",
    "Expression",
    "Kind",
    "Loop",
    "Loops",
    "Place",
    "Position",
    "Variables",
    "as_text",
    "compile_condition",
    "compile_expression",
    "everywhere",
    "expand",
    "follow",
    "note",
    "read",
]
