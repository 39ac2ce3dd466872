"""CDISC Dataset-JSON 1.1: tables with their metadata, as JSON, as lines of JSON, and compressed."""

from __future__ import annotations

from hilum.formats.dataset_json.metadata import unwritten
from hilum.formats.dataset_json.reader import Reader, recognises
from hilum.formats.dataset_json.writer import Form, Writer

__all__ = ["Form", "Reader", "Writer", "recognises", "unwritten"]
