"""HL7 v2 messages by data type and place: what goes, what is coded, what moves, what stays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.formats.deidentify import Action, Deidentifier, Kind
from hilum.formats.hl7v2 import Message

Make = Callable[..., Any]
HEAD = r"MSH|^~\&|LAB|MERCY|HIS|WARD|20190103083000||ADT^A01^ADT_A01|CTL4711|P|2.5.1"


def made(*lines: str) -> Message:
    return Message.parse("\r".join([HEAD, *lines]).encode())


@pytest.fixture(scope="module")
def strict(profile: Make) -> Deidentifier:
    return Deidentifier(profile())


def test_a_header_stays_one(strict: Deidentifier) -> None:
    done = strict.message(made("PID|1"))
    assert (done.type, done.trigger, done.version, done["MSH-7"]) == ("ADT", "A01", "2.5.1", "2019")
    assert done["MSH-4"] in (None, "")
    assert done.control_id not in ("", "CTL4711")
    assert done.issues == []


def test_the_first_id_of_a_patient_that_is_no_number_of_a_country(strict: Deidentifier) -> None:
    done = strict.message(made("PID|1||123-45-6789^^^SSA^SS~4711^^^MERCY^MR~0815^^^X^PI"))
    assert done["PID-3"] == strict.codes.of("subject", "4711")
    merged = strict.message(made("PID|1||4711", "MRG|0815"))
    assert merged["MRG-1"] == strict.codes.of("subject", "0815")


def test_ids_of_other_kinds_are_codes_for_pseudonyms(profile: Make) -> None:
    ours = Deidentifier(profile(Kind.PSEUDONYMISE))
    done = ours.message(
        made(
            "PID|1||4711~0815||Doe^Jane||19360101|F|||12 Elm St^^Springfield^NH^03601", "PV1|1|I|W1^2|||||77^House^Greg"
        )
    )
    assert done["PID-3[*].1"] == [ours.codes.of("subject", "4711"), ours.codes.of("subject", "0815")]
    assert done["PV1-8.1"] == ours.codes.of("staff", "77")
    assert done["PID-5"] in (None, "")
    assert done["PID-7"] == "19360101"
    assert (done["PID-11.1"], done["PID-11.3"], done["PID-11.5"]) == ("", "Springfield", "03601")
    assert done["MSH-4"] == "MERCY"


def test_dates_move_by_the_patients_days(profile: Make) -> None:
    ours = Deidentifier(profile(Kind.DATE_SHIFT))
    days = ours.codes.days("4711")
    assert -364 <= days <= -1
    done = ours.message(made("PID|1||4711||||19590312|F", "PV1|1|I" + "|" * 42 + "201901030830+0100|201901"))
    moved = str(done["PV1-44"])
    assert moved.endswith("0830+0100")
    assert moved[:8] < "20190103"
    assert len(str(done["PV1-45"])) == 6
    assert ours.message(made("PID|1||4711||||1936"))["PID-7"] in (None, "")
    nobody = ours.message(made("PV1|1|I" + "|" * 42 + "20190103"))
    assert nobody["PV1-44"] in (None, ""), "nobody to move it for"


@pytest.mark.parametrize("kind", [Kind.SAFE_HARBOR, Kind.PSEUDONYMISE, Kind.DATE_SHIFT])
def test_what_is_not_defined_goes(kind: Kind, profile: Make) -> None:
    done = Deidentifier(profile(kind)).message(
        made("PID|1||4711" + "|" * 60 + "Jane Doe", "ZZZ|Jane Doe", "QQQ|Jane Doe", "PV1|1|I" + "|" * 42 + "Jane Doe")
    )
    assert b"Jane" not in bytes(done)
    assert [segment.name for segment in done.segments()] == ["MSH", "PID", "PV1"]


def test_texts(strict: Deidentifier, profile: Make) -> None:
    message = made(
        "PID|1||4711||Müller^Jörg",
        "OBX|1|ST|1^Comment||mueller was here, tel 603-555-0117",
        "OBX|2|ST|2^Glucose||<0.5",
        "OBX|3|ST|3^Nitrite||NEGATIVE",
        "OBX|4|CWE|4^Finding||^seen by the aunt~I10^Hypertension^I10^^^^^^as Jane said",
        "OBX|5|TX|5^Text||a~b\\T\\c",
        "NTE|1||jörg called",
    )
    done = strict.message(message)
    assert [done[f"OBX[{n}]-5"] for n in (1, 5)] == ["", ""] or done.get("OBX[1]-5") in (None, "")
    assert done["OBX[2]-5"] == "<0.5"
    assert done["OBX[3]-5"] == "NEGATIVE"
    assert done["OBX[4]-5[2]"] == "I10^Hypertension^I10"
    assert b"aunt" not in bytes(done)
    scrubbed = Deidentifier(profile(text=Action.SCRUB)).message(message)
    assert scrubbed["OBX[1]-5"] == "[NAME] was here, tel [PHONE]"
    assert scrubbed["OBX[5]-5[*]"] == ["a", "b&c"]
    assert scrubbed["NTE-3"] == "[NAME] called"


def test_observations_that_observe_an_identifier(strict: Deidentifier) -> None:
    done = strict.message(
        made(
            "OBX|1|NM|30525-0^Age^LN||95",
            "OBX|2|ST|X^Alter||95 Jahre",
            "OBX|3|NM|X^Phone number||6035550117",
            "OBX|4|CWE|X^City of residence||S^Springfield",
            "OBX|5|NM|X^Oxygen on room air||97",
            "OBX|6|CWE|X^Mother has fever||Y^Yes^L",
            "OBX|7|TS|X^Date of visit||20190103",
            "OBX|8|NM|30525-0^Age^LN||1100|mo",
            "OBX|9|CWE|X^City||Y~S^Springfield",
        )
    )
    values = [done.get(f"OBX[{n}]-5") or "" for n in range(1, 10)]
    assert values == ["90", "90+", "", "", "97", "Y", "2019", "1080", ""]


def test_other_delimiters_and_character_sets(strict: Deidentifier) -> None:
    odd = Message.parse(
        "MSH#*!@$#A#B#C#D#2019##ADT*A01#X#P#2.5#####8859/1\rPID#1##4711!0815##Müller*Jörg\rNTE#1##Mül".encode("latin-1")
    )
    done = strict.message(odd)
    assert done["PID-3.1"] == strict.codes.of("subject", "4711")
    assert "Müller".encode("latin-1") not in bytes(done)
    assert bytes(done).startswith(b"MSH#*!@$#")
    bare = strict.message(Message.parse(b"MSH|\rPID|"))
    assert bytes(bare) == b"MSH|\rPID\r"


@given(
    st.lists(
        st.text(st.characters(exclude_characters="\r\n\x0b\x1c", exclude_categories=["Cs"]), max_size=30), max_size=20
    )
)
def test_any_message_comes_out_as_one(profile: Make, fields: list[str]) -> None:
    line = "|".join(["PID", *fields])
    for kind in (Kind.SAFE_HARBOR, Kind.DATE_SHIFT):
        done = Deidentifier(profile(kind, text=Action.SCRUB)).message(made(line, line.replace("PID", "OBX", 1)))
        again = Message.parse(bytes(done))
        assert [segment.name for segment in again.segments()] == ["MSH", "PID", "OBX"]
