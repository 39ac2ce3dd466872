"""`hilum export`: a data set, in the format that somebody needs, as a file."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer

from hilum.cli import output
from hilum.cli.client import connect
from hilum.cli.datasets import OfStudy, Options, find, options
from hilum.cli.fetching import bar, fetched, made
from hilum.cli.options import DATA, Data, Json, Organization
from hilum.errors import ConfigError


def export(
    dataset: Annotated[str, typer.Argument(help="Its name.", metavar="DATASET")],
    study: OfStudy,
    format: Annotated[str, typer.Option("--format", "-f", help="Such as csv, xlsx, parquet, sas-xpt-v5.")],
    to: Annotated[Path, typer.Option("--to", metavar="FILE", help="Where to; an existing file is replaced.")],
    variables: Annotated[str | None, typer.Option(metavar="A,B,C", help="These alone, in this order.")] = None,
    version: Annotated[int | None, typer.Option(min=1, help="Of the data set; without it the newest.")] = None,
    option: Options = None,
    set_aside: Annotated[
        bool, typer.Option("--set-aside", help="What the format cannot hold goes to a file of exceptions (a ZIP).")
    ] = False,
    purpose: Annotated[str, typer.Option(help="Why; it is kept with the record.")] = "",
    data: Data = DATA,
    organization: Organization = None,
    as_json: Json = False,
) -> None:
    """Write a data set in a format: all of it, or an error that names row and variable.

    Examples:

        hilum export ADSL --study CDISC01 --format sas-xpt-v5 --to adsl.xpt

        hilum export ADSL --study CDISC01 --format csv --to adsl.csv -o bom=true

        hilum export ADSL --study CDISC01 --format cdisc-dataset-json-1.1 --to adsl.json --variables USUBJID,AGE
    """
    wanted = {
        "format": format, "version": version, "options": options(option), "set_aside": set_aside, "purpose": purpose,
        "variables": [one.strip() for one in variables.split(",")] if variables else None,
    }  # fmt: skip

    if to.is_dir():
        raise ConfigError(f"{to} is a folder; name a file", where="--to")

    async def work() -> dict[str, Any]:
        async with connect(data, organization=organization) as client:
            source = await find(client, dataset, study)
            with bar() as shown:
                done = await made(client, shown, "/exports/data", {**wanted, "dataset": source["id"]})
                await fetched(client, shown, done, to)
            return done

    done = asyncio.run(work())
    if as_json:
        output.show_json(done)
        return
    rows, size = done["progress"]["rows_done"], f"{done['bytes'] / 1e6:,.1f} MB"
    output.out.print(output.plain(f"{rows:,} rows to {to} ({size}, SHA-256 {done['sha256'][:16]}…)"), soft_wrap=True)
    for one in done["warnings"]:
        output.hint(f"warning: {one}")
    if done["set_aside"]:
        output.hint(f"{done['set_aside']:,} values could not be written: they are in exceptions.csv of that ZIP")
