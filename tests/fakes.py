"""A bench without wires: in-memory instruments of every kind that look into the optical twin directly.

They stand in for drivers ("tests.fakes:FakeLaser") and for the library that opens them, note down what they were told
in one common log, and fail where a test plans it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

import labctl.bench
from labctl.clock import Clock, SteppedClock
from labctl.errors import InstrumentLost
from labctl.interfaces import Amplifier, Attenuator, Digitizer, Instrument, Laser, PowerMeter, WaveformGenerator
from labctl.shipped import examples
from labctl.values import DigitizerCapabilities, GeneratorCapabilities, Identity, Range, SafeState, Snapshot, Trace
from sim_backends.config import load_world
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

#: Driver of the shipped bench -> stand-in.
STAND_INS = {
    "drivers.santec_tsl570:TSL570": "tests.fakes:FakeLaser",
    "drivers.keysight_m8190a:M8190A": "tests.fakes:FakeGenerator",
    "drivers.keysight_n7764a:N7764A": "tests.fakes:FakeAttenuator",
    "drivers.amonics_aedfa:AEDFA": "tests.fakes:FakeAmplifier",
    "drivers.keysight_infiniivision:InfiniiVision": "tests.fakes:FakeDigitizer",
    "drivers.thorlabs_pm100d:PM100D": "tests.fakes:FakePowerMeter",
}
BITS_14 = GeneratorCapabilities(2, Range(1e6, 8e9), Range(0.1, 0.7), 14, -8192, 8191, 48, 240, 2**30)
BITS_12 = GeneratorCapabilities(2, Range(1e6, 12e9), Range(0.1, 0.7), 12, -2048, 2047, 64, 320, 2**30)


class FakeControl:
    """The control instrument of the lab."""

    def __init__(self, library: FakeLibrary) -> None:
        self._library = library
        self.keys: list[tuple[int, ...]] = []

    def reset(self, seed: int) -> None:
        self._library.world.reset(seed)

    def set_draw_key(self, *key: int) -> None:
        self.keys.append(key)
        self._library.world.set_key(key)

    def set_stepped_clock(self, stepped: bool) -> None:
        self._library.world.set_stepped(stepped)

    def now(self) -> float:
        return self._library.world.now()

    def advance(self, seconds: float) -> None:
        self._library.world.advance(seconds)

    def inject_fault(self, unit: str, fault: str) -> None:
        raise NotImplementedError

    def clear_faults(self) -> None:
        raise NotImplementedError

    def close(self) -> None: ...


class FakeLibrary:
    """One lab. ``log``: (instrument, method, arguments), in order; ``plans``: what a call raises or does instead."""

    latest: ClassVar[FakeLibrary]
    made: ClassVar[int] = 0

    def __init__(self, name: str) -> None:
        self.simulated = name.endswith("@labctl")
        bench = Path(name.removesuffix("@labctl")) if self.simulated else examples() / "ideal.bench.toml"
        config, _ = load_world(bench)
        self.world = World(config)
        self.units: dict[str, Any] = {}
        self.log: list[tuple[Any, ...]] = []
        self.plans: dict[tuple[str, str], Callable[[], None] | BaseException] = {}
        self.fake_control = FakeControl(self)
        self.closed = False
        FakeLibrary.latest = self
        FakeLibrary.made += 1

    def control(self) -> FakeControl:
        return self.fake_control

    def clock(self) -> Clock:
        return SteppedClock()

    def close(self) -> None:
        self.closed = True

    def add(self, unit: Fake, state: Any) -> None:
        unit.state = state
        self.units[unit.name] = unit

    def lit_world(self) -> World:
        """The world with everybody at their places."""
        if self.world._circuit is None:
            self.world.connect(self.units)
        return self.world

    def actions(self, *names: str) -> list[tuple[Any, ...]]:
        """The log of some instruments."""
        return [entry for entry in self.log if entry[0] in names]


class Fake(Instrument):
    """What all stand-ins have in common."""

    state: Any

    def __init__(self, name: str, resource: str, library: FakeLibrary, clock: Clock, **options: Any) -> None:
        super().__init__(name)
        self.resource, self.library, self.options = resource, library, options
        self.opened = False
        library.add(self, self.new_state())

    def new_state(self) -> Any:
        return None

    def did(self, method: str, *arguments: Any) -> None:
        self.library.log.append((self.name, method, *arguments))
        planned = self.library.plans.get((self.name, method))
        if isinstance(planned, BaseException):
            raise planned
        if planned is not None:
            planned()

    def open(self) -> None:
        self.did("open")
        self.opened = True

    def close(self) -> None:
        self.did("close")
        self.opened = False

    @property
    def identity(self) -> Identity:
        return Identity("FAKE", type(self).__name__, "1", "0")

    def go_dark(self) -> None: ...

    def dark(self) -> bool:
        return True

    def safe_state(self) -> SafeState:
        self.did("safe_state")
        self.go_dark()
        return SafeState(self.name, self.dark(), {"read_back": self.dark()})

    def snapshot(self) -> Snapshot:
        return {"opened": self.opened}

    def problems(self) -> Sequence[str]:
        return []

    def on_trigger(self) -> None: ...


class FakeLaser(Fake, Laser):
    wavelength_range_m = Range(1.5e-6, 1.6e-6, "m")
    power_range_w = Range(0, 0.1, "W")

    def new_state(self) -> LaserState:
        return LaserState()

    def set_wavelength(self, wavelength_m: float) -> None:
        self.did("set_wavelength", wavelength_m)
        self.state.wavelength_m = wavelength_m

    def wavelength(self) -> float:
        return self.state.wavelength_m

    def set_power(self, power_w: float) -> None:
        self.did("set_power", power_w)
        self.state.power_w = power_w

    def power(self) -> float:
        return self.state.power_w

    def set_emission(self, on: bool) -> None:
        self.did("set_emission", on)
        self.state.emission = on

    def emission(self) -> bool:
        return self.state.emission

    def go_dark(self) -> None:
        self.state.emission = False

    def dark(self) -> bool:
        return not self.state.emission


class FakeGenerator(Fake, WaveformGenerator):
    capabilities = BITS_14
    versions = 0

    def new_state(self) -> GeneratorState:
        self.segments: dict[int, dict[int, NDArray[np.int16]]] = {}
        self.armed: tuple[int, int, bool] | None = None
        full = self.capabilities.code_max
        return GeneratorState(channels=[GeneratorChannelState(code_max=full) for _ in range(2)])

    def configure(self, sample_rate_hz: float, amplitude_vpp: Mapping[int, float]) -> None:
        self.did("configure", sample_rate_hz, dict(amplitude_vpp))
        self.segments.clear()
        self.state.sample_rate_hz = sample_rate_hz
        for channel, volts in amplitude_vpp.items():
            self.state.channels[channel - 1].amplitude_vpp = volts

    def load(self, segment: int, codes: Mapping[int, NDArray[np.int16]]) -> None:
        self.did("load", segment)
        for array in codes.values():
            assert array.dtype == np.int16
            assert array.ndim == 1
            assert array.size % self.capabilities.granularity == 0
            assert array.size >= self.capabilities.min_length
            assert array.min() >= self.capabilities.code_min
            assert array.max() <= self.capabilities.code_max
        self.segments.setdefault(segment, {}).update(codes)

    def arm(self, segment: int, loops: int, *, external: bool) -> None:
        self.did("arm", segment, loops, external)
        self.armed = (segment, loops, external)

    def load_and_arm(self, segment: int, codes: Mapping[int, NDArray[np.int16]], loops: int, *, external: bool) -> None:
        self.load(segment, codes)
        self.arm(segment, loops, external=external)

    def trigger(self) -> None:
        self.did("trigger")
        assert self.armed is not None
        if not self.armed[2]:
            self._start()
            self.library.lit_world().fire_trigger(self.name)

    def on_trigger(self) -> None:
        if self.armed is not None and self.armed[2]:
            self._start()

    def _start(self) -> None:
        segment, loops, _ = self.armed
        for channel, codes in self.segments[segment].items():
            FakeGenerator.versions += 1
            self.state.channels[channel - 1].playback = Playback(codes, loops, FakeGenerator.versions)

    def stop(self) -> None:
        self.did("stop")
        self.armed = None

    def set_output(self, channel: int, on: bool) -> None:
        self.did("set_output", channel, on)
        self.state.channels[channel - 1].output_on = on

    def output(self, channel: int) -> bool:
        return self.state.channels[channel - 1].output_on

    def go_dark(self) -> None:
        self.armed = None
        for channel in self.state.channels:
            channel.output_on = False

    def dark(self) -> bool:
        return not any(channel.output_on for channel in self.state.channels)


class FakeGenerator12(FakeGenerator):
    """In 12-bit mode."""

    capabilities = BITS_12


class FakeAttenuator(Fake, Attenuator):
    channels = (1, 3)
    attenuation_range_db = Range(0, 60, "dB")
    step_db = 0.001

    def new_state(self) -> AttenuatorState:
        return AttenuatorState({channel: AttenuatorChannelState() for channel in self.channels})

    def set_attenuation(self, channel: int, attenuation_db: float) -> None:
        self.did("set_attenuation", channel, attenuation_db)
        self.state.channels[channel].attenuation_db = round(attenuation_db / self.step_db) * self.step_db

    def attenuation(self, channel: int) -> float:
        return self.state.channels[channel].attenuation_db

    def set_shutter(self, channel: int, opened: bool) -> None:
        self.did("set_shutter", channel, opened)
        self.state.channels[channel].shutter_open = opened

    def shutter(self, channel: int) -> bool:
        return self.state.channels[channel].shutter_open

    def go_dark(self) -> None:
        for channel in self.state.channels.values():
            channel.shutter_open = False

    def dark(self) -> bool:
        return not any(channel.shutter_open for channel in self.state.channels.values())


class FakeAmplifier(Fake, Amplifier):
    pump_range_a = Range(0, 1, "A")

    def new_state(self) -> AmplifierState:
        return AmplifierState()

    def set_pump(self, current_a: float) -> None:
        self.did("set_pump", current_a)
        self.state.pump_a = current_a

    def pump(self) -> float:
        return self.state.pump_a

    def set_emission(self, on: bool) -> None:
        self.did("set_emission", on)
        self.state.emission = on

    def emission(self) -> bool:
        return self.state.emission and not self.state.interlock_open

    def interlock_open(self) -> bool:
        return self.state.interlock_open

    def go_dark(self) -> None:
        self.state.emission = False

    def dark(self) -> bool:
        return not self.state.emission


class FakePowerMeter(Fake, PowerMeter):
    wavelength_range_m = Range(1e-6, 2e-6, "m")

    def set_wavelength(self, wavelength_m: float) -> None:
        self.did("set_wavelength", wavelength_m)

    def power(self) -> float:
        return self.library.lit_world().optical_power_w(self.name)


class FakeDigitizer(Fake, Digitizer):
    """12 bits over the full scale; the outermost codes mean "outside"."""

    capabilities = DigitizerCapabilities(2, Range(0.001, 8), Range(1, 5e9), 12, 10_000_000)

    def new_state(self) -> DigitizerState:
        self.request: tuple[dict[int, float], float, int] = ({}, 1.0, 0)
        self.armed = False
        self.traces: dict[int, Trace] = {}
        return DigitizerState(channels=[DigitizerChannelState() for _ in range(2)])

    def configure(self, full_scale_v: Mapping[int, float], sample_interval_s: float, samples: int) -> None:
        self.did("configure", dict(full_scale_v), sample_interval_s, samples)
        self.request = (dict(full_scale_v), sample_interval_s, samples)

    def arm(self) -> None:
        self.did("arm")
        self.armed, self.traces = True, {}

    def on_trigger(self) -> None:
        if not self.armed:
            return
        self.armed = False
        ranges, interval_s, samples = self.request
        records = self.library.world.acquire(self.name, list(ranges), interval_s, samples)
        for channel, record in records.items():
            step = ranges[channel] / 4096
            codes = np.clip(np.rint(record.samples * (record.volts_per_unit / step)), -2048, 2047)
            self.traces[channel] = Trace(codes.astype(np.int16), step, 0.0, 0, interval_s, 0.0, -2048, 2047)

    def wait(self) -> None:
        self.did("wait")
        assert self.traces, "no trigger came"

    def read(self, channel: int) -> Trace:
        self.did("read", channel)
        return self.traces[channel]

    def stop(self) -> None:
        self.did("stop")


class LostLaser(FakeLaser):
    """Cannot be reached."""

    def open(self) -> None:
        raise InstrumentLost(self.name, "does not answer", "Plug it in.")


class LostMeter(FakePowerMeter):
    """Cannot be reached either."""

    def open(self) -> None:
        raise InstrumentLost(self.name, "is silent")


def fake_bench(folder: Path, changes: Mapping[str, str] | None = None) -> Path:
    """A bench file like the shipped ideal one, of stand-ins; ``changes``: text that is in it -> other text."""
    text = (examples() / "ideal.bench.toml").read_text()
    for old, new in {**STAND_INS, **(changes or {})}.items():
        assert old in text, f"{old!r} is not in the shipped bench"
        text = text.replace(old, new)
    path = folder / "fake.bench.toml"
    path.write_text(text)
    return path


def use_fakes(monkeypatch: Any) -> None:
    """From now on benches open with the stand-in library."""
    monkeypatch.setattr(labctl.bench, "VISA_LIBRARY", "tests.fakes:FakeLibrary")
