"""The language that causes and next steps of failures are told in: the client's, by Accept-Language.

    async def read_execution(…, language: Language) -> Execution:
        return spoken(await services.executions.show(…), language)

Nothing else is translated: codes, classes and states are for programs, and partners' words are theirs.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Header, Response
from pydantic import BaseModel

from hilum.sdk import texts

T = TypeVar("T")
_RANGE = re.compile(
    r"\s*(\*|[A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*)\s*(?:;\s*q\s*=\s*(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)\s*)?"
)
_MOST = 50  # ranges of a header that are looked at


def chosen(header: str | None) -> str:
    """The language that a client likes best of those that there are (RFC 9110, 12.5.4; RFC 4647, 3.4)."""
    wanted: dict[str, float] = {}
    for part in (header or "").split(",")[:_MOST]:
        if (found := _RANGE.fullmatch(part)) is not None:
            name = found[1].lower().partition("-")[0]  # there are no regional ones: de-CH is told German
            wanted[name] = max(wanted.get(name, 0.0), float(found[2] or 1))
    usual = [texts.USUAL, *(one for one in texts.TABLES if one != texts.USUAL)]
    best = max(usual, key=lambda one: wanted.get(one, wanted.get("*", 0.0)))
    return best if wanted.get(best, wanted.get("*", 0.0)) > 0 else texts.USUAL


def headers(language: str) -> dict[str, str]:
    """What an answer says of it."""
    return {"content-language": language, "vary": "Accept-Language"}


async def _language(
    response: Response,
    accept_language: Annotated[
        str | None, Header(description="The language of causes and next steps: en or de.")
    ] = None,
) -> str:
    language = chosen(accept_language)
    response.headers.update(headers(language))
    return language


Language = Annotated[str, Depends(_language)]
"""What was chosen; the answer says so."""


def spoken(found: T, language: str) -> T:
    """What a service gave, its causes, next steps and advice in a language, at any depth."""
    return found if language == texts.USUAL else _spoken(found, texts.TABLES[language])


def told(details: Mapping[str, Any], language: str) -> dict[str, Any]:
    """An error's details: `advice` by `error_class`."""
    fault = str(details.get("error_class"))
    if details.get("advice") is None or fault not in texts.TABLES[language]:
        return dict(details)
    return {**details, "advice": texts.advice(fault, language)}


def _spoken(found: Any, table: Mapping[str, tuple[str, str]]) -> Any:
    if isinstance(found, list):
        return [_spoken(one, table) for one in found]
    if isinstance(found, BaseModel):
        return found.model_copy(update={name: _spoken(value, table) for name, value in found})
    if not dataclasses.is_dataclass(found) or isinstance(found, type):
        return found
    values = {one.name: getattr(found, one.name) for one in dataclasses.fields(found)}
    changed = {name: _spoken(value, table) for name, value in values.items() if _deep(value)}
    if (said := table.get(values.get("errorClass") or "")) is not None:
        mine = {"cause": said[0], "nextStep": said[1], "advice": " ".join(said)}
        changed |= {name: text for name, text in mine.items() if values.get(name) is not None}
    if (fault := _BY_TEXT.get(values.get("warning") or "")) is not None:
        changed["warning"] = " ".join(table[fault])
    return dataclasses.replace(found, **changed)


def _deep(value: Any) -> bool:
    return isinstance(value, list | BaseModel) or dataclasses.is_dataclass(value)


_BY_TEXT = {texts.advice(fault): fault for fault in texts.TABLES[texts.USUAL]}
"""What is said of a partner that answered, by its English text: it has no class."""
