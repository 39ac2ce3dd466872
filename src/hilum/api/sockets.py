"""What is said on a WebSocket of ours, whatever it is for: JSON texts, and who calls is looked at again and again.

Who may do what can change while a connection is open. Every two seconds the caller is found out anew, without that
counting as use of a session. One whose time is nearly over is told, and can show something newer:
{"type": "authenticate", "token": …}. An error is its envelope, as an answer would have it; then the socket is closed
with 4000 more than the answer's status.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import json
from collections.abc import AsyncGenerator, Callable
from typing import Annotated, Any, Generic, Literal, TypeVar, Union

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from hilum import clock
from hilum.api import callers, errors, json_body, limits, surface
from hilum.api.texts import Opaque
from hilum.api.upgrade import Gone, Socket, Unusable
from hilum.errors import HilumError
from hilum.model.audit import Act
from hilum.services.identity import Still
from hilum.services.messages import stamp

LOOK = 2.0  # seconds between looks at who calls
NOTICE = 60_000_000  # microseconds before the end at which one is told of it
ENDS = (1012, "the hub ends")


class Said(BaseModel):
    """What a client sends."""

    model_config = ConfigDict(extra="forbid")


class Authenticate(Said):
    """Go on as this: the same user or key, shown anew."""

    type: Literal["authenticate"]
    token: Opaque = Field(..., max_length=4_096)


W = TypeVar("W", bound=Said)
Telling = Callable[[W], AsyncGenerator[str, None]]
"""Given what a client wants to hear, the texts to tell, until the hub ends."""


class Talk(Response, Generic[W]):
    """The answer 101, and all that follows. `wanted` is what is told at first; the client may send another one."""

    def __init__(self, request: Request, act: Act, wanted: W, tell: Telling[W]) -> None:
        super().__init__(status_code=101)
        self._request = request
        self._act = act
        self._wanted = wanted
        self._tell = tell
        self._socket: Socket = request.scope[callers.SOCKET]
        self._token: str | None = None  # the newest that was sent
        self._heard = _either(type(wanted))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 101, "headers": self.raw_headers})
        try:
            await self._talk()
            await self._socket.close(*ENDS)
        except Gone:
            pass
        except Unusable as error:
            await self._socket.close(error.code, error.reason)
        except (HilumError, RequestValidationError, HTTPException) as error:
            await self._fail(error)
        except Exception:  # whatever it was, the client is told before the log is
            await self._socket.close(1011, "the hub could not do this")
            raise

    async def _talk(self) -> None:
        """Until the hub ends. Raises whatever ends it before."""
        watch, hear = asyncio.create_task(self._watch()), asyncio.create_task(self._hear())
        tell = asyncio.create_task(self._say(self._wanted))
        try:
            while True:
                await asyncio.wait({watch, hear, tell}, return_when=asyncio.FIRST_COMPLETED)
                if watch.done():
                    return watch.result()
                if tell.done():
                    return tell.result()
                wanted = hear.result()
                await _stop(tell)
                hear, tell = asyncio.create_task(self._hear()), asyncio.create_task(self._say(wanted))
        finally:
            await _stop(watch, hear, tell)

    async def _say(self, wanted: W) -> None:
        async with contextlib.aclosing(self._tell(wanted)) as texts:
            async for one in texts:
                await self._socket.tell(one)

    async def _hear(self) -> W:
        """The next that the client wants to be told. Raises Gone, Unusable, RequestValidationError, Flood."""
        while True:
            text = await self._socket.hear()
            limits.check(self._request, self._act.principal)
            message = self._read(text)
            if not isinstance(message, Authenticate):
                wanted: W = message
                return wanted
            self._token = message.token.get_secret_value()
            until = (await self._look()).until
            await self._request.app.state.services.record(_again(self._act))
            await self._say_type("authenticated", until)

    def _read(self, text: str) -> Any:
        try:
            return self._heard.validate_python(json_body.read(text.encode()))
        except json.JSONDecodeError as error:
            wrong: list[Any] = [{"type": "json_invalid", "loc": ("body",), "msg": error.msg}]
        except ValidationError as error:
            wrong = [{**one, "loc": ("body", *one["loc"][1:])} for one in error.errors(include_input=False)]
        raise RequestValidationError(wrong)

    async def _watch(self) -> None:
        """Raises Unauthenticated, Refused once the caller is known, or may do this, no more."""
        told = None
        while True:
            await asyncio.sleep(LOOK)
            until = (await self._look()).until
            if until is not None and until != told and until - clock.micros() < NOTICE:
                told = until
                await self._say_type("expires", until)

    async def _look(self) -> Still:
        """Raises Unauthenticated, Refused."""
        return await callers.still(self._request, self._act, self._token)

    async def _say_type(self, kind: str, until: int | None) -> None:
        await self._socket.tell(json.dumps({"type": kind, "until": None if until is None else stamp(until)}))

    async def _fail(self, error: Exception) -> None:
        if not isinstance(error, limits.Flood):
            await surface.record_failure(self._request, _again(self._act), error)
        answer = errors.answer(self._request, error)
        await self._socket.fail(answer.status_code, bytes(answer.body))


@functools.cache
def _either(wanted: type[Said]) -> TypeAdapter[Any]:
    """What a client may send."""
    either: Any = Annotated[Union[Authenticate, wanted], Field(discriminator="type")]  # noqa: UP007 - of a variable
    return TypeAdapter(either)


def _again(act: Act) -> Act:
    """What happens on an open socket has an event of its own."""
    return dataclasses.replace(act, recorded=False, details=dict(act.details))


async def _stop(*tasks: asyncio.Task[Any]) -> None:
    for one in tasks:
        one.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
