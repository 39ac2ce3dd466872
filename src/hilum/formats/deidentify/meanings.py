"""What a variable or field means for somebody's identity, and what each kind of de-identification does about it.

The letters are the 18 classes of 45 CFR 164.514(b)(2)(i). What a limited data set may not hold is 164.514(e)(2).
"""

from __future__ import annotations

import enum

from hilum.formats.deidentify.profile import Action, Kind, Profile


class Meaning(enum.StrEnum):
    """In words that people are shown."""

    NAME = "name"
    STREET = "street address"
    PLACE = "place smaller than a state"
    LOCATION = "geographic position"
    ZIP = "ZIP code"
    POSTCODE = "postal code that is no ZIP code"
    DATE = "date"
    BIRTH = "date of birth"
    TIME = "time of day or other part of a date"
    AGE = "age"
    PHONE = "telephone number"
    FAX = "fax number"
    EMAIL = "e-mail address"
    SSN = "social security or other national number"
    MRN = "medical record number"
    PLAN = "health plan number"
    ACCOUNT = "account number"
    LICENCE = "certificate or licence number"
    VEHICLE = "vehicle identifier"
    DEVICE = "device identifier"
    URL = "web address"
    IP = "IP address"
    BIOMETRIC = "biometric identifier"
    PHOTO = "photograph"
    SUBJECT = "subject id"
    SITE = "site id"
    STAFF = "id of staff"
    RECORD = "identifying number or code"
    TEXT = "free text"
    UNKNOWN = "text that nothing is known of"
    REGION = "state or country"
    TYPED = "no identifier, but typed by people"  # its values decide
    PLAIN = "no identifier"


LETTERS = {
    Meaning.NAME: "A", Meaning.STREET: "B", Meaning.PLACE: "B", Meaning.LOCATION: "B", Meaning.ZIP: "B",
    Meaning.POSTCODE: "B", Meaning.DATE: "C", Meaning.BIRTH: "C", Meaning.TIME: "C", Meaning.AGE: "C",
    Meaning.PHONE: "D", Meaning.FAX: "E", Meaning.EMAIL: "F", Meaning.SSN: "G", Meaning.MRN: "H", Meaning.PLAN: "I",
    Meaning.ACCOUNT: "J", Meaning.LICENCE: "K", Meaning.VEHICLE: "L", Meaning.DEVICE: "M", Meaning.URL: "N",
    Meaning.IP: "O", Meaning.BIOMETRIC: "P", Meaning.PHOTO: "Q", Meaning.SUBJECT: "R", Meaning.SITE: "R",
    Meaning.STAFF: "R", Meaning.RECORD: "R",
}  # fmt: skip
HARMLESS = frozenset({Meaning.PLAIN, Meaning.TYPED, Meaning.REGION})
CODED = frozenset({Meaning.SUBJECT, Meaning.SITE, Meaning.STAFF})
DATED = frozenset({Meaning.DATE, Meaning.BIRTH})

_SAFE_HARBOR = {
    Meaning.ZIP: Action.ZIP3, Meaning.DATE: Action.YEAR, Meaning.BIRTH: Action.YEAR, Meaning.AGE: Action.AGE,
    **dict.fromkeys(CODED, Action.HASH), **dict.fromkeys(HARMLESS, Action.KEEP),
}  # fmt: skip
_LEFT = dict.fromkeys((Meaning.PLACE, Meaning.ZIP, Meaning.POSTCODE, Meaning.TIME), Action.KEEP)
_CODES = dict.fromkeys((*CODED, Meaning.RECORD), Action.HASH)
_OTHERS = {
    Kind.SAFE_HARBOR: _SAFE_HARBOR,
    Kind.PSEUDONYMISE: {
        **dict.fromkeys((*HARMLESS, *DATED, Meaning.AGE, Meaning.UNKNOWN), Action.KEEP), **_LEFT, **_CODES,
        Meaning.MRN: Action.HASH, Meaning.TEXT: Action.SCRUB,
    },
    Kind.DATE_SHIFT: {
        **dict.fromkeys(HARMLESS, Action.KEEP), **dict.fromkeys(DATED, Action.SHIFT), **_LEFT, **_CODES,
        Meaning.AGE: Action.AGE,
    },
}  # fmt: skip

_WORDS = {
    Action.KEEP: "kept", Action.DROP: "left out", Action.YEAR: "year", Action.AGE: "90 and older as one",
    Action.ZIP3: "first three digits, 000 where few live", Action.HASH: "code", Action.SHIFT: "shifted",
    Action.SCRUB: "scrubbed by patterns, which can miss",
}  # fmt: skip


def action(profile: Profile, meaning: Meaning) -> Action:
    """What a kind does with it; what is not listed goes."""
    if profile.kind is Kind.NONE:
        return Action.KEEP
    if meaning is Meaning.TEXT and profile.text is not None:
        return profile.text
    return _OTHERS[profile.kind].get(meaning, Action.DROP)


def reason(kind: Kind, meaning: Meaning, chosen: Action) -> str:
    """In words and with the law, such as `date of birth -> year (164.514(b)(2)(i)(C))`."""
    found = f"{meaning.value} -> {_WORDS[chosen]}"
    if kind is Kind.NONE or chosen is Action.KEEP or (meaning not in LETTERS and chosen is not Action.HASH):
        return found
    return f"{found} ({_law(kind, meaning, chosen)})"


def _law(kind: Kind, meaning: Meaning, chosen: Action) -> str:
    if kind is Kind.PSEUDONYMISE:
        return "GDPR Art. 4(5)"
    if kind is Kind.DATE_SHIFT:
        return "164.514(e)"
    letter = f"164.514(b)(2)(i)({LETTERS.get(meaning, 'R')})"
    return f"{letter}, code by 164.514(c)" if chosen is Action.HASH else letter
