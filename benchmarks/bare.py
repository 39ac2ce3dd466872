"""The yardstick of the API: a bare FastAPI app that answers a list page of the same shape, from memory, to anybody."""

from __future__ import annotations

import sys

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel


class Item(BaseModel):
    id: str
    received_at: str
    endpoint: str
    type: str
    control_id: str
    disposition: str
    state: str
    ack: str
    origin: str | None
    note: str


class Page(BaseModel):
    items: list[Item]
    next: str | None


class Study(BaseModel):
    name: str
    title: str = ""


app = FastAPI()
ITEM = Item(
    id="019a0000-0000-7000-8000-000000000001", received_at="2026-01-02T03:04:05.000006Z", endpoint="adt-feed/in",
    type="ADT^A01", control_id="S.0-1", disposition="filtered", state="filtered", ack="AA", origin=None, note="",
)  # fmt: skip


@app.get("/list")
async def items(size: int = 20) -> Page:
    return Page(items=[ITEM] * size, next=None)


@app.post("/studies", status_code=201)
async def create(wanted: Study) -> Study:
    return wanted


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", access_log=False, loop="uvloop")
