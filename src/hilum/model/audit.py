"""What is done, by whom and why: acts while they happen, and the audit events that they become.

An act is one request, command or step of the hub itself and ends as one event. Events hold names, ids, digests and
values of configuration; never a secret, a payload or anything of a patient.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable
from typing import Any

from hilum.model.access import Principal, Scope


class Outcome(enum.StrEnum):
    SUCCESS = "success"
    DENIED = "denied"  # nobody, or nobody who may
    FAILURE = "failure"  # allowed, but it did not come to be


@dataclasses.dataclass(slots=True)
class Act:
    """Something that a principal is doing. `recorded` once its event is stored, or goes along with a change."""

    principal: Principal
    scope: Scope
    action: str  # noun.verb, such as user.create
    request_id: str = ""
    source: str = ""  # the peer's address
    reason: str = ""
    entity: str = ""  # noun/id, such as user/019a…
    details: dict[str, Any] = dataclasses.field(default_factory=dict)
    recorded: bool = False
    signature: str = ""  # the UUID of an electronic signature, and of an approval, that policy may ask for
    approval: str = ""
    conditions: list[Callable[[Any], object]] = dataclasses.field(default_factory=list)
    """Run in the change's transaction before it, with the connection; one that raises undoes it all (policy)."""

    @property
    def organization(self) -> int:
        return self.scope.organization


@dataclasses.dataclass(frozen=True, slots=True)
class Change:
    """What a store function did: to which entity, from what, to what. `result` is what its caller wants back.

    `before` and `after` are what the audit trail shows: without secrets. None: there was, or is, nothing.
    """

    result: Any
    entity: str
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None
    topic: str = ""  # of the outbox row; empty: the act's action


@dataclasses.dataclass(frozen=True, slots=True)
class AuditEvent:
    """An event as it is stored. `document` is canonical JSON (RFC 8785), of which the chain is made."""

    organization: int
    stamp: int  # microseconds since 1970
    action: str
    actor: str
    entity: str
    outcome: Outcome
    document: str
    id: int = 0


class Kind(enum.StrEnum):
    """The four kinds of acts that document 004 knows (ledger S4-62)."""

    CREATE = "CREATE"
    READ = "READ"
    UPDATE = "UPDATE"
    DELETE = "DELETE"


_READ = (
    "list", "read", "show", "search", "look", "body", "sent-body", "steps", "export", "key", "checkpoints", "check",
    "plan", "schema", "kinds", "usage", "verify", "back-up", "download", "preview", "history", "initializations",
    "versions", "version", "diff", "stats", "stream", "failures", "connections", "fetch", "signature",
)  # fmt: skip
_CREATE = ("create", "invite", "ask", "request", "begin", "link", "replay")
_DELETE = ("remove", "revoke", "purge", "end", "end-all", "lose")
_KINDS = {
    verb: kind for kind, verbs in ((Kind.READ, _READ), (Kind.CREATE, _CREATE), (Kind.DELETE, _DELETE)) for verb in verbs
}


def kind_of(action: str) -> Kind:
    """Of noun.verb. A verb that is not known changes something: to say less would hide it."""
    return _KINDS.get(action.partition(".")[2], Kind.UPDATE)
