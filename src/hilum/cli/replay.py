"""`hilum replay`: sends stored messages through today's routes once more, one or many, edited or as they were."""

from __future__ import annotations

import base64
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from hilum.cli import options, output
from hilum.cli.client import Client, ask
from hilum.cli.messages import filters, search_key
from hilum.cli.options import DATA, Data, Json
from hilum.errors import Conflict, HilumError


def replay(
    id: Annotated[str | None, typer.Argument(help="One message; without it, those that the options name.")] = None,
    data: Data = DATA,
    reason: options.Reason = "",
    edit: Annotated[bool, typer.Option("--edit", help="Change the message in $EDITOR first; needs a reason.")] = False,
    endpoint: options.EndpointFilter = None,
    state: options.StateFilter = None,
    type: options.TypeFilter = None,
    since: options.SinceFilter = None,
    until: options.UntilFilter = None,
    synthetic: options.SyntheticFilter = None,
    patient: options.Patient = None,
    control: options.Control = None,
    key: options.Key = None,
    value: options.Value = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most.")] = 1_000,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Send stored messages through today's routes again.

    One by its id, or all that match. Each becomes a new message that points to the original, which stays as it is.

    Examples:

        hilum replay 019a…

        hilum replay 019a… --edit --reason "wrong assigning authority"

        hilum replay --state failed --endpoint adt-feed/in --since 2h --reason "registry was down"
    """
    name, wanted = search_key(patient, control, key, value)
    query = {**filters(endpoint, state, type, since, until, synthetic), "key": name, "value": wanted}
    query = {name: given for name, given in query.items() if given is not None}
    if id is not None:
        if query:
            raise typer.BadParameter("give an id or a filter, not both")
        if edit and not reason:
            raise typer.BadParameter("an edited message needs a reason", param_hint="--reason")
        found = ask(data, lambda client: _one(client, id, reason, edit=edit))
        output.show_json(found) if as_json else output.out.print(f"Replayed as {found['id']}")
        return
    if edit or not query:
        raise typer.BadParameter(
            "--edit needs an id" if edit else "say which: an id, or a filter such as --state failed"
        )
    if not reason:
        raise typer.BadParameter("replaying many needs a reason", param_hint="--reason")
    found = ask(data, lambda client: _many(client, query, reason, limit, asked=yes))
    output.show_json(found) if as_json else _show(found, limit)


async def _one(client: Client, id: str, reason: str, *, edit: bool) -> Any:
    body: dict[str, Any] = {"reason": reason}
    if edit:
        original = await client.content(f"/messages/{id}/body")
        edited = _edit(original)
        if edited == original:
            raise Conflict("nothing was changed, so nothing was sent; to send it as it is leave --edit out")
        body["body"] = base64.b64encode(edited).decode()
    return await client.post(f"/messages/{id}/replay", **body)


async def _many(client: Client, query: dict[str, Any], reason: str, limit: int, *, asked: bool) -> Any:
    if not asked:
        path = "/messages/search" if "key" in query else "/messages"
        found = await client.get(path, **query, size=min(limit, 100))
        count = len(found["items"])
        if not count:
            return {"replayed": 0, "ids": [], "purged": 0, "more": False}
        if not sys.stdin.isatty():
            raise Conflict("this sends many messages; say --yes where nobody can be asked")
        more = f"{count} or more" if found.get("next") else str(count)
        if not typer.confirm(f"Send {more} messages again?"):
            raise typer.Abort
    return await client.post("/messages/replay", **query, reason=reason, limit=limit)


def _edit(body: bytes) -> bytes:
    """What the operator's editor makes of a body; a segment a line where its segments end with CR alone."""
    command = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    lines = b"\n" not in body
    descriptor, name = tempfile.mkstemp(suffix=".hl7", prefix="hilum-")  # only its owner may read it
    path = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(body.replace(b"\r", b"\n") if lines else body)
        try:
            ended = subprocess.run([*shlex.split(command), name], check=False).returncode  # noqa: S603 - theirs
        except OSError as error:
            raise HilumError(f"cannot start {command}: {error.strerror}; set EDITOR") from None
        if ended:
            raise HilumError(f"{command} ended with {ended}; nothing was sent")
        edited = path.read_bytes()
    finally:
        path.unlink(missing_ok=True)
    if not lines:
        return edited
    edited = edited.replace(b"\n", b"\r")
    return edited if body.endswith(b"\r") else edited.removesuffix(b"\r")  # editors end the last line


def _show(found: dict[str, Any], limit: int) -> None:
    count = found["replayed"]
    if not count and not found["purged"]:
        output.out.print("No message is like that; nothing was sent.")
        return
    output.out.print(f"{count} replayed.")
    if found["more"]:
        output.out.print(f"{limit} was the limit, and more match.")
    if found["purged"]:
        output.out.print(f"{found['purged']} could not be sent: retention removed their bodies.")
    for one in found["ids"][:5]:
        output.out.print(f"  {one}")
    if count > 5:
        output.hint(f"  … and {count - 5} more: hilum messages list")
