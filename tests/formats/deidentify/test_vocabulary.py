"""What names of variables mean, in CDISC's words, English and German."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.formats.deidentify.meanings import LETTERS, Meaning
from hilum.formats.deidentify.vocabulary import VALUES, by_name, by_words, measured, words

MEANT = {
    Meaning.NAME: "INVNAM patientLastName Nachname VORNAME full_name Ansprechpartner mother doctor username INITIALS",
    Meaning.STREET: "address street_1 Strasse Straße Hausnummer homeAddress Anschrift",
    Meaning.PLACE: "city Wohnort COUNTY hospital_name Landkreis LBNAM birthPlace room Station",
    Meaning.LOCATION: "latitude gpsPosition geo_code Breitengrad",
    Meaning.ZIP: "ZIP zip_code postalCode",
    Meaning.POSTCODE: "PLZ Postleitzahl",
    Meaning.DATE: "AESTDTC ADT TRTSDTM admission_date Aufnahmedatum created_at visitDate timestamp YEAR",
    Meaning.BIRTH: "BRTHDTC dob Geburtsdatum date_of_birth geb birthYear",
    Meaning.TIME: "ASTTM Uhrzeit month start_time weekday",
    Meaning.AGE: "AGE AGEGR1 Alter age_years",
    Meaning.PHONE: "phone homePhone2 Telefonnummer mobile_no Handy Tel.",
    Meaning.FAX: "fax FaxNr",
    Meaning.EMAIL: "email e-mail Mailadresse contactEmail",
    Meaning.SSN: "SSN social_security_number passport Sozialversicherungsnummer taxId",
    Meaning.MRN: "MRN medical_record_number Fallnummer patientNo Aktenzeichen encounterId",
    Meaning.PLAN: "insurance_no memberId Versichertennummer policyNumber KVNR",
    Meaning.ACCOUNT: "account_number IBAN Kontonummer creditCard",
    Meaning.LICENCE: "license_no driverLicence NPI Fuehrerschein",
    Meaning.VEHICLE: "VIN Kennzeichen vehicle_id",
    Meaning.DEVICE: "SPDEVID serialNumber Seriennummer deviceId pacemaker",
    Meaning.URL: "url website EGXFN file_name",
    Meaning.IP: "ip ipAddress remote_addr",
    Meaning.BIOMETRIC: "fingerprint voice_print",
    Meaning.PHOTO: "photo Lichtbild avatar",
    Meaning.SUBJECT: "USUBJID subjid patientId subject_no Proband",
    Meaning.SITE: "SITEID site_no Pruefzentrum",
    Meaning.STAFF: "INVID doctor_id userId",
    Meaning.RECORD: "AESPID LBREFID RANDNUM order_id uuid barcode",
    Meaning.TEXT: "COVAL comment Bemerkung notes free_text other_specify",
    Meaning.REGION: "STATE country Bundesland",
}


@pytest.mark.parametrize(("meaning", "names"), MEANT.items(), ids=str)
def test_names_that_mean_an_identifier(meaning: Meaning, names: str) -> None:
    assert {name: by_name(name) for name in names.split()} == dict.fromkeys(names.split(), meaning)


def test_every_class_of_the_rule_has_names() -> None:
    assert {LETTERS[meaning] for meaning in MEANT if meaning in LETTERS} == set("ABCDEFGHIJKLMNOPQR")


NONE = (
    "STUDYID DOMAIN SEX RACE LBTESTCD LBTEST LBSTRESN LBORRESU AEDECOD AESEQ VISIT VISITNUM EPOCH PARAMCD AVAL TRT01A "
    "SAFFL AESTDY LBNRIND VSPOS number_of_visits study_id visit_no age_unit time_point birthWeight study_day"
)
DECIDED = "AETERM LBORRES QVAL AVALC result diagnosis icd10 test_name blood_type gender"


@pytest.mark.parametrize("name", NONE.split())
def test_names_that_mean_none(name: str) -> None:
    assert by_name(name) is Meaning.PLAIN


@pytest.mark.parametrize("name", DECIDED.split())
def test_names_whose_values_decide(name: str) -> None:
    assert by_name(name) is Meaning.TYPED


@pytest.mark.parametrize("name", ["COL7", "x", "Q12", "foo", "", "___", "🌱", "V1"])
def test_names_that_nobody_knows(name: str) -> None:
    assert by_name(name) is None


def test_labels() -> None:
    assert by_words("Date/Time of Birth") is Meaning.BIRTH
    assert by_words("Name of Investigator") is Meaning.NAME
    assert by_words("Unique Subject Identifier") is Meaning.SUBJECT
    assert by_words("White blood cell count") is Meaning.PLAIN
    assert by_words("Injection site") is Meaning.TYPED


def test_words() -> None:
    assert words("patientLastName") == "patient last name"
    assert words("HTTPServerIP4") == "http server ip 4"
    assert words("Straße_des-Größten") == "strasse des groessten"
    assert words("Größe") == words("GRÖSSE".title())


@given(st.text(max_size=60))
def test_any_name_has_an_answer(name: str) -> None:
    assert by_name(name) is None or isinstance(by_name(name), Meaning)


def test_values_that_say_nothing() -> None:
    assert {"y", "not detected", "hispanic or latino", "a+"} <= VALUES
    assert not {"jane", "or", "", "smith"} & (VALUES - {"or"})
    assert all(value == value.casefold().strip() for value in VALUES)


@pytest.mark.parametrize("text", ["5", "-3.25", "<0.1", "1,5", "3.9-6.1", "1e-7", "12 %", "250000", "120 - 150"])
def test_measurements(text: str) -> None:
    assert measured(text)


@pytest.mark.parametrize("text", ["", "5551234567", "12.03.2014", "555-123-4567", "A5", "2014-05", "1-2-3"])
def test_no_measurements(text: str) -> None:
    assert not measured(text)
