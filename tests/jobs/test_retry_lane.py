"""A person wants a lane tried now."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hilum.errors import NotFound
from hilum.jobs import Context, retry_lane
from hilum.store.jobs import Job

pytestmark = pytest.mark.anyio


async def test_the_lane_is_told(context: Context, lanes: dict[int, Any], job: Callable[..., Job]) -> None:
    assert await retry_lane.run(context, job("retry_lane", destination=3)) == {"lane": "lab/out"}
    assert lanes[3].asked == [("retry",)]


async def test_no_lane_leads_there(context: Context, job: Callable[..., Job]) -> None:
    with pytest.raises(NotFound, match="no lane leads there"):
        await retry_lane.run(context, job("retry_lane", destination=4))
