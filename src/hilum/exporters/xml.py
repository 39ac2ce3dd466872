"""XML: what is said of the data set and its variables, then a `row` a row and a `value` a cell that is not missing.

Element names are always the same, so that one schema (`formats/dataset.xsd`) describes every file; a value names its
variable in `of`. A missing value has no element, a special missing value of SAS has `missing="A"`. A character that
XML 1.0 cannot hold, such as most control characters, is refused with its text.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from lxml import etree

from hilum.errors import DataError
from hilum.formats import cells
from hilum.model.dataset import Dataset, Variable
from hilum.sdk.config import Config
from hilum.sdk.tables import Export, Exporter

_UNFIT = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x{FFFE}\x{FFFF}]"
_REASON = "XML 1.0 cannot hold a character of this text"


class Options(Config):
    """There is nothing to say."""


class XmlExporter(Exporter[Options]):
    names = ("xml",)
    suffix = ".xml"
    media_type = "application/xml"
    Config = Options

    def __init__(self, config: Options, dataset: Dataset, export: Export) -> None:
        super().__init__(config, dataset, export)
        about = [_described(one) for one in dataset.variables]  # before a file is there, as it may fail
        said = _filled({"name": dataset.name, "label": dataset.label, "rows": export.rows}, "")
        self._row = 0
        self._file = export.open(f"{dataset.name}{self.suffix}")
        self._contexts: list[Any] = []
        self._xml = self._enter(etree.xmlfile(self._file, encoding="utf-8"))
        self._xml.write_declaration()
        self._enter(self._xml.element("dataset", said))
        self._xml.write("\n")
        with self._xml.element("variables"):
            for one in about:
                self._xml.write("\n")
                self._xml.write(etree.Element("variable", one))
            self._xml.write("\n")
        self._xml.write("\n")
        self._enter(self._xml.element("rows"))

    def write(self, batch: pa.RecordBatch) -> None:
        names = self.dataset.names
        columns = [self._texts(*one) for one in zip(self.dataset.variables, batch.columns, strict=True)]
        for row in zip(*columns, strict=True):
            element = etree.Element("row")
            for name, value in zip(names, row, strict=True):
                if value is None:
                    continue
                if isinstance(value, str):
                    etree.SubElement(element, "value", of=name).text = value
                else:
                    etree.SubElement(element, "value", of=name, missing=value[0])
            self._xml.write("\n")
            self._xml.write(element)
        self._row += batch.num_rows

    def close(self) -> None:
        self._xml.write("\n")
        while self._contexts:
            self._contexts.pop().__exit__(None, None, None)
        self._file.close()

    def _enter(self, context: Any) -> Any:
        self._contexts.append(context)
        return context.__enter__()

    def _texts(self, variable: Variable, column: pa.Array) -> list[str | tuple[str] | None]:
        """Each value as text; a special missing value as its letter in a tuple."""
        text = cells.text(column, variable, self.export.refuse, self._row)
        found: list[str | tuple[str] | None] = text.to_pylist()
        if pa.types.is_floating(column.type):
            return [(one[1:],) if isinstance(one, str) and one[0] == "." else one for one in found]
        if pa.types.is_string(column.type):
            for place in pc.indices_nonzero(pc.match_substring_regex(column, _UNFIT)).to_pylist():
                self.export.refuse(self._row + place + 1, variable.name, found[place], _REASON)
                found[place] = None
        return found


def _described(variable: Variable) -> dict[str, str]:
    words = ("name", "type", "label", "length", "format", "informat", "target", "key", "oid", "code_list", "role")
    return _filled({word: getattr(variable, word) for word in words}, variable.name)


def _filled(words: dict[str, Any], variable: str) -> dict[str, str]:
    found = {word: str(value) for word, value in words.items() if value not in (None, "")}
    for word, text in found.items():
        if pc.match_substring_regex(pa.scalar(text), _UNFIT).as_py():
            raise DataError(f"XML 1.0 cannot hold a character of its {word}", variable=variable)
    return found


exporter = XmlExporter
