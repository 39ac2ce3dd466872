"""AWS Signature Version 4 of a POST: HMAC-SHA256 over the request, with a key of the day, region and service.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import quote, urlsplit

ALGORITHM = "AWS4-HMAC-SHA256"


@dataclasses.dataclass(frozen=True, slots=True)
class Signer:
    """An access key of one region and service."""

    access_key: str
    secret_key: str = dataclasses.field(repr=False)
    region: str
    service: str
    session_token: str = dataclasses.field(default="", repr=False)

    def headers(
        self, url: str, body: bytes, headers: Mapping[str, str], at: datetime.datetime, method: str = "POST"
    ) -> dict[str, str]:
        """`headers` with the date, the token and the signature. `url` has no query; `at` is in UTC."""
        parts = urlsplit(url)
        stamp = at.strftime("%Y%m%dT%H%M%SZ")
        signed = {name.lower(): " ".join(value.split()) for name, value in headers.items()}
        signed |= {"host": parts.netloc, "x-amz-date": stamp}
        if self.session_token:
            signed["x-amz-security-token"] = self.session_token
        names = ";".join(sorted(signed))
        lines = "".join(f"{name}:{signed[name]}\n" for name in sorted(signed))
        path = quote(parts.path or "/", safe="/-_.~")
        request = "\n".join((method, path, "", lines, names, _digest(body)))
        scope = f"{stamp[:8]}/{self.region}/{self.service}/aws4_request"
        text = "\n".join((ALGORITHM, stamp, scope, _digest(request.encode())))
        signature = hmac.new(self._key(stamp[:8]), text.encode(), hashlib.sha256).hexdigest()
        credential = f"Credential={self.access_key}/{scope}"
        signed["authorization"] = f"{ALGORITHM} {credential}, SignedHeaders={names}, Signature={signature}"
        return signed

    def _key(self, day: str) -> bytes:
        key = f"AWS4{self.secret_key}".encode()
        for part in (day, self.region, self.service, "aws4_request"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        return key


def _digest(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()
