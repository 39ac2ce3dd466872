"""CDISC Define-XML 2.1: what is said of data sets that are handed in; written, read, and held against the data.

For many data sets, each of which is looked at once, batch by batch:

    observed = [observe(dataset, batches) for dataset, batches in …]
    lists = merged(one for each in observed for one in code_lists(each))
    tables = tuple(table(each, href=f"{each.dataset.name.lower()}.xpt", lists=lists) for each in observed)
    data = write(Define(Study("S.1", "S1"), tables, "2026-03-01T00:00:00+00:00", lists))
    findings = check(read(data), observed)
"""

from __future__ import annotations

from hilum.formats.define.build import code_lists, merged, table
from hilum.formats.define.checks import check, review
from hilum.formats.define.findings import RULES, Finding
from hilum.formats.define.model import (
    Code,
    CodeList,
    Comment,
    Define,
    Document,
    External,
    Item,
    Method,
    Observation,
    Origin,
    Standard,
    Study,
    Table,
)
from hilum.formats.define.observed import Form, Observed, Observer, Seen, observe
from hilum.formats.define.reader import read
from hilum.formats.define.writer import write

__all__ = [
    "RULES", "Code", "CodeList", "Comment", "Define", "Document", "External", "Finding", "Form", "Item", "Method",
    "Observation", "Observed", "Observer", "Origin", "Seen", "Standard", "Study", "Table", "check", "code_lists",
    "merged", "observe", "read", "review", "table", "write",
]  # fmt: skip
