"""SVG: charts of data sets; what is counted, tests/formats/report/test_tally.py asks."""

from __future__ import annotations

from typing import Any

import pytest
from lxml import etree

from hilum.errors import ConfigError
from hilum.exporters import svg
from hilum.exporters.svg import SvgExporter
from hilum.sdk.testing.exporter import ExporterSuite


class TestSvg(ExporterSuite):
    module = svg
    options = (
        {}, {"x": "COUNT"}, {"x": "ID", "y": "SIZE", "measure": "sum", "kind": "column"},
        {"x": "BEGUN", "series": "OK", "kind": "line", "title": "<Title> & more", "width": 300},
        {"x": "DAY", "kind": "heat"},
    )  # fmt: skip


def texts(data: bytes) -> list[str]:
    return ["".join(one.itertext()) for one in etree.fromstring(data).iter("{http://www.w3.org/2000/svg}text")]


def test_rows_are_counted_over_all_batches(write: Any, every: Any) -> None:
    dataset, batch = every
    data = write(SvgExporter, dataset, batch.slice(0, 2), batch.slice(2), x="YES", title="Yes & no")
    assert {"Yes & no", "rows", "true", "false", "(missing)", "3", "2", "1"} <= set(texts(data))


def test_what_cannot_be_drawn_is_said_before_a_row_is_read(write: Any, every: Any) -> None:
    with pytest.raises(ConfigError, match=r"options\.x: data set ALL has no variable 'NO'"):
        write(SvgExporter, every[0], x="NO")
