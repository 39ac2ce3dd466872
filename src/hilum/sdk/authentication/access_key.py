"""An access key of a store that is spoken to as Amazon S3 is: what requests are signed with, never sent itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import Field

from hilum.sdk import headers
from hilum.sdk.authentication.kinds import Kind, plain

_NEEDED = "access key id and secret access key are required"


class AccessKey(Kind):
    """Its id and its secret; a session token where the key holds for a while only."""

    type: Literal["access_key"] = Field("access_key", description="An access key of an S3 store.")
    access_key_id: str = Field("", max_length=200, description="The key's id.")
    secret_access_key: str = Field("", repr=False, description="The key's secret.")
    session_token: str = Field("", repr=False, description="The token of a key that ends by itself.")

    @classmethod
    def _needs(cls, name: str, said: Mapping[str, Any]) -> str | None:
        return _NEEDED if name in ("access_key_id", "secret_access_key") else None

    def faults(self) -> Iterator[str]:
        odd = not headers.is_value(self.access_key_id) or any(one in self.access_key_id for one in "/, =")
        if plain(self.access_key_id) and odd:
            yield "the access key id has characters that none may have"
        if plain(self.session_token) and self.session_token and not headers.is_value(self.session_token):
            yield "the session token has characters that no header may have"
