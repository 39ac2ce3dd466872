"""JSON documents: FHIR resources, and what the hub keeps of requests and answers.

A field is judged by its name (`vocabulary`, FHIR's own words first), a text by what it looks like. Names, telecom,
photos, narratives and attachments go; ids and references become codes that still point at each other; a text that
nothing explains is left out, or scrubbed where the profile says so. Of a coded thing its codes and displays stay. What
the document says of people anywhere is looked for in all its texts, and HL7 v2 or JSON inside of a text is read as
such. FHIR's `instant` has no year alone, so it goes where dates become years.
Source: HL7 FHIR R4, "Data Types" and "Resource Definitions".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from hilum import telemetry
from hilum.errors import FormatError
from hilum.formats.deidentify import dates, fields, places, vocabulary
from hilum.formats.deidentify.codes import RECORD, SUBJECT, Codes
from hilum.formats.deidentify.meanings import DATED, HARMLESS, Meaning, action
from hilum.formats.deidentify.messages import Messages
from hilum.formats.deidentify.profile import OVER, Action, Kind, Profile
from hilum.formats.deidentify.scrubber import NOTHING, Known, Scrubber
from hilum.formats.hl7v2 import Message

_GONE: Any = object()
_SHORT = 40  # characters of the name of a state or country


class Documents:
    """De-identifies documents of one export."""

    def __init__(self, profile: Profile, codes: Codes, scrubber: Scrubber, messages: Messages) -> None:
        self.profile, self.codes, self.scrubber, self.messages = profile, codes, scrubber, messages
        self.strict = profile.kind is Kind.SAFE_HARBOR

    def document(self, document: Any) -> Any:
        """A document as it may leave, None where nothing of it may; the given one stays as it is."""
        if self.profile.kind is Kind.NONE:
            return document
        found = _One(self, document).value("", document, 0)
        return None if found is _GONE else found

    def text(self, text: str, known: Known = NOTHING) -> str:
        """A line of a log, a note, or a message or document as text; what of it may leave."""
        if self.profile.kind is Kind.NONE:
            return text
        inner = _One(self, text, known).inside(text)
        if inner is not None:
            return "" if inner is _GONE else str(inner)
        return self.scrubber.text(telemetry.mask(text), known)


class _One:
    """One document on its way."""

    def __init__(self, ways: Documents, document: Any, known: Known = NOTHING) -> None:
        self.ways, self.profile, self.codes, self.strict = ways, ways.profile, ways.codes, ways.strict
        self.known = Known.of(fields.told(document, ways.messages.told), known)
        subject = fields.subject_of(document)
        self.days = self.codes.days(subject) if subject else None

    def value(self, key: str, value: Any, depth: int) -> Any:
        """What becomes of a value under a key; `_GONE` where it is left out."""
        if value is None or isinstance(value, bool):
            return value
        if depth > fields.DEPTH or telemetry.names_secret(key):
            return _GONE
        if isinstance(value, list):
            return self._list(key, value, depth)
        if isinstance(value, Mapping):
            return self._object(key, value, depth)
        meaning = fields.meaning_of(key)
        if isinstance(value, str):
            return self._text(key, meaning, value)
        return self._number(meaning, value)

    def _list(self, key: str, values: list[Any], depth: int) -> Any:
        found = [one for one in (self.value(key, value, depth + 1) for value in values) if one is not _GONE]
        return found if found or not values else _GONE

    def _object(self, key: str, found: Mapping[str, Any], depth: int) -> Any:
        if isinstance(found.get("reference"), str):
            return {"reference": self._pointer(found["reference"])}
        if "resourceType" in found or isinstance(found.get("code"), Mapping):
            return self._resource(found, depth)
        if key == "identifier":
            return _GONE if self.strict or fields.direct(found) else self._identifier(RECORD, found)
        meaning = None if key in fields.WRAPPERS else fields.meaning_of(key)
        if (
            meaning not in fields.DEEP
            and meaning not in HARMLESS
            and meaning is not None
            and self._action(meaning) is not Action.KEEP
        ):
            return _GONE
        if key == "text" and "div" in found:
            return _GONE
        if key in fields.EXTENSIONS and self.strict and not fields.PUBLIC.fullmatch(str(found.get("url"))):
            return _GONE  # nobody knows what it says
        if key == "address":
            return self._address(found, depth)
        if "coding" in found:
            return self._concept(found, depth)
        if meaning is Meaning.AGE or key.endswith("Age"):
            found = self._capped(found)
        if meaning is Meaning.SUBJECT:
            found = {name: str(value) if name in fields.BARE else value for name, value in found.items()}
        return self._members(found, depth, key)

    def _members(self, found: Mapping[str, Any], depth: int, key: str = "") -> Any:
        changed: dict[str, Any] = {}
        for name, value in found.items():
            if name == "url" and key in fields.EXTENSIONS:
                done = value
            elif name == "display" and not ("code" in found and ("system" in found or key == "coding")):
                done = _GONE  # of a reference: it says who
            elif name in fields.BARE and isinstance(value, str) and fields.meaning_of(key) is Meaning.SUBJECT:
                done = self._by_meaning(Meaning.SUBJECT, value)
            else:
                done = self.value(name, value, depth + 1)
            if done is not _GONE:
                changed[self._key(name, changed)] = done
        return changed if changed or not found else _GONE

    def _key(self, name: str, taken: Mapping[str, Any]) -> str:
        """A key may be an identifier itself: `{"4711": …}`."""
        if fields.one_word(name):
            return name
        coded = fields.meaning_of(name) is None and sum(char.isdigit() for char in name) >= 4
        new = wanted = self.codes.of("key", name) if coded else self._scrubbed(name, sure=True)
        count = 1
        while new in taken:
            count += 1
            new = f"{wanted}_{count}"
        return new

    # FHIR

    def _resource(self, found: Mapping[str, Any], depth: int) -> Any:
        kind = str(found.get("resourceType", ""))
        about = fields.observed(found)
        before, subject = self.days, fields.subject_of(found)
        self.days = self.codes.days(subject) if subject else before
        changed: dict[str, Any] = {}
        for name, value in found.items():
            if name == "id" and isinstance(value, str):
                done: Any = self._id_of(kind, value)
            elif name == "identifier":
                done = self._identifiers(kind, value)
            elif about is not None and name.startswith("value"):
                done = self._aged(value) if about is Meaning.AGE else _GONE
            else:
                done = self.value(name, value, depth + 1)
            if done is not _GONE:
                changed[self._key(name, changed)] = done
        self.days = before
        return changed if changed or not found else _GONE

    def _id_of(self, kind: str, identifier: str) -> str:
        return self.codes.of(fields.space_of(kind), identifier)

    def _identifiers(self, kind: str, value: Any) -> Any:
        every = [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, Mapping)]
        space = SUBJECT if kind in fields.PATIENTS else RECORD
        done = [] if self.strict else [self._identifier(space, one) for one in every if not fields.direct(one)]
        return _GONE if not done else done if isinstance(value, list) else done[0]

    def _identifier(self, space: str, found: Mapping[str, Any]) -> dict[str, Any]:
        """Its type and system, and a code for its value."""
        said = ((name, self.value(name, found[name], 0)) for name in ("use", "type", "system") if name in found)
        kept = {name: value for name, value in said if value is not _GONE}
        return {**kept, "value": self.codes.of(space, str(found.get("value", "")))}

    def _pointer(self, text: str) -> str:
        """What a reference or a `fullUrl` points at, by its code; a server's address goes."""
        if text.startswith("#"):
            return text
        match = fields.REFERENCE.fullmatch(text)
        if match is None:
            return f"urn:x:{self.codes.of(RECORD, text)}"
        kind = match.group(1)
        return f"{kind}/{self._id_of(kind, match.group(2))}"

    def _address(self, found: Mapping[str, Any], depth: int) -> Any:
        """Without its text; a ZIP code is one only where the country has them."""
        kept = {name: value for name, value in found.items() if name != "text"}
        country = found.get("country")
        if self.strict and isinstance(country, str) and not places.in_united_states(country):
            kept.pop("postalCode", None)
        return self._members(kept, depth)

    def _concept(self, found: Mapping[str, Any], depth: int) -> Any:
        """Codes with their displays; a text beside them only where it says what a display says."""
        coding = found.get("coding")
        every = [one for one in coding if isinstance(one, Mapping)] if isinstance(coding, list) else []
        displays = [one.get("display") for one in every]
        done = self._members({name: value for name, value in found.items() if name != "text"}, depth)
        text = found.get("text")
        if done is not _GONE and isinstance(text, str) and text in displays:
            done["text"] = self._scrubbed(text, sure=True)
        return done

    def _aged(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            return self._capped(value)
        if isinstance(value, str):
            return dates.age(value) or _GONE
        return min(value, OVER) if isinstance(value, int | float) and not isinstance(value, bool) else value

    def _capped(self, found: Mapping[str, Any]) -> Mapping[str, Any]:
        """A Quantity of an age."""
        value = found.get("value")
        if self._action(Meaning.AGE) is not Action.AGE or isinstance(value, bool) or not isinstance(value, int | float):
            return found
        limit = dates.ninety(str(found.get("code") or found.get("unit") or ""))
        return {**found, "value": min(value, int(limit))}

    # Texts and numbers

    def _text(self, key: str, meaning: Meaning | None, text: str) -> Any:
        if not text.strip() or (key == "resourceType" and text.isalpha()):
            return text
        if key in fields.LINKS and fields.LINK.fullmatch(text):
            return _GONE if self.strict and not fields.PUBLIC.fullmatch(text) else text
        if (inner := self.inside(text)) is not None:
            return inner
        if key == "fullUrl":
            return self._pointer(text)
        if meaning is not None and meaning not in HARMLESS and meaning is not Meaning.TEXT:
            return self._by_meaning(meaning, text)
        if fields.MOMENT.fullmatch(text) and (len(text) > 4 or fields.DATED_KEY.fullmatch(key)):
            return self._moment(Meaning.DATE, text)
        if meaning is not Meaning.TEXT and (text.strip().casefold() in vocabulary.VALUES or vocabulary.measured(text)):
            return _GONE if self._is_known(text) else text
        if self._stays(key, meaning, text):
            return self._scrubbed(text, sure=True)
        if self._action(Meaning.TEXT) is Action.DROP and (self.strict or meaning is Meaning.TEXT):
            return _GONE
        return self._scrubbed(text)

    def _stays(self, key: str, meaning: Meaning | None, text: str) -> bool:
        """Codes, displays of codes, units, states and countries."""
        if key in fields.STRUCTURE:
            return not self.strict or key in ("display", "unit") or not any(char.isspace() for char in text)
        if meaning is Meaning.REGION:
            return len(text) <= _SHORT
        return meaning in HARMLESS and fields.CODE.fullmatch(text) is not None

    def _by_meaning(self, meaning: Meaning, text: str) -> Any:
        match self._action(meaning):
            case Action.DROP:
                return _GONE
            case Action.YEAR | Action.SHIFT:
                return self._moment(meaning, text)
            case Action.AGE:
                return dates.age(text) or _GONE
            case Action.ZIP3:
                return places.zip3(text, self.profile.sparse) or _GONE
            case Action.HASH:
                return self.codes.of(fields.SPACES.get(meaning, RECORD), text)
            case Action.SCRUB:
                return self._scrubbed(text)
        if fields.MOMENT.fullmatch(text) and len(text) > 4:
            return self._moment(Meaning.DATE, text)
        return text if meaning in fields.PLACES else self._scrubbed(text)

    def _moment(self, meaning: Meaning, text: str) -> Any:
        oldest = self.profile.oldest
        match self._action(meaning):
            case Action.YEAR:
                year = dates.year(text, oldest)
                return _GONE if year in (None, dates.OLD) else year
            case Action.SHIFT:
                if self.days is None or (meaning is Meaning.BIRTH and dates.year(text, oldest) == dates.OLD):
                    return _GONE
                return dates.shifted(text, self.days) or _GONE
        return text

    def _number(self, meaning: Meaning | None, value: int | float) -> Any:
        if meaning is Meaning.AGE:
            return min(value, OVER) if self._action(meaning) is Action.AGE else value
        if meaning in DATED and 1_500 <= value < 2_200:
            found = self._moment(Meaning.DATE, str(value))
            return int(found) if found is not _GONE else _GONE
        if meaning is None or meaning in HARMLESS or meaning is Meaning.TEXT:
            whole = isinstance(value, int) or value.is_integer()
            long = whole and abs(value) >= (1_000_000 if meaning is None else 100_000_000)
            return _GONE if (self.strict and long) or (whole and self._is_known(str(value))) else value
        wanted = self._action(meaning)
        if wanted is Action.KEEP:
            return value
        return self.codes.of(fields.SPACES.get(meaning, RECORD), str(value)) if wanted is Action.HASH else _GONE

    def _is_known(self, text: str) -> bool:
        """Is a number one that the document says of somebody elsewhere?"""
        return text.strip().lstrip("0") in self.known.forms

    def inside(self, text: str) -> Any:
        """What becomes of a message or a document that a text holds; None where it holds none."""
        start = text.lstrip("\ufeff \t\r\n\x0b")
        if start.startswith("MSH"):
            try:
                message = Message.parse(start.encode("utf-8", "replace"), charset="UNICODE UTF-8")
            except FormatError:
                return None
            return bytes(self.ways.messages.message(message)).decode("utf-8", "replace")
        if start[:1] in ("{", "["):
            try:
                found = self.value("", json.loads(start), 0)
            except (ValueError, RecursionError):
                return None
            return _GONE if found is _GONE else json.dumps(found, ensure_ascii=False)
        return None

    def _scrubbed(self, text: str, *, sure: bool = False) -> str:
        return self.ways.scrubber.text(telemetry.mask(text), self.known, sure=sure)

    def _action(self, meaning: Meaning) -> Action:
        return action(self.profile, meaning)
