"""How fast tables are exported: Parquet to CSV and to Parquet beside DuckDB's own COPY, rows to XLSX beside XlsxWriter.

Run it with `python benchmarks/tables.py [--rows 10000000]`. Each party is a process of its own, so that its peak memory
is its own; DuckDB has 512 MB to work in and keeps no order. XlsxWriter is measured where it is installed.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.util
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from hilum.exporters.csv import CsvExporter
from hilum.exporters.ndjson import NdjsonExporter
from hilum.exporters.parquet import ParquetExporter
from hilum.exporters.xlsx import XlsxExporter
from hilum.formats import arrow_columns
from hilum.sdk.tables import BATCH, Export, Exporter, schema

LIMIT = "512MB"
MAKE = """
    COPY (
      SELECT 'STUDY01' AS STUDYID, 'LB' AS DOMAIN, printf('01-%03d-%05d', i % 97, i % 5003) AS USUBJID,
        i + 1 AS LBSEQ, ['ALB','ALT','AST','BILI','GLUC'][1 + i % 5] AS LBTESTCD,
        ['Albumin','Alanine Aminotransferase','Aspartate Aminotransferase','Bilirubin','Glucose'][1 + i % 5] AS LBTEST,
        'CHEMISTRY' AS LBCAT, printf('%.2f', (i * 7919 % 10007) / 100.0) AS LBORRES,
        ['g/L','U/L'][1 + i % 2] AS LBORRESU,
        CAST((i * 7919 % 10007) / 100.0 AS DOUBLE) AS LBSTRESN, CASE WHEN i % 11 = 0 THEN 'repeat, "late"' END AS LBCOM,
        10.0::DOUBLE AS LBSTNRLO, 55.5::DOUBLE + i % 3 AS LBSTNRHI, ['NORMAL','HIGH','LOW'][1 + i % 3] AS LBNRIND,
        i % 13 = 0 AS LBBLFL, 1 + i % 9 AS VISITNUM, printf('VISIT %d', 1 + i % 9) AS VISIT,
        strftime(DATE '2014-01-01' + CAST(i % 900 AS INTEGER), '%Y-%m-%d') AS LBDTC, i % 900 AS LBDY,
        CASE WHEN i % 5 > 0 THEN i * 0.37::DOUBLE END AS LBX
      FROM range({rows}) t(i)
    ) TO '{path}' (FORMAT parquet, COMPRESSION zstd)
"""


def exported(kind: type[Exporter[Any]], source: Path, target: Path, rows: int) -> None:
    """Our exporter, fed with the file's batches."""
    file = pq.ParquetFile(source)
    dataset = arrow_columns.dataset(file.schema_arrow, "LB")
    held = schema(dataset)
    created = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    one = kind(kind.Config(), dataset, Export(lambda _: target.open("wb"), rows, created))
    for batch in file.iter_batches(BATCH):
        one.write(batch.cast(held))
    one.close()


def copied(options: str, source: Path, target: Path) -> None:
    """DuckDB's own COPY."""
    base = duckdb.connect(config={"memory_limit": LIMIT, "preserve_insertion_order": False})
    base.execute(f"COPY (FROM '{source}') TO '{target}' ({options})")


def with_xlsxwriter(source: Path, target: Path) -> None:
    xlsxwriter = importlib.import_module("xlsxwriter")
    book = xlsxwriter.Workbook(target, {"constant_memory": True, "strings_to_formulas": False})
    sheet = book.add_worksheet("LB")
    file = pq.ParquetFile(source)
    sheet.write_row(0, 0, file.schema_arrow.names)
    row = 0
    for batch in file.iter_batches(BATCH):
        for values in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            row += 1
            sheet.write_row(row, 0, values)
    book.close()


PARTIES: dict[str, Callable[[Path, Path, int], None]] = {
    "csv: DuckDB COPY": lambda source, target, _: copied("FORMAT csv, HEADER", source, target),
    "csv: hilum": lambda source, target, rows: exported(CsvExporter, source, target, rows),
    "parquet: DuckDB COPY": lambda source, target, _: copied("FORMAT parquet, COMPRESSION zstd", source, target),
    "parquet: hilum": lambda source, target, rows: exported(ParquetExporter, source, target, rows),
    "ndjson: DuckDB COPY": lambda source, target, _: copied("FORMAT json", source, target),
    "ndjson: hilum": lambda source, target, rows: exported(NdjsonExporter, source, target, rows),
    "xlsx: XlsxWriter": lambda source, target, _: with_xlsxwriter(source, target),
    "xlsx: hilum": lambda source, target, rows: exported(XlsxExporter, source, target, rows),
}


def alone(name: str, source: Path, target: Path, rows: int) -> None:
    """One party in this process; its seconds and peak memory on standard output."""
    began = time.perf_counter()
    PARTIES[name](source, target, rows)
    seconds = time.perf_counter() - began
    used = resource.getrusage(resource.RUSAGE_SELF)
    found = {
        "seconds": seconds,
        "cpu": used.ru_utime + used.ru_stime,
        "memory": used.ru_maxrss / 1024,
        "size": target.stat().st_size / 1e6,
    }
    print(json.dumps(found))


def measured(name: str, source: Path, rows: int, rounds: int) -> dict[str, float]:
    """The fastest of some rounds, each in a process of its own."""
    with tempfile.TemporaryDirectory(dir=source.parent) as folder:
        target = Path(folder) / "out"
        command = [sys.executable, __file__, "--party", name, "--source", str(source), "--target", str(target)]
        found = []
        for _ in range(rounds):
            done = subprocess.run([*command, "--rows", str(rows)], check=True, capture_output=True, text=True)
            found.append(json.loads(done.stdout))
    return min(found, key=lambda one: float(one["seconds"]))


def compare(console: Console, args: argparse.Namespace) -> None:
    shown = Table("what", "rows", "seconds", "CPU", "peak MB", "file MB", "times the peer")
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        large, small = Path(folder) / "large.parquet", Path(folder) / "small.parquet"
        for path, rows in ((large, args.rows), (small, args.cells)):
            duckdb.execute(MAKE.format(rows=rows, path=path))
        peer: dict[str, float] = {}
        for name in PARTIES:
            kind, _, who = name.partition(": ")
            source, rows = (small, args.cells) if kind == "xlsx" else (large, args.rows)
            if who == "XlsxWriter" and importlib.util.find_spec("xlsxwriter") is None:
                console.print("[red]XlsxWriter is not installed: XLSX is measured without its peer[/red]")
                continue
            found = measured(name, source, rows, args.rounds)
            ratio = f"{found['seconds'] / peer[kind]:.2f}" if kind in peer else ""
            peer.setdefault(kind, found["seconds"])
            numbers = [f"{found[key]:.{digits}f}" for key, digits in NUMBERS]
            shown.add_row(name, f"{rows:,}", *numbers, ratio)
    console.print(shown)


NUMBERS = (("seconds", 2), ("cpu", 1), ("memory", 0), ("size", 0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=2_000_000, help="of the tables for CSV, Parquet and NDJSON")
    parser.add_argument("--cells", type=int, default=200_000, help="rows of the table for XLSX")
    parser.add_argument("--rounds", type=int, default=2, help="of which the fastest counts")
    parser.add_argument("--folder", type=Path, default=None, help="on the disk to measure")
    parser.add_argument("--party", choices=PARTIES, help=argparse.SUPPRESS)
    parser.add_argument("--source", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--target", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.party:
        alone(args.party, args.source, args.target, args.rows)
    else:
        compare(Console(width=None if sys.stdout.isatty() else 120), args)


if __name__ == "__main__":
    main()
