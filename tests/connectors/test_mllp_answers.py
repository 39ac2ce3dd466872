"""What a listener says: the modes, the conditions of table 0155, the sender's own delimiters and characters."""

from __future__ import annotations

import itertools
import re
import uuid

import pytest

from hilum.formats import hl7v2
from hilum.model.message import Ack, Disposition
from hilum.sdk.acknowledge import Acknowledgement, acknowledge
from hilum.sdk.contracts import Receipt

CONDITIONS = ("", "AL", "NE", "ER", "SU")
OUTCOMES = ("AA", "AE", "AR", "not stored")
ERRORS = (hl7v2.AckError("101", "E", "PID-3", "a patient needs a number"),)


def adt(accept: str = "", application: str = "", version: str = "2.5") -> bytes:
    return f"MSH|^~\\&|A|B|C|D|20260101||ADT^A01|MSG7|P|{version}|||{accept}|{application}\rPID|1||4711\r".encode()


def receipt(outcome: str, errors: tuple[hl7v2.AckError, ...] = ()) -> Receipt | None:
    if outcome == "not stored":
        return None
    disposition = Disposition.DELIVERING if outcome == "AA" else Disposition.ERROR
    note = "" if outcome == "AA" else "refused"
    return Receipt("019a0000-0000-7000-8abc-def012345678", Ack(outcome), disposition, note=note, errors=errors)


def answers(body: bytes, outcome: str, mode: str = "auto") -> list[hl7v2.Message]:
    ack = Acknowledgement.model_validate({"mode": mode})
    return [hl7v2.Message.parse(one) for one in acknowledge(ack, body, receipt(outcome))]


def codes(found: list[hl7v2.Message]) -> list[object]:
    return [one["MSA-1"] for one in found]


def wanted(condition: str, success: bool) -> bool:
    return {"AL": True, "NE": False, "": False, "ER": not success, "SU": success}[condition]


@pytest.mark.ledger_part("S3-09", "ACK modes original and enhanced")
@pytest.mark.parametrize(("accept", "application", "outcome"), [*itertools.product(CONDITIONS, CONDITIONS, OUTCOMES)])
def test_each_wish_and_each_outcome(accept: str, application: str, outcome: str) -> None:
    found = answers(adt(accept, application), outcome)
    if not accept and not application:  # original mode: one answer, whatever happens
        assert codes(found) == [{"not stored": "AE"}.get(outcome, outcome)]
        return
    commit = {"AA": "CA", "AE": "CA", "AR": "CR", "not stored": "CE"}[outcome]
    expected = [commit] if wanted(accept, commit == "CA") else []
    judgement = {"not stored": "AE"}.get(outcome, outcome)
    if (commit == "CA" or not expected) and wanted(application, judgement == "AA"):
        expected.append(judgement)
    assert codes(found) == expected
    assert {one["MSA-2"] for one in found} <= {"MSG7"}
    own = [one["MSH-10"] for one in found]
    assert len(set(own)) == len(own)
    assert all(isinstance(one, str) and 0 < len(one) <= 20 for one in own)


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_original_mode_does_not_hear_wishes(outcome: str) -> None:
    for accept, application in itertools.product(CONDITIONS, CONDITIONS):
        found = answers(adt(accept, application), outcome, "original")
        assert codes(found) == [{"not stored": "AE"}.get(outcome, outcome)]


def test_enhanced_mode_commits_where_nothing_is_wished() -> None:
    assert codes(answers(adt(), "AA", "enhanced")) == ["CA"]
    assert codes(answers(adt(), "not stored", "enhanced")) == ["CE"]
    assert codes(answers(adt(), "AR", "enhanced")) == ["CR"]


def test_a_commit_says_nothing_of_the_judgement() -> None:
    ack = Acknowledgement.model_validate({})
    commit, judgement = map(hl7v2.Message.parse, acknowledge(ack, adt("AL", "AL"), receipt("AE", ERRORS)))
    assert (commit["MSA-1"], commit["MSA-3"], commit.segments("ERR")) == ("CA", None, [])
    assert (judgement["MSA-1"], judgement["MSA-3"]) == ("AE", "refused")
    assert judgement["ERR-2.1"] == "PID"
    assert judgement["ERR-3.1"] == "101"


def test_what_was_not_stored_is_told_to_come_again() -> None:
    (found,) = answers(adt(), "not stored")
    assert found["MSA-3"] == "not stored, send it again"
    (other,) = answers(adt(), "not stored")
    assert found["MSH-10"] != other["MSH-10"]


@pytest.mark.parametrize("kind", ["ACK", "ACK^A01^ACK", "RSP^K22"])
@pytest.mark.parametrize("mode", ["auto", "original", "enhanced"])
def test_an_answer_is_not_answered(kind: str, mode: str) -> None:
    body = f"MSH|^~\\&|A|B|C|D|20260101||{kind}|1|P|2.5|||AL|AL\rMSA|AA|MSG7\r".encode()
    assert answers(body, "AA", mode) == []


@pytest.mark.parametrize("body", [b"", b"no header", b"PID|1||4711\r", b"\xff\x00"])
def test_who_has_no_header_cannot_be_answered(body: bytes) -> None:
    assert answers(body, "AR") == []


@pytest.mark.ledger_part("S3-09", "charset")
@pytest.mark.parametrize(
    ("charset", "codec"), [("8859/1", "latin-1"), ("UNICODE UTF-8", "utf-8"), ("8859/15", "iso8859-15")]
)
def test_the_answer_is_written_in_the_sender_s_characters(charset: str, codec: str) -> None:
    header = f"MSH|^~\\&|Röntgen|Süd|C|D|20260101||ADT^A01|MSG7|P|2.5||||||{charset}\r".encode(codec)
    told = Receipt(str(uuid.uuid4()), Ack.AE, Disposition.ERROR, note="Größe fehlt")
    (answer,) = acknowledge(Acknowledgement.model_validate({}), header, told)
    assert "|C|D|Röntgen|Süd|".encode(codec) in answer
    assert "Größe fehlt".encode(codec) in answer
    assert hl7v2.Message.parse(answer)["MSH-18"] == charset


def test_the_answer_is_written_with_the_sender_s_delimiters() -> None:
    body = b"MSH$*%@!$A$B$C$D$20260101$$ADT*A01$MSG7$P$2.5\rPID$1\r"
    told = Receipt(str(uuid.uuid4()), Ack.AE, Disposition.ERROR, note="costs 5$ * 2", errors=ERRORS)
    (answer,) = acknowledge(Acknowledgement.model_validate({}), body, told)
    assert answer.startswith(b"MSH$*%@!$C$D$A$B$")
    found = hl7v2.Message.parse(answer)
    assert found["MSA-3"] == "costs 5$ * 2"
    assert found["ERR-2.2"] == "1"


def test_a_text_cannot_smuggle_a_segment_in() -> None:
    told = Receipt(str(uuid.uuid4()), Ack.AE, Disposition.ERROR, note="bad\rMSA|AA|OTHER\x1c\r\x0b")
    (answer,) = acknowledge(Acknowledgement.model_validate({}), adt(), told)
    assert answer.count(b"\r") == 2
    assert b"\x1c" not in answer
    assert b"\x0b" not in answer


def test_an_old_version_gets_its_own_form_of_errors() -> None:
    told = Receipt(str(uuid.uuid4()), Ack.AE, Disposition.ERROR, errors=ERRORS)
    (answer,) = acknowledge(Acknowledgement.model_validate({}), adt(version="2.3"), told)
    assert re.search(rb"\rERR\|PID\^1\^3\^101", answer)
