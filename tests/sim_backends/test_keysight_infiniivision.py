"""The simulated InfiniiVision over its wire: settings, run control, read-out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from labctl.errors import ConfigError
from sim_backends.keysight_infiniivision import InfiniiVision
from sim_backends.state import ChannelRecord, DigitizerState
from sim_backends.unit import open_unit


class Inputs:
    """A world that serves a ramp, a new one each time, and remembers what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[tuple[int, ...], float, int]] = []
        self.time_s = 0.0

    def now(self) -> float:
        return self.time_s

    def fire_trigger(self, unit: str) -> None:
        raise AssertionError("an oscilloscope fires nothing")

    def acquire(
        self, unit: str, channels: Sequence[int], sample_interval_s: float, samples: int
    ) -> dict[int, ChannelRecord]:
        self.asked.append((tuple(channels), sample_interval_s, samples))
        shot = len(self.asked)
        ramp = np.arange(samples, dtype=np.float32)
        return {n: ChannelRecord(shot + n * ramp, 1e-3) for n in channels}

    def optical_power_w(self, unit: str) -> float:
        return 0.0


class Bench:
    def __init__(self, stream: bool = True, **options: object) -> None:
        self.world = Inputs()
        self.unit = InfiniiVision("scope", self.world, options)
        self.line = self.unit.connect(stream)

    def send(self, text: str) -> None:
        assert self.line is not None
        self.line.receive(text.encode() + b"\n", True)

    def trigger(self) -> None:
        """The trigger line fires while some unit of the laboratory carries out a command."""
        with self.unit.lock:
            self.unit.on_trigger()

    def waiting(self) -> bytes | None:
        assert self.line is not None
        answer = self.line.take(1 << 24, b"\n")
        return None if answer is None else answer[0]

    def ask(self, text: str) -> str:
        self.send(text)
        answer = self.waiting()
        assert answer is not None, f"no answer to {text}"
        return answer.decode("latin-1").removesuffix("\n")

    def errors(self) -> list[int]:
        found = []
        while (code := int(self.ask(":SYST:ERR?").split(",")[0])) != 0:
            found.append(code)
        return found

    def codes(self, channel: int = 1) -> list[int]:
        """Signed words of one channel, by the settings of :func:`ready`."""
        self.send(f":WAV:SOUR CHAN{channel};:WAV:DATA?")
        assert self.line is not None
        head = self.line.take(10)
        assert head is not None
        assert head[0][:2] == b"#8"
        body = self.line.take(int(head[0][2:]) + 1)
        assert body is not None
        assert body[0][-1:] == b"\n"
        return np.frombuffer(body[0][:-1], dtype="<i2").tolist()


def ready(
    samples: int = 1000, interval_s: float = 1e-9, sweep: str = "NORM", stream: bool = True, **options: object
) -> Bench:
    """Two channels of 4.096 V (1 mV a code of 12 bits), a record from the external trigger on."""
    bench = Bench(stream, **options)
    bench.send(
        ":STOP;:ACQ:TYPE HRES;:CHAN1:DISP 1;:CHAN2:DISP 1;:CHAN1:RANG 4.096;:CHAN2:RANG 4.096;"
        f":TIM:MODE MAIN;:TIM:REF LEFT;:TIM:RANG {samples * interval_s!r};:TIM:POS {samples * interval_s / 10!r};"
        f":TRIG:MODE EDGE;:TRIG:EDGE:SOUR EXT;:TRIG:SWE {sweep};"
        f":WAV:FORM WORD;:WAV:BYT LSBF;:WAV:UNS 0;:WAV:POIN:MODE RAW;:WAV:POIN {samples}"
    )
    bench.ask(":TER?;:AER?")
    assert bench.errors() == []
    return bench


# ---- settings ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "value", "shown"),
    [
        (":CHAN2:DISP", "1", "1"),
        (":CHANnel1:COUPling", "AC", "AC"),
        (":CHAN1:IMP", "FIFT", "FIFT"),
        (":CHAN1:BWL", "ON", "1"),
        (":CHAN1:INV", "1", "1"),
        (":CHAN3:PROB", "10", "+1.000000000000E+01"),
        (":CHAN1:RANG", "1.6", "+1.600000000000E+00"),
        (":CHAN4:SCAL", "200 mV", "+2.000000000000E-01"),
        (":CHAN1:OFFS", "0.5", "+5.000000000000E-01"),
        (":CHAN1:LAB", '"signal in the dark"', '"SIGNAL IN "'),
        (":CHAN1:UNIT", "AMP", "AMP"),
        (":TIM:MODE", "WIND", "WIND"),
        (":TIM:RANG", "1e-3", "+1.000000000000E-03"),
        (":TIM:SCAL", "20 us", "+2.000000000000E-05"),
        (":TIM:POS", "1", "+1.000000000000E+00"),
        (":TIM:REF", "RIGHt", "RIGH"),
        (":ACQ:TYPE", "HRES", "HRES"),
        (":ACQ:COUN", "64", "64"),
        (":ACQ:MODE", "SEGM", "SEGM"),
        (":ACQ:SEGM:COUN", "25", "25"),
        (":ACQ:COMP", "90", "90"),
        (":TRIG:MODE", "EDGE", "EDGE"),
        (":TRIG:SOUR", "EXT", "EXT"),
        (":TRIG:EDGE:SOUR", "CHAN3", "CHAN3"),
        (":TRIG:LEV", "0.5", "+5.000000000000E-01"),
        (":TRIG:EDGE:SLOP", "NEG", "NEG"),
        (":TRIG:SWE", "NORM", "NORM"),
        (":TRIG:COUP", "AC", "AC"),
        (":TRIG:NREJ", "1", "1"),
        (":WAV:SOUR", "CHAN2", "CHAN2"),
        (":waveform:source", "channel2", "CHAN2"),
        (":WAV:FORM", "ASC", "ASC"),
        (":WAV:BYT", "LSBF", "LSBF"),
        (":WAV:UNS", "0", "0"),
        (":WAV:POIN:MODE", "MAX", "MAX"),
        (":WAV:POIN", "1000", "1000"),
    ],
)
def test_settings(header: str, value: str, shown: str) -> None:
    bench = Bench()
    before = bench.ask(header + "?")
    bench.send(f"{header} {value}")
    assert bench.ask(header + "?") == shown
    bench.send("*RST")
    assert bench.ask(header + "?") == before
    assert bench.errors() == []


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (":CHAN1:RANG 41", -222),
        (":CHAN1:RANG 1e-3", -222),
        (":CHAN5:DISP 1", -114),
        (":TIM:RANG 1e-9", -222),
        (":ACQ:TYPE SMOOTH", -224),
        (":WAV:POIN 0", -222),
        (":WAV:POIN 10000001", -222),
        (":ACQ:SEGM:IND 4", -222),
        (":STOP;:WAV:SOUR FUNC;:WAV:DATA?", -221),
        (":WAV:FORM LONG", -224),
        (":CHAN1:VOLUME 11", -113),
    ],
)
def test_refusals(text: str, code: int) -> None:
    bench = Bench()
    bench.send(text)
    assert bench.errors() == [code]


def test_error_queue_keeps_thirty() -> None:
    bench = Bench()
    for _ in range(40):
        bench.send(":NOSUCH")
    assert bench.errors() == [-113] * 29 + [-350]
    assert bench.ask(":SYST:ERR?") == '+0,"No error"'


def test_state_is_what_stands_at_the_input() -> None:
    bench = Bench()
    state = bench.unit.state
    assert isinstance(state, DigitizerState)
    bench.send(":CHAN2:RANG 0.8;:CHAN2:OFFS 0.1")
    assert state.channels[1].full_scale_v == pytest.approx(0.8)
    assert state.channels[1].offset_v == pytest.approx(0.1)
    bench.send(":CHAN2:PROB 10")
    assert float(bench.ask(":CHAN2:RANG?")) == pytest.approx(8.0)
    assert state.channels[1].full_scale_v == pytest.approx(0.8)
    bench.send(":CHAN2:OFFS 500")
    assert float(bench.ask(":CHAN2:OFFS?")) == pytest.approx(20.0), "the nearest legal value"


def test_models_and_options() -> None:
    world = Inputs()
    small = Bench(variant="DSOX1102G", serial="CN1")
    assert small.ask("*IDN?").split(",")[:3] == ["KEYSIGHT TECHNOLOGIES", "DSOX1102G", "CN1"]
    small.send(":CHAN3:DISP 1")
    assert small.errors() == [-241]
    assert len(open_unit("keysight_infiniivision", "x", world, {}).state.channels) == 4
    for wrong in ({"variant": "TDS210"}, {"bits": 14}, {"channels": 1}, {"colour": "red"}, {"levels": 0}):
        with pytest.raises(ConfigError):
            open_unit("keysight_infiniivision", "x", world, wrong)


# ---- the record -------------------------------------------------------------------------------


def test_record_starts_at_the_trigger() -> None:
    """The arithmetic of the driver: 12 bits over 4.096 V are 1 mV a step, one count of the ramp."""
    bench = ready()
    bench.send(":SING")
    assert bench.world.asked == []
    bench.trigger()
    assert bench.world.asked == [((1, 2), pytest.approx(1e-9, rel=1e-12), 1000)]
    assert [code / 16 for code in bench.codes(1)] == [1 + i for i in range(1000)]
    assert [code / 16 for code in bench.codes(2)] == [1 + 2 * i for i in range(1000)]
    fields = bench.ask(":WAV:PRE?").split(",")
    assert fields[:5] == ["+1", "+3", "+1000", "+1", "+1.00000000E-009"]
    assert fields[5:] == ["+0.00000000E+000", "+0", "+6.25000000E-005", "+0.00000000E+000", "+0"]
    singles = ":WAV:XINC?;:WAV:XOR?;:WAV:XREF?;:WAV:YINC?;:WAV:YOR?;:WAV:YREF?"
    assert bench.ask(singles).split(";") == fields[4:]
    assert bench.errors() == []


@pytest.mark.parametrize("samples", [1, 7, 1000, 340_000])
@pytest.mark.parametrize("interval_s", [1e-9, 1 / 1.2e9, 7.7e-8])
def test_any_record_length(samples: int, interval_s: float) -> None:
    if samples * interval_s < 20e-9:
        interval_s = 1e-6  # the screen is never shorter than 20 ns
    bench = ready(samples, interval_s)
    bench.send(":SING")
    bench.trigger()
    ((_, asked_interval_s, asked),) = bench.world.asked
    assert asked == samples
    assert asked_interval_s == pytest.approx(interval_s, rel=1e-12)
    assert float(bench.ask(":WAV:XOR?")) == 0.0
    assert int(bench.ask(":WAV:PRE?").split(",")[2]) == samples


def test_samples_before_the_trigger_are_holes() -> None:
    bench = ready()
    bench.send(":TIM:POS 0;:SING")
    bench.trigger()
    assert bench.world.asked[0][2] == 900
    codes = bench.codes()
    assert codes[:100] == [-32768] * 100
    assert [code / 16 for code in codes[100:]] == [1 + i for i in range(900)]
    assert float(bench.ask(":WAV:XOR?")) == pytest.approx(-100e-9)


def test_screen_before_the_trigger_is_all_holes() -> None:
    bench = ready()
    bench.send(":TIM:POS -5e-6;:SING")
    bench.trigger()
    assert bench.world.asked == []
    assert bench.codes() == [-32768] * 1000


def test_delay_after_the_trigger() -> None:
    bench = ready()
    bench.send(":TIM:POS 600e-9;:SING")
    bench.trigger()
    assert bench.world.asked[0][2] == 1500
    assert [code / 16 for code in bench.codes()] == [501 + i for i in range(1000)]
    assert float(bench.ask(":WAV:XOR?")) == pytest.approx(500e-9)
    bench.send(":TIM:POS 100;:SING")
    assert bench.errors() == [-221]
    bench.send(":TIM:POS 0;:SING;:TIM:POS 100")
    bench.trigger()
    assert bench.codes() == [-32768] * 1000
    assert len(bench.world.asked) == 1


def test_memory_and_sample_rate_limit_the_record() -> None:
    bench = ready(memory_points=500)
    bench.send(":SING")
    bench.trigger()
    assert bench.world.asked[0][1:] == (pytest.approx(2e-9), 500)
    assert bench.ask(":ACQ:POIN?") == "500"
    slow = ready(max_rate_hz=1e8)
    slow.send(":SING")
    slow.trigger()
    assert slow.world.asked[0][1:] == (pytest.approx(1e-8), 100)
    assert float(slow.ask(":ACQ:SRAT?")) == pytest.approx(1e8)


def test_fewer_points_asked_for_afterwards() -> None:
    bench = ready()
    bench.send(":SING")
    bench.trigger()
    whole = bench.codes()
    bench.send(":WAV:POIN 100")
    assert bench.codes() == whole[::10]
    assert float(bench.ask(":WAV:XINC?")) == pytest.approx(1e-8)
    bench.send(":WAV:POIN MAX")
    assert bench.codes() == whole
    assert len(bench.world.asked) == 1


def test_bits_follow_the_acquisition_type() -> None:
    bench = ready()
    for kind, unit in (("HRES", 16), ("NORM", 256), ("PEAK", 256)):
        bench.send(f":ACQ:TYPE {kind};:SING")
        bench.trigger()
        codes = np.array(bench.codes())
        assert (codes % unit == 0).all()
        assert (codes % (2 * unit) != 0).any()
    assert bench.ask(":WAV:PRE?").split(",")[1] == "+1"


def test_clipped_samples_are_flagged_in_the_trace() -> None:
    bench = ready(2000)
    bench.send(":CHAN2:RANG 2.048;:SING")
    bench.trigger()
    high = bench.codes(2)  # reaches 4 V on a screen that ends at 1.024 V
    assert high[-1] == 32767
    assert high.count(32767) > 1000
    assert max(bench.codes(1)) == 2000 * 16
    bench.send(":CHAN2:INV 1;:SING")
    bench.trigger()
    assert min(bench.codes(2)) == -32767


def test_offset_probe_inversion_and_coupling() -> None:
    def read(settings: str) -> np.ndarray:
        bench = ready(100)
        bench.send(settings + ";:SING")
        bench.trigger()
        codes = np.array(bench.codes())
        fields = [float(field) for field in bench.ask(":WAV:PRE?").split(",")]
        return (codes - fields[9]) * fields[7] + fields[8]

    truth = 1e-3 * (1 + np.arange(100))
    assert read("") == pytest.approx(truth, abs=1e-9)
    assert read(":CHAN1:OFFS 0.75") == pytest.approx(truth, abs=0.5e-3)
    assert read(":CHAN1:PROB 10") == pytest.approx(10 * truth, abs=1e-8)
    assert read(":CHAN1:INV 1") == pytest.approx(-truth, abs=1e-9)
    assert read(":CHAN1:COUP AC") == pytest.approx(truth - truth.mean(), abs=0.51e-3)


# ---- run control ------------------------------------------------------------------------------


def test_condition_and_event_registers() -> None:
    bench = ready()
    assert bench.ask(":OPER:COND?;:TER?;:AER?") == "+0;+0;+0"
    assert bench.ask(":SING;:AER?") == "+1"
    assert bench.ask(":OPER:COND?;:TER?;:AER?") == "+40;+0;+0"
    bench.trigger()
    assert bench.ask(":OPERegister:CONDition?;:TER?") == "+0;+1"
    assert bench.ask(":TER?") == "+0"
    assert bench.ask(":OPER?;:OPER?") == "+40;+0"


def test_a_second_trigger_is_not_recorded() -> None:
    bench = ready()
    bench.send(":SING")
    bench.trigger()
    first = bench.codes()
    bench.trigger()
    assert bench.codes() == first
    assert len(bench.world.asked) == 1


@pytest.mark.parametrize("settings", [":TRIG:SOUR CHAN1", ":TRIG:SOUR LINE", ":STOP"])
def test_who_does_not_listen_to_the_trigger_input(settings: str) -> None:
    bench = ready()
    bench.send(f":SING;{settings}")
    bench.trigger()
    assert bench.world.asked == []


def test_force() -> None:
    bench = ready()
    bench.send(":TRIG:SOUR CHAN1;:SING;:TRIG:FORC")
    assert bench.ask(":OPER:COND?;:TER?") == "+0;+1"
    assert len(bench.codes()) == 1000


def test_stop_keeps_waiting_scope_without_a_record() -> None:
    bench = ready()
    bench.send(":SING;:STOP;:WAV:DATA?")
    assert bench.errors() == [-230]
    assert bench.ask(":OPER:COND?") == "+0"


@pytest.mark.parametrize("command", [":SING", ":DIG", ":DIG CHAN1,CHAN2"])
def test_sweep_auto_acquires_at_once(command: str) -> None:
    bench = ready(sweep="AUTO")
    assert bench.ask(f"{command};*OPC?") == "1"
    assert bench.ask(":OPER:COND?") == "+0"
    assert len(bench.world.asked) == 1
    assert [code / 16 for code in bench.codes()] == [1 + i for i in range(1000)]


def test_sweep_auto_frees_what_waits() -> None:
    bench = ready()
    bench.send(":SING;:TRIG:SWE AUTO")
    assert bench.ask(":OPER:COND?;:TER?") == "+0;+0"
    assert len(bench.codes()) == 1000


def test_digitize_acquires_the_channels_it_names() -> None:
    bench = ready(sweep="AUTO")
    bench.send(":DIG CHAN2")
    assert bench.world.asked[0][0] == (2,)
    bench.send(":WAV:SOUR CHAN1;:WAV:DATA?")
    assert bench.errors() == [-221]


def test_digitize_holds_back_what_follows() -> None:
    bench = ready()
    bench.send(":DIG;*OPC?")
    bench.send(":WAV:SOUR CHAN1;:WAV:POIN?")
    assert bench.waiting() is None
    bench.trigger()
    assert bench.waiting() == b"1\n"
    assert bench.waiting() == b"1000\n"


def test_operation_complete_event_comes_with_the_trigger() -> None:
    bench = ready()
    other = bench.unit.connect(stream=True)
    assert other is not None
    bench.send("*CLS;:DIG")
    other.receive(b"*OPC;*ESR?\n")
    assert other.take(100, b"\n") == (b"0\n", 1)
    bench.trigger()
    other.receive(b"*ESR?\n")
    assert other.take(100, b"\n") == (b"1\n", 1)


def test_device_clear_ends_digitize() -> None:
    bench = ready(stream=False)
    bench.send(":DIG;*OPC?")
    assert bench.line is not None
    bench.line.clear()
    assert bench.ask(":OPER:COND?") == "+0"
    bench.trigger()
    assert bench.world.asked == []


def test_another_connection_may_stop_a_digitize() -> None:
    bench = ready()
    other = bench.unit.connect(stream=True)
    assert other is not None
    bench.send(":DIG;*OPC?")
    other.receive(b":STOP\n")
    assert bench.waiting() == b"1\n"


def test_running_with_sweep_auto_sends_fresh_records() -> None:
    bench = ready(sweep="AUTO")
    bench.send(":RUN")
    assert bench.ask(":OPER:COND?") == "+8"
    first, second = bench.codes(), bench.codes()
    assert second[0] == first[0] + 16
    bench.send(":STOP")
    assert bench.codes() == bench.codes() == second


def test_running_on_the_trigger_input_keeps_the_last_record() -> None:
    bench = ready()
    bench.send(":RUN")
    for _ in range(3):
        bench.trigger()
    assert bench.codes()[0] == 3 * 16
    assert bench.ask(":OPER:COND?") == "+40"


def test_averages_need_their_triggers() -> None:
    bench = ready()
    bench.send(":ACQ:TYPE AVER;:ACQ:COUN 4;:SING")
    for _ in range(3):
        bench.trigger()
        assert bench.ask(":OPER:COND?") == "+40"
    bench.trigger()
    assert bench.ask(":OPER:COND?") == "+0"
    assert [code / 16 for code in bench.codes()[:3]] == [2, 4, 4], "2.5, 3.5, 4.5 rounded to even codes"
    assert bench.ask(":WAV:PRE?").split(",")[1:4] == ["+2", "+1000", "+4"]


def test_a_frozen_screen_is_looked_at_once() -> None:
    bench = Bench()
    bench.send(":STOP")
    assert bench.world.asked == [], "stopping draws nothing from the world"
    assert int(bench.ask(":WAV:PRE?").split(",")[2]) == 62_500
    bench.send(":WAV:FORM WORD;:WAV:BYT LSBF;:WAV:UNS 0")
    assert bench.codes() == bench.codes()
    assert bench.world.asked == [((1,), pytest.approx(1.6e-8), 62_500)]


def test_segmented_memory() -> None:
    bench = ready()
    bench.send(":ACQ:MODE SEGM;:ACQ:SEGM:COUN 3;:SING")
    for _ in range(3):
        assert bench.ask(":OPER:COND?") == "+40"
        bench.world.time_s += 0.25
        bench.trigger()
    assert bench.ask(":OPER:COND?;:WAV:SEGM:COUN?") == "+0;3"
    for index in (1, 2, 3):
        bench.send(f":ACQ:SEGM:IND {index}")
        assert bench.codes()[0] == index * 16
        assert float(bench.ask(":WAV:SEGM:TTAG?")) == pytest.approx(0.25 * (index - 1))
    assert bench.errors() == []


def test_records_do_not_change_behind_their_reader() -> None:
    """What the world hands out may be overwritten by its next shot."""
    bench = ready()
    shared = np.zeros(1000, dtype=np.float32)

    def acquire(unit, channels, sample_interval_s, samples):
        shared[:] = 5.0
        return {1: ChannelRecord(shared, 1e-3)}

    bench.world.acquire = acquire
    bench.send(":SING")
    bench.trigger()
    shared[:] = 99.0
    assert bench.codes() == [80] * 1000


@pytest.mark.parametrize("query", [":CHAN1?", ":TIM?", ":WAV?"])
def test_whole_subsystems(query: str) -> None:
    answer = Bench().ask(query)
    assert answer.startswith(query[:-1])
    assert all(len(item.split(" ")) == 2 for item in answer.split(";"))
