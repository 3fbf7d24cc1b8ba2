"""From the modulator to the receivers: phase reference, light against attenuation, transmittance out and back."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from labctl.calibration.modulator import FIELD, known_modulator
from labctl.calibration.probe import Probe, probe
from labctl.calibration.procedure import Known
from labctl.calibration.result import Curve, Demand, Double, Measured, Panel, Quantity
from labctl.calibration.rig import DUAL_KAPPA, SLOTS, LoopVolts, Rig, known_photons
from labctl.calibration.statistics import Moments, jackknife
from labctl.protocol.gates import GateLimits
from labctl.units import ratio_to_db

#: Attenuation beside the least one, dB, going up; then the same way down.
STEPS_DB: Final = (0.0, 3.0, 6.0, 9.0, 12.0, 15.0, 18.0)
#: Most that light may lie off the attenuator's read-back, and that the way up may differ from the way down, dB.
LINEARITY_DB, HYSTERESIS_DB = 0.05, 0.05
#: Most phase that a receiver's reference may be turned by, rad.
TURNED: Final = 0.1
#: Errors that a departure must exceed before it counts.
SIGMAS: Final = 4.0


def collecting(rig: Rig, slot: int = SLOTS - 1, tap: float | None = None) -> LoopVolts:
    """The client collects what is in one slot, and puts it back there; nothing else is touched."""
    role = rig.config.unitary
    forward, back = np.zeros(SLOTS), np.zeros(SLOTS)
    forward[slot] = within(rig, 0, role.forward_coupler.v_pi)
    back[slot] = within(rig, 2, role.return_coupler.v_pi)
    idle = rig.bypass()
    return LoopVolts(forward, idle.forward_phase, back, idle.return_phase, idle.tap if tap is None else tap)


def within(rig: Rig, drive: int, volts: float) -> float:
    """Volts as the drive really gives them: as far as it reaches, in its steps."""
    return float(rig.loop_drives[drive][1].volts(np.array([volts]))[0])


def reference(moments: Moments) -> float:
    """Server's power of the slots that the client let pass by."""
    return float(np.mean(np.real(moments["server_power"])[:-1]))


def phase_reference(rig: Rig, known: Known) -> Measured:
    """How the light's phase stands to both oscillators: turned by how much, and how it moves within a row."""
    model = known_modulator(known)
    rig.oscillator()
    rig.signal()
    try:
        seen = probe(rig, model, collecting(rig))
    finally:
        rig.block()

    def estimate(moments: Moments) -> Double:
        field = complex(np.sum(moments["server_field"][:-1]))
        client = complex(moments["client_field"])
        return np.array([_angle(field), _angle(client), np.mean(np.real(moments["server_spread"])[:-1])])

    fit = jackknife(seen.moments(), estimate)
    found = [
        fit.quantity(0, "server.phase", "rad"),
        fit.quantity(1, "client.phase", "rad"),
        fit.quantity(2, "phase_variance", "rad^2"),
    ]
    most = GateLimits().phase_variance
    variance, error = float(fit.values[2]), float(fit.errors()[2])
    locked = variance - SIGMAS * error <= most
    demands = [
        Demand(
            f"phase variance of {variance:.3g} rad² between light and oscillator, {most:g} rad² are allowed:"
            f" {'the phase is locked' if locked else 'the phase is not locked'}",
            locked,
            "Lock the phase: match the oscillator's delay to the light's, and look for vibrations or a broad laser.",
        )
    ]
    for name, angle in (("server", fit.values[0]), ("client", fit.values[1])):
        demands.append(
            Demand(
                f"{name}: light turned by {angle:.3g} rad against the oscillator, {TURNED:g} rad are allowed",
                bool(abs(angle) <= TURNED) or not locked,
                f"Turn the {name}'s oscillator back by its phase shifter.",
            )
        )
    slots = np.arange(SLOTS - 1, dtype=np.float64)
    spread = seen.server_spread.mean(axis=0)[:-1]
    panel = Panel("phase variance by place in the row", "slot", "rad²", (Curve("measured", slots, spread),))
    return Measured(found, demands, (panel,))


def _angle(field: complex) -> float:
    return math.atan2(field.imag, field.real)


def photon_number(rig: Rig, known: Known) -> Measured:
    """Light against the attenuators' read-back, up and down: slope, hysteresis, and photons at launch."""
    model = known_modulator(known)
    rig.oscillator()
    rig.signal()
    least = rig.attenuation_db
    read, seen = [], []
    try:
        for step in (*STEPS_DB, *STEPS_DB[::-1]):
            read.append(rig.attenuate(least + step))
            seen.append(probe(rig, model, rig.bypass()).server_power.mean(axis=1))
        photons = known_photons(rig) * 10 ** (rig.attenuation_db / 10)
    finally:
        rig.block()
    set_db, levels = np.array(read), np.array(seen).T

    def estimate(moments: Moments) -> Double:
        level = -ratio_db(np.real(moments["level"]))
        slope, origin = np.polyfit(set_db, level, 1)
        half = len(STEPS_DB)
        gap = level[half:][::-1] - level[:half]
        return np.concatenate([[slope, float(np.mean(gap))], level - (slope * set_db + origin)])

    fit = jackknife({"level": levels}, estimate)
    slope, gap = float(fit.values[0]), float(fit.values[1])
    off = np.abs(fit.values[2:])
    worst = float(np.max(off - SIGMAS * fit.errors()[2:]))
    found = [
        fit.quantity(0, "attenuator.slope"),
        fit.quantity(1, "attenuator.hysteresis", "dB"),
        Quantity("launch.photons_unattenuated", photons, 0.0, "per bin"),
    ]
    demands = [
        Demand(
            f"light lies up to {float(off.max()):.3g} dB off a straight line against the attenuators' read-back,"
            f" {LINEARITY_DB:g} dB are allowed",
            worst <= LINEARITY_DB,
            "Where bright light is too weak a detector saturates: lower its light. Otherwise look at the attenuators.",
        ),
        Demand(
            f"{slope:.5g} dB of light for a dB of attenuation, 1 within 0.01 is demanded",
            abs(slope - 1) <= 0.01 + SIGMAS * float(fit.errors()[0]),
            "Set the attenuators' wavelength, or have them calibrated.",
        ),
        Demand(
            f"the attenuators' way down differs by {gap:.3g} dB from the way up, {HYSTERESIS_DB:g} dB are allowed",
            abs(gap) <= HYSTERESIS_DB + SIGMAS * float(fit.errors()[1]),
            "Approach every setting from the same side, or have the attenuators looked after.",
        ),
    ]
    assumed = ("photons at launch rest on the laser's power and on modulator.loss of bench.toml",)
    return Measured(found, demands, (_ways(set_db, levels),), assumed)


def _ways(set_db: Double, levels: Double) -> Panel:
    """Up and down."""
    level = -ratio_db(levels.mean(axis=0))
    return Panel(
        "light against attenuation",
        "attenuation read back, dB",
        "light less attenuation, dB",
        (
            Curve("up", set_db[: len(STEPS_DB)], (set_db - level + level[0] - set_db[0])[: len(STEPS_DB)]),
            Curve("down", set_db[len(STEPS_DB) :], (set_db - level + level[0] - set_db[0])[len(STEPS_DB) :]),
        ),
    )


def ratio_db(power: Double) -> Double:
    """10 log10, elementwise."""
    return np.asarray(10 * np.log10(np.maximum(power, 1e-300)))


def transmittance(rig: Rig, known: Known) -> Measured:
    """Launch to the client's amplifier, and from there to the server's receiver, by the declared efficiencies."""
    model = known_modulator(known)
    rig.oscillator()
    rig.signal()
    try:
        photons = known_photons(rig)
        seen = probe(rig, model, collecting(rig))
    finally:
        rig.block()
    config = rig.config
    launched = 4 * photons * FIELD**2
    server, client = known["server.volts_per_snu"], known["client.volts_per_snu"]

    def estimate(moments: Moments) -> Double:
        whole = reference(moments) / server.value**2 / (DUAL_KAPPA * config.server_receiver.efficiency * launched)
        kept = float(np.real(moments["server_power"])[-1]) / reference(moments)
        out = float(np.real(moments["client_power"])) / client.value**2
        out /= config.client_receiver.efficiency * (1 - kept) * launched
        return np.array([whole, out, whole / out])

    fit = jackknife(seen.moments(), estimate)
    efficiency = config.server_receiver.efficiency_se / config.server_receiver.efficiency
    of_server = math.hypot(2 * server.standard_error / server.value, efficiency)
    of_client = 2 * client.standard_error / client.value
    errors = (of_server, of_client, math.hypot(of_server, of_client))
    names = ("link.transmittance", "link.transmittance_out", "link.transmittance_back")
    found = [
        fit.quantity(index, name, "", error * float(fit.values[index]))
        for index, (name, error) in enumerate(zip(names, errors, strict=True))
    ]
    demands = [
        Demand(
            f"transmittance {way} of {value.value:.4g} +- {value.standard_error:.2g}, more than 0.05 and at most 1"
            " are possible",
            0.05 < value.value <= 1 + SIGMAS * value.standard_error,
            "Check fibres and connectors; above 1 it is modulator.loss or an efficiency of bench.toml that is wrong.",
        )
        for way, value in zip(("out and back", "out", "back"), found, strict=True)
    ]
    assumed = (
        f"modulator.loss = {config.modulator.loss:g} dB",
        f"server_receiver.efficiency = {config.server_receiver.efficiency:g},"
        f" client_receiver.efficiency = {config.client_receiver.efficiency:g}",
        "the laser's power as the monitor, or its own set point, tells it",
    )
    return Measured([*found, *_losses(found)], demands, (_row(seen),), assumed)


def _losses(found: list[Quantity]) -> list[Quantity]:
    return [
        Quantity(
            f"link.loss_{way}",
            -ratio_to_db(each.value),
            10 / math.log(10) * each.standard_error / each.value,
            "dB",
            each.degrees,
        )
        for way, each in zip(("out", "back"), found[1:], strict=True)
        if each.value > 0
    ]


def _row(seen: Probe) -> Panel:
    slots = np.arange(SLOTS, dtype=np.float64)
    return Panel(
        "light by place in the row; the last one is the client's",
        "slot",
        "V²",
        (Curve("server", slots, seen.server_power.mean(axis=0)),),
    )
