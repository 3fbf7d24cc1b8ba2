"""Who plays which part on a bench that is calibrated, or held against its calibration."""

from __future__ import annotations

from labctl.bench import Bench
from labctl.calibration.rig import Instruments
from labctl.interfaces import Amplifier, Attenuator, BiasController, Digitizer, Laser, PowerMeter, WaveformGenerator


def instruments_of(bench: Bench) -> Instruments:
    """Who plays which part. Raises ConfigError for one of the wrong kind."""
    config = bench.config
    role = config.unitary
    drives = (role.forward_coupler, role.forward_phase, role.return_coupler, role.return_phase, config.tap)
    names = dict.fromkeys(drive.instrument for drive in drives)
    return Instruments(
        laser=bench.part(config.laser.instrument, Laser),
        amplifier=bench.part(config.amplifier.instrument, Amplifier),
        attenuators=[(bench.part(each.instrument, Attenuator), each.channel) for each in config.modulator.attenuators],
        sender=bench.part(config.modulator.in_phase.instrument, WaveformGenerator),
        client={name: bench.part(name, WaveformGenerator) for name in names},
        client_digitizer=bench.part(config.client_receiver.digitizer, Digitizer),
        server_digitizer=bench.part(config.server_receiver.digitizer, Digitizer),
        monitor=None if config.monitor is None else bench.part(config.monitor.instrument, PowerMeter),
        biases=[bench.part(name, BiasController) for name in config.modulator.bias],
    )
