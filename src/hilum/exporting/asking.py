"""Asks for exports of every kind: what was wished for is checked, then row, parts and job are there, or nothing is."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from hilum.errors import ConfigError, ConfigErrors
from hilum.exporting import requests
from hilum.exporting.requests import Shape
from hilum.model.audit import Act, Change
from hilum.model.export import BulkWish, DashboardWish, DataWish, ExportKind, PackageWish, ReportWish
from hilum.model.period import AT
from hilum.store import Connection, exports, organizations
from hilum.store.exports import Limits, Wanted

AnyWish = DataWish | BulkWish | PackageWish | ReportWish | DashboardWish
WISHES: Mapping[ExportKind, type[AnyWish]] = {
    ExportKind.DATA: DataWish,
    ExportKind.BULK: BulkWish,
    ExportKind.PACKAGE: PackageWish,
    ExportKind.REPORT: ReportWish,
    ExportKind.DASHBOARD: DashboardWish,
}


@dataclasses.dataclass(frozen=True, slots=True)
class Ready:
    """What is wished for, checked as far as that needs no store: formats, options, recipients."""

    wish: AnyWish
    shapes: list[Shape]


def read(kind: ExportKind, values: Mapping[str, Any], at: datetime.datetime) -> AnyWish:
    """A wish as it was kept; words such as `last-week` are told from `at`. Raises ConfigErrors that say where."""
    try:
        return WISHES[kind].model_validate(values, context={AT: at})
    except ValidationError as error:
        raise ConfigErrors([
            ConfigError(one["msg"].removeprefix("Value error, "), where=_place(one["loc"]))
            for one in error.errors(include_url=False, include_input=False, include_context=False)
        ]) from None  # fmt: skip


async def ready(wish: AnyWish) -> Ready:
    """Raises ConfigError (format, options, recipients)."""
    await requests.check(wish)
    each = wish.items if isinstance(wish, BulkWish) else [wish]
    return Ready(wish, [await requests.shape(one) for one in each])


def rows(connection: Connection, act: Act, one: Ready) -> tuple[Wanted, list[Wanted]]:
    """The row that it will be, and those of its parts. Raises NotFound, ConfigError, Refused, Conflict."""
    if isinstance(one.wish, BulkWish):
        return requests.bulk(connection, act, one.wish, one.shapes)
    if isinstance(one.wish, PackageWish):
        return requests.package(connection, act, one.wish, one.shapes[0]), []
    if isinstance(one.wish, ReportWish | DashboardWish):
        return requests.pages(connection, act, one.wish, one.shapes[0]), []
    return requests.data(connection, act, one.wish, one.shapes[0]), []


def ask(connection: Connection, act: Act, one: Ready) -> Change:
    """The new export. Raises what `rows` does, TooMany, and Conflict where too much lies there already."""
    whole, parts = rows(connection, act, one)
    asked = exports.ask(connection, act.organization, whole, limits(connection, act.organization))
    for part in parts:
        exports.add(connection, act.organization, dataclasses.replace(part, parent=asked.result.id))
    return asked


def limits(connection: Connection, organization: int) -> Limits:
    """What an organization allows its exports."""
    rules = organizations.get(connection, organization).settings.exports
    return Limits(rules.at_once, rules.megabytes * 1_000_000, rules.days)


def _place(where: tuple[int | str, ...]) -> str:
    return "wish" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in where)
