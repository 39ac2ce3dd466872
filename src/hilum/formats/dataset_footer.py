"""What is said of a data set as JSON text, for files that carry words beside their rows (Parquet, Arrow).

The same data set gives the same bytes.
"""

from __future__ import annotations

import json

from hilum.errors import FormatError
from hilum.model.dataset import Dataset, dataset_of, document_of

KEY = b"hilum.dataset"
"""Under this name it stands in a schema's metadata."""


def dump(dataset: Dataset) -> bytes:
    return json.dumps(document_of(dataset), ensure_ascii=False, separators=(",", ":")).encode()


def load(data: bytes) -> Dataset:
    """Raises FormatError where `dump` has not written it."""
    try:
        return dataset_of(json.loads(data))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise FormatError(f"the footer's description of the data set cannot be read ({type(error).__name__})") from None
