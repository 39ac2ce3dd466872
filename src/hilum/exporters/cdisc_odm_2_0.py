"""CDISC ODM-XML 2.0: the data set as one item group, its metadata, and its rows as clinical data.

Where a variable names a code list, that is referred to. What ODM has no place for (SAS's informats and types) stands
in Alias elements; reading the file again gives the same data set. A special missing value of SAS is null with its
letter as a flag. Dates that are SAS's counts are written as ISO 8601. A character that XML cannot hold is refused.
"""

from __future__ import annotations

from hilum.formats import odm
from hilum.sdk.odm import OdmExporter


class Odm20Exporter(OdmExporter):
    names = ("cdisc-odm-2.0", "odm-2.0")
    version = odm.V2


exporter = Odm20Exporter
