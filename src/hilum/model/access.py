"""Who may do what: principals, roles and the one table of permissions. What it does not name is refused.

A role is bound to a whole organization or to one study of it. A principal may do what any of its bindings allows,
there alone; an API key or a token may narrow that further, never widen it.
"""

from __future__ import annotations

import dataclasses
import enum

from hilum.errors import NotFound, Refused

SYSTEM = 0
"""The hub's own organization: what happens before anybody is known belongs to it. Nobody signs in to it."""


class Role(enum.StrEnum):
    """The seven roles (ledger S4-77)."""

    PLATFORM_OPERATOR = "platform_operator"  # runs the hub: organizations and backups, no message, no secret
    TENANT_ADMIN = "tenant_admin"  # an organization's people, keys and policies
    INTEGRATION_SPECIALIST = "integration_specialist"  # builds integrations and routes
    OPERATOR = "operator"  # runs them: looks, replays, skips
    AUDITOR = "auditor"  # reads the evidence
    VIEWER = "viewer"  # sees how things stand, no payload
    SERVICE = "service"  # a machine: what its key's scopes say, out of little


class PrincipalKind(enum.StrEnum):
    USER = "user"
    API_KEY = "api_key"
    LOCAL = "local"  # somebody at the hub's own machine, who has its data folder
    SYSTEM = "system"  # the hub itself
    NOBODY = "nobody"  # not known (yet)


@dataclasses.dataclass(frozen=True, slots=True)
class Binding:
    """A role, in one study or (None) the whole organization."""

    role: Role
    study: int | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Principal:
    """Somebody who acts. `id` is a UUID (a user, a key) or `local:<os user>`; `name` is what people read."""

    kind: PrincipalKind
    id: str
    name: str
    organization: int
    bindings: tuple[Binding, ...] = ()
    scopes: frozenset[str] | None = None  # permissions that a key or token is narrowed to; None: not narrowed
    number: int = 0  # its row, 0 where it has none
    session: int = 0  # the session's row, 0 where there is none
    strict: bool = False  # whether here integrations are for administrators alone


NOBODY = Principal(PrincipalKind.NOBODY, "", "", SYSTEM)
HUB = Principal(PrincipalKind.SYSTEM, "hub", "Hilum", SYSTEM)


@dataclasses.dataclass(frozen=True, slots=True)
class Scope:
    """The rows that somebody may see: an organization's, all of them or (not None) those of some studies."""

    organization: int
    studies: frozenset[int] | None = None

    def admits(self, study: int | None) -> bool:
        """Whether something of this study (None: of none) is within."""
        return self.studies is None or study in self.studies

    def check(self, study: int | None, reason: str) -> None:
        """Raises NotFound with `reason`: what is outside is not there."""
        if not self.admits(study):
            raise NotFound(reason)


@dataclasses.dataclass(frozen=True, slots=True)
class Permission:
    """`roles` that have it; `by_study`: a role that is bound to a study has it there, else only organization-wide."""

    roles: frozenset[Role]
    by_study: bool = False


_ADMIN, _SPECIALIST, _OPERATOR = Role.TENANT_ADMIN, Role.INTEGRATION_SPECIALIST, Role.OPERATOR
_AUDITOR, _VIEWER, _SERVICE, _PLATFORM = Role.AUDITOR, Role.VIEWER, Role.SERVICE, Role.PLATFORM_OPERATOR
_EVERYBODY = (_ADMIN, _SPECIALIST, _OPERATOR, _AUDITOR, _VIEWER, _SERVICE, _PLATFORM)
_PEOPLE = (_ADMIN, _SPECIALIST, _OPERATOR, _AUDITOR, _VIEWER)


def _roles(*roles: Role) -> Permission:
    return Permission(frozenset(roles))


def _study(*roles: Role) -> Permission:
    return Permission(frozenset(roles), by_study=True)


PERMISSIONS: dict[str, Permission] = {
    "self:read": _study(*_EVERYBODY),  # one's own account, sessions and rights
    "self:write": _study(*_EVERYBODY),
    "organizations:read": _study(*_EVERYBODY),  # one's own; a platform operator's list has all of them
    "organizations:write": _roles(_ADMIN),  # one's own
    "organizations:create": _roles(_PLATFORM),
    "organizations:enter": _roles(_PLATFORM),  # look into another one, as its viewer would
    "studies:read": _study(*_PEOPLE, _SERVICE),
    "studies:write": _roles(_ADMIN),
    "users:read": _roles(_ADMIN, _AUDITOR),
    "users:write": _roles(_ADMIN),
    "api-keys:read": _roles(_ADMIN, _AUDITOR),
    "api-keys:write": _roles(_ADMIN),
    "credentials:read": _study(_ADMIN, _SPECIALIST, _AUDITOR),  # what there is, never a secret
    "credentials:write": _study(_ADMIN, _SPECIALIST),
    "certificates:read": _study(_ADMIN, _SPECIALIST, _OPERATOR, _AUDITOR, _VIEWER),
    "certificates:write": _study(_ADMIN, _SPECIALIST),
    "keys:rotate": _roles(_ADMIN),  # the organization's data keys
    "audit:read": _roles(_ADMIN, _AUDITOR),
    "audit:export": _roles(_AUDITOR),
    "signatures:read": _study(*_PEOPLE),
    "signatures:write": _study(_ADMIN, _SPECIALIST, _OPERATOR, _AUDITOR),
    "approvals:read": _study(_ADMIN, _SPECIALIST, _OPERATOR, _AUDITOR),
    "approvals:write": _study(_ADMIN, _SPECIALIST, _OPERATOR),
    "messages:read": _study(_ADMIN, _SPECIALIST, _OPERATOR, _AUDITOR, _VIEWER, _SERVICE),  # that it came, and its way
    "messages:payload": _study(_SPECIALIST, _OPERATOR, _SERVICE),  # what is in it: patients
    "messages:replay": _study(_SPECIALIST, _OPERATOR),
    "lanes:read": _study(_ADMIN, _SPECIALIST, _OPERATOR, _AUDITOR, _VIEWER, _SERVICE),
    "lanes:write": _study(_SPECIALIST, _OPERATOR),
    "sources:read": _study(_ADMIN, _SPECIALIST, _OPERATOR, _AUDITOR, _VIEWER, _SERVICE),
    "jobs:read": _study(_ADMIN, _SPECIALIST, _OPERATOR),
    "integrations:read": _study(_ADMIN, _SPECIALIST, _OPERATOR, _AUDITOR, _VIEWER, _SERVICE),  # never a secret
    "integrations:write": _study(_ADMIN, _SPECIALIST),
    "integrations:test": _study(_ADMIN, _SPECIALIST, _OPERATOR),  # harmless for partners, and not for nothing
    "executions:read": _study(_ADMIN, _SPECIALIST, _OPERATOR, _AUDITOR, _VIEWER, _SERVICE),  # that it was, and how long
    "executions:write": _study(_ADMIN, _SPECIALIST, _OPERATOR, _SERVICE),
    "executions:payload": _study(_SPECIALIST, _OPERATOR, _SERVICE),  # what was sent and answered: patients
    "logs:read": _study(_ADMIN, _SPECIALIST, _OPERATOR, _AUDITOR, _VIEWER, _SERVICE),
    "routes:read": _study(_ADMIN, _SPECIALIST, _OPERATOR, _AUDITOR, _VIEWER),  # where all of its ends may be seen
    "routes:write": _study(_ADMIN, _SPECIALIST),
    "mappings:read": _roles(_ADMIN, _SPECIALIST, _OPERATOR, _AUDITOR, _VIEWER),  # of no study: routes of all use them
    "mappings:write": _roles(_ADMIN, _SPECIALIST),
    "vendors:read": _roles(_ADMIN, _SPECIALIST, _OPERATOR, _AUDITOR, _VIEWER),
    "vendors:write": _roles(_ADMIN, _SPECIALIST),
    "webhooks:read": _study(_ADMIN, _SPECIALIST, _OPERATOR, _AUDITOR, _VIEWER, _SERVICE),  # never a secret
    "webhooks:write": _study(_ADMIN, _SPECIALIST),
    "connections:read": _study(_ADMIN, _AUDITOR),  # where data goes, what of it and why
    "events:read": _roles(_ADMIN, _SPECIALIST, _OPERATOR, _AUDITOR, _VIEWER, _SERVICE),  # that something changed
    "configuration:read": _roles(_ADMIN, _SPECIALIST, _AUDITOR),
    "configuration:write": _roles(_ADMIN, _SPECIALIST),
    "retention:read": _roles(_ADMIN, _SPECIALIST, _OPERATOR, _AUDITOR),  # holds, archives, what a purge would remove
    "retention:write": _roles(_ADMIN),
    "datasets:read": _study(*_PEOPLE, _SERVICE),  # what there is and its variables, no row
    "datasets:write": _study(_SPECIALIST, _OPERATOR, _SERVICE),  # import and archive
    "datasets:payload": _study(_SPECIALIST, _OPERATOR, _SERVICE),  # their rows: patients
    "exports:read": _study(_ADMIN, _SPECIALIST, _OPERATOR, _AUDITOR, _SERVICE),  # what was exported, no row
    "exports:create": _study(_ADMIN, _SPECIALIST, _OPERATOR, _AUDITOR, _SERVICE),  # of what one may read otherwise
    "subjects:export": _roles(_SPECIALIST, _OPERATOR, _SERVICE),  # all about a person: never by study
    "catalogue:read": _study(*_EVERYBODY),  # connectors and their forms
    "metrics:read": _roles(_PLATFORM),  # they name every organization
    "hub:write": _roles(_PLATFORM),  # backups, reload
}


INTEGRATIONS = frozenset({
    "integrations", "configuration", "sources", "credentials", "certificates", "routes", "mappings", "vendors",
    "webhooks", "connections",
})  # fmt: skip
"""What strict organizations leave to administrators, to look at as well (ledger S2-62). Who runs integrations, still
sees their lanes and messages."""

LOOKING = frozenset(
    name
    for name, rule in PERMISSIONS.items()
    if name.endswith(":read") and not name.startswith("self:") and Role.VIEWER in rule.roles
)
"""What a platform operator may in an organization that is not his own: see how things stand, nothing of patients."""


def permit(principal: Principal, permission: str) -> Scope:
    """The rows on which `principal` may do this. Raises Refused where there are none, KeyError for no permission."""
    rule = PERMISSIONS[permission]
    if principal.kind in (PrincipalKind.LOCAL, PrincipalKind.SYSTEM):
        return Scope(principal.organization)
    if principal.scopes is not None and permission not in principal.scopes:
        raise Refused(f"this needs the scope {permission}")
    roles = rule.roles
    if principal.strict and permission.partition(":")[0] in INTEGRATIONS:
        roles = roles & {Role.TENANT_ADMIN}
    granted = [one for one in principal.bindings if one.role in roles]
    if any(one.study is None for one in granted):
        return Scope(principal.organization)
    studies = frozenset(one.study for one in granted if one.study is not None)
    if not rule.by_study or not studies:
        raise Refused(f"this needs the permission {permission}")
    return Scope(principal.organization, studies)


def may(principal: Principal, permission: str) -> bool:
    """Whether `principal` may do this to anything at all."""
    try:
        permit(principal, permission)
    except Refused:
        return False
    return True
