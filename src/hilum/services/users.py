"""Users: invited by a one-time link, bound to roles, shut out at once. Nobody sets a password for another person."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Sequence
from typing import Literal

from hilum import clock
from hilum.model.access import Principal, PrincipalKind, Scope, may
from hilum.model.audit import Act
from hilum.services.messages import stamp
from hilum.store import Store, users
from hilum.store.users import Grant, Might, State, UserFilter

INVITATION = 7 * 86_400  # seconds that the link of an invitation holds
RESET = 86_400  # seconds that the link for a new password holds


@dataclasses.dataclass(frozen=True, slots=True)
class User:
    """States: invited (no password yet), active, disabled, removed (for good). `locked`: after wrong passwords."""

    id: uuid.UUID
    email: str
    name: str
    state: State
    roles: list[Grant]
    identity_proofed: bool
    second_factor: bool
    locked: bool
    version: int
    created_at: str
    signed_in_at: str | None


@dataclasses.dataclass(frozen=True, slots=True)
class Link:
    """The token of a one-time link, which is shown this once: its holder sets the password."""

    token: str
    expires_at: str


@dataclasses.dataclass(frozen=True, slots=True)
class InvitedUser:
    """A user, and the link to be handed over to that person."""

    user: User
    link: Link


class Users:
    """The use cases."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def list(self, scope: Scope, wanted: UserFilter, offset: int, limit: int) -> tuple[list[User], int]:
        """By name, and how many there are."""
        read = self._store.within(scope.organization).read
        found, total = await read(users.listed, scope.organization, wanted, offset, limit)
        return [view(one) for one in found], total

    async def show(self, scope: Scope, identifier: uuid.UUID) -> User:
        """Also one that was removed: signatures name it. Raises NotFound."""
        return view(await self._store.within(scope.organization).read(users.find, scope.organization, identifier))

    async def invite(self, act: Act, email: str, name: str, roles: Sequence[Grant]) -> InvitedUser:
        """Raises Conflict where the address is taken, Refused, ConfigError for an unknown study."""
        change = self._store.within(act.organization).change
        made, token = await change(
            act, users.invite, self._store.hash, act.organization, email, name, roles, might(act.principal), INVITATION
        )
        return linked(made, token, INVITATION)

    async def change(
        self,
        act: Act,
        identifier: uuid.UUID,
        version: int,
        *,
        name: str | None,
        state: Literal["active", "disabled"] | None,
        identity_proofed: bool | None,
    ) -> User:
        """None leaves it as it is. Raises NotFound, Stale, Refused, Conflict (the last administrator)."""
        act.entity = f"user/{identifier}"
        change = self._store.within(act.organization).change
        changed = await change(
            act, users.change, act.organization, identifier, version, might(act.principal),
            name=name, state=state, identity_proofed=identity_proofed,
        )  # fmt: skip
        return view(changed)

    async def set_roles(self, act: Act, identifier: uuid.UUID, version: int, roles: Sequence[Grant]) -> User:
        """Put these in the place of all others. Raises NotFound, Stale, Refused, Conflict, ConfigError."""
        act.entity = f"user/{identifier}"
        change = self._store.within(act.organization).change
        return view(
            await change(act, users.set_roles, act.organization, identifier, version, roles, might(act.principal))
        )

    async def link(self, act: Act, identifier: uuid.UUID) -> InvitedUser:
        """A link for a new password; sessions end. Raises NotFound, Refused, Conflict for one who is disabled."""
        act.entity = f"user/{identifier}"
        change = self._store.within(act.organization).change
        found, token = await change(act, users.relink, act.organization, identifier, might(act.principal), RESET)
        return linked(found, token, RESET)

    async def remove(self, act: Act, identifier: uuid.UUID) -> None:
        """For good. Raises NotFound, Refused, Conflict (the last administrator)."""
        act.entity = f"user/{identifier}"
        change = self._store.within(act.organization).change
        await change(act, users.remove, act.organization, identifier, might(act.principal))


def runs_the_hub(principal: Principal) -> bool:
    """Whether this is a platform operator, or somebody at the hub's own machine."""
    return may(principal, "organizations:create")


def might(principal: Principal) -> Might:
    """What somebody may hand out."""
    return Might(operate=runs_the_hub(principal), administer=principal.kind is not PrincipalKind.API_KEY)


def linked(one: users.User, token: str, seconds: int) -> InvitedUser:
    """A user, and a link that holds from now on."""
    return InvitedUser(view(one), Link(token, stamp(clock.micros() + seconds * 1_000_000)))


def view(one: users.User) -> User:
    """A row as it is shown."""
    locked = one.locked_until is not None and one.locked_until > clock.micros()
    signed_in = None if one.signed_in_at is None else stamp(one.signed_in_at)
    return User(
        one.uuid, one.email, one.name, one.state, list(one.grants), one.identity_proofed, one.second_factor, locked,
        one.version, stamp(one.created_at), signed_in,
    )  # fmt: skip
