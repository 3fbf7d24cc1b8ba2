"""Receivers without signal: electronic noise, shot noise against the local oscillator's power, clearance, range."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from labctl.calibration.procedure import Known
from labctl.calibration.result import Curve, Demand, Double, Measured, Panel, Quantity
from labctl.calibration.rig import Rig
from labctl.calibration.statistics import BLOCKS, Moments, block_variances, jackknife, mean_of
from labctl.protocol.gates import GateLimits

#: The outputs in the order of records.
OUTPUTS: Final = ("server X", "server P", "client")
#: Powers of the laser, relative to the bench's own, that the shot noise is measured at; those that it can give.
POWERS: Final = (0.25, 0.5, 0.75, 1.0, 1.3, 1.6)
#: Most that shot noise may bend below a straight line at the bench's power, relative, before the receiver saturates.
SATURATION: Final = 0.02
#: Errors that a departure must exceed before it counts.
SIGMAS: Final = 4.0
#: Most that the two outputs of the server's receiver may differ in variance, relative: one unit stands for both.
IMBALANCE: Final = 0.02
#: Fewest steps of a digitizer per standard deviation of the dark noise or shot noise, and deviations in its half range.
STEPS, RANGE_SIGMAS = 2.0, 8.0
#: Most that an output may stand off 0 in the dark, in its digitizer's range.
OFFSET: Final = 0.02
#: Bins of a spectrum.
SPECTRUM: Final = 128


def _outputs(rig: Rig) -> list[Double]:
    server, client = rig.noise()
    return [server[0], server[1], client]


def electronic_noise(rig: Rig, known: Known) -> Measured:
    """Variance and offset of each output in the dark."""
    rig.dark()
    found, demands = [], []
    for name, samples in zip(OUTPUTS, _outputs(rig), strict=True):
        offset = float(samples.mean())
        found += [
            mean_of(f"{_key(name)}.dark_variance", block_variances(samples), "V^2"),
            Quantity(f"{_key(name)}.dark_mean", offset, _mean_error(samples), "V", BLOCKS - 1),
        ]
        limit = OFFSET * _range(rig, name)
        demands.append(
            Demand(
                f"{name}: {offset * 1e3:.3g} mV in the dark, {limit * 1e3:.3g} mV at most are allowed",
                abs(offset) <= limit,
                f"Null the offset of the {name} output, or look for stray light.",
            )
        )
    return Measured(found, demands, assumed=("laser off",))


def _mean_error(samples: Double) -> float:
    return float(samples.std()) / math.sqrt(len(samples))


def _range(rig: Rig, output: str) -> float:
    """Peak to peak, V."""
    return (rig.config.client_receiver if output == "client" else rig.config.server_receiver).full_scale


def _step(rig: Rig, output: str) -> float:
    """Of the output's digitizer, V."""
    digitizer = rig.parts.client_digitizer if output == "client" else rig.parts.server_digitizer
    return float(_range(rig, output) / 2**digitizer.capabilities.bits)


def _key(output: str) -> str:
    return output.replace(" ", "_").lower()


def shot_noise(rig: Rig, known: Known) -> Measured:
    """Variance of each output against the oscillator's power, V = a + bP + cP²: a dark, bP shot noise, cP² what is
    left of the oscillator's own noise where it is positive, saturation where it is negative.
    """
    powers, blocks = _variances(rig)
    relative = np.array([0.0, *powers])
    found: list[Quantity] = []
    demands: list[Demand] = []
    panels = []
    for index, name in enumerate(OUTPUTS):
        one: Moments = {"variance": blocks[index].T}
        fit = jackknife(one, lambda moments: _parabola(relative, moments))
        a, shot, bent = fit.values
        found += [
            fit.quantity(0, f"{_key(name)}.electronic", "V^2"),
            fit.quantity(1, f"{_key(name)}.shot", "V^2"),
            fit.quantity(2, f"{_key(name)}.bent", "V^2"),
        ]
        demands += _linear(name, shot, bent, float(fit.errors()[1]), float(fit.errors()[2]))
        panels.append(_shot_panel(name, relative, blocks[index], np.array([a, shot, bent])))
    found += _constants(relative, blocks)
    samples = rig.noise_samples
    found += [
        Quantity(f"{key}.calibration_samples", float(outputs * samples), 0.0)
        for key, outputs in (("server", 2), ("client", 1))
    ]
    x, p = (next(each for each in found if each.name == f"server_{key}.shot") for key in "xp")
    mean = (x.value + p.value) / 2
    unlike = abs(x.value - p.value) / mean if mean > 0 else 0.0
    noise = math.hypot(x.standard_error, p.standard_error) / mean if mean > 0 else 0.0
    demands.append(
        Demand(
            f"shot noise of the server's outputs X and P differs by {unlike:.2%}, at most {IMBALANCE:.0%} is allowed",
            unlike <= IMBALANCE + SIGMAS * noise,
            "Balance the gains of the two outputs: one volts_per_snu stands for both.",
        )
    )
    return Measured(found, demands, panels, ("noise of the oscillator itself goes with the square of its power",))


def _variances(rig: Rig) -> tuple[list[float], list[Double]]:
    """Relative powers, and the block variances of each output, shape (1 + powers, blocks), the dark first."""
    own = rig.config.laser.power
    wanted = [power for power in POWERS if power * own in rig.parts.laser.power_range_w]
    rig.dark()
    # A digitizer's steps are noise as soon as there is noise to spread over them, which a silent dark is not.
    steps = [_step(rig, name) ** 2 / 12 for name in OUTPUTS]
    rows = [[np.maximum(block_variances(samples), step) for samples, step in zip(_outputs(rig), steps, strict=True)]]
    powers = []
    try:
        for factor in wanted:
            rig.set_power(factor * own)
            rig.oscillator()
            powers.append(rig.laser_power() / own)
            rows.append([block_variances(samples) for samples in _outputs(rig)])
    finally:
        rig.block()
        rig.set_power(own)
    return powers, [np.array([row[index] for row in rows]) for index in range(len(OUTPUTS))]


def _parabola(relative: Double, moments: Moments) -> Double:
    """Least squares with weights 1/V², since a variance's error goes with it: (a, b, c) at relative power 1."""
    variance = np.asarray(moments["variance"], np.float64)
    design = np.stack([relative**0, relative, relative**2], axis=1)
    weights = 1 / np.maximum(variance, max(1e-6 * float(variance.max()), 1e-30))  # a silent dark counts for much
    return np.asarray(np.linalg.lstsq(design * weights[:, None], variance * weights, rcond=None)[0])


def _linear(name: str, shot: float, bent: float, shot_error: float, error: float) -> list[Demand]:
    there = bool(shot > SIGMAS * shot_error)
    share = bent / shot if shot > 0 else math.nan
    saturates = there and bool(share < -SATURATION and bent < -SIGMAS * error)
    return [
        Demand(
            f"{name}: shot noise of {shot:.3g} V² at the bench's power, {SIGMAS:g} times its error is demanded",
            there,
            "No shot noise: check that the local oscillator reaches the receiver.",
        ),
        Demand(
            f"{name}: shot noise bends by {share:.2%} off the straight line, at least {-SATURATION:.0%} is demanded:"
            f" {'the receiver saturates' if saturates else 'it does not saturate'}",
            not saturates,
            "Lower the local oscillator's power at the receiver until its noise grows in proportion.",
        ),
    ]


def _constants(relative: Double, blocks: Sequence[Double]) -> list[Quantity]:
    """Of each receiver, at the bench's power: unit in V, σ0², v_el and what the oscillator's own noise adds in SNU."""
    found: list[Quantity] = []
    for key, outputs in (("server", blocks[:2]), ("client", blocks[2:])):
        mean = np.mean(outputs, axis=0).T
        index = int(np.argmin(np.abs(relative - 1)))

        def constants(moments: Moments, nominal: int = index) -> Double:
            a, shot, bent = _parabola(relative, moments)
            power = relative[nominal]
            unit = max(shot * power, 1e-30)
            total = float(np.asarray(moments["variance"])[nominal].real)
            clear = 10 * math.log10(unit / max(a, 1e-12 * unit))
            return np.array([math.sqrt(unit), total / unit, a / unit, bent * power**2 / unit, clear])

        fit = jackknife({"variance": mean}, constants)
        for place, (name, unit) in enumerate(
            (
                ("volts_per_snu", "V"),
                ("noise_variance", "SNU"),
                ("electronic_noise", "SNU"),
                ("oscillator_noise", "SNU"),
                ("clearance", "dB"),
            )
        ):
            found.append(fit.quantity(place, f"{key}.{name}", unit))
    return found


def _shot_panel(name: str, relative: Double, blocks: Double, fit: Double) -> Panel:
    x = np.linspace(0, float(relative.max()), 50)
    errors = blocks.std(axis=1, ddof=1) / math.sqrt(BLOCKS)
    return Panel(
        f"{name}: noise against oscillator power",
        "power / the bench's own",
        "variance, V²",
        (
            Curve("measured", relative, blocks.mean(axis=1), errors),
            Curve("a + bP + cP²", x, fit[0] + fit[1] * x + fit[2] * x**2, line=True),
            Curve("a + bP", x, fit[0] + fit[1] * x, line=True),
        ),
    )


def clearance(rig: Rig, known: Known) -> Measured:
    """Shot noise over electronic noise, and over the band: spectra of each output with and without oscillator."""
    rig.dark()
    dark = [_spectrum(samples) for samples in _outputs(rig)]
    rig.oscillator()
    light = [_spectrum(samples) for samples in _outputs(rig)]
    rig.block()
    frequency = np.arange(1, SPECTRUM // 2) * rig.timing.sample_rate_hz / SPECTRUM
    found, demands, panels = [], [], []
    least = GateLimits().clearance_db
    for name, on, off in zip(OUTPUTS, light, dark, strict=True):
        ratio = jackknife({"on": on, "off": off}, _clear)
        worst = float(np.min(_db(on.mean(axis=0) - off.mean(axis=0), off.mean(axis=0))))
        found += [
            ratio.quantity(0, f"{_key(name)}.clearance", "dB"),
            Quantity(f"{_key(name)}.least_clearance", worst, float("nan"), "dB"),
        ]
        demands.append(
            Demand(
                f"{name}: shot noise is {ratio.values[0]:.3g} dB above the electronic noise ({worst:.3g} dB where it is"
                f" least), {least:g} dB are needed",
                bool(min(ratio.values[0], worst) >= least),
                "Raise the local oscillator's power, or look for pick-up and for the receiver's band.",
            )
        )
        curves = (
            Curve("oscillator on", frequency, _decibels(on), line=True),
            Curve("dark", frequency, _decibels(off), line=True),
        )
        panels.append(Panel(f"{name}: spectra", "frequency, Hz", "dB(V² per bin)", curves))
    return Measured([each for each in found if math.isfinite(each.standard_error)], demands, panels)


def _decibels(spectra: Double) -> Double:
    return np.asarray(10 * np.log10(np.maximum(spectra.mean(axis=0), 1e-30)))


def _spectrum(samples: Double) -> Double:
    """Power per bin of the one-sided spectrum without its ends, shape (blocks, SPECTRUM/2 - 1)."""
    length = len(samples) // BLOCKS // SPECTRUM * SPECTRUM
    cut = (samples - samples.mean())[: BLOCKS * length].reshape(BLOCKS, -1, SPECTRUM)
    power = np.abs(np.fft.rfft(cut, axis=2)) ** 2 / SPECTRUM**2
    return np.asarray(power.mean(axis=1)[:, 1 : SPECTRUM // 2])


def _db(signal: Double, noise: Double) -> Double:
    return np.asarray(10 * np.log10(np.maximum(signal, 1e-30) / np.maximum(noise, 1e-30)))


def _clear(moments: Moments) -> Double:
    on, off = float(np.mean(moments["on"]).real), float(np.mean(moments["off"]).real)
    return _db(np.array([on - off]), np.array([off]))


def digitizer_range(rig: Rig, known: Known) -> Measured:
    """Steps per standard deviation, and standard deviations in half the range, of each output with oscillator."""
    rig.oscillator()
    records = _outputs(rig)
    rig.block()
    found, demands = [], []
    for name, samples in zip(OUTPUTS, records, strict=True):
        sigma = mean_of("", np.sqrt(block_variances(samples)))
        half = _range(rig, name) / 2
        steps, reach = sigma.value / _step(rig, name), half / sigma.value if sigma.value > 0 else 0.0
        relative = sigma.standard_error / sigma.value if sigma.value > 0 else 0.0
        found += [
            Quantity(f"{_key(name)}.steps_per_sigma", steps, steps * relative, "", BLOCKS - 1),
            Quantity(f"{_key(name)}.range_sigmas", reach, reach * relative, "", BLOCKS - 1),
        ]
        demands.append(
            Demand(
                f"{name}: {steps:.3g} digitizer steps and {reach:.3g} half-ranges per standard deviation of the noise,"
                f" {STEPS:g} and {RANGE_SIGMAS:g} are needed",
                steps >= STEPS and reach >= RANGE_SIGMAS,
                "Change the receiver's full_scale in bench.toml, then calibrate again.",
            )
        )
    return Measured(found, demands)
