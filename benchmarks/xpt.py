"""Parquet to SAS transport: a million rows of laboratory results by Hilum and by pyreadstat, time and peak memory.

Run it with `python benchmarks/xpt.py [ROWS]`. Each is a process of its own; `above` is its peak without what its
imports and reading the Parquet file batch by batch take alone. Budget: 3 times pyreadstat's speed, a tenth of its
memory.
"""

from __future__ import annotations

import datetime
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ROWS = 1_000_000
ROUNDS = 3  # that take turns: the best time and the median peak are shown
TESTS = {
    "ALB": "Albumin",
    "ALT": "Alanine Aminotransferase",
    "BILI": "Bilirubin",
    "GLUC": "Glucose",
    "HGB": "Hemoglobin",
}
UNITS = ("g/L", "U/L", "umol/L", "mmol/L", "g/L")
LENGTHS = {
    "STUDYID": 12, "DOMAIN": 2, "USUBJID": 11, "LBTESTCD": 8, "LBTEST": 24, "LBCAT": 10, "LBORRES": 8, "LBORRESU": 6,
    "LBORNRLO": 4, "LBORNRHI": 4, "LBSTRESC": 8, "LBSTRESU": 6, "LBNRIND": 6, "LBDTC": 16,
}  # fmt: skip
NUMBERS = ("LBSEQ", "LBSTRESN", "LBSTNRLO", "LBSTNRHI", "VISITNUM", "LBDY")


def made(rows: int, path: Path) -> None:
    """The same file every time; one result in fifty is missing."""
    chance = np.random.default_rng(20)
    with pq.ParquetWriter(path, _batch(chance, 0, 1).schema) as writer:
        for begin in range(0, rows, 65_536):
            writer.write_batch(_batch(chance, begin, min(65_536, rows - begin)))


def _batch(chance: np.random.Generator, begin: int, rows: int) -> pa.RecordBatch:
    number = np.arange(begin, begin + rows)
    test = number % len(TESTS)
    value = np.round(chance.normal(60.0, 20.0, rows), 2)
    lost = chance.random(rows) < 0.02
    text = pa.array(np.char.mod("%.2f", value), mask=lost)
    day = chance.integers(-14, 200, rows)
    dates = np.datetime_as_string(np.datetime64("2014-01-02T08:30") + day.astype("timedelta64[D]"), unit="m")

    def constant(word: str) -> pa.Array:
        return pa.repeat(pa.scalar(word), rows)

    def chosen(words: list[str], which: np.ndarray) -> pa.Array:  # type: ignore[type-arg]
        return pa.array(words).take(pa.array(which))

    columns = {
        "STUDYID": constant("CDISCPILOT01"), "DOMAIN": constant("LB"),
        "USUBJID": pa.array(np.char.mod("01-701-%04d", number // 200 % 10_000)),
        "LBSEQ": pa.array((number % 200 + 1).astype(np.float64)),
        "LBTESTCD": chosen(list(TESTS), test), "LBTEST": chosen(list(TESTS.values()), test),
        "LBCAT": constant("CHEMISTRY"), "LBORRES": text, "LBORRESU": chosen(list(UNITS), test),
        "LBORNRLO": constant("30"), "LBORNRHI": constant("90"), "LBSTRESC": text,
        "LBSTRESN": pa.array(value, mask=lost), "LBSTRESU": chosen(list(UNITS), test),
        "LBSTNRLO": pa.repeat(pa.scalar(30.0), rows), "LBSTNRHI": pa.repeat(pa.scalar(90.0), rows),
        "LBNRIND": chosen(["LOW", "NORMAL", "HIGH"], np.digitize(value, (30.0, 90.0))),
        "VISITNUM": pa.array((number % 13).astype(np.float64)), "LBDTC": pa.array(dates.astype(str)),
        "LBDY": pa.array(day.astype(np.float64)),
    }  # fmt: skip
    return pa.record_batch(columns)


def by_hilum(parquet: Path, target: Path, write: bool) -> None:
    from hilum.exporters.sas_xpt_v5 import Options, SasXptV5Exporter
    from hilum.model.dataset import Dataset, DataType, Variable
    from hilum.sdk.tables import Export

    with pq.ParquetFile(parquet) as file:
        variables = tuple(
            Variable(name, DataType.DOUBLE if name in NUMBERS else DataType.STRING, length=LENGTHS.get(name))
            for name in file.schema_arrow.names
        )
        created = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
        export = Export(lambda _: target.open("wb"), file.metadata.num_rows, created)
        exporter = SasXptV5Exporter(Options(profile="agency"), Dataset("LB", variables), export)
        for batch in file.iter_batches(65_536):
            if write:
                exporter.write(batch)
        if write:
            exporter.close()


def by_pyreadstat(parquet: Path, target: Path, write: bool) -> None:
    import polars as pl
    import pyreadstat

    if write:
        pyreadstat.write_xport(pl.read_parquet(parquet), target, table_name="LB", file_format_version=5)
    else:
        with pq.ParquetFile(parquet) as file:
            for _ in file.iter_batches(65_536):
                pass


SUBJECTS: dict[str, Callable[[Path, Path, bool], None]] = {"hilum": by_hilum, "pyreadstat": by_pyreadstat}


def child(subject: str, parquet: str, target: str, mode: str) -> None:
    began = time.perf_counter()
    SUBJECTS[subject](Path(parquet), Path(target), mode == "write")
    seconds = time.perf_counter() - began
    status = Path("/proc/self/status").read_text().split()  # not rusage's peak, which begins with the parent's
    print(json.dumps({"seconds": seconds, "peak": int(status[status.index("VmHWM:") + 1]) / 1024}))


def measured(subject: str, parquet: Path, target: Path, mode: str) -> dict[str, float]:
    command = [sys.executable, __file__, subject, str(parquet), str(target), mode]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode:
        raise RuntimeError(f"{subject}: {run.stderr.strip()[-1500:]}")
    found: dict[str, float] = json.loads(run.stdout)
    return found


def main(rows: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        parquet, target = Path(folder) / "lb.parquet", Path(folder) / "lb.xpt"
        made(rows, parquet)
        print(f"{rows:,} rows x {len(LENGTHS) + len(NUMBERS)} columns of Parquet to SAS transport version 5")
        print(f"{'by':<12} {'seconds':>8} {'peak MB':>8} {'reader MB':>10} {'above MB':>9} {'file MB':>8}")
        runs: dict[tuple[str, str], list[dict[str, float]]] = {
            (subject, mode): [] for subject in SUBJECTS for mode in ("read", "write")
        }
        for _ in range(ROUNDS):
            for (subject, mode), figures in runs.items():
                figures.append(measured(subject, parquet, target.with_suffix(f".{subject}"), mode))
        found = {}
        for subject in SUBJECTS:
            seconds = min(one["seconds"] for one in runs[subject, "write"])
            peak, alone = (median(one["peak"] for one in runs[subject, mode]) for mode in ("write", "read"))
            found[subject] = (seconds, peak - alone)
            size = target.with_suffix(f".{subject}").stat().st_size / 1e6
            print(f"{subject:<12} {seconds:>8.2f} {peak:>8.0f} {alone:>10.0f} {peak - alone:>9.1f} {size:>8.0f}")
        (ours, above), (theirs, whole) = found["hilum"], found["pyreadstat"]
        print(f"{theirs / ours:.1f} times the speed (budget 3), {above / whole:.3f} of the memory (budget 0.1)")


if __name__ == "__main__":
    if len(sys.argv) == 5:
        child(*sys.argv[1:])
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else ROWS)
