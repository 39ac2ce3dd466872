"""FHIRPath in expressions: `fhirpath('name.given')`. It gives one value, or several as an array."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hilum.expressions.values import EvaluationError
from hilum.formats import fhirpath
from hilum.formats.fhirpath import FhirPathError


def compiled(text: str) -> Callable[[Any, Any], Any]:
    """What reads it of a value and its resource. Raises ValueError naming the character."""
    path = fhirpath.parse(text)

    def read(start: Any, resource: Any) -> Any:
        try:
            found = path(start, resource)
        except FhirPathError as error:
            raise EvaluationError(f"fhirpath: {error}") from None
        return None if not found else found[0] if len(found) == 1 else found

    return read
