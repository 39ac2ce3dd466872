"""FHIRPath as far as mappings need it, on a patient and an observation."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from hilum.formats.fhirpath import FhirPathError, parse

PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "p1",
    "active": True,
    "birthDate": "1970-01-31",
    "deceasedBoolean": False,
    "multipleBirthInteger": 2,
    "name": [
        {"use": "official", "family": "Doe", "given": ["Jane", "Quinn"]},
        {"use": "nickname", "given": ["JJ"]},
    ],
    "identifier": [
        {"system": "urn:mrn", "value": "4711"},
        {"system": "urn:nhs", "value": "0815"},
    ],
    "telecom": [{"system": "phone", "value": "1", "rank": 2}, {"system": "email", "value": "a@b", "rank": 1}],
    "extension": [{"url": "http://x/race", "valueString": "unknown"}],
}
OBSERVATION: dict[str, Any] = {
    "resourceType": "Observation",
    "status": "final",
    "valueQuantity": {"value": 6.3, "unit": "mmol/L"},
    "component": [{"code": {"text": "a"}, "valueInteger": 1}, {"code": {"text": "b"}, "valueString": "x"}],
}


def given(text: str, resource: Any = PATIENT, start: Any = None) -> list[Any]:
    return parse(text)(resource if start is None else start, resource)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Patient.birthDate", ["1970-01-31"]),
        ("birthDate", ["1970-01-31"]),
        ("Observation.status", []),
        ("name.given", ["Jane", "Quinn", "JJ"]),
        ("name[0].given[1]", ["Quinn"]),
        ("name[5]", []),
        ("name.where(use = 'official').family", ["Doe"]),
        ("name.where(use = 'official' and given.exists()).given.first()", ["Jane"]),
        ("identifier.where(system = 'urn:nhs').value", ["0815"]),
        ("telecom.where(rank < 2).value", ["a@b"]),
        ("name.family | name.given | name.family", ["Doe", "Jane", "Quinn", "JJ"]),
        ("name.given.count()", [3]),
        ("name.exists(use = 'old')", [False]),
        ("address.exists()", [False]),
        ("address.empty() and active", [True]),
        ("name.all(given.exists())", [True]),
        ("name.select(given.first() & ' ' & family)", ["Jane Doe", "JJ "]),
        ("name.given.first().upper()", ["JANE"]),
        ("name.given.tail().last()", ["JJ"]),
        ("name.given.skip(1).take(1)", ["Quinn"]),
        ("name.given.join(' ')", ["Jane Quinn JJ"]),
        ("id.startsWith('p') and id.endsWith('1')", [True]),
        ("birthDate.substring(0, 4)", ["1970"]),
        ("birthDate.split('-').last().toInteger() + 1", [Decimal(32)]),
        ("birthDate.matches('[0-9]{4}')", [True]),
        ("birthDate.replace('-', '')", ["19700131"]),
        ("birthDate.indexOf('-')", [4]),
        ("birthDate.length()", [10]),
        ("deceased", [False]),
        ("deceased is boolean", [True]),
        ("multipleBirth + 1", [Decimal(3)]),
        ("extension('http://x/race').value", ["unknown"]),
        ("iif(active, 'yes', 'no')", ["yes"]),
        ("iif(address.exists(), 'yes')", []),
        ("active.not()", [False]),
        ("'Jane' in name.given", [True]),
        ("name.given contains 'Joe'", [False]),
        ("address.city = 'X'", []),
        ("{} and false", [False]),
        ("{} or true", [True]),
        ("{} implies false", []),
        ("true xor false", [True]),
        ("'a b' ~ 'A  B'", [True]),
        ("name.use !~ ('official' | 'nickname')", [False]),
        ("1 / 0", []),
        ("7 div 2 * 2 + 7 mod 2", [Decimal(7)]),
        ("-(2 + 3) < 0", [True]),
        ("(1 | 2 | 2).count() = 2", [True]),
        ("name.given.distinct().count()", [3]),
        ("name.combine(name).count()", [4]),
        ("%resource.id & $this.id", ["p1p1"]),
        ("name.select($index)", [0, 1]),
        ("`birthDate`", ["1970-01-31"]),
        ("active.toString() + '!'", ["true!"]),
        ("'1.50'.toDecimal()", [Decimal("1.50")]),
        ("'it''s'", None),
        ("'it\\'s'", ["it's"]),
        ("name.first().hasValue() or id.hasValue()", [True]),
        ("name.given.single()", None),
    ],
)
def test_what_it_gives(text: str, found: list[Any] | None) -> None:
    if found is None:
        with pytest.raises(ValueError, match=r"."):
            given(text)
        return
    assert given(text) == found


def test_choices_and_types() -> None:
    assert given("value.value", OBSERVATION) == [6.3]
    assert given("value.ofType(Quantity).unit", OBSERVATION) == ["mmol/L"]
    assert given("(value as Quantity).unit", OBSERVATION) == ["mmol/L"]
    assert given("value is FHIR.Quantity", OBSERVATION) == [True]
    assert given("value.ofType(string)", OBSERVATION) == []
    assert given("component.where(code.text = 'b').value", OBSERVATION) == ["x"]
    bundle = {"resourceType": "Bundle", "entry": [{"resource": PATIENT}, {"resource": OBSERVATION}]}
    assert given("entry.resource.ofType(Observation).status", bundle) == ["final"]
    assert given("Bundle.entry.resource.where($this is Patient).id", bundle) == ["p1"]


def test_of_a_part() -> None:
    assert given("given.first() & %resource.id", PATIENT, PATIENT["name"][1]) == ["JJp1"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "expected a value"),
        ("name.", "expected a name"),
        ("name..given", "expected a name"),
        ("name[0", "expected ']'"),
        ("now()", "there is no function now"),
        ("name.repeat(given)", "there is no function repeat"),
        ("descendants()", "there is no function descendants"),
        ("name.where()", "takes 1 values"),
        ("@2020-01-01", "no literals here"),
        ("birthDate is nothing", "there is no type nothing"),
        ("%secret", "there is no variable"),
        ("name name", "cannot read 'name'"),
        ("(" * 40 + "1" + ")" * 40, "within one another"),
        ("a" + ".a" * 200, "more than 100 operations"),
        ("1" + "+1" * 200, "more than 100 operations"),
        ("a" * 3_000, "at most"),
    ],
)
def test_what_is_none(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason.replace("(", r"\(")):
        parse(text)


@pytest.mark.parametrize(
    "text", ["name.given.upper()", "name < 1", "id + 1", "id.substring('x')", "name[id]", "id.matches('(')"]
)
def test_what_cannot_be_evaluated(text: str) -> None:
    with pytest.raises(FhirPathError) as caught:
        given(text)
    assert "p1" not in str(caught.value)


def test_what_looks_at_too_much_ends() -> None:
    resource = {"a": [{"a": [{"a": list(range(50))}] * 50}] * 50}
    with pytest.raises(FhirPathError, match="looks at more than"):
        given("a.where(a.where(%resource.a.a.a.exists()).exists())", resource)
    with pytest.raises(FhirPathError, match="looks at more than"):
        given("a.a.a.distinct()", resource)
    assert given("('" + "a" * 1_000 + "').matches('(a|a)*b')") == [False]
