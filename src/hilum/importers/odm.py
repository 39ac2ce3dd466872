"""CDISC ODM-XML 1.3.2 and 2.0: each item group that has items is a table, with the subject and event of its rows.

A file that this hub wrote gives the data set that it was. Any other has variables more, which say where in the study a
row belongs. Items are called as in SAS where the file says that; values stay codes where there is a code list. A DTD,
Define-XML, definitions without data, and changes to data (transactions) are refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydantic import Field

from hilum.formats import odm
from hilum.sdk.config import Config
from hilum.sdk.tables import BATCH, Importer, Table, schema


class Options(Config):
    """What is chosen where a file says several things."""

    language: str = Field("en", description="The language of labels, such as en or fr, where a file has several.")


class OdmImporter(Importer[Options]):
    names = ("cdisc-odm", "odm")
    suffixes = (".xml",)
    Config = Options

    @classmethod
    def recognises(cls, head: bytes) -> bool:
        return odm.recognises(head)

    def tables(self, path: Path) -> Iterator[Table]:
        for dataset, batches in odm.Reader(path, schema, BATCH, self.config.language).tables():
            yield Table(dataset, batches)


importer = OdmImporter
