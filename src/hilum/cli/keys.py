"""`hilum keys`: the data keys that secrets are sealed under, and what wraps them."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from hilum.cli import output
from hilum.cli.client import ask
from hilum.cli.options import DATA, Data, Json, Organization, Why

app = typer.Typer(no_args_is_help=True, help="See, replace and re-wrap the keys that secrets are sealed under.")


@app.command("list")
def list_keys(data: Data = DATA, organization: Organization = None, as_json: Json = False) -> None:
    """List the organization's data keys: which key wraps each, and how much is sealed under it.

    Examples:

        hilum keys list
    """
    found = {"items": ask(data, lambda client: client.all("/keys"), organization=organization)}
    output.show_json(found) if as_json else _show(found["items"])


@app.command()
def rotate(
    data: Data = DATA, organization: Organization = None, reason: Why = None, as_json: Json = False
) -> None:  # fmt: skip
    """Make a new data key. The running hub brings every secret under it; all can be used meanwhile.

    Examples:

        hilum keys rotate --reason "once a year"
    """
    made = ask(data, lambda client: client.post("/keys/rotate"), organization=organization, reason=reason)
    output.show_json(made) if as_json else output.out.print(f"New secrets are sealed under data key {made['number']}.")


@app.command()
def rewrap(
    data: Data = DATA,
    organization: Organization = None,
    new_master: Annotated[bool, typer.Option(help="Make a new master key in hub.key first.")] = False,
    reason: Why = None,
    as_json: Json = False,
) -> None:
    """Wrap the data keys under the current key of the current provider. Secrets stay as they are.

    Do this after HILUM_KEY_PROVIDER was changed, or a key was replaced at Vault or KMS; then the old one may go.

    Examples:

        hilum keys rewrap --new-master
    """
    done = ask(
        data,
        lambda client: client.post("/keys/rewrap", new_master=new_master),
        organization=organization,
        reason=reason,
    )
    output.show_json(done) if as_json else output.out.print(f"Wrapped anew: {done['keys']}.")


def _show(items: list[dict[str, Any]]) -> None:
    if not items:
        output.out.print("There is no data key yet: the first secret makes one.")
        return
    shown = output.table("number", "provider", "wrapped by", "secrets", "made", "state", right=("number", "secrets"))
    for one in items:
        state = "current" if one["current"] else "retired" if one["retired_at"] else "old"
        shown.add_row(
            str(one["number"]), output.plain(one["provider"]), output.plain(one["wrapped_by"]), str(one["sealed"]),
            output.moment(one["created_at"]), output.state(state),
        )  # fmt: skip
    output.out.print(shown)
