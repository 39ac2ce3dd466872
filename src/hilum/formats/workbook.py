"""An XLSX file's parts that do not follow from its rows alone: when it was made, and what a sheet may be called.

And where it is made: `rustpy_xlsxwriter` writes to a path, and copies all at once to anything else.
"""

from __future__ import annotations

import datetime
import os
import re
import struct
import zipfile
from typing import BinaryIO

ROWS = 1_048_576
COLUMNS = 16_384
TEXT = 32_767  # UTF-16 units of a cell
_PROPERTIES = "docProps/core.xml"
_STAMP = re.compile(rb"(<dcterms:(created|modified)[^>]*>)[^<]*")
_LOCAL = struct.Struct("<4s22xHH")  # a local header: signature, lengths of the name and the extra field
_CHUNK = 1 << 20


def place(file: BinaryIO) -> str | BinaryIO:
    """Where the library is to write, so that it comes to lie in `file`: empty, and a file without a name.

    So no kill leaves a workbook behind. Where a system has no such path, the library holds the workbook in memory.
    """
    found = f"/dev/fd/{file.fileno()}"
    return found if os.path.exists(found) else file  # noqa: PTH110 - never Path: it is the descriptor that counts


def stamped(source: BinaryIO, target: BinaryIO, created: datetime.datetime) -> None:
    """Copy the workbook; only its time of creation becomes `created`. Parts are copied as they are compressed.

    Source: ECMA-376 part 2, "Core Properties"; PKWARE APPNOTE 6.3, "Local file header".
    """
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for part in old.infolist():
            if part.filename == _PROPERTIES:
                stamp = created.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ").encode()
                fresh = zipfile.ZipInfo(part.filename)
                fresh.compress_type = zipfile.ZIP_DEFLATED
                new.writestr(fresh, _STAMP.sub(rb"\g<1>" + stamp, old.read(part)))
            else:
                _copy(part, source, new)


def _copy(part: zipfile.ZipInfo, raw: BinaryIO, new: zipfile.ZipFile) -> None:
    """One part, without unpacking it: `zipfile` has no word for that, so its list of parts is continued here."""
    raw.seek(part.header_offset)
    signature, name, extra = _LOCAL.unpack(raw.read(_LOCAL.size))
    if signature != b"PK\x03\x04" or new.fp is None:
        raise ValueError("a part of the workbook is not where its list says")
    raw.seek(name + extra, 1)
    entry = zipfile.ZipInfo(part.filename)
    entry.compress_type, entry.CRC = part.compress_type, part.CRC
    entry.compress_size, entry.file_size = part.compress_size, part.file_size
    entry.header_offset = new.fp.tell()
    new.fp.write(entry.FileHeader())
    left = part.compress_size
    while left:
        chunk = raw.read(min(left, _CHUNK))
        new.fp.write(chunk)
        left -= len(chunk)
    new.start_dir = new.fp.tell()
    new.filelist.append(entry)
    new.NameToInfo[entry.filename] = entry


def sheet_name(name: str, number: int = 1) -> str:
    """A name that Excel takes for the data set's sheet of that number."""
    ending = "" if number == 1 else f" ({number})"
    plain = re.sub(r"[\[\]:*?/\\\x00-\x1f]", "_", name).strip("'") or "data"
    return plain[: 31 - len(ending)] + ending
