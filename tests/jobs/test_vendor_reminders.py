"""People are told once for each threshold that an agreement ends."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from hilum import clock
from hilum.jobs import Context, vendor_reminders
from hilum.model.vendor import Agreement, Vendor, due
from hilum.store import configuration, vendors

pytestmark = pytest.mark.anyio


def test_each_warning_is_given_once() -> None:
    told: int | None = None
    given = []
    for left in range(70, -3, -1):
        if (days := due(left, told)) is not None:
            told = days
            given.append((left, days))
    assert given == [(60, 60), (30, 30), (14, 14), (7, 7), (1, 1)]


async def test_it_is_told_once(store: Any, act: Any, context: Context) -> None:
    await store.write(configuration.put_organization, "demo", {})
    soon = clock.now().date() + datetime.timedelta(days=10)
    wanted = Vendor(name="Lab", agreements=[Agreement(kind="DPA", reference="D-1", ends_on=soon)])
    await store.within(1).change(act(), vendors.create, 1, wanted)
    assert await vendor_reminders.run(context, None) == {"vendors": 1}  # type: ignore[arg-type]  # it reads none
    assert await vendor_reminders.run(context, None) == {"vendors": 0}  # type: ignore[arg-type]  # it reads none
