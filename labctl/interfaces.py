"""The shared interface: Instrument, and one small abstract class per kind.

Drivers implement these classes for real instruments, and the same drivers talk to the simulated ones: the seam between
the two is the VISA library under the driver. :class:`Laser`, :class:`Modulator` and :class:`HomodyneDetector` are what
the sequencer sees; a modulator or a homodyne detector may be one box, or composed (``labctl.optics``) of the boxes
below.

Conventions: SI units, named in the argument; channels count from 1; a setter that returns has been obeyed (the driver
checked the instrument's error report). Setters raise :class:`~labctl.errors.LimitError` for a value outside the
capabilities before anything is sent, and every method may raise :class:`~labctl.errors.InstrumentError`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from labctl.clock import Clock
from labctl.values import (
    DigitizerCapabilities,
    GeneratorCapabilities,
    Identity,
    Quadrature,
    Range,
    SafeState,
    Snapshot,
    Trace,
)


class Instrument(ABC):
    """One box on the bench.

    A driver's constructor is ``Driver(name, resource, library, clock, **options)``: it touches nothing. ``open``
    connects and checks the identity; ``close`` releases the connection and does not change the instrument.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    @abstractmethod
    def open(self) -> None:
        """Connect, and check that the right instrument answers."""

    @abstractmethod
    def close(self) -> None:
        """Release the connection; safe to call twice."""

    @property
    @abstractmethod
    def identity(self) -> Identity:
        """As the instrument told it when it was opened."""

    @abstractmethod
    def safe_state(self) -> SafeState:
        """Stop emitting (whatever this kind emits), and read back that it did."""

    @abstractmethod
    def snapshot(self) -> Snapshot:
        """Every setting and reading worth keeping in a run file, read from the instrument now."""

    @abstractmethod
    def problems(self) -> Sequence[str]:
        """What the instrument itself complains about (error queue, alarms, interlocks); empty when all is well."""


class Laser(Instrument):
    """A continuous-wave source for signal and local oscillator."""

    wavelength_range_m: Range
    power_range_w: Range

    @abstractmethod
    def set_wavelength(self, wavelength_m: float) -> None: ...

    @abstractmethod
    def wavelength(self) -> float:
        """Metres, vacuum."""

    @abstractmethod
    def set_power(self, power_w: float) -> None: ...

    @abstractmethod
    def power(self) -> float:
        """The set point, watts."""

    @abstractmethod
    def set_emission(self, on: bool) -> None: ...

    @abstractmethod
    def emission(self) -> bool:
        """Whether light leaves the laser, read from it now."""


class WaveformGenerator(Instrument):
    """An arbitrary waveform generator that plays integer samples from named segments.

    The voltage of a code is ``code / code_max * amplitude_vpp / 2``. ``segment`` numbers count from 1. All channels of
    one generator start together on one trigger.
    """

    capabilities: GeneratorCapabilities

    @abstractmethod
    def configure(self, sample_rate_hz: float, amplitude_vpp: Mapping[int, float]) -> None:
        """Stop, clear all segments, set the sample clock and each channel's full scale (peak to peak)."""

    @abstractmethod
    def load(self, segment: int, codes: Mapping[int, NDArray[np.int16]]) -> None:
        """Write one segment on the channels given: int16 of shape (N,), within code_min..code_max.

        A segment is made anew when its length changes, and overwritten otherwise.
        """

    @abstractmethod
    def arm(self, segment: int, loops: int, *, external: bool) -> None:
        """Be ready to play ``segment`` ``loops`` times on all configured channels, at the next trigger.

        ``external``: the trigger comes at the trigger input, and :meth:`trigger` has no effect.
        """

    @abstractmethod
    def load_and_arm(self, segment: int, codes: Mapping[int, NDArray[np.int16]], loops: int, *, external: bool) -> None:
        """:meth:`load`, then :meth:`arm`, at the cost of one."""

    @abstractmethod
    def trigger(self) -> None:
        """Start what was armed, by command; the marker output fires at its first sample."""

    def play(self, segment: int, loops: int) -> None:
        """:meth:`arm` for a start by command, then :meth:`trigger`; a driver may do both in one message."""
        self.arm(segment, loops, external=False)
        self.trigger()

    @abstractmethod
    def stop(self) -> None: ...

    @abstractmethod
    def set_output(self, channel: int, on: bool) -> None: ...

    @abstractmethod
    def output(self, channel: int) -> bool: ...


class BiasController(Instrument):
    """Holds an electro-optic modulator at its working point.

    Its safe state is :meth:`off`, read back.
    """

    points: Sequence[str]
    bias_range_v: Range

    @abstractmethod
    def lock(self, point: str) -> None:
        """Look for a working point and hold it; returns when it is locked.

        ``point``: one of ``points``, of "null", "peak", "quadrature+" and "quadrature-". Raises LimitError for another
        one, InstrumentTimeout when none is found.
        """

    @abstractmethod
    def locked(self) -> bool:
        """Whether the controller holds a working point now; False while voltages are held by hand."""

    @abstractmethod
    def bias_voltages(self) -> Sequence[float]:
        """Volts, one per electrode, as measured or set now."""

    @abstractmethod
    def hold(self, voltages: Sequence[float]) -> None:
        """Apply fixed voltages, one per electrode, without control and without pilot tone."""

    @abstractmethod
    def off(self) -> None:
        """Neither control, nor pilot tone, nor bias."""


class OpticalSwitch(Instrument):
    """Connects its common fibre to one of several others. It emits nothing, and its safe state leaves it as it is."""

    positions: int

    @abstractmethod
    def set_position(self, position: int) -> None:
        """Positions count from 1; returns when the switch has settled."""

    @abstractmethod
    def position(self) -> int: ...


class PolarisationController(Instrument):
    """Sets the state of polarisation. It emits nothing, and its safe state leaves it as it is, scrambling off."""

    wavelength_range_m: Range

    @abstractmethod
    def set_wavelength(self, wavelength_m: float) -> None:
        """The light's vacuum wavelength, for which the controller's plates are corrected."""

    @abstractmethod
    def set_stokes(self, s1: float, s2: float, s3: float) -> None:
        """The wanted state, normalised: raises LimitError unless s1^2 + s2^2 + s3^2 is 1 within 1 %."""

    @abstractmethod
    def stokes(self) -> tuple[float, float, float]:
        """The state measured now, normalised."""

    @abstractmethod
    def degree_of_polarisation(self) -> float:
        """0 to 1, measured now."""


class Attenuator(Instrument):
    """A variable optical attenuator with shutters."""

    channels: Sequence[int]
    attenuation_range_db: Range

    @abstractmethod
    def set_attenuation(self, channel: int, attenuation_db: float) -> None: ...

    @abstractmethod
    def attenuation(self, channel: int) -> float:
        """dB, as the instrument reads it back."""

    @abstractmethod
    def set_shutter(self, channel: int, opened: bool) -> None: ...

    @abstractmethod
    def shutter(self, channel: int) -> bool:
        """True when light passes."""


class Amplifier(Instrument):
    """A fibre amplifier driven by its pump current."""

    pump_range_a: Range

    @abstractmethod
    def set_pump(self, current_a: float) -> None: ...

    @abstractmethod
    def pump(self) -> float:
        """The set point, amperes."""

    @abstractmethod
    def set_emission(self, on: bool) -> None:
        """Pump on or off; returns when the instrument has settled."""

    @abstractmethod
    def emission(self) -> bool: ...

    @abstractmethod
    def interlock_open(self) -> bool:
        """True when the interlock loop is open, that is, emission is blocked."""


class PowerMeter(Instrument):
    """An optical power meter."""

    wavelength_range_m: Range

    @abstractmethod
    def set_wavelength(self, wavelength_m: float) -> None: ...

    @abstractmethod
    def power(self) -> float:
        """Watts."""


class Digitizer(Instrument):
    """An oscilloscope or digitizer that records all its channels on one trigger."""

    capabilities: DigitizerCapabilities

    @abstractmethod
    def configure(self, full_scale_v: Mapping[int, float], sample_interval_s: float, samples: int) -> None:
        """Input range per channel (peak to peak, symmetric about 0), and ``samples`` to record from the trigger on.

        A driver may send a mere change of the record's length together with the next :meth:`arm`.
        """

    @abstractmethod
    def arm(self) -> None:
        """Wait for one external trigger."""

    @abstractmethod
    def wait(self) -> None:
        """Return when the armed record is complete; InstrumentTimeout when no trigger came."""

    @abstractmethod
    def read(self, channel: int) -> Trace:
        """The record of one channel. Raises InstrumentError unless :meth:`wait` has returned since the last arm."""

    @abstractmethod
    def stop(self) -> None: ...


class Modulator(ABC):
    """The server's transmitter: complex amplitudes in, calibrated coherent states out."""

    @abstractmethod
    def load(self, layers: Sequence[NDArray[np.complex64]]) -> Sequence[NDArray[np.complex64]]:
        """Prepare every layer (rows, modes; amplitudes in sqrt(photons) at launch) once, for any number of shots.

        Returns the amplitudes that will really be launched (DAC steps and calibrated losses included), alike in shape.
        Raises LimitError or ConfigError when a layer cannot be made with the light and the drive there is.
        """

    @abstractmethod
    def send(self, layer: int) -> None:
        """Launch one layer, row after row; ``layer`` counts from 0."""

    @abstractmethod
    def set_light(self, on: bool) -> None: ...


class HomodyneDetector(ABC):
    """A calibrated homodyne receiver: quadratures in shot-noise units out.

    ``quadratures``: 1 (homodyne) or 2 (dual quadrature, phase diverse); ``kappa`` is 1 or 1/2 accordingly.
    """

    quadratures: int
    kappa: float

    @abstractmethod
    def arm(self, rows: int, modes: int) -> None:
        """Wait for the next shot of ``rows`` rows of ``modes`` modes."""

    @abstractmethod
    def read(self) -> Sequence[Quadrature]:
        """Each quadrature's samples of the last shot, X first, modes as they arrive.

        Light that came back through a client's loop arrives in reversed bin order.

        Raises GateError when the trace is clipped or has no shot noise, instead of returning numbers.
        """


class SimulationControl(Protocol):
    """The control instrument that only a simulated lab has."""

    def reset(self, seed: int) -> None:
        """Forget faults, attacks and draws; all noise from now on follows from ``seed`` and the draw key."""
        ...

    def set_draw_key(self, *key: int) -> None:
        """Noise of the next acquisition depends on (seed, key) only."""
        ...

    def set_stepped_clock(self, stepped: bool) -> None:
        """Stepped: the lab's time moves only by ``advance`` and by its own acquisitions."""
        ...

    def now(self) -> float:
        """The lab's time, seconds."""
        ...

    def advance(self, seconds: float) -> None: ...

    def inject_fault(self, unit: str, fault: str) -> None:
        """``unit`` is an instrument's name in bench.toml; see the simulated lab's reference for the faults."""
        ...

    def clear_faults(self) -> None: ...

    def mount_attack(self, kind: str, strength: float) -> None:
        """``kind``: "all-modes", "resend", "tap", "substitution" or "injection"; see the simulated lab's reference."""
        ...

    def attacker_learned(self) -> tuple[int, float]:
        """Samples that the attacker took since the attack was mounted, and bits per mode that they tell him."""
        ...

    def close(self) -> None: ...


class InstrumentLibrary(Protocol):
    """What drivers are opened with: a VISA library, real or simulated."""

    simulated: bool

    def control(self) -> SimulationControl | None:
        """The simulated lab's control instrument; None on a real bench."""
        ...

    def clock(self) -> Clock:
        """The clock by which drivers wait: the lab's own when it is simulated."""
        ...

    def close(self) -> None: ...
