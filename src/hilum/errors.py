"""Every error that Hilum raises on purpose.

HilumError
├── FormatError          bytes that are not what they claim to be
├── ConfigError          a configuration that cannot be applied; carries where
│   └── ExpressionError  an expression that does not compile
├── StepError            a step could not process this message
├── NotFound             no such thing
├── Conflict             the thing exists, but its state forbids this
├── Refused              policy forbids this (an allow list, the egress decision)
├── StoreError           the store cannot do this
│   ├── StoreLocked      another process holds the data folder
│   └── StoreFull        no room on the disk
└── HubUnreachable       no running hub answers on its socket
"""

from __future__ import annotations


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


class ConfigError(HilumError):
    """A configuration cannot be applied; `where` is its path, such as `routes[0].steps[1].map.set`."""

    def __init__(self, reason: str, *, where: str = "") -> None:
        self.reason = reason
        self.where = where
        super().__init__(f"{where}: {reason}" if where else reason)


class ExpressionError(ConfigError):
    """An expression does not compile."""


class StepError(HilumError):
    """A step could not process this message; the message is stored with disposition `error`."""


class NotFound(HilumError):
    """No such thing, or none that the caller may see."""


class Conflict(HilumError):
    """The thing exists, but its state forbids what was asked."""


class Refused(HilumError):
    """Policy forbids what was asked."""


class StoreError(HilumError):
    """The store cannot do what was asked."""


class StoreLocked(StoreError):
    """Another process holds the data folder."""


class StoreFull(StoreError):
    """There is no room left on the disk."""


class HubUnreachable(HilumError):
    """No running hub answers on its socket."""
