"""Text of a table scrubbed row by row: what the other columns of a row say of a person is looked for in it."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from hilum.formats.deidentify import columns
from hilum.formats.deidentify.meanings import Meaning
from hilum.formats.deidentify.profile import Profile
from hilum.formats.deidentify.scrubber import NOTHING, Known, Scrubber

_TELLING = frozenset(
    {
        Meaning.NAME, Meaning.STREET, Meaning.PLACE, Meaning.PHONE, Meaning.FAX, Meaning.EMAIL, Meaning.SSN,
        Meaning.MRN, Meaning.PLAN, Meaning.ACCOUNT, Meaning.LICENCE, Meaning.VEHICLE, Meaning.DEVICE, Meaning.SUBJECT,
        Meaning.RECORD,
    }
)  # fmt: skip
_REMEMBERED = 65_536


class Rows:
    """Scrubs columns of batches."""

    def __init__(self, profile: Profile, meanings: Mapping[str, Meaning]) -> None:
        self._scrubber = Scrubber(profile)
        self._telling = {name: meaning for name, meaning in meanings.items() if meaning in _TELLING}
        self._known: dict[tuple[str | None, ...], Known] = {}

    def scrubbed(self, batch: pa.RecordBatch, name: str, length: int | None) -> pa.Array:
        """The column without what is known of each row's person and what looks like an identifier; cut to `length`."""
        others = [one for one in self._telling if one != name]
        values = [columns.as_text(batch.column(one)).to_pylist() for one in others]
        told = zip(*values, strict=True) if values else ((),) * batch.num_rows
        meanings = [self._telling[one] for one in others]
        texts = [
            None if text is None else _cut(self._scrubber.text(text, self._of(meanings, row)), length)
            for text, row in zip(columns.as_text(batch.column(name)).to_pylist(), told, strict=True)
        ]
        return pa.array(texts, pa.string())

    def _of(self, meanings: list[Meaning], row: tuple[str | None, ...]) -> Known:
        found = self._known.get(row)
        if found is None:
            said = [(meaning, value) for meaning, value in zip(meanings, row, strict=True) if value]
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            found = self._known[row] = Known.of(said) if said else NOTHING
        return found


def _cut(text: str, length: int | None) -> str:
    """A mark may be longer than what it stands for: not more bytes than the variable declares."""
    if length is None or len(text) * 4 <= length:
        return text
    return text.encode()[:length].decode("utf-8", "ignore")
