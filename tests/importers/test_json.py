"""NDJSON and JSON arrays: nothing is lost, and what is wrong is named by row and column."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hilum.errors import DataError, FormatError
from hilum.formats.missing import letters
from hilum.importers import json as json_importer
from hilum.importers.json import JsonImporter
from hilum.model.dataset import DataType
from hilum.sdk.testing.importer import ImporterSuite


class TestJson(ImporterSuite):
    module = json_importer

    def good(self) -> dict[str, bytes]:
        objects = ['{"A": 1.5, "B": "ä\\n"}', '{"B": null, "C": true}', '{"A": ".Z", "D": 12345678901234567890}']
        return {"good.ndjson": "\n".join(objects).encode(), "good.json": f"[{', '.join(objects)}]".encode()}


TYPES = {
    "I": (["1", "-2", "null"], DataType.INTEGER, [1, -2, None]),
    "BIG": (["18446744073709551616", "1"], DataType.DECIMAL, ["18446744073709551616", "1"]),
    "D": (["0.5", "2", "1e3"], DataType.DOUBLE, [0.5, 2.0, 1000.0]),
    "FINE": (["0.1234567890123456789"], DataType.DECIMAL, ["0.1234567890123456789"]),
    "B": (["true", "false"], DataType.BOOLEAN, [True, False]),
    "S": (['"x"', '"007"', '"1"'], DataType.STRING, ["x", "007", "1"]),
    "DIGITS": (['"1"', '"2"'], DataType.STRING, ["1", "2"]),
    "MIXED": (['"1"', "1"], DataType.STRING, ["1", "1"]),
    "BITS": (["true", '"x"'], DataType.STRING, ["true", "x"]),
    "DAY": (['"2014-01-31"', '"2014-02"'], DataType.DATE, ["2014-01-31", "2014-02"]),
    "NONE": (["null"], DataType.STRING, [None]),
    "EMPTY": (['""', "null"], DataType.STRING, ["", None]),
}


@pytest.mark.parametrize("name", TYPES)
def test_a_type_keeps_every_value(read: Any, tmp_path: Path, name: str) -> None:
    values, kind, held = TYPES[name]
    path = tmp_path / "t.ndjson"
    path.write_text("\n".join(f'{{"V": {value}}}' for value in values))
    ((dataset, table),) = read(JsonImporter, path)
    assert dataset.name == "t"
    assert dataset.variables[0].type is kind
    assert table.column("V").to_pylist() == held


def test_lines_and_arrays_are_the_same(read: Any, tmp_path: Path) -> None:
    rows = [{"A": 1, "B": "x"}, {"C": None}, {"B": "é\n", "A": 2}]
    (tmp_path / "t.jsonl").write_text("\n\n".join(json.dumps(row) for row in rows) + "\r\n")
    (tmp_path / "t.json").write_text("\ufeff" + json.dumps(rows, indent=2), encoding="utf-8")
    lines, array = (read(JsonImporter, tmp_path / name)[0] for name in ("t.jsonl", "t.json"))
    assert lines == array
    assert lines[0].names == ("A", "B", "C")
    assert lines[1].to_pylist() == [
        {"A": 1, "B": "x", "C": None}, {"A": None, "B": None, "C": None}, {"A": 2, "B": "é\n", "C": None},
    ]  # fmt: skip


def test_letters_among_numbers(read: Any, tmp_path: Path) -> None:
    path = tmp_path / "t.ndjson"
    path.write_text('{"V": 1}\n{"V": ".A"}\n')
    ((dataset, table),) = read(JsonImporter, path)
    assert dataset.variables[0].type is DataType.DOUBLE
    assert letters(np.array(table.column("V").to_pylist())).tolist() == [0, ord("A")]


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ('{"A": 1}\n{"A": [1]}', DataError, "row 2, A: a variable needs one value"),
        ('{"A": {"b": 1}}', DataError, "row 1, A: a variable needs one value"),
        ('{"A": 1, "A": 2}', DataError, "row 1, A: two members have this name"),
        ('{"A": NaN}', DataError, "row 1: JSON has no NaN"),
        ('{"A": "\\ud800"}', DataError, "row 1, A: half of a character"),
        ('{"A": 1}\n7', FormatError, "row 2 is no object"),
        ('{"A": 1}\n{"A": ', FormatError, "row 2: Expecting"),
        ('[{"A": 1} {"A": 2}]', FormatError, "row 2: a comma is missing"),
        ('[{"A": 1}', FormatError, "the array does not end"),
        ('[{"A": 1},]', FormatError, "row 2 is no object"),
        ('[{"A": 1}] x', FormatError, "something follows the array"),
        ('{"A":' + '[' * 100_000, FormatError, "row 1: too deep"),
        ("x", FormatError, "row 1 is no object"),
        ("", FormatError, "no object that has a member"),
        ("[]", FormatError, "no object that has a member"),
        ("[{}, {}]", FormatError, "no object that has a member"),
    ],
)  # fmt: skip
def test_what_is_wrong_has_a_place(read: Any, tmp_path: Path, text: str, error: Any, said: str) -> None:
    path = tmp_path / "t.json"
    path.write_text(text)
    with pytest.raises(error, match=said):
        read(JsonImporter, path)


def test_a_byte_that_is_no_utf_8(read: Any, tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    path.write_bytes(b'{"A": "\xff"}')
    with pytest.raises(FormatError, match="no UTF-8"):
        read(JsonImporter, path)


def test_objects_longer_than_what_is_read_at_once(read: Any, tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    path.write_text(json.dumps([{"A": "x" * 3_000_000, "N": number} for number in range(3)]))
    ((_, table),) = read(JsonImporter, path)
    assert table.column("N").to_pylist() == [0, 1, 2]
    assert {len(one) for one in table.column("A").to_pylist()} == {3_000_000}


def test_types_may_be_given(read: Any, tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    path.write_text('{"A": "1.50", "B": "x"}')
    assert str(read(JsonImporter, path, types={"A": "decimal"})[0][0].variables[0].type) == "decimal"
    with pytest.raises(DataError, match="row 1, B: this is no integer"):
        read(JsonImporter, path, types={"B": "integer"})
    with pytest.raises(DataError, match="C: types names a variable"):
        read(JsonImporter, path, types={"C": "integer"})


@given(st.lists(st.dictionaries(st.sampled_from("ABC"), st.one_of(st.none(), st.text(max_size=5))), max_size=5))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_comes_back(read: Any, tmp_path: Path, rows: list[dict[str, str | None]]) -> None:
    path = tmp_path / "t.json"
    path.write_text(json.dumps([{"A": None}, *rows]))
    ((dataset, table),) = read(JsonImporter, path)
    assert table.to_pylist()[1:] == [{name: row.get(name) for name in dataset.names} for row in rows]
    assert set(dataset.names) == {name for row in rows for name in row} | {"A"}
