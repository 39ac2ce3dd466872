"""The `hilum` command: every sub-command, and the one place where an error becomes a line and an exit code.

0: done. 1: it failed, or what was looked at is not in order. 2: the command itself was written wrongly.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from hilum import __version__, telemetry
from hilum.cli import (
    api_keys,
    approvals,
    archive,
    audit,
    certificates,
    configuration,
    connections,
    connectors,
    credentials,
    datasets,
    demo,
    export,
    exports,
    keys,
    lanes,
    messages,
    output,
    package,
    replay,
    report,
    retention,
    send,
    serve,
    service,
    signatures,
    status,
    users,
    validation,
    webhooks,
)
from hilum.errors import HilumError


class Commands(TyperGroup):
    """Errors that people can cause are told in one line; any other is a bug and shows its traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except HilumError as error:
            for line in str(error).splitlines():
                output.failure(line)
        except BrokenPipeError:
            raise
        except OSError as error:
            output.failure(f"{error.filename}: {error.strerror}" if error.filename else str(error))
        raise typer.Exit(1)


app = typer.Typer(
    cls=Commands,
    name="hilum",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="`hilum COMMAND --help` shows examples. `hilum demo` shows it all at work.",
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"hilum {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    """Hilum, a healthcare integration hub: what it acknowledges is on disk, and what happened can be shown."""
    telemetry.configure(level="critical")  # commands speak for themselves; serve and demo log


RUN, LOOK, CHANGE, BUILD = "Run", "Look", "Change", "Build"
for command, panel in (
    (serve.serve, RUN), (demo.demo, RUN), (archive.backup, RUN), (archive.restore, RUN),
    (status.status, LOOK), (configuration.check, CHANGE), (configuration.plan, CHANGE), (configuration.apply, CHANGE),
    (configuration.release, CHANGE), (replay.replay, CHANGE), (export.export, LOOK),
    (report.report, LOOK),
    (package.package, LOOK), (package.verify, LOOK),
    (send.send, BUILD), (validation.check_message, BUILD),
    (connectors.connectors, BUILD), (connectors.new_connector, BUILD),
):  # fmt: skip
    app.command(rich_help_panel=panel)(command)
app.add_typer(messages.app, name="messages", rich_help_panel=LOOK)
app.add_typer(lanes.app, name="lanes", rich_help_panel=LOOK)
app.add_typer(audit.app, name="audit", rich_help_panel=LOOK)
app.add_typer(datasets.app, name="datasets", rich_help_panel=LOOK)
app.add_typer(exports.app, name="exports", rich_help_panel=LOOK)
app.add_typer(connections.app, name="connections", rich_help_panel=LOOK)
app.add_typer(signatures.app, name="signatures", rich_help_panel=LOOK)
app.add_typer(approvals.app, name="approvals", rich_help_panel=LOOK)
app.add_typer(retention.app, name="retention", rich_help_panel=LOOK)
app.add_typer(retention.archives, name="archives", rich_help_panel=LOOK)
app.add_typer(configuration.app, name="config", rich_help_panel=CHANGE)
app.add_typer(users.app, name="users", rich_help_panel=CHANGE)
app.add_typer(api_keys.app, name="api-keys", rich_help_panel=CHANGE)
app.add_typer(credentials.app, name="credentials", rich_help_panel=CHANGE)
app.add_typer(certificates.app, name="certificates", rich_help_panel=CHANGE)
app.add_typer(keys.app, name="keys", rich_help_panel=CHANGE)
app.add_typer(webhooks.app, name="webhooks", rich_help_panel=CHANGE)
app.add_typer(service.app, name="service", rich_help_panel=RUN)


def main() -> None:
    app()
