"""Make several messages of one: a batch into its messages, an order message into one for each order.

Each part of a split by segment is a whole message: the head (MSH …), its patient's segments, its order's, and
the part itself up to where the next one begins. Parts get the control id with -1, -2 … appended.
"""

from __future__ import annotations

from pydantic import Field, field_validator

from hilum.errors import StepError
from hilum.formats.hl7v2 import Batch, Message, Path
from hilum.sdk.config import Config
from hilum.sdk.contracts import Result, Step, Work

MAX_PARTS = 10_000
CONTROL_ID = Path.parse("MSH-10")
ABOVE_ORDERS = frozenset(("PID", "PD1", "NK1", "PV1", "PV2", "DB1", "AL1", "DG1", "PR1", "ROL", "GT1", "IN1", "ORC"))
"""Where one of these begins a part, orders belong to the part."""
DETAILS = frozenset(("OBR", "RQD", "RQ1", "RXO", "RXE", "RXD", "RXG", "RXA", "ODS", "ODT", "BPO", "BPX"))
"""Each of these has an ORC of its own, so that an ORC belongs to one part."""


class Options(Config):
    """What a split can be told."""

    by: str = Field(
        ...,
        pattern=r"^(batch|[A-Z][A-Z0-9]{2})$",
        description="batch (FHS, BHS), or the segment that begins a part, such as OBR (and its ORC).",
    )

    @field_validator("by")
    @classmethod
    def _not_the_header(cls, by: str) -> str:
        if by == "MSH":
            raise ValueError("every part has an MSH; by: batch splits a file of messages")
        return by


class Split(Step[Options]):
    """One message in, several out; a message that is one part already goes on as it is."""

    Config = Options
    hl7v2_only = True

    def run(self, work: Work) -> Result:
        return self._batch(work) if self.config.by == "batch" else self._segments(work)

    def _batch(self, work: Work) -> Result:
        body = work.body
        if body.lstrip(b"\xef\xbb\xbf \t\r\n\x0b").startswith(b"MSH") and body.count(b"MSH") == 1:
            return work
        messages = Batch.parse(body).messages
        if not messages:
            raise StepError("the batch has no messages")
        _bounded(len(messages))
        return [Work(message, work.format, work.attributes) for message in messages]

    def _segments(self, work: Work) -> Result:
        message = work.message
        found = _Parts(self.config.by)
        for segment in message.segments():
            found.take(segment.name, segment.raw)
        groups = found.parts
        if len(groups) < 2:
            return work
        if found.lost or found.unused:
            raise StepError(f"a patient or an order has no {self.config.by} and would be lost")
        _bounded(len(groups))
        end = _line_end(work.body)
        parts = []
        for number, lines in enumerate(groups, start=1):
            part = Message.parse(end.join(lines) + end)
            try:
                part.set(CONTROL_ID, f"{message.control_id}-{number}")
            except ValueError as error:
                raise StepError(str(error)) from None
            parts.append(Work(bytes(part), work.format, work.attributes))
        return parts


class _Parts:
    """Takes a message's segments one by one and puts each part together with what it shares.

    Shared are the head, the patient (from PID on) and the order ([ORC] OBR …) that a part stands under, so
    that no result goes out under another patient or order.
    """

    def __init__(self, by: str) -> None:
        self.by = by
        self.parts: list[list[bytes]] = []
        self.unused: set[str] = set()  # what has begun and has no part yet
        self.lost = False  # whether something ended without a part
        self._head: list[bytes] = []
        self._patient: list[bytes] = []
        self._order: list[bytes] = []
        self._observed = False  # whether the order has its OBR
        self._into = self._head  # where a segment goes that begins nothing

    def take(self, name: str, raw: bytes) -> None:
        if name == self.by:
            self._into = [*self._head, *self._patient, *self._order, raw]
            self.parts.append(self._into)
            self.unused.clear()
            if self.by in DETAILS:
                self._order = []
        elif name == "PID":
            self.lost |= bool(self.unused)
            self.unused = {"patient"}
            self._patient = self._into = [raw]
            self._order, self._observed = [], False
        elif self._begins_order(name):
            self.lost |= "order" in self.unused
            self.unused.add("order")
            self._order = self._into = [raw]
            self._observed = name == "OBR"
        else:
            self._into.append(raw)
            self._observed |= name == "OBR"

    def _begins_order(self, name: str) -> bool:
        if self.by in ABOVE_ORDERS:
            return False
        return name == "ORC" or (name == "OBR" and (self._observed or "order" not in self.unused))


def _bounded(parts: int) -> None:
    if parts > MAX_PARTS:
        raise StepError(f"more than {MAX_PARTS:,} parts")


def _line_end(body: bytes) -> bytes:
    if b"\r\n" in body:
        return b"\r\n"
    return b"\r" if b"\r" in body else b"\n"


step = Split
