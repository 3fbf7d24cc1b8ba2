"""PyMeasure's own driver on the simulated generator through the VISA library: the exchanges of PyMeasure's tests, and
those of its methods that load and trigger.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest
from pymeasure.instruments.agilent import Agilent33500

from sim_backends import visa_library
from sim_backends.keysight_33600a import Trueform
from tests.sim_backends.rig import QuietWorld

RESOURCE = "TCPIP0::192.168.10.21::5025::SOCKET"


class Listening(QuietWorld):
    """Counts triggers."""

    fired = 0

    def fire_trigger(self, unit: str) -> None:
        self.fired += 1


class OneUnit:
    """A laboratory of one instrument."""

    stepped = False

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.world = Listening()
        self.unit = Trueform("awg", self.world, {})
        self.unit.lock = self.lock

    def resources(self) -> list[str]:
        return [RESOURCE]

    def by_resource(self, resource: str) -> Trueform | None:
        return self.unit if resource.upper() == RESOURCE.upper() else None

    def now(self) -> float:
        return 0.0

    def close(self) -> None:
        pass


@pytest.fixture
def lab() -> OneUnit:
    return OneUnit()


@pytest.fixture
def generator(lab: OneUnit, monkeypatch: pytest.MonkeyPatch) -> Iterator[Agilent33500]:
    monkeypatch.setattr(visa_library, "open_lab", lambda bench: lab)
    library = visa_library.LabctlVisaLibrary("agilent33500 test bench")
    instrument = Agilent33500(RESOURCE, visa_library=library, read_termination="\n", write_termination="\n")
    yield instrument
    assert instrument.ask("SYST:ERR?").startswith("+0,")
    instrument.adapter.manager.close()


@pytest.mark.parametrize(
    ("setting", "values"),
    [
        ("shape", ["SIN", "SQU", "TRI", "RAMP", "PULS", "PRBS", "NOIS", "ARB", "DC"]),
        ("frequency", [1e-6, 1.2e8]),
        ("amplitude", [10e-3, 10]),
        ("amplitude_unit", ["VPP", "VRMS", "DBM"]),
        ("offset", [-4.9, 4.9]),
        ("phase", [-360, 360]),
        ("square_dutycycle", [0.01, 99.98]),
        ("ramp_symmetry", [0.01, 99.98]),
        ("pulse_period", [33e-9, 1e6]),
        ("pulse_hold", ["WIDT", "DCYC"]),
        ("pulse_width", [16e-9, 1e6]),
        ("pulse_dutycycle", [0, 100]),
        ("pulse_transition", [8.4e-9, 1e-6]),
        ("output", [True, False]),
        ("output_load", [50, 75]),
        ("burst_state", [True, False]),
        ("burst_mode", ["TRIG", "GAT"]),
        ("burst_period", [1e-6, 8000]),
        ("burst_ncycles", [1, 99999]),
        ("arb_advance", ["TRIG", "SRAT"]),
        ("arb_filter", ["NORM", "STEP", "OFF"]),
        ("arb_srate", [1e-6, 250e6]),
    ],
)
def test_settings_of_both_channels(generator: Agilent33500, setting: str, values: list[object]) -> None:
    for part in (generator.ch_1, generator.ch_2, generator):
        for value in values:
            setattr(part, setting, value)
            assert getattr(part, setting) == value
    if setting == "output":
        return
    setattr(generator.ch_2, setting, values[0])
    assert getattr(generator, setting) == values[-1], "without a number it is channel 1"


def test_high_and_low_move_each_other(generator: Agilent33500) -> None:
    for part in (generator.ch_1, generator.ch_2, generator):
        part.voltage_high = 4.995
        part.voltage_low = -4.995
        assert (part.voltage_high, part.voltage_low) == pytest.approx((4.995, -4.995))
        assert (part.amplitude, part.offset) == pytest.approx((9.99, 0.0))
        part.voltage_high = -4.995
        assert part.voltage_high == pytest.approx(-4.995)
        part.voltage_low = 4.99
        assert part.voltage_low == pytest.approx(4.99)


def test_the_load_changes_what_is_told_and_not_what_comes_out(generator: Agilent33500, lab: OneUnit) -> None:
    generator.amplitude = 2
    generator.output_load = "INF"
    assert generator.output_load == 9.9e37
    assert generator.amplitude == pytest.approx(4)
    assert lab.unit.state.channels[0].amplitude_vpp == pytest.approx(2)


def test_a_waveform_is_loaded_and_played(generator: Agilent33500, lab: OneUnit) -> None:
    channel = generator.ch_1
    channel.data_volatile_clear()
    channel.data_arb("test", range(-10000, 10000, 20), data_format="DAC")
    channel.data_arb("half", np.linspace(-1, 1, 64), data_format="float")
    channel.arb_file = "test"
    assert channel.arb_file == '"test"'
    channel.shape = "ARB"
    playback = lab.unit.state.channels[0].playback
    assert playback is not None
    assert playback.loops == 0
    assert np.array_equal(playback.codes, np.arange(-10000, 10000, 20))
    channel.burst_state = True
    channel.burst_ncycles = 3
    generator.trigger_source = "BUS"
    generator.ext_trig_out = True
    generator.trigger()
    generator.wait_for_trigger()
    assert lab.world.fired == 1
    generator.beep()
    generator.phase_sync()
    generator.clear_display()
