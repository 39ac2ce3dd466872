"""docs/surfaces.md answers every line of the three integration documents once, with what there is."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "surfaces.md"
DOCUMENTS = ("000", "002", "003")
ROW = re.compile(r"^\| ([0-9, -]+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
QUOTED = re.compile(r"`([^`]+)`")
ROUTE = re.compile(r"(?:(GET|POST|PUT|PATCH|DELETE) )?(/[\w/.{}:-]*)(?:\?\S*)?")
UNLISTED = {"/api/v1/openapi.json", "/api/v1/docs", "/api/v1/events/socket"}
"""Routes that OpenAPI has no words for: itself, its page, a WebSocket; tests/api/matrix.txt has them."""


@pytest.fixture(scope="module")
def documents(corpus: Path) -> dict[str, list[str]]:
    """The lines of each, by its number; they lie beside the corpus."""
    folder = corpus.parent / "spec" / "documents"
    if not folder.is_dir():
        pytest.skip(f"documents absent: {folder} (HILUM_CORPUS)")
    found = {one: next(folder.glob(f"{one}_*.txt")) for one in DOCUMENTS}
    return {one: path.read_text(encoding="utf-8").splitlines() for one, path in found.items()}


def rows(document: str) -> list[tuple[list[int], str]]:
    """Lines and answer of each row of a document's table."""
    section = PAGE.read_text(encoding="utf-8").split(f"## Document {document}\n")[1].partition("\n## ")[0]
    found = [(list(numbers(cell)), answer) for cell, _, answer in ROW.findall(section)]
    assert len(found) == section.count("\n|") - 2, "a row that cannot be read"
    return found


def numbers(cell: str) -> Iterator[int]:
    for part in cell.split(","):
        first, _, last = part.strip().partition("-")
        yield from range(int(first), int(last or first) + 1)


def quoted() -> list[str]:
    return QUOTED.findall(PAGE.read_text(encoding="utf-8"))


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_line_has_one_answer(documents: dict[str, list[str]], document: str) -> None:
    lines = documents[document]
    told = Counter(number for cell, _ in rows(document) for number in cell)
    said = {number for number, text in enumerate(lines, 1) if text.strip()}
    assert {number: lines[number - 1] for number in sorted(said - told.keys())} == {}, "no row has these"
    assert [number for number, count in sorted(told.items()) if count > 1] == [], "more than one row has these"
    assert max(told) <= len(lines)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_rows_stand_in_order_and_begin_and_end_with_a_line(documents: dict[str, list[str]], document: str) -> None:
    firsts = [cell[0] for cell, _ in rows(document)]
    assert firsts == sorted(firsts)
    for cell, answer in rows(document):
        assert answer.strip()
        for number in (cell[0], cell[-1]):
            assert documents[document][number - 1].strip(), f"{number} is blank"


def test_every_conflict_is_one_of_the_ledger() -> None:
    settled = set(
        re.findall(r"^\| (C-\d\d) \|", (ROOT / "docs" / "ledger.md").read_text(encoding="utf-8"), re.MULTILINE)
    )
    named = set(re.findall(r"\bC-\d+\b", PAGE.read_text(encoding="utf-8")))
    assert len(settled) == 50
    assert named
    assert named <= settled


def test_every_route_is_served() -> None:
    """One with its method exactly; a base without a method has routes below it."""
    paths = json.loads((ROOT / "tests" / "architecture" / "openapi.json").read_text(encoding="utf-8"))["paths"]
    served = {plain(path): {method.upper() for method in several} for path, several in paths.items()}
    named = [found for one in quoted() if (found := ROUTE.fullmatch(one))]
    assert len(named) > 100
    for found in named:
        method, path = found[1], plain(found[2])
        if method:
            assert method in served.get(path, ()), f"{found[0]} is not served"
        elif path not in UNLISTED:
            assert any(one == path or one.startswith(f"{path}/") for one in served), f"nothing is served at {found[0]}"


def plain(path: str) -> str:
    """Without the names of parameters; the shorter mount of document 002 is the longer one."""
    path = re.sub(r"\{[^}]*\}|:\w+", "{}", path)
    return f"/api{path}" if path.startswith("/integration") else path


def test_what_openapi_does_not_list_is_in_the_matrix() -> None:
    matrix = (ROOT / "tests" / "api" / "matrix.txt").read_text(encoding="utf-8")
    assert {path for path in UNLISTED if re.search(rf"\bGET +{re.escape(path)} ", matrix)} == UNLISTED


def test_every_page_is_there() -> None:
    text = PAGE.read_text(encoding="utf-8")
    pages = {one for one in quoted() if re.fullmatch(r"[\w./-]+\.(?:md|py)|[a-z]+(?:/[\w-]+)*/?", one) and "/" in one}
    pages |= {one for one in quoted() if re.fullmatch(r"[A-Z]+\.md", one)}
    missing = {one for one in pages if not ((ROOT / one).exists() or (ROOT / "src" / "hilum" / one).exists())}
    assert missing == set()
    links = re.findall(r"\]\(([^)#]+)\)", text)
    assert {one for one in links if not (PAGE.parent / one).exists()} == set()
