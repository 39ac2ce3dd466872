"""The configuration document as YAML text: several files become one Configuration, and back.

YAML is read as its 1.2 core schema, so that `no`, `010`, `12:30:00` and `2024-01-01` stay the text they
are. One pass over the events keeps each value's file, line and column for the error that may follow.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import math
import re
import urllib.parse
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, NoReturn

import yaml
from pydantic import ValidationError

from hilum.errors import ConfigError
from hilum.model.configuration import RESERVED, Configuration, Endpoint

LARGEST = 8 << 20  # characters of one file
DEEPEST = 64  # collections inside each other
MOST = 1_000_000  # values in one file, each alias counted as what it repeats

LISTENING = frozenset({"mllp", "mllps", "http", "https"})
"""Schemes whose inbound endpoints bind the host and port of their URL."""

_PARSER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C parser where the wheel has it: ten times as fast
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_NUMBER = re.compile(r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?")
_FAULTS = {"extra_forbidden": "there is no such key", "missing": "this key is missing"}
_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


@dataclasses.dataclass(slots=True)
class Node:
    """A value and where it stands; lists and mappings hold nodes. `weight` counts the values inside."""

    value: Any
    place: str  # hub.yaml line 12, column 5
    weight: int = 1


def load(text: str, name: str) -> Configuration:
    """The configuration in one file called `name`. Raises ConfigError with where, file, line and column."""
    return merge([(name, text)])


def merge(documents: Iterable[tuple[str, str]]) -> Configuration:
    """The configuration in several files, each (name, text): lists are joined, single values must agree.

    Raises ConfigError where a file cannot be read, two disagree, or two integrations or two routes have
    one name (both files are named).
    """
    whole = Node({}, "no file")
    for name, text in documents:
        node = parse(text, name)
        if node.value is None:  # nothing but comments
            continue
        if not isinstance(node.value, dict):
            raise ConfigError(f"a configuration is a mapping of keys to values ({node.place})")
        whole = _join(whole, node, "")
    _unique(whole, "integrations")
    _unique(whole, "routes")
    try:
        return Configuration.model_validate(_plain(whole))
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False)
        reason = _FAULTS.get(faults[0]["type"], faults[0]["msg"])
        raise _fault(whole, faults[0]["loc"], reason, len(faults) - 1) from None


def dump(configuration: Configuration) -> str:
    """The configuration as YAML: in the model's order, without defaults. `load` reads it back the same."""
    return text_of(configuration.model_dump(mode="json", by_alias=True, exclude_defaults=True))


def text_of(values: Any) -> str:
    """A part of a document as YAML, its keys in their order."""
    text: str = yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)
    return text


def check(configuration: Configuration, listening: Collection[str] = LISTENING) -> list[str]:
    """What does not fit together, one line each with its place: names, references, URLs, shared addresses."""
    endpoints = dict(_endpoints(configuration))
    return [
        *_organization(configuration),
        *_twice((f"integrations[{n}].name", item.name) for n, item in enumerate(configuration.integrations)),
        *_twice((f"routes[{n}].name", item.name) for n, item in enumerate(configuration.routes)),
        *_endpoint_names(configuration),
        *_urls(endpoints),
        *_clashes(endpoints, listening),
        *_routes(configuration),
    ]


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of the document: every key with its description."""
    found = Configuration.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **found}


def parse(text: str, name: str) -> Node:
    """The values of one YAML document. Raises ConfigError for what is not YAML 1.2, or too large."""
    if len(text) > LARGEST:
        raise ConfigError(f"{name} has more than {LARGEST} characters")
    try:
        return _Reader(text, name).document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = name if mark is None else _place(name, mark)
        raise ConfigError(f"not YAML: {error.problem or error.context} ({place})") from None
    except (yaml.YAMLError, ValueError) as error:  # a character that YAML forbids, a lone surrogate
        reason = getattr(error, "reason", "a character that YAML forbids")
        raise ConfigError(f"not YAML: {reason} ({name})") from None


class _Reader:
    """Builds nodes from YAML events: no tags, no duplicate keys, no merge keys, bounded aliases."""

    def __init__(self, text: str, name: str) -> None:
        self.name = name
        self.events = yaml.parse(text, Loader=_PARSER)
        self.anchors: dict[str, Node] = {}
        self.weight = 0
        self.depth = 0

    def document(self) -> Node:
        root = Node(None, self.name)
        for event in self.events:
            if isinstance(event, yaml.DocumentStartEvent) and root.place != self.name:
                self.refuse("a file holds one document, so `---` stands at its top only", event)
            if isinstance(event, yaml.NodeEvent):
                root = self.node(event)
        return root

    def node(self, event: Any) -> Node:
        if isinstance(event, yaml.AliasEvent):
            found = self.anchors.get(event.anchor or "")
            if found is None:
                self.refuse(f"there is no anchor &{event.anchor} above", event)
            self.count(found.weight, event)
            return found
        before = self.weight
        self.count(1, event)
        if event.tag is not None and not (event.tag == "!" and isinstance(event, yaml.ScalarEvent)):
            self.refuse(f"tags such as {event.tag} are not used here", event)
        node = Node(None, _place(self.name, event.start_mark))
        if isinstance(event, yaml.ScalarEvent):
            node.value = _scalar(event.value) if event.implicit[0] else event.value
        else:
            self.depth += 1
            if self.depth > DEEPEST:
                self.refuse(f"more than {DEEPEST} levels", event)
            node.value = self.sequence() if isinstance(event, yaml.SequenceStartEvent) else self.mapping()
            self.depth -= 1
        node.weight = self.weight - before
        if event.anchor is not None:  # only now: an alias inside its own anchor would never end
            self.anchors[event.anchor] = node
        return node

    def sequence(self) -> list[Node]:
        items = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            items.append(self.node(event))
        return items

    def mapping(self) -> dict[str, Node]:
        items: dict[str, Node] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                self.refuse("a key must be a word", event)
            key = event.value
            if key == "<<" and event.implicit[0]:
                self.refuse("merge keys (<<) are not part of YAML 1.2", event)
            if key in items:
                self.refuse(f"the key {key!r} stands here twice, first at {items[key].place}", event)
            items[key] = self.node(next(self.events))
        return items

    def count(self, weight: int, event: Any) -> None:
        self.weight += weight
        if self.weight > MOST:
            self.refuse(f"aliases make this more than {MOST} values", event)

    def refuse(self, reason: str, event: Any) -> NoReturn:
        raise ConfigError(f"{reason} ({_place(self.name, event.start_mark)})")


def _scalar(text: str) -> Any:
    if text in _WORDS:
        return _WORDS[text]
    if len(text) > 300:
        return text
    if _INTEGER.fullmatch(text):
        return int(text)
    if _NUMBER.fullmatch(text) and math.isfinite(number := float(text)):
        return number
    return text


def _place(name: str, mark: Any) -> str:
    return f"{name} line {mark.line + 1}, column {mark.column + 1}"


def _plain(node: Node) -> Any:
    if isinstance(node.value, dict):
        return {key: _plain(item) for key, item in node.value.items()}
    if isinstance(node.value, list):
        return [_plain(item) for item in node.value]
    return node.value


def _join(one: Node, other: Node, where: str) -> Node:
    if isinstance(one.value, dict) and isinstance(other.value, dict):
        joined = dict(one.value)
        for key, item in other.value.items():
            joined[key] = _join(joined[key], item, f"{where}.{key}" if where else key) if key in joined else item
        return Node(joined, one.place)
    if isinstance(one.value, list) and isinstance(other.value, list):
        return Node(one.value + other.value, one.place)
    if type(one.value) is type(other.value) and one.value == other.value:
        return one
    raise ConfigError(f"{one.place} and {other.place} disagree", where=where)


def _unique(whole: Node, kind: str) -> None:
    """Names are looked at before the model is, since only the nodes know which files they came from."""
    first: dict[str, Node] = {}
    listed = whole.value.get(kind, whole).value
    for number, item in enumerate(listed if isinstance(listed, list) else []):
        name = item.value.get("name") if isinstance(item.value, dict) else None
        if name is None or not isinstance(name.value, str):
            continue
        if name.value in first:
            raise ConfigError(
                f"{name.value!r} has this name already at {first[name.value].place} (again at {name.place})",
                where=f"{kind}[{number}].name",
            )
        first[name.value] = name


def _fault(whole: Node, location: tuple[int | str, ...], reason: str, more: int) -> ConfigError:
    where = ""
    for part in location:
        where += f"[{part}]" if isinstance(part, int) else f".{part}" if where else part
    node = whole
    for part in location:
        try:
            node = node.value[part]
        except (KeyError, IndexError, TypeError):  # the model looked deeper than the document goes
            break
    rest = f"; {more} more such faults" if more else ""
    return ConfigError(f"{reason.removeprefix('Value error, ')} ({node.place}{rest})", where=where)


def _endpoints(configuration: Configuration) -> Iterator[tuple[str, Endpoint]]:
    for number, integration in enumerate(configuration.integrations):
        for position, endpoint in enumerate(integration.endpoints):
            yield f"integrations[{number}].endpoints[{position}]", endpoint


def _organization(configuration: Configuration) -> Iterator[str]:
    if configuration.organization == RESERVED:
        yield f"organization: {RESERVED} is the hub's own name"


def _twice(names: Iterable[tuple[str, str]]) -> Iterator[str]:
    first: dict[str, str] = {}
    for where, name in names:
        if name in first:
            yield f"{where}: {name!r} is the name of {first[name]} already"
        first.setdefault(name, where.removesuffix(".name"))


def _endpoint_names(configuration: Configuration) -> Iterator[str]:
    for number, integration in enumerate(configuration.integrations):
        yield from _twice(
            (f"integrations[{number}].endpoints[{position}].name", endpoint.name)
            for position, endpoint in enumerate(integration.endpoints)
        )


def _urls(endpoints: dict[str, Endpoint]) -> Iterator[str]:
    for where, endpoint in endpoints.items():
        try:
            parts = urllib.parse.urlsplit(endpoint.url)
            _ = parts.port  # raises ValueError beyond 65535
        except ValueError as error:
            yield f"{where}.url: {error}"
            continue
        if not parts.scheme or "://" not in endpoint.url:
            yield f"{where}.url: a URL begins with its scheme, such as mllp://host:port"
        elif not parts.netloc and not parts.path.startswith("/"):
            yield f"{where}.url: names no host and no folder"


def _clashes(endpoints: dict[str, Endpoint], listening: Collection[str]) -> Iterator[str]:
    """Two listeners on one port, or two sources that would take the same files from each other."""
    bound: list[tuple[str, str, int]] = []
    folders: dict[tuple[str, Any], str] = {}
    for where, endpoint in endpoints.items():
        if endpoint.direction != "inbound":
            continue
        if endpoint.scheme == "file":
            folder = (endpoint.url.rstrip("/"), endpoint.options.get("pattern", "*"))
            if folder in folders:
                yield f"{where}.url: folder clash with {folders[folder]}: both take the same files"
            folders.setdefault(folder, where)
        elif endpoint.scheme in listening and (address := _address(endpoint)):
            host, port = address
            for other, its_host, its_port in bound:
                if port == its_port and _overlap(host, its_host):
                    yield f"{where}.url: port clash: {other} listens on {its_host}:{its_port} already"
            bound.append((where, host, port))


def _address(endpoint: Endpoint) -> tuple[str, int] | None:
    """Host and port that a listener binds; None for port 0 (any free one) and for what is no URL."""
    try:
        parts = urllib.parse.urlsplit(endpoint.url)
        port = parts.port if parts.port is not None else {"http": 80, "https": 443}.get(endpoint.scheme)
    except ValueError:
        return None
    return ((parts.hostname or "").rstrip("."), port) if port else None


def _overlap(one: str, other: str) -> bool:
    first, second = _bound(one), _bound(other)
    return first is None or second is None or not first.isdisjoint(second)


def _bound(host: str) -> set[str] | None:
    """The addresses that a host name stands for when bound; None for all of them."""
    if host in ("", "*"):
        return None
    if host == "localhost":
        return {"127.0.0.1", "::1"}
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return {host}
    mapped = getattr(address, "ipv4_mapped", None)
    return None if address.is_unspecified else {str(mapped or address)}


def _routes(configuration: Configuration) -> Iterator[str]:
    known = {
        f"{integration.name}/{endpoint.name}": endpoint.direction
        for integration in configuration.integrations
        for endpoint in integration.endpoints
    }
    for number, route in enumerate(configuration.routes):
        where = f"routes[{number}]"
        yield from _reference(known, f"{where}.from", route.source, "inbound")
        for key, targets in (("to", route.to), ("otherwise", route.otherwise)):
            for position, target in enumerate(targets):
                yield from _reference(known, f"{where}.{key}[{position}]", target, "outbound")
                if target in targets[:position]:
                    yield f"{where}.{key}[{position}]: {target} is named twice"


def _reference(known: Mapping[str, str], where: str, name: str, direction: str) -> Iterator[str]:
    if name not in known:
        yield f"{where}: there is no endpoint {name}"
    elif known[name] != direction:
        yield f"{where}: {name} is {known[name]}, but must be {direction}"


class _Dumper(yaml.SafeDumper):
    """Quotes what either YAML 1.1 or 1.2 would not read as text, and repeats instead of using aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    breaks = any(mark in text for mark in "\x85\u2028\u2029")  # line breaks of YAML 1.1 alone
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"' if breaks else None)


_Dumper.add_representer(str, _text)
_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(f"^(?:{_NUMBER.pattern})$"), list("-+.0123456789"))
