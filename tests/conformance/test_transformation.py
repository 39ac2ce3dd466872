"""The transformation engine as a whole: one route that uses every kind of function, and the sandbox's bounds."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

from hilum.errors import ConfigError
from hilum.model.configuration import Endpoint, Route
from hilum.model.message import Disposition
from hilum.pipeline import Pipeline, compile_route
from hilum.sdk.registry import Registry

URL = "mllp://127.0.0.1:1"
TABLE = "local,loinc\nGLU,14749-6\nHB,718-7\nTEMP,8310-5\n"
MESSAGE = b"""MSH|^~\\&|LAB|WEST|HIS|HUB|20240701083000||ORU^R01|42|P|2.5
PID|1||4711^^^MRN~0815^^^NHS||Doe^Jane||19700131|f
OBR|1||A1
OBX|1|NM|GLU^Glucose||5.5|mmol/L
OBX|2|NM|HB^Haemoglobin||140|g/L
OBR|2||A2
OBX|1|NM|TEMP^Temperature||100.4|[degF]
""".replace(b"\n", b"\r")
STEPS: list[Any] = [
    {"split": {"by": "OBR"}},
    {"lookup": {"path": "OBX[*]-3.1", "into": "OBX[*]-3.4", "file": "loinc.csv"}},
    {"lookup": {"path": "PID-8", "table": {"f": "F", "m": "M"}}},
    {
        "map": {
            "compute": {
                "MSH-7": "to_zone(MSH-7, 'UTC')",
                "PID-7": "date_format(PID-7, 'dd.MM.yyyy')",
                "PID-9": "concat(PID-5.2, ' ', PID-5.1, ' ', $file_name)",
                "OBR-24": "'CH' if OBX[*]-6 == 'mmol/L' else 'OTH'",
            },
            "each": [
                {"in": "OBX[*]", "do": {"set": {"OBX-3.6": "LN", "OBX-11": "F"}}},
                {
                    "in": "OBX[*]",
                    "where": "OBX-3.1 == 'GLU'",
                    "do": {"compute": {"OBX-5": "convert(OBX-5, OBX-6, 'mg/dL', 180.156)", "OBX-6": "'mg/dL'"}},
                },
                {
                    "in": "OBX[*]",
                    "where": "OBX-3.1 == 'HB'",
                    "do": {"compute": {"OBX-5": "convert(OBX-5, OBX-6, 'g/dL')", "OBX-6": "'g/dL'"}},
                },
                {
                    "in": "OBX[*]",
                    "where": "OBX-3.1 == 'TEMP'",
                    "do": {"compute": {"OBX-5": "convert(OBX-5, OBX-6, 'Cel')", "OBX-6": "'Cel'"}},
                },
                {"in": "PID-3[*]", "do": {"compute": {"PID-3.1": "pad_left(PID-3.1, 6, '0') & '-' & $index"}}},
            ],
        }
    },
]
HEAD = """MSH|^~\\&|LAB|WEST|HIS|HUB|20240701063000+0000||ORU^R01|42-{part}|P|2.5
PID|1||004711-1^^^MRN~000815-2^^^NHS||Doe^Jane||31.01.1970|F|Jane Doe in.hl7
"""
CHEMISTRY = """OBR|1||A1|||||||||||||||||||||CH
OBX|1|NM|GLU^Glucose^^14749-6^^LN||99.0858|mg/dL|||||F
OBX|2|NM|HB^Haemoglobin^^718-7^^LN||14|g/dL|||||F
"""
TEMPERATURE = """OBR|2||A2|||||||||||||||||||||OTH
OBX|1|NM|TEMP^Temperature^^8310-5^^LN||38|Cel|||||F
"""

NAMES_OF_THE_OUTSIDE = [
    "open('/etc/passwd')",
    "__import__('os')",
    "eval('1')",
    "exec('1')",
    "print('x')",
    "input()",
    "getattr('a', 'b')",
    "globals()",
    "now()",
    "random()",
    "env('PATH')",
    "fetch('http://127.0.0.1')",
    "PID-5.1.__class__",
    "('a').upper()",
    "$a.b",
    "lambda: 1",
    "[x for x in PID-3[*]]",
]
TOO_MUCH_TO_COMPILE = [
    "'" + "a" * 4_000 + "'",
    "(" * 60 + "1" + ")" * 60,
    "PID-5.1 matches '" + "a" * 501 + "'",
    "PID-5.1 matches '(a{1000}){1000}'",
    "convert(1, 'm', '" + "m" * 101 + "')",
]
TOO_MUCH_TO_RUN = [
    "pad_left('', 200001)",
    "pad_left('', 150000) & pad_left('', 150000)",
    "replace(pad_left('', 100000, 'a'), 'a', 'aaa')",
    "count(split(pad_left('', 20000, ','), ','))",
    "regex_replace(pad_left('', 2000, 'a'), 'a', 'b')",
    "'x' if pad_left('', 100001) matches 'a' else 'y'",
    "9999999999999999999999999999" + " * 9999999999999999999999999999" * 36,
    "convert('1', 'Ym99', 'ym99')",
]
HOSTILE = "'x' if pad_left('', 90000, 'a') & 'b' matches '(a*)*(a+)+' else 'y'"
"""An engine that backtracks would not come to an end; ours is linear, and pytest's time-out would tell."""


def route(steps: list[Any], folder: Path | None = None) -> Pipeline:
    kinds = {name: importlib.import_module(f"hilum.steps.{name}").step for name in ("split", "lookup", "map")}
    return compile_route(
        Route.model_validate({"name": "r", "from": "hub/in", "steps": steps, "to": ["lab/out"]}),
        registry=Registry({}, kinds, {}, {}),
        source=Endpoint(name="in", direction="inbound", url=URL, timezone="Europe/Berlin"),
        source_format="hl7v2",
        destinations={"lab/out": Endpoint(name="out", direction="outbound", url=URL)},
        folder=folder,
    )


def compute(source: str) -> Pipeline:
    return route([{"map": {"compute": {"PID-9": source}}}])


@pytest.mark.ledger("S2-123")
def test_a_route_transforms_within_bounds_and_always_alike(tmp_path: Path) -> None:
    (tmp_path / "loinc.csv").write_text(TABLE, encoding="utf-8")
    pipeline = route(STEPS, tmp_path)
    routed = pipeline.run(MESSAGE, {"file_name": "in.hl7"})
    wanted = [HEAD.format(part=1) + CHEMISTRY, HEAD.format(part=2) + TEMPERATURE]
    assert [output.body.decode().replace("\r", "\n") for output in routed.outputs] == wanted
    assert routed.disposition is Disposition.DELIVERING

    assert pipeline.deterministic
    assert pipeline.run(MESSAGE, {"file_name": "in.hl7"}) == routed
    assert route(STEPS, tmp_path).run(MESSAGE, {"file_name": "in.hl7"}) == routed, "compiled anew as well"

    for source in NAMES_OF_THE_OUTSIDE + TOO_MUCH_TO_COMPILE:
        with pytest.raises(ConfigError, match=r"^routes\[r\]\.steps\[0\]\.map\.compute\.PID-9: "):
            compute(source)
    for source in TOO_MUCH_TO_RUN:
        refused = compute(source).run(MESSAGE)
        assert refused.disposition is Disposition.ERROR, source
        assert refused.reason.startswith("steps[0].map: compute.PID-9: "), source
        assert refused.outputs == ()
    assert b"|y\r" in compute(HOSTILE).run(MESSAGE).outputs[0].body
    turns = b"MSH|^~\\&|A\r" + b"NTE|1\r" * 10_001
    looped = route([{"map": {"each": [{"in": "NTE[*]", "do": {"set": {"NTE-1": "2"}}}]}}]).run(turns)
    assert (looped.disposition, looped.reason) == (
        Disposition.ERROR,
        "steps[0].map: each: more than 10,000 of NTE[*]",
    )
