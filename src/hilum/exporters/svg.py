"""SVG: a chart of the data set, of the rows by a variable or of a number's sum or mean.

Its texts are texts; they are set in Libertinus Serif where that is installed.
"""

from __future__ import annotations

from hilum.formats.report import charts
from hilum.formats.report.document import Chart
from hilum.sdk.charts import ChartExporter


class SvgExporter(ChartExporter):
    names = ("svg",)
    suffix = ".svg"
    media_type = "image/svg+xml"

    def draw(self, chart: Chart) -> bytes:
        return charts.svg(chart, self.config.width).encode()


exporter = SvgExporter
