"""The organization's data keys: which there are, make a new one, wrap all under another key."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from hilum.api.paging import Page, Paging
from hilum.api.services import Used
from hilum.api.surface import Acting, Surface, allow
from hilum.errors import Refused
from hilum.model.access import PrincipalKind
from hilum.services.vault import KeyView

router = Surface("/keys")


class Rewrap(BaseModel):
    model_config = ConfigDict(extra="forbid")

    new_master: bool = Field(
        False, description="Make a new master key in hub.key first; only for somebody at the hub's own machine.",
        examples=[False],
    )  # fmt: skip


class Rewrapped(BaseModel):
    keys: int = Field(..., description="How many data keys are under the provider's current key now.")


@router.get("")
@allow("keys:rotate", audits="key.list")
async def list_keys(services: Used, act: Acting, paging: Paging) -> Page[KeyView]:
    """The data keys, the newest first: which key wraps each, and how much is sealed under it."""
    return Page[KeyView].cut(await services.vault.list(act.scope), paging)


@router.post("/rotate", status_code=202)
@allow("keys:rotate", audits="key.rotate")
async def rotate_keys(services: Used, act: Acting) -> KeyView:
    """A new data key. A job brings every secret under it; all can be read meanwhile."""
    await services.policy.check_own(act, "key.rotate", {"data_key": "new"})
    return await services.vault.rotate(act)


@router.post("/rewrap")
@allow("keys:rotate", audits="key.rewrap")
async def rewrap_keys(services: Used, act: Acting, wanted: Rewrap) -> Rewrapped:
    """Wrap the data keys under the current key of the current provider: at once, secrets stay as they are."""
    if wanted.new_master and act.principal.kind is not PrincipalKind.LOCAL:
        raise Refused("a new master key is made at the hub's own machine: hilum keys rewrap --new-master")
    await services.policy.check_own(act, "key.rotate", {"wrapping": "new" if wanted.new_master else "current"})
    return Rewrapped(keys=await services.vault.rewrap(act, renew=wanted.new_master))
