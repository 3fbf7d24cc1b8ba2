"""The optical circuit of a run as boxes and links, with who is on and the power at each point. No widgets."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gui.models import RunModel
from gui.panels.instruments import status_of
from gui.quantities import scaled
from gui.theme import Status
from labctl.events import LightOff, RunStarted

#: Planck's constant times the speed of light, J m.
_HC = 6.62607015e-34 * 299792458.0


@dataclass(frozen=True)
class Box:
    """``x``, ``y``: column and row of its middle; ``detail``: a line below its name."""

    key: str
    name: str
    x: float
    y: float
    detail: str = ""
    status: Status = Status.UNKNOWN


@dataclass(frozen=True)
class Link:
    """Light from one box to another. ``power_w``: NaN where it is not known, ``measured``: by an instrument, otherwise
    computed from set points and calibrated losses; ``text``: beside it, or instead.
    """

    start: str
    end: str
    power_w: float = math.nan
    text: str = ""
    lit: bool = False
    measured: bool = False

    @property
    def label(self) -> str:
        """What stands beside it."""
        power = scaled(self.power_w, "W", 3) if math.isfinite(self.power_w) else ""
        if power:
            power = f"{power} measured" if self.measured else f"≈ {power}"
        return ", ".join(part for part in (power, self.text) if part)


@dataclass(frozen=True)
class Lit:
    """Which light there is: the laser's, with it the local oscillator; the signal's; the amplified."""

    oscillator: bool = False
    signal: bool = False
    amplified: bool = False


@dataclass(frozen=True)
class Powers:
    """Watts; NaN where it is not known. ``tapped``: on the monitor, ``measured`` by it."""

    laser: float = math.nan
    launched: float = math.nan
    tapped: float = math.nan
    measured: bool = False


@dataclass(frozen=True)
class Circuit:
    """What is drawn."""

    boxes: tuple[Box, ...]
    links: tuple[Link, ...]

    def text(self) -> str:
        """In words."""
        told = [f"{box.name}: {box.status.words}" for box in self.boxes]
        told += [f"{link.start} to {link.end}: {link.label}" for link in self.links if link.label]
        return "; ".join(told)


def circuit_of(model: RunModel) -> Circuit:
    """As the run has it: settings when the light went on, calibrated losses, images, dark once that was read back."""
    started = model.started
    if started is None:
        return nothing_known()
    try:
        return _circuit(started, model)
    except (KeyError, TypeError, ValueError, IndexError):  # a run file of a bench that is described otherwise
        return nothing_known()


def nothing_known() -> Circuit:
    """Boxes and links alone."""
    return Circuit(boxes_of({}, {}), links_of(Powers(), {}, Lit()))


def _circuit(started: RunStarted, model: RunModel) -> Circuit:
    dark = model.light_off
    bench, run, found = started.bench, started.run, started.calibration
    snapshots = started.snapshots
    laser = snapshots[bench["laser"]["instrument"]]
    power = float(laser.get("actual_power_w", laser["power_w"]))
    symbols = (bench.get("waveform") or {}).get("samples_per_symbol", 1)
    photon_j = _HC / float(bench["laser"]["wavelength"])
    launched = float(run["mean_photons"]) * photon_j * float(bench["sample_rate"]) / symbols
    attenuators = bench["modulator"]["attenuators"]
    attenuation = sum(float(snapshots[each["instrument"]][f"attenuation_{each['channel']}_db"]) for each in attenuators)
    monitor = bench.get("monitor")
    details = {
        "laser": f"{bench['laser']['wavelength'] * 1e9:.2f} nm",
        "modulator": f"−{found['modulator_loss_db']:.3g} dB",
        "attenuator": f"−{attenuation:.2f} dB",
        "loop": _going_on(model),
        "amplifier": f"G = {run['gain']:g}",
        "client": f"η = {found['client_efficiency']:.3g}",
        "server": f"η = {found['server_efficiency']:.3g}",
        "monitor": ""
        if monitor is None
        else scaled(float(snapshots[monitor["instrument"]].get("power_w", math.nan)), "W"),
    }
    names = parts_of(bench)
    states = {key: _status(parts, dark) for key, parts in names.items()}
    losses = {"out": found["link_loss_out_db"], "back": found["link_loss_back_db"], "mu": float(run["mean_photons"])}
    opened = all(snapshots[each["instrument"]].get(f"shutter_open_{each['channel']}", True) for each in attenuators)
    pumped = status_of(snapshots[bench["amplifier"]["instrument"]]) is not Status.OFF
    for key, on in (("attenuator", opened), ("amplifier", pumped)):
        if states[key] is Status.ON and not on:
            states[key] = Status.OFF
    lit = Lit(dark is None, dark is None and opened, dark is None and opened and pumped)
    tapped, measured = math.nan, False
    if monitor is not None:
        measured = "power_w" in snapshots[monitor["instrument"]]
        tapped = float(snapshots[monitor["instrument"]].get("power_w", power * float(monitor["fraction"])))
    return Circuit(boxes_of(details, states), links_of(Powers(power, launched, tapped, measured), losses, lit))


def _going_on(model: RunModel) -> str:
    """What is sent at the moment."""
    if model.light_off is not None:
        return ""
    if model.state == "paused":
        return "paused"
    return f"image {model.done_images + 1}" if model.done_images < model.expected_images else ""


def parts_of(bench: Mapping[str, Any]) -> dict[str, list[str]]:
    """Names of the instruments of each box."""
    monitor = bench.get("monitor")
    return {
        "laser": [bench["laser"]["instrument"]],
        "modulator": [bench["modulator"]["in_phase"]["instrument"], bench["modulator"]["quadrature"]["instrument"]],
        "attenuator": [each["instrument"] for each in bench["modulator"]["attenuators"]],
        "loop": [bench["unitary"]["forward_phase"]["instrument"], bench["unitary"]["return_phase"]["instrument"]],
        "amplifier": [bench["amplifier"]["instrument"]],
        "client": [bench["client_receiver"]["digitizer"]],
        "server": [bench["server_receiver"]["digitizer"]],
        "monitor": [] if monitor is None else [monitor["instrument"]],
    }


def _status(names: list[str], dark: LightOff | None) -> Status:
    if not names:
        return Status.UNKNOWN
    if dark is None:
        return Status.ON
    states = {state.instrument: state for state in dark.readback}
    if any(name in states and not states[name].dark for name in names):
        return Status.BAD
    return Status.OFF


def boxes_of(details: Mapping[str, str], states: Mapping[str, Status]) -> tuple[Box, ...]:
    """All of them, in their places."""
    places = (
        ("laser", "laser", 0.0, 1.0),
        ("monitor", "monitor", 0.0, 2.0),
        ("modulator", "modulator", 1.1, 1.0),
        ("attenuator", "attenuators", 2.2, 1.0),
        ("loop", "loop", 3.3, 1.0),
        ("amplifier", "amplifier", 4.4, 1.0),
        ("client", "client", 4.4, 0.0),
        ("server", "server", 1.1, 2.0),
    )
    return tuple(
        Box(key, name, x, y, details.get(key, ""), states.get(key, Status.UNKNOWN)) for key, name, x, y in places
    )


def links_of(powers: Powers, losses: Mapping[str, Any], lit: Lit) -> tuple[Link, ...]:
    """All of them. ``losses``: "out" and "back" in dB, and "mu", mean photons at launch."""
    out = 10 ** (-float(losses.get("out", 0)) / 10)
    back = 10 ** (-float(losses.get("back", 0)) / 10)
    mean = f"μ = {losses['mu']:g}" if "mu" in losses else ""
    launched = powers.launched
    return (
        Link("laser", "modulator", powers.laser, lit=lit.oscillator),
        Link("laser", "monitor", powers.tapped, lit=lit.oscillator, measured=powers.measured),
        Link("modulator", "attenuator", lit=lit.oscillator),
        Link("attenuator", "loop", launched, mean, lit.signal),
        Link("loop", "amplifier", launched * out, lit=lit.signal),
        Link("amplifier", "client", lit=lit.amplified),
        Link("amplifier", "server", launched * out * back, "the rest comes back", lit.amplified),
        Link("laser", "server", lit=lit.oscillator, text="LO"),
    )
