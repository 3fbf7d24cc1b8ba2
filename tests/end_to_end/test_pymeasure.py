"""PyMeasure's own drivers, written by others against the real instruments, beside ours on the shipped ideal bench.

Both look into one simulated lab: PyMeasure through ``ResourceManager("@labctl")`` and a resource string, ours through
the bench file.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import TypeVar

import numpy as np
import pytest
from numpy.typing import NDArray
from pymeasure.instruments.keysight import KeysightDSOX1102G
from pymeasure.instruments.santec.tsl570 import TSL570

from drivers.visa import VisaLibrary
from labctl.config import load_bench
from labctl.interfaces import Attenuator, Digitizer, Instrument, Laser, WaveformGenerator
from labctl.shipped import bench_path

Kind = TypeVar("Kind", bound=Instrument)

LASER = "TCPIP0::192.168.10.11::5000::SOCKET"
SCOPE = "TCPIP0::192.168.10.42::5025::SOCKET"
RATE_HZ = 125e6
#: A record length that PyMeasure can ask for.
SAMPLES = 5000
FULL_SCALE_V = 4.0
#: Of the server's receiver at 10 mW of local oscillator: one standard deviation of vacuum.
VACUUM_V = 20e-3
#: ASCII format shows six digits.
SHOWN = 0.5e-5


@dataclass
class Bench:
    """Our drivers, opened by their names in the bench file."""

    library: VisaLibrary
    stack: contextlib.ExitStack

    def open(self, name: str, kind: type[Kind]) -> Kind:
        entry = load_bench(bench_path("ideal")).instruments[name]
        made = resolve_name(entry.driver)(name, entry.resource, self.library, self.library.clock(), **entry.options)
        assert isinstance(made, kind)
        made.open()
        self.stack.callback(made.close)
        return made


@pytest.fixture
def bench() -> Iterator[Bench]:
    with contextlib.ExitStack() as stack:
        library = VisaLibrary(f"{bench_path('ideal')}@labctl")
        stack.callback(library.close)
        control = library.control()
        assert control is not None
        control.set_stepped_clock(True)
        control.reset(1)
        yield Bench(library, stack)


@pytest.fixture
def their_laser(bench: Bench) -> Iterator[TSL570]:
    driver = TSL570(LASER, visa_library="@labctl", read_termination="\r", write_termination="\r")
    yield driver
    driver.adapter.close()
    driver.adapter.manager.close()


@pytest.fixture
def their_scope(bench: Bench) -> Iterator[KeysightDSOX1102G]:
    with pytest.warns(FutureWarning, match="SCPI"):  # PyMeasure does not know about this oscilloscope's *IDN?
        driver = KeysightDSOX1102G(SCOPE, visa_library="@labctl", read_termination="\n", write_termination="\n")
    yield driver
    driver.adapter.close()
    driver.adapter.manager.close()


def play(bench: Bench) -> WaveformGenerator:
    """Light through the modulator and both attenuators, while the server's generator plays a ramp on both axes."""
    attenuator = bench.open("attenuator", Attenuator)
    for channel in (1, 3):
        attenuator.set_attenuation(channel, 32.5)
        attenuator.set_shutter(channel, True)
    generator = bench.open("server_awg", WaveformGenerator)
    generator.configure(RATE_HZ, {1: 0.7, 2: 0.7})
    ramp = np.linspace(-8000, 8000, 5040).astype(np.int16)
    generator.load(1, {1: ramp, 2: ramp[::-1].copy()})
    for channel in (1, 2):
        generator.set_output(channel, True)
    return generator


def shoot(scope: Digitizer, generator: WaveformGenerator) -> dict[int, NDArray[np.float64]]:
    """Volts of both channels, read by our driver."""
    scope.arm()
    generator.play(1, 1)
    scope.wait()
    return {channel: np.asarray(scope.read(channel).volts()) for channel in (1, 2)}


def test_the_laser_that_pymeasure_switches_on_is_on_for_us(bench: Bench, their_laser: TSL570) -> None:
    ours = bench.open("laser", Laser)
    assert not ours.emission()
    their_laser.command_set = "SCPI"
    their_laser.wavelength_setpoint = 1549.5e-9
    their_laser.power_unit = "dBm"
    their_laser.power_setpoint = 10.0
    their_laser.output_enabled = True
    assert ours.emission()
    assert ours.power() == pytest.approx(10e-3)
    assert ours.wavelength() == pytest.approx(1549.5e-9)
    ours.set_emission(False)
    assert not their_laser.output_enabled
    assert their_laser.check_errors() == []
    assert not ours.problems()


def test_a_trace_read_by_pymeasure_is_the_one_that_we_read(
    bench: Bench, their_laser: TSL570, their_scope: KeysightDSOX1102G
) -> None:
    """Ours is read first, as signed words; PyMeasure then reads the same record as text. The vacuum alone has the
    receiver's 20 mV, the ramp several times as much.
    """
    scope, generator = bench.open("server_scope", Digitizer), play(bench)
    scope.configure({1: FULL_SCALE_V, 2: FULL_SCALE_V}, 1 / RATE_HZ, SAMPLES)
    dark = shoot(scope, generator)
    their_laser.power_unit = "dBm"
    their_laser.power_setpoint = 10.0
    their_laser.output_enabled = True
    lit = shoot(scope, generator)
    for channel, ours in lit.items():
        theirs, preamble = their_scope.download_data(f"channel{channel}", SAMPLES)
        assert preamble["points"] == len(theirs) == len(ours) == SAMPLES
        assert preamble["xincrement"] == pytest.approx(1 / RATE_HZ)
        np.testing.assert_allclose(theirs, ours, rtol=1.01 * SHOWN, atol=1e-12)
        assert np.std(ours) > 3 * VACUUM_V > 0.0 == np.ptp(dark[channel])
    assert not np.array_equal(lit[1], lit[2])
    assert not scope.problems()


def test_pymeasure_reads_words_as_we_do(bench: Bench, their_scope: KeysightDSOX1102G) -> None:
    """Our driver leaves signed words, least significant byte first; PyMeasure's preamble says what they mean."""
    laser = bench.open("laser", Laser)
    laser.set_power(10e-3)
    laser.set_emission(True)
    scope, generator = bench.open("server_scope", Digitizer), play(bench)
    scope.configure({1: FULL_SCALE_V, 2: FULL_SCALE_V}, 1 / RATE_HZ, SAMPLES)
    ours = shoot(scope, generator)[2]
    their_scope.waveform_source = "channel2"
    assert their_scope.waveform_format == "word"
    assert their_scope.waveform_points_mode == "raw"
    form = their_scope.waveform_preamble
    their_scope.write(":WAVeform:DATA?")
    block = their_scope.adapter.connection.read_bytes(10 + 2 * form["points"] + 1)
    words = np.frombuffer(block[10:-1], dtype="<i2").astype(float)
    theirs = (words - form["yreference"]) * form["yincrement"] + form["yorigin"]
    assert form["type"] == "HRES"
    assert np.std(ours) > VACUUM_V
    np.testing.assert_allclose(theirs, ours, rtol=1e-12)
