"""The benchmark's message: an ADT^A01 of 0.8 KB, the same in every run but for its identity.

MSH-10 is `RUN.SENDER-SEQUENCE` and MSH-13 the sequence number, so that a partner can prove, for each sender,
that nothing was lost, doubled or overtaken.
"""

from __future__ import annotations

START = b"\x0b"
END = b"\x1c\r"

_HEAD = b"\x0bMSH|^~\\&|LOADGEN|GENERAL|HUB|HILUM|20260214083015+0100||ADT^A01^ADT_A01|"
_TAIL = b"\r".join(
    [
        b"||||DEU|UNICODE UTF-8",
        b"EVN|A01|20260214083010+0100|||OP114^Weber^Anna^^^^^^GENERAL^L",
        b"PID|1||70014432^^^GENERAL^MR~1987041233^^^NATIONAL^NI||Sommer^Katharina^Maria^^Dr.^^L||19870412|F|||"
        b"Lindenweg 7^^Musterstadt^BY^80331^DEU^H||^PRN^PH^^49^89^5550142~^NET^Internet^k.sommer@example.com|"
        b"|DE|M|RC|V2026-004417^^^GENERAL^VN",
        b"NK1|1|Sommer^Johannes^^^^^L|SPO^Spouse^HL70063|"
        b"Lindenweg 7^^Musterstadt^BY^80331^DEU^H|^PRN^PH^^49^89^5550143",
        b"PV1|1|I|MED2^214^1^GENERAL^^^^MAIN|E|||D0442^Brandt^Michael^^^Dr.^^^GENERAL^L|"
        b"D0117^Keller^Sabine^^^Dr.|||||7|A0||D0442^Brandt^Michael^^^Dr.|IN|V2026-004417^^^GENERAL^VN"
        b"|||||||||||||||||||||||||20260214082500+0100",
        b"AL1|1|DA|70618^Penicillin^RXNORM|SV|Anaphylaxis|20110503",
        b"DG1|1||J18.9^Pneumonia, unspecified^I10|||A",
        b"\x1c\r",
    ]
)


def frame(control_id: bytes, sequence: int) -> bytes:
    """One MLLP frame with this MSH-10 and MSH-13."""
    return b"%b%b|P|2.5.1|%d%b" % (_HEAD, control_id, sequence, _TAIL)


def acknowledgement(control_id: bytes) -> bytes:
    """An MLLP frame that accepts (MSA-1 AA) the message with this MSH-10."""
    return b"\x0bMSH|^~\\&|HUB|HILUM|LOADGEN|GENERAL|20260214083015||ACK^A01^ACK|A%b|P|2.5.1\rMSA|AA|%b\r\x1c\r" % (
        control_id,
        control_id,
    )
