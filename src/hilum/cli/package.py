"""`hilum package` and `hilum verify`: a study as it is submitted, and whether a package is what it says."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import Progress, SpinnerColumn, TextColumn
from rich.table import Table
from rich.text import Text

from hilum.cli import output
from hilum.cli.client import connect
from hilum.cli.datasets import OfStudy, Options, find, options
from hilum.cli.fetching import bar, fetched, made
from hilum.cli.options import DATA, Data, Json, Organization
from hilum.errors import ConfigError

if TYPE_CHECKING:
    from hilum.exporting.verifying import Verdict

SHOWN = 20  # problems that are shown to people


def package(
    study: OfStudy,
    to: Annotated[Path, typer.Option("--to", metavar="FILE", help="Where to; an existing file is replaced.")],
    datasets: Annotated[str | None, typer.Option(metavar="A,B,C", help="These alone; else all of the study.")] = None,
    format: Annotated[str, typer.Option("--format", "-f", help="sas-xpt-v5 or cdisc-dataset-json-1.1.")] = "sas-xpt-v5",
    tabulation_standard: Annotated[str, typer.Option(help="Such as 'SDTMIG 3.4'.")] = "",
    analysis_standard: Annotated[str, typer.Option(help="Such as 'ADaMIG 1.3'.")] = "",
    protocol: Annotated[str, typer.Option(help="The protocol's name.")] = "",
    option: Options = None,
    purpose: Annotated[str, typer.Option(help="Why; it is kept with the record.")] = "",
    data: Data = DATA,
    organization: Organization = None,
    as_json: Json = False,
) -> None:
    """Write a study's package: data files, Define-XML, checks and a sealed manifest, in the folders of an eCTD.

    What is written here is a draft: it is released by a signature, over the API or in the console.

    Examples:

        hilum package --study CDISC01 --to cdisc01.zip --tabulation-standard "SDTMIG 3.4"

        hilum package --study CDISC01 --to adsl.zip --datasets ADSL,ADAE -o profile=agency
    """
    if to.is_dir():
        raise ConfigError(f"{to} is a folder; name a file", where="--to")
    wanted = {
        "study": study, "format": format, "options": options(option), "purpose": purpose, "protocol": protocol,
        "tabulation_standard": tabulation_standard, "analysis_standard": analysis_standard,
    }  # fmt: skip

    async def work() -> dict[str, Any]:
        async with connect(data, organization=organization) as client:
            names = [one.strip() for one in datasets.split(",")] if datasets else None
            chosen = None if names is None else [(await find(client, one, study))["id"] for one in names]
            with bar() as shown:
                done = await made(client, shown, "/exports/package", {**wanted, "datasets": chosen})
                await fetched(client, shown, done, to, draft=True)
            return done

    done = asyncio.run(work())
    if as_json:
        output.show_json(done)
        return
    counts, rows = done["facts"]["checks"], done["progress"]["rows_done"]
    found = f"{counts['error']:,} errors, {counts['warning']:,} warnings (checks.json in it)"
    output.out.print(
        output.plain(f"{rows:,} rows to {to} ({done['bytes'] / 1e6:,.1f} MB); checks: {found}"), soft_wrap=True
    )
    output.hint(f"A draft. To release it, a person signs for export.release of export/{done['id']} and posts")
    output.hint(f"/api/v1/exports/jobs/{done['id']}/release. Verify it: hilum verify {to}")


def verify(
    package: Annotated[Path, typer.Argument(help="What `hilum package` wrote.", metavar="PACKAGE", exists=True)],
    key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The hub's public key (`hilum audit key`): is it sealed by it?")
    ] = None,
    signature: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="What /exports/jobs/…/signature answered: who released it? Give --key too."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Prove that a package is whole and unaltered. Needs the file alone: no hub, no network. Exit code 1: it is not.

    Every file is the manifest's, by size and SHA-256; the data have the rows and variables that it says, and are as
    Define-XML describes them.

    Example:

        hilum verify cdisc01.zip --key evidence.pub --signature cdisc01.signature.json
    """
    from hilum.exporting.verifying import verify as judge
    from hilum.security.chain import PublicKey

    public = None if key is None else PublicKey.read(key.read_text("utf-8", errors="replace"))
    given = None if signature is None else _read(signature)
    columns = (SpinnerColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=output.err, transient=True, disable=not output.err.is_terminal) as progress:
        task = progress.add_task("opening")
        verdict = judge(package, public, given, lambda text: progress.update(task, description=output.plain(text)))
    if as_json:
        output.show_json(_document(verdict))
    else:
        _show(verdict)
    if not verdict.intact:
        raise typer.Exit(1)


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text("utf-8", errors="replace"))
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ConfigError(f"{path} is no signature: it is the JSON of /exports/jobs/…/signature", where="--signature")
    return found


def _show(verdict: Verdict) -> None:
    title = Text("The package is whole and unaltered.", "bold green")
    if not verdict.intact:
        title = Text("The package is not what it says.", "bold red")
    output.out.print(title)
    manifest, released = verdict.manifest, verdict.released
    sealed = {None: "not looked at: give --key", True: "by this key", False: "not by this key"}[verdict.sealed]
    checks = manifest.get("checks") or {}
    lines = (
        ("study", manifest.get("study")), ("made", f"{manifest.get('created')} by {manifest.get('generator')}"),
        ("files", f"{verdict.files:,}"), ("data sets", f"{verdict.datasets:,}, with {verdict.rows:,} rows"),
        ("checks when it was made", f"{checks.get('error', '?')} errors, {checks.get('warning', '?')} warnings"),
        ("sealed", sealed),
        ("released", "not looked at: give --signature" if released is None else _signed(released, verdict.sealed)),
    )  # fmt: skip
    grid = Table.grid(padding=(0, 2))
    for name, value in lines:
        grid.add_row(Text(f"  {name}", "dim"), output.plain(str(value)))
    output.out.print(grid)
    for one in verdict.problems[:SHOWN]:
        output.out.print(
            Text(f"  ✗ {output.plain(f'{one.path}: {one.text}' if one.path else one.text)}", "red"), soft_wrap=True
        )
    if len(verdict.problems) > SHOWN:
        output.hint(f"  … and more: {len(verdict.problems)} in all; --json has all")


def _signed(statement: dict[str, Any], sealed: bool | None) -> str:
    signer = statement.get("signer")
    name = signer.get("name") if isinstance(signer, dict) else signer
    found = f"by {name} on {statement.get('time')}, meaning: {statement.get('meaning')}"
    # the manifest names the signature's key, and only its seal says whose manifest that is
    return found if sealed else f"{found}; this holds only if the manifest is the hub's: give --key"


def _document(verdict: Verdict) -> dict[str, Any]:
    return {
        "intact": verdict.intact, "study": verdict.manifest.get("study"), "files": verdict.files,
        "datasets": verdict.datasets, "rows": verdict.rows, "sealed": verdict.sealed, "released": verdict.released,
        "warnings": verdict.warnings,
        "problems": [{"path": one.path, "text": one.text} for one in verdict.problems],
    }  # fmt: skip
