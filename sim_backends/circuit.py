"""The optical circuit: from what the instruments were told to the light between them.

laser -> IQ modulator -> attenuators -> fibre -> time-bin loop (unitary) -> amplifier -> tap -> client's homodyne
receiver, and the rest back through the loop and the fibre to the server's dual-quadrature receiver. Only decoded
generator samples and instrument settings enter; what they mean is nobody's business here.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from labctl.errors import ConfigError
from labctl.units import db_to_ratio
from sim_backends.alignment import Alignment
from sim_backends.config import WorldConfig
from sim_backends.faults import UNDISTURBED, Disturbance
from sim_backends.physics import (
    Complex,
    Double,
    Float,
    IqImbalance,
    LoopDrive,
    iq_transfer,
    photons_per_bin,
    plane_of,
    reversed_bins,
)
from sim_backends.state import (
    AmplifierState,
    AttenuatorChannelState,
    AttenuatorState,
    GeneratorChannelState,
    GeneratorState,
    LaserState,
)
from sim_backends.waveform_bench import SampledSender

S = TypeVar("S")

#: How many launched waveforms are remembered (one per layer of a run, with room to spare).
REMEMBERED = 8
#: Samples of a sender's burst; of a longer one a single pass is looked at.
MAX_BURST = 1 << 26


class Launch:
    """A burst as it leaves the server. ``plane``: mean quadratures, shape (2, M, B), in launch order."""

    def __init__(self, plane: Float) -> None:
        self.plane = plane
        self._returned: tuple[float, Float] = (math.nan, np.empty(0, np.float32))

    def returned(self, amplitude: float) -> Float:
        """The same with bins reversed, times ``amplitude``; the last one is remembered."""
        if self._returned[0] != amplitude:
            self._returned = (amplitude, reversed_bins(self.plane) * np.float32(amplitude))
        return self._returned[1]


@dataclass(frozen=True)
class ClientOptics:
    """The client's settings at one shot; ``rows``: how many rows the unitary is driven for."""

    forward: LoopDrive
    back: LoopDrive
    rows: int
    gain: float
    n_sp: float
    returned_fraction: float


def drive_volts(channel: GeneratorChannelState) -> Double:
    """Volts at a generator's output for one pass through its segment, shape (N,); empty when it does not play."""
    if channel.playback is None:
        return np.empty(0)
    scale = channel.amplitude_vpp / 2 / channel.code_max if channel.output_on else 0.0
    return np.asarray(channel.playback.codes * scale, dtype=np.float64)


def _burst_volts(channel: GeneratorChannelState, length: int) -> Double:
    """Volts for all of a burst, or one pass through an endless one, and none up to ``length``."""
    volts, loops = drive_volts(channel), _loops(channel)
    if loops > 1:
        volts = np.tile(volts, loops)
    if loops and len(volts) < length:
        return np.concatenate([volts, np.zeros(length - len(volts))])
    return _repeated(volts, length)


def _loops(channel: GeneratorChannelState) -> int:
    """Of a burst; 0 for endless output, and for a burst too long to be laid out."""
    playback = channel.playback
    return 0 if playback is None or playback.loops * len(playback.codes) > MAX_BURST else playback.loops


def _burst_length(channel: GeneratorChannelState) -> int:
    return 0 if channel.playback is None else len(channel.playback.codes) * max(1, _loops(channel))


def _repeated(volts: Double, length: int) -> Double:
    """The segment over and over; no voltage where nothing plays."""
    if len(volts) == length:
        return volts
    return np.resize(volts, length) if len(volts) else np.zeros(length)


def _at(place: str, channels: Mapping[int, S], channel: int) -> S:
    if channel not in channels:
        known = ", ".join(map(str, channels))
        raise ConfigError(f"[world.places] names {place!r}; the unit has channels {known}", "Name one of its channels.")
    return channels[channel]


def _same_drive(one: GeneratorChannelState, other: GeneratorChannelState) -> bool:
    """Whether two channels put out the same voltages."""
    if one.playback is None or other.playback is None:
        return False
    return (one.output_on, one.amplitude_vpp, one.code_max) == (
        other.output_on,
        other.amplitude_vpp,
        other.code_max,
    ) and np.array_equal(one.playback.codes, other.playback.codes)


class Circuit:
    """Looks at the instruments' states through the places of the bench."""

    def __init__(self, config: WorldConfig, states: Mapping[str, object]) -> None:
        self._config = config
        self._states = states
        #: What is wrong with the units' light, by their names.
        self.disturbances: dict[str, Disturbance] = {}
        #: Since the lab's clock began; what drifts has drifted for this long.
        self.time_s = 0.0
        self._sampled = None if config.waveform is None else SampledSender(config.waveform)
        self._launches: OrderedDict[tuple[object, ...], Launch] = OrderedDict()
        places = config.places
        self.laser = self._state(places.laser, LaserState)
        self.amplifier = self._state(places.amplifier, AmplifierState)
        self._modulator = (self._drive(places.modulator_i), self._drive(places.modulator_q))
        self._attenuators = [self._attenuator(place) for place in places.attenuators]
        self._loop = [
            self._drive(place)
            for place in (
                places.forward_coupler,
                places.forward_phase,
                places.return_coupler,
                places.return_phase,
            )
        ]
        self._tap = self._drive(places.tap)
        self._clock = self._state(places.modulator_i.partition(":")[0], GeneratorState)
        self._alignment = Alignment(config, self._state)

    def _state(self, unit: str, kind: type[S]) -> S:
        state = self._states.get(unit)
        if not isinstance(state, kind):
            raise ConfigError(
                f"[world.places] puts {unit!r} where a unit with a {kind.__name__} must stand",
                "Mend [world.places]: name a unit of the right model there.",
            )
        return state

    def _drive(self, place: str) -> GeneratorChannelState:
        unit, _, channel = place.partition(":")
        channels = self._state(unit, GeneratorState).channels
        return _at(place, dict(enumerate(channels, start=1)), int(channel))

    def _attenuator(self, place: str) -> AttenuatorChannelState:
        unit, _, channel = place.partition(":")
        return _at(place, self._state(unit, AttenuatorState).channels, int(channel))

    @property
    def bin_rate_hz(self) -> float:
        """One bin per sample of the server's generator, or per so many samples as a pulse has."""
        return self.sample_rate_hz / (1 if self._sampled is None else self._sampled.samples_per_symbol)

    @property
    def sample_rate_hz(self) -> float:
        """Of the server's generator."""
        return self._clock.sample_rate_hz

    def attenuation_db(self) -> float:
        """Sum of the attenuators in series; infinite when a shutter is closed."""
        if not all(attenuator.shutter_open for attenuator in self._attenuators):
            return float("inf")
        return sum(attenuator.attenuation_db for attenuator in self._attenuators)

    def emitted_power_w(self) -> float:
        """Watts out of the laser's fibre."""
        if not self.laser.emission or self.laser.shutter_closed:
            return 0.0
        drift = self._config.laser.power_drift_per_hour
        power_w = self.laser.power_w * self._disturbed(self._config.places.laser).power_factor
        return power_w * max(0.0, 1 + drift * self.time_s / 3600) if drift else power_w

    def wavelength_m(self) -> float:
        """Of the light that leaves the laser, in vacuum."""
        return self.laser.wavelength_m + self._disturbed(self._config.places.laser).wavelength_shift_m

    def _disturbed(self, unit: str) -> Disturbance:
        return self.disturbances.get(unit, UNDISTURBED) if self.disturbances else UNDISTURBED

    @property
    def modulator_units(self) -> tuple[str, str]:
        """Who drives its arms, in phase first."""
        places = self._config.places
        return places.modulator_i.partition(":")[0], places.modulator_q.partition(":")[0]

    def arm_bias(self, place: str) -> float:
        """Of the arm that an electrode "unit:electrode" turns, were it not there: in V_pi off its null; 0 of none."""
        arm = self._alignment.arm(place)
        return 0.0 if arm is None else self._own_biases(self._config.modulator.imbalance(self.time_s))[arm]

    def _own_biases(self, found: IqImbalance) -> tuple[float, float]:
        """Of both arms without their controllers, in V_pi off their nulls."""
        physics = self._config.modulator
        shifts = [self._disturbed(unit).bias_shift for unit in self.modulator_units]
        return found.bias_i_v / physics.v_pi_i + shifts[0], found.bias_q_v / physics.v_pi_q + shifts[1]

    def _imbalance(self) -> IqImbalance:
        """Of the modulator, now."""
        physics = self._config.modulator
        found = physics.imbalance(self.time_s)
        if not self.disturbances and not self._alignment.biased:
            return found
        own = self._own_biases(found)
        bias_i, bias_q = (self._alignment.bias(arm, own[arm], self.time_s) for arm in (0, 1))
        return replace(found, bias_i_v=bias_i * physics.v_pi_i, bias_q_v=bias_q * physics.v_pi_q)

    def overlaps(self) -> tuple[float, float]:
        """Power fraction of the light that arrives at the client's and at the server's receiver as they can see it."""
        return self._alignment.overlaps()

    def bins_per_row(self) -> int:
        """The length of the unitary's drive; 0 when it is not driven."""
        coupler = self._loop[0]
        return len(coupler.playback.codes) if coupler.playback is not None and coupler.output_on else 0

    def launch(self, bins: int) -> Launch | None:
        """What the server sends, cut in rows of ``bins``; None when its generator does not play."""
        in_phase, quadrature = self._modulator
        if in_phase.playback is None or quadrature.playback is None:
            return None
        key = (
            in_phase.playback.version,
            quadrature.playback.version,
            in_phase.amplitude_vpp,
            quadrature.amplitude_vpp,
            in_phase.output_on,
            quadrature.output_on,
            self.emitted_power_w(),
            self.wavelength_m(),
            self.attenuation_db(),
            self.bin_rate_hz,
            bins,
            self._imbalance(),
            self._turned_rad(),
        )
        if key not in self._launches:
            field = self._field(in_phase, quadrature)
            if self._sampled is not None:
                field = self._sampled.symbols(field, bins, self.sample_rate_hz)
            missing = -len(field) % bins
            plane = plane_of(np.concatenate([field, np.zeros(missing)]), (len(field) + missing) // bins)
            self._launches[key] = Launch(plane)
            if len(self._launches) > REMEMBERED:
                self._launches.popitem(last=False)
        self._launches.move_to_end(key)
        return self._launches[key]

    def _field(self, in_phase: GeneratorChannelState, quadrature: GeneratorChannelState) -> Complex:
        photons = photons_per_bin(self.emitted_power_w(), self.wavelength_m(), self.sample_rate_hz)
        photons *= db_to_ratio(-(self._config.modulator.loss + self.attenuation_db()))
        field = np.asarray(np.sqrt(photons) * self._transfer(in_phase, quadrature))
        turned = self._turned_rad()
        return field * np.exp(1j * turned) if turned else field

    def _turned_rad(self) -> float:
        """Phase of the light against both oscillators, beside what the laser's own noise does to it."""
        return math.radians(self._config.channel.phase_drift_deg_per_hour) * self.time_s / 3600

    def _transfer(self, in_phase: GeneratorChannelState, quadrature: GeneratorChannelState) -> Complex:
        physics = self._config.modulator
        length = max(_burst_length(in_phase), _burst_length(quadrature))
        v_i, v_q = _burst_volts(in_phase, length), _burst_volts(quadrature, length)
        if self._sampled is not None:
            v_i, v_q = self._sampled.electrodes(v_i, v_q, self.sample_rate_hz)
        return np.asarray(iq_transfer(v_i, v_q, physics.v_pi_i, physics.v_pi_q, self._imbalance()), np.complex128)

    def client(self, bins: int) -> ClientOptics:
        """The client's optics for rows of ``bins`` bins."""
        physics = self._config.unitary
        transmittance, phase = db_to_ratio(-physics.loop_loss), math.radians(physics.loop_phase_error_deg)
        forward = LoopDrive(
            self._angles(self._loop[0], bins, np.pi / 2 / physics.v_pi_forward_coupler),
            self._angles(self._loop[1], bins, np.pi / physics.v_pi_forward_phase),
            transmittance,
            phase,
        )
        back = forward
        if not self._returns_as_it_came():
            back = LoopDrive(
                self._angles(self._loop[2], bins, np.pi / 2 / physics.v_pi_return_coupler),
                self._angles(self._loop[3], bins, np.pi / physics.v_pi_return_phase),
                transmittance,
                phase,
            )
        playback = self._loop[0].playback
        return ClientOptics(
            forward=forward,
            back=back,
            rows=0 if playback is None else playback.loops or np.iinfo(np.int64).max,
            gain=self.gain(),
            n_sp=self._config.amplifier.n_sp,
            returned_fraction=self._returned_fraction(),
        )

    def _returns_as_it_came(self) -> bool:
        """Whether the return pass has exactly the forward pass's settings."""
        physics = self._config.unitary
        if (physics.v_pi_forward_coupler, physics.v_pi_forward_phase) != (
            physics.v_pi_return_coupler,
            physics.v_pi_return_phase,
        ):
            return False
        return all(_same_drive(there, back) for there, back in zip(self._loop[:2], self._loop[2:], strict=True))

    @staticmethod
    def _angles(channel: GeneratorChannelState, bins: int, per_volt: float) -> Double:
        return np.asarray(_repeated(drive_volts(channel), bins) * per_volt)

    def gain(self) -> float:
        """The amplifier's power gain; 1 (a piece of fibre) when it is not pumped."""
        if not self.amplifier.emission or self.amplifier.interlock_open:
            return 1.0
        physics = self._config.amplifier
        pumps, gains = zip(*((point.pump, point.gain) for point in physics.gain_curve), strict=True)
        return max(1.0, float(np.interp(self.amplifier.pump_a, pumps, gains)) * (1 + physics.gain_error))

    def _returned_fraction(self) -> float:
        """Of the tap, at the moment the collected mode passes it: the last sample of its drive."""
        tap = self._tap
        physics = self._config.tap
        fraction = 1.0
        if tap.playback is not None and tap.output_on:
            volts = float(tap.playback.codes[-1]) * tap.amplitude_vpp / 2 / tap.code_max
            fraction = math.cos(math.pi * volts / (2 * physics.v_pi)) ** 2
        fraction += physics.fraction_error
        if not -1e-9 <= fraction <= 1 + 1e-9:
            raise ConfigError(
                f"[world.tap] fraction_error = {physics.fraction_error:g}: it would return {fraction:.4g} of its light",
                "Give an error that keeps the fraction between 0 and 1 at the gain used.",
            )
        return min(1.0, max(0.0, fraction))

    def power_seen_w(self, unit: str) -> float:
        """Mean power at a bias controller's tap, behind the modulator, or behind the attenuator "unit:channel"."""
        return (
            self._power_behind_w(0) if self._alignment.watches_modulator(unit) else self.power_behind_attenuator_w(unit)
        )

    def launched_power_w(self) -> float:
        """Mean optical power sent to the client."""
        return self._power_behind_w(len(self._attenuators))

    def power_behind_attenuator_w(self, place: str) -> float:
        """Mean power that leaves the attenuator "unit:channel"; 0 for one that the light does not pass."""
        places = self._config.places.attenuators
        return self._power_behind_w(places.index(place) + 1) if place in places else 0.0

    def _power_behind_w(self, attenuators: int) -> float:
        """Mean power behind the modulator and the first so many attenuators."""
        in_phase, quadrature = self._modulator
        passed = self._attenuators[:attenuators]
        if in_phase.playback is None or quadrature.playback is None or not all(each.shutter_open for each in passed):
            return 0.0
        loss = self._config.modulator.loss + sum(each.attenuation_db for each in passed)
        transmitted = float(np.mean(np.abs(self._transfer(in_phase, quadrature)) ** 2))
        return self.emitted_power_w() * db_to_ratio(-loss) * transmitted
