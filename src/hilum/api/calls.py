"""Answers a route's requests by a plan that is made once.

FastAPI declares the routes and describes them in the OpenAPI document. To serve one it looks at every parameter's type
anew at each request and wraps the call five times, which together cost more than most routes do. So what takes no body
and answers in JSON is called here, with the same checks and errors; all else FastAPI serves.
"""

from __future__ import annotations

import datetime
import enum
import inspect
import types
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, Self, Union, get_args, get_origin
from urllib.parse import parse_qsl

from fastapi import Request, Response
from fastapi.datastructures import DefaultPlaceholder
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

JSON = "application/json"
_SCALARS = (str, int, float, bool, enum.Enum, uuid.UUID, datetime.date, types.NoneType)


class Parameter(NamedTuple):
    """A parameter of a route function, where it stands, and what checks it."""

    name: str
    place: tuple[str, str]  # such as ("query", "size")
    check: Callable[..., tuple[Any, Any]]
    needed: bool
    default: Any

    def read(self, given: Mapping[str, str], errors: list[Any]) -> Any:
        """Its value; what is wrong with it goes into `errors`, in FastAPI's form."""
        text = given.get(self.place[1])
        if text is None:
            if self.needed:
                errors.append({"type": "missing", "loc": self.place, "msg": "Field required", "input": None})
            return self.default
        value, wrong = self.check(text, {}, loc=self.place)
        if wrong:
            errors += wrong
        return value


class Plan:
    """How one function is called: its parameters by where they stand, and those that other functions give it."""

    def __init__(self, dependant: Dependant) -> None:
        """Raises TypeError for what has to be left to FastAPI."""
        function = dependant.call
        if not inspect.iscoroutinefunction(function) or dependant.body_params or dependant.background_tasks_param_name:
            raise TypeError("a function that FastAPI has to call itself")
        self._call = function
        self._path = [_parameter(one) for one in dependant.path_params]
        self._query = [_parameter(one) for one in dependant.query_params]
        self._headers = [_parameter(one) for one in dependant.header_params]
        self._cookies = [_parameter(one) for one in dependant.cookie_params]
        self._request = dependant.request_param_name
        self._response = dependant.response_param_name
        self._others = [(one.name or "", Plan(one)) for one in dependant.dependencies]
        self.responds: bool = bool(self._response) or any(other.responds for _, other in self._others)

    def read(self, request: Request, errors: list[Any]) -> dict[str, Any]:
        """What the function is given; in place of the other functions' results what those are given."""
        values = {name: other.read(request, errors) for name, other in self._others}
        for one in self._path:
            values[one.name] = one.read(request.path_params, errors)
        if self._query:
            given = dict(parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True))
            for one in self._query:
                values[one.name] = one.read(given, errors)
        for one in self._headers:
            values[one.name] = one.read(request.headers, errors)
        for one in self._cookies:
            values[one.name] = one.read(request.cookies, errors)
        return values

    async def call(self, values: dict[str, Any], request: Request, response: Response | None) -> Any:
        """`values` as `read` found them. What is set on `response` goes into the answer; None where nobody does."""
        for name, other in self._others:
            values[name] = await other.call(values[name], request, response)
        values.pop("", None)  # what was only to be checked
        if self._request:
            values[self._request] = request
        if self._response:
            values[self._response] = response
        return await self._call(**values)


class Quick:
    """Answers the requests of one route."""

    def __init__(self, route: APIRoute) -> None:
        """Raises TypeError for what has to be left to FastAPI."""
        if not isinstance(route.response_class, DefaultPlaceholder) or route.response_field is None:
            raise TypeError("a response that FastAPI has to make")
        self._plan = Plan(route.dependant)
        self._status = route.status_code or 200
        self._field = route.response_field

    @classmethod
    def of(cls, route: APIRoute) -> Self | None:
        """None for what has to be left to FastAPI."""
        try:
            return cls(route)
        except TypeError:
            return None

    async def answer(self, request: Request) -> Response:
        """Raises RequestValidationError."""
        errors: list[Any] = []
        values = self._plan.read(request, errors)
        if errors:
            raise RequestValidationError(errors)
        said = Response(status_code=self._status) if self._plan.responds else None
        result = await self._plan.call(values, request, said)
        if isinstance(result, Response):
            return result
        value, wrong = self._field.validate(result, {}, loc=("response",))
        if wrong:
            raise TypeError("an answer that is not what the route promises")
        status = self._status if said is None else said.status_code
        response = Response(self._field.serialize_json(value), status, media_type=JSON)
        if said is not None:
            response.raw_headers += [one for one in said.raw_headers if one[0] != b"content-length"]
        return response


def _parameter(field: Any) -> Parameter:
    info = field.field_info
    if not _scalar(info.annotation) or info.validate_default:
        raise TypeError("a parameter that FastAPI has to read itself")
    place = (info.in_.value, field.alias)
    return Parameter(field.name, place, field.validate, info.is_required(), field.default)


def _scalar(annotation: Any) -> bool:
    """Whether one text says it all."""
    if get_origin(annotation) in (Union, types.UnionType):
        return all(_scalar(one) for one in get_args(annotation))
    if get_origin(annotation) is Literal:
        return True
    return isinstance(annotation, type) and issubclass(annotation, _SCALARS)
