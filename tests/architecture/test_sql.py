"""What goes into the text of a statement is ours: values are parameters, and whatever else is put in is listed here."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "src" / "hilum"
WORDS = re.compile(
    r"\b(SELECT|INSERT|UPDATE|DELETE|CREATE|ALTER|DROP|GRANT|REVOKE|PRAGMA|VALUES|WHERE|FROM|BEGIN|SAVEPOINT|COPY|ATTACH"
    r"|VACUUM|LISTEN|NOTIFY|EXECUTE)\b"
)
RAW = {"text", "literal_column", "exec_driver_sql", "executescript", "DDL"}
"""Functions that take a statement, or a part of one, as text."""

REASONS = {
    "store/database.py": {"pragma": "a constant of the loop around it"},
    "store/grants.py": {
        "quote(role)": "quoted as an identifier by the dialect",
        "quote(table)": "quoted as an identifier by the dialect",
        "rights": "a constant of the module",
        "query": "a constant of the module",
    },
    "store/hot.py": {
        "', '.join((f'NULL AS c{number}' for number in range(_WIDTH + 1)))": "counted",
        "', '.join([mark] * len(columns))": "marks of parameters",
        "', '.join([row] * rows)": "marks of parameters",
        "', '.join(columns)": "columns of the schema",
        "_EVENT": "a constant of the module",
        "_new(15)": "counted",
        "_new(16)": "counted",
        "_new(4)": "counted",
        "_new(len(EventRow._fields))": "counted",
        "body": "a constant of the module",
        "kind": "a number of the module",
        "table": "a table of the schema",
        "table.name": "a table of the schema",
        "when": "made of a number of the module",
    },
    "store/keys.py": {
        "_TABLES": "a constant of the module",
        "'<=' if last else '<'": "one of two",
        "marks": "marks of parameters",
        "pragma": "a constant of the loop around it",
        "values": "marks of parameters",
    },
    "store/messages.py": {
        "_ENDED[state]": "a constant of the module",
        "str(int(where.disposition))": "the number of an enumeration's member",
        "str(int(where.synthetic))": "0 or 1",
    },
    "store/own_views.py": {
        "name": "a table of the schema",
        "one": "a condition of the module",
        "whose": "a constant of the module",
    },
    "store/snapshot.py": {"name": "a table of the file that is restored, which SQLite itself named"},
}
"""By file: what its statements hold beside literals, and why nobody can choose it."""

MIGRATIONS = "store/migrations/"
"""They run before anybody can say anything: their constants are their own."""


def put_in(tree: ast.AST) -> Iterator[ast.expr]:
    """Expressions that become a part of a statement's text: by f-string, +, %, format, join, or as all of it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr) and WORDS.search("".join(map(_literal, node.values))):
            yield from (one.value for one in node.values if isinstance(one, ast.FormattedValue))
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Mod):
            for text, other in ((node.left, node.right), (node.right, node.left)):
                if WORDS.search(_literal(text)):
                    yield other
        elif isinstance(node, ast.Call):
            called = node.func
            if isinstance(called, ast.Attribute) and WORDS.search(_literal(called.value)):
                yield node  # "SELECT {}".format(…), " FROM ".join(…)
            name = getattr(called, "attr", getattr(called, "id", ""))
            if name in RAW and node.args and not isinstance(node.args[0], ast.Constant | ast.JoinedStr):
                yield node.args[0]


def _literal(node: ast.expr) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


@pytest.mark.ledger_part(
    "S0-35", "no statement is built of strings; SQL that people write is for the database connector"
)
def test_no_statement_holds_what_somebody_else_chose() -> None:
    found: dict[str, set[str]] = {}
    for path in sorted(ROOT.rglob("*.py")):
        name = str(path.relative_to(ROOT))
        if name.startswith(("store/", "connectors/", "jobs/", "engine/", "services/")) and MIGRATIONS not in name:
            said = {ast.unparse(one) for one in put_in(ast.parse(path.read_text(encoding="utf-8")))}
            if said:
                found[name] = said
    assert found == {name: set(said) for name, said in REASONS.items()}


@pytest.mark.parametrize(
    "bad",
    [
        'connection.exec_driver_sql(f"SELECT * FROM user WHERE name = {name}")',
        'connection.execute("DELETE FROM user WHERE name = \'" + name + "\'")',
        'connection.execute("DELETE FROM user WHERE name = %s" % name)',
        'connection.execute("DELETE FROM user WHERE name = {}".format(name))',
        "connection.execute(sa.text(wanted))",
        "query.where(sa.literal_column(wanted))",
        "connection.exec_driver_sql(wanted)",
    ],
)
def test_what_is_dangerous_is_seen(bad: str) -> None:
    assert list(put_in(ast.parse(bad)))


@pytest.mark.parametrize("good", ['execute(sa.text("SELECT :a"), given)', "sa.select(user).where(user.c.name == name)"])
def test_parameters_are_not(good: str) -> None:
    assert not list(put_in(ast.parse(good)))
