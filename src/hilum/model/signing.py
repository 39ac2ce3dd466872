"""Electronic signatures and what asks for them: meanings, operations, the policy table (21 CFR 11; ledger S0-21).

What an operation needs follows from where it is done: environment x study x GxP. An organization may ask for more
everywhere, and for less outside production.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from hilum.errors import ConfigError

PRODUCTION = "production"
ENVIRONMENTS = (PRODUCTION, "staging", "development", "test")


class Meaning(enum.StrEnum):
    """What a signature says about the record (21 CFR 11.50(a)(3))."""

    AUTHORSHIP = "authorship"
    REVIEW = "review"
    APPROVAL = "approval"
    RESPONSIBILITY = "responsibility"


@dataclasses.dataclass(frozen=True, slots=True)
class Demand:
    """What an operation needs: a reason, a signature with one of these meanings (none: none), a second person."""

    reason: bool = False
    signature: tuple[Meaning, ...] = ()
    four_eyes: bool = False

    def tightened(self, other: Demand) -> Demand:
        """Whatever either asks for. Of two lists of meanings what is in both, or the later one where nothing is."""
        both = tuple(one for one in self.signature if one in other.signature)
        meanings = both or other.signature or self.signature
        return Demand(self.reason or other.reason, meanings, self.four_eyes or other.four_eyes)


@dataclasses.dataclass(frozen=True, slots=True)
class Operation:
    """Something that policy may have a say in. Who signs for it or approves it must hold `permission` himself."""

    permission: str
    later: bool = False  # its route comes with a later issue; named here because S0-21 names it


OPERATIONS: dict[str, Operation] = {
    "configuration.apply": Operation("configuration:write"),
    "configuration.release": Operation("configuration:write"),
    "credential.change": Operation("credentials:write"),
    "key.rotate": Operation("keys:rotate"),
    "message.edit": Operation("messages:replay"),  # edit and resend
    "policy.change": Operation("organizations:write"),
    "retention.change": Operation("organizations:write"),
    "user.roles": Operation("users:write"),
    "integration.activate": Operation("integrations:write"),
    "integration.deactivate": Operation("integrations:write"),
    "integration.archive": Operation("integrations:write"),
    "integration.change": Operation("integrations:write"),
    "plaintext.except": Operation("integrations:write"),  # to speak unencrypted to another host (C-24)
    "mapping.change": Operation("routes:write"),
    "export.release": Operation("signatures:write"),
    "legal-hold.lift": Operation("retention:write"),
    "erasure.approve": Operation("organizations:write", later=True),
}


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """Where something is done: the organization's environment, the study's name (None: of none), a GxP integration?"""

    environment: str
    study: str | None = None
    gxp: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Default:
    """A row of the table that every organization starts from. None and False: wherever it is."""

    operations: tuple[str, ...]
    demand: Demand
    environment: str | None = None
    gxp: bool = False

    def fits(self, operation: str, place: Place) -> bool:
        return (
            operation in self.operations
            and self.environment in (None, place.environment)
            and (place.gxp or not self.gxp)
        )


_DOING = (Meaning.AUTHORSHIP, Meaning.APPROVAL, Meaning.RESPONSIBILITY)  # a review alone changes nothing
_DECIDING = (Meaning.APPROVAL, Meaning.RESPONSIBILITY)
_LIFECYCLE = ("integration.activate", "integration.deactivate", "integration.archive")
DEFAULTS: tuple[Default, ...] = (
    Default(("configuration.apply", "configuration.release", "key.rotate", "user.roles"), Demand(reason=True),
            PRODUCTION),
    Default((*_LIFECYCLE, "plaintext.except"), Demand(reason=True, signature=_DECIDING), PRODUCTION),
    Default(("message.edit", "retention.change", "policy.change"), Demand(reason=True, signature=_DOING), PRODUCTION),
    Default(("export.release", "legal-hold.lift", "erasure.approve"), Demand(reason=True, signature=_DECIDING)),
    # the flag of an integration switches on the reason for change and the second person (S0-27), and a signature
    Default(("credential.change", "mapping.change", "message.edit"),
            Demand(reason=True, signature=_DOING, four_eyes=True), gxp=True),
    Default(("configuration.apply", "configuration.release", "integration.change"), Demand(reason=True), gxp=True),
)  # fmt: skip


class Rule(BaseModel):
    """A row of an organization's own policy. What it leaves out stays as it was."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    operation: str = Field(..., description="Such as credential.change; * is every one.")
    environments: tuple[str, ...] = Field((), description="Where it holds; none: everywhere.")
    study: str | None = Field(None, description="Only in the study of this name.")
    gxp: bool = Field(False, description="Only where a GxP integration is concerned.")
    reason: bool | None = Field(None, description="Is a reason for change needed?")
    signature: tuple[Meaning, ...] | None = Field(None, description="Meanings that will do; []: no signature.")
    four_eyes: bool | None = Field(None, description="Does a second person have to approve?")

    @model_validator(mode="after")
    def _known(self) -> Rule:
        if self.operation != "*" and self.operation not in OPERATIONS:
            raise ValueError(f"there is no operation {self.operation}")
        if unknown := sorted({*self.environments} - {*ENVIRONMENTS}):
            raise ValueError(f"there is no environment {unknown[0]}")
        loosens = self.reason is False or self.signature == () or self.four_eyes is False
        if loosens and (not self.environments or PRODUCTION in self.environments):
            raise ValueError("production can only be tightened: name the environments that ask for less")
        return self

    def fits(self, operation: str, place: Place) -> bool:
        return (
            self.operation in ("*", operation)
            and (not self.environments or place.environment in self.environments)
            and self.study in (None, place.study)
            and (place.gxp or not self.gxp)
        )

    def change(self, demand: Demand, *, tighten: bool) -> Demand:
        """What `demand` becomes. `tighten`: nothing that it asks for is dropped."""
        said = Demand(
            demand.reason if self.reason is None else self.reason,
            demand.signature if self.signature is None else self.signature,
            demand.four_eyes if self.four_eyes is None else self.four_eyes,
        )
        return demand.tightened(said) if tighten else said


def rules(settings: Mapping[str, Any]) -> tuple[Rule, ...]:
    """An organization's own rules, of its settings. Raises ConfigError saying where one is wrong."""
    given = settings.get("policy") or []
    if not isinstance(given, Sequence) or isinstance(given, str):
        raise ConfigError("must be a list of rules", where="settings.policy")
    found = []
    for number, one in enumerate(given):
        try:
            found.append(Rule.model_validate(one))
        except ValidationError as error:
            first = error.errors()[0]
            place = "".join(f".{part}" for part in first["loc"])
            reason = first["msg"].removeprefix("Value error, ")
            raise ConfigError(reason, where=f"settings.policy[{number}]{place}") from None
    return tuple(found)


def demanded(operation: str, place: Place, own: Iterable[Rule] = ()) -> Demand:
    """What an operation needs at a place: the defaults, then the organization's own rules one after the other.

    Raises KeyError where there is no such operation.
    """
    OPERATIONS[operation]
    demand = Demand()
    for default in DEFAULTS:
        if default.fits(operation, place):
            demand = demand.tightened(default.demand)
    for rule in own:
        if rule.fits(operation, place):
            demand = rule.change(demand, tighten=place.environment == PRODUCTION)
    return demand


def line(document: Mapping[str, Any]) -> str:
    """A signature as people read it, wherever the record is shown (11.50): printed name, time with zone, meaning."""
    time = str(document.get("time"))[:19].replace("T", " ")
    about = f"{document.get('operation')} of {document.get('entity')}, version {document.get('version')}"
    reason = f" ({document['reason']})" if document.get("reason") else ""
    name = document["signer"].get("name")
    return f"Signed by {name} on {time} UTC, meaning: {document.get('meaning')}; {about}{reason}"
