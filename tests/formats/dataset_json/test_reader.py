"""Dataset-JSON is read in all forms, a little at a time; what is wrong is told with row and variable."""

from __future__ import annotations

import gzip
import io
import json
import zlib
from collections.abc import Callable
from typing import Any

import pytest

from hilum.errors import DataError, FormatError
from hilum.formats.dataset_json import Reader, recognises
from hilum.sdk.tables import schema

FORMS = ["json", "ndjson", "gzip", "zlib"]
File = Callable[..., bytes]
Rows = list[list[Any]]


class Drops(io.BytesIO):
    """A stream that comes a few bytes at a time."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(size if size is None or size < 0 else min(size, 3))


def read(data: bytes, *, most: int = 1_000, stream: type[io.BytesIO] = io.BytesIO) -> Rows:
    reader = Reader(lambda: stream(data))
    wanted = schema(reader.dataset)
    found: Rows = []
    for batch in reader.batches(wanted, most):
        assert batch.schema == wanted
        assert 0 < batch.num_rows <= most
        batch.validate(full=True)
        found += [list(cells) for cells in zip(*(one.to_pylist() for one in batch.columns), strict=True)]
    return found


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("stream", [io.BytesIO, Drops])
@pytest.mark.parametrize("most", [1, 2, 1_000])
def test_every_form_is_read(form: str, stream: type[io.BytesIO], most: int, file: File, held: Rows) -> None:
    assert read(file(form), most=most, stream=stream) == held


@pytest.mark.parametrize("form", FORMS)
def test_no_rows_are_no_rows(form: str, file: File) -> None:
    assert read(file(form, [])) == []


def test_metadata_without_rows_are_read(file: File, words: dict[str, Any]) -> None:
    assert read(json.dumps(words | {"records": 0}).encode()) == []


@pytest.mark.parametrize("stream", [io.BytesIO, Drops])
@pytest.mark.parametrize("last", ["records", "columns", "rows", "datasetJSONVersion", "label"])
def test_the_members_may_stand_in_any_order(
    last: str, stream: type[io.BytesIO], words: dict[str, Any], rows: Rows, held: Rows
) -> None:
    whole = {"rows": rows, **words}
    whole[last] = whole.pop(last)
    assert read(json.dumps(whole).encode(), stream=stream) == held
    whole["isReferenceData"] = True
    reader = Reader(lambda: io.BytesIO(json.dumps(whole).encode()))
    assert reader.dataset.extra["dataset-json.isReferenceData"] == "true"


@pytest.mark.parametrize("stream", [io.BytesIO, Drops])
def test_white_space_and_a_byte_order_mark_are_nothing(
    stream: type[io.BytesIO], file: File, rows: Rows, words: dict[str, Any], held: Rows
) -> None:
    pretty = b"\xef\xbb\xbf" + json.dumps(words | {"rows": rows}, indent=3, ensure_ascii=False).encode() + b"\r\n\n"
    assert read(pretty, stream=stream) == held
    assert read(file("ndjson").replace(b"\n", b" \r\n\r\n"), stream=stream) == held
    assert read(file("ndjson").rstrip(), stream=stream) == held


def test_a_compressed_file_may_have_members(file: File, held: Rows) -> None:
    lines = file("ndjson")
    assert read(gzip.compress(lines[:400]) + gzip.compress(lines[400:])) == held


def test_rows_may_be_objects(file: File, rows: Rows, words: dict[str, Any], held: Rows) -> None:
    names = [one["name"] for one in words["columns"]]
    assert read(file("gzip", [rows[0], *(dict(zip(names, row, strict=True)) for row in rows[1:])])) == held
    assert read(file("gzip", [{"SEQ": 1}])) == [[None, 1, *[None] * 6]]
    with pytest.raises(DataError, match="row 2: 1 cells have no variable"):
        read(file("gzip", [rows[0], {"SEQ": 1, "OTHER": 2}]))


def test_numbers_keep_their_value(file: File, rows: Rows) -> None:
    many = [[*rows[0][:2], one, *rows[0][3:]] for one in (1, 2.5, 2**60 + 1, 10**25, -0.0, 5e-324, None)]
    assert [row[2] for row in read(file("json", many))] == [1.0, 2.5, float(2**60 + 1), 1e25, -0.0, 5e-324, None]
    whole = [[*rows[0][:1], one, *rows[0][2:]] for one in (1, 2.0, 2**63 - 1, None)]
    assert [row[1] for row in read(file("json", whole))] == [1, 2, 2**63 - 1, None]


def test_decimals_keep_their_digits_and_lose_their_commas(file: File, rows: Rows) -> None:
    digits = ["0.10", "1,234,567.8900", "+5", ".5", "1E-7", "123456789012345678901234567890.5", "", None]
    found = read(file("json", [[*rows[0][:3], one, *rows[0][4:]] for one in digits]))
    assert [row[3] for row in found] == [one.replace(",", "") if one else None for one in digits]


class Counting(io.BytesIO):
    """Tells how far it was read."""

    far = 0

    def read(self, size: int | None = -1, /) -> bytes:
        found = super().read(size)
        Counting.far = max(Counting.far, self.tell())
        return found


@pytest.mark.parametrize("form", ["json", "ndjson"])
def test_the_first_batch_is_there_long_before_the_end(form: str, file: File, rows: Rows) -> None:
    data = file(form, rows[:1] * 60_000)
    assert len(data) > 4_000_000
    reader = Reader(lambda: Counting(data))
    batches = reader.batches(schema(reader.dataset), 100)
    Counting.far = 0
    assert next(batches).num_rows == 100
    assert Counting.far < 1_100_000
    assert [one.num_rows for one in batches] == [100] * 599  # rows are taken a block at a time, not one by one


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("place", "cell", "variable", "reason"),
    [
        (0, 5, "ID", "a number is no string"),
        (0, ["x"], "ID", "an array is no string"),
        (0, {"x": 1}, "ID", "an object is no string"),
        (0, True, "ID", "a boolean is no string"),
        (1, "5", "SEQ", "a text is no integer"),
        (1, 5.5, "SEQ", "a number is no integer"),
        (1, True, "SEQ", "a boolean is no integer"),
        (1, 2**63, "SEQ", "beyond the integers of 64 bits"),
        (1, 1e300, "SEQ", "beyond the integers of 64 bits"),
        (1, float("nan"), "SEQ", "a number is no integer"),
        (2, "1.5", "AVAL", "a text is no float"),
        (2, False, "AVAL", "a boolean is no float"),
        (2, float("nan"), "AVAL", "beyond the numbers that a double holds"),
        (2, float("-inf"), "AVAL", "beyond the numbers that a double holds"),
        (2, 10**400, "AVAL", "beyond the numbers that a double holds"),
        (3, 1.5, "DOSE", "a number is no decimal"),
        (3, "1.5 mg", "DOSE", "no decimal number"),
        (3, "1.2.3", "DOSE", "no decimal number"),
        (4, 1, "FLAG", "a number is no boolean"),
        (4, "Y", "FLAG", "a text is no boolean"),
        (5, 20140102, "DTC", "a number is no date"),
        (6, 19725, "ADT", "a number is no date"),
        (6, "2014-01", "ADT", "no complete date of ISO 8601"),
        (6, "2014-02-30", "ADT", "no complete date of ISO 8601"),
        (7, 1, "LINK", "a number is no URI"),
    ],
)
def test_a_cell_of_another_type_is_told(
    form: str, place: int, cell: Any, variable: str, reason: str, file: File, rows: Rows
) -> None:
    wrong = [*rows, [*rows[0][:place], cell, *rows[0][place + 1 :]]]
    with pytest.raises(DataError, match=reason) as told:
        read(file(form, wrong), most=2)
    assert (told.value.row, told.value.variable) == (4, variable)


def test_half_of_a_surrogate_pair_is_told(file: File, rows: Rows) -> None:
    with pytest.raises(DataError, match="surrogate") as told:
        read(file("json", [rows[0], ["\ud800", *rows[0][1:]]]))
    assert (told.value.row, told.value.variable) == (2, "ID")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("wrong", "variable", "reason"),
    [
        (["x"], "SEQ", "1 cells, and 8 variables"),
        ([], "ID", "0 cells, and 8 variables"),
        (["x", 1, 1.5, "1", True, "", None, "", "more"], "LINK", "9 cells, and 8 variables"),
        ("x", "", "a row is an array"),
        (7, "", "a row is an array"),
        (None, "", "a row is an array"),
    ],
)
def test_a_row_of_another_shape_is_told(
    form: str, wrong: Any, variable: str, reason: str, file: File, rows: Rows
) -> None:
    with pytest.raises(DataError, match=reason) as told:
        read(file(form, [*rows, wrong, *rows]), most=3)
    assert (told.value.row, told.value.variable) == (4, variable)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("records", "row"), [(2, 3), (0, 1), (4, 4), (99, 4)])
def test_another_number_of_rows_than_announced_is_told(form: str, records: int, row: int, file: File) -> None:
    with pytest.raises(DataError, match="records are announced") as told:
        read(file(form, records=records))
    assert told.value.row == row


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("stream", [io.BytesIO, Drops])
def test_a_file_that_ends_too_early_is_told_wherever_it_ends(
    form: str, stream: type[io.BytesIO], file: File, held: Rows
) -> None:
    data = file(form).rstrip() if form == "ndjson" else file(form)
    assert read(data, stream=stream) == held
    for length in range(0, len(data), 7):
        with pytest.raises((FormatError, DataError)):
            read(data[:length], stream=stream)
    with pytest.raises((FormatError, DataError)):
        read(data[:-1], stream=stream)


def test_the_row_in_which_it_ends_is_told(file: File) -> None:
    data = file("ndjson")
    with pytest.raises(DataError, match="ends within a value") as told:
        read(data[:-10])
    assert told.value.row == 3
    with pytest.raises(DataError) as told:
        read(file("json")[:-20])
    assert told.value.row == 3


@pytest.mark.parametrize(
    ("old", "new", "row"),
    [
        (b"-0.10", b"-0.10\x01", 2),
        (b"false", b"False", 2),
        (b"1.5", b"01.5", 1),
        (b'"", -9', b'"" -9', 2),
        (b"-7", b"-7,", 2),
        (b"urn:a", b"urn:\\q", 1),
        (b"urn:a", b"urn:\xff", 0),
        (b"1.5", b"[" * 100_000, 1),
        (b"1.5", b"1" * 5_000, 1),
    ],
)
@pytest.mark.parametrize("form", ["json", "ndjson"])
def test_what_is_no_json_is_told_with_its_row(form: str, old: bytes, new: bytes, row: int, file: File) -> None:
    data = file(form)
    assert old in data
    with pytest.raises((FormatError, DataError), match="no JSON") as told:
        read(data.replace(old, new, 1))
    if row:
        assert isinstance(told.value, DataError)
        assert told.value.row == row


def test_a_wrong_row_of_a_long_file_is_told_without_reading_all(file: File, rows: Rows) -> None:
    data = file("json", rows[:1] * 60_000).replace(b"false", b"x").replace(b"true", b"True", 1)
    Counting.far = 0
    reader = Reader(lambda: Counting(data))
    Counting.far = 0
    with pytest.raises(DataError, match="no JSON") as told:
        list(reader.batches(schema(reader.dataset), 100))
    assert told.value.row == 1
    assert Counting.far < 1_100_000


@pytest.mark.parametrize("form", ["gzip", "zlib"])
def test_damaged_compression_is_told(form: str, file: File, rows: Rows) -> None:
    data = bytearray(file(form, rows[:2] * 2_000))
    data[len(data) // 2] ^= 0xFF
    with pytest.raises((FormatError, DataError)):
        read(bytes(data))
    with pytest.raises((FormatError, DataError), match="too early"):
        read(file(form)[:-4])


@pytest.mark.parametrize(
    "data",
    [b"", b" ", b"{", b"{}", b"[]", b"[[1]]", b"null", b"{1:2}", b'{"a"}', b'{"a":1,}', b"\x1f\x8b", b"\x78\x9c",
     b"STUDYID,USUBJID\n", b"\xff\xfe{\x00", b"PK\x03\x04", zlib.compress(b"[]"), b'{"rows":[', b'{"rows":[]}'],
)  # fmt: skip
def test_what_is_none_is_said_to_be_none(data: bytes) -> None:
    with pytest.raises((FormatError, DataError)):
        read(data)
    assert not recognises(data)


def test_a_name_that_stands_twice_is_told(file: File) -> None:
    with pytest.raises(FormatError, match="was there before"):
        read(file("ndjson").replace(b'"label": "Example"', b'"label": "Example", "name": "ADY"'))
    with pytest.raises((FormatError, DataError), match="was there before"):
        read(file("json")[:-1] + b', "rows": []}')


@pytest.mark.parametrize("behind", [b"{}", b"x", b"[]", b"]"])
def test_something_behind_the_end_is_told(behind: bytes, file: File) -> None:
    with pytest.raises((FormatError, DataError)):
        read(file("json") + behind)
    with pytest.raises((FormatError, DataError)):
        read(file("ndjson") + behind)


@pytest.mark.parametrize("form", FORMS)
def test_the_beginning_tells_dataset_json(form: str, file: File) -> None:
    assert recognises(file(form))
    assert recognises(file(form, [["x"] * 8] * 10_000)[:300])


@pytest.mark.parametrize(
    "other", [b'{"resourceType": "Patient"}', b'[{"name": "datasetJSONVersion"}]', b'{"a": "itemGroupOID"}']
)
def test_other_json_is_told_apart(other: bytes) -> None:
    assert not recognises(other)
    assert not recognises(gzip.compress(other))
