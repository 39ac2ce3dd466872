"""What goes to the hub and comes back for one call, step by step and without opening anything.

The hubs, one that blocks and one that does not, carry out the steps; all that is decided is decided here.
"""

from __future__ import annotations

import dataclasses
import datetime
import uuid
from collections.abc import Callable, Generator
from typing import Any, TypeVar

import httpx

from hilum_client import calls, models
from hilum_client.cache import Cache, Kept
from hilum_client.call import Answer, Call
from hilum_client.errors import HilumError, HubUnreachable, Unauthenticated, error_of
from hilum_client.waits import Waits

T = TypeVar("T")
_AGENT = "hilum-client-python/0.1.0"
_KEY = "Idempotency-Key"


@dataclasses.dataclass(frozen=True, slots=True)
class Pause:
    """Wait for so many seconds."""

    seconds: float


@dataclasses.dataclass(frozen=True, slots=True)
class Renew:
    """Get new tokens, unless they are others than these already."""

    spent: str


Step = httpx.Request | Pause | Renew
Reply = httpx.Response | httpx.TransportError | None
Steps = Generator[Step, Reply, Answer[T]]


class Exchange:
    """Who asks, of which hub, and how patiently."""

    def __init__(
        self, url: str, api_key: str | None, tokens: models.Tokens | None,
        on_tokens: Callable[[models.Tokens], None] | None, waits: Waits, cache: Cache,
    ) -> None:  # fmt: skip
        self._url = httpx.URL(url.rstrip("/"))
        self._api_key = api_key
        self.tokens = tokens
        self._on_tokens = on_tokens
        self._waits = waits
        self._cache = cache

    @property
    def bearer(self) -> str:
        """What shows who asks; empty where nobody signed in."""
        if self.tokens is not None:
            return self.tokens["access_token"]
        return self._api_key or ""

    def use(self, tokens: models.Tokens | None, *, other: bool = False) -> None:
        """From now on ask with these; `other`: they may be another caller's."""
        if other:
            self._cache.clear()
        self.tokens = tokens
        if tokens is not None and self._on_tokens is not None:
            self._on_tokens(tokens)

    def renewal(self) -> Call[models.Tokens]:
        """The call for new tokens. A refresh token holds once, so it is never sent again."""
        if self.tokens is None:
            raise Unauthenticated("nobody has signed in", status=401)
        return calls.refresh({"refresh_token": self.tokens["refresh_token"]})

    def steps(self, call: Call[T], *, renews: bool = True) -> Steps[T]:
        """Raises HilumError where the hub does not do what it was asked."""
        headers = self._headers(call)
        tried, unsure = 0, False
        while True:
            tried += 1
            bearer = self.bearer
            request = self._request(call, headers, bearer)
            key = f"{request.url} {headers.get('X-Organization')}"
            kept = self._cache.find(key) if call.method == "GET" else None
            if kept is not None:
                request.headers["if-none-match"] = kept.etag
            reply = yield request
            if isinstance(reply, httpx.Response):
                found = self._judge(call, key, kept, reply)
                if isinstance(found, Answer):
                    return found
                if reply.status_code == 401 and renews and self.tokens is not None:
                    renews, tried = False, tried - 1
                    yield Renew(bearer)
                    continue
                failure = found
            else:
                failure = _unreachable(reply)
            wait = self._waits.before_next(call, failure, tried, unsure)
            if wait is None:
                raise failure
            unsure = unsure or failure.status != 429
            yield Pause(wait)

    def _judge(self, call: Call[T], key: str, kept: Kept | None, reply: httpx.Response) -> Answer[T] | HilumError:
        if reply.status_code == 304 and kept is not None:
            return Answer(_data(kept.response), 200, {**kept.response.headers, **reply.headers})
        if not reply.is_success:
            return error_of(reply.status_code, reply.headers, reply.content)
        if call.method == "GET":
            self._cache.keep(key, reply)
        return Answer(_data(reply), reply.status_code, dict(reply.headers))

    def _headers(self, call: Call[Any]) -> dict[str, str]:
        """The same for every try, the key above all."""
        given = {name: value for name, value in call.headers.items() if value is not None}
        if call.keyed and _KEY not in given:
            given[_KEY] = str(uuid.uuid4())
        return {"User-Agent": _AGENT, "Accept": "application/json, */*;q=0.5", **given}

    def _request(self, call: Call[Any], headers: dict[str, str], bearer: str) -> httpx.Request:
        url = self._url.copy_with(raw_path=self._url.raw_path.rstrip(b"/") + call.path.encode())
        query = {name: _text(value) for name, value in call.query.items() if value is not None}
        if query:
            url = url.copy_merge_params(query)
        if bearer:
            headers = {**headers, "Authorization": f"Bearer {bearer}"}
        # UTF-8: a person's reason is more than ASCII
        encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
        if isinstance(call.body, bytes):
            return httpx.Request(call.method, url, headers=encoded, content=call.body)
        return httpx.Request(call.method, url, headers=encoded, json=call.body)


def _unreachable(reply: httpx.TransportError | None) -> HubUnreachable:
    sent = not isinstance(reply, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
    return HubUnreachable(f"no answer from the hub: {type(reply).__name__} {reply}".rstrip(), sent=sent)


def _data(response: httpx.Response) -> Any:
    """JSON as it is, text as text, anything else as bytes; None where there is nothing."""
    kind = response.headers.get("content-type", "").partition(";")[0]
    if not response.content:
        return None
    if kind == "application/json" or kind.endswith("+json"):
        return response.json()
    return response.text if kind.startswith("text/") else response.content


def _text(value: Any) -> Any:
    """As it stands in a query."""
    if isinstance(value, list | tuple):
        return [_text(one) for one in value]
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if isinstance(value, datetime.datetime) else str(value)
