"""What a plug-in's test file uses: fakes of what the hub gives to a plug-in, and suites of what it must keep.

A test file subclasses the suites and fills in their hooks; `hilum new-connector` writes such a file. pytest
and anyio are needed here, and nowhere else in the package. The suites of exporters and importers need pyarrow as well,
so they are imported from their own files.
"""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite(
    *(
        f"{__name__}.{part}"
        for part in ("base", "config", "depositor", "destination", "exchange", "exporter", "importer", "source", "step")
    )
)

from hilum.sdk.testing.base import ConnectorSuite, Mood, Partner, leaving_nothing, within  # noqa: E402 - see above
from hilum.sdk.testing.config import ConfigSuite  # noqa: E402
from hilum.sdk.testing.depositor import DepositorSuite  # noqa: E402
from hilum.sdk.testing.destination import DestinationSuite, ProbeSuite  # noqa: E402
from hilum.sdk.testing.exchange import ExchangeSuite  # noqa: E402
from hilum.sdk.testing.fakes import DirectDialer, MemoryInbox, Received, RefusingDialer, free_port  # noqa: E402
from hilum.sdk.testing.source import SourceSuite  # noqa: E402
from hilum.sdk.testing.step import StepSuite  # noqa: E402

__all__ = [
    "ConfigSuite",
    "ConnectorSuite",
    "DepositorSuite",
    "DestinationSuite",
    "DirectDialer",
    "ExchangeSuite",
    "MemoryInbox",
    "Mood",
    "Partner",
    "ProbeSuite",
    "Received",
    "RefusingDialer",
    "SourceSuite",
    "StepSuite",
    "free_port",
    "leaving_nothing",
    "within",
]
