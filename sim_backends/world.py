"""The one optical world that all simulated instruments look into: its clock, its trigger line, its random draws."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from labctl.errors import LimitError
from sim_backends.attacks import Attack, Spoils
from sim_backends.circuit import Circuit, Launch
from sim_backends.config import ReceiverPhysics, WorldConfig
from sim_backends.draws import Draws, Stream
from sim_backends.faults import UNDISTURBED, Disturbance
from sim_backends.laser_noise import LaserNoise
from sim_backends.physics import Float, new_plane
from sim_backends.shot import Sampling, Shot
from sim_backends.state import ChannelRecord, DigitizerState, GeneratorState
from sim_backends.waveform_bench import Beam, SampledReceiver


@dataclass(frozen=True)
class Grid:
    """The samples of a record on the bins: ``bins_per_sample`` apart, the first one at the trigger."""

    bins_per_sample: float
    samples: int

    @property
    def stride(self) -> int | None:
        """The whole number of bins from sample to sample; None when it is none, to a thousandth over the record."""
        stride = round(self.bins_per_sample)
        drift = abs(self.bins_per_sample - stride) * self.samples
        return stride if stride > 0 and drift < 1e-3 else None

    @property
    def bins_covered(self) -> int:
        """Bins from the trigger to the last sample."""
        return int((self.samples - 1) * self.bins_per_sample + 1e-6) + 1 if self.samples else 1

    def bins(self) -> NDArray[np.int64]:
        """The bin that each sample falls into."""
        stride = self.stride
        if stride is not None:
            return np.arange(0, self.samples * stride, stride, dtype=np.int64)
        bins: NDArray[np.int64] = np.floor(np.arange(self.samples) * self.bins_per_sample + 1e-6).astype(np.int64)
        return bins


#: Time bins of one shot: 1 GiB for the two quadratures.
MOST_BINS: Final = 1 << 27
#: Shapes of shots that have a place in memory ready: as many as a network has layers, within reason.
KEPT_BUFFERS: Final = 8


class SimulatedUnit(Protocol):
    """What the world needs of a simulated instrument."""

    name: str
    state: object

    def on_trigger(self) -> None:
        """The shared trigger line fired."""
        ...


class World:
    """Physics only: it knows what instruments were told and the light between them.

    ``threads``: the server's two quadratures are drawn side by side where there is a processor for each.
    """

    threads: ClassVar[int] = min(2, os.cpu_count() or 1)

    def __init__(self, config: WorldConfig) -> None:
        self._config = config
        self._units: Mapping[str, SimulatedUnit] = {}
        self._circuit: Circuit | None = None
        self._made_s = time.monotonic()
        self._stepped: float | None = None
        self._seed = 0
        self._key: tuple[int, ...] = ()
        self._count = 0
        self._shot: Shot | None = None
        self._sampled_volts: Float = np.empty((2, 0), np.float32)
        self._triggered = False
        self._draws = Draws(0, (), 0)
        self._buffers: dict[tuple[int, ...], Float] = {}
        self._attack: Attack | None = None
        self._spoils = Spoils()
        self._last_seen: dict[str, object] = {}
        #: Told whenever time may have passed, where somebody has plans for it.
        self.on_time: Callable[[float], None] | None = None

    def connect(self, units: Mapping[str, SimulatedUnit]) -> None:
        """Put the units at their places."""
        self._units = units
        self._circuit = Circuit(self._config, {name: unit.state for name, unit in units.items()})

    @property
    def circuit(self) -> Circuit:
        """The light between the instruments."""
        if self._circuit is None:
            raise RuntimeError("the world has no instruments yet: call connect() first")
        self._circuit.time_s = self.elapsed_s
        if self.on_time is not None:
            self.on_time(self.elapsed_s)
        return self._circuit

    # --- time and draws -------------------------------------------------------------------------

    def now(self) -> float:
        """Seconds: monotonic wall time, or the stepped clock's."""
        return time.monotonic() if self._stepped is None else self._stepped

    @property
    def elapsed_s(self) -> float:
        """Seconds since the lab's clock began."""
        return time.monotonic() - self._made_s if self._stepped is None else self._stepped

    def set_stepped(self, stepped: bool) -> None:
        """Stepped time starts at 0."""
        self._stepped = 0.0 if stepped else None

    @property
    def stepped(self) -> bool:
        """Whether time moves only when told to."""
        return self._stepped is not None

    def advance(self, seconds: float) -> None:
        """Move the stepped clock; the monotonic clock moves by itself."""
        if self._stepped is not None:
            self._stepped += seconds

    def reset(self, seed: int) -> None:
        """All later noise follows from ``seed``, the draw key and the number of acquisitions since the key was set.

        Nobody attacks any more.
        """
        self._seed = seed
        self.set_attack(None)
        self.set_key(())

    def set_key(self, key: tuple[int, ...]) -> None:
        """The draw key of the acquisitions to come."""
        self._key = key
        self._count = 0
        self._shot = None

    def disturb(self, unit: str, disturbance: Disturbance) -> None:
        """What is wrong with a unit's light or records from now on."""
        disturbances = self.circuit.disturbances
        if disturbance == UNDISTURBED:
            disturbances.pop(unit, None)
        else:
            disturbances[unit] = disturbance
        self._last_seen.pop(unit, None)

    def set_attack(self, attack: Attack | None) -> None:
        """In force from the next shot on; the attacker starts with nothing."""
        self._attack, self._spoils = attack, Spoils()

    @property
    def attack(self) -> tuple[Attack, Spoils] | None:
        """In force, and what it told the attacker so far."""
        return None if self._attack is None else (self._attack, self._spoils)

    # --- what the front ends ask ----------------------------------------------------------------

    def fire_trigger(self, unit: str) -> None:
        """Generators waiting for the line start; then digitizers waiting for it record the shot."""
        self._shot, self._triggered = None, True
        others = [other for name, other in self._units.items() if name != unit]
        try:
            for kind in (GeneratorState, DigitizerState):
                for other in others:
                    if isinstance(other.state, kind):
                        other.on_trigger()
        finally:
            self._triggered = False
            self._end_shot()

    def _end_shot(self) -> None:
        shot, self._shot = self._shot, None
        if shot is not None:
            self.advance(shot.rows * shot.bins / self.circuit.bin_rate_hz)

    def optical_power_w(self, unit: str) -> float:
        """Watts at the place where ``unit`` looks."""
        disturbance = self.circuit.disturbances.get(unit)
        if disturbance is None or not disturbance.stuck:
            return self._power_w(unit)
        power_w = self._last_seen.setdefault(unit, self._power_w(unit))
        assert isinstance(power_w, float)
        return power_w

    def _power_w(self, unit: str) -> float:
        if unit == self._config.places.power_meter:
            return self.circuit.emitted_power_w() * self._config.monitor.fraction
        if unit == self._config.places.amplifier:
            return self.circuit.launched_power_w()
        return self.circuit.power_seen_w(unit)

    def arm_bias(self, unit: str, electrode: int) -> float:
        """Of the arm that a bias controller's electrode turns, without it: in V_pi off its null."""
        return self.circuit.arm_bias(f"{unit}:{electrode}")

    def acquire(
        self, unit: str, channels: Sequence[int], sample_interval_s: float, samples: int
    ) -> dict[int, ChannelRecord]:
        """What a digitizer's inputs carry from the trigger on; unconnected inputs carry nothing."""
        places = self._config.places
        grid = Grid(sample_interval_s * self.circuit.bin_rate_hz, samples)
        if grid.bins_covered > MOST_BINS:
            raise LimitError(
                unit,
                f"a record of {sample_interval_s * samples:.3g} s covers {grid.bins_covered:.3g} time bins;"
                f" the simulated lab has {MOST_BINS} at most",
                "Record for a shorter time.",
            )
        shot = self._shot or self._new_shot(grid.bins_covered)
        self._shot = shot
        records = {}
        for channel in channels:
            place = f"{unit}:{channel}"
            if self._config.waveform is not None and place in (places.server_receiver_x, places.server_receiver_p):
                records[channel] = self._sampled(
                    shot, int(place == places.server_receiver_p), sample_interval_s, samples
                )
                continue
            if place == places.client_receiver:
                values, stream = self._client_values(shot, grid), Stream.CLIENT_ELSE
                receiver = self._config.client_receiver
            elif place == places.server_receiver_x:
                values, stream = self._server_values(shot, 0, grid), Stream.SERVER_X_ELSE
                receiver = self._config.server_receiver
            elif place == places.server_receiver_p:
                values, stream = self._server_values(shot, 1, grid), Stream.SERVER_P_ELSE
                receiver = self._config.server_receiver
            else:
                records[channel] = ChannelRecord(np.zeros(samples, dtype=np.float32), 1.0)
                continue
            records[channel] = self._detected(values, receiver, stream)
        disturbance = self.circuit.disturbances.get(unit)
        if disturbance is not None:
            records = self._spoilt(unit, records, disturbance)
        if not self._triggered:  # every digitizer that listens to one trigger sees one shot
            self._shot = None
        return records

    def _spoilt(
        self, unit: str, records: dict[int, ChannelRecord], disturbance: Disturbance
    ) -> dict[int, ChannelRecord]:
        """As a digitizer with a fault records it; copies, since others may see the same shot."""
        if disturbance.stuck:
            kept = self._last_seen.setdefault(unit, records)
            assert isinstance(kept, dict)
            records = {
                number: ChannelRecord(
                    np.resize(kept.get(number, record).samples, len(record.samples)), record.volts_per_unit
                )
                for number, record in records.items()
            }
        limit = disturbance.record_limit
        return {
            number: ChannelRecord(
                record.samples.copy() if limit is None else np.clip(record.samples, -limit, limit),
                record.volts_per_unit * disturbance.record_factor,
            )
            for number, record in records.items()
        }

    # --- shots ----------------------------------------------------------------------------------

    def _new_shot(self, total_bins: int) -> Shot:
        circuit = self.circuit
        launch = circuit.launch(circuit.bins_per_row() or total_bins)
        if launch is None:
            bins = circuit.bins_per_row() or total_bins
            dark = np.zeros((2, -(-total_bins // bins), bins), dtype=np.float32)
            launch = Launch(dark)
        power_w = circuit.emitted_power_w()
        factors = (self._config.client_receiver.lo_factor(power_w), self._config.server_receiver.lo_factor(power_w))
        shape = launch.plane.shape
        if shape not in self._buffers:
            while len(self._buffers) >= KEPT_BUFFERS:
                del self._buffers[next(iter(self._buffers))]
            self._buffers[shape] = new_plane(*shape[1:])
        self._draws = Draws(self._seed, self._key, self._count)
        sampling = Sampling(
            self._draws,
            self._buffers[shape],
            self.threads,
            self.attack,
            self._laser_noise(circuit.bin_rate_hz),
            circuit.wavelength_m(),
            circuit.bin_rate_hz,
            circuit.overlaps(),
        )
        shot = Shot(self._config, launch, circuit.client(shape[2]), factors, sampling)
        self._count += 1
        self._sampled_volts = np.empty((2, 0), np.float32)
        return shot

    def _laser_noise(self, bin_rate_hz: float) -> LaserNoise | None:
        laser, client, server = self._config.laser, self._config.client_receiver, self._config.server_receiver
        if not laser.noisy:
            return None
        delays = (round(client.lo_delay * bin_rate_hz), round(server.lo_delay * bin_rate_hz))
        return LaserNoise.of(laser.linewidth, laser.rin_db_per_hz, bin_rate_hz, *delays)

    def _vacuum(self, stream: Stream, samples: int) -> Float:
        return self._draws.generator(stream).standard_normal(samples, dtype=np.float32)

    def _client_values(self, shot: Shot, grid: Grid) -> Float:
        """The collected mode of row r comes in the first bin of the row's slot; elsewhere there is vacuum."""
        if grid.stride == shot.bins and grid.samples <= shot.rows:
            return shot.measured[: grid.samples].astype(np.float32)
        row, within = np.divmod(grid.bins(), shot.bins)
        lit = (within == 0) & (row < shot.rows)
        values = self._vacuum(Stream.CLIENT_ELSE, grid.samples) * np.float32(shot.client_dark)
        values[lit] = shot.measured[row[lit]]
        return values

    def _server_values(self, shot: Shot, quadrature: int, grid: Grid) -> Float:
        flat: Float = shot.received[quadrature].reshape(-1)
        if grid.stride == 1 and grid.samples == len(flat):
            return flat
        bins = grid.bins()
        lit = bins < len(flat)
        values = self._vacuum((Stream.SERVER_X_ELSE, Stream.SERVER_P_ELSE)[quadrature], grid.samples)
        values *= np.float32(shot.server_dark)
        values[lit] = flat[bins[lit]]
        return values

    def _sampled(self, shot: Shot, output: int, interval_s: float, samples: int) -> ChannelRecord:
        """An output of the server's receiver, sample by sample on the sender's clock."""
        circuit, config = self.circuit, self._config.waveform
        assert config is not None
        grid = Grid(interval_s * circuit.sample_rate_hz, samples)
        if self._sampled_volts.shape[1] < grid.bins_covered:
            receiver = SampledReceiver(
                config,
                self._config.server_receiver,
                Beam(circuit.emitted_power_w(), circuit.wavelength_m(), self._config.laser),
                circuit.sample_rate_hz,
            )
            own = self._draws.generator(Stream.WAVEFORM)
            self._sampled_volts = receiver.volts(shot.returned, grid.bins_covered, own)
        return ChannelRecord(self._sampled_volts[output][grid.bins()], 1.0)

    def _detected(self, values: Float, receiver: ReceiverPhysics, stream: Stream) -> ChannelRecord:
        factor = receiver.lo_factor(self.circuit.emitted_power_w())
        if factor > 0:
            return ChannelRecord(values, receiver.volts_per_snu * factor)
        dark = self._vacuum(stream, len(values)) * np.float32(np.sqrt(receiver.electronic_noise))
        return ChannelRecord(dark, receiver.volts_per_snu)
