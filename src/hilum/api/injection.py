"""Gives a route function its act and the services without FastAPI's dependencies, which cost as much as a query.

What `Acting` and `Used` annotate is found in the request; FastAPI sees a function that takes the request instead.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from fastapi import Request

Finders = Mapping[Any, Callable[[Request], Any]]
_REQUEST = "asked_with"  # the parameter's name where the function has none of its own for the request


def injected(function: Callable[..., Any], finders: Finders) -> Callable[..., Any]:
    """`function` without the parameters whose annotations `finders` knows. Only for coroutine functions."""
    if not inspect.iscoroutinefunction(function):
        return function
    signature = inspect.signature(function, eval_str=True)
    parameters = signature.parameters.values()
    found = {one.name: finders[one.annotation] for one in parameters if _known(one, finders)}
    if not found:
        return function
    own = next((one.name for one in parameters if one.annotation is Request), None)

    @functools.wraps(function)
    async def call(**values: Any) -> Any:
        request = values[own] if own else values.pop(_REQUEST)
        for name, find in found.items():
            values[name] = find(request)
        return await function(**values)

    others = [one.replace(kind=one.KEYWORD_ONLY) for one in parameters if one.name not in found]
    if own is None:
        others.append(inspect.Parameter(_REQUEST, inspect.Parameter.KEYWORD_ONLY, annotation=Request))
    call.__signature__ = signature.replace(parameters=others)  # type: ignore[attr-defined]  # PEP 362
    return call


def _known(parameter: inspect.Parameter, finders: Finders) -> bool:
    try:
        return parameter.annotation in finders
    except TypeError:  # what cannot be hashed
        return False
