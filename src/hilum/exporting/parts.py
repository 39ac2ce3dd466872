"""The files of an export while they are made: sealed from their first byte, under their name when they are whole.

What an exporter keeps beside them is its own: that of XLSX has temporary files in the clear, none of them with a name.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import datetime
import io
import itertools
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

from hilum import clock
from hilum.formats import csv_table
from hilum.security.sealed_file import SealedWriter, new_key
from hilum.store import dataset_files, exports, files

EXCEPTIONS = "exceptions.csv"
ZIP = "application/zip"
_PIECE = 1 << 20


@dataclasses.dataclass(frozen=True, slots=True)
class Made:
    """The file that came of it: its own key, and `size` and `sha256` of what is in it."""

    key: bytes
    size: int
    sha256: bytes
    name: str
    media_type: str


class Parts:
    """An export's files. `target` is where the whole lies at last; `created` (microseconds) stands in a ZIP."""

    def __init__(self, target: Path, bound: bytes, created: int) -> None:
        self.created = created
        self._target, self._bound, self._folder = target, bound, ""
        self._parts: list[Part] = []
        self._numbers = itertools.count()

    def within(self, folder: str) -> Parts:
        """The same, as one sees it who puts files into a folder of it."""
        found = copy.copy(self)
        found._folder = f"{self._folder}{folder}/"
        return found

    def open(self, name: str) -> BinaryIO:
        """Begin a file; who asked for it closes it. A folder in its name is kept, in a ZIP."""
        path = self._target.with_name(f"{self._target.name}.{next(self._numbers)}{files.PARTIAL}")
        part = Part(_safe(f"{self._folder}{name}"), path, self._bound)
        self._parts.append(part)
        return cast(BinaryIO, part.stream)

    def put(self, name: str, content: bytes) -> None:
        """A whole file."""
        with self.open(name) as stream:
            stream.write(content)

    def exceptions(self) -> Exceptions:
        """Begin the file of what cannot be represented; it goes again where nothing is in it."""
        return Exceptions(self.open(EXCEPTIONS))

    def drop(self, name: str) -> None:
        """A file is not wanted after all."""
        for part in [one for one in self if one.name == _safe(f"{self._folder}{name}")]:
            part.remove()
            self._parts.remove(part)

    def clear(self) -> None:
        """None of the files in this folder is wanted after all."""
        for part in list(self):
            part.remove()
            self._parts.remove(part)

    def closed(self) -> list[Part]:
        """The files in this folder, each whole."""
        found = list(self)
        for part in found:
            part.close()
        return found

    def __iter__(self) -> Iterator[Part]:
        """Those in this folder, by name."""
        mine = (one for one in self._parts if one.name.startswith(_safe(self._folder)))
        return iter(sorted(mine, key=lambda part: part.name))

    def finish(self, media_type: str, package: str, *, packed: bool = False) -> Made:
        """One file as it is, several as a ZIP called `package`; `packed`: one as well. Raises OSError.

        Nothing lies there in the clear at any time.
        """
        if len(self._parts) == 1 and not packed:
            (only,) = self._parts
            only.keep(self._target)
            return Made(only.key, only.counted.size, only.counted.sha256.digest(), Path(only.name).name, media_type)
        key = new_key()
        with dataset_files.written(self._target, key, self._bound) as sealed:
            counted = dataset_files.Counted(sealed)
            _zip(counted, list(self), self.created)
        for part in self._parts:
            part.remove()
        return Made(key, counted.size, counted.sha256.digest(), package, ZIP)

    def remove(self) -> None:
        """All of it: it came to nothing."""
        for part in self._parts:
            part.remove()
        files.remove(self._target)


class Part:
    """A file, sealed with a key of its own."""

    def __init__(self, name: str, path: Path, bound: bytes) -> None:
        self.name, self.bound, self.key, self._path = name, bound, new_key(), path
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = files.private(path)
        self._sealed = SealedWriter(self._file, self.key, bound)
        self.counted = dataset_files.Counted(self._sealed)
        self.stream = io.BufferedWriter(self.counted, _PIECE)

    def keep(self, target: Path) -> None:
        """It is whole: under its own name, and on the disk."""
        self.close()
        self._path.replace(target)
        files.sync(target.parent)

    def pieces(self) -> Iterator[bytes]:
        """What was written."""
        self.close()
        with dataset_files.opened(self._path, self.key, self.bound) as plain:
            while piece := plain.read(_PIECE):
                yield piece

    def remove(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._file.close()
        self._path.unlink(missing_ok=True)

    def close(self) -> None:
        """It is on the disk."""
        self.stream.close()  # nothing where the exporter did so
        self._sealed.close()
        if not self._file.closed:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()


class Exceptions:
    """The file of what could not be represented: row, variable, value, reason."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._stream.write(csv_table.lines([["row", "variable", "value", "reason"]]))
        self.count = 0

    def put(self, one: Any) -> None:
        """An `Unrepresentable` of the exporters."""
        self.count += 1
        self._stream.write(csv_table.lines([[one.row, one.variable, one.value, one.reason]]))

    def close(self) -> None:
        self._stream.close()


def _safe(name: str) -> str:
    """A name that no system takes for another place; a folder's ends with its slash."""
    folder, _, last = name.rpartition("/")
    folders = "".join(f"{exports.file_name(one)}/" for one in folder.split("/") if one)
    return f"{folders}{exports.file_name(last)}" if last else folders


def _zip(sink: Any, parts: list[Part], created: int) -> None:
    moment = max(clock.from_micros(created), datetime.datetime(1980, 1, 1, tzinfo=datetime.UTC))
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as package:
        for part in parts:
            entry = zipfile.ZipInfo(part.name, moment.timetuple()[:6])
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o600 << 16
            with package.open(entry, "w", force_zip64=True) as target:
                for piece in part.pieces():
                    target.write(piece)
