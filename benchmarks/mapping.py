"""What a mapping of ten rules costs: on a JSON of 2 KB, from HL7 v2 to JSON and back, and on HL7 v2 itself.

Run it with `python benchmarks/mapping.py`; JSONPath and FHIRPath libraries are measured too where they are installed.
"""

from __future__ import annotations

import importlib
import json
import time
from collections.abc import Callable
from typing import Any

from hilum.formats import fhirpath, jsonpath
from hilum.sdk import config
from hilum.sdk.contracts import StepContext, Work
from hilum.steps.map import Map

ROUNDS = 300
CALLS = 10
ADT = (
    b"MSH|^~\\&|HIS|H|LAB|L|20240701120000||ADT^A01|7|P|2.5\rPID|1||4711^^^MRN~0815^^^NHS||Doe^Jane||19700101|F\r"
    b"PV1|1|I|3W^312\r"
)
ORDER: dict[str, Any] = {
    "resourceType": "ServiceRequest",
    "id": "o-1",
    "status": "active",
    "priority": "urgent",
    "subject": {"reference": "Patient/4711", "display": "Doe, Jane"},
    "birthDate": "1970-01-01",
    "name": [{"use": "official", "family": "Doe", "given": ["Jane", "Quinn"]}],
    "note": "The specimen was taken while the patient was fasting. " * 6,
    "items": [
        {"code": f"C{number}", "display": f"a test with the number {number}", "value": number * 1.5, "unit": "mmol/L"}
        for number in range(16)
    ],
}
TEN_JSON = {
    "copy": {"$.patient.name": "$.subject.display"},
    "set": {"$.meta.source": "hilum", "$.status": "completed", "$.checked": True},
    "compute": {
        "$.patient.id": "substring($.subject.reference, 9)",
        "$.patient.family": "upper($.name[0].family)",
        "$.patient.born": "date_format(replace($.birthDate, '-', ''), 'dd.MM.yyyy')",
        "$.urgent": "$.priority == 'urgent'",
        "$.number": "pad_left($.patient.id, 8, '0')",
    },
    "default": {"$.lang": "en"},
}
TEN_HL7 = {
    "copy": {"PID-18": "PID-3"},
    "set": {"MSH-5": "HUB", "PV1-10": "MED", "PID-15": "EN"},
    "compute": {
        "PID-2": "substring(PID-3.1, 2)",
        "PID-5.1": "upper(PID-5.1)",
        "PID-7": "date_format(PID-7, 'yyyyMM')",
        "PV1-4": "'U' if PV1-2 == 'I' else 'R'",
        "PID-4": "pad_left(PID-3.1, 8, '0')",
    },
    "default": {"PV1-14": "1"},
}
TO_JSON = {
    "to": "json",
    "copy": {"$.id": "PID-3.1", "$.sex": "PID-8"},
    "set": {"$.resourceType": "Patient", "$.active": True},
    "compute": {
        "$.name[0].family": "PID-5.1",
        "$.name[0].given[0]": "PID-5.2",
        "$.birthDate": "date_format(PID-7, 'iso')",
        "$.ids": "PID-3[*].1",
        "$.inpatient": "PV1-2 == 'I'",
    },
    "default": {"$.lang": "en"},
}
PATHS = ["$.name[0].family", "$.items[*].code", "$.items[?@.code=='C7'].value"]
FHIR_PATHS = ["ServiceRequest.status", "name.where(use='official').given.first()", "items.where(code='C7').value"]


def microseconds(work: Callable[[], object]) -> float:
    """Of one call, the best of several rounds."""
    best = float("inf")
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        for _ in range(CALLS):
            work()
        best = min(best, (time.perf_counter() - begun) / CALLS)
    return best * 1e6


def mapping(values: dict[str, Any], body: bytes, form: str) -> Callable[[], object]:
    """A compiled step, run on a message of its own and written out."""
    step = Map(config.read(Map.Config, values, "map"), StepContext("UTC", "map", str, format=form))

    def run() -> bytes:
        work = Work(body, form)
        step.run(work)
        return work.body

    return run


def main() -> None:
    body = json.dumps(ORDER, separators=(",", ":")).encode()
    print(f"{'ten rules':<32} {'bytes':>6} {'us':>9}")
    for title, values, given, form in (
        ("JSON", TEN_JSON, body, "json"),
        ("JSON, read and written alone", {}, body, "json"),
        ("HL7 v2", TEN_HL7, ADT, "hl7v2"),
        ("HL7 v2 to JSON", TO_JSON, ADT, "hl7v2"),
    ):
        print(f"{title:<32} {len(given):>6} {microseconds(mapping(values, given, form)):>9.1f}")
    print(f"\n{'path':<44} {'by':<18} {'us':>9}")
    for path in PATHS:
        query = jsonpath.parse(path)
        shown(path, "hilum", lambda query=query: query.values([ORDER]))
        peer(path, "jsonpath", lambda library, path=path: (library.compile(path).findall, (ORDER,)))
        peer(path, "jsonpath_rfc9535", lambda library, path=path: (library.compile(path).find, (ORDER,)))
    for path in FHIR_PATHS:
        compiled = fhirpath.parse(path)
        shown(path, "hilum", lambda compiled=compiled: compiled(ORDER, ORDER))
        peer(path, "fhirpathpy", lambda library, path=path: (library.compile(path), (ORDER, {})))


def shown(path: str, name: str, work: Callable[[], object]) -> None:
    print(f"{path:<44} {name:<18} {microseconds(work):>9.1f}")


def peer(path: str, name: str, ready: Callable[[Any], tuple[Callable[..., object], tuple[object, ...]]]) -> None:
    """A library that may not be here."""
    try:
        call, arguments = ready(importlib.import_module(name))
    except ImportError:
        return
    shown(path, name, lambda: call(*arguments))


if __name__ == "__main__":
    main()
