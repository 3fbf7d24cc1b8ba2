"""The client's loop: half-wave voltages of its four modulators, its loss and phase, the mode that it really takes."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final

import numpy as np

from labctl.calibration.channel import collecting, within
from labctl.calibration.modulator import known_modulator
from labctl.calibration.probe import lit_rows, probe
from labctl.calibration.procedure import Known
from labctl.calibration.result import Curve, Demand, Double, Measured, Panel
from labctl.calibration.rig import SLOTS, Complex, LoopVolts, Rig, sweep
from labctl.calibration.statistics import BLOCKS, Estimate, Moments, jackknife, solve
from labctl.optics.iq import IqModulator
from labctl.optics.unitary import loop_settings

#: Voltages of a sweep, to both sides, in the declared V_pi; an even number, since little is seen of a coupler at 0.
SWEEP, POINTS = 0.97, 12
#: Least overlap |<z'|z>|² of the mode taken with the mode wanted, at the loop's own loss.
OVERLAP: Final = 0.98
#: Errors that a departure must exceed before it counts.
SIGMAS: Final = 4.0
#: Most that a V_pi may differ from the declared one, relative.
V_PI_ERROR: Final = 0.03
#: Slots from which light goes round the loop, for its loss and phase.
ROUNDS: Final = (0, 6, 12, 18, 24, 30)
#: Seed of the mode that the overlap is measured with: any mode with something in every bin.
MODE_SEED: Final = 7
OVERLAP_LOOPS: Final = 3 * BLOCKS
#: Into how many shots that is cut.
SHOTS: Final = 5

_DRIVES: Final = ("forward_coupler", "forward_phase", "return_coupler", "return_phase")


def unitary(rig: Rig, known: Known) -> Measured:
    """V_pi of couplers (power sin²) and phase modulators (phase), one after the other, then the loop's loss."""
    model = known_modulator(known)
    found, demands, panels = [], [], []
    rig.oscillator()
    rig.signal()
    try:
        for index, name in enumerate(_DRIVES):
            fit, panel = _half_wave(rig, model, index, name)
            quantity = fit.quantity(0, f"unitary.{name}.v_pi", "V")
            found.append(quantity)
            panels.append(panel)
            declared = rig.loop_drives[index][1].v_pi
            off = quantity.value / declared - 1
            demands.append(
                Demand(
                    f"V_pi of the {name.replace('_', ' ')} is {quantity.value * 1e3:.4g} mV, {off:.2%} off the declared"
                    f" one; {V_PI_ERROR:.0%} is allowed",
                    abs(off) <= V_PI_ERROR + SIGMAS * quantity.standard_error / declared,
                    f"Put unitary.{name}.v_pi in bench.toml right, check its driver, and whether coupler and phase"
                    " modulator are exchanged.",
                )
            )
        rounds = [probe(rig, model, collecting(rig, SLOTS - 1 - each)) for each in ROUNDS]
    finally:
        rig.block()
    fit = _loop(np.array([one.client_power for one in rounds]).T, np.array([one.client_field for one in rounds]).T)
    found += [fit.quantity(0, "unitary.loop_loss", "dB"), fit.quantity(1, "unitary.loop_phase", "rad")]
    return Measured(
        found, demands, panels, ("light reaches the client's receiver in the row's last slot without loop",)
    )


def _half_wave(rig: Rig, model: IqModulator, index: int, name: str) -> tuple[Estimate, Panel]:
    declared = rig.loop_drives[index][1].v_pi
    phase = name.endswith("phase")
    volts = np.array([within(rig, index, each * declared) for each in sweep(-SWEEP, SWEEP, POINTS)])
    seen = [probe(rig, model, _with(collecting(rig), name, float(each))) for each in volts]
    forward = name.startswith("forward")
    power = np.array([one.client_power if forward else one.server_power[:, -1] for one in seen]).T
    field = np.array([one.client_field if forward else one.server_field[:, -1] for one in seen]).T
    sign = -1 if forward else 1
    if phase:
        fit = jackknife({"field": field}, lambda moments: _phase_fit(volts, moments["field"], declared, sign))
        y = np.unwrap(np.angle(field.mean(axis=0)))
        return fit, Panel(f"{name}: phase against voltage", "V", "rad", (Curve("measured", volts, y),))
    fit = jackknife({"power": power}, lambda moments: _coupler_fit(volts, np.real(moments["power"]), declared))
    y = power.mean(axis=0)
    x = np.linspace(volts[0], volts[-1], 100)
    curves = (Curve("measured", volts, y), Curve("fit", x, _coupled(x, fit.values), line=True))
    return fit, Panel(f"{name}: power against voltage", "V", "V²", curves)


def _with(loop: LoopVolts, name: str, volts: float) -> LoopVolts:
    """The same with the last slot's voltage of one modulator."""
    drive = getattr(loop, name).copy()
    drive[-1] = volts
    return replace(loop, **{name: drive})


def _coupled(volts: Double, values: Double) -> Double:
    """Power A sin²(π v/2V_π + ε); values (V_π, A, ε). Off null by ε: by the coupler itself, or by light beside it."""
    return np.asarray(values[1] * np.sin(np.pi * volts / (2 * values[0]) + values[2]) ** 2)


def _coupler_fit(volts: Double, power: Double, declared: float) -> Double:
    scale = float(power.max())

    def residuals(values: Double) -> Double:
        return _coupled(volts, values) - power / scale

    found = solve(residuals, np.array([declared, 1.0, 0.0]), "a coupler's power against its voltage")
    return np.array([found[0], found[1] * scale, found[2]])


def _phase_fit(volts: Double, field: Complex | Double, declared: float, sign: int) -> Double:
    scale = float(np.abs(field).max())

    def residuals(values: Double) -> Double:
        turn = np.exp(1j * sign * np.pi * volts / values[0])
        off = (values[1] + 1j * values[2]) * turn - field / scale
        return np.concatenate([off.real, off.imag])

    origin = complex(np.mean(field / scale * np.exp(-1j * sign * np.pi * volts / declared)))
    return solve(residuals, np.array([declared, origin.real, origin.imag]), "a modulator's phase against its voltage")


def _loop(power: Double, field: Complex) -> Estimate:
    """dB and rad of one round trip, by light that went round so many times."""
    rounds = np.array(ROUNDS, np.float64)

    def estimate(moments: Moments) -> Double:
        level = 10 * np.log10(np.real(moments["power"]))
        phase = np.unwrap(np.angle(moments["field"]))
        return np.array([-np.polyfit(rounds, level, 1)[0], np.polyfit(rounds, phase, 1)[0]])

    return jackknife({"power": power, "field": field}, estimate)


def overlap(rig: Rig, known: Known) -> Measured:
    """The mode taken where a given one is asked for, bin by bin: |<z'|z>|²/|z'|², and |z'|² against one bin alone; and
    the share of all light that comes back as it was sent, by its field.
    """
    model = known_modulator(known)
    z = probe_mode()
    loop = _settings(rig, known, z)
    rig.oscillator()
    rig.signal()
    try:
        alone = probe(rig, model, collecting(rig))
        volts_i, volts_q = lit_rows(model, np.eye(SLOTS))
        shots = [rig.shoot(volts_i, volts_q, OVERLAP_LOOPS // SHOTS, loop) for _ in range(SHOTS)]
    finally:
        rig.block()
    client = np.concatenate([shot.client for shot in shots]).reshape(BLOCKS, -1, SLOTS, 3)
    server = np.concatenate([shot.server for shot in shots]).reshape(BLOCKS, -1, SLOTS, 3, SLOTS)
    back = _own_fields(server.mean(axis=1)).sum(axis=1)
    means = client.mean(axis=1)
    noise = float((client[..., 2] - client[..., 2].mean()).var()) / OVERLAP_LOOPS
    field = means[..., 0] - means[..., 2] - 1j * (means[..., 1] - means[..., 2])
    one = np.sqrt(alone.client_power)

    def estimate(moments: Moments) -> Double:
        taken = np.conj(np.asarray(moments["field"]) / np.real(moments["one"]))
        lost = 4 * noise * SLOTS / float(np.real(moments["one"])) ** 2  # what the noise alone adds to |z'|²
        norm = float(np.sum(np.abs(taken) ** 2)) - lost
        powers = np.real(moments["server_power"])
        one_slot = float(powers[:-1].mean())
        tapped = (1 - math.sqrt(float(powers[-1]) / one_slot)) * norm  # what the tap took of the one mode's field
        passed = float(np.real(complex(moments["back"]) / complex(moments["bypass"]))) + tapped
        return np.array([float(np.abs(np.vdot(z, taken))) ** 2 / norm, norm, (passed / SLOTS) ** 2])

    moments = {"field": field, "one": one, "back": back, "server_power": alone.server_power}
    moments["bypass"] = alone.server_field[:, :-1].mean(axis=1)
    fit = jackknife(moments, estimate)
    shared, norm = float(fit.values[0]), float(fit.values[1])
    names = ("unitary.overlap", "unitary.collected", "unitary.passed")
    found = [fit.quantity(index, name) for index, name in enumerate(names)]
    demands = [
        Demand(
            f"the mode taken has an overlap of {shared:.5g} with the mode wanted, {OVERLAP:g} is needed",
            shared >= OVERLAP,
            "Calibrate the loop's V_pi, and look at its phase and loss.",
        ),
        Demand(
            f"{norm:.4g} of the mode's power is collected, half is needed",
            norm >= 0.5,
            "Lower the loop's loss, or take shorter rows.",
        ),
    ]
    slots = np.arange(SLOTS, dtype=np.float64)
    taken = np.abs(field.mean(axis=0)) / float(one.mean())
    panel = Panel(
        "the mode taken",
        "slot",
        "modulus",
        (Curve("taken", slots, taken), Curve("wanted", slots, np.abs(z), line=True)),
    )
    return Measured(found, demands, (panel,))


def _own_fields(means: Complex) -> Complex:
    """(blocks, slot lit, three rows, slot seen) -> the field of each slot's own light, (blocks, SLOTS)."""
    own = means[:, np.arange(SLOTS), :, np.arange(SLOTS)].transpose(1, 0, 2)
    return np.asarray((own[..., 0] - 1j * own[..., 1]) / 2 - (1 - 1j) / 2 * own[..., 2])


def probe_mode() -> Complex:
    """The mode that the overlap is measured with, shape (SLOTS,)."""
    parts = np.random.default_rng(MODE_SEED).standard_normal((2, SLOTS))
    z = parts[0] + 1j * parts[1]
    return np.asarray(z / np.linalg.norm(z))


def _settings(rig: Rig, known: Known, z: Complex) -> LoopVolts:
    """As a run would drive the loop, with the V_pi just measured."""
    theta, phi = loop_settings(z)
    drives = {}
    for index, name in enumerate(_DRIVES):
        angles, turn = (phi, math.pi) if name.endswith("phase") else (theta, math.pi / 2)
        v_pi = known.value(f"unitary.{name}.v_pi")
        drives[name] = np.array([within(rig, index, float(angle) / turn * v_pi) for angle in angles])
    return LoopVolts(tap=rig.bypass().tap, **drives)
