"""What the simulated instruments have been told, as plain data that the optical world looks at.

The front ends (one file per instrument model) write these objects; the world reads them and never sees a command.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass
class LaserState:
    """``power_w``: set point at the output fibre, watts, emitted while ``emission`` and not ``shutter_closed``."""

    wavelength_m: float = 1550e-9
    power_w: float = 1e-3
    emission: bool = False
    shutter_closed: bool = False


@dataclass
class AttenuatorChannelState:
    """One variable attenuator with its shutter."""

    attenuation_db: float = 0.0
    shutter_open: bool = False


@dataclass
class AttenuatorState:
    """Keyed by the channel (slot) number on the instrument."""

    channels: dict[int, AttenuatorChannelState] = field(default_factory=dict)


@dataclass
class AmplifierState:
    """Pump current (A) flows while ``emission``."""

    pump_a: float = 0.0
    emission: bool = False
    interlock_open: bool = False


@dataclass
class Playback:
    """What one generator channel plays: a segment repeated.

    ``codes``: int16, the segment as it stands in memory, in DAC codes of full scale ``code_max`` (marker bits removed);
    ``loops``: repetitions, 0 means without end. ``version`` grows whenever anything of this object's content changed,
    so that the world may keep what it computed from it.
    """

    codes: NDArray[np.int16]
    loops: int
    version: int


@dataclass
class GeneratorChannelState:
    """``amplitude_vpp``: full scale, peak to peak. ``playback``: what plays; None when nothing does."""

    amplitude_vpp: float = 0.5
    output_on: bool = False
    code_max: int = 8191
    playback: Playback | None = None


@dataclass
class GeneratorState:
    """One sample clock for all channels."""

    sample_rate_hz: float = 1e9
    channels: list[GeneratorChannelState] = field(default_factory=list)


@dataclass
class DigitizerChannelState:
    """Input range, peak to peak, centred on ``offset_v``."""

    full_scale_v: float = 8.0
    offset_v: float = 0.0


@dataclass
class DigitizerState:
    """Its inputs, channel 1 first."""

    channels: list[DigitizerChannelState] = field(default_factory=list)


@dataclass
class BiasElectrodeState:
    """One electrode of a bias controller, which turns an arm of a modulator by V_pi with ``v_pi_v`` volts.

    ``point``: where it holds the arm, in V_pi off its null, missed by ``error_v``; None: it holds nothing, and applies
    ``voltage_v``. ``dither_vpp``, ``dither_hz``: its pilot tone, 0 V without.
    """

    v_pi_v: float = 5.0
    point: float | None = None
    error_v: float = 0.0
    voltage_v: float = 0.0
    dither_vpp: float = 0.0
    dither_hz: float = 0.0


@dataclass
class BiasState:
    """A bias controller's electrodes, number 1 first."""

    electrodes: list[BiasElectrodeState] = field(default_factory=list)


@dataclass
class PolarisationState:
    """``stokes``: of the light that leaves a polarisation controller, normalised; all states in turn while
    ``scrambling``.
    """

    stokes: tuple[float, float, float] = (1.0, 0.0, 0.0)
    scrambling: bool = False


@dataclass
class SwitchState:
    """Which fibre an optical switch connects its common one to, from 1."""

    position: int = 1


@dataclass
class ChannelRecord:
    """One digitizer channel's record before quantisation; the front end owns it and may overwrite ``samples``.

    ``samples``: float32 of shape (N,), contiguous; volts at the input are ``samples * volts_per_unit``.
    """

    samples: NDArray[np.float32]
    volts_per_unit: float


class WorldView(Protocol):
    """All that a simulated instrument may ask of the optical world around it. ``unit`` is its name in bench.toml."""

    def now(self) -> float:
        """The lab's time, seconds: monotonic wall time, or stepped by the control instrument."""
        ...

    def fire_trigger(self, unit: str) -> None:
        """A generator's marker fired: every armed unit's ``on_trigger`` is called, generators first."""
        ...

    def acquire(
        self, unit: str, channels: Sequence[int], sample_interval_s: float, samples: int
    ) -> dict[int, ChannelRecord]:
        """What the digitizer's inputs carry from the present trigger on, per channel (from 1)."""
        ...

    def optical_power_w(self, unit: str) -> float:
        """Mean power at the place where this unit (power meter, amplifier input) looks."""
        ...

    def arm_bias(self, unit: str, electrode: int) -> float:
        """Of the modulator's arm that an electrode (from 1) of this bias controller turns, were it not there: in V_pi
        off the arm's null; 0 for one that is connected to nothing.
        """
        ...
