"""Examples in the documentation stay readable: a fenced block marked `runnable` must parse as its language.

Write ```yaml runnable, ```json runnable, ```python runnable or ```sh runnable.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^( *)```(\w+) runnable\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)


def shell(text: str) -> None:
    """Raises ValueError where the shell cannot read it."""
    read = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True, check=False)
    if read.returncode:
        raise ValueError(read.stderr)


READERS: dict[str, Callable[[str], object]] = {
    "yaml": yaml.safe_load,
    "json": json.loads,
    "python": ast.parse,
    "sh": shell,
}


def blocks(text: str) -> Iterator[tuple[str, str]]:
    """Language and content of every runnable block."""
    for match in BLOCK.finditer(text):
        yield match[2], textwrap.dedent(match[3])


def pages() -> list[Path]:
    return sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_runnable_blocks_parse(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for language, content in blocks(text):
        READERS[language](content)
    assert text.count(" runnable\n") == sum(1 for _ in blocks(text)), "a runnable block is not closed"


@pytest.mark.parametrize(
    ("language", "broken"),
    [("yaml", "a: [1"), ("json", "{"), ("python", "def"), ("sh", "if true")],
)
def test_a_broken_block_is_noticed(language: str, broken: str) -> None:
    [(found, content)] = blocks(f"# Page\n\n```{language} runnable\n{broken}\n```\n")
    with pytest.raises((ValueError, SyntaxError, yaml.YAMLError)):
        READERS[found](content)
