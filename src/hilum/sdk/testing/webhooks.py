"""The other end of webhook subscriptions, played by a test: posted to, it answers all alike and remembers."""

# ruff: noqa: S101 - a suite asserts; pytest words its asserts

from __future__ import annotations

import json
from collections.abc import Mapping

from hilum import clock
from hilum.sdk.testing.web import HttpPartner, Said
from hilum.security.webhooks import Standard, verify


class WebhookReceiver(HttpPartner):
    """Every post is answered with `status`, `said` and `told`; not at all while its gate is cleared."""

    def __init__(self) -> None:
        super().__init__(lambda _: Said(self.status, self.said, self.told))
        self.status = 200
        self.said = b"ok"
        self.told: Mapping[str, str] = {}

    @property
    def place(self) -> str:
        return self.url("/hook?tenant=7")

    @property
    def ids(self) -> list[str]:
        return [one.headers["webhook-id"] for one in self.heard]

    @property
    def types(self) -> list[str]:
        return [json.loads(one.body)["type"] for one in self.heard]

    @property
    def moments(self) -> list[int]:
        """The second in which each was signed, by the hub's clock."""
        return [int(one.headers["webhook-timestamp"]) for one in self.heard]

    def proven(self, *keys: str, fresh: bool = True) -> None:
        """Every post was signed by each of these keys alone; `fresh`: not long ago by our own clock."""
        for one, moment in zip(self.heard, self.moments, strict=True):
            for key in keys:
                now = clock.now().timestamp() if fresh else moment
                assert verify(Standard(), [key], one.headers, one.body, now).id == one.headers["webhook-id"]
