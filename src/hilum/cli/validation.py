"""`hilum check-message`: what the standard, and a site's profile, have to say about messages in a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from hilum.cli import output
from hilum.cli.hl7_files import read_messages
from hilum.cli.options import Json
from hilum.formats.hl7v2 import Message


def check_message(
    file: Annotated[Path, typer.Argument(help="HL7 file: one message, several, or a batch; - is stdin.")],
    profile: Annotated[Path | None, typer.Option(help="A site's profile in YAML.")] = None,
    as_json: Json = False,
) -> None:
    """Validate HL7 v2 messages against the standard.

    Exit code 1 if there are errors.

    Examples:

        hilum check-message admit.hl7

        hilum check-message admit.hl7 --profile site.yaml --json
    """
    from hilum.formats.hl7v2.profile import Profile  # loaded where it is used: it takes longer than all the rest
    from hilum.formats.hl7v2.validation import validate

    site = Profile.load(profile.read_text("utf-8")) if profile else None
    results: list[dict[str, Any]] = []
    for body in read_messages(file):
        message = Message.parse(body)
        found = [
            {"path": one.path, "severity": one.severity, "rule": one.rule, "text": one.text}
            for one in validate(message, site)
        ]
        kind = "^".join(filter(None, (message.type, message.trigger)))
        results.append({"control_id": message.control_id, "type": kind, "version": message.version, "findings": found})
    if as_json:
        output.show_json(results)
    else:
        for result in results:
            _show(result)
    if any(one["severity"] == "error" for result in results for one in result["findings"]):
        raise typer.Exit(1)


def _show(result: dict[str, Any]) -> None:
    title = " ".join(filter(None, (result["type"], result["control_id"], f"version {result['version']}")))
    if not result["findings"]:
        output.out.print(Text.assemble(output.plain(title), ": ", ("no findings", "green")))
        return
    counts = {level: sum(one["severity"] == level for one in result["findings"])
              for level in ("error", "warning", "info")}  # fmt: skip
    output.out.print(Text(output.plain(title), "bold"))
    shown = output.table("path", "severity", "finding", "rule", whole=("path",))
    for one in result["findings"]:
        shown.add_row(output.plain(one["path"]), output.state(one["severity"]), output.plain(one["text"]),
                      Text(one["rule"], "dim"))  # fmt: skip
    output.out.print(shown)
    output.out.print(", ".join(f"{count} {level}" for level, count in counts.items() if count) + "\n")
