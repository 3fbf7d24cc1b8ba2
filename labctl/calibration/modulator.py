"""The server's modulator by what its receiver sees: half-wave voltages, bias, extinction, imbalance, and its inverse.

The model is that of :mod:`labctl.optics.iq`, by which a run predistorts what it sends.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from labctl.calibration.procedure import Known
from labctl.calibration.result import Curve, Demand, Double, Measured, Panel, Quantity
from labctl.calibration.rig import SLOTS, Complex, Rig
from labctl.calibration.statistics import BLOCKS, Estimate, Moments, jackknife, solve
from labctl.optics.iq import IqModulator

#: Voltages of the sweep of one arm, in full scales.
SWEEP: Final = (-1.0, -0.8, -0.6, -0.4, -0.2, 0.2, 0.4, 0.6, 0.8, 1.0)
#: Settings of both arms together, besides.
BOTH: Final = ((1, 1), (1, -1), (-1, 1), (-1, -1), (0.5, 0.5), (-0.5, -0.5), (0.5, -0.5), (-0.5, 0.5))
#: How often the segment with every setting in every slot is sent.
LOOPS: Final = 13 * BLOCKS
#: Into how many shots that is cut: an abort does not wait long, nor does an instrument for its answer.
SHOTS: Final = 5
#: Most that an arm may stand off its null, in V_pi.
BIAS: Final = 0.06
#: Most that the points may lie off the model, relative to the full field (root mean square).
MISFIT: Final = 0.01
#: Least extinction ratio of an arm.
EXTINCTION_DB: Final = 20.0
#: The angle by which Q comes after I, degrees, and what it may differ by.
QUARTER, QUARTER_LIMIT = 90.0, 10.0
#: The field, relative to both arms fully open, that other procedures send.
FIELD: Final = 0.55


def known_modulator(known: Known) -> IqModulator:
    """As measured. Raises CalibrationError where it was not."""
    names = ("v_pi_i", "v_pi_q", "bias_i", "bias_q", "leak", "gain_ratio", "angle_error")
    return IqModulator(*(known.value(f"modulator.{name}") for name in names))


def settings(rig: Rig) -> tuple[Double, Double]:
    """SLOTS settings of both arms, V, each of shape (SLOTS,); the last ones are dark."""
    pairs = [(x, 0.0) for x in SWEEP] + [(0.0, x) for x in SWEEP] + [(float(x), float(y)) for x, y in BOTH]
    pairs += [(0.0, 0.0)] * (SLOTS - len(pairs))
    one, other = (
        arm.volts(np.array(full_scales) * arm.amplitude_vpp / 2)
        for arm, full_scales in zip(rig.arms, zip(*pairs, strict=True), strict=True)
    )
    return one, other


def measured_fields(rig: Rig) -> tuple[Double, Double, Complex, Double]:
    """Settings, and for each the blocks' mean record in V, shape (blocks, SLOTS), and its mean square."""
    volts_i, volts_q = settings(rig)
    turns = (np.arange(SLOTS)[None, :] + np.arange(SLOTS)[:, None]) % SLOTS  # every setting in every slot
    rig.oscillator()
    rig.signal()
    try:
        shots = [rig.shoot(volts_i[turns], volts_q[turns], LOOPS // SHOTS, rig.bypass()) for _ in range(SHOTS)]
    finally:
        rig.block()
    seen = np.concatenate([shot.server for shot in shots]).reshape(BLOCKS, LOOPS // BLOCKS, SLOTS, SLOTS)
    sorted_ = np.empty_like(seen)
    for row in range(SLOTS):
        sorted_[:, :, row, turns[row]] = seen[:, :, row]
    return volts_i, volts_q, sorted_.mean(axis=(1, 2)), (np.abs(sorted_) ** 2).mean(axis=(1, 2))


def modulator(rig: Rig, known: Known) -> Measured:
    """V_pi, bias, extinction of each arm and their imbalance, from the mean field at 32 settings of both."""
    volts_i, volts_q, means, _ = measured_fields(rig)
    mean = means.mean(axis=0)
    unit = known.value("server.volts_per_snu")
    orders = _orders(volts_i, volts_q, mean, unit, rig)
    if not all(demand.held for demand in orders):
        return Measured((), orders, _panels(volts_i, volts_q, mean, None, 1))
    start = _start(rig, volts_i, volts_q, mean)

    def fit(moments: Moments) -> Double:
        return _fit(volts_i, volts_q, np.asarray(moments["field"]), start)

    estimate = jackknife({"field": means}, fit)
    amplitude = complex(estimate.values[0], estimate.values[1])
    model = IqModulator(*(float(value) for value in estimate.values[2:]))
    fields = amplitude * model.field(volts_i, volts_q)
    misfit = float(np.sqrt(np.mean(np.abs(mean - fields) ** 2))) / abs(amplitude)
    null_i, null_q = (float(volts) for volts in model.volts(0j))
    found = [*_quantities(estimate), Quantity("modulator.misfit", misfit, misfit / math.sqrt(2 * SLOTS - 9))]
    found += [Quantity("modulator.null_i", null_i, float(estimate.errors()[4]), "V", estimate.degrees)]
    found += [Quantity("modulator.null_q", null_q, float(estimate.errors()[5]), "V", estimate.degrees)]
    panels = _panels(volts_i, volts_q, mean, model, amplitude)
    return Measured(found, [*orders, *_demands(rig, model, misfit)], panels, ("the receiver's hybrid is balanced",))


def _orders(volts_i: Double, volts_q: Double, mean: Complex, unit: float, rig: Rig) -> list[Demand]:
    """Whether each arm does something, and Q comes a quarter turn after I."""
    ends = [int(np.argmax(np.where(other == 0, own * sign, -np.inf))) for own, other, sign in _ends(volts_i, volts_q)]
    in_phase, quadrature = (mean[ends[0]] - mean[ends[1]]) / 2, (mean[ends[2]] - mean[ends[3]]) / 2
    names = (rig.config.modulator.in_phase, rig.config.modulator.quadrature)
    demands = [
        Demand(
            f"{arm} arm ({ref.instrument} channel {ref.channel}): {abs(swing) / unit:.3g} √SNU at the server's"
            " receiver, 5 at least are demanded",
            abs(swing) > 5 * unit,
            f"Check the fibre, the laser's power and the cable of the {arm} arm.",
        )
        for arm, ref, swing in (("I", names[0], in_phase), ("Q", names[1], quadrature))
    ]
    if all(demand.held for demand in demands):
        turn = math.degrees(np.angle(quadrature / in_phase))
        swapped = abs(turn + QUARTER) < QUARTER_LIMIT
        why = ": channels are swapped" if swapped else ""
        demands.append(
            Demand(
                f"Q comes {turn:.1f}° after I, {QUARTER:g}° within {QUARTER_LIMIT:g}° are demanded{why}",
                abs(turn - QUARTER) < QUARTER_LIMIT,
                f"Exchange the X and P channels of {rig.config.server_receiver.digitizer}, or the I and Q channels of"
                f" {names[0].instrument}: cables or bench.toml."
                if swapped
                else "Set the modulator's third electrode, or the receiver's hybrid, to a quarter turn.",
            )
        )
    return demands


def _ends(volts_i: Double, volts_q: Double) -> list[tuple[Double, Double, int]]:
    return [(volts_i, volts_q, 1), (volts_i, volts_q, -1), (volts_q, volts_i, 1), (volts_q, volts_i, -1)]


def _start(rig: Rig, volts_i: Double, volts_q: Double, mean: Complex) -> Double:
    """By the declared V_pi and nothing wrong."""
    role = rig.config.modulator
    model = IqModulator(role.in_phase.v_pi, role.quadrature.v_pi, 0.0, 0.0, 0.01, 1.0, 0.0)
    fields = model.field(volts_i, volts_q)
    amplitude = complex(np.vdot(fields, mean) / np.vdot(fields, fields))
    return np.array([amplitude.real, amplitude.imag, *vars(model).values()])


def _fit(volts_i: Double, volts_q: Double, mean: NDArray[np.generic], start: Double) -> Double:
    def residuals(values: Double) -> Double:
        model = IqModulator(*values[2:])
        off = (values[0] + 1j * values[1]) * model.field(volts_i, volts_q) - mean
        return np.concatenate([off.real, off.imag])

    return solve(residuals, start, "the modulator's field against its voltages")


def _quantities(estimate: Estimate) -> list[Quantity]:
    names = ("v_pi_i", "v_pi_q", "bias_i", "bias_q", "leak", "gain_ratio", "angle_error")
    units = ("V", "V", "V", "V", "", "", "rad")
    return [
        estimate.quantity(index, f"modulator.{name}", unit)
        for index, (name, unit) in enumerate(zip(names, units, strict=True), start=2)
    ]


def _demands(rig: Rig, model: IqModulator, misfit: float) -> list[Demand]:
    found = []
    for arm, bias, v_pi, drive in (
        ("I", model.bias_i, model.v_pi_i, rig.arms[0]),
        ("Q", model.bias_q, model.v_pi_q, rig.arms[1]),
    ):
        # The least light of an arm is where its bias makes up for the other's leak; either way it is small.
        found.append(
            Demand(
                f"bias of the {arm} arm is {bias * 1e3:.3g} mV off its null, {BIAS * v_pi * 1e3:.3g} mV at most are"
                " allowed",
                abs(bias) <= BIAS * v_pi,
                f"The bias of the {arm} arm has drifted: set it to the least light, or lock its controller.",
            )
        )
        reach = drive.amplitude_vpp / 2 / v_pi
        found.append(
            Demand(
                f"the {arm} arm is driven to {reach:.4g} V_pi, 0.97 V_pi is demanded",
                reach >= 0.97,
                "Raise the channel's amplitude in bench.toml, or put a driver amplifier before the modulator.",
            )
        )
    extinction = -20 * math.log10(abs(model.leak)) if model.leak else math.inf
    found.append(
        Demand(
            f"extinction ratio of an arm is {extinction:.3g} dB, {EXTINCTION_DB:g} dB are needed",
            extinction >= EXTINCTION_DB,
            "Exchange the modulator, or check the light's polarisation before it.",
        )
    )
    found.append(
        Demand(
            f"the fields lie {misfit:.2%} of the full field off the model, {MISFIT:.0%} is allowed",
            misfit <= MISFIT,
            "Look at the plot: a receiver that saturates, an unstable phase or a driver that is not linear.",
        )
    )
    return found


def _panels(
    volts_i: Double, volts_q: Double, mean: Complex, model: IqModulator | None, amplitude: complex
) -> list[Panel]:
    panels = []
    for name, own, other in (("I", volts_i, volts_q), ("Q", volts_q, volts_i)):
        picked = np.flatnonzero(other == 0)
        picked = picked[np.argsort(own[picked])]
        seen = mean[picked] / amplitude
        curves = [
            Curve("X, measured", own[picked], seen.real),
            Curve("P, measured", own[picked], seen.imag),
        ]
        if model is not None:
            x = np.linspace(own.min(), own.max(), 100)
            field = model.field(x, x * 0) if name == "I" else model.field(x * 0, x)
            curves += [Curve("X, model", x, field.real, line=True), Curve("P, model", x, field.imag, line=True)]
        panels.append(Panel(f"field against the {name} arm's voltage", "V", "field / full field", curves))
    return panels
