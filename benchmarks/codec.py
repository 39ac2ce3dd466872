"""How fast the HL7 v2 codec parses, reads five fields, sets one and writes, beside plain bytes.split.

Run it with `python benchmarks/codec.py`; python-hl7 is measured too where it is installed.
"""

from __future__ import annotations

import base64
import importlib
import time
from collections.abc import Callable

from hilum.formats import mllp
from hilum.formats.hl7v2 import Message

SECONDS = 0.5
ROUNDS = 100


class Plain:
    """The least that does the work: split on CR, split a touched segment once, join on the way out.

    Fixed delimiters but for the field separator, UTF-8, no escapes, no line end but CR, no NULL, no issues.
    """

    __slots__ = ("component", "fields", "lines", "places", "repetition", "separator", "subcomponent")

    def __init__(self, data: bytes) -> None:
        if not data.startswith(b"MSH"):
            raise ValueError("no MSH")
        self.separator = data[3:4]
        self.component = data[4:5]
        self.repetition = data[5:6]
        self.subcomponent = data[7:8]
        self.lines = data.split(b"\r")
        self.fields: dict[int, list[bytes]] = {}
        self.places: dict[bytes, int] = {}

    def segment(self, name: bytes) -> int | None:
        number = self.places.get(name)
        if number is None:
            head = name + self.separator
            for number, line in enumerate(self.lines):
                if line.startswith(head):
                    self.places[name] = number
                    self.fields[number] = line.split(self.separator)
                    return number
            return None
        return number

    def get(self, name: bytes, field: int, component: int = 1, repetition: int = 1) -> str | None:
        number = self.segment(name)
        if number is None:
            return None
        fields = self.fields[number]
        if name == b"MSH":
            field -= 1
        if field >= len(fields):
            return None
        repetitions = fields[field].split(self.repetition)
        if repetition > len(repetitions):
            return None
        components = repetitions[repetition - 1].split(self.component)
        if component > len(components):
            return None
        return components[component - 1].decode()

    def set(self, name: bytes, field: int, value: str) -> None:
        number = self.segment(name)
        if number is None:
            raise KeyError(name)
        fields = self.fields[number]
        if name == b"MSH":
            field -= 1
        fields += [b""] * (field + 1 - len(fields))
        fields[field] = value.encode()
        self.lines[number] = self.separator.join(fields)

    def __bytes__(self) -> bytes:
        return b"\r".join(self.lines)


def adt() -> bytes:
    """An ADT^A01 of about 1 KB."""
    return b"\r".join(
        (
            b"MSH|^~\\&|REGISTRY|NORTH WING|LAB|CENTRAL|20261122093011||ADT^A01^ADT_A01|N000471|P|2.5.1|||AL|NE",
            b"EVN|A01|20261122093010|||KLERK^AGNES^^^^^^^STAFF|20261122092500",
            b"PID|1||884201^^^NORTH^MR~9912207^^^NATION^NI||OSTROWSKA^MAJA^ELA^^MS^^L||19800214|F||"
            b"2106-3^W^HL70005|14 MILL LANE^FLAT 2^WESTERN^ON^K1A 0B1^CAN^H||^PRN^PH^^1^613^5550142|"
            b"^WPN^PH^^1^613^5550177|EN|M|CHR|VN77123^^^NORTH^VN|123456789|||N|OTTAWA|N|1|CAN||||N",
            b"PD1|||NORTH WING FAMILY PRACTICE^^4471|4455^IVERSEN^PER^^^DR^^^NORTH",
            b"NK1|1|OSTROWSKI^JAN^^^MR|SPO^SPOUSE^HL70063|14 MILL LANE^FLAT 2^WESTERN^ON^K1A 0B1|"
            b"^PRN^PH^^1^613^5550143",
            b"PV1|1|I|3W^312^B^NORTH^^N^^3|U|||4455^IVERSEN^PER^^^DR|7781^BACH^ANNA^^^DR||"
            b"MED||||1|||4455^IVERSEN^PER|IP|VN77123^^^NORTH^VN|INS|||||||||||||||||||NORTH||A|||20261122090000",
            b"PV2|||R07.9^CHEST PAIN^I10|||||20261122|20261125|3",
            b"AL1|1|DA|70618^PENICILLIN^RXNORM|SV|HIVES|20010501",
            b"DG1|1||R07.9^CHEST PAIN, UNSPECIFIED^I10|CHEST PAIN|20261122|A",
            b"IN1|1|PLAN7^STANDARD|5501|NATIONAL HEALTH|PO BOX 77^^WESTERN^ON||||||||||||OSTROWSKA^MAJA|SEL|19800214",
            b"",
        )
    )


def oru(count: int, value: bytes) -> bytes:
    """An ORU^R01 with `count` OBX segments of one value."""
    head = (
        b"MSH|^~\\&|LAB|CENTRAL|WARD|NORTH|20261122101500||ORU^R01^ORU_R01|L88120|P|2.5.1",
        b"PID|1||884201^^^NORTH^MR||OSTROWSKA^MAJA^ELA||19800214|F",
        b"PV1|1|I|3W^312^B",
        b"ORC|RE|O-5512|F-9917||CM",
        b"OBR|1|O-5512|F-9917|58410-2^CBC PANEL^LN|||20261122083000|||||||||4455^IVERSEN^PER||||||20261122101400||HM|F",
    )
    body = (
        b"OBX|%d|NM|718-7^HEMOGLOBIN^LN^HGB^Hemoglobin^L||%s|"
        b"g/dL^grams per decilitre^UCUM|12.0-16.0|N|||F|||20261122083000||"
        b"LAB4^TECHNICIAN^FOUR|||20261122101100||||"
        b"CENTRAL LABORATORY^D^^^^NORTH^XX^^^77|1 MAIN ST^^WESTERN^ON" % (number, value)
        for number in range(1, count + 1)
    )
    return b"\r".join((*head, *body, b""))


def hilum_work(data: bytes, last: str) -> bytes:
    message = Message.parse(data)
    if not (message["MSH-9.1"] and message["MSH-10"] and message["PID-3.1"] and message["PID-5.1"] and message[last]):
        raise ValueError("a field is missing")
    message.set("MSH-5", "XFORMED")
    return bytes(message)


def plain_work(data: bytes, last: str) -> bytes:
    message = Plain(data)
    name, field = last.encode().split(b"-")
    if not (
        message.get(b"MSH", 9)
        and message.get(b"MSH", 10)
        and message.get(b"PID", 3)
        and message.get(b"PID", 5)
        and message.get(name, int(field))
    ):
        raise ValueError("a field is missing")
    message.set(b"MSH", 5, "XFORMED")
    return bytes(message)


def python_hl7_work(data: bytes, last: str) -> bytes:
    message = importlib.import_module("hl7").parse(data.decode())
    name, field = last.split("-")
    for path in (("MSH", 9), ("MSH", 10), ("PID", 3), ("PID", 5), (name, int(field))):
        if not message.extract_field(path[0], 1, path[1], 1, 1, 1):
            raise ValueError("a field is missing")
    message.segment("MSH").assign_field("XFORMED", 5)
    return bytes(str(message), "utf-8")


def rates(works: list[Callable[[], object]]) -> list[float]:
    """Calls a second of each, the best of several rounds that take turns."""
    counts = [1] * len(works)
    best = [0.0] * len(works)
    for _ in range(ROUNDS):
        for number, work in enumerate(works):
            count = counts[number]
            started = time.perf_counter()
            for _ in range(count):
                work()
            seconds = time.perf_counter() - started
            best[number] = max(best[number], count / seconds)
            counts[number] = max(1, int(best[number] * SECONDS / ROUNDS))
    return best


def main() -> None:
    big = oru(1, b"LAB^APPLICATION^PDF^Base64^" + base64.b64encode(bytes(range(256)) * 300))
    messages = {
        "ADT": (adt(), "PV1-2"),
        "ORU, 50 OBX": (oru(50, b"13.4"), "OBX-5"),
        "OBX-5 of 100 KB": (big, "OBX-5"),
    }
    subjects: dict[str, Callable[[bytes, str], bytes]] = {"bytes.split": plain_work, "hilum": hilum_work}
    try:
        importlib.import_module("hl7")
        subjects["python-hl7"] = python_hl7_work
    except ImportError:
        print("python-hl7 is not installed")
    print(f"{'message':<16} {'bytes':>8} {'codec':<12} {'messages/s':>11} {'us':>9} {'ratio':>7}")
    for title, (data, last) in messages.items():
        works = [lambda work=work, data=data, last=last: work(data, last) for work in subjects.values()]
        found = rates(works)
        for subject, rate in zip(subjects, found, strict=True):
            print(f"{title:<16} {len(data):>8} {subject:<12} {rate:>11,.0f} {1e6 / rate:>9.2f} {rate / found[0]:>7.2f}")
    parts(adt())


def parts(data: bytes) -> None:
    """What the single operations of the hot path cost."""
    message = Message.parse(data)
    message["PID-3.1"]
    framed = mllp.frame(data)
    decoder = mllp.Decoder()
    works: dict[str, Callable[[], object]] = {
        "parse": lambda: Message.parse(data),
        "read a field of a split segment": lambda: message["PID-3.1"],
        "header": lambda: message.header,
        "copy": message.copy,
        "acknowledge": lambda: message.ack(control_id="H1", timestamp="20261122093012"),
        "frame": lambda: mllp.frame(data),
        "decode a frame": lambda: decoder.feed(framed),
    }
    print()
    for title, rate in zip(works, rates(list(works.values())), strict=True):
        print(f"{title:<40} {1e6 / rate:>9.2f} us")


if __name__ == "__main__":
    main()
