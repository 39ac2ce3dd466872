"""Checks what exports are asked for: who may, what the organization's rules say, and that it can be made at all.

What comes of it is the definition that a job works by: names are looked up, versions pinned, rights written down.
"""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from hilum import clock
from hilum.errors import ConfigError, Conflict, NotFound, Refused
from hilum.exporting.dashboards import DASHBOARDS
from hilum.exporting.definition import Definition
from hilum.exporting.reports import REPORTS
from hilum.model.access import Scope, permit
from hilum.model.audit import Act
from hilum.model.configuration import Integration
from hilum.model.dataset import Dataset, Variable, dataset_of
from hilum.model.export import (
    NEEDED,
    BulkWish,
    DashboardPages,
    DashboardWish,
    DataItem,
    DataWish,
    Destination,
    ExportKind,
    Folder,
    Item,
    PackageWish,
    Pages,
    Receiver,
    Records,
    ReportPages,
    ReportWish,
    Rows,
    Wish,
)
from hilum.model.organization import ExportRules
from hilum.model.retention import DAY
from hilum.model.vendor import Vendor
from hilum.sdk.config import read
from hilum.store import Connection, datasets, exports, integrations, organizations, studies, vendors
from hilum.store.exports import Export, Wanted
from hilum.store.listings import LISTINGS

_ASKED = ("purpose", "receiver", "destination")
_MOST = 500  # data sets of a package
_WEEK = 7 * DAY
_ZIP = (".zip", "application/zip")
_PAGES = {
    "csv": _ZIP, "json": (".json", "application/json"), "pdf": (".pdf", "application/pdf"),
    "png": (".png", "image/png"), "svg": (".svg", "image/svg+xml"),
    "xlsx": (".xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
}  # fmt: skip
PAYLOAD = "datasets:payload"
"""The permission that rows of data sets need."""


@dataclasses.dataclass(frozen=True, slots=True)
class Shape:
    """What the format says of the file."""

    format: str
    suffix: str
    media_type: str


def permissions(definition: dict[str, Any]) -> set[str]:
    """What one must be allowed besides exports, to ask for this or to fetch it."""
    source = definition["source"]
    if "items" in source:
        return set().union(*(permissions(one) for one in source["items"]))
    if "dataset" in source or "package" in source:
        return {PAYLOAD}
    if "report" in source or "dashboard" in source:
        return set(pages_of(source).permissions)
    listing = LISTINGS[source["records"]]
    return {listing.permission, *([listing.payload] if source.get("payload") and listing.payload else [])}


def scope_of(act: Act, needed: Iterable[str]) -> Scope:
    """Where somebody may do all of it. Raises Refused where there is no such place."""
    within = act.scope.studies
    for one in sorted(needed):
        found = permit(act.principal, one).studies
        within = found if within is None else within if found is None else within & found
    if within is not None and not within:
        raise Refused(f"this needs {', '.join(sorted(needed))} in one and the same study")
    return Scope(act.organization, within)


def allow(act: Act, one: Export) -> None:
    """Raises Refused where one may not have its source at all, NotFound where one may not in the export's study."""
    scope_of(act, permissions(one.definition)).check(one.study, f"there is no export {one.uuid}")


def obey(connection: Connection, act: Act, one: Export) -> None:
    """Raises Refused where the organization's rules, as they stand now, forbid what was asked for before."""
    rules, asked = organizations.get(connection, act.organization).settings.exports, one.definition
    _obey(connection, act, rules, Wish.model_validate({name: asked[name] for name in _ASKED if name in asked}))
    for each in asked["source"].get("items", [asked]):
        source, whole = each["source"], "package" in each["source"]
        tables = source["datasets"] if whole else [source] if "dataset" in source else []
        if rules.deidentified and tables and each.get("deidentify") is None:
            raise Refused("this organization lets rows of data sets go de-identified only")
        for table in tables:
            known = datasets.find(connection, act.organization, uuid.UUID(table["dataset"]), table["version"]).document
            names = each.get("variables") or [variable["name"] for variable in known["variables"]]
            _least(rules, names, table["name"])


async def shape(wanted: Rows | PackageWish | Pages) -> Shape:
    """Raises ConfigError (format, options)."""
    if isinstance(wanted, ReportPages | DashboardPages):
        return Shape(wanted.format, *_PAGES[wanted.format])
    assert not isinstance(wanted, Pages)  # noqa: S101 - it is one of these two
    return await asyncio.to_thread(_shape, wanted)


def _shape(wanted: Rows | PackageWish) -> Shape:
    from hilum.sdk import table_formats  # brings pyarrow, which a hub at work does without

    kind = table_formats.exporter(wanted.format)
    read(kind.Config, wanted.options, "options")
    return Shape(kind.names[0], kind.suffix, kind.media_type)


def pages_of(source: Mapping[str, Any]) -> Definition:
    """The report or dashboard that is meant. Raises ConfigError."""
    noun = "report" if "report" in source else "dashboard"
    found = (REPORTS if noun == "report" else DASHBOARDS).get(source[noun])
    if found is None:
        known = ", ".join(REPORTS if noun == "report" else DASHBOARDS)
        raise ConfigError(f"there is no {noun} of that name; there are {known}", where=noun)
    return found


async def check(wanted: Wish | PackageWish) -> None:
    """Raises ConfigError where its recipients are none."""
    if wanted.protect is not None:
        from hilum.exporting import protect  # brings pyarrow, which a hub at work does without

        await asyncio.to_thread(protect.check, wanted.protect)


def data(connection: Connection, act: Act, wanted: DataWish, shape: Shape) -> Wanted:
    """A row for it. Raises NotFound, ConfigError (variables), Refused (rights, the organization's rules)."""
    rules = organizations.get(connection, act.organization).settings.exports
    _obey(connection, act, rules, wanted)
    study, name, definition = _rows(connection, act, rules, wanted, shape)
    return _row(act, wanted, study, ExportKind.DATA, definition, f"{name.lower()}{shape.suffix}", shape.media_type)


def bulk(connection: Connection, act: Act, wanted: BulkWish, shapes: list[Shape]) -> tuple[Wanted, list[Wanted]]:
    """A row for the package, and one for each of its parts. Raises what `data` does."""
    rules = organizations.get(connection, act.organization).settings.exports
    _obey(connection, act, rules, wanted)
    parts = [
        _part(connection, act, rules, wanted, item, shape, f"items[{number}].")
        for number, (item, shape) in enumerate(zip(wanted.items, shapes, strict=True))
    ]
    of = {part.study for part in parts}
    study = of.pop() if len(of) == 1 else None
    whole = {"source": {"items": [part.definition for part in parts]}, "format": "zip", "options": {}}
    return _row(act, wanted, study, ExportKind.BULK, whole, f"{wanted.name}.zip", "application/zip"), parts


def _part(
    connection: Connection, act: Act, rules: ExportRules, whole: BulkWish, item: Item, shape: Shape, where: str
) -> Wanted:  # fmt: skip
    if isinstance(item, DataItem):
        study, name, wanted = _rows(connection, act, rules, item, shape, where)
        return _row(act, whole, study, ExportKind.DATA, wanted, f"{name.lower()}{shape.suffix}", shape.media_type)
    return _paged(act, whole, item, shape, where)


def pages(connection: Connection, act: Act, wanted: ReportWish | DashboardWish, shape: Shape) -> Wanted:
    """A row for it. Raises NotFound, ConfigError (its time), Refused (rights, the organization's rules)."""
    rules = organizations.get(connection, act.organization).settings.exports
    _obey(connection, act, rules, wanted)
    return _paged(act, wanted, wanted, shape)


def _paged(
    act: Act, whole: Wish, wanted: ReportPages | DashboardPages, shape: Shape, where: str = ""
) -> Wanted:  # fmt: skip
    """Its time is written down, so that a retry is of the same."""
    kind, name = (
        (ExportKind.REPORT, wanted.report)
        if isinstance(wanted, ReportPages)
        else (ExportKind.DASHBOARD, wanted.dashboard)
    )
    source: dict[str, Any] = {kind.value: name}
    meant = pages_of(source)
    within = scope_of(act, meant.permissions).studies
    if within is not None and not meant.by_study:
        needed = ", ".join(sorted(meant.permissions))
        raise Refused(f"the {kind} {name} is of no single study: this needs {needed} in all of them")
    source |= _time(meant, wanted, where)
    if within is not None:
        source["studies"] = sorted(within)
    study = next(iter(within)) if within is not None and len(within) == 1 else None
    told = {"source": source, "format": shape.format, "options": {"paper": wanted.paper}}
    return _row(act, whole, study, kind, told, f"{name}{shape.suffix}", shape.media_type)


def _time(meant: Definition, wanted: Pages, where: str) -> dict[str, str]:
    """Raises ConfigError."""
    if not meant.days:
        for name in ("since", "until"):
            if getattr(wanted, name) is not None:
                raise ConfigError(f"{meant.name} tells how things stand: it is of no time", where=f"{where}{name}")
        return {}
    now = clock.now()
    until = now if wanted.until is None else min(_utc(wanted.until), now)
    since = until - datetime.timedelta(microseconds=_WEEK) if wanted.since is None else _utc(wanted.since)
    if since >= until:
        raise ConfigError("the time ends before it begins", where=f"{where}until")
    if until - since > datetime.timedelta(days=meant.days):
        raise ConfigError(f"{meant.name} is of {meant.days} days at most", where=f"{where}since")
    return {"since": since.isoformat(), "until": until.isoformat()}


def package(connection: Connection, act: Act, wanted: PackageWish, shape: Shape) -> Wanted:
    """A row for it: all data sets of a study, or some. It waits for its release. Raises what `data` does."""
    rules = organizations.get(connection, act.organization).settings.exports
    _obey(connection, act, rules, wanted)
    if rules.deidentified:
        raise Refused("this organization lets rows of data sets go de-identified only: a package has them as they are")
    scope = scope_of(act, {PAYLOAD})
    number = studies.numbers(connection, act.organization).get(wanted.study.lower())
    if number is None or not scope.admits(number):
        raise NotFound(f"there is no study {wanted.study}")
    found, _ = datasets.listed(connection, act.organization, frozenset({number}), 0, _MOST)
    by = {one.dataset: one for one in found}
    missing = [one for one in wanted.datasets or () if one not in by]
    if missing:
        raise NotFound(f"there is no data set {missing[0]} in study {wanted.study}")
    chosen = found if wanted.datasets is None else [by[one] for one in dict.fromkeys(wanted.datasets)]
    if not chosen:
        raise Conflict(f"study {wanted.study} has no data sets yet: import some first")
    for one in chosen:
        _least(rules, [each["name"] for each in one.document["variables"]], one.name)
    source = {
        "package": wanted.study, "datasets": [_laid(one, wanted.folders) for one in chosen],
        "protocol": wanted.protocol,
        "standards": {Folder.TABULATIONS: wanted.tabulation_standard, Folder.ANALYSIS: wanted.analysis_standard},
    }  # fmt: skip
    definition = {"source": source, "format": shape.format, "options": wanted.options}
    row = _row(act, wanted, number, ExportKind.PACKAGE, definition, f"{wanted.study}-package.zip", "application/zip")
    return dataclasses.replace(row, release=NEEDED)


def _laid(one: datasets.Version, folders: Mapping[str, Folder]) -> dict[str, Any]:
    """Where a data set stands: analysis data sets are called AD… (ADaM Implementation Guide, 3)."""
    usual = Folder.ANALYSIS if one.name.upper().startswith("AD") else Folder.TABULATIONS
    folder = folders.get(one.name, usual)
    return {
        "dataset": str(one.dataset), "name": one.name, "version": one.number, "rows": one.rows, "folder": folder
    }  # fmt: skip


def _row(
    act: Act, wanted: Wish | PackageWish, study: int | None, kind: ExportKind, definition: dict[str, Any], file: str,
    media: str,
) -> Wanted:  # fmt: skip
    """`study` None: of none, so that only who may in all studies sees it."""
    if study is None and act.scope.studies is not None:
        raise Refused("it would be of several studies, and you act for some alone: ask for one of them")
    asked = wanted.model_dump(mode="json", include={"purpose", "receiver", "protect", "destination"})
    usual: dict[str, Any] = dict.fromkeys(("variables", "deidentify", "destination"))
    usual |= {"where": [], "set_aside": False}
    definition = usual | definition | asked
    file = exports.file_name(file)
    return Wanted(study, kind, definition, file, media, act.principal.id, act.principal.name)


def _rows(
    connection: Connection, act: Act, rules: ExportRules, wanted: Rows, shape: Shape, where: str = ""
) -> tuple[int | None, str, dict[str, Any]]:
    """The study, what the table is called, and how its rows are found."""
    if wanted.source is not None:
        study, source, known = _records(connection, act, wanted.source)
        name = wanted.source.records
    else:
        study, source, known = _dataset(connection, act, wanted)
        name = source["name"]
        if rules.deidentified and wanted.deidentify is None:
            raise Refused("this organization lets rows of data sets go de-identified only: choose a profile")
    missing = [one for one in wanted.variables or () if one not in known]
    if missing:
        raise ConfigError(f"{name} has no variable {', '.join(missing[:5])}", where=f"{where}variables")
    _fits(wanted, known, shape, where)
    _least(rules, wanted.variables or sorted(known), name)
    definition = {
        "source": source, "format": shape.format, "options": wanted.options, "variables": wanted.variables,
        "where": [one.model_dump(mode="json") for one in wanted.where], "set_aside": wanted.set_aside,
        "compress": wanted.compress,
        "deidentify": None if wanted.deidentify is None else wanted.deidentify.model_dump(mode="json"),
    }  # fmt: skip
    return study, name, definition


def _dataset(connection: Connection, act: Act, wanted: Rows) -> tuple[int, dict[str, Any], Mapping[str, Variable]]:
    scope = scope_of(act, {PAYLOAD})
    assert wanted.dataset is not None  # noqa: S101 - it is that or records
    version = datasets.find(connection, act.organization, wanted.dataset, wanted.version)
    scope.check(version.study, f"there is no data set {wanted.dataset}")
    source = {"dataset": str(version.dataset), "name": version.name, "version": version.number}
    dataset = dataset_of({**version.document, "name": version.name})
    return version.study, source, {one.name: one for one in dataset.variables}


def _records(
    connection: Connection, act: Act, wanted: Records
) -> tuple[int | None, dict[str, Any], Mapping[str, Variable]]:
    listing = LISTINGS[wanted.records]
    source = {name: value for name, value in wanted.model_dump(mode="json").items() if value is not None}
    within = scope_of(act, permissions({"source": source})).studies
    if not listing.by_study and (within is not None or wanted.study is not None):
        raise Refused(f"{wanted.records} are of no single study: this needs {listing.permission} in all of them")
    if wanted.since is not None and wanted.until is not None and _utc(wanted.since) >= _utc(wanted.until):
        raise ConfigError("the time ends before it begins", where="source.until")
    for name in ("since", "until"):
        if (moment := getattr(wanted, name)) is not None:
            source[name] = _utc(moment).isoformat()
    if (name := source.pop("study", None)) is not None:
        within = _one_study(connection, act, within, name)
    if within is not None:
        source["studies"] = sorted(within)
    columns = listing.variables + (listing.private if wanted.payload else ())
    return (
        next(iter(within)) if within is not None and len(within) == 1 else None,
        source,
        {one.name: one for one in columns},
    )


def _one_study(connection: Connection, act: Act, within: frozenset[int] | None, name: str) -> frozenset[int]:
    """Raises NotFound where somebody may not act for it."""
    number = studies.numbers(connection, act.organization).get(name.lower())
    if number is None or (within is not None and number not in within):
        raise NotFound(f"there is no study {name}")
    return frozenset({number})


def _fits(wanted: Rows, known: Mapping[str, Variable], shape: Shape, where: str) -> None:
    """Raises ConfigError where the format or a condition does not fit the variables."""
    from hilum.formats.selection import Selection  # brings pyarrow, which a hub at work does without
    from hilum.sdk import table_formats

    named = tuple(known[one] for one in wanted.variables or known)
    if unfit := table_formats.exporter(shape.format).unfit(Dataset("the table", named)):
        raise ConfigError(unfit, where=f"{where}format")
    try:
        Selection(wanted.where, Dataset("the table", tuple(known.values())))
    except ConfigError as error:
        raise ConfigError(error.reason, where=f"{where}{error.where}") from None


def _least(rules: ExportRules, names: Iterable[str], name: str) -> None:
    beyond = [one for one in names if rules.variables and one not in rules.variables]
    if beyond:
        told = ", ".join(beyond[:5])
        raise Refused(f"this organization lets only some variables go (minimum necessary); {name} has others: {told}")


def _obey(connection: Connection, act: Act, rules: ExportRules, wanted: Wish | PackageWish) -> None:
    """Raises Refused saying which rule forbids it, NotFound and ConfigError where it cannot be sent there."""
    if rules.purpose and not wanted.purpose.strip():
        raise Refused("this organization wants to know what an export is for: say its purpose")
    _admit(rules, wanted.receiver)
    if isinstance(wanted, Wish) and wanted.destination is not None:
        _reachable(connection, act, rules, wanted.destination)


def admit(connection: Connection, act: Act, receiver: Receiver) -> None:
    """Raises Refused where the organization's rules forbid that they get anything."""
    _admit(organizations.get(connection, act.organization).settings.exports, receiver)


def _admit(rules: ExportRules, receiver: Receiver) -> None:
    if rules.receiver and not (receiver.name.strip() and receiver.country):
        raise Refused("this organization wants to know who gets an export: name receiver and country")
    if rules.countries and receiver.country not in rules.countries:
        told = receiver.country or "a country that is not named"
        raise Refused(f"this organization's data may not go to {told}: only to {', '.join(rules.countries)}")


def _reachable(connection: Connection, act: Act, rules: ExportRules, wanted: Destination) -> None:
    owner, _, name = wanted.endpoint.partition("/")
    found = integrations.named(connection, act.scope, owner)
    model = None if found is None else Integration.model_validate(found.document)
    there = [] if model is None else [one for one in model.endpoints if one.name == name]
    if model is None or not there:
        raise NotFound(f"there is no endpoint {wanted.endpoint}")
    if there[0].direction != "outbound":
        raise ConfigError(f"{wanted.endpoint} is inbound: nothing can be sent to it", where="destination.endpoint")
    if rules.agreement and not _agreed(connection, act.organization, model.provider):
        raise Refused(
            f"no BAA or DPA holds with {model.provider or 'the vendor, who is not named'}: nothing goes there"
        )


def _agreed(connection: Connection, organization: int, provider: str) -> bool:
    """Is there an agreement on personal data that has not ended?"""
    found, _ = vendors.listed(connection, organization, provider or None, 0, 100)
    known = [Vendor.model_validate(one.document) for one in found]
    today = clock.now().date()
    return any(
        each.kind in ("BAA", "DPA") and (each.ends_on is None or each.ends_on >= today)
        for one in known
        if provider and one.name.casefold() == provider.casefold()
        for each in one.agreements
    )


def _utc(moment: datetime.datetime) -> datetime.datetime:
    """What names no offset is UTC."""
    return moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)
