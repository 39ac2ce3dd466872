"""The console's cookie: no script reads it, no other site sends it, and it is Secure where the hub is reached so."""

from __future__ import annotations

from fastapi import Request, Response

from hilum.api.callers import COOKIE
from hilum.services.sign_in import Opened


def open_session(request: Request, response: Response, opened: Opened) -> None:
    """Give the browser its session."""
    put(request, response, COOKIE, opened.cookie, opened.seconds)


def close_session(request: Request, response: Response) -> None:
    response.delete_cookie(COOKIE, path="/", secure=encrypted(request), httponly=True, samesite="lax")


def put(request: Request, response: Response, name: str, value: str, seconds: int, path: str = "/") -> None:
    """Set a cookie, in an answer that nobody keeps."""
    response.headers["cache-control"] = "no-store"
    response.set_cookie(
        name, value, max_age=seconds, path=path, secure=encrypted(request), httponly=True, samesite="lax"
    )


def encrypted(request: Request) -> bool:
    return bool(request.url.scheme == "https")
