"""Data sets and exports over HTTP."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pypdfium2
import pytest

from hilum.sdk.testing import free_port

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


@dataclasses.dataclass(frozen=True)
class Shown:
    """A report or dashboard as its JSON says it."""

    content: Any

    def section(self, title: str) -> Any:
        return next(one for one in self.content["sections"] if one["title"] == title)

    def figures(self, title: str) -> dict[str, Any]:
        return {one["label"]: one["value"] for one in self.section(title)["figures"]}

    def table(self, title: str) -> list[dict[str, Any]]:
        tables = [table for section in self.content["sections"] for table in section["tables"]]
        found = next(one for one in tables if one["title"] == title)
        names = [column["name"] for column in found["columns"]]
        return [dict(zip(names, row, strict=True)) for row in found["rows"]]

    def chart(self, title: str) -> dict[str, float]:
        """The sum of each series."""
        charts = [chart for section in self.content["sections"] for chart in section["charts"]]
        found = next(one for one in charts if one["title"] == title)
        return {one["name"]: sum(value or 0 for value in one["values"]) for one in found["series"]}


@dataclasses.dataclass(frozen=True)
class Paging:
    """Somebody who asks for reports and dashboards; `prefix` is where his client's paths begin."""

    http: httpx.AsyncClient
    until: Callable[..., Awaitable[None]]
    prefix: str = ""

    async def made(self, kind: str, name: str, format: str = "json", **more: Any) -> tuple[Any, bytes]:
        """The export, and its file."""
        asked = await self.http.post(f"{self.prefix}/exports/{kind}", json={kind: name, "format": format, **more})
        assert asked.status_code == 202, asked.text
        place = f"{self.prefix}/exports/jobs/{asked.json()['id']}"
        assert asked.headers["location"].endswith(place)
        done: Any = None

        async def over() -> bool:
            nonlocal done
            done = (await self.http.get(place)).json()
            return done["status"] not in ("queued", "running")

        await self.until(over, 60)
        assert done["status"] == "succeeded", done["error"]
        fetched = await self.http.get(f"{place}/download")
        assert fetched.status_code == 200, fetched.text
        return done, fetched.content

    async def shown(self, kind: str, name: str, **more: Any) -> Shown:
        _, content = await self.made(kind, name, **more)
        return Shown(json.loads(content)["content"])


@pytest.fixture
def paging(until: Any) -> Callable[..., Paging]:
    """Makes one of a client."""
    return lambda http, prefix="": Paging(http, until, prefix)


@pytest.fixture
def text_of() -> Callable[[bytes], str]:
    """What a PDF says, its white space folded."""

    def read(content: bytes) -> str:
        document = pypdfium2.PdfDocument(content)
        return " ".join(" ".join(page.get_textpage().get_text_bounded() for page in document).split())

    return read


HUB = """
version: 1
organization: demo
integrations:
  - name: adt
    type: HL7
    protocol: hl7_v2
    study: alpha
    data_categories: [identity]
    legal_basis: [gdpr-6-1-e]
    endpoints: [{{name: in, direction: inbound, url: "mllp://127.0.0.1:{feed}"}}]
  - name: lab
    type: LAB_SYSTEM
    protocol: hl7_v2
    study: alpha
    endpoints: [{{name: out, direction: outbound, url: "mllp://127.0.0.1:{lab}", timeout: 5000, retries: 0}}]
  - name: registry
    type: OTHER
    protocol: hl7_v2
    endpoints: [{{name: out, direction: outbound, url: "mllp://127.0.0.1:{registry}", timeout: 5000, retries: 0}}]
  - name: nowhere
    type: OTHER
    protocol: rest_api
    endpoints: [{{name: add, direction: outbound, url: "http://127.0.0.1:{dead}", timeout: 1000, retries: 0}}]
  - name: shelf
    type: OTHER
    protocol: file_transfer
    endpoints: [{{name: out, direction: outbound, url: "file://{folder}"}}]
routes:
  - name: adt-to-lab
    from: adt/in
    steps: [{{filter: {{where: "MSH-9.1 == 'ADT'"}}}}]
    to: [lab/out]
  - name: oru-to-registry
    from: adt/in
    steps: [{{filter: {{where: "MSH-9.1 == 'ORU'"}}}}]
    to: [registry/out]
"""


@pytest.fixture
def with_studies(tmp_path: Path, partners: Any, port: int) -> Path:
    """A hub's configuration: two integrations are of study alpha, three of none; one leads nowhere, one to a folder."""
    path, folder = tmp_path / "studies.yaml", tmp_path / "data" / "files" / "shelf"
    folder.mkdir(parents=True)
    ports = {"feed": port, "lab": partners[0].port, "registry": partners[1].port, "dead": free_port()}
    path.write_text(HUB.format(**ports, folder=folder), encoding="utf-8")
    return path
