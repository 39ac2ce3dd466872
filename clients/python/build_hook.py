"""Generates models.py and calls.py while the package is built; an sdist has them already."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Generated(BuildHookInterface):  # type: ignore[type-arg]  # the interface's parameter is a builder's, of no use here
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        generator = runpy.run_path(str(Path(self.root, "generate.py")))
        if generator["DOCUMENT"].is_file():
            document = json.loads(generator["DOCUMENT"].read_text(encoding="utf-8"))
            for name, text in generator["generate"](document).items():
                (generator["PACKAGE"] / name).write_text(text, encoding="utf-8")
