"""CDISC ODM-XML 1.3.2 and 2.0: tables of clinical data with their metadata, written and read as streams."""

from __future__ import annotations

from hilum.formats.odm.reader import Reader, recognises
from hilum.formats.odm.version import V1, V2, Version
from hilum.formats.odm.writer import Writer

__all__ = ["V1", "V2", "Reader", "Version", "Writer", "recognises"]
