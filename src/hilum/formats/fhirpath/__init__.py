"""FHIRPath for reading resources: what a mapping asks of one, compiled once and bounded.

Covered are paths, indexes, choice types, the operators, and the functions of functions.py. Not covered: literals of
dates and quantities, whatever reads the clock, calls out or repeats itself (now, resolve, repeat, descendants).
"""

from __future__ import annotations

from hilum.formats.fhirpath.parser import MAX_EXPRESSION, FhirPath, parse
from hilum.formats.fhirpath.values import FhirPathError

__all__ = ["MAX_EXPRESSION", "FhirPath", "FhirPathError", "parse"]
