"""Dashboards: one page that shows how things go. One a file; their figures are those of the API."""

from __future__ import annotations

from collections.abc import Mapping

from hilum.exporting.dashboards import exports, integrations, message_traffic
from hilum.exporting.definition import Definition

DASHBOARDS: Mapping[str, Definition] = {
    one.name: one for one in (exports.DASHBOARD, integrations.DASHBOARD, message_traffic.DASHBOARD)
}
"""Every dashboard, by name."""
