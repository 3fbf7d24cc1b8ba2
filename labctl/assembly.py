"""Puts the parties behind their instruments: from an opened bench to server, client, check and interlocks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from labctl.bench import Bench
from labctl.calibration.drift import HeldTo, held_to
from labctl.config import BenchConfig, pump_for_gain
from labctl.dsp.recording import Recording
from labctl.errors import CalibrationError, GateError
from labctl.experiment import Experiment
from labctl.interfaces import (
    Amplifier,
    Attenuator,
    BiasController,
    Digitizer,
    Laser,
    OpticalSwitch,
    PowerMeter,
    SimulationControl,
    WaveformGenerator,
)
from labctl.interlocks import check_before, interlocks_of
from labctl.limits import Monitor, Watch
from labctl.optics.drive import Timing
from labctl.optics.homodyne import CollectedMode, DualQuadrature
from labctl.optics.modulator import IQTransmitter
from labctl.optics.sampled import SampledDualQuadrature
from labctl.optics.symbols import PulseTrain
from labctl.optics.unitary import LoopUnitary
from labctl.parties.channel import in_process_channel
from labctl.parties.client import Client
from labctl.parties.curious import CuriousServer
from labctl.parties.server import Server
from labctl.parties.verifier import Verifier
from labctl.parts import instruments_of
from labctl.protocol.gates import GateLimits, check_clearance
from labctl.protocol.rowmodel import AmplifierTap, ClientReceiver
from labctl.protocol.traces import NoiseGate
from labctl.recheck import Light, Rechecks


@dataclass(frozen=True)
class Assembly:
    """One run's parties and devices. ``control``: of the simulated lab, None on a real bench. ``sampled``: the server's
    receiver where a bin is a pulse of several samples. ``curious``: what a server that looks for the data does beside
    its part. ``switch``: before the server's receiver. ``held``: readings that the calibration holds for.
    """

    experiment: Experiment
    laser: Laser
    amplifier: Amplifier
    transmitter: IQTransmitter
    unitary: LoopUnitary
    server: Server
    client: Client
    verifier: Verifier
    watch: Watch
    control: SimulationControl | None
    sampled: SampledDualQuadrature | None = None
    curious: CuriousServer | None = None
    switch: OpticalSwitch | None = None
    rechecks: Rechecks | None = None
    held: tuple[HeldTo, ...] = ()

    @classmethod
    def build(cls, experiment: Experiment, bench: Bench) -> Assembly:
        """Nothing is sent to an instrument yet. Raises ConfigError when a part is played by the wrong kind."""
        config, run = bench.config, experiment.run
        agreement = experiment.agreement()
        laser = bench.part(config.laser.instrument, Laser)
        amplifier = bench.part(config.amplifier.instrument, Amplifier)
        attenuators = [(bench.part(each.instrument, Attenuator), each.channel) for each in config.modulator.attenuators]
        sender = bench.part(config.modulator.in_phase.instrument, WaveformGenerator)
        loop = _client_generators(bench)
        timing = _timing(config, (sender, *loop.values()))
        wave = config.waveform
        pulses = None if wave is None else PulseTrain.of(wave, timing, np.random.default_rng(run.seed))
        transmitter = IQTransmitter(config, laser, sender, attenuators, timing, pulses)
        unitary = LoopUnitary(config, loop, timing)
        client_ear, server_ear = config.client_receiver, config.server_receiver
        gain = run.adversary.gain_in_use(run.gain)
        client_scope = bench.part(client_ear.digitizer, Digitizer)
        collected = CollectedMode(client_ear, client_scope, timing, _client_gate(experiment, client_scope.name))
        digitizer = bench.part(server_ear.digitizer, Digitizer)
        sampled = None if pulses is None else SampledDualQuadrature(server_ear, digitizer, pulses, GateLimits())
        returned = sampled or DualQuadrature(server_ear, digitizer, timing)
        to_server, to_client = in_process_channel()
        curious = CuriousServer() if run.adversary.server_recovers_data else None
        server = Server(experiment.network, transmitter, returned, agreement.receiver, to_server, curious)
        client = Client(
            unitary,
            collected,
            to_client,
            gain_in_use=gain,
            transmittance_in=experiment.transmittance_in,
            efficiency=config.client_receiver.efficiency,
        )
        monitor = _monitor(bench)
        biases = [bench.part(name, BiasController) for name in config.modulator.bias]
        interlocks = interlocks_of(config.interlocks, bench.instruments)
        held = held_to(config, bench.instruments)
        watch = Watch(laser, config.laser.power, attenuators, amplifier, monitor, biases, (*interlocks, *held))
        switch = None if config.switch is None else bench.part(config.switch.instrument, OpticalSwitch)
        rechecks = _rechecks(experiment, bench, Light(watch, switch, unitary.forget, bench.clock))
        return cls(
            experiment,
            laser,
            amplifier,
            transmitter,
            unitary,
            server,
            client,
            Verifier(agreement),
            watch,
            bench.control(),
            sampled,
            curious,
            switch,
            rechecks,
            held,
        )

    def prepare(self) -> None:
        """Working points, waveforms, receivers; everything dark. A simulated lab starts from the run's seed."""
        run, bench = self.experiment.run, self.experiment.bench
        if self.control is not None:
            self.control.set_stepped_clock(True)
            self.control.reset(run.seed)
            self._mount_attack()
        check_before([each for each in self.held if not each.lit])
        self.watch.check_loop()
        self.amplifier.set_emission(False)  # before its input goes dark
        self.transmitter.set_light(False)
        if self.switch is not None and bench.switch is not None:
            self.switch.set_position(bench.switch.signal)
        self.laser.set_wavelength(bench.laser.wavelength)
        self.laser.set_power(bench.laser.power)
        if self.watch.monitor is not None:
            self.watch.monitor.meter.set_wavelength(bench.laser.wavelength)
        self.amplifier.set_pump(pump_for_gain(bench.amplifier, run.adversary.gain_in_use(run.gain)))
        self.unitary.prepare()
        self.server.prepare(run.gain, run.mean_photons)
        self.client.accept_terms()

    def light_on(self) -> None:
        """Laser and signal first: the amplifier is never pumped without input. Raises GateError while all is dark."""
        bench, limits = self.experiment.bench, GateLimits()
        for name, role in (("client_receiver", bench.client_receiver), ("server_receiver", bench.server_receiver)):
            check_clearance(name, role.electronic_noise, limits)
        dark = self._dark()
        for bias in self.watch.biases:  # behind closed shutters: an arm off its null lets everything through
            self.laser.set_emission(True)
            bias.lock("null")
        self._calibrate(dark)
        if dark is not None:  # the calibration's bright light told nothing of the weights
            self._mount_attack()
        self.laser.set_emission(True)  # the local oscillator before the signal
        self.watch.before_signal()
        self.transmitter.set_light(True)
        self.amplifier.set_emission(True)

    def _mount_attack(self) -> None:
        """Of the run's adversary, on a simulated lab; he starts with nothing."""
        adversary = self.experiment.run.adversary
        if self.control is not None and adversary.on_the_light:
            self.control.mount_attack(str(adversary.attack), adversary.strength or 0.0)

    def _dark(self) -> Recording | None:
        """Of a sampling receiver, with everything dark."""
        wave = self.experiment.bench.waveform
        if self.sampled is None or wave is None:
            return None
        return self._bright_shot(self.sampled, wave.calibration_symbols)

    def _calibrate(self, dark: Recording | None) -> None:
        """A sampling receiver's constants: records with everything dark, with the local oscillator alone, and of a
        bright frame that passes the client by, its amplifier unpumped.
        """
        receiver, wave = self.sampled, self.experiment.bench.waveform
        if receiver is None or wave is None or dark is None:
            return
        self.laser.set_emission(True)
        vacuum = self._bright_shot(receiver, wave.calibration_symbols)
        self.transmitter.set_light(True)
        bright = self._bright_shot(receiver, math.prod(receiver.bright_shape))
        try:
            receiver.calibrate(vacuum, dark, bright)
        except GateError as error:
            raise CalibrationError(f"calibration before the run: {error}", error.remedy) from error
        constants, model = receiver.constants, self.experiment.agreement().receiver
        assert constants is not None
        found = replace(model, sigma0_sq=constants.sigma0_sq, calibration_samples=constants.samples)
        self.server.calibrated(found)
        self.verifier.calibrated(found)

    def _bright_shot(self, receiver: SampledDualQuadrature, symbols: int) -> Recording:
        """What the server's digitizer records when the bright frame is played, with what light there is."""
        self.unitary.pass_by(receiver.bright_shape[0])
        receiver.arm_for(symbols)
        self.transmitter.send_bright()
        return receiver.recording()

    def calibration(self) -> dict[str, float]:
        """The constants in force, unit in the name."""
        bench = self.experiment.bench
        constants = {
            "modulator_loss_db": bench.modulator.loss,
            "link_loss_out_db": bench.link.loss_out,
            "link_loss_back_db": bench.link.loss_back,
            "amplifier_n_sp": bench.amplifier.n_sp,
            "amplifier_pump_a": pump_for_gain(bench.amplifier, self.experiment.run.gain),
        }
        for name, role in (("client", bench.client_receiver), ("server", bench.server_receiver)):
            constants |= {
                f"{name}_volts_per_snu": role.volts_per_snu,
                f"{name}_efficiency": role.efficiency,
                f"{name}_electronic_noise_snu": role.electronic_noise,
                f"{name}_noise_variance_snu": role.noise_variance,
                f"{name}_calibration_samples": float(role.calibration_samples),
            }
        if self.sampled is not None and self.sampled.constants is not None:
            found = self.sampled.constants
            delays, units = found.front_end.delay_samples, found.front_end.unit_v
            constants |= {
                "server_noise_variance_snu": found.sigma0_sq,
                "server_calibration_samples": float(found.samples),
                "server_delay_samples": delays[0],
                "server_skew_samples": delays[1] - delays[0],
                "server_angle_error_rad": found.front_end.angle_error_rad,
                "server_gain_ratio": found.front_end.gain_ratio * units[1] / units[0],
                "server_carrier_sqrt_photons": abs(found.carrier),
            }
        return constants


def _timing(config: BenchConfig, generators: Sequence[WaveformGenerator]) -> Timing:
    """Bins and rows as all generators can play them."""
    pilots = 0 if config.waveform is None else config.waveform.pilot_period
    return Timing.of(config.bin_rate, [each.capabilities for each in generators], config.samples_per_bin, pilots)


def _monitor(bench: Bench) -> Monitor | None:
    role = bench.config.monitor
    return None if role is None else Monitor(role, bench.part(role.instrument, PowerMeter))


def _rechecks(experiment: Experiment, bench: Bench, light: Light) -> Rechecks | None:
    """None where the run asks for none."""
    recheck, layers = experiment.run.recheck, len(experiment.network.weights)
    return None if recheck is None else Rechecks(bench.config, recheck, instruments_of(bench), light, layers)


def _client_gate(experiment: Experiment, name: str) -> NoiseGate:
    """What the client's digitizer may show, by the constants of the bench and what was agreed."""
    run, bench = experiment.run, experiment.bench
    tap = AmplifierTap(run.adversary.gain_in_use(run.gain), bench.amplifier.n_sp)
    ear = ClientReceiver(bench.client_receiver.efficiency, bench.client_receiver.electronic_noise)
    light = 4 * run.mean_photons * experiment.transmittance_in * ear.efficiency * tap.signal_gain
    return NoiseGate(name, ear.noise_variance(tap), light)


def _client_generators(bench: Bench) -> dict[str, WaveformGenerator]:
    role = bench.config.unitary
    drives = (role.forward_coupler, role.forward_phase, role.return_coupler, role.return_phase, bench.config.tap)
    names = dict.fromkeys(drive.instrument for drive in drives)
    return {name: bench.part(name, WaveformGenerator) for name in names}
