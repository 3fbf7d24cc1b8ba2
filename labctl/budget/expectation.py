"""Noise that client and server are to expect of one layer on a bench with known faults (docs/physics.md, section 4).

Averages over vacuum and laser noise in closed form, with the layer's own weights and the images' own data: what the
trials of the twin scatter about.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from labctl.budget.faults import Faults, Receiver
from labctl.budget.optics import Complex, Double, Loop, sent_light
from labctl.config import pump_for_gain
from labctl.experiment import DUAL_KAPPA, Experiment
from labctl.optics.modulator import HC_J_M, plan_launch
from labctl.protocol.encoding import pack_data, pack_rows
from labctl.units import db_to_ratio


@dataclass(frozen=True, eq=False)
class Expected:
    """Noise variance in SNU of the party's receiver, image by image, shape (K,)."""

    client: Double
    server: Double


@dataclass(frozen=True, eq=False)
class Scene:
    """The first layer of an experiment, and when its images are sent: ``hours`` on the lab's clock, shape (K,)."""

    layer: Experiment
    hours: Double

    @cached_property
    def wanted(self) -> Complex:
        """Amplitudes α as launched by a modulator without faults, sqrt(photons), shape (m, n)."""
        return pack_rows(self.layer.network.weights[0], self.layer.run.mean_photons, np.complex128)

    @cached_property
    def modes(self) -> Complex:
        """The data's z, shape (K, n)."""
        images = self.layer.dataset.images.reshape(self.layer.images, -1)
        return np.array([pack_data(image).z for image in images])

    @cached_property
    def full_scale(self) -> float:
        """Amplitude of one arm fully open, sqrt(photons)."""
        peak = float(max(np.abs(self.wanted.real).max(), np.abs(self.wanted.imag).max()))
        return math.sqrt(plan_launch(self.layer.bench, peak).photons / 2)

    def sent(self, faults: Faults, hours: float) -> Complex:
        """X + iP as launched, in √SNU at the laser's nominal power, shape (m, n)."""
        role = self.layer.bench.modulator
        return 2 * sent_light(self.wanted, self.full_scale, role, faults.modulator, hours)


@dataclass(frozen=True)
class Party:
    """Constants of a receiver: share of the sent power that it sees, and variances in SNU as calibrated.

    ``noise``: of what it reads without signal of the laser's noise; ``turning``: the part of it that the oscillator's
    intensity noise multiplies.
    """

    power: float
    noise: float
    turning: float
    delay: int


class _Laser:
    """Moments of e^{iW}(1 + δ/2) of light against oscillator."""

    def __init__(self, faults: Faults, bin_rate_hz: float) -> None:
        self.step = faults.laser.step_variance(bin_rate_hz)
        self.quarter = faults.laser.intensity_variance(bin_rate_hz) / 4

    @property
    def quiet(self) -> bool:
        return self.step == 0 and self.quarter == 0

    def mean(self, bins: Double) -> Double:
        """Of the phase factor of two moments so many bins apart."""
        return np.asarray(np.exp(-self.step * np.abs(bins) / 2))


def expected(scene: Scene, faults: Faults) -> Expected:
    """Of a bench with these faults."""
    at_first = scene.sent(faults, 0.0)
    drifts = faults.modulator.bias_drift_i_per_hour or faults.modulator.bias_drift_q_per_hour
    found = [
        _image(scene, faults, index, scene.sent(faults, float(hours)) if drifts else at_first)
        for index, hours in enumerate(scene.hours)
    ]
    products = [each.products for each in found]
    own = math.fsum(float(np.sum(each**2)) for each in products)
    factor = math.fsum(float(np.sum(each.mean * each.products)) for each in found) / own
    client = [
        each.square - 2 * factor * np.mean(each.mean * each.products) + factor**2 * np.mean(each.products**2)
        for each in found
    ]
    return Expected(
        np.array([value + each.client_noise for value, each in zip(client, found, strict=True)]),
        np.array([each.server for each in found]),
    )


@dataclass(frozen=True, eq=False)
class _Image:
    """``mean``, ``products``: shape (m,), of the client's number and of what it stands for; ``square``: of the number's
    part that is the light's, mean over the rows.
    """

    mean: Double
    products: Double
    square: float
    client_noise: float
    server: float


def _image(scene: Scene, faults: Faults, index: int, light: Complex) -> _Image:
    bench, run = scene.layer.bench, scene.layer.run
    hours, laser = float(scene.hours[index]), _Laser(faults, bench.bin_rate)
    gain = faults.amplifier.gain(pump_for_gain(bench.amplifier, run.gain))
    # The drive asks for cos² x = 1/G by the calibrated half-wave voltage.
    angle = math.acos(math.sqrt(1 / run.gain)) * bench.tap.v_pi / faults.tap.v_pi
    kept = min(1.0, max(0.0, math.cos(angle) ** 2 + faults.tap.fraction_error))
    added = 2 * faults.amplifier.n_sp * (gain - 1)
    drift = max(0.0, 1 + faults.laser.power_drift_per_hour * hours)
    sent = light * math.sqrt(drift)
    wanted, z = 2 * scene.wanted, scene.modes[index]
    loop = Loop.of(z, bench.unitary, faults.unitary)
    out, back = db_to_ratio(-faults.channel.loss_out), db_to_ratio(-faults.channel.loss_back)

    ear = _receiver(scene, faults, faults.client_receiver, drift)
    seen = faults.client_receiver.efficiency
    measured = replace(
        ear, power=ear.power * seen * out * (1 - kept) * gain, turning=ear.turning * seen * (1 + (1 - kept) * added)
    )
    still = ear.power * (1 - seen) + ear.noise
    mean, square = _collected(sent * loop.collected.conj(), laser, measured)

    eye = _receiver(scene, faults, faults.server_receiver, drift)
    share = DUAL_KAPPA * faults.server_receiver.efficiency * back
    in_mode = share * kept * added * float(np.sum(np.abs(loop.filled) ** 2)) / len(z)
    returned = replace(eye, power=eye.power * share * out, turning=eye.power * (1 + in_mode) + eye.noise)
    same = loop.undone and abs(kept * gain - 1) < 1e-12
    trip = None if same else loop.round_trip(math.sqrt(kept * gain))
    return _Image(
        mean=mean,
        products=np.real(wanted @ z.conj()),
        square=square,
        client_noise=still + (1 + laser.quarter) * measured.turning,
        server=(1 + laser.quarter) * returned.turning + _residual(sent, wanted, trip, laser, returned),
    )


def _receiver(scene: Scene, faults: Faults, receiver: Receiver, drift: float) -> Party:
    """Before anything is known of the light: ``power`` and ``turning`` are the vacuum's."""
    laser, rate = scene.layer.bench.laser, scene.layer.bench.bin_rate
    vacuum = receiver.shot_noise(laser.power * drift)
    noise = receiver.electronic_noise + _leak(scene, faults, receiver) * vacuum**2
    return Party(power=vacuum, noise=noise, turning=vacuum, delay=round(receiver.lo_delay * rate))


def _leak(scene: Scene, faults: Faults, receiver: Receiver) -> float:
    """What common-mode rejection leaves of the oscillator's intensity noise: 10^(-CMRR/10) η N_LO σ_δ², SNU."""
    bench = scene.layer.bench
    if receiver.cmrr is None or receiver.lo_power is None:
        return 0.0
    photons = receiver.lo_power * bench.laser.wavelength / (HC_J_M * bench.bin_rate)
    variance = faults.laser.intensity_variance(bench.bin_rate)
    return db_to_ratio(-receiver.cmrr) * receiver.efficiency * photons * variance


def _collected(parts: Complex, laser: _Laser, receiver: Party) -> tuple[Double, float]:
    """(mean, shape (m,); mean square) of Re Σ_k parts_k e^{iψ_k}(1 + δ_k/2)(1 + δ_L/2), times √power.

    ``parts``: shape (m, n), s_k z'_k*. The oscillator is of the moment of bin L = n - 1 - delay.
    """
    amplitude = math.sqrt(receiver.power)
    if laser.quiet:
        mean = amplitude * parts.real.sum(axis=1)
        return mean, float(np.mean(mean**2))
    bins = np.arange(parts.shape[1], dtype=np.float64) - (parts.shape[1] - 1 - receiver.delay)
    quarter, same = laser.quarter, bins == 0
    first = laser.mean(bins) * (1 + quarter * same)
    # E of (1 + δ/2) to the powers 2, 3, 4: 1 + q, 1 + 3q, 1 + 6q + 3q².
    either = same[:, None] | same[None, :]
    pairs = np.where(either, 1 + 3 * quarter, 1 + quarter)
    diagonal = np.where(same, 1 + 6 * quarter + 3 * quarter**2, (1 + quarter) ** 2)
    np.fill_diagonal(pairs, diagonal)
    apart = laser.mean(bins[:, None] - bins[None, :]) * pairs
    # On the same side of the oscillator's moment the phases walk together: <ψ_k ψ_l> = step * the nearer one's bins.
    near = np.minimum(np.abs(bins[:, None]), np.abs(bins[None, :]))
    shared = np.where(np.sign(bins[:, None]) == np.sign(bins[None, :]), near, 0)
    alike = np.outer(laser.mean(bins), laser.mean(bins)) * np.exp(-laser.step * shared) * pairs
    real, imag = parts.real, parts.imag
    square = np.sum((real @ (apart + alike)) * real) + np.sum((imag @ (apart - alike)) * imag)
    return amplitude * (real @ first), receiver.power * float(square) / 2 / len(parts)


def _residual(sent: Complex, wanted: Complex, trip: Complex | None, laser: _Laser, receiver: Party) -> float:
    """Variance of what t̂·wanted does not explain of the returned light, SNU.

    Bin k comes back at 2n - 1 - k less the delay, in bins after the first mode was sent. The rare bin that is read
    with the intensity of its own moment counts as the others.
    """
    samples = 2 * sent.size
    modes = sent.shape[1]
    launch = np.arange(modes, dtype=np.float64)
    arrival = 2 * modes - 1 - launch - receiver.delay
    quarter = laser.quarter
    if trip is None:
        mean = sent * laser.mean(arrival - launch)
        square = (1 + quarter) ** 2 * float(np.sum(np.abs(sent) ** 2))
    else:
        mean = sent @ (trip * laser.mean(arrival[:, None] - launch[None, :])).T
        if laser.quiet:
            square = float(np.sum(np.abs(mean) ** 2))
        else:
            apart = laser.mean(launch[:, None] - launch[None, :]) * (1 + quarter) * (1 + quarter * np.eye(modes))
            pairs = (trip.T @ trip.conj()) * apart
            square = float(np.sum(np.real((sent @ pairs) * sent.conj())))
    explained = float(np.sum(np.real(mean * wanted.conj()))) ** 2 / float(np.sum(np.abs(wanted) ** 2))
    return receiver.power * (square - explained) / (samples - 1)
