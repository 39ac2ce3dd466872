"""What a message is known by."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from hilum.errors import FormatError
from hilum.intake.identity import Identify, search_key
from hilum.security.seal import KeyedHash

HASH = KeyedHash(b"k" * 32)


def identify(endpoint: int = 7, *, dedupe: bool = True, search: dict[str, str] | None = None) -> Identify:
    return Identify(HASH, 1, endpoint, "hl7v2", search or {}, dedupe)


def body(control: str = "M1", sender: str = "ADM|GENERAL", rest: str = "") -> bytes:
    return f"MSH|^~\\&|{sender}|X|Y|20260101||ADT^A01|{control}|P|2.5\rPID|1||4711^^^MR~99\r{rest}".encode()


def test_type_and_control_id() -> None:
    found = identify()(body())
    assert (found.type, found.control_id) == ("ADT^A01", "M1")
    other = identify()(b"MSH$*~\\&$A$B$C$D$20260101$$ORU*R01$M2$P$2.5\r")
    assert (other.type, other.control_id) == ("ORU^R01", "M2")


@pytest.mark.parametrize(
    ("processing", "wanted"),
    [(b"P", False), (b"", False), (b"T", True), (b"D", True), (b"T^A", True), (b"TX", False), (b"P^T", False)],
)
def test_what_a_test_made_says_so(processing: bytes, wanted: bool) -> None:
    """HL7 v2.5, chapter 2, MSH-11, table 0103."""
    assert identify()(body().replace(b"|P|2.5", b"|%b|2.5" % processing)).synthetic is wanted
    assert not identify()(b"MSH|^~\\&|A").synthetic


def test_every_patient_number_is_found_and_nothing_else() -> None:
    keys = identify()(body()).keys
    wanted = [
        search_key(HASH, 1, kind, value) for kind, value in (("patient", "4711"), ("patient", "99"), ("control", "M1"))
    ]
    assert set(wanted) <= set(keys)
    assert len(keys) == 4  # and the one for de-duplication
    assert search_key(HASH, 2, "patient", "4711") not in keys  # another organization's
    assert [one for one in keys if one & 1] == [identify()(body()).dedupe]


def test_own_search_paths() -> None:
    found = identify(search={"visit": "PV1-19", "patient": "PID-3.1"})(body(rest="PV1|1" + "|" * 18 + "V7\r"))
    assert search_key(HASH, 1, "visit", "V7") in found.keys
    assert search_key(HASH, 1, "patient", "99") not in found.keys  # the first repetition alone, as the path says


@pytest.mark.parametrize(
    "other",
    [body("M2"), body(sender="ADM|NORTH"), body(sender="ADT|GENERAL")],
)
def test_repeats_are_recognised_by_sender_and_control_id(other: bytes) -> None:
    one = identify()(body())
    assert one.dedupe
    assert one.dedupe == identify()(body(rest="NTE|1\r")).dedupe  # the body is compared afterwards
    assert one.dedupe != identify()(other).dedupe
    assert one.dedupe != identify(8)(body()).dedupe


def test_nothing_to_recognise_a_repeat_by() -> None:
    assert identify()(body("")).dedupe == 0
    assert identify(dedupe=False)(body()).dedupe == 0


def test_a_file_s_identity_is_a_key_of_its_own() -> None:
    plain, named = identify()(body()), identify()(body(), {"identity": "a|1|h", "name": "a"})
    assert len(named.keys) == len(plain.keys) + 1
    assert named.dedupe == plain.dedupe


def test_other_formats_have_no_fields() -> None:
    found = Identify(HASH, 1, 7, "bytes", {}, True)(b"\x00anything")
    assert (found.type, found.control_id, found.keys, found.dedupe) == ("", "", (), 0)


def test_what_cannot_be_read() -> None:
    with pytest.raises(FormatError):
        identify()(b"PID|1")


@pytest.mark.anyio
async def test_keys_are_made_again_after_a_crash_of_the_index(opened: Callable[..., Awaitable[Any]], adt: Any) -> None:
    gate = await opened()
    first = await gate.send(adt())
    await asyncio.wait_for(gate.inbox.receive(b"unreadable"), 20)
    await gate.store.close()
    (gate.store.folder / "keys.db").unlink()
    gate = await opened()
    again = await gate.send(adt())
    assert (again.duplicate, again.uuid) == (True, first.uuid)
