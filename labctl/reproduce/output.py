"""A figure on disk: PNG and PDF, its numbers as CSV, and what it was made from as JSON."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from labctl.clock import Clock
from labctl.errors import ConfigError
from labctl.reproduce.result import Result
from labctl.reproduce.study import CONFIDENCE, Study
from labctl.version import __version__

#: Names of the figures, each a module of this package with make(study) -> Result.
FIGURES: Final = ("accuracy", "plane", "leakage", "detection", "attacks")
DPI: Final = 160
SIZE_INCHES: Final = (6.4, 4.2)


@dataclass(frozen=True)
class Made:
    """One figure: where its files are, and its manifest."""

    name: str
    files: tuple[Path, ...]
    manifest: dict[str, Any]


def chosen(names: Sequence[str]) -> tuple[str, ...]:
    """The figures of these names, in their own order; all when none is named. Raises ConfigError."""
    unknown = [name for name in names if name not in FIGURES]
    if unknown:
        raise ConfigError(f"there is no figure {unknown[0]!r}", f"Name some of: {', '.join(FIGURES)}.")
    return tuple(name for name in FIGURES if not names or name in names)


def reproduce(
    names: Sequence[str], study: Study, folder: Path, clock: Clock, tell: Callable[[str], None]
) -> list[Made]:
    """Make figures, one after the other. Files of the same names are replaced.

    Raises ConfigError for an unknown name or a folder that cannot be written to.
    """
    wanted = chosen(names)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"--out {folder}: {error}", "Name a folder that can be made.") from error
    found = []
    for name in wanted:
        module: ModuleType = import_module(f"labctl.reproduce.{name}")
        mode = _mode(module, study)
        tell(f"{name}: {study.title}, mode {mode}")
        start_s = clock.now()
        result: Result = module.make(study)
        files = _save(result, folder, name)
        manifest = _manifest(name, study, result, clock.now() - start_s) | {"mode": mode}
        file = folder / f"{name}.json"
        file.write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        found.append(Made(name, (*files, file), manifest))
        tell(f"{name}: done in {manifest['run_time_s']:.1f} s")
    return found


def _mode(module: ModuleType, study: Study) -> str:
    """What is really run: the sampler's mode, unless the figure's module says more in ``MODE``."""
    return str(getattr(module, "MODE", "{sampler}")).format(sampler=study.sampler.mode)


def _save(result: Result, folder: Path, name: str) -> tuple[Path, ...]:
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with rc_context({"font.size": 9, "axes.grid": True, "grid.alpha": 0.25, "pdf.fonttype": 42, "axes.titlesize": 9}):
        figure = Figure(figsize=SIZE_INCHES, layout="constrained")
        FigureCanvasAgg(figure)
        result.draw(figure)
        png, pdf = folder / f"{name}.png", folder / f"{name}.pdf"
        figure.savefig(png, dpi=DPI, metadata={"Software": f"labctl {__version__}"})
        figure.savefig(pdf, metadata={"Creator": f"labctl {__version__}", "CreationDate": None})
    table = folder / f"{name}.csv"
    with table.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(result.columns)
        writer.writerows(result.rows)
    return png, pdf, table


def _manifest(name: str, study: Study, result: Result, seconds: float) -> dict[str, Any]:
    experiment = study.experiment
    return {
        "figure": name,
        "software": f"labctl {__version__}",
        "seed": study.seed,
        "run_time_s": round(seconds, 3),
        "quick": study.quick,
        "mode": study.sampler.mode,
        "dataset": experiment.dataset.name,
        "model": experiment.network.name,
        "images": experiment.images,
        "bench": experiment.bench.name,
        "clean_accuracy": experiment.clean_accuracy,
        "confidence": CONFIDENCE,
        "points": sum(1 for row in result.rows if all(not isinstance(x, float) or math.isfinite(x) for x in row)),
        "comparisons": [asdict(each) for each in result.comparisons],
    }
