"""`hilum datasets`: import files into a study, look at what there is."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from hilum.cli import output
from hilum.cli.client import Client, ask, connect
from hilum.cli.options import DATA, Data, Json, Organization
from hilum.errors import ConfigError, DataError, HilumError, NotFound

app = typer.Typer(no_args_is_help=True)
_PIECE = 1 << 20
_LOOK = 0.2  # seconds between looks at how far it is

Study = Annotated[str, typer.Option("--study", help="The study; an import makes it where it is missing.")]
OfStudy = Annotated[str, typer.Option("--study", help="The study that it belongs to.")]
Options = Annotated[
    list[str] | None, typer.Option("--option", "-o", metavar="NAME=VALUE", help="What the format can be told.")
]


@app.callback()
def datasets() -> None:
    """Tables of a study, with typed and labelled variables."""


@app.command("import")
def import_datasets(
    files: Annotated[list[Path], typer.Argument(help="Tables: XPT, Dataset-JSON, CSV, Parquet …", exists=True,
                                                dir_okay=False, metavar="FILE...")],
    study: Study,
    name: Annotated[str | None, typer.Option(help="Of the data set; without it as the file says.")] = None,
    format: Annotated[str | None, typer.Option(help="Where the file's name does not say it.")] = None,
    option: Options = None,
    data: Data = DATA,
    organization: Organization = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Import files, all tables of each or none. A data set that has the name already gets a new version.

    Examples:

        hilum datasets import adsl.xpt --study CDISC01

        hilum datasets import sdtm/*.xpt --study CDISC01 --data /var/lib/hilum

        hilum datasets import visits.csv --study CDISC01 --name vs -o encoding=cp1252
    """
    if name is not None and len(files) > 1:
        raise ConfigError("a name is for one file", where="--name")
    query = {"study": study, "name": name, "format": format, "options": _options(option)}

    async def work() -> list[dict[str, Any]]:
        async with connect(data, organization=organization, founding=_founded) as client:
            with progress() as bar:
                return [await _one(client, bar, file, query) for file in files]

    done = asyncio.run(work())
    if as_json:
        output.show_json(done)
        return
    table = output.table("data set", "version", "rows", "variables", "from", right=("version", "rows", "variables"))
    for one in done:
        for each in one["datasets"]:
            table.add_row(output.plain(each["name"]), str(each["newest"]), f"{each['rows']:,}",
                          str(len(each["variables"])), output.plain(one["file"]))  # fmt: skip
    output.out.print(table)
    first = done[0]["datasets"][0]["name"]
    output.hint(f"Export it: hilum export {first} --study {study} --format sas-xpt-v5 --to {first.lower()}.xpt")


@app.command("list")
def list_datasets(
    data: Data = DATA,
    study: Annotated[str | None, typer.Option("--study", help="Of this study.")] = None,
    organization: Organization = None,
    as_json: Json = False,
) -> None:
    """List data sets, by study and name.

    Example:

        hilum datasets list --study CDISC01
    """
    found = ask(data, lambda client: client.all("/datasets", study=study), organization=organization)
    if as_json:
        output.show_json(found)
        return
    if not found:
        output.hint("No data set yet. Import one: hilum datasets import FILE --study NAME")
        return
    table = output.table("study", "data set", "label", "version", "rows", "variables", "imported",
                         right=("version", "rows", "variables"))  # fmt: skip
    for one in found:
        table.add_row(
            output.plain(one["study"]), output.plain(one["name"]), output.plain(one["label"]), str(one["newest"]),
            f"{one['rows']:,}", str(len(one["variables"])), output.moment(one["created_at"]),
        )  # fmt: skip
    output.out.print(table)


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="The data set.", metavar="DATASET")],
    study: OfStudy,
    data: Data = DATA,
    organization: Organization = None,
    as_json: Json = False,
) -> None:
    """Show a data set's variables, and where its versions came from.

    Example:

        hilum datasets show ADSL --study CDISC01
    """
    found = ask(data, lambda client: find(client, name, study), organization=organization)
    if as_json:
        output.show_json(found)
        return
    title = f"{found['name']}  {found['label']}".rstrip()
    output.out.print(Text(output.plain(f"{title}  ({found['rows']:,} rows, study {found['study']})"), "bold"))
    table = output.table("variable", "type", "length", "format", "key", "label", right=("length", "key"))
    for one in found["variables"]:
        table.add_row(
            output.plain(one["name"]), _type(one), str(one.get("length") or ""), output.plain(one.get("format")),
            str(one.get("key") or ""), output.plain(one.get("label")),
        )  # fmt: skip
    output.out.print(table)
    versions = output.table("version", "rows", "imported", "from", "SHA-256 of that file", right=("version", "rows"))
    for each in found["versions"]:
        origin = each["provenance"]
        versions.add_row(
            str(each["number"]), f"{each['rows']:,}", output.moment(each["created_at"]),
            output.plain(origin.get("file")), output.plain(origin.get("file_sha256", "")[:16]),
        )  # fmt: skip
    output.out.print()
    output.out.print(versions)


async def find(client: Client, name: str, study: str) -> dict[str, Any]:
    """A data set by its name, whatever its case. Raises NotFound, which says what there is."""
    every = await client.all("/datasets", study=study)
    fitting = [one for one in every if one["name"] == name] or [
        one for one in every if one["name"].lower() == name.lower()
    ]
    if not fitting:
        known = ", ".join(one["name"] for one in every[:20])
        raise NotFound(f"study {study} has no data set {name}" + (f"; there are: {known}" if known else ""))
    found: dict[str, Any] = await client.get(f"/datasets/{fitting[0]['id']}")
    return found


def progress() -> Progress:
    """Bars on a terminal, nothing elsewhere."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    return Progress(*columns, console=output.err, transient=True, disable=not output.err.is_terminal)


def _options(given: list[str] | None) -> str | None:
    return json.dumps(options(given)) if given else None


def options(given: list[str] | None) -> dict[str, Any]:
    """NAME=VALUE; a value that is JSON is taken as such. Raises ConfigError."""
    found: dict[str, Any] = {}
    for one in given or ():
        name, equals, text = one.partition("=")
        if not equals:
            raise ConfigError(f"write {one}=VALUE", where="--option")
        try:
            found[name] = json.loads(text)
        except ValueError:
            found[name] = text
    return found


def trouble(problem: dict[str, Any]) -> HilumError:
    """What a job said went wrong, with row and variable."""
    return DataError(str(problem["reason"]), row=problem["row"], variable=problem["variable"])


async def _one(client: Client, bar: Progress, file: Path, query: dict[str, Any]) -> dict[str, Any]:
    """Send a file, wait until it was read. Raises DataError."""
    task = bar.add_task(file.name, total=os.path.getsize(file))  # noqa: PTH202, ASYNC240 - one thing at a time
    sent = _pieces(file, lambda count: bar.advance(task, count))
    found = await client.upload("/datasets/imports", sent, file=file.name, **query)
    while found["status"] not in ("succeeded", "failed"):
        bar.update(task, description=f"{file.name}: {found['rows']:,} rows read")
        await asyncio.sleep(_LOOK)
        found = await client.get(f"/datasets/imports/{found['id']}")
    _end(bar, task)
    if found["status"] == "failed":
        problem = trouble(found["problem"])
        raise ConfigError(str(problem), where=file.name)
    return {**found, "datasets": [await client.get(f"/datasets/{one}") for one in found["datasets"]]}


def _end(bar: Progress, task: TaskID) -> None:
    bar.remove_task(task)


async def _pieces(file: Path, told: Callable[[int], None]) -> AsyncIterator[bytes]:
    with file.open("rb") as stream:
        while piece := stream.read(_PIECE):
            yield piece
            told(len(piece))


def _type(one: dict[str, Any]) -> str:
    return one["type"] if not one.get("target") else f"{one['type']} ({one['target']})"


def _founded(key: str) -> None:
    output.err.print(Text("A new hub was made here. Keep its recovery key, it is shown this once:", "yellow"))
    output.err.print(Text(f"  {key}", "bold"), soft_wrap=True)
