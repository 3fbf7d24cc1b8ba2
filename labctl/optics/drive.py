"""From modulator settings to generator codes, and how rows of modes are laid out in time."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labctl.config import DriveRef
from labctl.errors import ConfigError
from labctl.values import GeneratorCapabilities

Codes = NDArray[np.int16]


@dataclass(frozen=True)
class RowLayout:
    """One row in time: vacuum guard bins first, then ``modes`` bins with light; ``bins`` in all.

    The light comes back in reversed bin order: data first, guards after them (docs/physics.md, section 3a). With a
    ``pilot_period`` K every K-th bin is a pilot, the last one of the row among them, so that a pilot comes back first.
    """

    modes: int
    bins: int
    pilot_period: int = 0

    @property
    def guards(self) -> int:
        """Vacuum bins a row, pilots counted among them."""
        return self.bins - self.modes

    @property
    def pilot_slots(self) -> NDArray[np.int64]:
        """Bins of the row that are pilots, in order of launch."""
        period = self.pilot_period
        return np.arange(period - 1, self.bins, period) if period else np.empty(0, np.int64)

    @property
    def data_slots(self) -> NDArray[np.int64]:
        """Bins of the row that carry modes, in order of launch: the last ones that are no pilots."""
        if not self.pilot_period:
            return np.arange(self.guards, self.bins)
        free: NDArray[np.int64] = np.setdiff1d(np.arange(self.bins), self.pilot_slots, assume_unique=True)
        return free[len(free) - self.modes :]


@dataclass(frozen=True)
class Timing:
    """Bins on the generators' common clock; rows of a length that all of them can play.

    ``sample_rate_hz``: of the bins, and of what plays a sample per bin. ``samples_per_bin``: of the sender and the
    server's receiver. ``pilot_period``: see :class:`RowLayout`.
    """

    sample_rate_hz: float
    granularity: int
    min_length: int
    samples_per_bin: int = 1
    pilot_period: int = 0

    @property
    def sent_sample_rate_hz(self) -> float:
        """Of the sender's generator and the server's digitizer."""
        return self.sample_rate_hz * self.samples_per_bin

    @classmethod
    def of(
        cls,
        sample_rate_hz: float,
        generators: Iterable[GeneratorCapabilities],
        samples_per_bin: int = 1,
        pilot_period: int = 0,
    ) -> Timing:
        """For generators that play in step. Raises ConfigError for a clock that one of them has not."""
        units = list(generators)
        for unit in units:
            if sample_rate_hz not in unit.sample_rate_hz:
                raise ConfigError(
                    f"sample_rate: {sample_rate_hz:g} Sa/s is outside a generator's {unit.sample_rate_hz}",
                    "Mend 'sample_rate' in bench.toml.",
                )
        return cls(
            sample_rate_hz,
            math.lcm(*(unit.granularity for unit in units)),
            max(unit.min_length for unit in units),
            samples_per_bin,
            pilot_period,
        )

    def layout(self, modes: int) -> RowLayout:
        """The shortest legal row that holds ``modes`` bins; with pilots, a period of guards comes first."""
        period, step, shortest = self.pilot_period, self.granularity, max(modes, self.min_length)
        if period:
            step = math.lcm(step, period)
            shortest = max(self.min_length, period * (1 - -modes // (period - 1)))
        return RowLayout(modes, -(-shortest // step) * step, period)


@dataclass(frozen=True)
class Drive:
    """One generator channel on a modulator electrode.

    ``fraction_of_v_pi``: what code ``code_max`` means, as a fraction of the half-wave voltage (at least 1).
    """

    channel: int
    code_max: int
    amplitude_vpp: float
    v_pi: float

    @classmethod
    def of(cls, reference: DriveRef, capabilities: GeneratorCapabilities) -> Drive:
        """Raises ConfigError when the generator cannot swing the modulator from -V_pi to V_pi."""
        if reference.amplitude not in capabilities.amplitude_vpp:
            raise ConfigError(
                f"{reference.instrument} channel {reference.channel}: an amplitude of {reference.amplitude:g} V"
                f" is outside {capabilities.amplitude_vpp}",
                "Mend 'amplitude' in bench.toml.",
            )
        if reference.amplitude < 2 * reference.v_pi * (1 - 1e-9):
            raise ConfigError(
                f"{reference.instrument} channel {reference.channel}: an amplitude of {reference.amplitude:g} V"
                f" peak to peak does not reach V_pi = {reference.v_pi:g} V on both sides",
                "Raise 'amplitude' to 2 V_pi, or use a driver amplifier and give V_pi at the generator's output.",
            )
        return cls(reference.channel, capabilities.code_max, reference.amplitude, reference.v_pi)

    @property
    def fraction_of_v_pi(self) -> float:
        """Voltage of the full-scale code over V_pi."""
        return self.amplitude_vpp / 2 / self.v_pi

    def codes(self, fraction: NDArray[np.float64]) -> Codes:
        """Codes for voltages given as fractions of V_pi, rounded to the DAC's steps.

        Raises ConfigError beyond full scale.
        """
        scaled = np.rint(fraction * (self.code_max / self.fraction_of_v_pi))
        if scaled.size and not np.abs(scaled).max() <= self.code_max:  # NaN is refused as well
            raise ConfigError(
                f"a drive of {np.abs(fraction).max():g} V_pi is beyond the generator's full scale"
                f" on channel {self.channel}",
                "Raise the channel's 'amplitude' in bench.toml.",
            )
        return scaled.astype(np.int16)

    def volts(self, wanted: NDArray[np.float64]) -> NDArray[np.float64]:
        """The voltages that are made where ``wanted`` are asked for, as far as the drive reaches."""
        reach = self.amplitude_vpp / 2
        codes = np.rint(np.clip(wanted, -reach, reach) * (self.code_max / reach))
        return np.asarray(codes * (reach / self.code_max), dtype=np.float64)

    def fractions(self, codes: Codes) -> NDArray[np.float64]:
        """The voltages that the codes really make, as fractions of V_pi."""
        return np.asarray(codes * (self.fraction_of_v_pi / self.code_max), dtype=np.float64)
