"""What must hold of the returned light beside its excess noise: transmittance and phase (docs/physics.md, section 5).

A transmittance above 1 says that a calibration is wrong, one that differs from the calibrated value that something has
changed: the first is a gate, the second a warning, since loss is priced by the leakage and never trusted.

The phase of the light against what was launched shows in q = Σ (s_X r_P - s_P r_X), summed over a stretch of a row.
With nothing but noise of variance v in each mode, q²/S has the mean v, where S = Σ (s_X² + s_P²); a stretch whose phase
is off by θ adds t² S sin² θ. Noise that is its own in every mode, which is what measuring and resending or amplifying
leaves, raises v and q alike. So the mean of q²/S beyond v tells the excess noise that a turning phase makes,
(mean q²/S - v)/(2kκη) for stretches of k modes, and nobody's measurement. A row is cut in stretches because the phase
may turn one way at its start and the other way at its end. Who turns the phase on purpose gains nothing: a failed gate
ends the run, and is never an acceptance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labctl.errors import EVERY_SHOT, GateError
from labctl.protocol.estimation import Estimate, Receiver, ResidualSums, weighted_mean
from labctl.protocol.gates import GateLimits
from labctl.protocol.intervals import normal_quantile
from labctl.values import Quadrature

#: Two-sided coverage of the intervals of T that hold for all layers at all looks together.
CONFIDENCE = 0.95
#: Real samples of a layer from which on its T is judged.
JUDGED_SAMPLES = 1000
#: That the phase of an honest run is called lost, in the whole run, at most.
PHASE_FALSE_ALARMS = 1e-6
#: Rows of a shot whose phase is looked at, evenly spaced; enough, and a small part of a large layer's time.
PHASE_ROWS = 64
#: That a row is cut in.
STRETCHES = 4
#: The honest excess g stands in the client's one mode z and passes for phase as far as z is not orthogonal to what is
#: sent: (g/2k)(mean |z_b s_b|²/|s_b|² - 1/n) over stretches b, at most this share of the honest ε = g/n.
HONEST_SHARE = 0.5
#: Of the excess beyond what is allowed: from which share on that the phase makes an alarm is the phase's.
ALARM_SHARE = 1 / 3
REMEDY = (
    "Look for a laser with too broad a line, for light and local oscillator on paths of unequal length, for"
    " vibrations; a client that turns the phase on purpose looks alike."
)
#: A warning is given from this probability on that chance alone gives none, and from this relative difference on, which
#: is what a calibrated loss is not better known to (0.004 dB).
WARNING_CONFIDENCE, WARNING_DIFFERENCE = 0.999, 1e-3


def simultaneous_half_width(found: Estimate, receiver: Receiver, shots: int, layers: int) -> float:
    """Half width of an interval of T that covers the truth at all looks at all layers, with 95 % in all.

    ``shots``: behind the estimate so far, from 1; ``layers``: that are looked at. t̂ is a normal walk in the number of
    shots k, whose two-sided normal mixture (Howard, Ramdas, McAuliffe and Sekhon, Ann. Stat. 49, 1055, 2021, eq. 14)
    with the weight at one shot is √(2(1+1/k) ln(1 + √(k+1)/2a)) of its standard errors, a of each side. The errors that
    all shots share, of η and the shot-noise unit, are added in squares with the same factor.
    """
    level = (1 - CONFIDENCE) / 2 / layers
    factor = math.sqrt(2 * (1 + 1 / shots) * math.log1p(math.sqrt(shots + 1) / (2 * level)))
    shared = math.hypot(receiver.efficiency_se / receiver.efficiency, receiver.unit_relative_se)
    return factor * math.hypot(found.transmittance_se, shared * found.transmittance)


@dataclass(frozen=True, eq=False)
class PhaseRows:
    """Rows of a layer whose phase is looked at in every shot.

    ``rows``: which; ``launched``: their s, shape (2, rows, modes); ``starts``: of the stretches in a row; ``squared``:
    S of each, shape (rows, stretches).
    """

    rows: NDArray[np.intp]
    launched: NDArray[np.float32]
    starts: NDArray[np.intp]
    squared: NDArray[np.float64]

    @classmethod
    def of(cls, launched: NDArray[np.float32]) -> PhaseRows:
        """At most PHASE_ROWS of all, evenly spaced. ``launched``: s, shape (2, rows, modes)."""
        _, rows, modes = launched.shape
        chosen = np.arange(0, rows, -(-rows // PHASE_ROWS))
        starts = np.linspace(0, modes, stretches(modes), endpoint=False).astype(np.intp)
        light = launched[:, chosen]
        squared = np.add.reduceat(np.square(light, dtype=np.float64).sum(axis=0), starts, axis=1)
        return cls(chosen, np.ascontiguousarray(light), starts, squared)

    @property
    def count(self) -> int:
        """Stretches that carry light."""
        return int(np.count_nonzero(self.squared))

    def turned(self, heard: Sequence[Quadrature]) -> float:
        """Σ q²/S over the stretches of a shot that carry light, SNU; ``heard``: r, X and P."""
        x, p = (np.multiply(each.samples[self.rows], np.float32(each.unit_snu), dtype=np.float32) for each in heard)
        q = np.add.reduceat(self.launched[0] * p - self.launched[1] * x, self.starts, axis=1)
        lit = self.squared > 0
        return float(np.sum(np.square(q[lit], dtype=np.float64) / self.squared[lit]))


def stretches(modes: int) -> int:
    """Of a row of so many modes."""
    return min(STRETCHES, modes)


@dataclass(frozen=True)
class PhaseTerms:
    """What the phase of a layer is held against.

    ``modes``: n; ``honest``, ``technical``: excess allowed, SNU; ``looks``: that the whole run takes.
    """

    modes: int
    honest: float
    technical: float
    looks: int


def phase_excess(sums: ResidualSums, found: Estimate, receiver: Receiver, modes: int) -> float:
    """Excess noise per mode that a turned phase makes, SNU; noise of the estimate may make it negative."""
    return (sums.turned / sums.stretches - found.noise) / _per_excess(receiver, modes)


def _per_excess(receiver: Receiver, modes: int) -> float:
    """2kκη: what q²/S has more for 1 SNU of excess noise by phase."""
    return 2 * modes / stretches(modes) * receiver.coupling


@dataclass(frozen=True)
class Seen:
    """Returned light: its sums, and the estimate from them."""

    sums: ResidualSums
    found: Estimate


def check_phase(name: str, so_far: Seen, shot: Seen, receiver: Receiver, terms: PhaseTerms) -> None:
    """Whether what comes back has the phase of what was sent.

    ``so_far``: everything of the layer. Its q²/S may be that of the noise, with HONEST_SHARE of
    the honest excess on top, and with the larger of the technical noise and of what the phase variance of
    :class:`GateLimits` makes. It is lost when it is beyond that by more than chance does with PHASE_FALSE_ALARMS in the
    whole run: a sum of R squared normal numbers exceeds R + 2√(Rx) + 2x with a probability of at most e^-x (Laurent and
    Massart, Ann. Stat. 28, 1302, 2000, lemma 1). Raises GateError, of the last ``shot`` where it is lost by that one
    alone, and otherwise of all of them: one by one they may all have been turned a little.
    """
    sums, found = so_far.sums, so_far.found
    if not sums.stretches:
        return
    light = max(found.transmittance, 0.0) * sums.ss / sums.n_samples
    most = HONEST_SHARE * terms.honest + max(terms.technical, light * GateLimits().phase_variance)
    allowed = _per_excess(receiver, terms.modes) * most
    rate = math.log(terms.looks / PHASE_FALSE_ALARMS)
    if not _beyond(so_far, allowed, rate):
        return
    excess = phase_excess(sums, found, receiver, terms.modes)
    angle = f", about {math.sqrt(excess / light):.2g} rad in each" if excess < light else ""
    raise GateError(
        f"{name}: the phase reference is lost: whole stretches of a row come back turned{angle}, and that alone makes"
        f" {excess:.3g} SNU of the {found.excess:.3g} SNU of excess noise per mode ({most:.2g} are allowed for)",
        REMEDY,
        shots=1 if _beyond(shot, allowed, rate) else EVERY_SHOT,
    )


def _beyond(seen: Seen, allowed: float, rate: float) -> bool:
    """Whether q²/S is more than ``allowed`` (SNU) beyond that of the noise; chance says so with e^-``rate``."""
    count = seen.sums.stretches
    spread = 1 + 2 * math.sqrt(rate / count) + 2 * rate / count
    return seen.sums.turned / count > (seen.found.noise + allowed) * spread


@dataclass(frozen=True)
class LayerPhase:
    """A layer's part in an alarm.

    ``samples``: N of the estimate; ``excess``: ε̂; ``by_phase``: what a turning phase makes of it; ``honest``,
    ``technical``: allowed; all SNU.
    """

    samples: int
    excess: float
    by_phase: float
    honest: float
    technical: float


def check_alarm(name: str, layers: Sequence[LayerPhase]) -> None:
    """Whether an alarm that is about to be raised is the phase's doing.

    It is where the turning phase makes more than ALARM_SHARE of the excess beyond what is allowed, HONEST_SHARE of the
    honest excess and all technical noise taken off first, which may pass for phase or be the phase's. Of the noise of a
    client that amplifies more, a fourth or less passes for phase (measured, of the shipped networks), so that it does
    not get there. Noise of every mode by itself leaves the phase's part at zero, with an error that is √(2k) times
    smaller than that of ε̂ for stretches of k modes. Raises GateError.
    """
    samples = [layer.samples for layer in layers]
    beyond = weighted_mean([layer.excess - layer.honest - layer.technical for layer in layers], samples)
    by_phase = weighted_mean([layer.by_phase for layer in layers], samples)
    usual = weighted_mean([HONEST_SHARE * layer.honest + layer.technical for layer in layers], samples)
    if by_phase - usual > ALARM_SHARE * beyond:
        raise GateError(
            f"{name}: the phase reference is lost: {beyond:.3g} SNU of excess noise per mode are beyond what is"
            f" allowed, enough for an alarm, and light whose phase turns makes {by_phase:.3g} SNU",
            REMEDY,
            shots=EVERY_SHOT,
        )


def differs(found: Estimate, receiver: Receiver, calibrated: float, estimates: int) -> bool:
    """Whether T is not the calibrated one: outside its interval of confidence 0.999 over ``estimates`` alike, and by
    more than a thousandth.
    """
    quantile = normal_quantile(1 - (1 - WARNING_CONFIDENCE) / estimates)
    shared = math.hypot(receiver.efficiency_se / receiver.efficiency, receiver.unit_relative_se)
    reach = quantile * math.hypot(found.transmittance_se, shared * found.transmittance)
    return abs(found.transmittance - calibrated) > max(reach, WARNING_DIFFERENCE * calibrated)


def off_calibration(name: str, found: Estimate, calibrated: float) -> str:
    """A line that tells so."""
    lost = -10 * math.log10(found.transmittance / calibrated) if found.transmittance > 0 else math.inf
    if lost > 0:
        why = "less light: a loss that was not there, a tap, or a client whose tap and gain do not fit; the leakage"
        why += " counts what is lost"
    else:
        why = "more light: a better link than the calibrated one, a wrong calibration, or a client whose tap and gain"
        why += " do not fit"
    return (
        f"{name}: transmittance {found.transmittance:.5f} +- {found.transmittance_se:.2g}, calibrated"
        f" {calibrated:.5f}, {abs(lost):.3g} dB {why}"
    )
