"""Two recorded runs over each other."""

from __future__ import annotations

import numpy as np
from PyQt6.QtWidgets import QLabel, QVBoxLayout, QWidget

from gui.models import RunModel
from gui.plots.base import DASH, Line, PlotView, reach
from gui.theme import DARK, LIGHT
from labctl.record import Run

_PLOTS = (("accuracy", "accuracy"), ("excess", "excess noise (SNU)"))


class ComparePlot(PlotView):
    """One column of both run files."""

    def __init__(self, column: str, axis: str, runs: tuple[Run, Run]) -> None:
        super().__init__(axis.partition(" (")[0].capitalize(), "Two runs over each other", "images", axis)
        self._column = column
        self._runs = runs
        for run, line in zip(runs, (Line("measured", width=2), Line("second", DASH, 2)), strict=True):
            values = run.images[column]
            self.curve(run.path.name, line).setData(np.arange(1.0, len(values) + 1), values)
        longest = max(len(run.images[column]) for run in runs)
        self.fit(reach(longest, longest), *(run.images[column] for run in runs))

    def show_run(self, model: RunModel) -> None:
        """The runs are those given: nothing changes."""

    def text(self, model: RunModel) -> str:
        """Last values."""
        return "; ".join(_last(run, self._column) for run in self._runs)


class OverlayWindow(QWidget):
    """A window of its own: accuracy above, residual noise below."""

    def __init__(self, one: Run, other: Run) -> None:
        super().__init__()
        self.setWindowTitle(f"labctl: {one.path.name} and {other.path.name}")
        layout = QVBoxLayout(self)
        self.plots = [ComparePlot(column, axis, (one, other)) for column, axis in _PLOTS]
        dark = self.palette().window().color().lightness() < 128
        for plot in self.plots:
            plot.use_theme(DARK if dark else LIGHT)
            plot.setAccessibleDescription(plot.text(RunModel()))
            layout.addWidget(plot, 1)
        self.words = QLabel("\n".join(plot.text(RunModel()) for plot in self.plots))
        layout.addWidget(self.words)
        self.resize(900, 700)


def _last(run: Run, column: str) -> str:
    values = run.images[column]
    last = f"{values[-1]:.4g}" if len(values) else "none"
    return f"{run.path.name}: {column} {last} after {len(values)} images"
