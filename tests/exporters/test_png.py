"""PNG: the chart of SVG as pixels."""

from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image

from hilum.exporters import png
from hilum.exporters.png import PngExporter
from hilum.sdk.testing.exporter import ExporterSuite


class TestPng(ExporterSuite):
    module = png
    options = ({}, {"x": "SIZE", "width": 300})


@pytest.mark.ledger_part("S1-27", "a data set as a picture")
def test_there_are_two_pixels_a_point(write: Any, every: Any) -> None:
    image = Image.open(io.BytesIO(write(PngExporter, *every, x="TEXT", width=400)))
    assert image.size[0] == 800
    colours = image.convert("RGB").getcolors(1 << 20)
    assert colours is not None
    assert (11, 79, 108) in {colour for _, colour in colours}
