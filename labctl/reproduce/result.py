"""What a figure's module gives: numbers, how they compare with published ones, and how to draw them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Colours that stay apart for everybody (Okabe and Ito), in the order of use, and markers to go with them.
COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS: Final = ("o", "s", "^", "D", "v", "P")
LIMIT_COLOUR: Final = "#555555"

Cell = float | int | str


@dataclass(frozen=True)
class Comparison:
    """``what`` was compared; ``expected`` and ``found``, for people; ``agrees``: None where nothing can be said."""

    what: str
    expected: str
    found: str
    agrees: bool | None


@dataclass(frozen=True)
class Result:
    """``rows`` of numbers under ``columns`` (units in their names), and ``draw``, which fills an empty figure."""

    columns: tuple[str, ...]
    rows: list[tuple[Cell, ...]]
    comparisons: list[Comparison]
    draw: Callable[[Figure], None]


def within(what: str, expected: float, found: float, tolerance: float, source: str = "published") -> Comparison:
    """Agreement to a relative tolerance, such as half a unit of the last digit that was published.

    ``source``: where ``expected`` is from: "published" by the paper, or a "reference" that is not.
    """
    return Comparison(
        what, f"{source} {expected:.4g}", f"{found:.4g}", abs(found - expected) <= tolerance * abs(expected)
    )
