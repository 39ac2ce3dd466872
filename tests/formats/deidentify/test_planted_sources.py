"""No planted identifier is in a message, a document, a log or a note that leaves under Safe Harbor; values stay."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from hilum.formats.deidentify import Action, Deidentifier, Kind, Known, Meaning
from hilum.formats.hl7v2 import Message

Make = Callable[..., Any]


def _message(one: Any, version: str) -> Message:
    """An ORU of a person, with everything that is planted, in the fields where it stands and in notes."""
    born, seen = f"{one.born:%Y%m%d}", f"{one.seen:%Y%m%d}0830"
    name, address = f"{one.family}^{one.given}", f"{one.street}^^{one.city}^NH^{one.code}^USA"
    note = f"{one.family.lower()} phoned {one.phone} on {one.seen:%d.%m.%Y}, MRN {one.mrn}, {one.city}; {one.email}"
    note += f" {one.url}"
    staff, doctor = f"{one.mrn}^{name}", f"77^House^{one.family}"
    lines = [
        rf"MSH|^~\&|LAB|{one.city} CLINIC|HIS|WARD|{seen}||ORU^R01^ORU_R01|CTL{one.mrn}|P|{version}||||||UNICODE UTF-8",
        f"PID|1|{one.ssn}|{one.mrn}^^^{one.city}^MR~{one.account}^^^BANK||{name}||{born}|{one.sex}||2106-3^White^HL70005|"
        f"{address}|{one.city}|{one.phone}^PRN^PH^{one.email}|||M||{one.plan}|{one.ssn}|{one.serial}^NH||"
        f"2186-5^Not Hispanic^HL70189|{one.city}",
        f"PD1||||{staff}",
        f"NK1|1|{name}|SPO|{address}|{one.phone}",
        f"PV1|1|I|{one.city}^12^3|||||{doctor}|||||||||||{one.account}|||||||||||||||||||||||||{seen}",
        f"GT1|1|{one.plan}|{name}||{address}|{one.phone}",
        f"IN1|1|PLAN^{one.plan}|{one.plan}|Mutual of {one.city}||||||||||||{name}|||||||||||||||||||{one.plan}",
        f"ORC|RE|{one.account}|{one.serial}||||||{seen}",
        f"OBR|1|{one.account}|{one.serial}|24323-8^Metabolic panel^LN|||{seen}||||||{note}||||{doctor}|{one.phone}",
        f"OBX|1|NM|2345-7^Glucose^LN||5.4|mmol/L^mmol per litre^UCUM|3.9-6.1|N|||F|||{seen}||77^{name}",
        f"OBX|2|ST|5778-6^Color of Urine^LN||positive||||||F|||{seen}",
        f"OBX|3|ST|48767-8^Annotation comment^LN||{note}||||||F",
        f"OBX|4|TX|X1^Remark^L||{note}||||||F",
        f"OBX|5|FT|X2^Report^L||{note}\\.br\\{one.family.upper()}||||||F",
        f"OBX|6|NM|30525-0^Age^LN||{one.age}|a||||||F",
        f"OBX|7|CWE|8661-1^Finding^LN||I10^Hypertension, seen by {one.family}^I10||||||F",
        f"OBX|8|TS|21112-8^Birth date^LN||{born}||||||F",
        f"OBX|9|ST|45392-8^Patient name^LN||{one.name}||||||F",
        f"OBX|10|NM|X3^Phone number^L||{one.mrn}||||||F",
        f"OBX|11|ED|X4^Scan^L||{one.url}^Image^JPEG^Base64^{one.serial}||||||F",
        f"NTE|1|L|{note}",
        f"ZPI|1|{name}|{one.ssn}|{one.ip}|{one.vin}",
        f"OBX|12|ST|X5^Note^L||device {one.serial}, VIN {one.vin}, from {one.ip}||||||F|{one.ip}|{one.vin}|{one.url}|"
        f"{one.plan}",
    ]  # fmt: skip
    return Message.parse("\r".join(lines).encode())


@pytest.mark.ledger_part("S1-24", "HL7 v2 messages: nothing planted leaves under Safe Harbor, results stay")
@pytest.mark.parametrize("text", [None, Action.SCRUB], ids=["texts left out", "texts scrubbed"])
@pytest.mark.parametrize("version", ["2.3", "2.5.1", "2.8"])
def test_messages(version: str, text: Action | None, people: Any, leaks: Make, profile: Make) -> None:
    given = [_message(one, version) for one in people]
    assert len(leaks("".join(bytes(one).decode() for one in given))) >= 270
    ours = Deidentifier(profile(text=text))
    done = [ours.message(one) for one in given]
    assert leaks("\n".join(bytes(one).decode().replace("\r", "\n") for one in done)) == []
    for one, message in zip(people, done, strict=True):
        old = one.age > 89
        assert message["PID-3"] == ours.codes.of("subject", one.mrn)
        assert message["PID-7"] == ("" if old else str(one.born.year)) or (old and message["PID-7"] is None)
        assert message["PID-8"] == one.sex
        assert message["PID-11.4"] == "NH"
        assert message["PV1-44"] == message["OBR-7"] == "2019"
        assert message["OBX[1]-5"] == "5.4"
        assert message["OBX[1]-7"] == "3.9-6.1"
        assert message["OBX[2]-5"] == "positive"
        assert message["OBX[6]-5"] == str(min(one.age, 90))
        assert message["OBX[7]-5.1"] == "I10"
        assert len(message.segments("ZPI")) == len(message.segments("NK1")) == 0
        assert bool(message.get("OBX[4]-5")) is (text is Action.SCRUB)
    assert bytes(given[0]) == bytes(_message(people[0], version)), "what was given stays as it was"
    assert len({str(message["PID-3"]) for message in done}) == len(people)


def _patient(one: Any) -> dict[str, Any]:
    return {
        "resourceType": "Patient",
        "id": one.mrn,
        "text": {"status": "generated", "div": f"<div>{one.name}</div>"},
        "identifier": [
            {"system": "urn:oid:1.2.3", "value": one.mrn},
            {"system": "ssn", "value": one.ssn},
            {"value": one.plan},
        ],
        "name": [{"use": "official", "family": one.family, "given": [one.given], "text": one.name}],
        "telecom": [{"system": "phone", "value": one.phone}, {"system": "email", "value": one.email}],
        "gender": "female" if one.sex == "F" else "male",
        "birthDate": f"{one.born:%Y-%m-%d}",
        "address": [
            {
                "line": [one.street],
                "city": one.city,
                "state": "NH",
                "postalCode": one.code,
                "country": "US",
                "text": f"{one.street}, {one.city}",
            }
        ],
        "photo": [{"contentType": "image/jpeg", "url": one.url}],
        "contact": [{"name": {"family": one.family}}],
        "extension": [
            {
                "url": "http://hl7.org/fhir/StructureDefinition/patient-mothersMaidenName",
                "valueString": one.family,
            }
        ],
        "generalPractitioner": [{"display": f"Dr. {one.family}"}],
    }


def _bundle(one: Any) -> dict[str, Any]:
    note = f"{one.given.lower()} {one.family.upper()} called {one.phone} on {one.seen:%B %d, %Y}"
    glucose = {
        "resourceType": "Observation",
        "id": f"obs-{one.mrn}",
        "status": "final",
        "issued": f"{one.seen:%Y-%m-%d}T08:30:00Z",
        "code": {
            "coding": [{"system": "http://loinc.org", "code": "2345-7", "display": "Glucose"}],
            "text": f"Glucose of {one.name}",
        },
        "subject": {"reference": f"Patient/{one.mrn}", "display": one.name},
        "effectiveDateTime": f"{one.seen:%Y-%m-%d}",
        "valueQuantity": {"value": 5.4, "unit": "mmol/L"},
        "note": [{"text": note}],
        "device": {"display": one.serial},
    }
    age = {
        "resourceType": "Observation",
        "status": "final",
        "valueQuantity": {"value": one.age, "unit": "years"},
        "code": {"coding": [{"system": "http://loinc.org", "code": "30525-0", "display": "Age"}]},
        "subject": {"reference": f"Patient/{one.mrn}"},
    }
    device = {
        "resourceType": "Device",
        "serialNumber": one.serial,
        "udiCarrier": [{"carrierHRF": one.serial}],
        "url": one.url,
        "note": [{"text": f"VIN {one.vin}, account {one.account}, {one.ip}"}],
    }
    first = {"fullUrl": f"{one.url}/Patient/{one.mrn}", "resource": _patient(one)}
    return {
        "resourceType": "Bundle",
        "type": "collection",
        "timestamp": f"{one.seen:%Y-%m-%d}T08:30:00Z",
        "entry": [first, *({"resource": resource} for resource in (glucose, age, device))],
    }


@pytest.mark.ledger_part("S1-24", "FHIR resources: nothing planted leaves under Safe Harbor, results stay")
@pytest.mark.parametrize("text", [None, Action.SCRUB], ids=["texts left out", "texts scrubbed"])
def test_resources(text: Action | None, people: Any, leaks: Make, profile: Make) -> None:
    given = [_bundle(one) for one in people]
    assert len(leaks(json.dumps(given, ensure_ascii=False))) >= 250
    ours = Deidentifier(profile(text=text))
    done = [ours.document(one) for one in given]
    assert leaks(json.dumps(done, ensure_ascii=False)) == []
    for one, bundle in zip(people, done, strict=True):
        patient, glucose, age, device = (entry["resource"] for entry in bundle["entry"])
        assert patient["id"] == ours.codes.of("subject", one.mrn)
        assert patient.get("birthDate") == (None if one.age > 89 else str(one.born.year))
        assert patient["address"][0]["state"] == "NH"
        assert patient["gender"] in ("female", "male")
        assert glucose["subject"] == {"reference": f"Patient/{patient['id']}"}
        assert glucose["effectiveDateTime"] == "2019"
        assert "issued" not in glucose, "an instant has no year alone"
        assert glucose["valueQuantity"] == {"value": 5.4, "unit": "mmol/L"}
        assert glucose["code"]["coding"][0]["display"] == "Glucose"
        assert age["valueQuantity"]["value"] == min(one.age, 90)
        assert set(device) == ({"resourceType", "note"} if text else {"resourceType"})
        assert ("note" in glucose) is (text is Action.SCRUB)
    assert given[0] == _bundle(people[0]), "what was given stays as it was"


def _execution(one: Any) -> dict[str, Any]:
    """What the hub keeps of a request and its answer, bodies as text in text."""
    body = {
        "patientId": one.mrn,
        "firstName": one.given,
        "nachname": one.family,
        "geburtsdatum": f"{one.born:%d.%m.%Y}",
        "alter": one.age,
        "diagnosis": "I10",
        "result": 5.4,
        "comment": f"{one.family} lives in {one.city}",
    }
    return {
        "correlationId": f"c-{one.mrn}",
        "request": {
            "url": f"{one.url}?name={one.family}",
            "headers": {"Authorization": "Bearer abcdefghijklmnopqrst", "X-Forwarded-For": one.ip},
            "body": json.dumps(body, ensure_ascii=False),
        },
        "response": {
            "status": 200,
            "durationMs": 12,
            "body": bytes(_message(one, "2.5.1")).decode(),
            one.mrn: {"glucose": 5.4},
            "unexplained": one.name,
            "anything": {"deeper": [{"still": one.email}, one.ssn, int(one.mrn)]},
            "zip": one.code,
            "state": "NH",
            "mrn": {"value": int(one.mrn)},
            "patient": {"number": one.mrn, "sex": one.sex},
            "vehicle": one.vin,
            "account": one.account,
            "plan": {"policyNumber": one.plan, "serial": one.serial},
        },
        "error": f"no bed for {one.name} ({one.phone}), {one.street}",
    }


@pytest.mark.ledger_part("S1-24", "executions of the API: nothing planted leaves under Safe Harbor, results stay")
@pytest.mark.parametrize("text", [None, Action.SCRUB], ids=["texts left out", "texts scrubbed"])
def test_executions(text: Action | None, people: Any, leaks: Make, profile: Make) -> None:
    given = [_execution(one) for one in people]
    assert len(leaks(json.dumps(given, ensure_ascii=False))) >= 270
    ours = Deidentifier(profile(text=text))
    done = [ours.document(one) for one in given]
    assert leaks(json.dumps(done, ensure_ascii=False).replace("\\r", "\n")) == []
    for one, execution in zip(people, done, strict=True):
        body = json.loads(execution["request"]["body"])
        assert body["patientId"] == ours.codes.of("subject", one.mrn)
        assert body["diagnosis"] == "I10"
        assert body["result"] == 5.4
        assert body["alter"] == min(one.age, 90)
        assert execution["response"]["status"] == 200
        assert execution["response"]["state"] == "NH"
        assert execution["response"]["patient"] == {"number": body["patientId"], "sex": one.sex}
        assert Message.parse(execution["response"]["body"].encode())["PID-3"] == body["patientId"]
        assert "Authorization" not in json.dumps(execution)


def _notes(one: Any, ways: Make) -> list[str]:
    """Notes and lines of logs; each says something of the person, in whatever spelling."""
    return [
        f"{one.family}, {one.given} was seen today.",
        f"{one.given.upper()} {one.family.upper()} / {one.family.lower()} {one.given.lower()}",
        f"Dr. {one.family} and Frau {one.family} agree; potassium 4.1 mmol/L",
        f"mother of {one.given} rang from {one.phone}, reach her at {one.email}",
        f"MRN {one.mrn}; subject {one.subject}; SSN {one.ssn}; plan {one.plan}; account {one.account}",
        f"lives at {one.street}, {one.code} {one.city}; NH {one.code}",
        f"10:31:07 WARN login from {one.ip} to {one.url} device {one.serial} vin={one.vin}",
        f"file {one.family}_{one.given}_{one.mrn}.pdf was uploaded",
        f"a {one.age}-year-old, aged {one.age}",
        *(f"born {way}, blood pressure 120/80" for way in ways(one.born)),
        *(f"admitted on {way}" for way in ways(one.seen)),
    ]


@pytest.mark.ledger_part("S1-24", "logs and notes: nothing planted and known leaves under Safe Harbor")
def test_logs_and_notes(people: Any, leaks: Make, ways: Make, profile: Make) -> None:
    ours = Deidentifier(profile())
    given, done = [], []
    for one in people:
        known = Known.of(
            [
                (Meaning.NAME, one.name),
                (Meaning.MRN, one.mrn),
                (Meaning.SUBJECT, one.subject),
                (Meaning.STREET, one.street),
                (Meaning.PLACE, one.city),
                (Meaning.DEVICE, one.serial),
                (Meaning.PLAN, one.plan),
            ]
        )
        for note in _notes(one, ways):
            given.append(note)
            done.append(ours.text(note, known))
    assert len(leaks("\n".join(given))) >= 270
    assert leaks("\n".join(done)) == []
    assert sum("potassium 4.1 mmol/L" in note for note in done) == len(people)
    assert sum("blood pressure 120/80" in note for note in done) == len(people) * len(ways(people[0].born))
    years = sum("admitted on 2019" in note for note in done)
    assert years >= len(people) * 9, "of a date its year stays"


@pytest.mark.parametrize("kind", [Kind.PSEUDONYMISE, Kind.DATE_SHIFT])
def test_direct_identifiers_go_in_the_other_kinds_too(kind: Kind, people: Any, leaks: Make, profile: Make) -> None:
    ours = Deidentifier(profile(kind))
    messages = "\n".join(bytes(ours.message(_message(one, "2.5.1"))).decode().replace("\r", "\n") for one in people)
    documents = json.dumps([ours.document(_bundle(one)) for one in people], ensure_ascii=False)
    left = {leak.split(" of ")[0] for leak in leaks(messages) + leaks(documents)}
    allowed = {"city", "code"} if kind is Kind.DATE_SHIFT else {"city", "code", "born", "seen", "age"}
    assert left == allowed
