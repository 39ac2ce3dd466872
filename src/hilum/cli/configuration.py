"""`hilum check`, `plan`, `apply`, `release` and `config schema`: configuration as code."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from hilum.cli import output
from hilum.cli.client import Client, ask
from hilum.cli.options import DATA, Config, Data, Json, Reason
from hilum.errors import ConfigError

app = typer.Typer(no_args_is_help=True, help="The format of the configuration file.")
SIGNS = {"create": "+", "change": "~", "remove": "-"}


def check(config: Config, as_json: Json = False) -> None:
    """Check a configuration file.

    It is validated, its routes are compiled, the examples of their steps are run. Needs no hub, dials nothing.

    Examples:

        hilum check hub.yaml

        hilum check /etc/hilum --json
    """
    from hilum.sdk.registry import discover
    from hilum.services.configuration import compile_all, load

    summary, problems = "", []
    try:
        wanted, folder = load(config)
    except ConfigError as error:
        problems = [str(error)]
    else:
        problems = list(compile_all(wanted, discover(), folder=folder, environ=os.environ).problems)
        endpoints = sum(len(one.endpoints) for one in wanted.integrations)
        examples = sum(len(step["map"].get("examples", ())) for route in wanted.routes for step in route.steps
                       if isinstance(step.get("map"), dict))  # fmt: skip
        summary = ", ".join((
            _count(len(wanted.integrations), "integration"), _count(endpoints, "endpoint"),
            _count(len(wanted.routes), "route"), _count(examples, "example"),
        ))  # fmt: skip
    if as_json:
        output.show_json({"valid": not problems, "problems": problems})
    elif problems:
        _show_problems(problems)
        output.failure(f"{config} has {_count(len(problems), 'problem')}")
    else:
        output.out.print(Text.assemble((f"{config} is in order", "green"), f": {summary}"), soft_wrap=True)
    if problems:
        raise typer.Exit(1)


def plan(config: Config, data: Data = DATA, as_json: Json = False) -> None:
    """Show what `apply` would change.

    Examples:

        hilum plan hub.yaml

        hilum plan hub.yaml --data /var/lib/hilum --json
    """
    found = ask(data, lambda client: client.post("/configuration/plan", **_documents(config)))
    problems: list[str] = found.get("problems", [])
    if as_json:
        output.show_json(found)
    elif problems:
        _show_problems(problems)
        output.failure(f"{config} has {_count(len(problems), 'problem')}")
    else:
        _show_changes(found["changes"], "Nothing would change.")
        if found["changes"]:
            output.hint(f"Make it so: hilum apply {config} --data {data}")
    if problems:
        raise typer.Exit(1)


def apply(
    config: Config,
    data: Data = DATA,
    drain: Annotated[bool, typer.Option("--drain", help="Go on delivering what waits for removed endpoints.")] = False,
    discard: Annotated[
        str | None, typer.Option(metavar="REASON", help="End what waits for removed endpoints, for this reason.")
    ] = None,
    reason: Reason = "",
    as_json: Json = False,
) -> None:
    """Make the configuration so, all or nothing.

    A running hub takes it up at once; nothing is dialled. A removed endpoint for which deliveries wait is refused
    unless you say what becomes of them.

    Examples:

        hilum apply hub.yaml

        hilum apply hub.yaml --discard "partner was shut down"

        hilum apply hub.yaml --reason "change 4711: the laboratory's new address"
    """
    if drain and discard is not None:
        raise typer.BadParameter("say either --drain or --discard REASON")

    async def work(client: Client) -> Any:
        return await client.post(
            "/configuration/apply", **_documents(config), drain=drain, discard=discard, reason=reason
        )

    found = ask(data, work)
    if as_json:
        output.show_json(found)
    else:
        _show_changes(found["changes"], "Nothing to change.")


def release(
    name: Annotated[str, typer.Argument(help="An integration or a route.")],
    data: Data = DATA,
    reason: Reason = "",
    as_json: Json = False,
) -> None:
    """Hand what a file manages over to the API.

    Files no longer change or remove it.

    Example:

        hilum release adt-feed
    """
    found = ask(data, lambda client: client.post("/configuration/release", name=name, reason=reason))
    if as_json:
        output.show_json(found)
    else:
        output.out.print(f"{output.plain(name)} is no longer managed by a file.")


@app.command()
def schema() -> None:
    """Print the JSON Schema of the file, for editors and reviews.

    Example:

        hilum config schema > hilum.schema.json
    """
    from hilum.model import document

    output.show_json(document.schema())


def _documents(config: Path) -> dict[str, Any]:
    """The files' texts and the folder of their tables, as the API takes them. Raises ConfigError."""
    try:
        if config.is_dir():
            files = sorted([*config.glob("*.yaml"), *config.glob("*.yml")])
            if not files:
                raise ConfigError(f"{config} holds no .yaml file")
        else:
            files = [config]
        documents = [{"name": one.name, "text": one.read_text("utf-8")} for one in files]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {config}: {error}") from None
    return {"documents": documents, "folder": str((config if config.is_dir() else config.parent).resolve())}


def _show_problems(problems: list[str]) -> None:
    for one in problems:
        output.out.print(Text.assemble(("✗ ", "red"), output.plain(one)), soft_wrap=True)


def _show_changes(changes: list[dict[str, str]], nothing: str) -> None:
    if not changes:
        output.out.print(nothing)
        return
    shown = output.table("", "what", "name", "keys that differ")
    for one in changes:
        style = output.STYLES.get(one["action"], "")
        action = Text(f"{SIGNS.get(one['action'], ' ')} {one['action']}", style)
        shown.add_row(action, one["kind"], Text(output.plain(one["name"]), style), output.plain(one.get("detail")))
    output.out.print(shown)
    counts = {action: sum(one["action"] == action for one in changes) for action in SIGNS}
    output.out.print("\n" + ", ".join(f"{count} to {action}" for action, count in counts.items() if count))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
