"""CDISC ODM-XML 1.3.2: the data set as one item group, its metadata, and its rows as clinical data.

Where a variable names a code list, that is referred to. What ODM has no place for (SAS's formats and types) stands in
Alias elements; reading the file again gives the same data set. A special missing value of SAS is null with its
letter as a flag. Dates that are SAS's counts are written as ISO 8601. A character that XML cannot hold is refused.
"""

from __future__ import annotations

from hilum.formats import odm
from hilum.sdk.odm import OdmExporter


class Odm132Exporter(OdmExporter):
    names = ("cdisc-odm-1.3.2", "odm-1.3.2")
    version = odm.V1


exporter = Odm132Exporter
