"""What the importers' tests share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from hilum.model.dataset import Dataset
from hilum.sdk.tables import Importer, schema

Read = Callable[..., list[tuple[Dataset, pa.Table]]]


@pytest.fixture(scope="session")
def read() -> Read:
    """Gives every table of a file, whole."""

    def run(kind: type[Importer[Any]], path: Path, **config: Any) -> list[tuple[Dataset, pa.Table]]:
        return [
            (one.dataset, pa.Table.from_batches(one.batches, schema(one.dataset)))
            for one in kind(kind.Config(**config)).tables(path)
        ]

    return run
