"""Residual sums drawn from their laws: normal noise of a given profile gives a sum of chi-squares, and a normal t̂.

What the sequential test and the estimators see of a bench, without the bench: thousands of runs in a second.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from labctl.protocol.estimation import Receiver, ResidualSums
from labctl.protocol.verification import SequentialTest, VerificationPlan
from labctl.protocol.walk import NoiseProfile

Floats = NDArray[np.float64]


def residual_variance(
    samples: int, profile: NoiseProfile, receiver: Receiver, shape: tuple[int, ...], rng: np.random.Generator
) -> Floats:
    """σ̂² of ``shape`` independent shots: each part of the profile is a chi-square of its own."""
    total = np.zeros(shape)
    for share, excess in profile.parts:
        if share > 0:
            freedom = share * (samples - 1)  # one degree of freedom goes into t̂, from all parts alike
            total += rng.chisquare(freedom, shape) * (receiver.sigma0_sq + receiver.coupling * excess)
    return total / (samples - 1)


def calibrated_sigma0(receiver: Receiver, runs: int, rng: np.random.Generator) -> Floats:
    """What each of ``runs`` calibrations finds for σ0², shape (runs,)."""
    n0 = receiver.calibration_samples
    return receiver.sigma0_sq * (rng.chisquare(n0, runs) / n0 if math.isfinite(n0) else np.ones(runs))


def first_alarms(
    plan: VerificationPlan, returned: list[NoiseProfile], runs: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Look of the alarm in each run, 0 where there was none; each run has a calibration of its own.

    ``returned``: all that comes back, technical noise included; its calibration misses it by a normal error as planned.
    """
    receiver = plan.receiver
    columns = [
        residual_variance(layer.samples, profile, receiver, (runs, plan.images), rng)
        for layer, profile in zip(plan.layers, returned, strict=True)
    ]
    noise = np.stack(columns, axis=2).reshape(runs, plan.horizon)
    found = (noise - calibrated_sigma0(receiver, runs, rng)[:, None]) / receiver.coupling
    samples = np.tile([float(layer.samples) for layer in plan.layers], plan.images)
    pooled = np.cumsum(found * samples, axis=1) / np.cumsum(samples)
    missed = plan.common_excess_se * rng.standard_normal((runs, 1))
    alarms = pooled > SequentialTest(plan).thresholds + missed
    return np.where(alarms.any(axis=1), alarms.argmax(axis=1) + 1, 0)


def drawn_sums(
    samples: int, ss: float, transmittance: float, profile: NoiseProfile, receiver: Receiver, rng: np.random.Generator
) -> ResidualSums:
    """One shot: t̂ is normal around sqrt(κηT), the residual a sum of chi-squares."""
    spread = receiver.sigma0_sq + receiver.coupling * profile.excess
    t = math.sqrt(receiver.coupling * transmittance) + math.sqrt(spread / ss) * rng.standard_normal()
    residual = float(residual_variance(samples, profile, receiver, (1,), rng)[0]) * (samples - 1)
    return ResidualSums(samples, ss, t * ss, residual + t**2 * ss)
