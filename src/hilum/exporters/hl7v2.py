"""HL7 v2 batch file of messages received: takes the hub's records `messages` with payload, and nothing else.

FHS, BHS, the messages, BTS, FTS (HL7 v2 chapter 2, "Batch protocol"). Each message is there byte for byte, whatever its
delimiters, line ends or character set; one that does not end with a line end gets a CR. BTS-1 counts the messages,
FTS-1 the one batch. A row without a body, which retention may have removed, and a body that is not one HL7 v2 message
beginning with MSH are refused.
"""

from __future__ import annotations

import base64

import pyarrow as pa
from pydantic import Field

from hilum.errors import FormatError
from hilum.formats.hl7v2.batch import Batch
from hilum.formats.hl7v2.delimiters import RECOMMENDED, Delimiters
from hilum.formats.hl7v2.escape import escape
from hilum.formats.hl7v2.message import Message
from hilum.model.dataset import Dataset, DataType
from hilum.sdk.config import Config
from hilum.sdk.tables import Export, Exporter

_TEXT, _BYTES = "body", "body_base64"
_ENDS = (b"\r", b"\n")
_NAME = r"^[ -~]*$"  # ASCII: the messages may have several character sets, the batch has none


class Options(Config):
    """What the headers of file and batch say."""

    sending_application: str = Field("HILUM", max_length=227, pattern=_NAME, description="FHS-3 and BHS-3.")
    sending_facility: str = Field("", max_length=227, pattern=_NAME, description="FHS-4 and BHS-4.")
    receiving_application: str = Field("", max_length=227, pattern=_NAME, description="FHS-5 and BHS-5.")
    receiving_facility: str = Field("", max_length=227, pattern=_NAME, description="FHS-6 and BHS-6.")
    batch_name: str = Field("", max_length=40, pattern=_NAME, description="FHS-9 and BHS-9; without it the table's.")


class Hl7v2Exporter(Exporter[Options]):
    """Writes one batch."""

    names = ("hl7v2", "hl7-v2")
    suffix = ".hl7"
    media_type = "application/hl7-v2"
    Config = Options

    def __init__(self, config: Options, dataset: Dataset, export: Export) -> None:
        super().__init__(config, dataset, export)
        self._places = [dataset.names.index(name) for name in (_TEXT, _BYTES)]
        self._rows = self._messages = 0
        name = config.batch_name or dataset.name.encode("ascii", "replace").decode()
        about = (
            config.sending_application, config.sending_facility, config.receiving_application,
            config.receiving_facility, f"{export.created:%Y%m%d%H%M%S%z}", "", name,
        )  # fmt: skip
        fields = b"|".join([RECOMMENDED, *(escape(one.encode("ascii"), Delimiters()) for one in about)])
        self._file = export.open(f"{dataset.name}{self.suffix}")
        self._file.write(b"FHS|%b\rBHS|%b\r" % (fields, fields))

    @classmethod
    def unfit(cls, dataset: Dataset) -> str:
        texts = {one.name for one in dataset.variables if one.type is DataType.STRING}
        if {_TEXT, _BYTES} <= texts:
            return ""
        return f"hl7v2 takes the records `messages` with payload: it needs their columns {_TEXT} and {_BYTES}"

    def write(self, batch: pa.RecordBatch) -> None:
        texts, coded = (batch.column(place) for place in self._places)
        for text, code in zip(texts, coded, strict=True):  # scalars: never all bodies at once
            self._rows += 1
            self._put(text.as_py(), code.as_py())

    def close(self) -> None:
        self._file.write(b"BTS|%d\rFTS|1\r" % self._messages)
        self._file.close()

    def _put(self, text: str | None, coded: str | None) -> None:
        body, wrong = _read(text, coded)
        if wrong:
            name, value = (_TEXT, text) if coded is None else (_BYTES, coded)
            self.export.refuse(self._rows, name, value or "", wrong)
            return
        self._file.write(body if body.endswith(_ENDS) else body + b"\r")
        self._messages += 1


def _read(text: str | None, coded: str | None) -> tuple[bytes, str]:
    """A body, and why it cannot stand in a batch; empty where it can."""
    if text is not None:
        body = text.encode()
    elif coded is not None:
        try:
            body = base64.b64decode(coded, validate=True)
        except ValueError:
            return b"", "this is no Base64"
    else:
        return b"", "there is no body: retention may have removed it"
    return body, _wrong(body)


def _wrong(body: bytes) -> str:
    try:
        Message.parse(body)
        if not body.startswith(b"MSH"):
            return "it begins with something else than MSH"
        alone = Batch.parse(body)
    except FormatError as error:
        return f"this is no HL7 v2 message: {error}"
    return "" if len(alone.parts) == 1 else "this is more than one message: a batch cannot hold it as one"


exporter = Hl7v2Exporter
