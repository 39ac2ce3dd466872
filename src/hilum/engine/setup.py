"""Sets up what an endpoint's connector needs: its Config without references, and the dialer that it may use."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hilum.model.configuration import Endpoint
from hilum.outbound.dialer import Dialer, Dialers
from hilum.sdk.config import read
from hilum.sdk.contracts import Connector
from hilum.sdk.registry import Registry
from hilum.security.references import Secrets, resolve


class Setup:
    """One an engine. References are looked up in `folder` (`${file:…}`) and `environ` (`${env:…}`)."""

    def __init__(
        self, registry: Registry, dialers: Dialers, *, environ: Mapping[str, str], folder: Path | None
    ) -> None:  # fmt: skip
        self.registry = registry
        self.dialers = dialers
        self._environ = environ
        self._folder = folder

    def of(
        self, organization: str, managed_by: str, integration: str, endpoint: Endpoint, secrets: Secrets
    ) -> tuple[Connector, Any, Dialer]:
        """The connector, what it is set up with, and the dialer of whoever configured it. Raises ConfigError."""
        connector = self.registry.connector(endpoint.scheme, endpoint.name)
        values = {"url": endpoint.url, "timeout": endpoint.timeout, **endpoint.options}
        values = resolve(values, environ=self._environ, folder=self._folder, secrets=secrets)
        dialer = self.dialers.endpoint(organization, managed_by, values, integration)
        return connector, read(connector.config, values, endpoint.name), dialer
