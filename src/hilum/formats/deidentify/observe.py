"""What the values of a table's columns look like: seen once before a plan is made, batch by batch, in bounded memory.

Nothing is remembered of a column but counts, and of at most `FEW` distinct texts themselves while it has no more; never
a row. How values and subjects go together is told by the first `SUBJECTS` subjects.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import re2  # type: ignore[import-untyped]  # it ships no types

from hilum.formats.deidentify import patterns, vocabulary
from hilum.formats.deidentify.classify import by_description
from hilum.formats.deidentify.meanings import DATED, HARMLESS, Meaning
from hilum.model.dataset import CALENDAR, Dataset, DataType

FEW = 5_000  # distinct texts that are told apart; a column of more has many
SUBJECTS = 20_000  # whose values are compared
LONG = 60  # characters of what is a sentence rather than a code
WORDS = 6
_ID = r"^(?:0[0-9]{2,}|[0-9]{4,})$"  # a number as people write ids
_SPACES = r"\s+"
_DATE_ALONE = re2.compile(
    "|".join(rf"(?:\s*(?:{one.text})\s*)" for one in patterns.PATTERNS if one.meaning is Meaning.DATE)
)


class Together:
    """How the values of a column go with subjects: one each, or the same for many."""

    def __init__(self) -> None:
        self.subjects = 0
        self.values = 0
        self.constant = True  # has each subject one value?
        self._pairs: Any = np.zeros(0, np.uint64)
        self._keys: Any = np.zeros(0, np.uint64)
        self._who: Any = np.zeros(0, np.int64)

    def see(self, who: Any, keys: Any) -> None:
        """`who`: the subject's number of each row, negative where it does not count; `keys`: 64 bits of each value."""
        if not self.constant:
            return
        counts = who >= 0
        who, keys = who[counts], keys[counts]
        self._who = np.union1d(self._who, who)
        self._keys = np.union1d(self._keys, keys)
        mixed = (who.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)) ^ (keys * np.uint64(0xC2B2AE3D27D4EB4F))
        self._pairs = np.union1d(self._pairs, mixed)
        self.subjects, self.values = len(self._who), len(self._keys)
        self.constant = len(self._pairs) <= self.subjects

    @property
    def identifies(self) -> bool:
        """Has nearly every subject a value that nobody else has?"""
        return self.constant and self.subjects > 1 and self.values >= 0.9 * self.subjects


class Text:
    """A text column."""

    def __init__(self) -> None:
        self.filled = 0  # values that are there and not blank
        self.hits: dict[Meaning, int] = {}  # distinct values that look like an identifier
        self.checked = 0  # distinct values that are no numbers, of each batch
        self.dates = 0  # of these, that are a date and nothing else
        self.longest = 0
        self.words = 0
        self.texts: set[str] = set()  # what is no number
        self.many = False  # more than FEW of them
        self.ids: bool | None = None  # are all numbers, where there are any, written as ids are?
        self.zeros = False  # does a number begin with a zero that numbers have not?
        self.together = Together()

    def see(self, column: pa.Array, who: Any) -> None:
        encoded = pc.dictionary_encode(column)
        distinct = pc.utf8_trim_whitespace(encoded.dictionary)
        blank = pc.equal(distinct, "")
        number = pc.match_substring_regex(distinct, f"^(?:{vocabulary.MEASURED})$")
        self._look(distinct.filter(pc.invert(pc.or_(number, blank))))
        self._look_at_numbers(distinct.filter(number))
        if not len(distinct):
            return
        places = pc.fill_null(encoded.indices, 0).to_numpy()
        valid = encoded.indices.is_valid().to_numpy(zero_copy_only=False)
        valid &= ~blank.to_numpy(zero_copy_only=False)[places]
        self.filled += int(valid.sum())
        if self.together.constant:
            self.together.see(np.where(valid, who, -1), _keys(distinct)[places])

    def _look(self, texts: pa.Array) -> None:
        """At distinct values that are no numbers."""
        if not len(texts):
            return
        self.longest = max(self.longest, pc.max(pc.utf8_length(texts)).as_py())
        self.words = max(self.words, pc.max(pc.list_value_length(pc.split_pattern_regex(texts, _SPACES))).as_py())
        self.checked += len(texts)
        looked = patterns.chosen(True)
        for text in texts.to_pylist():
            for meaning in {one.meaning for one in looked.found(text)}:
                self.hits[meaning] = self.hits.get(meaning, 0) + 1
            if _DATE_ALONE.fullmatch(text):
                self.dates += 1
            if not self.many:
                self.texts.add(text)
        if len(self.texts) > FEW:
            self.many, self.texts = True, set()

    def _look_at_numbers(self, texts: pa.Array) -> None:
        if len(texts):
            self.ids = self.ids is not False and pc.all(pc.match_substring_regex(texts, _ID)).as_py()
            self.zeros = self.zeros or pc.any(pc.match_substring_regex(texts, "^0[0-9]{2,}$")).as_py()

    @property
    def all_dates(self) -> bool:
        return 0 < self.checked == self.dates

    @property
    def no_dates(self) -> bool:
        """Are most of them something else?"""
        return 2 * self.dates < self.checked

    @property
    def known_words(self) -> bool:
        """Are all of them words that tell nobody's identity?"""
        return not self.many and all(text.casefold() in vocabulary.VALUES for text in self.texts)

    @property
    def category(self) -> bool:
        """Few short codes that many subjects share?"""
        shared = self.together.subjects if self.together.constant else self.filled
        return self.longest <= 2 and not self.many and shared >= 5 * len(self.texts)

    @property
    def numbered(self) -> bool:
        """Do they have numbers that are no measurements: ids, ZIP codes?"""
        return self.zeros or self.ids is True

    @property
    def sentences(self) -> bool:
        """Written by people rather than chosen from a list?"""
        distinct = len(self.texts)
        varied = self.many or distinct > max(20, self.filled // 3)
        return self.longest > LONG or self.words >= WORDS or varied


def _keys(texts: pa.Array) -> Any:
    """64 bits of each text."""
    digests = [hashlib.blake2b(text.encode(), digest_size=8).digest() for text in texts.to_pylist()]
    return np.frombuffer(b"".join(digests), np.uint64)


class Number:
    """A column of numbers."""

    def __init__(self) -> None:
        self._seen = 0
        self.filled = 0
        self.whole = True
        self.least, self.most = np.inf, -np.inf
        self.long = 0  # of seven digits and more
        self.days = 0  # that are a date as YYYYMMDD
        self.five = 0  # of five digits
        self.together = Together()
        self.rows = Together()  # the same with rows for subjects

    def see(self, column: pa.Array, who: Any) -> None:
        given = column.is_valid().to_numpy(zero_copy_only=False)
        values = pc.fill_null(column, 0).to_numpy(zero_copy_only=False).astype(np.float64)
        given &= np.isfinite(values)
        self.together.see(np.where(given, who, -1), values.view(np.uint64))
        rows = np.arange(self._seen, self._seen + len(values), dtype=np.int64)
        self.rows.see(np.where(given & (rows < SUBJECTS), rows, -1), values.view(np.uint64))
        self._seen += len(values)
        values = values[given]
        self.filled += len(values)
        if not len(values):
            return
        self.least, self.most = min(self.least, values.min()), max(self.most, values.max())
        self.whole = self.whole and bool((values == np.floor(values)).all())
        if self.whole:
            self.long += int((np.abs(values) >= 1e6).sum())
            self.days += int(_are_days(values).sum())
            self.five += int(((values >= 10_000) & (values <= 99_999)).sum())

    @property
    def all_days(self) -> bool:
        return self.whole and 0 < self.filled == self.days

    @property
    def years(self) -> bool:
        return self.whole and self.filled > 0 and self.least >= 1850 and self.most <= 2150

    @property
    def ages(self) -> bool:
        """May they be years of age, one for each subject, some of them over 89?"""
        return self.whole and self.together.constant and self.least >= 0 and 89 < self.most <= 125

    @property
    def areas(self) -> bool:
        """May they be ZIP codes, whose first zeros numbers have not?"""
        return self.whole and self.together.constant and self.least >= 501 and 5 * self.five >= 4 * self.filled > 0

    @property
    def numbers_of_something(self) -> bool:
        """Of seven digits, or four and more and each subject's or row's own: no measurement."""
        own = self.together.identifies and self.most >= 1_000 and self.least >= 0
        own = own or (self.rows.identifies and self.rows.subjects >= 10 and self.least >= 1_000)
        return self.whole and (2 * self.long > self.filled or own)


def _are_days(values: Any) -> Any:
    year, month, day = values // 10_000, values // 100 % 100, values % 100
    return (year >= 1850) & (year <= 2150) & (month >= 1) & (month <= 12) & (day >= 1) & (day <= 31)


class Observed:
    """The columns of a data set that their names do not tell all about. `subject`: its variable, if there is one."""

    def __init__(self, dataset: Dataset, subject: str = "") -> None:
        self.rows = 0
        self.columns: dict[str, Text | Number] = {}
        self._subject = subject if subject in dataset.names else ""
        self._subjects: pa.Array | None = None
        for one in dataset.variables:
            meaning = by_description(one)[0]
            dated = meaning in DATED and one.type not in CALENDAR
            numbers = meaning is Meaning.TEXT and one.numeric  # which are no sentences
            told = meaning is not None and meaning not in HARMLESS and not dated and not numbers
            if not told and one.name != self._subject and one.type is not DataType.BOOLEAN:
                self.columns[one.name] = Number() if one.numeric else Text()

    def see(self, batch: pa.RecordBatch) -> None:
        """Rows of the data set, all of them sooner or later; what was not seen is not known."""
        who = self._who(batch)
        for name, column in self.columns.items():
            column.see(batch.column(name), who)
        self.rows += batch.num_rows

    def _who(self, batch: pa.RecordBatch) -> Any:
        """A number for each row's subject, -1 beyond SUBJECTS; each row's own where there are no subjects."""
        if not self._subject:
            rows = np.arange(self.rows, self.rows + batch.num_rows, dtype=np.int64)
            return np.where(rows < SUBJECTS, rows, -1)
        column = batch.column(self._subject)
        known = self._subjects if self._subjects is not None else pa.array([], column.type)
        if len(known) < SUBJECTS:
            new = pc.drop_null(pc.unique(column))
            new = new.filter(pc.invert(pc.is_in(new, known)))
            known = self._subjects = pa.concat_arrays([known, new.slice(0, SUBJECTS - len(known))])
        return pc.fill_null(pc.index_in(column, known), -1).to_numpy().astype(np.int64)
