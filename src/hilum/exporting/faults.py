"""Why an export failed, as people and programs are told: the reason, and row and variable where it was a value."""

from __future__ import annotations

from typing import Any

from hilum import telemetry
from hilum.errors import DataError, HilumError

log = telemetry.logger("jobs")


def problem(error: Exception) -> dict[str, Any]:
    if isinstance(error, DataError):
        return {"reason": error.reason, "row": error.row, "variable": error.variable}
    if isinstance(error, OSError):
        return {"reason": f"the file cannot be written: {error.strerror}", "row": 0, "variable": ""}
    if not isinstance(error, HilumError):
        log.exception("an export failed", error=type(error).__name__)
        return {"reason": f"internal error: {type(error).__name__}", "row": 0, "variable": ""}
    return {"reason": str(error), "row": 0, "variable": ""}
