"""HL7 v2 messages: every field by its data type, as the message's version defines it, and a few by their place.

| data type | safe-harbor | pseudonymise, date-shift |
|---|---|---|
| names, telephone, documents, locations, organizations, licences | left out | left out |
| persons with an id (XCN, CN, PPN) | left out | the id as a code |
| addresses | state, ZIP of three digits, country | town, state, ZIP, country |
| ids (CX, EI) | subjects as numbers, others left out | codes |
| dates (TS, DTM, DT) | the year, or nothing where it says that somebody is over 89 | kept; moved |
| codes (CE, CWE, CNE, ID, IS), numbers | kept, their texts scrubbed | the same |
| text (ST, TX, FT) | left out, or scrubbed where the profile says so | scrubbed; left out |

What the version does not define goes: Z segments, further fields, types that nobody knows. Segments about relatives,
employers and the insured go whole under safe-harbor. What PID says of a patient is looked for in every text.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import re2  # type: ignore[import-untyped]  # it ships no types

from hilum.errors import FormatError
from hilum.formats.deidentify import dates, places, vocabulary
from hilum.formats.deidentify.codes import RECORD, STAFF, SUBJECT, Codes
from hilum.formats.deidentify.fields import AGES, DIRECT_TYPES
from hilum.formats.deidentify.meanings import DATED, HARMLESS, Meaning, action
from hilum.formats.deidentify.profile import Action, Kind, Profile
from hilum.formats.deidentify.scrubber import Known, Scrubber
from hilum.formats.hl7v2 import NULL, Message
from hilum.formats.hl7v2.definitions import Definitions, definitions
from hilum.formats.hl7v2.escape import escape, read_text
from hilum.formats.hl7v2.segment import Segment

_KEPT = frozenset(
    ("ID", "IS", "NM", "SI", "SN", "PT", "VID", "MSG", "CM_MSG", "CP", "MO", "CQ", "DTN", "NR", "NA", "ERL", "ELD",
     "CM_ELD", "UVC", "MOC", "DDI", "DLT", "CCP", "RPT", "MOP", "PTA", "SRT", "RCD", "NUL")
)  # fmt: skip
_KEPT_BY_OTHERS = frozenset(("HD", "TM"))  # but not by safe-harbor
_CODED = frozenset(("CE", "CWE", "CNE", "CF", "SPS"))
_MOMENTS = frozenset(("TS", "DTM", "DT"))
_RANGES = frozenset(("DR", "DR_SIMPLE", "DIN", "OCD", "FC"))
_ADDRESSES = frozenset(("XAD", "AD"))
_PEOPLE = frozenset(("XCN", "CN", "PPN"))
_IDS = frozenset(("CX", "CK", "EI", "CM_PAT_ID", "CM_PAT_ID_0192", "CM_PLACER", "CM_FILLER", "CK_ACCOUNT_NO"))
_TEXTS = frozenset(("ST", "TX", "FT"))
_NAMES = frozenset(("XPN", "PN"))

_ORIGINAL = 8  # components of a code before its original text
_STAMP = re2.compile(r"[0-9]{4,14}(?:\.[0-9]+)?(?:[+-][0-9]{4})?")
_OF_OTHERS = frozenset(
    ("NK1", "GT1", "IN1", "IN2", "IN3", "STF", "PRA", "ORG", "AFF", "EDU", "LAN", "CER", "CTD", "ROL", "PRD", "ACC",
     "UB1", "UB2", "CON", "ARV", "IAR", "PDA", "NCK", "EQU", "ISD", "INV")
)  # fmt: skip
_SUBJECTS = frozenset({"PID-2", "PID-3", "PID-4", "MRG-1", "MRG-2", "MRG-4"})
_PLACES = frozenset({"PID-12", "PID-23", "PV1-39", "ZIP"})  # codes that name a county, a town, a hospital
_BIRTHS = frozenset({"PID-7"})
_WHOLE = frozenset({"OBX-4", "OBX-7", "MSA-1", "QAK-1", "ERR-3"})  # texts of the protocol, or of a measurement
_CONTROL = frozenset({"MSH-10", "MSA-2"})
_COUNTS = frozenset(("NM", "SN"))
_WORDS = frozenset({Meaning.NAME, Meaning.PLACE, Meaning.STREET, Meaning.URL, Meaning.PHOTO, Meaning.BIOMETRIC})
_KNOWN_BY_TYPE = {
    "XPN": Meaning.NAME, "PN": Meaning.NAME, "XAD": Meaning.STREET, "AD": Meaning.STREET, "XTN": Meaning.PHONE,
    "TN": Meaning.PHONE, "CX": Meaning.MRN, "CK": Meaning.MRN, "DLN": Meaning.LICENCE,
}  # fmt: skip
_KNOWN_BY_PLACE = {
    "PID-19": Meaning.SSN, **dict.fromkeys(("PID-5", "PID-6", "PID-9"), Meaning.NAME),
    **dict.fromkeys(_SUBJECTS, Meaning.MRN),
}  # fmt: skip
_TOLD = frozenset(("PID", "NK1", "GT1", "IN1", "IN2", "MRG", "PD1"))


class Messages:
    """De-identifies messages of one export."""

    def __init__(self, profile: Profile, codes: Codes, scrubber: Scrubber) -> None:
        self._profile, self._codes, self._scrubber = profile, codes, scrubber
        self._strict = profile.kind is Kind.SAFE_HARBOR

    def message(self, message: Message) -> Message:
        """A message that may leave; the given one stays as it is. Raises FormatError where it cannot be read."""
        if self._profile.kind is Kind.NONE:
            return message
        return _One(self, message).made()

    def told(self, text: str) -> Iterator[tuple[Meaning, str]]:
        """What a message, as text, says of the patient and those around; nothing where it cannot be read."""
        with contextlib.suppress(FormatError):
            yield from _One(self, Message.parse(text.encode("utf-8", "replace"), charset="UNICODE UTF-8")).told()


class _One:
    """One message on its way."""

    def __init__(self, ways: Messages, message: Message) -> None:
        self.profile, self.codes, self.scrubber, self.strict = ways._profile, ways._codes, ways._scrubber, ways._strict
        self.message, self.delimiters, self.codec = message, message.delimiters, message.charset
        self.standard: Definitions = definitions(message.version)
        self.known = Known.of(self.told())
        subject = self._subject()
        self.days = self.codes.days(subject) if subject else None

    def made(self) -> Message:
        header, *others = self.message.segments()
        kept = [header, *(segment for segment in others if self._stays(segment))]
        return Message.parse(b"".join(self._segment(segment) + b"\r" for segment in kept))

    def _stays(self, segment: Segment) -> bool:
        if self.standard.segment(segment.name) is None:
            return False
        return not (self.strict and segment.name in _OF_OTHERS)

    def _segment(self, segment: Segment) -> bytes:
        header = segment.name == "MSH"
        fields = segment.fields
        done = [fields[0]]
        for number in range(1, len(fields)):
            if header and number in (1, 2):
                if number == 2:
                    done.append(fields[2])
                continue
            done.append(self._field(segment, number, fields[number]))
        while len(done) > 1 + header and not done[-1]:
            done.pop()
        return self.delimiters.field.join(done)

    def _field(self, segment: Segment, number: int, raw: bytes) -> bytes:
        if not raw or raw == b'""':
            return raw
        place = f"{segment.name}-{number}"
        defined = self.standard.field(segment.name, number)
        if place in _CONTROL:
            return self._code("message", raw)
        if (
            defined is None
            or (place in _PLACES and self.strict)
            or (place == "PID-12" and self.profile.kind is Kind.DATE_SHIFT)
        ):
            return b""
        kind = defined.datatype
        if place == "OBX-5":
            return self._value(segment, raw)
        if place == "MSH-18":
            return raw
        mark = self.delimiters.repetition
        parts = raw.split(mark) if mark else [raw]
        if kind in _IDS or place in _SUBJECTS:
            parts = [part for part in parts if self._plain(self._component(part, 5)) not in DIRECT_TYPES]
        changed = [self._repetition(place, kind, part) for part in parts]
        if place in _SUBJECTS and self.strict:
            changed = changed[:1]
        return mark.join(changed) if any(changed) else b""

    def _value(self, segment: Segment, raw: bytes) -> bytes:
        """OBX-5, whose type is OBX-2 and whose meaning OBX-3."""
        kind = str(segment["2"] or "")
        meaning = self._observed(segment)
        if meaning is Meaning.AGE and action(self.profile, meaning) is Action.AGE:
            return self._aged(raw, str(segment["6.1"] or ""))
        mark = self.delimiters.repetition
        parts = raw.split(mark) if mark else [raw]
        if meaning is not None and self._goes(meaning, kind):
            first = self._component(raw, 1)
            plain = len(parts) == 1 and self._plain(first).strip().casefold() in vocabulary.VALUES
            return first if plain else b""  # of "has the mother a fever", yes
        place = "PID-7" if meaning is Meaning.BIRTH else "OBX-5"
        return mark.join(self._repetition(place, kind, part) for part in parts)

    def _goes(self, meaning: Meaning, kind: str) -> bool:
        """Is what an OBX observes an identifier? A number of a place or a name, as of "room air", is none."""
        if (
            meaning in HARMLESS
            or meaning in DATED
            or meaning is Meaning.TEXT
            or (kind in _COUNTS and meaning in _WORDS)
        ):
            return False
        return action(self.profile, meaning) not in (Action.KEEP, Action.SCRUB)

    def _observed(self, segment: Segment) -> Meaning | None:
        code, text, other = (str(segment[place] or "") for place in ("3.1", "3.2", "3.5"))
        if code in AGES:
            return Meaning.AGE
        for said in (text, other, code):
            meaning = vocabulary.by_words(said)
            if meaning is not None and meaning not in HARMLESS:
                return meaning
        return None

    def _aged(self, raw: bytes, unit: str) -> bytes:
        text, limit = self._plain(raw), int(dates.ninety(unit))
        try:
            return str(limit).encode() if float(text) >= limit else raw
        except ValueError:
            return self._bytes(dates.age(text) or "")

    def _repetition(self, place: str, kind: str, raw: bytes) -> bytes:
        """One repetition of a field of a data type."""
        if kind in _MOMENTS:
            return self._moment(raw, birth=place in _BIRTHS)
        if place in _SUBJECTS:
            return self._code(SUBJECT, self._component(raw, 1))
        if kind in _KEPT or (kind in _KEPT_BY_OTHERS and not self.strict):
            return self._known_out(raw)
        if kind in _CODED:
            return self._coded(raw)
        if kind in _RANGES:
            return self._by_components(place, kind, raw)
        if kind in _ADDRESSES:
            return self._address(raw)
        if kind in _IDS:
            return self._id(place, raw)
        if kind in _PEOPLE and not self.strict:
            return self._code(STAFF, self._component(raw, 1))
        if kind in _TEXTS:
            return self._text(place, raw)
        return b""

    def _by_components(self, place: str, kind: str, raw: bytes) -> bytes:
        mark = self.delimiters.component
        parts = raw.split(mark) if mark else [raw]
        defined = self.standard.components(kind)
        kinds = [one.datatype if one else "" for one in defined] + [""] * len(parts)
        return mark.join(self._repetition(place, kinds[at], part) for at, part in enumerate(parts)).rstrip(mark)

    def _moment(self, raw: bytes, *, birth: bool = False) -> bytes:
        text = self._component(raw, 1).decode(self.codec, "replace")
        oldest = self.profile.oldest
        match action(self.profile, Meaning.BIRTH if birth else Meaning.DATE):
            case Action.YEAR:
                year = dates.year(text, oldest)
                return b"" if year in (None, dates.OLD) else str(year).encode()
            case Action.SHIFT:
                if self.days is None or (birth and dates.year(text, oldest) == dates.OLD):
                    return b""
                return (dates.shifted(text, self.days) or "").encode()
        return raw if _STAMP.fullmatch(text) else b""  # a field of dates may hold anything

    def _coded(self, raw: bytes) -> bytes:
        """Codes stay; their texts lose what is known and what surely is an identifier. No code: it is free text."""
        mark = self.delimiters.component
        parts = raw.split(mark) if mark else [raw]
        if self.strict:
            parts = [b"" if at in (1, 4) and not parts[at - 1] else part for at, part in enumerate(parts[:_ORIGINAL])]
        done = [self._known_out(part) for part in parts]
        while len(done) > 1 and not done[-1]:
            done.pop()
        return mark.join(done)

    def _known_out(self, raw: bytes) -> bytes:
        """A value that stays, without what is known of the patient."""
        marks = b"".join((self.delimiters.component, self.delimiters.subcomponent))
        if any(byte in raw for byte in marks):
            mark = self.delimiters.component if self.delimiters.component_byte in raw else self.delimiters.subcomponent
            return mark.join(self._known_out(part) for part in raw.split(mark))
        text = read_text(raw, self.delimiters, self.codec)
        if text is NULL or not text:
            return raw
        done = self.scrubber.text(str(text), self.known, sure=True)
        return raw if done == text else self._bytes(done)

    def _address(self, raw: bytes) -> bytes:
        mark = self.delimiters.component
        parts = (raw.split(mark) if mark else [raw]) + [b""] * 7
        town, state, code, country = parts[2:6]
        if self.strict:
            zip3 = places.zip3(self._plain(code), self.profile.sparse)
            here = not country or places.in_united_states(self._plain(country))
            town, code = b"", (zip3 or "").encode() if here else b""
        return mark.join((b"", b"", town, state, code, country)).rstrip(mark) if mark else b""

    def _id(self, place: str, raw: bytes) -> bytes:
        number = self._component(raw, 1)
        if place == "MSH-21":
            return raw
        return b"" if self.strict else self._code(RECORD, number)

    def _text(self, place: str, raw: bytes) -> bytes:
        if place in _WHOLE:
            return self._known_out(raw)
        text = str(read_text(raw, self.delimiters, self.codec))
        if text.strip().casefold() in vocabulary.VALUES or (place == "OBX-5" and vocabulary.measured(text)):
            return self._known_out(raw)
        if place.startswith("PID-") or action(self.profile, Meaning.TEXT) is Action.DROP:
            return b""
        return self._bytes(self.scrubber.text(text, self.known))

    # Bytes and text

    def _component(self, raw: bytes, number: int) -> bytes:
        """A component of a value, without its subcomponents; empty where there is none."""
        parts = raw.split(self.delimiters.component) if self.delimiters.component else [raw]
        found = parts[number - 1] if len(parts) >= number else b""
        return found.split(self.delimiters.subcomponent)[0] if self.delimiters.subcomponent else found

    def _code(self, space: str, raw: bytes) -> bytes:
        text = self._plain(raw)
        return self.codes.of(space, text).encode() if text.strip() else b""

    def _plain(self, raw: bytes) -> str:
        text = read_text(raw, self.delimiters, self.codec)
        return "" if text is NULL else str(text)

    def _bytes(self, text: str) -> bytes:
        try:
            return escape(text.encode(self.codec, "replace"), self.delimiters)
        except ValueError:  # the message has no escape character, and this needs one
            return b""

    # What is known

    def _subject(self) -> str:
        return next(
            (text for place in ("PID-3.1", "PID-2.1") if (text := str(self.message.get(place) or "").strip())), ""
        )

    def told(self) -> Iterator[tuple[Meaning, str]]:
        """What the message says of the patient and those around."""
        for segment in self.message.segments():
            defined = self.standard.segment(segment.name)
            if segment.name not in _TOLD or defined is None:
                continue
            for number, raw in enumerate(segment.fields[1:], 1):
                field = self.standard.field(segment.name, number)
                if raw and field is not None:
                    yield from self._values(f"{segment.name}-{number}", field.datatype, raw)

    def _values(self, place: str, kind: str, raw: bytes) -> Iterator[tuple[Meaning, str]]:
        meaning = _KNOWN_BY_PLACE.get(place) or _KNOWN_BY_TYPE.get(kind)
        if meaning is None:
            return
        for part in raw.split(self.delimiters.repetition) if self.delimiters.repetition else [raw]:
            mark = self.delimiters.component
            pieces = part.split(mark) if mark else [part]
            if meaning is Meaning.NAME:
                yield (
                    meaning,
                    " ".join(
                        self._plain(piece.replace(self.delimiters.subcomponent or b"&", b" ")) for piece in pieces[:3]
                    ),
                )
            elif meaning is Meaning.STREET:
                yield meaning, self._plain(pieces[0].split(self.delimiters.subcomponent or b"&")[0])
                if len(pieces) > 2:
                    yield Meaning.PLACE, self._plain(pieces[2])
            else:
                yield meaning, self._plain(pieces[0])
                if kind == "XTN" and len(pieces) > 6:
                    yield meaning, "".join(self._plain(piece) for piece in pieces[5:7])
                    yield Meaning.EMAIL, self._plain(pieces[3])
