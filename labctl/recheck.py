"""Whether a bench is still what was calibrated, measured between two images of a run.

Each re-check is a step of the plan. The pump goes off before the shutters close, and comes on after they have opened;
the local oscillator stays on. Where a switch stands before the server's receiver, vacuum needs neither.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from labctl.calibration.channel import collecting
from labctl.calibration.modulator import FIELD
from labctl.calibration.probe import Probe, probe
from labctl.calibration.result import Double, Quantity
from labctl.calibration.rig import Instruments, Rig
from labctl.calibration.statistics import BLOCKS, Moments, block_variances, cut, jackknife, mean_of
from labctl.clock import Clock
from labctl.config import BenchConfig
from labctl.errors import Drifted, LabctlError
from labctl.events import Interval, Rechecked
from labctl.interfaces import OpticalSwitch
from labctl.limits import Watch
from labctl.optics.iq import IqModulator
from labctl.plan import Plan
from labctl.run_tables import NUMBERS, RecheckConfig, RecheckKind

#: Samples of each output without signal: the variance is found to 0.22 % of itself.
NOISE_SAMPLES: Final = 200_000
#: Threes of rows of the reference light (labctl.calibration.probe).
THREES: Final = 40 * BLOCKS
#: Bins that these take, in the longest rows that a known generator needs for 32 modes.
REFERENCE: Final = 3 * THREES * 240
#: Longer than any instrument wants silence: what follows does not depend on when it was asked last.
REST_S: Final = 0.1
#: Draw keys of images have two numbers, those of re-checks three.
KEY: Final = 1
#: Of the null's relative field, to V_pi of an arm: the field of a small bias b is (π/2) b/√2.
V_PI: Final = 2 * math.sqrt(2) / math.pi
#: What is told of each number that is looked at: words, unit, procedure to calibrate it with.
TOLD: Final[Mapping[str, tuple[str, str, str]]] = {
    "shot-noise": ("the shot noise (variance without signal over the calibrated)", "", "shot-noise"),
    "bias-i": ("the bias of the I arm, off its null,", "V_pi", "modulator"),
    "bias-q": ("the bias of the Q arm, off its null,", "V_pi", "modulator"),
    "phase-server": ("the phase of the light at the server's receiver", "rad", "phase-reference"),
    "phase-client": ("the phase of the light at the client's receiver", "rad", "phase-reference"),
}


@dataclass(frozen=True)
class Light:
    """What a re-check may do with a run's light. ``forget``: the client's generators were used by somebody else."""

    watch: Watch
    switch: OpticalSwitch | None
    forget: Callable[[], None]
    clock: Clock


@dataclass(frozen=True)
class Planned:
    """The re-checks of a run before any instrument is opened; none where ``recheck`` is None."""

    config: BenchConfig
    recheck: RecheckConfig | None
    images: int

    @property
    def plan(self) -> Plan:
        """Their steps in it."""
        return Plan(self.images, 1, 0, () if self.recheck is None else tuple(self.recheck.every.items()))

    @property
    def seconds(self) -> float:
        """That their records last, with light on the fibre or none but the oscillator."""
        lasts = {"shot-noise": NOISE_SAMPLES, "bias": NOISE_SAMPLES + REFERENCE, "phase": REFERENCE}
        return sum(self.plan.count(kind) * lasts[kind] for kind in self.plan.kinds) / self.config.bin_rate

    def lines(self) -> tuple[str, ...]:
        """For people."""
        recheck, plan = self.recheck, self.plan
        if recheck is None:
            return ()
        told = [
            f"{plan.count(kind)} x {kind} (every {every} images, limit {recheck.limit(kind):g})"
            for kind, every in plan.rechecks
        ]
        return (f"re-checks: {', '.join(told)}; false alarms in {recheck.false_alarm_rate:g} of such runs at most",)


class Rechecks:
    """Those of one run. ``segments``: of the sender's memory, that the run uses itself."""

    def __init__(
        self, config: BenchConfig, recheck: RecheckConfig, instruments: Instruments, light: Light, segments: int
    ) -> None:
        self._config = config
        self._recheck = recheck
        self._light = light
        self._parts = instruments
        self._dark = Rig(config, instruments, lambda: None, segments + 1, NOISE_SAMPLES)
        self._lit = Rig(config, instruments, lambda: None, segments + 2)
        role = config.modulator
        ideal = IqModulator(role.in_phase.v_pi, role.quadrature.v_pi, 0.0, 0.0, 0.0, 1.0, 0.0)
        self._model = IqModulator.of(role) or ideal

    def level(self, plan: Plan) -> float:
        """Error probability of each number's interval, so that all of a run together keep the rate."""
        numbers = sum(NUMBERS[kind] * plan.count(kind) for kind in self._recheck.every)
        return self._recheck.false_alarm_rate / max(numbers, 1)

    def perform(self, kind: RecheckKind, image: int, level: float, started_s: float) -> list[Rechecked]:
        """Measure, with the light as the run needs it before and after. ``started_s``: on the clock, when it came on.
        Raises what ends the run: GateError, InterlockError, InstrumentError.
        """
        measure = {"shot-noise": self._shot_noise, "bias": self._bias, "phase": self._phase}[kind]
        try:
            found = measure()
        finally:
            self._light.forget()
        self._light.watch.check()  # the light is as it was
        self._light.clock.wait(REST_S)
        now_s = self._light.clock.now()
        return [
            Rechecked(
                image,
                what,
                Interval(quantity.value, *quantity.interval(1 - level)),
                expected,
                self._recheck.limit(kind),
                kind != "phase" and self._light.switch is not None,
                now_s - started_s,
                now_s,
            )
            for what, quantity, expected in found
        ]

    # --- light ----------------------------------------------------------------------------------

    def _vacuum(self) -> Double:
        """The server's outputs without signal, volts, shape (2, NOISE_SAMPLES); pump and light are on again after it,
        or as they were where there is a switch.
        """
        role, switch = self._config.switch, self._light.switch
        if role is None or switch is None:
            self._dark.block()
            server, _ = self._dark.noise()
            self._let_out()
            self._pump()
            return server
        switch.set_position(role.vacuum)
        server, _ = self._dark.noise()
        switch.set_position(role.signal)
        return server

    def _let_out(self) -> None:
        self._light.watch.before_signal()
        for attenuator, channel in self._parts.attenuators:
            attenuator.set_shutter(channel, True)

    def _pump(self) -> None:
        """There is input: the shutters are open."""
        self._light.watch.check_light()
        self._parts.amplifier.set_emission(True)

    def _reference(self) -> Probe:
        """Light of which everything is known, through a client that takes one slot and amplifies nothing."""
        self._parts.amplifier.set_emission(False)
        seen = probe(self._lit, self._model, collecting(self._lit), THREES)
        self._pump()
        return seen

    # --- what is looked at ----------------------------------------------------------------------

    def _shot_noise(self) -> list[tuple[str, Quantity, float]]:
        receiver = self._config.server_receiver
        calibrated = receiver.noise_variance * receiver.volts_per_snu**2
        blocks = np.mean([block_variances(output) for output in self._vacuum()], axis=0) / calibrated
        mean = mean_of("shot-noise", blocks)
        error = math.hypot(mean.standard_error, math.sqrt(2 / receiver.calibration_samples))
        return [("shot-noise", Quantity("shot-noise", mean.value, error, "", mean.degrees), 1.0)]

    def _bias(self) -> list[tuple[str, Quantity, float]]:
        """What is left at the null, without the receiver's own offset, over the field that was sent besides."""
        offset = cut(self._vacuum().T).mean(axis=1)
        seen = self._reference()
        blocks: Moments = {
            "offset": offset[:, 0] + 1j * offset[:, 1],
            "none": seen.server_none[:, :-1].mean(axis=1),
            "field": seen.server_field[:, :-1].mean(axis=1) / FIELD,
        }

        def estimate(moments: Moments) -> Double:
            left = V_PI * (complex(moments["none"]) - complex(moments["offset"])) / complex(moments["field"])
            return np.array([left.real, left.imag])

        found = jackknife(blocks, estimate)
        return [(name, found.quantity(index, name, "V_pi"), 0.0) for index, name in enumerate(("bias-i", "bias-q"))]

    def _phase(self) -> list[tuple[str, Quantity, float]]:
        seen, known = self._reference(), self._config.calibration.references
        blocks: Moments = {"server": seen.server_field[:, :-1].mean(axis=1), "client": seen.client_field}
        due = [known.get(f"{side}.phase", 0.0) for side in blocks]

        def estimate(moments: Moments) -> Double:
            """Near what is due, wherever that is in the circle."""
            off = [
                np.angle(complex(moments[side]) * np.exp(-1j * each)) for side, each in zip(blocks, due, strict=True)
            ]
            return np.asarray(np.array(due) + np.array(off), np.float64)

        found = jackknife(blocks, estimate)
        return [
            (f"phase-{side}", found.quantity(index, side, "rad", known.get(f"{side}.phase_se", 0.0)), due[index])
            for index, side in enumerate(blocks)
        ]


def refuse(found: Rechecked, kind: RecheckKind) -> LabctlError:
    """What ends a run whose re-check found more than may be: what has drifted, how far, and what to do."""
    what, unit, procedure = TOLD[found.what]
    interval, off = found.found, found.found.value - found.expected
    return Drifted(
        f"re-check after {found.image} images: {what} is {interval.value:.5g} {unit}".rstrip()
        + f" [{interval.low:.5g}, {interval.high:.5g}] where {found.expected:.5g} was calibrated: it has drifted by"
        f" {off:.3g}, and {found.limit:g} is allowed",
        f"Run: labctl calibrate --only {procedure} (and what rests on it), then start the run again.",
        kind=kind,
    )
