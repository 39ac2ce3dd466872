"""Data sets and exports over HTTP."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

VISITS = b"USUBJID,VISITNUM,AVAL,NOTE\nA-01,1,5.5,fine\nA-02,1,7.25,=1+1\nA-02,2,,\n"


@dataclasses.dataclass(frozen=True)
class Exporting:
    """Somebody who imports and exports, and waits until it is done."""

    visits = VISITS
    http: httpx.AsyncClient
    until: Callable[..., Awaitable[None]]

    async def imported(
        self, content: bytes = VISITS, *, study: str = "alpha", file: str = "vs.csv", **more: str
    ) -> Any:
        """The import, once it ended."""
        query = {"study": study, "file": file, **more}
        asked = await self.http.post("/datasets/imports", params=query, content=content)
        assert asked.status_code == 202, asked.text
        assert asked.headers["location"].endswith(asked.json()["id"])
        return await self._ended(f"/datasets/imports/{asked.json()['id']}", {"succeeded", "failed"})

    async def asked(self, dataset: str, format: str = "csv", **more: Any) -> Any:
        response = await self.http.post("/exports/data", json={"dataset": dataset, "format": format, **more})
        assert response.status_code == 202, response.text
        return response.json()

    async def exported(self, dataset: str, format: str = "csv", **more: Any) -> Any:
        """The export, once it ended."""
        made = await self.asked(dataset, format, **more)
        return await self.ended(made["id"])

    async def ended(self, export: str) -> Any:
        return await self._ended(f"/exports/jobs/{export}", {"succeeded", "partial", "failed", "cancelled"})

    async def _ended(self, path: str, last: set[str]) -> Any:
        found: Any = None

        async def over() -> bool:
            nonlocal found
            found = (await self.http.get(path)).json()
            return found["status"] in last

        await self.until(over)
        return found


@pytest.fixture
async def exporting(signed_in: Any, until: Any) -> Exporting:
    return Exporting(await signed_in("operator"), until)
