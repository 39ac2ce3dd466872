"""Logs and metrics. Logs are JSON lines on stdout and hold ids and reasons, never payloads."""

from __future__ import annotations

import bisect
import logging
import logging.handlers
import sys
from typing import Any

import structlog


class Latency:
    """Counts by bucket (upper bounds in seconds), cheap enough for every message."""

    BOUNDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0)

    def __init__(self) -> None:
        self.counts = [0] * (len(self.BOUNDS) + 1)
        self.sum = 0.0

    def observe(self, seconds: float) -> None:
        self.counts[bisect.bisect_left(self.BOUNDS, seconds)] += 1
        self.sum += seconds


def logger(room: str) -> structlog.stdlib.BoundLogger:
    """The logger of a room."""
    found: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(room)
    return found


def configure(*, level: str = "info", file: str | None = None, pretty: bool = False) -> None:
    """Log to stdout (JSON lines, or for people where `pretty`), and to a rotating `file` as well if given."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    lines = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, structlog.processors.JSONRenderer()],
    )
    people = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty()),
        ],
    )
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stdout)]
    handlers[0].setFormatter(people if pretty else lines)
    if file:
        handlers.append(logging.handlers.RotatingFileHandler(file, maxBytes=50_000_000, backupCount=10))
        handlers[-1].setFormatter(lines)
    logging.basicConfig(level=level.upper(), handlers=handlers, force=True)
    for noisy in ("httpx", "httpcore", "uvicorn.access", "asyncio", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
