"""Taking away who somebody is: from tables (`deidentify.tables`), HL7 v2 messages, JSON documents and text.

Of the standard: 45 CFR 164.514(b)(2) (HIPAA Safe Harbor), GDPR Art. 4(5) (pseudonyms). `tables` brings pyarrow and is
imported by whoever needs it.
"""

from __future__ import annotations

from typing import Any

from hilum.formats.deidentify.codes import Codes
from hilum.formats.deidentify.documents import Documents
from hilum.formats.deidentify.meanings import Meaning
from hilum.formats.deidentify.messages import Messages
from hilum.formats.deidentify.profile import Action, Kind, Profile
from hilum.formats.deidentify.scrubber import NOTHING, Known, Scrubber
from hilum.formats.hl7v2 import Message

__all__ = ["Action", "Codes", "Deidentifier", "Kind", "Known", "Meaning", "Profile", "Scrubber"]


class Deidentifier:
    """What is no table, of one export: its messages, documents and texts share their codes, and with tables `codes`."""

    def __init__(self, profile: Profile, codes: Codes | None = None) -> None:
        self.codes = codes or Codes(profile)
        scrubber = Scrubber(profile)
        self._messages = Messages(profile, self.codes, scrubber)
        self._documents = Documents(profile, self.codes, scrubber, self._messages)

    def message(self, message: Message) -> Message:
        """An HL7 v2 message that may leave; the given one stays as it is. Raises FormatError where it is none."""
        return self._messages.message(message)

    def document(self, document: Any) -> Any:
        """A JSON document, a FHIR resource for one; None where nothing of it may leave."""
        return self._documents.document(document)

    def text(self, text: str, known: Known = NOTHING) -> str:
        """A note, a line of a log, or a message or document as text; `known`: what else is known of the person."""
        return self._documents.text(text, known)
