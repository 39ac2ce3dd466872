"""How fast a million laboratory results of 20 variables become Dataset-JSON, and are read again, in how much memory.

Run it with `python benchmarks/dataset_json.py [ROWS] [ndjson|json|dsjc]`. The budget is 6 s for a million rows as
ndjson on the reference machine; beside it stands what json.dumps needs for the same rows, and orjson where it is there.
Writing, reading and each bare dump have a process of their own, whose greatest memory is told.
"""

from __future__ import annotations

import datetime
import importlib.util
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from hilum.exporters.cdisc_dataset_json import DatasetJsonExporter, Options
from hilum.formats.dataset_json import Form
from hilum.importers.dataset_json import DatasetJsonImporter
from hilum.importers.dataset_json import Options as Reading
from hilum.model.dataset import Dataset, DataType, Variable
from hilum.sdk.tables import BATCH, Export, schema

ROWS = 1_000_000
BUDGET = 6.0  # seconds for ROWS as ndjson
CREATED = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)

Times = np.ndarray[Any, np.dtype[np.float64]]  # on the wall, of the processor

TESTS = [
    ("ALB", "Albumin", "g/L"), ("ALP", "Alkaline Phosphatase", "U/L"), ("ALT", "Alanine Aminotransferase", "U/L"),
    ("BILI", "Bilirubin", "umol/L"), ("CREAT", "Creatinine", "umol/L"), ("GLUC", "Glucose", "mmol/L"),
    ("HGB", "Hemoglobin", "g/L"), ("K", "Potassium", "mmol/L"), ("PLAT", "Platelets", "10^9/L"),
]  # fmt: skip
NUMBERS = {
    "LBSEQ": DataType.INTEGER, "LBDY": DataType.INTEGER, "LBSTRESN": DataType.FLOAT, "VISITNUM": DataType.FLOAT,
    "ADT": DataType.DATE,
}  # fmt: skip
NAMES = (
    "STUDYID", "DOMAIN", "USUBJID", "LBSEQ", "LBTESTCD", "LBTEST", "LBCAT", "LBORRES", "LBORRESU", "LBORNRLO",
    "LBORNRHI", "LBSTRESC", "LBSTRESN", "LBSTRESU", "LBNRIND", "VISITNUM", "VISIT", "LBDTC", "ADT", "LBDY",
)  # fmt: skip
LB = Dataset(
    "LB",
    tuple(
        Variable(name, NUMBERS.get(name, DataType.STRING), target=DataType.INTEGER if name == "ADT" else None)
        for name in NAMES
    ),
    "Laboratory Test Results",
)


def batches(rows: int) -> Iterator[pa.RecordBatch]:
    """The same results every time."""
    for number, start in enumerate(range(0, rows, BATCH)):
        yield batch(np.random.default_rng(number), min(BATCH, rows - start), start)


def batch(chance: np.random.Generator, count: int, start: int) -> pa.RecordBatch:
    """Results of subjects, as text and number; one in twenty is missing."""
    tests = chance.integers(0, len(TESTS), count)
    result = np.round(chance.gamma(8, 6, count), 2)
    absent = chance.random(count) < 0.05
    day = chance.integers(-14, 365, count)
    visit = chance.integers(1, 14, count)
    text = pa.array(result, mask=absent).cast(pa.string())
    dates = pa.array((day + 19_000).astype(np.int32), pa.date32()).cast(pa.string())
    columns = {
        "STUDYID": ["CDISCPILOT01"] * count,
        "DOMAIN": ["LB"] * count,
        "USUBJID": [
            f"CDISCPILOT01-{701 + one // 90_000}-{one // 90 % 1_000:04}" for one in range(start, start + count)
        ],
        "LBSEQ": np.arange(start, start + count) % 90 + 1,
        "LBCAT": ["CHEMISTRY"] * count,
        "LBORNRLO": ["10"] * count,
        "LBORNRHI": ["75.5"] * count,
        "LBNRIND": np.where(result > 75.5, "HIGH", np.where(result < 10, "LOW", "NORMAL")).tolist(),
        "LBORRES": text,
        "LBSTRESC": text,
        "LBSTRESN": pa.array(result, mask=absent),
        "VISITNUM": visit.astype(float),
        "VISIT": [f"WEEK {one * 2}" for one in visit.tolist()],
        "LBDTC": dates,
        "ADT": (day + 19_000 + 3_653).astype(float),
        "LBDY": day,
        **{
            name: pa.array([one[place] for one in TESTS]).take(pa.array(tests))
            for name, place in (("LBTESTCD", 0), ("LBTEST", 1), ("LBORRESU", 2), ("LBSTRESU", 2))
        },
    }
    wanted = schema(LB)
    return pa.RecordBatch.from_arrays([pa.array(columns[one.name], one.type) for one in wanted], schema=wanted)


def now() -> Times:
    """Seconds on the wall and of the processor; the difference of two is what lay between."""
    return np.array([time.perf_counter(), time.process_time()])


def write(rows: int, form: str, folder: Path) -> Times:
    """What the exporter needs."""
    export = Export(lambda name: (folder / name).open("wb"), rows, CREATED)
    begun = now()
    exporter = DatasetJsonExporter(Options(form=Form(form)), LB, export)
    taken = now() - begun
    for one in batches(rows):
        begun = now()
        exporter.write(one)
        taken += now() - begun
    begun = now()
    exporter.close()
    return taken + now() - begun


def read(rows: int, form: str, folder: Path) -> Times:
    """What the importer needs for all batches."""
    begun = now()
    (table,) = DatasetJsonImporter(Reading()).tables(folder / f"lb.{form}")
    found = sum(one.num_rows for one in table.batches)
    if found != rows:
        raise SystemExit(f"{found} rows were read of {rows}")
    return now() - begun


def bare(rows: int, dumps: Callable[[Any], str | bytes]) -> Times:
    """What it takes to make each row a text, where the rows are lists of Python's already."""
    taken = np.zeros(2)
    for one in batches(rows):
        ready = [list(cells) for cells in zip(*(column.to_pylist() for column in one.columns), strict=True)]
        begun = now()
        for row in ready:
            dumps(row)
        taken += now() - begun
    return taken


def part(name: str, rows: int, form: str, folder: Path) -> Times:
    """One part."""
    if name == "write":
        return write(rows, form, folder)
    if name == "read":
        return read(rows, form, folder)
    return bare(rows, json.dumps if name == "json" else importlib.import_module(name).dumps)


def alone(name: str, rows: int, form: str, folder: Path) -> float:
    """One part in a process of its own: prints what it took, and gives its seconds of the processor."""
    command = [sys.executable, __file__, str(rows), form, name, str(folder)]
    wall, cpu, peak = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split()
    print(f"{name:8} {float(wall):6.2f} s {float(cpu):6.2f} s CPU {int(peak):5} MB", flush=True)
    return float(cpu)


def main() -> None:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else ROWS
    form = sys.argv[2] if len(sys.argv) > 2 else "ndjson"
    if len(sys.argv) > 3:
        wall, cpu = part(sys.argv[3], rows, form, Path(sys.argv[4])).tolist()
        print(wall, cpu, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
        return
    print(f"{rows:,} rows x {len(NAMES)} variables as {form}; the budget is {BUDGET * rows / ROWS:.1f} s to write")
    with tempfile.TemporaryDirectory() as folder:
        written = alone("write", rows, form, Path(folder))
        print(f"         {(Path(folder) / f'lb.{form}').stat().st_size / 1e6:.0f} MB of file")
        alone("read", rows, form, Path(folder))
        for name in ("json", "orjson"):
            if importlib.util.find_spec(name):
                bare_one = alone(name, rows, form, Path(folder))
                print(f"         writing takes {written / bare_one:.2f} of {name}.dumps, by CPU")


if __name__ == "__main__":
    main()
