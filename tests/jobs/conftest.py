"""A real store, and lanes that write down what a job asked of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from hilum.jobs import Context
from hilum.model.delivery import DeliveryState
from hilum.security.keyring import Keyring
from hilum.store import Store
from hilum.store.jobs import Job


class RecordedLanes:
    """Stands for a destination's lanes: only delivery 7 waits at the head."""

    def __init__(self, reference: str) -> None:
        self.reference = reference
        self.asked: list[tuple[Any, ...]] = []

    def retry_now(self) -> None:
        self.asked.append(("retry",))

    def skip(self, delivery: int, reason: str, state: DeliveryState = DeliveryState.SKIPPED) -> bool:
        self.asked.append(("skip", delivery, reason, state))
        return delivery == 7


class Flushed:
    def __init__(self) -> None:
        self.times = 0

    async def flush(self) -> None:
        self.times += 1


@pytest.fixture
def lanes() -> dict[int, RecordedLanes]:
    return {3: RecordedLanes("lab/out")}


@pytest.fixture
def recorder() -> Flushed:
    return Flushed()


@pytest.fixture
async def store(tmp_path: Path, anyio_backend: object) -> AsyncIterator[Store]:
    keys, _ = Keyring.create(tmp_path / "hub.key")
    store = await Store(tmp_path, keys).open(lambda message: ())
    yield store
    await store.close()


@pytest.fixture
def context(store: Store, lanes: dict[int, RecordedLanes], recorder: Flushed) -> Context:
    return Context(store, recorder, lanes)


@pytest.fixture
def job() -> Callable[..., Job]:
    def make(kind: str, **arguments: Any) -> Job:
        return Job(1, "0" * 32, 1, kind, "running", arguments, None, "local:test", 0, None)

    return make
