"""Runs a hub and kills it right before it commits, for the n-th time, something about an integration.

    python kill_before.py "INSERT INTO integration " 3 python -m hilum serve …

Commits are counted from the first statement on that begins so: the crash is after every step but the last that counts.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
from typing import Any

import sqlalchemy as sa

TABLES = ("integration", "initialization")
FIRST, LEFT = sys.argv[1], int(sys.argv[2])
state = {"armed": False, "touched": False, "left": LEFT}


@sa.event.listens_for(sa.Engine, "after_cursor_execute")
def see(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
    state["armed"] = state["armed"] or statement.startswith(FIRST)
    words = statement.split(None, 3)[:3]
    state["touched"] = state["touched"] or (
        words[0] in ("INSERT", "UPDATE") and not {*words[1:]}.isdisjoint(TABLES)
    )  # fmt: skip


@sa.event.listens_for(sa.Engine, "commit")
def commit(_connection: Any) -> None:
    state["left"] -= state["armed"] and state["touched"]
    state["touched"] = False
    if state["left"] == 0:
        os.kill(os.getpid(), signal.SIGKILL)


sys.argv = ["hilum", *sys.argv[6:]]
runpy.run_module("hilum", run_name="__main__", alter_sys=True)
