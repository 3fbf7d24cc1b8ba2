"""QCoDeS's drivers and those contributed to it, on the simulated AWG5200 and power meter."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from labctl.budget.sources import Tables
from tests.clients.desk import MISSING, Desk, second_supplier

qcodes = pytest.importorskip("qcodes", reason=MISSING)
tektronix = pytest.importorskip("qcodes.instrument_drivers.tektronix")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")  # its own

SAMPLES = 4000


@pytest.fixture
def changes() -> Tables:
    return second_supplier("tektronix_awg5200")


@pytest.fixture
def awg(desk: Desk) -> Iterator[Any]:
    made = tektronix.TektronixAWG5208("awg", desk.resource("server_awg"), visalib=desk.library)
    yield made
    assert made.ask("SYSTem:ERRor?").startswith("0,")
    made.close()


def test_a_waveform_file(desk: Desk, awg: Any) -> None:
    assert awg.IDN()["model"] == "AWG5208"
    awg.sample_rate(1e9)
    assert awg.sample_rate() == 1e9
    awg.ch1.awg_amplitude(0.5)
    awg.ch1.resolution(14)
    awg.ch1.state(1)
    sine = 0.2 * np.sin(np.linspace(0, 20 * np.pi, SAMPLES))
    awg.sendWFMXFile(awg.makeWFMXFile(np.array([sine, np.zeros(SAMPLES), np.zeros(SAMPLES)]), 0.5), "sine.wfmx")
    awg.loadWFMXFile("sine.wfmx")
    assert awg.waveformList == ["sine"]
    awg.ch1.setWaveform("sine")
    awg.play()
    assert awg.run_state() == "Running"
    state = desk.lab.units["server_awg"].state.channels[0]
    assert (state.output_on, state.amplitude_vpp) == (True, 0.5)
    np.testing.assert_allclose(state.playback.codes / state.code_max, sine / 0.25, atol=2e-4)
    awg.stop()
    assert awg.run_state() == "Stopped"
    awg.clearWaveformList()


def test_a_sequence_file(awg: Any) -> None:
    one = np.zeros((3, SAMPLES))
    waveforms = [[one, one], [one, one]]
    file = awg.makeSEQXFile([0, 0], [3, 2], [0, 0], [0, 0], [0, 1], waveforms, [0.5, 0.5], "seq")
    awg.sendSEQXFile(file, "seq.seqx")
    awg.loadSEQXFile("seq.seqx")
    awg.ch1.setSequenceTrack("seq", 1)
    awg.play()
    assert awg.run_state() == "Running"
    awg.stop()
    awg.clearSequenceList()
    awg.clearWaveformList()


@pytest.mark.slow
def test_the_power_meter(desk: Desk) -> None:
    """Its driver waits for five seconds when it opens, and takes metres. Reading the wavelength back is beyond it."""
    contributed = pytest.importorskip("qcodes_contrib_drivers.drivers.Thorlabs.PM100D", reason=MISSING)
    laser = desk.lab.units["laser"].state
    laser.emission, laser.power_w = True, 10e-3
    meter = contributed.Thorlab_PM100D("meter", desk.resource("power_meter"), visalib=desk.library)
    meter.wavelength(1550e-9)
    assert meter.power() == pytest.approx(desk.lab.world.optical_power_w("power_meter"), rel=1e-6) != 0
    assert meter.ask("SENS:CORR:WAV?").startswith("1.55000000E+03")
    meter.close()
