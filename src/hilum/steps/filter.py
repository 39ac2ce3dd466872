"""Let a message pass only where a condition holds.

What does not pass is stored as `filtered`, or goes to the route's `otherwise`.
"""

from __future__ import annotations

from pydantic import Field

from hilum.expressions import compile_condition
from hilum.model.message import Disposition
from hilum.sdk.config import Config
from hilum.sdk.contracts import Result, Step, StepContext, Turned, Work


class Options(Config):
    """What a filter can be told."""

    where: str = Field(..., min_length=1, description="The condition, such as MSH-9.1 == 'ADT' or $.status == 'final'.")


class Filter(Step[Options]):
    """Turns away what does not meet its condition."""

    Config = Options

    def __init__(self, config: Options, context: StepContext) -> None:
        super().__init__(config, context)
        where = f"{context.where}.where"
        form = "json" if context.format == "json" else "hl7v2"
        self._holds = compile_condition(config.where, where=where, timezone=context.timezone, form=form).evaluate
        self._turned = Turned(Disposition.FILTERED, f"does not meet {config.where}")

    def run(self, work: Work) -> Result:
        return work if self._holds(work.document(self.reads), work.attributes, ()) else self._turned


step = Filter
