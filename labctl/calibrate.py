"""A bench is calibrated: opened, taken through the plan, made dark, and what was found is kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from labctl.bench import Bench, open_bench
from labctl.calibration.drift import noted
from labctl.calibration.force import with_results
from labctl.calibration.plan import PLAN
from labctl.calibration.procedure import Known, Procedure, chosen
from labctl.calibration.result import Result
from labctl.calibration.rig import Rig
from labctl.calibration.store import Store, working_point
from labctl.config import BenchConfig
from labctl.engine import RunControl
from labctl.errors import CalibrationError, ConfigError, GateError, LabctlError, RunAborted, UnsafeState
from labctl.events import EventBus, LightOff, ProcedureFinished, ProcedureStarted
from labctl.parts import instruments_of
from labctl.version import __version__

SOFTWARE = f"labctl {__version__}"


@dataclass(frozen=True)
class Calibration:
    """``results``: of the procedures that ran, in order; ``error``: why not all of them did."""

    results: Sequence[Result]
    error: LabctlError | None = None

    @property
    def passed(self) -> bool:
        """Whether every procedure ran and passed."""
        return self.error is None and all(result.passed for result in self.results)


def calibrate(  # noqa: PLR0913  (keywords of a call that people type)
    path: Path,
    config: BenchConfig,
    store: Store,
    *,
    only: Sequence[str] = (),
    seed: int = 0,
    bus: EventBus | None = None,
    control: RunControl | None = None,
    wall_time: Callable[[], float] = time.time,
) -> Calibration:
    """Measure a bench's constants. Each result is kept in ``store`` as soon as it is there.

    ``only``: names of procedures, run with what they need and has no fresh result. ``seed``: of a simulated lab. What
    an instrument or the operator ends comes back in the outcome; the light is off and read back either way.

    Raises ConfigError before anything is opened, UnsafeState where the light's being off was not confirmed.
    """
    if config.waveform is not None:
        raise ConfigError(
            f"{path}: a bench with [waveform] calibrates its receiver in every run", "Use a bench without [waveform]."
        )
    config = config.model_copy(update={"world": None})  # what a simulated lab hides is nobody's business here
    bus, control = bus or EventBus(), control or RunControl()
    fresh = store.in_force(config, wall_time())
    procedures = chosen(PLAN, only, fresh)
    kept = {name: result for name, result in fresh.items() if name not in {each.name for each in procedures}}
    with open_bench(path, config) as bench:
        session = _Session(bench, store, bus, control, wall_time)
        return session.run(procedures, kept if only else {}, seed)


class _Session:
    """One calibration on an opened bench."""

    def __init__(
        self, bench: Bench, store: Store, bus: EventBus, control: RunControl, wall_time: Callable[[], float]
    ) -> None:
        self._bench = bench
        self._store = store
        self._bus = bus
        self._control = control
        self._wall_time = wall_time

    def run(self, procedures: Sequence[Procedure], kept: Mapping[str, Result], seed: int) -> Calibration:
        known = dict(kept)
        results: list[Result] = []
        error: LabctlError | None = None
        simulated = self._bench.control()
        try:
            if simulated is not None:
                simulated.set_stepped_clock(True)
                simulated.reset(seed)
            for index, procedure in enumerate(procedures):
                self._bus.publish(ProcedureStarted(procedure.name, procedure.title, index, len(procedures)))
                result = self._one(procedure, known)
                known[procedure.name] = result
                results.append(result)
                self._store.keep(result)
                self._bus.publish(ProcedureFinished(procedure.name, result.outcome, result.message, result.remedy))
        except LabctlError as ended:
            error = ended
        finally:
            dark = LightOff(self._bench.safe_state())
        self._bus.publish(dark)
        lit = ", ".join(state.instrument for state in dark.readback if not state.dark)
        if lit:
            raise UnsafeState(
                f"{lit}: no confirmation that the light is off", "Look at the bench, and switch it off by hand."
            ) from error
        return Calibration(tuple(results), error)

    def _one(self, procedure: Procedure, known: Mapping[str, Result]) -> Result:
        config = self._bench.config
        taken = datetime.fromtimestamp(self._wall_time(), UTC).isoformat(timespec="seconds")
        point = working_point(config)
        missing = [need for need in procedure.needs if need not in known or not known[need].passed]
        if missing:
            why = f"needs {', '.join(missing)}, which did not pass"
            return Result(procedure.name, taken, "skipped", point, message=why, remedy=f"See {missing[0]}.")
        rig = Rig(with_results(config, known), instruments_of(self._bench), self._checkpoint)
        try:
            rig.prepare()
            point |= noted(config, self._bench.instruments, rig)
            found = procedure.measure(rig, Known(known))
        except (CalibrationError, ConfigError, GateError) as error:
            return Result(
                procedure.name, taken, "failed", point, message=str(error), remedy=error.remedy, software=SOFTWARE
            )
        return Result.of(procedure.name, taken, point, found, SOFTWARE)

    def _checkpoint(self) -> None:
        try:
            self._control.checkpoint(lambda paused: None)
        except RunAborted as error:
            raise RunAborted(str(error), "Start the calibration again when you are ready.") from None
