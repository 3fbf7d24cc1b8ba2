"""A result's panels as one PNG."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Final

from labctl.calibration.result import Panel, Result
from labctl.errors import ConfigError
from labctl.version import __version__

DPI: Final = 110
WIDTH_INCHES, HEIGHT_INCHES = 5.6, 3.4


def draw(result: Result, folder: Path) -> Path | None:
    """Write ``PROCEDURE.png`` into ``folder``; None where a result has nothing to draw. Raises ConfigError."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = list(result.panels)
    if not panels:
        return None
    columns = min(2, len(panels))
    rows = math.ceil(len(panels) / columns)
    with rc_context({"font.size": 8, "axes.grid": True, "grid.alpha": 0.25, "axes.titlesize": 8}):
        figure = Figure(figsize=(WIDTH_INCHES * columns, HEIGHT_INCHES * rows), layout="constrained")
        FigureCanvasAgg(figure)
        figure.suptitle(f"{result.procedure}: {result.outcome}, {result.taken_at}")
        for place, panel in enumerate(panels, start=1):
            _panel(figure.add_subplot(rows, columns, place), panel)
        path = folder / f"{result.procedure}.png"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            figure.savefig(path, dpi=DPI, metadata={"Software": f"labctl {__version__}"})
        except OSError as error:
            raise ConfigError(f"--plots {folder}: {error}", "Name a folder that can be written to.") from error
    return path


def _panel(axes: object, panel: Panel) -> None:
    from matplotlib.axes import Axes

    assert isinstance(axes, Axes)
    for curve in panel.curves:
        if curve.line:
            axes.plot(curve.x, curve.y, linewidth=1, label=curve.label)
        else:
            axes.errorbar(curve.x, curve.y, curve.error, fmt="o", markersize=3, capsize=2, label=curve.label)
    axes.set_title(panel.title)
    axes.set_xlabel(panel.x_label)
    axes.set_ylabel(panel.y_label)
    axes.legend()
