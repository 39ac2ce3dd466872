"""A table as ODM-XML, a batch at a time: a row is an ItemGroupData, a cell that is not missing an ItemData.

Rows stay in their order. Each run of rows of one subject is a SubjectData, so that one whose rows are apart has
several; ItemGroupRepeatKey is the number of the row in the table, which tells every row of the file. A special missing
value of SAS is `IsNull="Yes"`, and a Flag (its value from the CodeList `CL.HILUM.MISSING`) has its letter.

lxml writes what stands before the rows; these become text column by column in Arrow's own memory.
Source: CDISC ODM 1.3.2, 3.1.4 "The ClinicalData Element"; ODM 2.0, "ClinicalData".
"""

from __future__ import annotations

import datetime
import html
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from lxml import etree

from hilum.formats import cells
from hilum.formats.cells import Refuse
from hilum.formats.odm import columns, study
from hilum.formats.odm.version import Version
from hilum.formats.plain_xml import fit
from hilum.model.dataset import Dataset, Variable

_CELLS = 100_000  # that become text at once, so that memory has a bound
_BYTES = 4 << 20  # of values, likewise
_ESCAPES = (
    ("&", "&amp;"),
    ("<", "&lt;"),
    (">", "&gt;"),
    ('"', "&quot;"),
    ("\t", "&#9;"),
    ("\n", "&#10;"),
    ("\r", "&#13;"),
)
_EMPTY = pa.scalar("", pa.string())


class Writer:
    """A table that is being written to a file, which `begin` gives when all that may be refused before it was not.

    `subject`: the variable whose values are subject keys; None: USUBJID, SUBJID or SubjectKey, the first that is there.
    Raises DataError where ODM cannot hold what is said of the data set.
    """

    def __init__(
        self, begin: Callable[[], BinaryIO], version: Version, dataset: Dataset, created: datetime.datetime,
        refuse: Refuse, subject: str | None = None, named: str | None = None,
    ) -> None:  # fmt: skip
        self.rows = 0
        self.without = 0
        """Rows that have no subject: they stand under a subject that is called as the data set is."""
        self._version, self._dataset, self._refuse = version, dataset, refuse
        self._plan = study.plan(dataset, subject, named)
        self._subject: str | None = None
        self._frames = _Frames(version, self._plan)
        about = study.element(dataset, self._plan, version)
        stamp = created.isoformat()
        words = {
            "FileType": "Snapshot", "FileOID": f"{self._plan.study}.{dataset.name}.{stamp}", "CreationDateTime": stamp,
            "ODMVersion": version.number, "SourceSystem": "Hilum",
        }  # fmt: skip
        self._stream = begin()
        self._contexts: list[Any] = []
        self._xml = self._enter(etree.xmlfile(self._stream, encoding="utf-8", buffered=False))
        self._xml.write_declaration()
        self._enter(self._xml.element(version.tag("ODM"), words, nsmap={None: version.namespace}))
        self._xml.write("\n", about, "\n")
        data = {"StudyOID": self._plan.study, "MetaDataVersionOID": self._plan.metadata}
        self._enter(self._xml.element(version.tag("ClinicalData"), data))
        self._xml.flush()

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows. Raises what `refuse` raises."""
        if not batch.num_rows:
            return
        pieces = 1 + max(batch.nbytes // _BYTES, batch.num_rows * batch.num_columns // _CELLS)
        length = 1 + batch.num_rows // pieces
        for start in range(0, batch.num_rows, length):
            self._add(batch.slice(start, length))

    def close(self) -> None:
        """Write what comes last, and close the file."""
        self._stream.write(b"" if self._subject is None else self._frames.end.encode())
        self._stream.write(b"\n")
        while self._contexts:
            self._contexts.pop().__exit__(None, None, None)
        self._stream.close()

    def _enter(self, context: Any) -> Any:
        self._contexts.append(context)
        return context.__enter__()

    def _add(self, batch: pa.RecordBatch) -> None:
        texts = [
            columns.texts(column, one, self._version, self._refuse, self.rows)
            for one, column in zip(self._dataset.variables, batch.columns, strict=True)
        ]
        numbers = pa.array(np.arange(self.rows + 1, self.rows + batch.num_rows + 1)).cast(pa.string())
        start, end = self._frames.row
        parts: list[Any] = [self._subjects(texts, batch.num_rows), start, numbers, '">']
        for one, text, column, frame in zip(
            self._dataset.variables, texts, batch.columns, self._frames.items, strict=True
        ):
            parts += self._cells(one, text, column, frame)
        parts.append(end)
        self._stream.write(cells.lines(parts))
        self.rows += batch.num_rows

    def _cells(
        self, variable: Variable, text: pa.Array, column: pa.Array, frame: tuple[str, str, str]
    ) -> list[pa.Array]:
        """Elements of a column, null where a value is missing."""
        before, after, special = frame
        found = [pc.binary_join_element_wise(before, escaped(text), after, "")]
        if (letters := columns.letters(column)) is not None:
            found.append(pc.binary_join_element_wise(special, letters, self._frames.special, ""))
        return found

    def _subjects(self, texts: list[pa.Array], rows: int) -> pa.Array:
        """What ends one subject and begins the next, before its first row; empty before the others."""
        if self._plan.subject:
            keys = texts[self._dataset.names.index(self._plan.subject)]
            none = pc.fill_null(pc.equal(keys, ""), True)
            self.without += pc.sum(none).as_py()
            keys = pc.if_else(none, self._plan.stand_in, keys)
        else:
            keys = pa.array([self._plan.stand_in] * rows, pa.string())
        before = pa.concat_arrays([pa.array([self._subject], pa.string()), keys.slice(0, rows - 1)])
        same = pc.fill_null(pc.equal(keys, before), False)
        begin = pc.binary_join_element_wise(
            self._frames.end + self._frames.subject, escaped(keys), self._frames.begin, ""
        )
        found = pc.if_else(same, _EMPTY, begin)
        if self._subject is None:  # nothing is there to be ended
            first = pa.array([found[0].as_py().removeprefix(self._frames.end)], pa.string())
            found = pa.concat_arrays([first, found.slice(1)])
        self._subject = keys[rows - 1].as_py()
        return found


class _Frames:
    """The text around values, which is the same for every row."""

    def __init__(self, version: Version, plan: study.Plan) -> None:
        form = f'<FormData FormOID="{_quoted(plan.form)}">' if version.forms else ""
        self.subject = '\n<SubjectData SubjectKey="'
        self.begin = f'"><StudyEventData StudyEventOID="{_quoted(plan.event)}">{form}'
        self.end = f"\n{'</FormData>' if version.forms else ''}</StudyEventData></SubjectData>"
        self.row = f'\n<ItemGroupData ItemGroupOID="{_quoted(plan.group)}" ItemGroupRepeatKey="', "</ItemGroupData>"
        value, after = (' Value="', '"/>') if version.forms else ("><Value>", "</Value></ItemData>")
        flag = f' IsNull="Yes"><Annotation SeqNum="1"><Flag><FlagValue CodeListOID="{study.MISSING}">'
        items = [f'<ItemData ItemOID="{_quoted(one)}"' for one in plan.items]
        self.items = [(item + value, after, item + flag) for item in items]
        self.special = "</FlagValue></Flag></Annotation></ItemData>"


def escaped(texts: pa.Array) -> pa.Array:
    """The texts as they stand between quotes or tags; most columns have nothing that needs it."""
    if cells.holding(texts, b'&<>"\t\n\r') is None:
        return texts
    for mark, entity in _ESCAPES:
        texts = pc.replace_substring(texts, mark, entity)
    return texts


def _quoted(text: str) -> str:
    plain = html.escape(fit(text, "OID"), quote=True)
    return plain.replace("\t", "&#9;").replace("\n", "&#10;").replace("\r", "&#13;")
