"""Character sets of MSH-18 (HL7 table 0211) as Python codecs.

Only sets whose characters never contain a delimiter byte are read. GB 18030, BIG-5 and the ISO 2022 sets are
reported as issues: their second bytes can be `|` or `^`, so a message must be split after decoding.
"""

from __future__ import annotations

import re
from functools import lru_cache

ASCII = "ascii"
UTF8 = "utf-8"

_CODECS = {
    "ASCII": ASCII,
    "ISOIR6": ASCII,
    "UNICODEUTF8": UTF8,
    "UTF8": UTF8,
    "KSX1001": "euc_kr",
    "WINDOWS1252": "cp1252",
    "CP1252": "cp1252",
    "LATIN1": "iso8859-1",
    **{f"8859{part}": f"iso8859-{part}" for part in (*range(1, 11), 13, 14, 15, 16)},
    **{f"ISO8859{part}": f"iso8859-{part}" for part in (*range(1, 11), 13, 14, 15, 16)},
}


@lru_cache(maxsize=256)
def codec_of(charset: str) -> str | None:
    """The Python codec for a name of table 0211 (`8859/1`, `UNICODE UTF-8`) or an alias; None if unknown."""
    return _CODECS.get(re.sub(r"[^0-9A-Z]", "", charset.upper()))


def known_codec(charset: str) -> str:
    """`codec_of`, for a name that somebody configured; raises ValueError where it is unknown."""
    codec = codec_of(charset)
    if codec is None:
        raise ValueError(f"{charset!r} is not a character set of HL7 table 0211 that can be read")
    return codec
