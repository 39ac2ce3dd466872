"""How a listener answers an HL7 v2 message (chapter 2, 2.9).

Original mode answers one AA, AE or AR. Enhanced mode (MSH-15, MSH-16) answers CA, CE or CR once the message is
stored, and AA, AE or AR as a message of its own after that. Bad news that MSH-15 does not want to hear is told by
the application acknowledgement, if that is wanted.
"""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Literal
from uuid import uuid4

from pydantic import Field

from hilum import clock
from hilum.errors import FormatError
from hilum.formats import hl7v2
from hilum.sdk.config import Config
from hilum.sdk.contracts import Receipt


class Acknowledgement(Config):
    """How a listener answers."""

    mode: Literal["auto", "original", "enhanced"] = Field(
        "auto", description="auto: enhanced where a message asks for it in MSH-15 or MSH-16, else original."
    )
    when: Literal["stored", "delivered"] = Field("stored", description="Answer after the commit, or after delivery.")
    timeout: int = Field(20_000, ge=100, le=300_000, description="Milliseconds to wait for delivery, then AE.")


def acknowledge(ack: Acknowledgement, body: bytes, receipt: Receipt | None) -> list[bytes]:
    """The acknowledgements that a message asks for, none to many; `receipt` None: it could not be stored."""
    try:
        message = (receipt and receipt.message) or hl7v2.Message.parse(body)
    except FormatError:
        return []  # whom to answer cannot be read
    header = message.header
    if header[9].startswith(b"ACK") or (b"MSA" in body and message.raw("MSA") is not None):
        return []  # never an ACK of an ACK
    code = "AE" if receipt is None else receipt.code.value
    text = "not stored, send it again" if receipt is None else receipt.note or None
    errors = () if receipt is None else receipt.errors
    identifier = (str(uuid4()) if receipt is None else receipt.uuid).replace("-", "")[-20:]
    accept, application = header[15], header[16]
    enhanced = ack.mode == "enhanced" or (ack.mode == "auto" and bool(accept or application))
    if not enhanced:
        return [message.ack(code, text, errors, control_id=identifier, timestamp=_now())]
    make = partial(message.ack, timestamp=_now())
    if not accept and not application:
        accept = b"AL"
    stored = "CE" if receipt is None else "CR" if code == "AR" else "CA"
    found = []
    if _wanted(accept, stored == "CA"):
        said = (None, ()) if stored == "CA" else (text, errors)
        found.append(make(stored, *said, control_id=identifier))
    if (stored == "CA" or not found) and _wanted(application, code == "AA"):
        found.append(make(code, text, errors, control_id=f"{identifier[1:]}A"))
    return found


def _wanted(condition: bytes, success: bool) -> bool:
    """Table 0155: always, never, on error or rejection, on success. Absent means never."""
    return condition == b"AL" or condition == (b"SU" if success else b"ER")


def _now() -> str:
    """MSH-7 of an answer, to the second."""
    return _stamp(clock.micros() // 1_000_000)


@lru_cache(maxsize=2)
def _stamp(second: int) -> str:
    return clock.from_micros(second * 1_000_000).strftime("%Y%m%d%H%M%S+0000")
