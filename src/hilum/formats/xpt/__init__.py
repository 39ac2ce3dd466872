"""SAS transport files (XPORT), version 5 and version 8: read into Arrow record batches and written from them.

A file is a library of members, a member is a data set. Everything lies in cards of 80 bytes: headers in ASCII, then one
NAMESTR of 140 bytes (136 on VAX) for each variable, then the rows, one after the other without separators, filled up
with blanks to a whole card. Numbers are IBM hexadecimal floats of 2 to 8 bytes, text is padded with blanks.
Source: SAS technical papers TS-140 (version 5) and TS-140-2 (version 8).

| file | holds |
|---|---|
| ibm_float | numbers, as arrays |
| sas_format | formats as they are written (`DATE9.`), and which of them show a date or time |
| text | padded text in an encoding, as arrays |
| header | cards and NAMESTRs |
| reader, writer | rows |
| layout, limits | what a data set's variables become in a file, and what an agency refuses |
"""

from hilum.formats.xpt.header import V5, V8, Version, size
from hilum.formats.xpt.layout import Layout, encoding
from hilum.formats.xpt.limits import FILE, breaches
from hilum.formats.xpt.reader import read
from hilum.formats.xpt.text import codec
from hilum.formats.xpt.writer import Writer

__all__ = ["FILE", "V5", "V8", "Layout", "Version", "Writer", "breaches", "codec", "encoding", "read", "size"]
