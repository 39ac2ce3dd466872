"""What exporters of charts share: a data set counted into one picture."""

from __future__ import annotations

import abc
from typing import Literal

import pyarrow as pa
from pydantic import Field

from hilum.formats.report import charts, fonts
from hilum.formats.report.document import Chart, ChartKind
from hilum.formats.report.tally import Choice, Tally
from hilum.model.dataset import Dataset
from hilum.sdk.config import Config
from hilum.sdk.tables import Export, Exporter


class ChartOptions(Config):
    """What the chart shows. Without `x`: rows by the first variable with few different values, else of a number."""

    x: str | None = Field(None, description="The variable along the axis: texts, dates, or numbers in steps.")
    y: str | None = Field(None, description="The number whose sum or mean is shown; without it rows are counted.")
    series: str | None = Field(None, description="The variable whose values become series of their own.")
    measure: Literal["count", "sum", "mean"] | None = Field(
        None, description="count of rows, or sum or mean of y; without it the mean where there is a y, else the count."
    )
    kind: Literal["bar", "column", "line", "stacked", "heat"] | None = Field(
        None, description="How it is drawn; without it as suits the variable x."
    )
    title: str = Field("", max_length=200, description="Above the chart; without it what is counted by what.")
    width: int = Field(640, ge=200, le=2_000, description="Points across.")


class ChartExporter(Exporter[ChartOptions], abc.ABC):
    """Counts every row and draws at the end."""

    Config = ChartOptions

    def __init__(self, config: ChartOptions, dataset: Dataset, export: Export) -> None:
        super().__init__(config, dataset, export)
        charts.library()  # what is missing is said before the rows are read
        fonts.faces()
        if config.x is None:
            self._tally: Tally | Choice = Choice(dataset)
        else:
            measure = config.measure or ("mean" if config.y else "count")
            self._tally = Tally(dataset, config.x, config.y, config.series, measure)

    @abc.abstractmethod
    def draw(self, chart: Chart) -> bytes:
        """The chart in this format."""

    def write(self, batch: pa.RecordBatch) -> None:
        self._tally.add(batch)

    def close(self) -> None:
        kind = None if self.config.kind is None else ChartKind(self.config.kind)
        with self.export.open(f"{self.dataset.name}{self.suffix}") as file:
            file.write(self.draw(self._tally.chart(kind, self.config.title)))
