"""The server's transmitter: waveform generator, IQ modulator at null, and attenuators in series."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from labctl.config import BenchConfig, ModulatorRole
from labctl.errors import ConfigError
from labctl.interfaces import Attenuator, Laser, Modulator, WaveformGenerator
from labctl.optics.drive import Codes, Drive, Timing
from labctl.optics.iq import IqModulator
from labctl.optics.symbols import HEADROOM, Amplitudes, Modulation, OnePerBin, PulseTrain
from labctl.units import db_to_ratio, ratio_to_db

#: Planck's constant times the speed of light, J m.
HC_J_M = 6.62607015e-34 * 299_792_458.0


@dataclass(frozen=True)
class LaunchLevel:
    """``attenuation_db``: to set in all; ``photons``: per sample at launch, both arms fully open, at that setting."""

    attenuation_db: float
    photons: float


def photons_at_laser(bench: BenchConfig) -> float:
    """Photons per sample of the sender at the laser's output."""
    return bench.laser.power * bench.laser.wavelength / (HC_J_M * bench.sample_rate)


def plan_launch(bench: BenchConfig, peak: float) -> LaunchLevel:
    """How much to attenuate so that quadrature amplitudes up to ``peak`` (sqrt(photons)) just fit the modulator.

    Each arm gives half the power, so the peak needs 2 peak² photons. Raises ConfigError without light enough.
    """
    available = photons_at_laser(bench) * db_to_ratio(-bench.modulator.loss)
    needed = 2 * (peak / _reach(bench.modulator)) ** 2
    if needed > available:
        raise ConfigError(
            f"the brightest mode needs {needed:.3g} photons at the modulator, the laser gives {available:.3g}",
            "Lower mean_photons, or raise laser.power in bench.toml.",
        )
    attenuation = math.floor(ratio_to_db(available / needed) * 100) / 100
    return LaunchLevel(attenuation, available * db_to_ratio(-attenuation))


def _reach(role: ModulatorRole) -> float:
    """Share of a balanced modulator's amplitude that this one can give in any direction; at most 1."""
    iq = IqModulator.of(role)
    if iq is None:
        return 1.0
    reach = iq.reach(role.in_phase.amplitude / 2, role.quadrature.amplitude / 2)
    if not reach > 0:
        raise ConfigError(
            "modulator.imbalance: such a modulator cannot be balanced by its drives",
            "Set the modulator's bias, and calibrate again.",
        )
    return min(1.0, reach)


class IQTransmitter(Modulator):
    """Complex amplitudes in, calibrated coherent states out (docs/physics.md, sections 2 and 4).

    The drive is predistorted for E = (sin(π v_I/2V_π) + i sin(π v_Q/2V_π))/√2, or for the imbalance that the bench
    has; what is launched is computed back from
    the DAC codes and from the attenuation that the instruments read back. With ``pulses`` a bin is a symbol of several
    samples, and one more segment than there are layers holds the bright frame that the receiver is calibrated with.
    """

    def __init__(
        self,
        bench: BenchConfig,
        laser: Laser,
        generator: WaveformGenerator,
        attenuators: Sequence[tuple[Attenuator, int]],
        timing: Timing,
        pulses: PulseTrain | None = None,
    ) -> None:
        self._modulation: Modulation = OnePerBin(timing) if pulses is None else pulses
        self._bright = None if pulses is None else pulses.played(pulses.bright)
        self._bright_segment = 0
        self._bench = bench
        self._role: ModulatorRole = bench.modulator
        self._iq = IqModulator.of(bench.modulator)
        self._laser = laser
        self._generator = generator
        self._attenuators = attenuators
        self._timing = timing
        self._drives = (
            Drive.of(self._role.in_phase, generator.capabilities),
            Drive.of(self._role.quadrature, generator.capabilities),
        )

    def load(self, layers: Sequence[Amplitudes]) -> Sequence[Amplitudes]:
        """Set the light level for the brightest mode of all layers, with headroom above pulses, and write one segment
        per layer.
        """
        lights = [self._modulation.samples(amplitudes) for amplitudes in layers]
        every = lights if self._bright is None else [*lights, self._bright]
        peak = max(float(max(np.abs(light.real).max(), np.abs(light.imag).max())) for light in every)
        level = self._attenuate(plan_launch(self._bench, peak if self._bright is None else HEADROOM * peak))
        self._generator.configure(
            self._timing.sent_sample_rate_hz, {drive.channel: drive.amplitude_vpp for drive in self._drives}
        )
        self._bright_segment = len(every)
        launched = [self._write(segment, light, level) for segment, light in enumerate(every, start=1)]
        return [
            self._modulation.amplitudes(light, *amplitudes.shape)
            for light, amplitudes in zip(launched, layers, strict=False)
        ]

    def _attenuate(self, level: LaunchLevel) -> LaunchLevel:
        share = level.attenuation_db / len(self._attenuators)
        total = 0.0
        for attenuator, channel in self._attenuators:
            attenuator.set_attenuation(channel, share)
            total += attenuator.attenuation(channel)
        return LaunchLevel(total, level.photons * db_to_ratio(level.attenuation_db - total))

    def _write(self, segment: int, light: Amplitudes, level: LaunchLevel) -> Amplitudes:
        """Samples as wanted -> as launched."""
        if self._iq is not None:
            return self._write_balanced(self._iq, segment, light, math.sqrt(level.photons))
        full_scale = math.sqrt(level.photons / 2)
        codes: dict[int, Codes] = {}
        launched = []
        for drive, part in zip(self._drives, (light.real, light.imag), strict=True):
            arm = drive.codes(2 / np.pi * np.arcsin(_within(part / full_scale)))
            launched.append(full_scale * np.sin(np.pi / 2 * drive.fractions(arm)))
            codes[drive.channel] = arm
        self._generator.load(segment, codes)
        return np.asarray(launched[0] + 1j * launched[1], dtype=np.complex64)

    def _write_balanced(self, iq: IqModulator, segment: int, light: Amplitudes, full_scale: float) -> Amplitudes:
        """The same through the inverse of what is not ideal."""
        volts = iq.volts(light / full_scale)
        codes = {drive.channel: drive.codes(each / drive.v_pi) for drive, each in zip(self._drives, volts, strict=True)}
        self._generator.load(segment, codes)
        made = [drive.fractions(codes[drive.channel]) * drive.v_pi for drive in self._drives]
        return np.asarray(full_scale * iq.field(*made), dtype=np.complex64)

    def send(self, layer: int) -> None:
        """Play the layer's segment once."""
        self._generator.play(layer + 1, 1)

    def send_bright(self) -> None:
        """Play the calibration frame once. Nothing is launched as long as the light is off."""
        self._generator.play(self._bright_segment, 1)

    def set_light(self, on: bool) -> None:
        """On: laser, generator outputs, then the shutters. Off: the other way round."""
        steps: list[Callable[[], None]] = [partial(self._laser.set_emission, on)]
        steps += [partial(self._generator.set_output, drive.channel, on) for drive in self._drives]
        steps += [partial(attenuator.set_shutter, channel, on) for attenuator, channel in self._attenuators]
        for step in steps if on else reversed(steps):
            step()


def _within(fraction: NDArray[np.float32]) -> NDArray[np.float64]:
    """Fractions of full scale as float64; rounding may exceed 1 by 1e-6, more is an error of the light level."""
    exact = fraction.astype(np.float64)
    if exact.size and not np.abs(exact).max() <= 1 + 1e-6:
        raise ConfigError(
            f"an amplitude is {np.abs(exact).max():.4f} of what the modulator can give at the attenuation read back",
            "Check the attenuators: their read-back differs from what was set.",
        )
    return np.clip(exact, -1.0, 1.0)
