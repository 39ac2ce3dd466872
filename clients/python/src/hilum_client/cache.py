"""Answers that the hub need not send again: it is asked each time whether its ETag still holds."""

from __future__ import annotations

import dataclasses
import threading
from collections import OrderedDict
from typing import Literal

import httpx

Remember = Literal["allowed", "all", "nothing"]
_ANSWERS, _BYTES = 256, 1_000_000  # how many, and how big one may be


@dataclasses.dataclass(frozen=True, slots=True)
class Kept:
    etag: str
    response: httpx.Response


class Cache:
    """In memory alone, of one caller, the oldest unused answer out first.

    The hub marks what may hold a patient's data as `no-store`: that is kept only where `remember` is "all".
    """

    def __init__(self, remember: Remember) -> None:
        self._remember = remember
        self._kept: OrderedDict[str, Kept] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, key: str) -> Kept | None:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def keep(self, key: str, response: httpx.Response) -> None:
        etag = response.headers.get("etag")
        if not etag or self._remember == "nothing" or response.status_code != 200 or len(response.content) > _BYTES:
            return
        if self._remember == "allowed" and "no-store" in response.headers.get("cache-control", ""):
            return
        with self._lock:
            self._kept[key] = Kept(etag, response)
            self._kept.move_to_end(key)
            while len(self._kept) > _ANSWERS:
                self._kept.popitem(last=False)

    def clear(self) -> None:
        """For another caller."""
        with self._lock:
            self._kept.clear()
