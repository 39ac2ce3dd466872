"""`hilum export`: a data set, or records of the hub, in the format that somebody needs, as a file."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer

from hilum.cli import datasets, options, output
from hilum.cli.client import connect
from hilum.cli.fetching import bar, fetched, made
from hilum.cli.options import DATA, Data, Json, Organization
from hilum.errors import ConfigError
from hilum.model.export import RECORDS
from hilum.model.selection import condition


def export(
    source: Annotated[
        str, typer.Argument(help="A data set of the study; without --study records of the hub.", metavar="SOURCE")
    ],
    format: Annotated[str, typer.Option("--format", "-f", help="Such as csv, xlsx, parquet, sas-xpt-v5.")],
    to: Annotated[Path, typer.Option("--to", metavar="FILE", help="Where to; an existing file is replaced.")],
    study: Annotated[str | None, typer.Option("--study", help="The study that the data set belongs to.")] = None,
    variables: Annotated[str | None, typer.Option(metavar="A,B,C", help="These alone, in this order.")] = None,
    where: Annotated[
        list[str] | None, typer.Option("--where", metavar="CONDITION", help="Rows like this, such as AGE>=65.")
    ] = None,
    version: Annotated[int | None, typer.Option(min=1, help="Of the data set; without it the newest.")] = None,
    since: options.SinceFilter = None,
    until: options.UntilFilter = None,
    payload: Annotated[bool, typer.Option("--payload", help="Records with their bodies, requests, answers.")] = False,
    deidentify: Annotated[
        str | None, typer.Option(metavar="PROFILE", help="safe-harbor, pseudonymise or date-shift.")
    ] = None,
    option: datasets.Options = None,
    set_aside: Annotated[
        bool, typer.Option("--set-aside", help="What the format cannot hold goes to a file of exceptions (a ZIP).")
    ] = False,
    recipient: Annotated[
        list[str] | None, typer.Option("--recipient", metavar="KEY", help="Encrypt for this age or SSH public key.")
    ] = None,
    send_to: Annotated[
        str | None, typer.Option(metavar="INTEGRATION/ENDPOINT", help="Send it there as well: sftp, s3, https, file.")
    ] = None,
    purpose: Annotated[str, typer.Option(help="Why; it is kept with the record.")] = "",
    data: Data = DATA,
    organization: Organization = None,
    as_json: Json = False,
) -> None:
    """Write a data set, or records of the hub, in a format: all of it, or an error that names row and variable.

    Records are messages, deliveries, attempts, executions, logs and audit.

    Examples:

        hilum export ADSL --study CDISC01 --format sas-xpt-v5 --to adsl.xpt

        hilum export ADSL --study CDISC01 --format csv --to over65.csv --where "AGE>=65" --variables USUBJID,AGE

        hilum export messages --since 7d --format parquet --to messages.parquet

        hilum export VS --study CDISC01 --format csv --to vs.csv.age --deidentify safe-harbor --recipient age1…
    """
    if to.is_dir():
        raise ConfigError(f"{to} is a folder; name a file", where="--to")
    if study is None and source not in RECORDS:
        known = ", ".join(RECORDS)
        raise ConfigError(f"say which study data set {source} is of; without one there are {known}", where="--study")
    wanted = {
        "format": format, "options": datasets.options(option), "set_aside": set_aside, "purpose": purpose,
        "variables": [one.strip() for one in variables.split(",")] if variables else None,
        "where": [condition(one).model_dump(mode="json") for one in where or ()],
        "deidentify": None if deidentify is None else {"profile": deidentify},
        "protect": {"kind": "age", "recipients": recipient} if recipient else None,
        "destination": None if send_to is None else {"endpoint": send_to},
    }  # fmt: skip
    records = {
        "records": source, "since": output.since(since), "until": output.since(until), "payload": payload
    }  # fmt: skip

    async def work() -> dict[str, Any]:
        async with connect(data, organization=organization) as client:
            if study is None:
                asked = {**wanted, "source": records}
            else:
                found = await datasets.find(client, source, study)
                asked = {**wanted, "dataset": found["id"], "version": version}
            with bar() as shown:
                done = await made(client, shown, "/exports/data", asked)
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
