"""Check a message against its version of the standard and a site's profile.

`reject` answers the sender with the errors, `review` keeps the message for a person, `tag` lets it pass with
the attribute `validation` (valid or invalid) and the findings noted.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from hilum.errors import ConfigError
from hilum.expressions import note
from hilum.formats.hl7v2.findings import Finding, ack_errors
from hilum.formats.hl7v2.profile import Profile
from hilum.formats.hl7v2.validation import validate
from hilum.model.message import Disposition
from hilum.sdk.config import Config
from hilum.sdk.contracts import Rejected, Result, Step, StepContext, Turned, Work

MAX_FINDINGS = 20  # that are named; the others are counted


class Options(Config):
    """What a validation can be told."""

    profile: str | None = Field(None, description="A profile in YAML, in the configuration's folder.")
    on_error: Literal["reject", "tag", "review"] = Field(
        "reject", description="reject: answer with the errors; tag: let it pass, noted; review: ask a person."
    )
    severity: Literal["error", "warning"] = Field(
        "error", description="The lowest severity that makes a message invalid."
    )


class Validate(Step[Options]):
    """Checks; the message itself stays as it is."""

    Config = Options
    hl7v2_only = True

    def __init__(self, config: Options, context: StepContext) -> None:
        super().__init__(config, context)
        self._profile = None
        if config.profile is not None:
            text = context.read(config.profile)
            try:
                self._profile = Profile.load(text)
            except ConfigError as error:
                where = f"{context.where}.profile"
                raise ConfigError(f"{config.profile}: {error}", where=where) from None
        self._counts = ("error",) if config.severity == "error" else ("error", "warning")

    def run(self, work: Work) -> Result:
        found = [one for one in validate(work.message, self._profile) if one.severity in self._counts]
        if self.config.on_error == "tag":
            work.attributes["validation"] = "invalid" if found else "valid"
            for line in _lines(found):
                note(work.attributes, line)
            return work
        if not found:
            return work
        reason = "; ".join(_lines(found))
        if self.config.on_error == "review":
            return Turned(Disposition.REVIEW, reason)
        raise Rejected(reason, tuple(ack_errors(found))[:MAX_FINDINGS])


def _lines(found: list[Finding]) -> list[str]:
    lines = [f"{one.path}: {one.text}" for one in found[:MAX_FINDINGS]]
    rest = len(found) - len(lines)
    return [*lines, f"and {rest} more"] if rest else lines


step = Validate
