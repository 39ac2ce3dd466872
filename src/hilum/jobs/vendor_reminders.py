"""Says in time, 60, 30, 14, 7 and 1 days before, that an agreement with a vendor or its evidence ends."""

from __future__ import annotations

from typing import Any

from hilum import clock
from hilum.jobs import Context
from hilum.model.access import HUB, Scope
from hilum.model.audit import Act, Change
from hilum.model.vendor import due
from hilum.store import Connection, vendors
from hilum.store.jobs import Job
from hilum.store.vendors import Row


class _Overtaken(Exception):
    """Another process told them."""


async def run(context: Context, job: Job) -> dict[str, Any]:
    """How many `vendors` were told of."""
    today, told = clock.now().date(), 0
    for one in await context.store.read(vendors.every):
        ending = one.model.ending(today)
        news = {what: days for what, left in ending.items() if (days := due(left, one.warned.get(what))) is not None}
        if news and await _tell(context, one, news):
            told += 1
    return {"vendors": told}


async def _tell(context: Context, one: Row, news: dict[str, int]) -> bool:
    def write(connection: Connection) -> Change:
        change = vendors.warned(connection, one, news)
        if change is None:
            raise _Overtaken
        return change

    try:
        act = Act(HUB, Scope(one.organization), "vendor.agreement_ending")
        await context.store.within(one.organization).change(act, write)
    except _Overtaken:
        return False
    return True
