"""The hub's own records as tables: read page by page in the order of their ids, for exports. One kind a file."""

from __future__ import annotations

from collections.abc import Mapping

from hilum.store.listings import attempts, audit, deliveries, executions, logs, messages
from hilum.store.listings.listing import Listing, Window

LISTINGS: Mapping[str, Listing] = {
    one.name: one
    for one in (
        attempts.LISTING, audit.LISTING, deliveries.LISTING, executions.LISTING, logs.LISTING, messages.LISTING,
    )
}  # fmt: skip
"""Every kind of record that can be exported, by name."""

__all__ = ["LISTINGS", "Listing", "Window"]
