"""Mappings of endpoints, which they name or hold: each is there, compiles and passes its examples (S3-20, S3-42)."""

from __future__ import annotations

from collections.abc import Iterable

from hilum.errors import ConfigError
from hilum.model.configuration import Endpoint
from hilum.pipeline.mapping import compile_mapping, form_of
from hilum.sdk.registry import Registry
from hilum.store import Store, mappings


async def check(store: Store, registry: Registry, organization: int, endpoints: Iterable[Endpoint]) -> None:
    """Raises ConfigError naming the first that will not do."""
    for given in endpoints:
        endpoint = await store.within(organization).read(mappings.inlined, organization, given)
        form = form_of(endpoint, registry.connector(endpoint.scheme))
        for key in mappings.KEYS:
            if (mapping := getattr(endpoint, key)) is None:
                continue
            where, answers = f"{endpoint.name}.{key}", key == "response_mapping"
            named = f" ({getattr(given, key)})" if isinstance(getattr(given, key), str) else ""
            try:
                made = compile_mapping(
                    mapping, registry=registry, format=form, timezone=endpoint.timezone, where=where, answers=answers
                )
            except ConfigError as error:
                raise ConfigError(f"{error}{named}") from None
            # a stored one's examples were run when it was
            if mapping is getattr(given, key) and (failed := made.step.examples()):
                raise ConfigError("; ".join(failed), where=where)
