"""Times that come again and again, as cron expressions of five fields in UTC."""

from __future__ import annotations

import datetime

from cronsim import CronSim, CronSimError

_MINUTE = datetime.timedelta(minutes=1)


def check(expression: str) -> str:
    """The expression, single-spaced. Raises ValueError where it is none, or its time never comes."""
    fields = expression.split()
    if len(fields) != 5:
        raise ValueError("a cron expression has five fields: minute, hour, day of the month, month, day of the week")
    known = " ".join(fields)
    try:
        following(known, datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC))
    except CronSimError as error:
        raise ValueError(f"no cron expression: {error}") from None
    except StopIteration:
        raise ValueError("that time never comes") from None
    return known


def following(expression: str, moment: datetime.datetime) -> int:
    """The first time after `moment`, in microseconds."""
    return int(next(CronSim(expression, moment)).timestamp()) * 1_000_000


def newest(expression: str, moment: datetime.datetime) -> datetime.datetime:
    """The last time that has come at `moment`."""
    return next(CronSim(expression, moment.replace(second=0, microsecond=0) + _MINUTE, reverse=True))
