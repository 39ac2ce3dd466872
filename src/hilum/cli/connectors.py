"""`hilum connectors` and `hilum new-connector`: what this installation speaks, and how to teach it more."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from hilum.cli import output
from hilum.cli.options import Json
from hilum.errors import NotFound


def connectors(
    name: Annotated[str | None, typer.Argument(help="One connector, with all that it can be told.")] = None,
    as_json: Json = False,
) -> None:
    """List the connectors, or the keys of one.

    Needs no hub.

    Examples:

        hilum connectors

        hilum connectors mllp
    """
    found = _catalogue()
    if name is not None:
        one = next((item for item in found if name in (item["name"], *item["schemes"])), None)
        if one is None:
            raise NotFound(f"no connector is called {name}; there are: {', '.join(item['name'] for item in found)}")
        found = [one]
    if as_json:
        output.show_json(found if name is None else found[0])
    elif name is None:
        shown = output.table("name", "schemes", "can", "what it is", whole=("name", "schemes", "can"))
        for one in found:
            schemes = " ".join(f"{scheme}://" for scheme in one["schemes"])
            shown.add_row(Text(one["name"], "bold"), schemes, ", ".join(one["parts"]), output.plain(one["summary"]))
        output.out.print(shown)
        output.hint("\nKeys of one: hilum connectors NAME. A new one: hilum new-connector NAME")
    else:
        _show_keys(found[0])


def new_connector(
    name: Annotated[str, typer.Argument(help="Its URL scheme and module name, such as fhirwire.")],
    folder: Annotated[Path, typer.Option(help="Where to write; in a checkout of Hilum its top.")] = Path(),
) -> None:
    """Write a connector that works, and its test file, to be changed into yours.

    Example:

        hilum new-connector fhirwire
    """
    from hilum.sdk.scaffold import new_connector as write

    for path in write(name, folder):
        output.out.print(f"wrote {path}", soft_wrap=True)
    output.hint("Next: read its docstring, run its test, replace the wire.")


def _catalogue() -> list[dict[str, Any]]:
    from hilum.sdk.registry import discover

    registry = discover()
    names = {id(one): one for one in registry.connectors.values()}
    found = []
    for number, connector in names.items():
        schemes = [scheme for scheme, one in registry.connectors.items() if id(one) == number]
        module = connector.config.__module__.rpartition(".")[2]
        parts = {"receive": connector.source, "send": connector.destination, "probe": connector.probe}
        summary = registry.documents.get(f"connectors/{module}", "").strip().partition("\n")[0]
        found.append({"name": module, "schemes": schemes, "parts": [word for word, part in parts.items() if part],
                      "summary": summary, "schema": connector.config.model_json_schema()})  # fmt: skip
    return sorted(found, key=lambda one: str(one["name"]))


def _show_keys(one: dict[str, Any]) -> None:
    output.out.print(Text.assemble((one["name"], "bold"), f": {output.plain(one['summary'])}"), soft_wrap=True)
    shown = output.table("key", "default", "what it is", whole=("key",))
    _add_keys(shown, one["schema"], one["schema"].get("$defs", {}), "")
    output.out.print(shown)


def _add_keys(shown: Any, schema: dict[str, Any], parts: dict[str, Any], prefix: str) -> None:
    for key, field in schema.get("properties", {}).items():
        inner = parts.get(field.get("$ref", "").rpartition("/")[2])
        default = "required" if key in schema.get("required", ()) else "" if inner else _written(field.get("default"))
        shown.add_row(Text(prefix + key, "cyan"), Text(default, "dim"), output.plain(field.get("description", "")))
        if inner:
            _add_keys(shown, inner, parts, f"{prefix}{key}.")


def _written(value: Any) -> str:
    return "" if value in (None, [], {}) else str(value).lower() if isinstance(value, bool) else str(value)
