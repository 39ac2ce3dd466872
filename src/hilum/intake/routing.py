"""Compiled routes: from a body to its deliveries, and to the same bytes again when a delivery's turn comes."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from hilum.errors import ConfigError, StoreError
from hilum.formats.hl7v2 import AckError, Message
from hilum.model.configuration import Endpoint, Route
from hilum.model.delivery import SHARDS, Pending
from hilum.model.message import Disposition
from hilum.pipeline import Pipeline, compile_route
from hilum.sdk.registry import Registry
from hilum.security.seal import KeyedHash

_WORST_FIRST = (
    Disposition.ERROR,
    Disposition.REVIEW,
    Disposition.DELIVERING,
    Disposition.FILTERED,
    Disposition.UNROUTED,
)


@dataclasses.dataclass(frozen=True, slots=True)
class Compiled:
    """A route version ready to run; `destinations` maps its references to endpoint ids."""

    version: int
    name: str
    pipeline: Pipeline
    destinations: Mapping[str, int]


@dataclasses.dataclass(slots=True)  # not frozen: made for each message
class Verdict:
    """What all routes of an endpoint made of one message."""

    disposition: Disposition
    deliveries: Sequence[Pending] = ()
    note: str = ""
    errors: tuple[AckError, ...] = ()


def digest(body: bytes) -> int:
    """64 bits that tell whether a body that was made again is the one that was promised."""
    return int.from_bytes(hashlib.blake2b(body, digest_size=8).digest(), "big", signed=True)


class Routing:
    """All routes that start at one endpoint. A message goes along all of them, or none."""

    def __init__(self, hash: KeyedHash, routes: Sequence[Compiled]) -> None:
        self._hash = hash
        self.slow = False  # it took so long once that it no longer runs on the event loop
        self.routes = tuple(routes)
        self.versions = " ".join(str(one.version) for one in routes)
        self.deterministic = all(one.pipeline.deterministic for one in routes)
        self.destinations = frozenset(number for one in routes for number in one.destinations.values())
        self._lanes = {number: lane_of(hash, number, None) for number in self.destinations}

    def __call__(
        self, body: bytes, attributes: Mapping[str, str] | None = None, message: Message | None = None
    ) -> Verdict:
        """Never raises: what goes wrong inside a route is a verdict."""
        if not self.routes:
            return Verdict(Disposition.UNROUTED, note="no route starts at this endpoint")
        found = [(one, one.pipeline.run(body, attributes, message)) for one in self.routes]
        disposition = found[0][1].disposition
        if len(found) > 1:
            given = {routed.disposition for _, routed in found}
            disposition = next(one for one in _WORST_FIRST if one in given)
        if disposition is Disposition.DELIVERING:
            made: list[Pending] = []
            notes: tuple[str, ...] = ()
            for compiled, routed in found:
                notes += routed.findings
                for ordinal, output in enumerate(routed.outputs):
                    made.append(self._deliver(compiled, ordinal, output))
            return Verdict(disposition, made, "; ".join(notes))
        chosen = [(one, routed) for one, routed in found if routed.disposition is disposition]
        note = "; ".join(f"{one.name}: {routed.reason}" for one, routed in chosen if routed.reason)
        return Verdict(disposition, (), note, tuple(error for _, routed in chosen for error in routed.errors))

    def _deliver(self, compiled: Compiled, ordinal: int, output: Any) -> Pending:
        destination = compiled.destinations[output.destination]
        key = output.key
        lane, shard = self._lanes[destination] if key is None else lane_of(self._hash, destination, key)
        body = output.body
        keep = not compiled.pipeline.deterministic
        return Pending(destination, compiled.version, ordinal, lane, shard, digest(body), body, keep)


def lane_of(hash: KeyedHash, destination: int, key: str | None) -> tuple[int, int]:
    """(lane, shard): lane 0 is a destination's only lane; the shard is hash(destination, key) mod 64."""
    value = b"%d" % destination if key is None else b"%d|%s" % (destination, key.encode(errors="surrogateescape"))
    number = hash("lane", value)
    return (0 if key is None else number or 1), number % SHARDS


def pin(
    route: Route, source: Endpoint, source_format: str, destinations: Mapping[str, Endpoint], pipeline: Pipeline
) -> dict[str, Any]:
    """The document of a route version: all that is needed to compile the same pipeline again."""
    lanes = {reference: one.lane.model_dump(mode="json") for reference, one in destinations.items()}
    mappings = {"mappings": dict(pipeline.mappings)} if pipeline.mappings else {}
    return {
        "route": route.model_dump(mode="json", by_alias=True, exclude_defaults=True),
        "source": {"timezone": source.timezone, "format": source_format},
        "lanes": {reference: lanes[reference] for reference in sorted({*route.to, *route.otherwise})},
        "materials": dict(pipeline.materials),
        **mappings,
    }


def unpin(document: Mapping[str, Any], registry: Registry) -> Pipeline:
    """Compile a pinned version. Raises ConfigError where it no longer compiles, such as without its plug-in."""
    source = Endpoint(name="source", direction="inbound", url="pinned://", timezone=document["source"]["timezone"])
    destinations = {
        reference: Endpoint(name="to", direction="outbound", url="pinned://", lane=lane)
        for reference, lane in document["lanes"].items()
    }
    return compile_route(
        Route.model_validate(document["route"]),
        registry=registry,
        source=source,
        source_format=document["source"]["format"],
        destinations=destinations,
        materials=document["materials"],
        mappings=document.get("mappings"),
    )


def repin(
    document: Mapping[str, Any], changed: Mapping[str, Endpoint], owner: str, registry: Registry
) -> dict[str, Any]:
    """A pinned version after the endpoints of the integration `owner` changed. Raises ConfigError where one is gone."""
    route, lanes = document["route"], dict(document["lanes"])
    for reference in (route["from"], *lanes):
        if reference.partition("/")[0] == owner and reference not in changed:
            raise ConfigError(f"route {route['name']} uses {reference}")
    source = document["source"]
    if route["from"] in changed:
        one = changed[route["from"]]
        form = one.options.get("format", registry.connector(one.scheme).format)
        source = {"timezone": one.timezone, "format": str(form)}
    lanes |= {reference: changed[reference].lane.model_dump(mode="json") for reference in lanes if reference in changed}
    pinned = {**document, "source": source, "lanes": lanes}
    unpin(pinned, registry)
    return pinned


def remap(document: Mapping[str, Any], given: Mapping[str, Mapping[str, Any]], registry: Registry) -> dict[str, Any]:
    """A pinned version after stored mappings that it uses changed. Raises ConfigError where it does not compile."""
    pinned = {**document, "mappings": {**document["mappings"], **given}}
    unpin(pinned, registry)
    return pinned


def remake(pipeline: Pipeline, body: bytes, attributes: Mapping[str, str], one: Pending) -> bytes:
    """The body that a delivery was promised. Raises StoreError where the route no longer makes the same bytes."""
    outputs = pipeline.run(body, attributes).outputs
    if one.ordinal < len(outputs) and digest(outputs[one.ordinal].body) == one.digest:
        return outputs[one.ordinal].body
    raise StoreError("the route no longer makes the bytes that were queued (was Hilum upgraded?); replay the message")
