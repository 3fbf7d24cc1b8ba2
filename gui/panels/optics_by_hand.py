"""The optical circuit of a bench that is operated by hand: what was read from the instruments, and what follows."""

from __future__ import annotations

import math
from collections.abc import Mapping

from gui.panels.operate import status_of_report
from gui.panels.optics import Circuit, Lit, Powers, boxes_of, links_of, nothing_known, parts_of
from gui.quantities import scaled
from gui.theme import Status
from labctl.engine_process.messages import HandReport, InstrumentReport
from labctl.units import db_to_ratio
from labctl.values import Scalar


def circuit_by_hand(report: HandReport, reports: Mapping[str, InstrumentReport]) -> Circuit:
    """Launched is what would be with both arms of the modulator fully open."""
    try:
        return _circuit(report, reports)
    except (KeyError, TypeError, ValueError):  # an instrument that did not answer
        return nothing_known()


def _circuit(report: HandReport, reports: Mapping[str, InstrumentReport]) -> Circuit:
    bench = report.bench

    def read(instrument: str, name: str, channel: int | None = None) -> Scalar:
        for state in reports[instrument].states:
            if (state.name, state.channel) == (name, channel) and state.value is not None:
                return state.value
        raise KeyError(name)

    laser, amplifier, monitor = bench["laser"]["instrument"], bench["amplifier"]["instrument"], bench.get("monitor")
    way = [(each["instrument"], each["channel"]) for each in bench["modulator"]["attenuators"]]
    attenuation_db = sum(float(read(name, "attenuation_db", channel)) for name, channel in way)
    power_w, loss_db = float(read(laser, "power_w")), float(bench["modulator"]["loss"])
    on = read(laser, "emission") is True
    opened = all(read(name, "shutter_open", channel) is True for name, channel in way)
    pumped = read(amplifier, "emission") is True
    lit = Lit(on, on and opened, on and opened and pumped)
    powers = Powers(
        power_w if on else math.nan,
        power_w / db_to_ratio(loss_db + attenuation_db) if lit.signal else math.nan,
        math.nan if monitor is None else float(read(monitor["instrument"], "power_w")),
        measured=True,
    )
    details = {
        "laser": f"{float(read(laser, 'wavelength_m')) * 1e9:.2f} nm",
        "modulator": f"−{loss_db:.3g} dB, open",
        "attenuator": f"−{attenuation_db:.4g} dB, {'open' if opened else 'shut'}",
        "amplifier": scaled(float(read(amplifier, "pump_a")), "A", 3),
    }
    states = {key: _status([reports[name] for name in names]) for key, names in parts_of(bench).items()}
    if states["attenuator"] is not Status.BAD:
        states["attenuator"] = Status.ON if opened else Status.OFF
    losses = {"out": bench["link"]["loss_out"], "back": bench["link"]["loss_back"]}
    return Circuit(boxes_of(details, states), links_of(powers, losses, lit))


def _status(reports: list[InstrumentReport]) -> Status:
    """The worst of them; on when any is."""
    found = {status_of_report(each) for each in reports}
    return next((each for each in (Status.BAD, Status.WARNING, Status.ON, Status.OFF) if each in found), Status.UNKNOWN)
