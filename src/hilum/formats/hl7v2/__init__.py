"""HL7 v2: messages in the encoding of bars and hats, read and written without losing a byte."""

from __future__ import annotations

from hilum.formats.hl7v2.ack import AckError
from hilum.formats.hl7v2.batch import Batch
from hilum.formats.hl7v2.delimiters import Delimiters
from hilum.formats.hl7v2.escape import NULL, Null
from hilum.formats.hl7v2.issues import Issue
from hilum.formats.hl7v2.message import Message
from hilum.formats.hl7v2.path import Path
from hilum.formats.hl7v2.segment import Segment

__all__ = ["NULL", "AckError", "Batch", "Delimiters", "Issue", "Message", "Null", "Path", "Segment"]
