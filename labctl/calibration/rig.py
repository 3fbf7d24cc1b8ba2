"""The bench as procedures see it: light in three steps, one kind of shot, records in volts.

Interlocks are kept here and nowhere else: the oscillator comes before the signal, the amplifier is pumped only while it
has input, what is launched stays below what the receivers bear, and every shot is a checkpoint.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labctl.calibration.result import Double
from labctl.config import BenchConfig, DriveRef, ReceiverRole
from labctl.errors import CalibrationError, InterlockError
from labctl.interfaces import Amplifier, Attenuator, BiasController, Digitizer, Laser, PowerMeter, WaveformGenerator
from labctl.optics.drive import Codes, Drive, RowLayout, Timing
from labctl.optics.modulator import photons_at_laser
from labctl.protocol.gates import check_clipping
from labctl.units import db_to_ratio, ratio_to_db

Complex = NDArray[np.complex128]
SEGMENT = 1
#: Bins with light in a row: as long a row as the oscillators' delays are made for.
SLOTS = 32
#: Samples of a noise record, and of one shot of it: an abort does not wait long.
NOISE_SAMPLES, RECORD_SAMPLES = 4_000_000, 1_000_000
#: Of a digitizer's range, what a full-scale signal is planned to fill; the rest is for noise and for wrong constants.
FILL = 0.55
#: The tap's setting where nothing is said: neither of the two outputs is dark.
HALF = 0.5
#: A dual receiver's share of the light in each quadrature.
DUAL_KAPPA = 0.5


@dataclass(frozen=True)
class Instruments:
    """Who plays which part. ``drives``: in the order of :class:`LoopVolts`, the tap last."""

    laser: Laser
    amplifier: Amplifier
    attenuators: Sequence[tuple[Attenuator, int]]
    sender: WaveformGenerator
    client: Mapping[str, WaveformGenerator]
    client_digitizer: Digitizer
    server_digitizer: Digitizer
    monitor: PowerMeter | None
    biases: Sequence[BiasController]


@dataclass(frozen=True, eq=False)
class LoopVolts:
    """Voltages on the client's four modulators in the slots of a row, shape (SLOTS,) each, and on the tap."""

    forward_coupler: Double
    forward_phase: Double
    return_coupler: Double
    return_phase: Double
    tap: float


@dataclass(frozen=True, eq=False)
class Shot:
    """What came back. ``server``: X + iP in volts, shape (rows, SLOTS), in the order of launch; ``client``: (rows,)."""

    server: Complex
    client: Double


class Rig:
    """``checkpoint`` is called before every shot and raises what ends the calibration.

    ``segment``: of the sender's memory; ``noise_samples``: of each output in a noise record.
    """

    def __init__(
        self,
        config: BenchConfig,
        instruments: Instruments,
        checkpoint: Callable[[], None],
        segment: int = SEGMENT,
        noise_samples: int | None = None,
    ) -> None:
        self._segment = segment
        self.noise_samples = noise_samples or NOISE_SAMPLES
        self.config = config
        self.parts = instruments
        self._checkpoint = checkpoint
        self._signal = False
        self._played: object = None
        generators = [instruments.sender, *instruments.client.values()]
        self.timing = Timing.of(config.bin_rate, [each.capabilities for each in generators])
        self.layout: RowLayout = self.timing.layout(SLOTS)
        role = config.unitary
        self.loop_drives = [
            self._drive(ref)
            for ref in (role.forward_coupler, role.forward_phase, role.return_coupler, role.return_phase, config.tap)
        ]
        capabilities = instruments.sender.capabilities
        self.arms = [Drive.of(ref, capabilities) for ref in (config.modulator.in_phase, config.modulator.quadrature)]
        self.power_w = config.laser.power
        self.attenuation_db = math.inf

    def _drive(self, reference: DriveRef) -> tuple[str, Drive]:
        return reference.instrument, Drive.of(reference, self.parts.client[reference.instrument].capabilities)

    # --- light ----------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Everything dark, clocks and ranges as a run has them."""
        self.dark()
        parts = self.parts
        parts.laser.set_wavelength(self.config.laser.wavelength)
        self.set_power(self.config.laser.power)
        if parts.monitor is not None:
            parts.monitor.set_wavelength(self.config.laser.wavelength)
        parts.sender.configure(self.timing.sample_rate_hz, {arm.channel: arm.amplitude_vpp for arm in self.arms})
        for name, generator in parts.client.items():
            amplitudes = {drive.channel: drive.amplitude_vpp for owner, drive in self.loop_drives if owner == name}
            generator.configure(self.timing.sample_rate_hz, amplitudes)
            for channel in amplitudes:
                generator.set_output(channel, True)
        for arm in self.arms:
            parts.sender.set_output(arm.channel, True)
        self._played = None

    def dark(self) -> None:
        """Pump off, shutters closed, laser off, in this order."""
        self.block()
        self.parts.laser.set_emission(False)

    def set_power(self, power_w: float) -> None:
        """The laser's set point, only while no signal is let out."""
        if self._signal:
            raise InterlockError("the laser's power is not changed while its signal goes out", "Close the shutters.")
        self.parts.laser.set_power(power_w)
        self.power_w = power_w

    def oscillator(self) -> None:
        """Local oscillators alone: the laser on, its signal blocked."""
        self.block()
        self.parts.laser.set_emission(True)

    def block(self) -> None:
        """No signal: pump first, then the shutters."""
        self.parts.amplifier.set_emission(False)
        for attenuator, channel in self.parts.attenuators:
            attenuator.set_shutter(channel, False)
        self._signal = False

    def signal(self, server_amplitude: float | None = None) -> None:
        """Let the signal out, behind an attenuation that puts the fully open modulator at ``server_amplitude`` √SNU.

        Raises InterlockError without oscillator, and for more light than the receivers bear.
        """
        parts = self.parts
        if not parts.laser.emission():
            raise InterlockError(
                f"{parts.laser.name}: no local oscillator, so no signal is let out", "Switch the oscillator on first."
            )
        if not self._signal:
            for bias in parts.biases:
                bias.lock("null")
        self.attenuate(self.attenuation_for(self.full_amplitude() if server_amplitude is None else server_amplitude))
        for attenuator, channel in parts.attenuators:
            attenuator.set_shutter(channel, True)
        self._signal = True

    def pump(self, current_a: float | None) -> None:
        """Pump the amplifier, None for not at all. Raises InterlockError where it would have no input."""
        amplifier = self.parts.amplifier
        if current_a is None:
            amplifier.set_emission(False)
            return
        if not self._signal:
            raise InterlockError(f"{amplifier.name}: not pumped without input", "Let the signal out first.")
        amplifier.set_pump(current_a)
        amplifier.set_emission(True)

    def attenuate(self, attenuation_db: float) -> float:
        """Set all attenuators alike; returns what they read back in all. Raises InterlockError for too much light."""
        bearable = self.config.calibration.launch_limit
        launched = self.power_w * db_to_ratio(-self.config.modulator.loss - attenuation_db)
        if launched > bearable:
            raise InterlockError(
                f"{launched * 1e6:.3g} µW would be launched, the receivers are to see {bearable * 1e6:.3g} µW at most"
                " (calibration.launch_limit)",
                "Attenuate more, or raise the limit if the receivers bear it.",
            )
        share = attenuation_db / len(self.parts.attenuators)
        for attenuator, channel in self.parts.attenuators:
            attenuator.set_attenuation(channel, share)
        self.attenuation_db = sum(each.attenuation(channel) for each, channel in self.parts.attenuators)
        return self.attenuation_db

    def full_amplitude(self) -> float:
        """√SNU of the server's receiver that a signal may have."""
        role = self.config.server_receiver
        return FILL * role.full_scale / 2 / role.volts_per_snu

    def attenuation_for(self, server_amplitude: float) -> float:
        """dB, rounded to the attenuator's hundredths, by the constants in force."""
        config = self.config
        passed = db_to_ratio(-(config.modulator.loss + config.link.loss_out + config.link.loss_back))
        coupling = DUAL_KAPPA * config.server_receiver.efficiency * passed
        photons = server_amplitude**2 / (4 * coupling)
        needed = ratio_to_db(photons_at_laser(config) / photons)
        if needed < 0:
            raise CalibrationError(
                f"the laser gives too little light for {server_amplitude:.3g} √SNU at the server's receiver",
                "Raise laser.power in bench.toml.",
            )
        return round(needed, 2)

    def laser_power(self) -> float:
        """Watts as the monitor sees them now, or the set point where there is none."""
        role, meter = self.config.monitor, self.parts.monitor
        return self.power_w if role is None or meter is None else meter.power() / role.fraction

    # --- shots ----------------------------------------------------------------------------------

    def bypass(self) -> LoopVolts:
        """The client lets everything pass by, and its tap returns half of the mode that it does not collect."""
        nothing = np.zeros(SLOTS)
        return LoopVolts(nothing, nothing, nothing, nothing, HALF * self.config.tap.v_pi)

    def noise(self) -> tuple[Double, Double]:
        """What both receivers give without signal, volts: server (2, N), client (N,), N of ``noise_samples``."""
        digitizers = (self.parts.client_digitizer, self.parts.server_digitizer)
        most = min(RECORD_SAMPLES, *(each.capabilities.memory_samples for each in digitizers))
        interval = 1 / self.timing.sample_rate_hz
        parts = []
        for start in range(0, self.noise_samples, most):
            samples = min(most, self.noise_samples - start)
            self._ready(np.zeros((1, SLOTS)), np.zeros((1, SLOTS)), 1, self.bypass())
            parts.append(self._record(interval, samples, interval, samples))
        server, client = zip(*parts, strict=True)
        return np.concatenate(server, axis=1), np.concatenate(client)

    def shoot(self, volts_i: Double, volts_q: Double, loops: int, loop: LoopVolts) -> Shot:
        """Send rows of drive voltages, shape (rows, SLOTS), ``loops`` times over, and record what comes back."""
        bins = self.layout.bins
        rows = len(volts_i) * loops
        interval = 1 / self.timing.sample_rate_hz
        self._ready(volts_i, volts_q, loops, loop)
        server, client = self._record(interval * bins, rows, interval, rows * bins)
        seen = (server[0] + 1j * server[1]).reshape(rows, bins)[:, :SLOTS]
        return Shot(seen[:, ::-1], client)

    def _ready(self, volts_i: Double, volts_q: Double, loops: int, loop: LoopVolts) -> None:
        self._checkpoint()
        rows = len(volts_i)
        self._arm_client(loop, rows * loops)
        played = (volts_i.tobytes(), volts_q.tobytes())
        if played != self._played:
            self._played = None
            codes = {
                arm.channel: self._laid_out(arm, volts)
                for arm, volts in zip(self.arms, (volts_i, volts_q), strict=True)
            }
            self.parts.sender.load(self._segment, codes)
            self._played = played
        self._loops = loops

    def _laid_out(self, drive: Drive, volts: Double) -> Codes:
        """Voltages of the slots as codes of whole rows."""
        laid = np.zeros((len(volts), self.layout.bins), np.int16)
        laid[:, self.layout.data_slots] = drive.codes(volts / drive.v_pi)
        return laid.reshape(-1)

    def _arm_client(self, loop: LoopVolts, rows: int) -> None:
        """The loop's drives stand in the slots, the tap's stands still."""
        nothing = [loop.forward_coupler, loop.forward_phase, loop.return_coupler, loop.return_phase]
        codes: dict[str, dict[int, Codes]] = {name: {} for name in self.parts.client}
        for (name, drive), volts in zip(self.loop_drives, nothing, strict=False):
            codes[name][drive.channel] = self._laid_out(drive, volts[None, :])
        name, tap = self.loop_drives[-1]
        level = int(tap.codes(np.array([loop.tap / tap.v_pi]))[0])
        codes[name][tap.channel] = np.full(self.layout.bins, level, np.int16)
        for owner, generator in self.parts.client.items():
            generator.load_and_arm(SEGMENT, codes[owner], rows, external=True)

    def _record(
        self, client_interval: float, client_samples: int, server_interval: float, server_samples: int
    ) -> tuple[Double, Double]:
        parts, client, server = self.parts, self.config.client_receiver, self.config.server_receiver
        parts.client_digitizer.configure({client.channels[0]: client.full_scale}, client_interval, client_samples)
        parts.server_digitizer.configure(
            dict.fromkeys(server.channels, server.full_scale), server_interval, server_samples
        )
        for digitizer in (parts.client_digitizer, parts.server_digitizer):
            digitizer.arm()
        parts.sender.play(self._segment, self._loops)
        for digitizer in (parts.client_digitizer, parts.server_digitizer):
            digitizer.wait()
        seen = np.stack([self._read(parts.server_digitizer, server, index) for index in (0, 1)])
        return seen, self._read(parts.client_digitizer, client, 0)

    @staticmethod
    def _read(digitizer: Digitizer, role: ReceiverRole, index: int) -> Double:
        trace = digitizer.read(role.channels[index])
        check_clipping(f"{digitizer.name} channel {role.channels[index]}", trace.clipped(), trace.codes.size)
        return trace.volts()


def known_photons(rig: Rig) -> float:
    """Photons of a bin at launch with the modulator fully open, by the laser's power and the declared loss."""
    config = rig.config
    scale = rig.laser_power() / config.laser.power
    return photons_at_laser(config) * scale * db_to_ratio(-config.modulator.loss - rig.attenuation_db)


def sweep(low: float, high: float, points: int) -> list[float]:
    """Evenly spaced values."""
    return [float(value) for value in np.linspace(low, high, points)]
