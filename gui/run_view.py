"""A recorded run as two plots and a text: accuracy and residual noise, image by image."""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PyQt6.QtCore import Qt
from PyQt6.QtWidgets import QLabel, QVBoxLayout, QWidget

from labctl.events import AdversaryResult
from labctl.record import Run

# Okabe-Ito colours: told apart by everybody.
BLUE, ORANGE, GREEN, SKY = "#0072B2", "#D55E00", "#009E73", "#56B4E9"
PAPER, INK = "white", "black"


def text_summary(run: Run) -> str:
    """What the plots show, in words."""
    if run.finished is None:
        return f"{run.started.name}: no end recorded, {len(run.images['index'])} images so far"
    finished = run.finished
    parts = [f"{run.started.name}: {finished.images} images, {finished.status}"]
    if finished.accuracy is not None:
        accuracy = finished.accuracy
        parts.append(
            f"accuracy {accuracy.value:.4f} ({accuracy.low:.4f} to {accuracy.high:.4f}),"
            f" without optical noise {run.started.clean_accuracy:.4f}"
        )
    if finished.pooled is not None:
        excess = finished.pooled.excess
        parts.append(f"excess noise {excess.value:.5f} SNU, of an honest client {finished.pooled.expected:.5f}")
    parts += _dishonest(finished.adversary)
    if finished.verdict is not None:
        parts.append(f"verdict: {finished.verdict}")
    return "; ".join(parts)


def _dishonest(found: AdversaryResult | None) -> list[str]:
    parts = []
    if found is not None and found.attack is not None:
        attack = found.attack
        how = "measured" if attack.measured else "by formula"
        parts.append(
            f"attack {attack.name} of strength {attack.strength:g} told {attack.bits_per_mode:.4g} bits per mode, {how}"
        )
    if found is not None and found.recovery is not None:
        parts.append(f"data recovered with an overlap of {found.recovery.overlap:.3f}")
    return parts


class RunView(QWidget):
    """Reads everything it shows from one :class:`~labctl.record.Run`; nothing is computed anew."""

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.setWindowTitle(f"labctl: {run.path.name}")
        self.accuracy = _plot("Accuracy so far", "accuracy", "", -30)
        self.noise = _plot("Residual noise so far", "excess noise", "SNU", 10)
        layout = QVBoxLayout(self)
        if run.started.simulated:
            layout.addWidget(_banner())
        layout.addWidget(self.accuracy)
        layout.addWidget(self.noise)
        self.summary = QLabel(text_summary(run))
        self.summary.setWordWrap(True)
        self.summary.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.summary.setAccessibleName("Summary of the run")
        layout.addWidget(self.summary)
        self._fill(run)

    def _fill(self, run: Run) -> None:
        images = run.images
        number = np.arange(1, len(images["index"]) + 1, dtype=np.float64)
        _band(self.accuracy, number, images["accuracy_low"], images["accuracy_high"])
        _line(self.accuracy, number, images["accuracy"], "so far", BLUE)
        clean = np.full(len(number), run.started.clean_accuracy)
        _line(self.accuracy, number, clean, "without optical noise", GREEN, Qt.PenStyle.DashLine)
        _band(self.noise, number, images["excess_low"], images["excess_high"])
        _line(self.noise, number, images["excess"], "measured", BLUE)
        _line(self.noise, number, images["expected"], "honest client", GREEN, Qt.PenStyle.DashLine)
        _line(self.noise, number, images["threshold"], "alarm", ORANGE, Qt.PenStyle.DotLine)
        for plot in (self.accuracy, self.noise):
            plot.setAccessibleDescription(text_summary(run))


def _banner() -> QLabel:
    banner = QLabel("◆ SIMULATED: no laser, generator or detector was connected")
    banner.setStyleSheet(f"background: {SKY}; color: black; padding: 4px; font-weight: bold;")
    banner.setAccessibleName("Simulated run")
    return banner


def _plot(title: str, axis: str, unit: str, legend_y: int) -> pg.PlotWidget:
    """``legend_y``: of the legend, from the top when positive, from the bottom when negative."""
    plot = pg.PlotWidget(background=PAPER)
    plot.setTitle(title, color=INK)
    plot.setAccessibleName(title)
    plot.setLabel("bottom", "images")
    plot.setLabel("left", f"{axis} ({unit})" if unit else axis)
    for side in ("bottom", "left"):
        axis_item = plot.getAxis(side)
        axis_item.enableAutoSIPrefix(False)
        axis_item.setPen(INK)
        axis_item.setTextPen(INK)
    plot.showGrid(x=True, y=True, alpha=0.2)
    plot.addLegend(offset=(-10, legend_y), labelTextColor=INK)
    return plot


def _line(
    plot: pg.PlotWidget,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    name: str,
    colour: str,
    style: Qt.PenStyle = Qt.PenStyle.SolidLine,
) -> None:
    plot.plot(x, y, name=name, pen=pg.mkPen(colour, width=2, style=style))


def _band(plot: pg.PlotWidget, x: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]) -> None:
    edges = [pg.PlotDataItem(x, edge, pen=pg.mkPen(None)) for edge in (low, high)]
    for edge in edges:
        plot.addItem(edge)
    plot.addItem(pg.FillBetweenItem(*edges, brush=pg.mkBrush(0, 114, 178, 60)))
