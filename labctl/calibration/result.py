"""What a procedure found: quantities with their errors, what was demanded of them, and curves for a plot."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Double = NDArray[np.float64]
Outcome = Literal["passed", "failed", "skipped"]


@dataclass(frozen=True)
class Quantity:
    """One measured number. ``degrees``: of freedom behind its standard error, infinite for one that is known."""

    name: str
    value: float
    standard_error: float
    unit: str = ""
    degrees: float = math.inf

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Two-sided, by Student's t."""
        from scipy.special import ndtri, stdtrit

        upper = (1 + confidence) / 2
        reach = float(ndtri(upper) if math.isinf(self.degrees) else stdtrit(self.degrees, upper)) * self.standard_error
        return self.value - reach, self.value + reach

    def __str__(self) -> str:
        return f"{self.name} = {self.value:.6g} +- {self.standard_error:.2g} {self.unit}".rstrip()


@dataclass(frozen=True)
class Demand:
    """One thing that was demanded: ``text`` says what, with the number found; ``remedy`` what to do where it fails."""

    text: str
    held: bool
    remedy: str = ""


@dataclass(frozen=True, eq=False)
class Curve:
    """Points of a plot; ``error``: standard errors of y, or none. ``line``: drawn as a line, not as points."""

    label: str
    x: Double
    y: Double
    error: Double | None = None
    line: bool = False


@dataclass(frozen=True, eq=False)
class Panel:
    """Curves that are drawn together."""

    title: str
    x_label: str
    y_label: str
    curves: Sequence[Curve]


@dataclass(frozen=True, eq=False)
class Measured:
    """What a procedure hands back. ``assumed``: what it took for granted, for people."""

    quantities: Sequence[Quantity]
    demands: Sequence[Demand]
    panels: Sequence[Panel] = ()
    assumed: Sequence[str] = ()


@dataclass(frozen=True, eq=False)
class Result:
    """One procedure's outcome as it is kept.

    ``taken_at``: ISO 8601, UTC. ``point``: the working point that it was measured at. ``message``: why it failed or was
    skipped, "" when it passed; ``remedy``: what to do then.
    """

    procedure: str
    taken_at: str
    outcome: Outcome
    point: Mapping[str, float]
    quantities: Sequence[Quantity] = ()
    demands: Sequence[Demand] = ()
    panels: Sequence[Panel] = ()
    assumed: Sequence[str] = ()
    message: str = ""
    remedy: str = ""
    software: str = field(default="")

    @property
    def passed(self) -> bool:
        """Whether all that was demanded held."""
        return self.outcome == "passed"

    @classmethod
    def of(cls, procedure: str, taken_at: str, point: Mapping[str, float], found: Measured, software: str) -> Result:
        """Passed where every demand held; otherwise those that did not are its message."""
        broken = [demand for demand in found.demands if not demand.held]
        return cls(
            procedure,
            taken_at,
            "failed" if broken else "passed",
            point,
            tuple(found.quantities),
            tuple(found.demands),
            tuple(found.panels),
            tuple(found.assumed),
            "; ".join(demand.text for demand in broken),
            " ".join(dict.fromkeys(demand.remedy for demand in broken)),
            software,
        )
