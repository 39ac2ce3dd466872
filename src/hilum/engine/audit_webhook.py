"""Posts audit events in signed batches (Standard Webhooks 1.0), each until its collector took it.

The end of a batch is written before it is posted: after whatever happens it is made of the same events again, with the
same id and the same bytes, so that a collector knows a repeat.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Sequence

import httpx

from hilum import clock
from hilum.engine.audit_form import Sealed, document
from hilum.errors import ConfigError
from hilum.formats.fhir import audit_event
from hilum.model.organization import AuditFeed
from hilum.outbound.posting import TIMEOUT, Answer, post
from hilum.sdk.contracts import Dialer
from hilum.security.canonical import canonical
from hilum.security.references import Entries
from hilum.security.webhooks import Standard
from hilum.store import Store, audit, feeds

_SIZE = 1 << 20  # bytes of events after which a batch ends
_ANSWER = 1 << 22  # bytes of a repository's answer, which has an entry for each event
_FHIR = {
    "content-type": "application/fhir+json", "accept": "application/fhir+json", "prefer": "return=minimal",
    "accept-encoding": "identity",
}  # fmt: skip


class NotTaken(OSError):
    """A collector did not take a batch. `after`: seconds that it asks us to wait."""

    def __init__(self, answer: Answer, reason: str = "") -> None:
        self.after = answer.retry_after or 0.0
        status = "" if answer.status is None else f"{answer.status}: "
        super().__init__(reason or f"{status}{answer.detail[:200]}")


class WebhookCarrier:
    """One feed's. `entries` looks its secrets up anew for each batch, so that a change holds at once."""

    def __init__(self, store: Store, dialer: Dialer, entries: Entries, organization: int, wanted: AuditFeed) -> None:
        self._store = store
        self._dialer = dialer
        self._entries = entries
        self._organization = organization
        self._wanted = wanted
        self._client: httpx.AsyncClient | None = None

    async def send(self) -> None:
        """Everything that is there. Raises NotTaken, OSError, HilumError."""
        while batch := await self._next():
            answer = await self._post(batch)
            if not answer.taken:
                raise NotTaken(answer)
            count = self._taken(answer, len(batch))
            if count:
                await self._advance(batch[-1][0], batch[count - 1][0])
            if count < len(batch):
                raise NotTaken(answer, f"event {batch[count][1]['id']} was not taken")

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def _next(self) -> list[Sealed]:
        """What is under way, or what comes after it."""
        sent, taken = await self._store.read(feeds.position, self._organization, self._wanted.name)
        if sent > taken:
            again = await self._store.read(audit.after, self._organization, taken, sent - taken)
            if batch := [one for one in again if one[0] <= sent]:  # they may have become too old meanwhile
                return batch
        batch = _fitting(await self._store.read(audit.after, self._organization, sent, self._wanted.batch))
        if batch:
            await self._advance(batch[-1][0], sent)
        return batch

    async def _advance(self, sent: int, taken: int) -> None:
        await self._store.write(feeds.advance, self._organization, self._wanted.name, sent, taken)

    async def _secrets(self) -> tuple[str, dict[str, str]]:
        """The key that signs, and the header that admits us, if any. Raises ConfigError, StoreError."""
        wanted = [one for one in (self._wanted.credential, self._wanted.authorization) if one is not None]
        found = await self._entries.values(self._organization, None, set(wanted))
        for name in wanted:
            if name not in found:
                raise ConfigError(f"there is no credential {name}")
        return found[wanted[0]], {} if self._wanted.authorization is None else {"authorization": found[wanted[-1]]}

    async def _post(self, batch: Sequence[Sealed]) -> Answer:
        key, admitted = await self._secrets()
        body = self._body(batch)
        identifier = f"{batch[0][1]['id']}-{len(batch)}"
        signed = Standard().sign([key], identifier, clock.micros() // 1_000_000, body)
        if self._client is None:
            self._client = self._connect()
        own = _FHIR if self._wanted.format == "fhir" else {}
        return await post(self._client, self._wanted.url, {**admitted, **own, **signed}, body, _ANSWER)

    def _body(self, batch: Sequence[Sealed]) -> bytes:
        """The same for the same events: nothing in it is of now."""
        if self._wanted.format == "fhir":
            return canonical(audit_event.batch([event for _, event in batch]))
        documents = [document(self._wanted.format, one) for one in batch]
        if self._wanted.format == "ocsf":
            return canonical(documents)
        return canonical({"type": "audit.events", "timestamp": batch[-1][1]["time"], "data": documents})

    def _taken(self, answer: Answer, count: int) -> int:
        """How many events, from the first on; a repository answers for each of a batch."""
        if self._wanted.format != "fhir":
            return count
        try:
            return audit_event.created(json.loads(answer.body), count)
        except ValueError:  # not FHIR: the status said it
            return count

    def _connect(self) -> httpx.AsyncClient:
        try:
            context = ssl.create_default_context(cadata=self._wanted.authority or None)
        except ssl.SSLError:
            raise OSError("the authority's certificates cannot be read") from None
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        transport = self._dialer.transport(tls=context)
        return httpx.AsyncClient(transport=transport, follow_redirects=False, trust_env=False, timeout=TIMEOUT)


def _fitting(rows: list[Sealed]) -> list[Sealed]:
    """The first ones, as many as are not too large together; one at least."""
    size, count = 0, 0
    for _, event in rows:
        size += len(canonical(event))
        if count and size > _SIZE:
            break
        count += 1
    return rows[:count]
