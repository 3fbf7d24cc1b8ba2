"""Quality gates: data that fail one give no number (docs/physics.md, section 5).

Each check is a pure function of what was measured and of a limit. It returns nothing, or the number
that it looked at, and raises GateError with the reason: who, how much, how much is allowed, and what to
do. Nothing is repaired, and a failed gate never becomes an estimate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from labctl.errors import EVERY_SHOT, ConfigError, GateError

#: A transmittance above 1 by more than so many half widths of its interval is no statistics.
HALF_WIDTHS = 3


@dataclass(frozen=True)
class GateLimits:
    """What is demanded of a bench before its data count.

    Parameters
    ----------
    clearance_db:
        Least 10 log10(1/v_el) of a receiver.
    pilot_snr:
        Least squared amplitude of a pilot over the receiver's noise per quadrature.
    phase_variance:
        Most residual phase variance σφ² in rad²; it costs about T V_A σφ² of excess noise.
    calibration_age_s:
        Most seconds since the calibration.

    Raises
    ------
    ConfigError
        A limit that is not a positive number.
    """

    clearance_db: float = 10.0
    pilot_snr: float = 20.0
    phase_variance: float = 1e-3
    calibration_age_s: float = 86_400.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value > 0:
                raise ConfigError(f"gate limit {name} is {value}", "Give a positive number.")


@dataclass(frozen=True)
class PilotLock:
    """What phase recovery found: ``amplitude`` of a pilot in √SNU, the receiver's ``noise_variance`` per
    quadrature in SNU, and ``phase_variance``, σφ² in rad², that is left at the data."""

    amplitude: float
    noise_variance: float
    phase_variance: float


def check_pilot_lock(name: str, lock: PilotLock, limits: GateLimits) -> None:
    """Whether a receiver's pilots stand out of their noise, and the phase stands still.

    Raises GateError when they do not, or for a number that is none.
    """
    snr = lock.amplitude**2 / lock.noise_variance if lock.noise_variance > 0 else math.nan
    if not snr >= limits.pilot_snr:
        raise GateError(
            f"{name}: a pilot of {lock.amplitude:.3g} √SNU in noise of {lock.noise_variance:.3g} SNU, a ratio of"
            f" {limits.pilot_snr:.3g} in power is needed: the pilot lock is lost",
            "Check the pilots' light and the phase reference, and lock again.",
        )
    if not 0 <= lock.phase_variance <= limits.phase_variance:
        raise GateError(
            f"{name}: residual phase variance of {lock.phase_variance:.3g} rad²,"
            f" {limits.phase_variance:.3g} rad² are allowed",
            "Lock the phase again; look for vibrations and for a laser that drifts.",
        )


def check_transmittance(name: str, transmittance: float, half_width: float) -> None:
    """Whether no more light comes back than was sent: then T, and with it what leaked, would be told wrong.

    ``half_width``: of T's simultaneous interval (:func:`labctl.protocol.returned.simultaneous_half_width`). Raises
    GateError for a T that is more than three of them above 1.
    """
    if transmittance - 1 > HALF_WIDTHS * half_width:
        raise GateError(
            f"{name}: more light comes back than was sent, transmittance {transmittance:.5f} where 1 + {HALF_WIDTHS} x"
            f" {half_width:.2g} is the most allowed: loss is hidden, and the leakage would be told too small",
            f"Calibrate the light at launch (modulator.loss is {10 * math.log10(transmittance):.3g} dB off if that is"
            " all), server_receiver.efficiency and volts_per_snu; or look for a client whose amplifier and tap return"
            " more than they took.",
            shots=EVERY_SHOT,
        )


def check_clipping(name: str, clipped: int, samples: int) -> None:
    """Whether a record stayed within its digitizer's range: not one sample may lie outside.

    ``clipped``: how many did, of ``samples``. Raises GateError.
    """
    if clipped:
        raise GateError(
            f"{name}: {clipped} of {samples} samples lie outside the digitizer's range",
            "Raise the receiver's full_scale in bench.toml (and calibrate again), or lower mean_photons.",
        )


def check_clearance(name: str, electronic_noise_snu: float, limits: GateLimits) -> float:
    """Whether a receiver's shot noise stands clear of its electronic noise v_el, as just measured.

    Returns the clearance in dB, infinite without electronic noise. Raises GateError below the limit, or
    for a v_el that is negative or no number.
    """
    if not (math.isfinite(electronic_noise_snu) and electronic_noise_snu >= 0):
        raise GateError(f"{name}: electronic noise of {electronic_noise_snu} SNU", "Measure the dark noise again.")
    clearance_db = -10 * math.log10(electronic_noise_snu) if electronic_noise_snu > 0 else math.inf
    if clearance_db < limits.clearance_db:
        raise GateError(
            f"{name}: shot noise is {clearance_db:.3g} dB above the electronic noise, {limits.clearance_db:.3g} dB are"
            " needed",
            "Raise the local oscillator's power, or look for pick-up.",
        )
    return clearance_db


def check_calibration_age(name: str, calibrated_s: float, now_s: float, limits: GateLimits) -> float:
    """Whether a calibration is fresh, by one clock for both times (seconds).

    Returns its age. Raises GateError when it is older than the limit, or from the future.
    """
    age_s = now_s - calibrated_s
    if not age_s >= 0:
        raise GateError(f"{name}: calibrated {-age_s:.0f} s from now", "Set the clock right, or calibrate again.")
    if age_s > limits.calibration_age_s:
        raise GateError(
            f"{name}: calibrated {age_s / 3600:.1f} hours ago, at most {limits.calibration_age_s / 3600:g} are allowed",
            "Calibrate again.",
        )
    return age_s
