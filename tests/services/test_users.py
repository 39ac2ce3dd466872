"""Who may hand out what: decided by who acts, before a user is even looked at."""

from __future__ import annotations

import pytest

from hilum.errors import Refused
from hilum.model.access import Binding, Principal, PrincipalKind, Role
from hilum.services.users import might, runs_the_hub
from hilum.store.users import Grant

SCOPES = frozenset({"users:write", "organizations:create"})


def somebody(kind: PrincipalKind, *bindings: Binding, scopes: frozenset[str] | None = None) -> Principal:
    return Principal(kind, "x", "x", 1, bindings, scopes)


@pytest.mark.parametrize(
    ("who", "platform", "admin"),
    [
        (somebody(PrincipalKind.LOCAL), True, True),
        (somebody(PrincipalKind.USER, Binding(Role.PLATFORM_OPERATOR)), True, True),
        (somebody(PrincipalKind.USER, Binding(Role.PLATFORM_OPERATOR, 1)), False, True),
        (somebody(PrincipalKind.USER, Binding(Role.TENANT_ADMIN)), False, True),
        (somebody(PrincipalKind.API_KEY, Binding(Role.TENANT_ADMIN), scopes=SCOPES), False, False),
        (somebody(PrincipalKind.API_KEY, Binding(Role.PLATFORM_OPERATOR), scopes=SCOPES), True, False),
        (somebody(PrincipalKind.API_KEY, Binding(Role.PLATFORM_OPERATOR), scopes=frozenset()), False, False),
    ],
)
def test_platform_operators_and_administrators(who: Principal, platform: bool, admin: bool) -> None:
    assert runs_the_hub(who) is platform
    for grant, may in ((Grant(Role.PLATFORM_OPERATOR), platform), (Grant(Role.TENANT_ADMIN, "trial"), admin)):
        if may:
            might(who).check([grant])
        else:
            with pytest.raises(Refused):
                might(who).check([Grant(Role.VIEWER), grant])
    might(who).check([Grant(Role.OPERATOR), Grant(Role.AUDITOR, "trial")])
