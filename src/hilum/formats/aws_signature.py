"""AWS Signature Version 4 for stores that are spoken to as Amazon S3 is: the headers that sign one request.

S3's own rules hold (Amazon S3 API reference, "Authenticating Requests: Using the Authorization Header"): the path is
encoded once and not normalised, and the hash of the body is a header of its own, x-amz-content-sha256.
"""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import hmac
import urllib.parse
from collections.abc import Iterable, Mapping

ALGORITHM = "AWS4-HMAC-SHA256"
EMPTY = hashlib.sha256(b"").hexdigest()
"""The hash of no body."""

_UNSIGNED = frozenset({"authorization", "user-agent", "expect", "connection", "accept-encoding", "x-amzn-trace-id"})
"""Headers that may be changed on the way."""


@dataclasses.dataclass(frozen=True, slots=True)
class Key:
    """An access key. `token`: of a key that ends by itself."""

    id: str
    secret: str = dataclasses.field(repr=False)
    token: str = dataclasses.field(default="", repr=False)


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """What a signature is good for."""

    region: str
    service: str = "s3"


def path_of(text: str) -> str:
    """A path as it is sent and signed: each byte but letters, digits, -._~ and / is encoded (RFC 3986, 2.3)."""
    return urllib.parse.quote(text, safe="/-._~", errors="surrogateescape")


def query_of(pairs: Iterable[tuple[str, str]]) -> str:
    """A query as it is sent and signed: encoded, and in order."""
    encoded = ((_encoded(name), _encoded(value)) for name, value in pairs)
    return "&".join(f"{name}={value}" for name, value in sorted(encoded))


def sign(
    method: str, path: str, query: str, headers: Mapping[str, str], body_sha256: str, key: Key, place: Place,
    moment: datetime.datetime,
) -> dict[str, str]:  # fmt: skip
    """The headers that come to these, which must have `host`. `path`, `query`: made by `path_of` and `query_of`.

    `body_sha256`: in hexadecimal; `moment`: aware.
    """
    stamp = moment.astimezone(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
    own = {"x-amz-content-sha256": body_sha256, "x-amz-date": stamp}
    if key.token:
        own["x-amz-security-token"] = key.token
    text, names = canonical(method, path, query, {**headers, **own}, body_sha256)
    scope = f"{stamp[:8]}/{place.region}/{place.service}/aws4_request"
    to_sign = f"{ALGORITHM}\n{stamp}\n{scope}\n{hashlib.sha256(text.encode()).hexdigest()}"
    signature = hmac.new(_derived(key.secret, stamp[:8], place), to_sign.encode(), hashlib.sha256).hexdigest()
    return own | {
        "authorization": f"{ALGORITHM} Credential={key.id}/{scope}, SignedHeaders={names}, Signature={signature}"
    }


def canonical(method: str, path: str, query: str, headers: Mapping[str, str], body_sha256: str) -> tuple[str, str]:
    """The request as it is signed, and the names of the headers that are."""
    signed = sorted(
        (name.lower(), " ".join(value.split())) for name, value in headers.items() if name.lower() not in _UNSIGNED
    )
    names = ";".join(name for name, _ in signed)
    lines = "".join(f"{name}:{value}\n" for name, value in signed)
    return f"{method}\n{path}\n{query}\n{lines}\n{names}\n{body_sha256}", names


def _derived(secret: str, day: str, place: Place) -> bytes:
    """A key for one day, region and service."""
    made = f"AWS4{secret}".encode()
    for part in (day, place.region, place.service, "aws4_request"):
        made = hmac.new(made, part.encode(), hashlib.sha256).digest()
    return made


def _encoded(text: str) -> str:
    return urllib.parse.quote(text, safe="-._~", errors="surrogateescape")
