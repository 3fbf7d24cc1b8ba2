"""Leakage meters: what is bounded so far, on a logarithmic scale, against its limit."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from PyQt6.QtCore import QRectF, Qt
from PyQt6.QtGui import QColor, QPainter
from PyQt6.QtWidgets import QGridLayout, QLabel

from gui.models import RunModel
from gui.plots.canvas import Canvas
from gui.quantities import number
from gui.theme import Status, Theme
from gui.view import Columns, View
from labctl.summary import DATA_LIMIT, WEIGHTS_LIMIT

#: Ends of the scale, in powers of ten.
LOW, HIGH = -4.0, 2.0


@dataclass(frozen=True)
class Meter:
    """One bound. ``limit``: NaN where there is none; ``whose``: where the limit comes from."""

    name: str
    value: float
    unit: str
    limit: float = math.nan
    whose: str = ""

    @property
    def status(self) -> Status:
        """Within the limit or above it."""
        if not math.isfinite(self.value):
            return Status.UNKNOWN
        if not math.isfinite(self.limit):
            return Status.OFF
        return Status.WARNING if self.value > self.limit else Status.ON

    def __str__(self) -> str:
        state = ""
        if math.isfinite(self.limit) and math.isfinite(self.value):
            state = f", {'ABOVE' if self.value > self.limit else 'within'} {self.whose} {self.limit:g}"
        return f"{self.name} {number(self.value)} {self.unit}{state}"


def meters_of(model: RunModel) -> list[Meter]:
    """Worst layer, worst case within the intervals; budgets are those of the run's ledgers."""
    check = model.check()
    leakage = None if check is None else check.leakage
    weights, per_weight, v1, journal = (
        (math.nan,) * 4
        if leakage is None
        else (
            leakage.weights_bits_per_mode,
            leakage.weights_bits_per_weight,
            leakage.data_bits_v1,
            leakage.data_bits_journal,
        )
    )
    found = [
        Meter("weights", weights, "bits/mode", WEIGHTS_LIMIT, "the paper's"),
        Meter("weights", per_weight, "bits/weight"),
        Meter("data, arXiv v1", v1, "bits", DATA_LIMIT, "the paper's"),
        Meter("data, journal", journal, "bits"),
    ]
    ledger = {} if model.started is None else model.started.run.get("ledger") or {}
    if ledger.get("weights"):
        total = per_weight * max(model.done_images, 1)
        found.append(
            Meter("this run's weights", total, "bits/weight", ledger["weights"]["bits_per_weight_budget"], "budget")
        )
    return found


class LeakageView(View):
    """One bar for each bound."""

    def __init__(self) -> None:
        super().__init__(
            "Leakage", "Bounds on what leaked in one transmission: worst layer, worst case within the intervals"
        )
        self.bars = _Bars()
        layout = QGridLayout(self)
        layout.setContentsMargins(4, 0, 2, 2)
        layout.setSpacing(0)
        layout.addWidget(QLabel("Leakage per transmission, at most (logarithmic)"), 0, 0)
        layout.addWidget(self.menu_button, 0, 1)
        layout.addWidget(self.bars, 1, 0, 1, 2)
        layout.setColumnStretch(0, 1)
        layout.setRowStretch(1, 1)

    def show_run(self, model: RunModel) -> None:
        """The newest bounds."""
        self.bars.meters = meters_of(model)
        self.bars.update()

    def use_theme(self, theme: Theme) -> None:
        """Ink of the bars."""
        super().use_theme(theme)
        self.bars.use_theme(theme)

    def columns(self) -> Columns:
        """Values and limits, in the order shown."""
        return {
            "bits": np.array([each.value for each in self.bars.meters]),
            "limit": np.array([each.limit for each in self.bars.meters]),
        }

    def text(self, model: RunModel) -> str:
        """All of them."""
        return "; ".join(str(each) for each in meters_of(model))


class _Bars(Canvas):
    def __init__(self) -> None:
        super().__init__()
        self.meters: list[Meter] = []
        self.setMinimumSize(200, 110)

    def draw(self, painter: QPainter) -> None:
        """Name and value above each bar, a tick at its limit."""
        count = max(len(self.meters), 1)
        step = min(self.height() / count, 46.0)
        font = painter.font()
        font.setPixelSize(int(max(9.0, min(12.0, step * 0.36))))
        painter.setFont(font)
        for place, meter in enumerate(self.meters):
            self._bar(painter, meter, QRectF(4, place * step, self.width() - 8, step))

    def _bar(self, painter: QPainter, meter: Meter, box: QRectF) -> None:
        upper, status = box.height() * 0.52, meter.status
        painter.setPen(QColor(status.colour))
        painter.drawText(QRectF(box.x(), box.y(), 16, upper), Qt.AlignmentFlag.AlignVCenter, status.shape)
        painter.setPen(QColor(self.theme.text))
        painter.drawText(
            QRectF(box.x() + 18, box.y(), box.width() - 18, upper), Qt.AlignmentFlag.AlignVCenter, str(meter)
        )
        track = QRectF(box.x(), box.y() + upper, box.width(), box.height() * 0.30)
        painter.fillRect(track, QColor(self.theme.raised))
        if math.isfinite(meter.value) and meter.value > 0:
            width = track.width() * _place(meter.value)
            painter.fillRect(QRectF(track.x(), track.y(), width, track.height()), QColor(status.colour))
        if math.isfinite(meter.limit):
            at = track.x() + track.width() * _place(meter.limit)
            painter.fillRect(QRectF(at - 1, track.y() - 3, 3, track.height() + 6), QColor(self.theme.text))


def _place(value: float) -> float:
    """From 0 to 1 along the scale."""
    return min(max((math.log10(value) - LOW) / (HIGH - LOW), 0.0), 1.0)
