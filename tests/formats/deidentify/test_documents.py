"""JSON documents by the keys of their fields and the looks of their values, FHIR's and anybody's."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.formats.deidentify import Action, Deidentifier, Kind, Known, Meaning

Make = Callable[..., Any]


@pytest.fixture(scope="module")
def strict(profile: Make) -> Deidentifier:
    return Deidentifier(profile())


@pytest.mark.parametrize(
    ("given_", "left"),
    [
        ({"status": "final", "code": "I10", "unit": "mmol/L"}, {"status": "final", "code": "I10", "unit": "mmol/L"}),
        ({"firstName": "Jane", "n": 5}, {"n": 5}),
        ({"foo": "Jane Doe", "ok": True, "none": None}, {"ok": True, "none": None}),
        ({"type": "visit of Jane"}, None),
        ({"code": "X", "display": "Jane Doe"}, {"code": "X"}),
        ({"coding": [{"code": "X", "display": "A disease"}]}, {"coding": [{"code": "X", "display": "A disease"}]}),
        ({"visitDate": "03/12/2019", "start": "2019-03-12"}, {"visitDate": "2019", "start": "2019"}),
        ({"geburtsdatum": "12.03.1931"}, None),
        ({"birthDate": {"year": 1931, "month": 3}}, None),
        ({"birthDate": {"year": 1959, "month": 3}}, {"birthDate": {"year": 1959}}),
        ({"created": 1_552_379_400}, None),
        ({"age": 95, "ages": [12, 103]}, {"age": 90, "ages": [12, 90]}),
        ({"age": {"value": 1_200, "unit": "months"}}, {"age": {"value": 1_080, "unit": "months"}}),
        ({"alter": "95 Jahre"}, {"alter": "90+"}),
        ({"zip": "03601", "postalCode": "02139"}, {"zip": "000", "postalCode": "021"}),
        (
            {"address": {"postalCode": "80331", "country": "DE", "city": "M", "text": "x"}},
            {"address": {"country": "DE"}},
        ),
        ({"result": 5.4, "value": 250_000, "code": 123_456_789, "foo": 4_711_000}, {"result": 5.4, "value": 250_000}),
        ({"lat": 52.5, "longitude": 13.4}, None),
        ({"token": "abc", "x-api-key": "d"}, None),
        ({"state": "NH", "country": "a very long text that is the name of no country at all"}, {"state": "NH"}),
        (
            {"coding": [{"code": "X", "display": "A disease"}], "text": "A disease"},
            {"coding": [{"code": "X", "display": "A disease"}], "text": "A disease"},
        ),
        (
            {"coding": [{"code": "X", "display": "A disease"}], "text": "A disease of Jane"},
            {"coding": [{"code": "X", "display": "A disease"}]},
        ),
        (
            {
                "coding": [
                    {"system": "http://loinc.org", "code": "1"},
                    {"system": "https://mercy.example.org", "code": "2"},
                ]
            },
            {"coding": [{"system": "http://loinc.org", "code": "1"}, {"code": "2"}]},
        ),
        ({"extension": [{"url": "https://mercy.example.org/x", "valueCode": "a"}]}, None),
        (
            {"extension": [{"url": "http://hl7.org/fhir/x", "valueCode": "a1"}]},
            {"extension": [{"url": "http://hl7.org/fhir/x", "valueCode": "a1"}]},
        ),
        ({"system": "Jane's PC"}, None),
        (
            {"component": [{"code": {"coding": [{"code": "30525-0"}]}, "valueQuantity": {"value": 95}}]},
            {"component": [{"code": {"coding": [{"code": "30525-0"}]}, "valueQuantity": {"value": 90}}]},
        ),
        ([], []),
        ({}, {}),
        ("MSH|", "MSH|\r"),
        (5.4, 5.4),
        (None, None),
    ],
)
def test_fields(strict: Deidentifier, given_: Any, left: Any) -> None:
    assert strict.document(given_) == left


def test_what_is_known_from_elsewhere_in_the_document(profile: Make) -> None:
    ours = Deidentifier(profile(text=Action.SCRUB))
    found = ours.document(
        {"lastName": "Doe", "mrn": 4711, "items": [{"text": "doe, 4711"}, {"value": 4711}, {"value": 12}]}
    )
    assert found == {"items": [{"text": "[NAME], [MRN]"}, {"value": 12}]}
    inner = ours.document({"body": json.dumps({"nachname": "Doe"}), "note": "DOE called"})
    assert inner == {"note": "[NAME] called"}


def test_what_is_known_from_elsewhere(profile: Make) -> None:
    ours = Deidentifier(profile(text=Action.SCRUB))
    line = json.dumps({"lastName": "Doe", "note": "doe and jane"})
    assert json.loads(ours.text(line, Known.of([(Meaning.NAME, "Jane")]))) == {"note": "[NAME] and [NAME]"}
    found = ours.document({"name": "Doe", "doe_results": {"n": 1}, "code": {"n": 2}})
    assert found == {"[NAME]_results": {"n": 1}, "code": {"n": 2}}


def test_keys_that_are_identifiers(strict: Deidentifier) -> None:
    found = strict.document(
        {"471108": {"n": 1}, "jane@example.org": {"n": 2}, "10.0.0.1": {"n": 3}, "10.0.0.2": {"n": 4}}
    )
    assert [one["n"] for one in found.values()] == [1, 2, 3, 4]
    assert not {"471108", "jane@example.org", "10.0.0.1", "10.0.0.2"} & set(found)


def test_references_still_point_at_what_they_pointed_at(strict: Deidentifier) -> None:
    found = strict.document(
        {
            "resourceType": "Bundle",
            "entry": [
                {"fullUrl": "urn:uuid:0a", "resource": {"resourceType": "Patient", "id": "p1"}},
                {"resource": {"resourceType": "Encounter", "subject": {"reference": "urn:uuid:0a", "display": "Jane"},
                              "participant": [{"individual": {"display": "Dr. Who"}}]}},
                {"resource": {"resourceType": "Condition", "subject": {"reference": "https://x.example.org/Patient/p1"},
                              "evidence": [{"detail": [{"reference": "#c1"}]}]}},
            ],
        }
    )  # fmt: skip
    patient, encounter, condition = found["entry"]
    assert encounter["resource"]["subject"]["reference"] == patient["fullUrl"]
    assert condition["resource"]["subject"]["reference"] == f"Patient/{patient['resource']['id']}"
    assert condition["resource"]["evidence"] == [{"detail": [{"reference": "#c1"}]}]
    assert "participant" not in encounter["resource"]


def test_dates_move_by_each_resources_subject(profile: Make) -> None:
    ours = Deidentifier(profile(Kind.DATE_SHIFT))
    resources = [
        {
            "resourceType": "Patient",
            "id": subject,
            "birthDate": "1959-03-12",
            "meta": {"lastUpdated": "2019-01-03T08:30:00Z"},
        }
        for subject in ("a", "b")
    ]
    found = ours.document({"resourceType": "Bundle", "entry": [{"resource": one} for one in resources]})
    births = [entry["resource"]["birthDate"] for entry in found["entry"]]
    assert births[0] != births[1]
    assert births[0] == ours.document(resources[0])["birthDate"]
    assert found["entry"][0]["resource"]["meta"]["lastUpdated"].endswith("T08:30:00Z")
    assert found["entry"][0]["resource"]["meta"]["lastUpdated"] < "2019-01-03"
    assert "birthDate" not in ours.document({**resources[0], "birthDate": "1930-01-01"})
    assert ours.document({"date": "2019-01-03"}) is None, "nobody to move it for"


def test_pseudonyms(profile: Make) -> None:
    ours = Deidentifier(profile(Kind.PSEUDONYMISE))
    found = ours.document(
        {
            "resourceType": "Patient",
            "id": "p1",
            "identifier": [
                {"system": "urn:oid:1.2.3", "value": "4711"},
                {"type": {"coding": [{"code": "SS"}]}, "value": "123-45-6789"},
                {"system": "http://hl7.org/fhir/sid/us-ssn", "value": "123-45-6789"},
            ],
            "birthDate": "1931-03-12",
            "address": [{"city": "Springfield", "line": ["12 Elm St"], "postalCode": "03601"}],
        }
    )
    assert found["identifier"] == [{"system": "urn:oid:1.2.3", "value": ours.codes.of("subject", "4711")}]
    assert found["birthDate"] == "1931-03-12"
    assert found["address"] == [{"city": "Springfield", "postalCode": "03601"}]


def test_texts_that_hold_documents(strict: Deidentifier) -> None:
    line = json.dumps({"event": "ok", "status": 200, "patient_name": "Jane Doe", "ms": 12})
    assert json.loads(strict.text(line)) == {"status": 200, "ms": 12}
    assert strict.text("MSH|^~\\&|A|B|C|D|20190103\rPID|1||4711||Doe^Jane").startswith("MSH|^~\\&|||||2019")
    assert strict.text("GET /x?q=4711 token=abcdefghijklmnopqrstuvwxyz", Known.of([(Meaning.MRN, "4711")])) == (
        "GET /x?q=[MRN] token=***"
    )
    assert strict.text("{not json, Dr. Smith") == "{not json, Dr. [NAME]"
    assert strict.text("") == ""


def test_none_changes_nothing(profile: Make) -> None:
    ours = Deidentifier(profile(Kind.NONE, key=b"", export=""))
    assert ours.document({"name": "Jane"}) == {"name": "Jane"}
    assert ours.text("Dr. Smith") == "Dr. Smith"


def test_too_deep_is_gone(strict: Deidentifier) -> None:
    deep: Any = {"value": 1}
    for _ in range(300):
        deep = {"more": deep}
    assert strict.document(deep) is None


_KEYS = "resourceType identifier system text id subject code coding display reference valueAge date name age data mrn"
_OBJECTS = st.text(max_size=10) | st.sampled_from(_KEYS.split())
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_OBJECTS, inner, max_size=4),
    max_leaves=20,
)


@given(document=_JSON, kind=st.sampled_from(list(Kind)), scrub=st.booleans())
def test_any_document_comes_out(profile: Make, document: Any, kind: Kind, scrub: bool) -> None:
    before = repr(document)
    Deidentifier(profile(kind, text=Action.SCRUB if scrub else None)).document(document)
    assert repr(document) == before
