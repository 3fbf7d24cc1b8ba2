"""Pictures: the image that was just inferred with its scores, and what an attacker has recovered."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PyQt6.QtCore import QRectF, QSize, Qt
from PyQt6.QtGui import QColor, QImage, QPainter
from PyQt6.QtWidgets import QGridLayout, QLabel, QVBoxLayout

from gui.models import Recovered, RunModel
from gui.plots.canvas import Canvas, Words
from gui.plots.courses import OverlapPlot
from gui.theme import BLUE, GREEN, VERMILION, Theme
from gui.view import Columns, View

_CENTRE = Qt.AlignmentFlag.AlignCenter


def grey(pixels: NDArray[np.floating]) -> QImage:
    """A picture of its own scale: least black, most white."""
    values = np.asarray(pixels, float)
    low, high = float(values.min()), float(values.max())
    levels = np.zeros(values.shape) if high <= low else (values - low) / (high - low)
    data = np.ascontiguousarray(np.round(levels * 255), np.uint8)
    height, width = data.shape
    return QImage(data.tobytes(), width, height, width, QImage.Format.Format_Grayscale8).copy()


class ImageView(View):
    """The last image: pixels, true and predicted class, and the client's scores."""

    def __init__(self) -> None:
        super().__init__(
            "Current image", "The image inferred last, its true and predicted class, and the client's scores"
        )
        self.words = Words("no image yet")
        self.canvas = _ImageCanvas()
        layout = QGridLayout(self)
        layout.setContentsMargins(4, 0, 2, 2)
        layout.setSpacing(0)
        layout.addWidget(self.words, 0, 0)
        layout.addWidget(self.menu_button, 0, 1)
        layout.addWidget(self.canvas, 1, 0, 1, 2)
        layout.setColumnStretch(0, 1)
        layout.setRowStretch(1, 1)

    def show_run(self, model: RunModel) -> None:
        """The newest image; its pixels only where they are its own."""
        last = model.last
        self.words.setText(self.text(model))
        if last is None:
            self.canvas.show_image(None, (), -1, -1)
            return
        own = model.pixels is not None and model.pixels[0] == last.image
        pixels = model.pixels[1] if own and model.pixels is not None else None
        self.canvas.show_image(pixels, last.scores, last.label, last.prediction)

    def use_theme(self, theme: Theme) -> None:
        """Ink of the canvas."""
        super().use_theme(theme)
        self.canvas.use_theme(theme)
        self.words.use_theme(theme)

    def columns(self) -> Columns:
        """The scores."""
        scores = np.array(self.canvas.scores, float)
        return {"class": np.arange(len(scores), dtype=float), "score": scores}

    def text(self, model: RunModel) -> str:
        """What it is, and what it was taken for."""
        if model.last is None:
            return "No image yet."
        right = "right" if model.last.label == model.last.prediction else "WRONG"
        return f"Image {model.last.image + 1}: true {model.last.label}, predicted {model.last.prediction} — {right}"


class _ImageCanvas(Canvas):
    """Picture on the left, a bar for each class on the right."""

    def __init__(self) -> None:
        super().__init__()
        self.image: QImage | None = None
        self.scores: tuple[float, ...] = ()
        self.label = self.prediction = -1
        self.setMinimumSize(160, 90)

    def show_image(
        self, pixels: NDArray[np.float32] | None, scores: tuple[float, ...], label: int, prediction: int
    ) -> None:
        """Draw these."""
        self.image = None if pixels is None else grey(pixels)
        self.scores, self.label, self.prediction = scores, label, prediction
        self.update()

    def draw(self, painter: QPainter) -> None:
        """The true class is marked with its shape, the predicted one filled."""
        half = self.width() * 0.45
        if self.image is not None:
            side = min(half - 8, self.height() - 8)
            box = QRectF((half - side) / 2, (self.height() - side) / 2, side, side)
            painter.drawImage(box, self.image)
        if self.scores:
            self._bars(painter, QRectF(half, 4, self.width() - half - 4, self.height() - 8))

    def _bars(self, painter: QPainter, box: QRectF) -> None:
        scores = np.array(self.scores)
        low, high = min(float(scores.min()), 0.0), max(float(scores.max()), 0.0)
        scale = (box.width() - 40) / (high - low) if high > low else 0.0
        zero = box.x() + 36 - low * scale
        step = box.height() / len(scores)
        font = painter.font()
        font.setPixelSize(max(8, min(13, int(step * 0.75))))
        painter.setFont(font)
        right = self.label == self.prediction
        for place, score in enumerate(scores):
            row = QRectF(box.x(), box.y() + place * step, box.width(), step)
            painter.setPen(QColor(self.theme.text))
            mark = "▶" if place == self.label else " "
            painter.drawText(QRectF(row.x(), row.y(), 32, step), _CENTRE, f"{mark}{place}")
            colour = (GREEN if right else VERMILION) if place == self.prediction else BLUE
            start, width = (zero, score * scale) if score >= 0 else (zero + score * scale, -score * scale)
            painter.fillRect(QRectF(start, row.y() + step * 0.15, max(width, 1.0), step * 0.7), QColor(colour))
        painter.setPen(QColor(self.theme.muted))
        painter.drawLine(int(zero), int(box.y()), int(zero), int(box.bottom()))


class AdversaryView(View):
    """What the dishonest got: attack and bits, pictures of the data that a curious server found, their overlap."""

    def __init__(self) -> None:
        super().__init__("Adversary", "What an attacker or a curious server has found out so far")
        self.words = QLabel("nobody deviates in this run")
        self.words.setWordWrap(True)
        self.words.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.overlap = OverlapPlot()
        self.overlap.become_a_part()
        self.action("Autoscale", "A", "Let the axes follow the curves again").triggered.connect(self.overlap.autoscale)
        self.pictures = _Gallery()
        top = QGridLayout()
        top.addWidget(self.words, 0, 0)
        top.addWidget(self.menu_button, 0, 1)
        top.setColumnStretch(0, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 0, 2, 2)
        layout.setSpacing(2)
        layout.addLayout(top)
        layout.addWidget(self.pictures)
        layout.addWidget(self.overlap, 4)
        layout.addStretch(1)

    def show_run(self, model: RunModel) -> None:
        """The newest."""
        self.words.setText(self.text(model))
        self.pictures.show_pictures(list(model.recovered))
        looked = len(model.overlaps) > 0
        self.pictures.setVisible(looked)
        self.overlap.setVisible(looked)
        self.overlap.show_run(model)

    def use_theme(self, theme: Theme) -> None:
        """Of the plot as well."""
        super().use_theme(theme)
        self.overlap.use_theme(theme)
        self.pictures.use_theme(theme)

    def columns(self) -> Columns:
        """The overlaps."""
        return self.overlap.columns()

    def text(self, model: RunModel) -> str:
        """Attack, bits, alarm, overlap."""
        told = [] if model.started is None else _deviation(model.started.run.get("adversary", {}))
        attack = None if model.adversary is None else model.adversary.attack
        if attack is not None:
            how = "measured" if attack.measured else "by formula"
            told.append(
                f"it told {attack.bits_per_mode:.4g} bits per mode, {how} (theory {attack.expected_bits_per_mode:.4g})"
            )
        if model.alarm is not None:
            told.append(f"▲ ALARM in image {model.alarm.image + 1}")
        elif told and model.finished is not None:
            told.append("no alarm")
        if len(model.overlaps):
            told.append(f"data recovered with a mean overlap of {model.overlaps['overlap'].mean():.3f}")
            recovery = None if model.adversary is None else model.adversary.recovery
            if recovery is not None:
                told.append(f"in theory {recovery.expected:.3f} (asymptotic), at most {recovery.bound:.3f}")
        return "; ".join(told) or "Nobody deviates in this run."


def _deviation(adversary: dict[str, object]) -> list[str]:
    """What RUN.toml says about who deviates."""
    told = []
    if adversary.get("client_gain") is not None:
        told.append(f"client uses a gain of {adversary['client_gain']}")
    if adversary.get("attack") is not None:
        strength = adversary.get("strength")
        told.append(f"attack {adversary['attack']}" + (f" of strength {strength}" if strength is not None else ""))
    if adversary.get("server_recovers_data"):
        told.append("the server looks for the data")
    return told


class _Gallery(Canvas):
    """The newest recovered pictures in a row, newest first."""

    SIDE = 56

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[Recovered] = []
        self._pictures: list[QImage] = []
        self.setFixedHeight(self.SIDE + 16)
        self.setAccessibleName("Pictures recovered")

    def show_pictures(self, found: list[Recovered]) -> None:
        """Draw these."""
        if len(found) != len(self.shown) or (found and found[-1] is not self.shown[-1]):
            self.shown = found
            self._pictures = [grey(each.picture) for each in found]
            self.update()

    def sizeHint(self) -> QSize:
        """A few beside each other."""
        return QSize(4 * self.SIDE, self.SIDE + 16)

    def draw(self, painter: QPainter) -> None:
        """With the overlap under each."""
        font = painter.font()
        font.setPixelSize(10)
        painter.setFont(font)
        for place, (each, picture) in enumerate(zip(reversed(self.shown), reversed(self._pictures), strict=True)):
            left = place * (self.SIDE + 4)
            painter.drawImage(QRectF(left, 0, self.SIDE, self.SIDE), picture)
            painter.drawText(QRectF(left, self.SIDE, self.SIDE, 14), _CENTRE, f"{each.overlap:.2f}")
