"""What happens in the hub, a line an event, read from its local API as anybody could."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from rich.text import Text

from hilum import clock
from hilum.cli.client import Client
from hilum.cli.output import kind, plain

STYLES = {
    "received": "cyan", "mapped": "blue", "delivered": "green", "retry": "yellow", "dead letter": "bold red",
    "filtered": "dim", "error": "red", "unrouted": "yellow", "review": "magenta", "holding": "bold yellow",
    "works again": "bold green",
}  # fmt: skip


class Watch:
    """Looks at the newest messages, follows those with open deliveries, and tells what is new."""

    def __init__(self, client: Client, tell: Callable[[Text], None]) -> None:
        self._client = client
        self._tell = tell
        self.counts: Counter[str] = Counter()
        self.dead: str | None = None  # a message whose delivery failed: a good one to look at
        self._seen: dict[str, None] = {}
        self._open: dict[str, dict[int, tuple[str, int]]] = {}
        self._holding: set[str] = set()

    async def prime(self) -> None:
        """What was there before is no news."""
        for one in (await self._client.get("/messages", size=100))["items"]:
            self._seen[one["id"]] = None

    async def look(self) -> None:
        items = (await self._client.get("/messages", size=100))["items"]
        for one in reversed(items):
            if one["id"] not in self._seen:
                self._seen[one["id"]] = None
                await self._arrived(one)
        for id in list(self._open):
            self._follow(await self._client.get(f"/messages/{id}", include="body"))
        for one in await self._client.all("/lanes"):
            self._lane(one)
        for id in list(self._seen)[:-1_000]:
            del self._seen[id]

    async def _arrived(self, one: dict[str, Any]) -> None:
        control = one["control_id"]
        self._say("received", control, f"{kind(one['type']) or 'something unreadable'} at {one['endpoint']}")
        if one["disposition"] == "delivering":
            detail = await self._client.get(f"/messages/{one['id']}", include="body")
            routes = (name.rpartition(" ")[0] for name in detail["routes"])  # without the version
            self._say("mapped", control, f"by {', '.join(routes)}")
            self._open[one["id"]] = {}
            self._follow(detail)
        elif one["disposition"] != "received":
            self._say(one["disposition"], control, one["note"])

    def _follow(self, detail: dict[str, Any]) -> None:
        id, control = detail["id"], detail["control_id"]
        known = self._open[id]
        for one in detail["deliveries"]:
            number, tries, to = one["number"], one["tries"], one["destination"]
            state, count = known.get(number, ("pending", 0))
            for attempt in tries[count:]:
                if attempt["outcome"] != "permanent" and one["state"] != "dead":
                    self._say("retry", control, f"to {to}: {attempt['detail']}")
            if one["state"] != state:
                if one["state"] == "delivered":
                    self._say("delivered", control, f"to {to}: {one['detail']}")
                else:
                    self.dead = id
                    self._say("dead letter", control, f"to {to}: {tries[-1]['detail'] if tries else one['detail']}")
            known[number] = (one["state"], len(tries))
        if all(state != "pending" for state, _ in known.values()):
            del self._open[id]

    def _lane(self, one: dict[str, Any]) -> None:
        name, holding = one["reference"], one["state"] == "holding"
        if holding and name not in self._holding:
            self._holding.add(name)
            self._say("holding", "", f"{name}: {one['reason']}")
        elif name in self._holding and one["health"] == "healthy":
            self._holding.discard(name)
            self._say("works again", "", name)

    def _say(self, word: str, control: str, what: str) -> None:
        self.counts[word] += 1
        stamp = clock.now().astimezone().strftime("%H:%M:%S")
        self._tell(Text.assemble((f"{stamp}  ", "dim"), (f"{word:<11}  ", STYLES.get(word, "")),
                                 f"{plain(control):<13}  ", plain(what)))  # fmt: skip
