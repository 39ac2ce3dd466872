"""Every error that Hilum raises on purpose.

HilumError
├── FormatError          bytes that are not what they claim to be
├── DataError            a value of a data set cannot be read or written; carries row and variable
├── ConfigError          a configuration that cannot be applied; carries where
│   ├── ConfigErrors     several such, told at once
│   └── ExpressionError  an expression that does not compile
├── StepError            a step could not process this message
├── ReasonNeeded         only with a reason for change
├── NotFound             no such thing
│   └── Gone             there was one: its time is over
├── Conflict             the thing exists, but its state forbids this
│   └── Stale            it was changed since the caller read it
├── Unauthenticated      nobody knows who asks
│   └── CodeNeeded       the password is right, a one-time code is missing
├── Refused              policy forbids this (an allow list, the egress decision, a role)
│   ├── SignatureNeeded  only with an electronic signature
│   ├── ApprovalNeeded   only with a second person's approval
│   └── TooMany          asked too often; carries when to ask again
├── PartnerFailed        another system, that this had to ask, did not do its part
│   └── PartnerSlow      it did not answer in time
├── StoreError           the store cannot do this
│   ├── StoreLocked      another process holds the data folder
│   └── StoreFull        no room on the disk
└── HubUnreachable       no running hub answers on its socket
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence


class HilumError(Exception):
    """The root: everything below is expected, worded for a person and safe to print."""


class FormatError(HilumError):
    """Bytes cannot be read as the format they claim; `segment` and `field` say where, if known."""

    def __init__(self, reason: str, *, segment: str | None = None, field: int | None = None) -> None:
        self.reason = reason
        self.segment = segment
        self.field = field
        where = "" if segment is None else segment if field is None else f"{segment}-{field}"
        super().__init__(f"{where}: {reason}" if where else reason)


class DataError(HilumError):
    """A value of a data set cannot be read or written; `row` counts from 1, 0 where none is meant."""

    def __init__(self, reason: str, *, row: int = 0, variable: str = "") -> None:
        self.reason = reason
        self.row = row
        self.variable = variable
        where = ", ".join([*([f"row {row}"] if row else []), *([variable] if variable else [])])
        super().__init__(f"{where}: {reason}" if where else reason)


class ConfigError(HilumError):
    """A configuration cannot be applied; `where` is its path, such as `routes[0].steps[1].map.set`."""

    def __init__(self, reason: str, *, where: str = "") -> None:
        self.reason = reason
        self.where = where
        super().__init__(f"{where}: {reason}" if where else reason)

    @property
    def problems(self) -> tuple[ConfigError, ...]:
        """All that is wrong."""
        return (self,)


class ConfigErrors(ConfigError):
    """Several at once: its words are the first one's, `problems` has them all."""

    def __init__(self, problems: Sequence[ConfigError]) -> None:
        self._problems = tuple(problems)
        super().__init__(problems[0].reason, where=problems[0].where)

    @property
    def problems(self) -> tuple[ConfigError, ...]:
        return self._problems


class ExpressionError(ConfigError):
    """An expression does not compile."""


class StepError(HilumError):
    """A step could not process this message; the message is stored with disposition `error`."""


class ReasonNeeded(HilumError):
    """Policy asks for a reason for change, and none was given."""

    def __init__(self, operation: str) -> None:
        self.operation = operation
        super().__init__(f"{operation} needs a reason: say why (header X-Reason; on the command line --reason)")


class NotFound(HilumError):
    """No such thing, or none that the caller may see."""


class Gone(NotFound):
    """There was one, and its time is over."""


class Conflict(HilumError):
    """The thing exists, but its state forbids what was asked."""


class Stale(Conflict):
    """The thing was changed since the caller read it."""


class Unauthenticated(HilumError):
    """Nobody knows who asks: no credentials, or none that hold. `expired`: they held until a moment ago."""

    def __init__(self, reason: str = "sign in first", *, expired: bool = False) -> None:
        self.expired = expired
        super().__init__(reason)


class CodeNeeded(Unauthenticated):
    """The password is right, but this account has a second factor and no one-time code came along."""

    def __init__(self) -> None:
        super().__init__("a one-time code is needed as well")


class Refused(HilumError):
    """Policy forbids what was asked."""


class SignatureNeeded(Refused):
    """Policy asks for an electronic signature; `operation` and `entity` say of what, `meanings` which will do."""

    def __init__(self, operation: str, entity: str, meanings: tuple[str, ...], reason: str = "") -> None:
        self.operation = operation
        self.entity = entity
        self.meanings = meanings
        super().__init__(reason or f"{operation} needs an electronic signature")


class ApprovalNeeded(Refused):
    """Policy asks for a second person; `request` is what to ask for the approval with."""

    def __init__(self, operation: str, entity: str, request: str, reason: str = "") -> None:
        self.operation = operation
        self.entity = entity
        self.request = request
        super().__init__(reason or f"{operation} needs the approval of a second person")


class TooMany(Refused):
    """Asked too often; `after` is the number of seconds to wait."""

    def __init__(self, reason: str, *, after: float) -> None:
        self.after = after
        super().__init__(reason)


class PartnerFailed(HilumError):
    """Another system that had to be asked for this cannot be reached, or its answer is none. `details`: more of it."""

    def __init__(self, reason: str, details: Mapping[str, object] | None = None) -> None:
        self.details = dict(details or {})
        super().__init__(reason)


class PartnerSlow(PartnerFailed):
    """Another system that had to be asked for this did not answer in time."""


class StoreError(HilumError):
    """The store cannot do what was asked."""


class StoreLocked(StoreError):
    """Another process holds the data folder."""


class StoreFull(StoreError):
    """There is no room left on the disk."""


class HubUnreachable(HilumError):
    """No running hub answers on its socket."""
