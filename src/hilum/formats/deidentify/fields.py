"""What the fields of a JSON document mean by their keys, and what a document tells of people.

FHIR's own words come first, then the vocabulary of all names. Source: HL7 FHIR R4, "Data Types".
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import re2  # type: ignore[import-untyped]  # it ships no types

from hilum.formats.deidentify import vocabulary
from hilum.formats.deidentify.codes import RECORD, SITE, STAFF, SUBJECT
from hilum.formats.deidentify.meanings import DATED, HARMLESS, Meaning

DEPTH = 100  # beyond which nothing is read, and nothing stays

_BY_MEANING = {
    Meaning.PHONE: "telecom",
    Meaning.NAME: "contact alias",
    Meaning.PHOTO: "photo attachment data",
    Meaning.TEXT: "content div note valueString valueMarkdown conclusion patientInstruction",
    Meaning.PLACE: "district",
    Meaning.STREET: "line",
    Meaning.ZIP: "postalCode",
    Meaning.DEVICE: "udiCarrier serialNumber distinctIdentifier",
    Meaning.RECORD: "lotNumber identifier versionId etag accessIdentifier",
    Meaning.BIRTH: "birthDate",
    Meaning.TIME: "lastUpdated issued recorded timestamp valueTime valueInstant",  # an instant has no year alone
    Meaning.URL: "source",
}
_FHIR = {word: meaning for meaning, words in _BY_MEANING.items() for word in words.split()}
"""FHIR's words whose meaning is another one than they have elsewhere."""

_CODED = """
    resourceType status use system code unit display mode intent priority gender comparator currency language version
    type kind method severity criticality verificationStatus clinicalStatus category interpretation maritalStatus
    relationship extension profile security fhirVersion format contentType relation operation outcome linkId timeUnit
    durationUnit sex"""
STRUCTURE = frozenset(_CODED.split())
"""Keys whose texts are codes or displays of codes."""

EXTENSIONS = frozenset(("extension", "modifierExtension"))
LINK = re2.compile(r"(?:https?://|urn:)[^\s?@]+")
_KEEPERS = """
    hl7.org hl7.de loinc.org snomed.info unitsofmeasure.org nih.gov cdc.gov who.int cdisc.org fhir.de nema.org ihe.net
    bfarm.de dimdi.de gematik.de iana.org iso.org"""
_HOSTS = "|".join(_KEEPERS.replace(".", r"\.").split())
PUBLIC = re2.compile(
    rf"https?://(?:[a-z0-9-]+\.)*(?:{_HOSTS})(?:/[^\s?@]*)?|urn:(?:iso|ietf|oid:2\.16\.840\.1\.113883)[^\s?@]*"
)
"""Names of vocabularies that whole countries use: they say nothing of where somebody was."""
LINKS = frozenset(("system", "profile", "implicitRules", "valueSet"))
"""Keys whose web addresses are names of vocabularies."""
WRAPPERS = frozenset(("data", "source", "content"))
"""Objects under these are no pictures and no addresses."""
DEEP = frozenset({Meaning.STREET, Meaning.TEXT, Meaning.SUBJECT, Meaning.TIME, *DATED, Meaning.AGE})
"""What an object under such a key has inside is judged by its own keys: `address`, `patient`, `note`."""
BARE = frozenset(("value", "code", "number", "key"))
"""Keys that mean, inside of a subject, the subject's id."""
PLACES = frozenset({Meaning.PLACE, Meaning.ZIP, Meaning.POSTCODE})
PATIENTS = frozenset(("Patient", "Person", "RelatedPerson"))
_SITES = frozenset(("Organization", "Location", "HealthcareService", "ResearchStudy"))
SPACES = {Meaning.SUBJECT: SUBJECT, Meaning.MRN: SUBJECT, Meaning.SITE: SITE, Meaning.STAFF: STAFF}

CODE = re2.compile(r"[A-Za-z]{0,8}[0-9/%.][A-Za-z0-9/%.*^()\[\]{}_-]{0,15}")
_ZONE = r"(?:Z|[+-][0-9]{2}:?[0-9]{2})?"
MOMENT = re2.compile(
    rf"[0-9]{{4}}(?:-[0-9]{{2}}(?:-[0-9]{{2}}(?:[T ][0-9]{{2}}:[0-9]{{2}}(?::[0-9]{{2}}(?:\.[0-9]+)?)?{_ZONE})?)?)?"
)
DATED_KEY = re2.compile(r".*(?:[dD]ate|[tT]ime|[pP]eriod|start|end)")
REFERENCE = re2.compile(r"(?:.*/)?([A-Z][A-Za-z]+)/([A-Za-z0-9.-]{1,64})(?:/_history/.*)?")

DIRECT_TYPES = frozenset(("SS", "SSN", "SB", "NI", "NNUSA", "PPN", "DL", "TAX", "AN", "MA", "MC", "HC", "PNT"))
"""Codes of table 0203 for such numbers."""
_DIRECT = {Meaning.SSN, Meaning.LICENCE, Meaning.ACCOUNT, Meaning.PLAN, Meaning.PHONE, Meaning.EMAIL, Meaning.NAME}
_SYSTEMS = frozenset(("http://hl7.org/fhir/sid/us-ssn", "urn:oid:2.16.840.1.113883.4.1"))  # SSN

AGES = frozenset(("30525-0", "29553-5", "21611-9", "21612-7", "63900-5", "35659-2", "39016-1"))
"""LOINC's codes of an age."""

_INHERITING = frozenset({None, Meaning.PLAIN, Meaning.TYPED, Meaning.RECORD, Meaning.TEXT})
_KNOWN = frozenset(
    {
        Meaning.NAME, Meaning.STREET, Meaning.PLACE, Meaning.PHONE, Meaning.FAX, Meaning.EMAIL, Meaning.SSN,
        Meaning.MRN, Meaning.PLAN, Meaning.ACCOUNT, Meaning.LICENCE, Meaning.DEVICE, Meaning.SUBJECT, Meaning.RECORD,
    }
)  # fmt: skip
_LONGEST = 200  # characters of what is a value rather than a text


def meaning_of(key: str) -> Meaning | None:
    """What a field of this key means; None where nobody knows."""
    if key in _FHIR:
        return _FHIR[key]
    if key in STRUCTURE:
        return Meaning.PLAIN
    return vocabulary.by_name(key) if key else None


def one_word(key: str) -> bool:
    """Is it a word that documents have for a key, and nobody's name beside one?"""
    return key in _FHIR or key in STRUCTURE or (key.isascii() and key.isalpha() and vocabulary.by_name(key) is not None)


def space_of(kind: str) -> str:
    """Which ids a resource's kind shares its codes with."""
    if kind in PATIENTS:
        return SUBJECT
    return STAFF if kind.startswith("Practitioner") else SITE if kind in _SITES else RECORD


def direct(identifier: Mapping[str, Any]) -> bool:
    """Is it a number of a country's own, a licence or an account, which are direct identifiers?"""
    kind = identifier.get("type")
    coding = kind.get("coding") if isinstance(kind, Mapping) else None
    codes = [one.get("code") for one in coding if isinstance(one, Mapping)] if isinstance(coding, list) else []
    said = [identifier.get("system"), kind.get("text") if isinstance(kind, Mapping) else None]
    meant = {vocabulary.by_words(text) for text in said if isinstance(text, str)}
    return (
        bool(DIRECT_TYPES.intersection(map(str, codes)) or meant & _DIRECT) or str(identifier.get("system")) in _SYSTEMS
    )


def observed(resource: Mapping[str, Any]) -> Meaning | None:
    """What an Observation, or a part of one, observes, where that is an identifier or an age."""
    code = resource.get("code")
    if not isinstance(code, Mapping):
        return None
    coding = code.get("coding")
    every = [one for one in coding if isinstance(one, Mapping)] if isinstance(coding, list) else []
    if any(str(one.get("code")) in AGES for one in every):
        return Meaning.AGE
    for text in (code.get("text"), *(one.get("display") for one in every)):
        meaning = vocabulary.by_words(text) if isinstance(text, str) else None
        if meaning is not None and meaning not in (*HARMLESS, Meaning.TEXT, Meaning.DATE, Meaning.PLACE):
            return meaning
    return None


def told(document: Any, in_message: Callable[[str], Iterator[tuple[Meaning, str]]]) -> Iterator[tuple[Meaning, str]]:
    """What the document says of people: every text under a key that means a name, a number, an address.

    A text that is a document itself is read, and a message is handed to `in_message`.
    """
    waiting: list[tuple[Meaning | None, str, Any, int]] = [(None, "", document, 0)]
    while waiting:
        meaning, key, value, depth = waiting.pop()
        if isinstance(value, Mapping) and depth < DEPTH:
            for name, one in value.items():
                found = meaning_of(name)
                inherited = meaning if found in _INHERITING else found
                if name == "display" and "reference" in value:
                    inherited = Meaning.NAME
                elif name in STRUCTURE or name in ("url", "state", "country"):
                    inherited = None
                waiting.append((inherited, name, one, depth + 1))
        elif isinstance(value, list) and depth < DEPTH:
            waiting.extend((meaning, key, one, depth + 1) for one in value)
        elif isinstance(value, str) and value.lstrip()[:1] in ("{", "[") and depth < DEPTH:
            with contextlib.suppress(ValueError, RecursionError):
                waiting.append((meaning, key, json.loads(value), depth + 1))
        elif isinstance(value, str) and value.lstrip().startswith("MSH"):
            yield from in_message(value.lstrip())
        elif meaning in _KNOWN and isinstance(value, str | int) and not isinstance(value, bool):
            text = str(value)
            if len(text) <= _LONGEST and not (MOMENT.fullmatch(text) and len(text) > 4):
                yield meaning, text


def subject_of(document: Any) -> str:
    """Whose it is: the id of a Patient, or whom `subject` or `patient` refers to, or a subject's id by its key."""
    if not isinstance(document, Mapping):
        return ""
    if str(document.get("resourceType")) in PATIENTS and isinstance(document.get("id"), str):
        return str(document["id"])
    for name in ("subject", "patient"):
        found = document.get(name)
        if isinstance(found, Mapping) and isinstance(found.get("reference"), str):
            return str(found["reference"]).rpartition("/")[2]
    for name, value in document.items():
        if meaning_of(name) is Meaning.SUBJECT and isinstance(value, str | int):
            return str(value)
    for entry in document.get("entry", ()) if isinstance(document.get("entry"), list) else ():
        found = subject_of(entry.get("resource")) if isinstance(entry, Mapping) else ""
        if found:
            return found
    return ""
