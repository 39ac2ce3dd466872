"""A whole list in an answer: an object, so that it can be told more about later."""

from __future__ import annotations

from typing import Generic, TypeVar

from pydantic import BaseModel

T = TypeVar("T")


class Items(BaseModel, Generic[T]):
    items: list[T]
