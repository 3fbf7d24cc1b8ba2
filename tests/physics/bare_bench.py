"""The optical world with hand-set instruments: what the drivers would have told them, without drivers or wire."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.optics.drive import Drive
from labctl.optics.unitary import loop_settings
from sim_backends.config import WorldConfig
from sim_backends.physics import photons_per_bin
from sim_backends.state import (
    AmplifierState,
    AttenuatorChannelState,
    AttenuatorState,
    DigitizerChannelState,
    DigitizerState,
    GeneratorChannelState,
    GeneratorState,
    LaserState,
    Playback,
)
from sim_backends.world import World

RATE_HZ = 125e6
V_PI = 0.35
DRIVE = Drive(channel=1, code_max=8191, amplitude_vpp=2 * V_PI, v_pi=V_PI)

PLACES = {
    "laser": "laser",
    "modulator_i": "sender:1",
    "modulator_q": "sender:2",
    "attenuators": ["voa:1"],
    "forward_coupler": "forward:1",
    "forward_phase": "forward:2",
    "return_coupler": "back:1",
    "return_phase": "back:2",
    "tap": "tap:1",
    "amplifier": "amplifier",
    "client_receiver": "client:1",
    "server_receiver_x": "server:1",
    "server_receiver_p": "server:2",
    "power_meter": "meter",
}


@dataclass
class HandSetUnit:
    """A unit that has a state and nothing else."""

    name: str
    state: Any

    def on_trigger(self) -> None:
        """Nobody listens."""


@dataclass
class BareBench:
    """World and states; ``versions`` counts waveform changes as the generators would."""

    world: World
    laser: LaserState
    voa: AttenuatorChannelState
    amplifier: AmplifierState
    sender: GeneratorState
    forward: GeneratorState
    back: GeneratorState
    tap: GeneratorState
    versions: int = 0
    full_scale: float = 0.0
    shape: tuple[int, int] = field(default=(0, 0))

    def _play(self, state: GeneratorState, channel: int, codes: NDArray[np.int16], loops: int) -> None:
        self.versions += 1
        state.channels[channel - 1].playback = Playback(codes, loops, self.versions)
        state.channels[channel - 1].output_on = True

    def send(self, amplitudes: NDArray[np.complex128]) -> NDArray[np.complex128]:
        """Rows of amplitudes in sqrt(photons); returns what the DAC really makes of them."""
        codes = []
        for part in (amplitudes.real, amplitudes.imag):
            codes.append(DRIVE.codes(2 / np.pi * np.arcsin(part / self.full_scale)))
        self.shape = amplitudes.shape
        for channel, code in enumerate(codes, start=1):
            self._play(self.sender, channel, code.reshape(-1), 1)
        real, imag = (self.full_scale * np.sin(np.pi / 2 * DRIVE.fractions(code)) for code in codes)
        return np.asarray(real + 1j * imag)

    def project(self, z: NDArray[np.complex128], returned_fraction: float, back: bool = True) -> None:
        """Both passes collect z (or only the forward one), the tap returns this fraction."""
        theta, phi = loop_settings(z)
        codes = (DRIVE.codes(2 / np.pi * theta), DRIVE.codes(phi / np.pi))
        for state in (self.forward, self.back) if back else (self.forward,):
            for channel, code in enumerate(codes, start=1):
                self._play(state, channel, code, 0)
        level = DRIVE.codes(np.full(len(z), 2 / np.pi * np.arccos(np.sqrt(returned_fraction))))
        self._play(self.tap, 1, level, 0)

    def set_gain(self, gain: float) -> None:
        """The test world's curve: gain = 1 + pump in amperes."""
        self.amplifier.pump_a = gain - 1
        self.amplifier.emission = gain > 1

    def shoot(self, key: int = 0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(client's X per row, server's complex quadratures X + iP per row and mode in launch order), SNU."""
        rows, modes = self.shape
        self.world.set_key((key,))
        shot = self.world._new_shot(rows * modes)
        plane = shot.received[:, :, ::-1].astype(np.float64)
        return shot.measured, plane[0] + 1j * plane[1]


def bare_bench(seed: int, peak: float, beside: Mapping[str, Any] | None = None, **physics: Any) -> BareBench:
    """A bench whose modulator reaches quadrature amplitudes of ``peak``; ``physics``: tables of [world] to change.

    ``beside``: states of further units.
    """
    amplifier = {"gain_curve": [{"pump": "0 A", "gain": 1.0}, {"pump": "99 A", "gain": 100.0}]}
    tables: dict[str, Any] = {
        "units": {name: {"model": "x"} for name in (*_units(), *(beside or {}))},
        "places": PLACES,
        **physics,
        "amplifier": {**amplifier, **physics.get("amplifier", {})},
    }
    world = World(WorldConfig.model_validate(tables))
    units = {**_units(), **(beside or {})}
    world.connect({name: HandSetUnit(name, state) for name, state in units.items()})
    world.reset(seed)
    laser, voa = units["laser"], units["voa"].channels[1]
    laser.emission, laser.power_w, voa.shutter_open = True, 0.01, True
    bench = BareBench(
        world, laser, voa, units["amplifier"], units["sender"], units["forward"], units["back"], units["tap"]
    )
    photons = photons_per_bin(laser.power_w, laser.wavelength_m, RATE_HZ)
    voa.attenuation_db = 10 * np.log10(photons / (2 * peak**2))
    bench.full_scale = peak
    return bench


def _units() -> dict[str, Any]:
    def generator() -> GeneratorState:
        return GeneratorState(RATE_HZ, [GeneratorChannelState(2 * V_PI) for _ in range(2)])

    return {
        "laser": LaserState(),
        "sender": generator(),
        "voa": AttenuatorState({1: AttenuatorChannelState()}),
        "forward": generator(),
        "back": generator(),
        "tap": generator(),
        "amplifier": AmplifierState(),
        "client": DigitizerState([DigitizerChannelState()]),
        "server": DigitizerState([DigitizerChannelState(), DigitizerChannelState()]),
        "meter": None,
    }
