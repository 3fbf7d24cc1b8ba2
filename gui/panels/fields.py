"""Fields for numbers with a unit and limits: what is typed outside them cannot be entered, and is told why."""

from __future__ import annotations

import math
import re

from PyQt6.QtGui import QValidator
from PyQt6.QtWidgets import QDoubleSpinBox, QWidget

from labctl.units import db_to_ratio

_DECIBELS = re.compile(r"\s*([+-]?\d+(?:[.,]\d*)?)\s*dB\s*", re.IGNORECASE)


class QuantityField(QDoubleSpinBox):
    """A number in a fixed unit. ``ratio``: a power ratio, which may be typed in dB as well."""

    def __init__(
        self, name: str, unit: str, limits: tuple[float, float], *, step: float = 0.1, ratio: bool = False
    ) -> None:
        super().__init__()
        self._name = name
        self._unit = unit
        self._ratio = ratio
        self.setDecimals(6)
        self.setSingleStep(step)
        self.setKeyboardTracking(False)
        self.setAccessibleName(name)
        if unit:
            self.setSuffix(f" {unit}")
        self.set_limits(*limits)

    def set_limits(self, low: float, high: float) -> None:
        """What may be entered, shown in the tip."""
        self.setRange(low, high)
        also = "; may be typed in dB" if self._ratio else ""
        self.setToolTip(f"{self._name}: {low:g} to {high:g} {self._unit}".rstrip() + also)

    def textFromValue(self, value: float) -> str:
        """No idle zeros."""
        return f"{value:.10g}"

    def valueFromText(self, text: str | None) -> float:
        """Decibels become a ratio."""
        decibels = _DECIBELS.fullmatch(text or "") if self._ratio else None
        if decibels is not None:
            return db_to_ratio(float(decibels[1].replace(",", ".")))
        return super().valueFromText(text)

    def validate(self, text: str | None, position: int) -> tuple[QValidator.State, str, int]:
        """Decibels count as entered; half of them as on the way."""
        if self._ratio and text is not None and text.strip().lower().endswith(("d", "db")):
            found = _DECIBELS.fullmatch(text)
            if found is None:
                return QValidator.State.Intermediate, text, position
            ratio = db_to_ratio(float(found[1].replace(",", ".")))
            inside = self.minimum() <= ratio <= self.maximum()
            return (QValidator.State.Acceptable if inside else QValidator.State.Intermediate), text, position
        return super().validate(text, position)


def in_decibels(ratio: float) -> str:
    """A power ratio in dB."""
    return f"{10 * math.log10(ratio):.2f} dB" if ratio > 0 else "—"


def named(widget: QWidget, name: str, hint: str) -> None:
    """Accessible name and tip."""
    widget.setAccessibleName(name)
    widget.setToolTip(hint)
