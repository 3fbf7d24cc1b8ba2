"""The client's tap and amplifier: returned fraction against voltage, gain and noise against pump current."""

from __future__ import annotations

from typing import Final

import numpy as np

from labctl.calibration.channel import collecting, reference, within
from labctl.calibration.modulator import known_modulator
from labctl.calibration.probe import Probe, probe
from labctl.calibration.procedure import Known
from labctl.calibration.result import Curve, Demand, Double, Measured, Panel, Quantity
from labctl.calibration.rig import Rig, sweep
from labctl.calibration.statistics import Moments, jackknife, solve

#: The tap's place among the rig's drives.
TAP: Final = 4
#: Voltages of the tap's sweep, in its declared V_pi: neither output gets dark, where an error would go unseen.
TAP_LOW, TAP_HIGH, TAP_POINTS = 0.15, 0.85, 9
#: Most that the returned fraction may lie off where it was set, and its V_pi off the declared one, relative.
FRACTION_ERROR, V_PI_ERROR = 0.02, 0.03
#: Share of the server's usual signal that is sent through the amplifier, so that the gain does not clip.
INPUT: Final = 0.45
#: Threes of rows behind each gain, in 20 blocks: for the noise as much as for the gain.
AMPLIFIER_THREES: Final = 2400
#: Most that a gain may differ from the declared one, relative.
GAIN_ERROR: Final = 0.1
#: Gain below which the added noise is too small to tell n_sp.
NOISY_GAIN: Final = 1.2
#: Errors that a departure must exceed before it counts.
SIGMAS: Final = 4.0


def tap(rig: Rig, known: Known) -> Measured:
    """Returned fraction of the collected mode against the tap's voltage: cos²(π v/2V_π) + e."""
    model = known_modulator(known)
    declared = rig.config.tap.v_pi
    volts = np.array([within(rig, TAP, each * declared) for each in sweep(TAP_LOW, TAP_HIGH, TAP_POINTS)])
    rig.oscillator()
    rig.signal()
    try:
        seen = [probe(rig, model, collecting(rig, tap=float(each))) for each in volts]
    finally:
        rig.block()
    moments: Moments = {"kept": np.array([one.server_power[:, -1] for one in seen]).T}
    moments["all"] = np.array([one.server_power[:, :-1].mean(axis=1) for one in seen]).T

    def fractions(means: Moments) -> Double:
        return np.asarray(np.real(means["kept"]) / np.real(means["all"]))

    def estimate(means: Moments) -> Double:
        found = fractions(means)

        def residuals(values: Double) -> Double:
            return np.asarray(np.cos(np.pi * volts / (2 * values[0])) ** 2 + values[1] - found)

        return solve(residuals, np.array([declared, 0.0]), "the tap's fraction against its voltage")

    fit = jackknife(moments, estimate)
    found = fractions({name: each.mean(axis=0) for name, each in moments.items()})
    error = float(fit.values[1])
    v_pi, margins = float(fit.values[0]), [float(each) for each in SIGMAS * fit.errors()]
    demands = [
        Demand(
            f"the tap returns {error:.3g} more than it was set to, {FRACTION_ERROR:g} off is allowed",
            abs(error) <= FRACTION_ERROR + margins[1],
            "Set the tap's bias, and look at its extinction.",
        ),
        Demand(
            f"V_pi of the tap is {v_pi * 1e3:.4g} mV, {v_pi / declared - 1:.2%} off the declared one; {V_PI_ERROR:.0%}"
            " is allowed",
            abs(v_pi - declared) <= V_PI_ERROR * declared + margins[0],
            "Put tap.v_pi in bench.toml right, or check its driver.",
        ),
    ]
    x = np.linspace(0, declared, 60)
    panel = Panel(
        "returned fraction against the tap's voltage",
        "V",
        "fraction",
        (
            Curve("measured", volts, found),
            Curve("fit", x, np.cos(np.pi * x / (2 * fit.values[0])) ** 2 + error, line=True),
        ),
    )
    return Measured([fit.quantity(0, "tap.v_pi", "V"), fit.quantity(1, "tap.fraction_error")], demands, [panel])


def amplifier(rig: Rig, known: Known) -> Measured:
    """Gain at each pump current of the declared curve against no pump at all, and n_sp by the client's noise."""
    model = known_modulator(known)
    points = [point for point in rig.config.amplifier.pump_calibration if point.gain > 1]
    rig.oscillator()
    rig.signal(INPUT * rig.full_amplitude())
    try:
        idle = probe(rig, model, collecting(rig), AMPLIFIER_THREES)
        pumped = []
        for point in points:
            rig.pump(point.pump)
            pumped.append(probe(rig, model, collecting(rig), AMPLIFIER_THREES))
        rig.pump(None)
    finally:
        rig.block()
    gains = [_gain(idle, seen, index) for index, seen in enumerate(pumped)]
    demands = [_gain_demand(point.pump, point.gain, gain) for point, gain in zip(points, gains, strict=True)]
    found = list(gains)
    noisy = [seen for seen, gain in zip(pumped, gains, strict=True) if gain.value > NOISY_GAIN]
    if noisy:
        n_sp = _added_noise(rig, known, idle, noisy)
        found.append(n_sp)
        demands.append(
            Demand(
                f"n_sp = {n_sp.value:.3g} +- {n_sp.standard_error:.2g}, 1 at least is possible and 3 is allowed",
                1 - SIGMAS * n_sp.standard_error <= n_sp.value <= 3,
                "Below 1 the efficiency or the shot-noise unit is wrong; above 3 look at the amplifier's pump.",
            )
        )
    currents = np.array([point.pump for point in points])
    panel = Panel(
        "gain against pump current",
        "A",
        "power gain",
        (
            Curve("measured", currents, np.array([each.value for each in gains])),
            Curve("declared", currents, np.array([point.gain for point in points]), line=True),
        ),
    )
    assumed = (f"client_receiver.efficiency = {rig.config.client_receiver.efficiency:g}, for n_sp",)
    return Measured(found, demands, [panel], assumed)


def _without(moments: Moments) -> Moments:
    return {name.removeprefix("idle_"): each for name, each in moments.items() if name.startswith("idle_")}


def _kept(moments: Moments) -> float:
    """Power of the collected mode at the server over that of the others."""
    return float(np.real(moments["server_power"])[-1]) / reference(moments)


def _gain(idle: Probe, seen: Probe, index: int) -> Quantity:
    def estimate(moments: Moments) -> Double:
        return np.array([_kept(moments) / _kept(_without(moments))])

    fit = jackknife(seen.moments() | idle.moments("idle_"), estimate)
    return fit.quantity(0, f"amplifier.gain_{index}")


def _added_noise(rig: Rig, known: Known, idle: Probe, pumped: list[Probe]) -> Quantity:
    """n_sp by the client's noise at all gains together, since they share what it is without pump.

    The weights are those of the noise's own scatter, the same for all blocks: taken from the errors found they would
    favour what fluctuates low.
    """
    unit, coupling = known["client.volts_per_snu"], rig.config.client_receiver.efficiency

    def each(moments: Moments) -> tuple[Double, Double]:
        """n_sp at each gain, and what it goes with."""
        without = _without(moments)
        kept, dark = _kept(without), float(np.real(without["client_noise"]))
        values, slopes = [], []
        for index in range(len(pumped)):
            prefix = f"{index}_"
            own = {name.removeprefix(prefix): part for name, part in moments.items() if name.startswith(prefix)}
            slope = 2 * coupling * (1 - kept) * (_kept(own) / kept - 1) * unit.value**2
            values.append((float(np.real(own["client_noise"])) - dark) / slope)
            slopes.append(slope)
        return np.array(values), np.array(slopes)

    moments = idle.moments("idle_")
    for index, seen in enumerate(pumped):
        moments |= seen.moments(f"{index}_")
    _, slopes = each({name: part.mean(axis=0) for name, part in moments.items()})
    noises = np.array([float(seen.client_noise.mean()) for seen in pumped])
    weights = (slopes / noises) ** 2
    weights /= weights.sum()
    fit = jackknife(moments, lambda means: np.array([float(weights @ each(means)[0])]))
    known_error = 2 * unit.standard_error / unit.value * float(fit.values[0])
    return fit.quantity(0, "amplifier.n_sp", "", known_error)


def _gain_demand(pump_a: float, declared: float, gain: Quantity) -> Demand:
    off = abs(gain.value / declared - 1)
    return Demand(
        f"gain of {gain.value:.4g} at {pump_a * 1e3:g} mA where {declared:.4g} is declared, {GAIN_ERROR:.0%} off it is"
        " allowed",
        off <= GAIN_ERROR + SIGMAS * gain.standard_error / declared,
        "Check the amplifier's pump and its connectors, or put amplifier.pump_calibration right.",
    )
