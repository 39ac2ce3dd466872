"""Which rows of docs/ledger.md a passing test proves: runs the marked tests, writes ledger.json.

proven   a test marked ledger(row) passed, and no test of the row failed
part     only tests marked ledger_part(row, what) passed
failed   a test of the row failed
skipped  all tests of the row were skipped
open     no test claims the row
same     the row repeats another one (`=` in its kind) and no test claims it

With --trace it runs nothing: it writes down which tests claim which row, for the validation pack that a hub makes.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
TRACE = ROOT / "src" / "hilum" / "exporting" / "qualification" / "trace.json"
STATES = ("proven", "part", "failed", "skipped", "open", "same")
MOST_ROWS = 3  # a test that carries more proves none of them well


def read_rows(text: str) -> dict[str, str]:
    """Row id -> kind, of every row of the ledger's tables; ValueError for a doubled id."""
    return {row: kind for row, (kind, _) in read_requirements(text).items()}


def read_requirements(text: str) -> dict[str, tuple[str, str]]:
    """Row id -> kind and requirement; ValueError for a doubled id."""
    rows: dict[str, tuple[str, str]] = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)]
        if len(cells) > 4 and re.fullmatch(r"S\d-\d+", cells[1]):
            if cells[1] in rows:
                raise ValueError(f"{cells[1]} stands twice in the ledger")
            rows[cells[1]] = (cells[3], cells[4].replace("\\|", "|"))
    return rows


def claimed(folder: Path) -> dict[str, list[tuple[str, str | None]]]:
    """Row id -> the tests that are marked with it, each with what part of it; as the files say, nothing is run."""
    found: dict[str, list[tuple[str, str | None]]] = {}
    for path in sorted(folder.rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or not node.name.startswith("test_"):
                continue
            name = f"{path.relative_to(folder.parent).as_posix()}::{node.name}"
            for kind, said in _marks(node):
                if kind == "ledger":
                    for row in said:
                        found.setdefault(row, []).append((name, None))
                else:
                    found.setdefault(said[0], []).append((name, said[1]))
    return {row: sorted(tests, key=lambda test: (test[0], test[1] or "")) for row, tests in found.items()}


def _marks(node: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[tuple[str, list[str]]]:
    """The marks of a test that name rows: ledger or ledger_part, and what they say."""
    for one in node.decorator_list:
        if isinstance(one, ast.Call):
            name = ast.unparse(one.func)
            if name in ("pytest.mark.ledger", "pytest.mark.ledger_part"):
                yield name.rpartition(".")[2], [ast.literal_eval(each) for each in one.args]


def trace() -> str:
    """The trace matrix as JSON: a row a line."""
    tests = claimed(ROOT / "tests")
    rows = [
        json.dumps({"id": row, "same": "=" in kind, "text": text, "tests": tests.get(row, [])}, ensure_ascii=False)
        for row, (kind, text) in read_requirements((ROOT / "docs" / "ledger.md").read_text(encoding="utf-8")).items()
    ]
    return "[\n" + ",\n".join(rows) + "\n]\n"


def run_tests(arguments: list[str]) -> tuple[int, dict[str, dict[str, Any]]]:
    """pytest's exit code, and test id -> its claims and outcome."""
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "outcomes.json"
        command = ["-m", "pytest", "-p", "ledger_plugin", "--ledger-results", str(results), *arguments]
        path = os.pathsep.join([str(ROOT / "scripts"), os.environ.get("PYTHONPATH", "")]).strip(os.pathsep)
        code = subprocess.run(
            [sys.executable, *command], cwd=ROOT, check=False, env=os.environ | {"PYTHONPATH": path}
        ).returncode
        return code, json.loads(results.read_text(encoding="utf-8")) if results.exists() else {}


def state(kind: str, tests: list[dict[str, Any]]) -> str:
    """The state of a row with these tests."""
    outcomes = {test["outcome"] for test in tests}
    if "failed" in outcomes:
        return "failed"
    if any(test["outcome"] == "passed" and test["part"] is None for test in tests):
        return "proven"
    if "passed" in outcomes:
        return "part"
    if outcomes:
        return "skipped"
    return "same" if "=" in kind else "open"


def judge(rows: dict[str, str], outcomes: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The content of ledger.json; `unknown` lists claims of rows that the ledger does not have."""
    tests: dict[str, list[dict[str, Any]]] = {row: [] for row in rows}
    unknown, crowded = [], []
    for name, test in sorted(outcomes.items()):
        claimed = {claim["row"] for claim in test["claims"]}
        if len(claimed) > MOST_ROWS:
            crowded.append({"test": name, "rows": sorted(claimed)})
        for claim in test["claims"]:
            entry = {"test": name, "outcome": test["outcome"], "part": claim["part"]}
            if claim["row"] in tests:
                tests[claim["row"]].append(entry)
            else:
                unknown.append({"test": name, "row": claim["row"]})
    judged = {row: {"state": state(kind, tests[row]), "kind": kind, "tests": tests[row]} for row, kind in rows.items()}
    return {"rows": judged, "crowded": crowded, "unknown": unknown}


def summary(judged: dict[str, dict[str, Any]]) -> Table:
    """States by section of the ledger."""
    table = Table("section", *STATES, "rows", title="ledger")
    counts = Counter((row.split("-")[0], entry["state"]) for row, entry in judged.items())
    sections = sorted({section for section, _ in counts})
    for section in sections:
        numbers = [counts[section, name] for name in STATES]
        table.add_row(section, *map(str, numbers), str(sum(numbers)))
    totals = [sum(counts[section, name] for section in sections) for name in STATES]
    table.add_section()
    table.add_row("all", *map(str, totals), str(sum(totals)), style="bold")
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "ledger.json")
    parser.add_argument("--trace", action="store_true", help="write the trace matrix of the validation pack")
    args, rest = parser.parse_known_args()
    if args.trace:
        TRACE.write_text(trace(), encoding="utf-8")
        return
    rows = read_rows((ROOT / "docs" / "ledger.md").read_text(encoding="utf-8"))
    code, outcomes = run_tests(rest)
    result = judge(rows, outcomes)
    args.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    console = Console()
    console.print(summary(result["rows"]))
    for test in result["crowded"]:
        console.print(f"more than {MOST_ROWS} rows: {test['test']}: {', '.join(test['rows'])}", style="yellow")
    for test in result["unknown"]:
        console.print(f"no such row: {test['test']}: {test['row']}", style="red")
    nothing_marked = code == 5  # pytest: no tests were collected
    sys.exit(1 if result["unknown"] else 0 if nothing_marked else code)


if __name__ == "__main__":
    main()
