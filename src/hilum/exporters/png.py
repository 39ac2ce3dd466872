"""PNG: a chart of the data set, of the rows by a variable or of a number's sum or mean; two pixels a point."""

from __future__ import annotations

from hilum.formats.report import charts
from hilum.formats.report.document import Chart
from hilum.sdk.charts import ChartExporter


class PngExporter(ChartExporter):
    names = ("png",)
    suffix = ".png"
    media_type = "image/png"

    def draw(self, chart: Chart) -> bytes:
        return charts.png(chart, self.config.width)


exporter = PngExporter
