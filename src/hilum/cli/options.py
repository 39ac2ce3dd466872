"""Options that many commands have, worded once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

DATA = Path("hilum-data")

Data = Annotated[Path, typer.Option("--data", "-d", envvar="HILUM_DATA", help="The hub's data folder.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Config = Annotated[Path, typer.Argument(help="A YAML file, or a folder of them.", metavar="FILE")]
Reason = Annotated[str, typer.Option("--reason", help="Why; it is kept with the record.")]
Why = Annotated[str | None, typer.Option("--reason", help="Why; needed where policy says so, as in production.")]
Organization = Annotated[str | None, typer.Option("--organization", help="Its name; without it the hub's first.")]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, max=100, help="How many at most.")]

EndpointFilter = Annotated[str | None, typer.Option("--endpoint", help="Received by, such as adt-feed/in.")]
State = Literal[
    "pending", "delivered", "failed", "skipped", "discarded", "received", "filtered", "unrouted", "error", "review"
]
StateFilter = Annotated[
    State | None, typer.Option("--state", help="Where it stands; failed: a delivery of it did not succeed.")
]
TypeFilter = Annotated[str | None, typer.Option("--type", help="Message type, such as ADT^A01.")]
SinceFilter = Annotated[str | None, typer.Option("--since", help="15m, 2h, 3d ago, or an ISO time (UTC).")]
SyntheticFilter = Annotated[
    bool | None, typer.Option("--synthetic/--real", help="Those of tests (MSH-11 is T or D) alone, or none of them.")
]
UntilFilter = Annotated[str | None, typer.Option("--until", help="The same, as the end.")]
Patient = Annotated[str | None, typer.Option("--patient", help="Patient number (PID-3.1).")]
Control = Annotated[str | None, typer.Option("--control", help="Message control id (MSH-10).")]
Key = Annotated[str | None, typer.Option("--key", help="A search key of the configuration; with --value.")]
Value = Annotated[str | None, typer.Option("--value", help="What that key must be.")]
