"""The last thing that is calibrated: what an honest run leaves beyond the agreed noise, with the constants just found.

It goes with network, light and data (docs/physics.md, section 5), so it is measured with the run that it is for.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from labctl.calibrate import SOFTWARE
from labctl.calibration.force import with_results
from labctl.calibration.result import Demand, Measured, Quantity, Result
from labctl.calibration.store import Store, working_point
from labctl.config import load_bench
from labctl.experiment import load_experiment
from labctl.technical import TechnicalMeasurement, measure_technical_noise

NAME: Final = "baseline"
#: Most technical noise, SNU: beyond it an attack hides too well.
MOST_EXCESS: Final = 0.1
#: Most that the transmittance of the run may differ from the calibrated one, relative.
TRANSMITTANCE: Final = 0.1
SIGMAS: Final = 4.0


def measure_baseline(
    path: Path,
    store: Store,
    run: str,
    images: int,
    *,
    seed: int = 2024,
    wall_time: Callable[[], float] = time.time,
) -> Result:
    """Take honest images through the calibrated bench, and keep what they leave. Raises what goes wrong on the bench.

    ``run``: RUN.toml or a shipped run, whose network, light and data it will hold for.
    """
    config = load_bench(path)
    experiment = load_experiment(run, bench=str(path), seed=seed, technical=False)
    force = with_results(config.with_technical(0.0, 0.0), store.in_force(config, wall_time()))
    found = measure_technical_noise(replace(experiment, bench=force.with_technical(0.0, 0.0)), images)
    taken = datetime.fromtimestamp(wall_time(), UTC).isoformat(timespec="seconds")
    measured = Measured(_quantities(found), _demands(found), assumed=(f"nobody deviates; {images} images of {run}",))
    result = Result.of(NAME, taken, working_point(config), measured, SOFTWARE)
    store.keep(result)
    return result


def _quantities(found: TechnicalMeasurement) -> list[Quantity]:
    every = [Quantity("baseline.technical_excess", found.technical_excess, found.excess_se, "SNU")]
    if found.layers_differ:
        every += [
            Quantity(f"baseline.technical_excess_{index}", value, error, "SNU")
            for index, (value, error) in enumerate(found.layers)
        ]
    every += [Quantity(f"baseline.modes_{index}", float(modes), 0.0) for index, modes in enumerate(found.modes)]
    every.append(Quantity("baseline.mean_photons", found.mean_photons, 0.0))
    every.append(Quantity("baseline.transmittance", found.transmittance, found.transmittance_se))
    return every


def _demands(found: TechnicalMeasurement) -> list[Demand]:
    excess, error = found.technical_excess, found.excess_se
    off = found.transmittance / found.expected_transmittance - 1
    return [
        Demand(
            f"{excess:.4g} +- {error:.2g} SNU beyond the honest client's noise, 0 to {MOST_EXCESS:g} SNU are allowed",
            -SIGMAS * error <= excess <= MOST_EXCESS,
            "Below 0 the shot noise has changed: calibrate again. Above, see labctl noise-budget for what makes it.",
        ),
        Demand(
            f"transmittance of {found.transmittance:.4g} where {found.expected_transmittance:.4g} is calibrated,"
            f" {TRANSMITTANCE:.0%} off it is allowed",
            abs(off) <= TRANSMITTANCE,
            "Calibrate the transmittance again, and see that no fibre was moved.",
        ),
    ]
