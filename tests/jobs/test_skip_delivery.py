"""A person takes a delivery out of its lane."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hilum.errors import Conflict, NotFound
from hilum.jobs import Context, skip_delivery
from hilum.model.delivery import DeliveryState
from hilum.store.jobs import Job

pytestmark = pytest.mark.anyio


async def test_the_head_is_skipped_and_written_down(
    context: Context, lanes: dict[int, Any], recorder: Any, job: Callable[..., Job]
) -> None:
    result = await skip_delivery.run(context, job("skip_delivery", destination=3, delivery=7, reason="wrong patient"))
    assert result == {"lane": "lab/out", "delivery": 7}
    assert lanes[3].asked == [("skip", 7, "wrong patient", DeliveryState.SKIPPED)]
    assert recorder.times == 1


async def test_only_a_head_can_be_skipped(context: Context, recorder: Any, job: Callable[..., Job]) -> None:
    with pytest.raises(Conflict, match="at the head of its lane"):
        await skip_delivery.run(context, job("skip_delivery", destination=3, delivery=8, reason="no"))
    assert recorder.times == 0


async def test_no_lane_leads_there(context: Context, job: Callable[..., Job]) -> None:
    with pytest.raises(NotFound):
        await skip_delivery.run(context, job("skip_delivery", destination=4, delivery=7, reason="no"))
