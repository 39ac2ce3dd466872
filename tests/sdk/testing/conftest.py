"""A connector that keeps its contract, whose parts tests replace by faulty ones."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import importlib
import importlib.util
import sys
import types
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from hilum.errors import Refused, StoreError
from hilum.sdk.scaffold import new_connector

CAUGHT = (AssertionError, TimeoutError, OSError, RuntimeError, StoreError, Refused, pytest.fail.Exception)


@dataclasses.dataclass
class Good:
    """What `new_connector` writes: the connector and its test file."""

    module: Any
    tests: Any
    leftovers: list[Callable[[], object]] = dataclasses.field(default_factory=list)

    def suite(self, part: str, methods: dict[str, Any]) -> Any:
        """The suite of that part (Source, Destination, Probe), over a connector with these methods replaced.

        They find the good class in `self.base`, and put what has to be cleaned away into `self.leftovers`.
        """
        base = getattr(self.module, part)
        faulty = type("Faulty", (base,), {"base": base, "leftovers": self.leftovers, **methods})
        module = types.ModuleType("faulty")
        module.__dict__["connector"] = dataclasses.replace(self.module.connector, **{part.lower(): faulty})
        names = {"module": module, "patience": 1.0, "quiet": 0.1}
        return type("Faulty", (getattr(self.tests, f"Test{part}"),), names)()

    @contextlib.asynccontextmanager
    async def caught(self) -> AsyncIterator[None]:
        """The check inside fails; whatever the faulty plug-in left behind is cleaned away."""
        tasks = asyncio.all_tasks()
        try:
            with pytest.raises(CAUGHT) as found:
                yield
            assert "pytest-timeout" not in str(found.value), "it was not caught, it never ended"
        finally:
            for clean in self.leftovers:
                clean()
            left = asyncio.all_tasks() - tasks
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)
            await asyncio.sleep(0.02)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Any]]:
    root = tmp_path_factory.mktemp("plugin")
    _, test = new_connector("pigeon", root)
    sys.path.insert(0, str(root))
    try:
        module = importlib.import_module("connectors.pigeon")
        spec = importlib.util.spec_from_file_location("pigeon_tests", test)
        assert spec
        assert spec.loader
        tests = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(tests)
        yield module, tests
    finally:
        sys.path.remove(str(root))
        for name in [name for name in sys.modules if name.partition(".")[0] == "connectors"]:
            del sys.modules[name]


@pytest.fixture
def good(written: tuple[Any, Any]) -> Good:
    return Good(*written)
