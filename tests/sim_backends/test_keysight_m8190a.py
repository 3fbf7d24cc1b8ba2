"""The simulated M8190A over its wire: commands, blocks, trigger model."""

from __future__ import annotations

import numpy as np
import pytest

from labctl.errors import ConfigError
from sim_backends.keysight_m8190a import M8190A
from sim_backends.state import GeneratorState, Playback
from sim_backends.unit import Connection, open_unit

ALONE = 1 << 28 | 1 << 30 | 1 << 24
WHOLE = 0xFFFF_FFFF


class TriggerLine:
    """A world in which a trigger reaches all other units, and that remembers what was playing."""

    def __init__(self) -> None:
        self.units: list[M8190A] = []
        self.seen: list[dict[str, list[Playback | None]]] = []

    def now(self) -> float:
        return 0.0

    def fire_trigger(self, unit: str) -> None:
        for other in self.units:
            if other.name != unit:
                other.on_trigger()
        self.seen.append({u.name: [c.playback for c in u.state.channels] for u in self.units})

    def acquire(self, unit, channels, sample_interval_s, samples):
        raise AssertionError("a generator acquires nothing")

    def optical_power_w(self, unit: str) -> float:
        return 0.0


class Bench:
    """Two generators on one trigger line, with a connection to each."""

    def __init__(self) -> None:
        self.world = TriggerLine()
        self.a, self.b = (M8190A(name, self.world) for name in ("a", "b"))
        self.world.units = [self.a, self.b]
        self.to_a, self.to_b = self.a.connect(stream=True), self.b.connect(stream=True)
        for connection in (self.to_a, self.to_b):
            send(connection, ":TRAC1:DWID WPR;:TRAC2:DWID WPR;:FREQ:RAST 1e9")


def send(connection: Connection | None, *parts: str | bytes) -> None:
    assert connection is not None
    connection.receive(b"".join(p.encode() if isinstance(p, str) else p for p in parts) + b"\n")


def ask(connection: Connection | None, text: str) -> str:
    assert connection is not None
    send(connection, text)
    answer = connection.take(1 << 24, b"\n")
    assert answer is not None, f"no answer to {text}"
    return answer[0].decode().removesuffix("\n")


def block(samples: np.ndarray) -> bytes:
    data = samples.astype("<i2").tobytes()
    return b"#%d%d%b" % (len(str(len(data))), len(data), data)


def errors(connection: Connection | None) -> list[int]:
    found = []
    while (code := int(ask(connection, ":SYST:ERR?").split(",")[0])) != 0:
        found.append(code)
    return found


def codes(count: int = 240, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-8192, 8192, count).astype(np.int16)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def arm_sequence(connection, channel: int, samples: np.ndarray, loops: int, segment: int = 1) -> None:
    send(connection, f":TRAC{channel}:DEF {segment},{len(samples)}")
    send(connection, f":TRAC{channel}:DATA {segment},0,", block(samples << 2))
    send(
        connection,
        f":FUNC{channel}:MODE STS;:INIT:CONT{channel} OFF;:INIT:GATE{channel} OFF;"
        f":STAB{channel}:DATA 0,{ALONE},1,{loops},{segment},0,{WHOLE};:STAB{channel}:SEQ:SEL 0;"
        f":INIT:IMM{channel}",
    )
    assert errors(connection) == []


# ---- settings ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "value", "shown"),
    [
        (":TRACe2:DWIDth", "WSPeed", "WSP"),
        ("trac:dwid", "INTX12", "INTX12"),
        (":FREQuency:RASTer", "2.5 GHz", "2.50000000E+09"),
        (":SOUR:FREQ:RAST:SOUR", "EXT", "EXT"),
        (":FREQ:RAST:EXT", "3 GHz", "3.00000000E+09"),
        (":ROSCillator:SOURce", "INT", "INT"),
        ("carrier2:freq", "1000000000.25", "1.000000000E+09,2.500000000E-01"),
        (":SOUR:CARR:FREQ:INT", "2e9,0.5", "2.000000000E+09,5.000000000E-01"),
        (":OUTPut2:ROUTe", "AC", "AC"),
        (":OUTP1:NORM", "ON", "1"),
        (":OUTP2", "1", "1"),
        (":OUTP2:COMP", "ON", "1"),
        (":DAC2:VOLTage:AMPLitude", "0.35", "3.50000000E-01"),
        (":DC1:VOLT:AMPL", "0.9", "9.00000000E-01"),
        (":AC1:VOLT", "1.9", "1.90000000E+00"),
        (":DC1:VOLT:OFFS", "1.5", "1.50000000E+00"),
        (":FUNC2:MODE", "STSCenario", "STSC"),
        (":INIT:CONT2", "OFF", "0"),
        (":INIT:CONT:STAT", "0", "0"),
        (":INIT:CONT:ENAB", "ARM", "ARM"),
        (":INIT:GATE2:STAT", "1", "1"),
        (":ARM:TRIG:SOUR", "INT", "INT"),
        (":ARM:SEQ:STAR:LAY:TRIG:LEV", "0.5", "5.00000000E-01"),
        (":ARM:TRIG:SLOP", "NEG", "NEG"),
        (":ARM:TRIG:OPER", "SYNC", "SYNC"),
        (":TRIG:BEG2:HWD", "ON", "1"),
        (":TRIG:SOUR:ADV", "EVEN", "EVEN"),
        (":TRAC:ADV", "COND", "COND"),
        (":TRAC2:COUN", "12", "12"),
        (":TRAC2:SEL", "3", "3"),
        (":TRAC2:MARK", "ON", "1"),
        (":STAB2:SEQ:SEL", "17", "17"),
        (":STAB:SCEN:SEL", "5", "5"),
        (":STAB:SCEN:COUN", "9", "9"),
        (":STAB:SCEN:ADV", "REP", "REP"),
        (":INST:COUP:STAT", "ON", "1"),
        (":MARK2:SYNC:VOLT:AMPL", "1.5", "1.50000000E+00"),
    ],
)
def test_settings(bench: Bench, header: str, value: str, shown: str) -> None:
    before = ask(bench.to_a, header + "?")
    send(bench.to_a, f"{header} {value}")
    assert ask(bench.to_a, header + "?") == shown
    assert errors(bench.to_a) == []
    if header not in ("trac:dwid", ":TRACe2:DWIDth", ":FREQuency:RASTer"):  # the fixture changed those
        send(bench.to_a, "*RST")
        assert ask(bench.to_a, header + "?") == before


def test_identity_and_empty_queue(bench: Bench) -> None:
    assert ask(bench.to_a, "*IDN?").startswith("Agilent Technologies,M8190A,")
    assert ask(bench.to_a, ":SYST:ERR?") == '0,"No error"'
    assert ask(bench.to_a, "*OPT?") == "002,14B,12G,SEQ"


def test_state_shows_the_selected_path(bench: Bench) -> None:
    state = bench.a.state
    assert isinstance(state, GeneratorState)
    send(bench.to_a, ":DAC1:VOLT:AMPL 0.5;:DC1:VOLT:AMPL 0.8;:OUTP1 ON")
    assert (state.channels[0].amplitude_vpp, state.channels[0].output_on) == (0.5, True)
    send(bench.to_a, ":OUTP1:ROUT DC")
    assert state.channels[0].amplitude_vpp == 0.8
    send(bench.to_a, ":VOLT1 0.9")
    assert state.channels[0].amplitude_vpp == 0.9
    assert ask(bench.to_a, ":DC1:VOLT:AMPL?") == "9.00000000E-01"
    assert state.channels[1].amplitude_vpp == 0.7
    assert not state.channels[1].output_on
    assert state.sample_rate_hz == 1e9
    send(bench.to_a, ":TRAC1:DWID WSP")
    assert [channel.code_max for channel in state.channels] == [2047, 8191]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (":FREQ:RAST 9e9", -222),  # precision mode ends at 8 GSa/s
        (":FREQ:RAST 1e8", -222),
        (":DAC1:VOLT:AMPL 0.8", -222),
        (":VOLT1 0.75", -222),
        (":TRAC1:DEF 1,100", -222),
        (":TRAC1:DEF 1,250", -222),
        (":TRAC1:DATA 1,0,#14abcd", -222),  # no such segment
        (":TRAC1:DWID FAST", -224),
        (":TRAC3:DEF 1,240", -114),
        (":TRAC1:DEF 1", -109),
        (":INIT:IMM1", -221),  # nothing to play
        (":TRAC1:DEL 5", -222),
        (":STAB1:DATA 0,1,2,3", -220),
        (":OUTP1:ROUT", -109),
        (":TRIG:BEG:HWD1 ON", -113),  # the suffix belongs to BEGin
        (":NOSUCH:THING 1", -113),
    ],
)
def test_refusals(bench: Bench, text: str, code: int) -> None:
    send(bench.to_a, text)
    assert errors(bench.to_a) == [code]


def test_speed_mode_has_twelve_gigasamples(bench: Bench) -> None:
    send(bench.to_a, ":TRAC1:DWID WSP;:TRAC2:DWID WSP;:FREQ:RAST 12e9")
    assert ask(bench.to_a, ":FREQ:RAST? MAX") == "1.20000000E+10"
    assert bench.a.state.sample_rate_hz == 12e9
    send(bench.to_a, ":TRAC1:DWID WPR")
    assert errors(bench.to_a) == [-221]


def test_options() -> None:
    world = TriggerLine()
    one = open_unit("keysight_m8190a", "x", world, {"channels": 1, "mode": "WPR", "serial": "S1"})
    assert isinstance(one.state, GeneratorState)
    assert [channel.code_max for channel in one.state.channels] == [8191]
    connection = one.connect(stream=True)
    assert ask(connection, "*IDN?").split(",")[2] == "S1"
    send(connection, ":OUTP2 ON")
    assert errors(connection) == [-241]
    for wrong in ({"channels": 3}, {"mode": "FAST"}, {"colour": "red"}):
        with pytest.raises(ConfigError):
            open_unit("keysight_m8190a", "x", world, wrong)


# ---- segments ---------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 7, 64, 10_000])
def test_blocks_arrive_whatever_the_pieces(bench: Bench, size: int) -> None:
    """Sent words equal those in memory, line feeds among them included; marker bits do not play."""
    words = np.random.default_rng(3).integers(-32768, 32768, 480).astype(np.int16)
    words[:5] = [0x0A0A, 0x0D0A, 0x2323, 0x0A00, 0x3B0A]
    message = b":TRAC1:DEF 1,480;:TRAC1:DATA 1,0," + block(words) + b"\n:TRAC1:DATA? 1,0,480\n"
    for start in range(0, len(message), size):
        assert bench.to_a is not None
        bench.to_a.receive(message[start : start + size])
    answer = bench.to_a.take(1 << 20, b"\n")
    assert answer is not None
    assert np.array_equal([int(x) for x in answer[0].split(b",")], words)
    send(bench.to_a, ":TRAC1:SEL 1;:INIT:CONT1 ON;:INIT:IMM1")
    playback = bench.a.state.channels[0].playback
    assert playback is not None
    assert np.array_equal(playback.codes, words >> 2)
    assert errors(bench.to_a) == []


def test_next_command_follows_a_block_without_line_feed(bench: Bench) -> None:
    samples = codes()
    send(bench.to_a, ":TRAC1:DEF 4,240;:TRAC1:DATA 4,0,", block(samples << 2), ";:TRAC1:SEL 4;:INIT:IMM1")
    playback = bench.a.state.channels[0].playback
    assert playback is not None
    assert np.array_equal(playback.codes, samples)


def test_writing_in_sections_and_as_numbers(bench: Bench) -> None:
    samples = codes(480) << 2
    send(bench.to_a, ":TRAC2:DEF 1,480,100")
    send(bench.to_a, ":TRAC2:DATA 1,0,", block(samples[:240]))
    send(bench.to_a, ":TRAC2 1,240," + ",".join(map(str, samples[240:252])))
    assert np.array_equal(
        [int(x) for x in ask(bench.to_a, ":TRAC2:DATA? 1,0,260").split(",")],
        [*samples[:252], *[400] * 8],
    )
    assert bench.to_a is not None
    send(bench.to_a, ":TRAC2:DATA:BLOC? 1,0,252")
    answer = bench.to_a.take(10_000)
    rest = bench.to_a.rest(10_000) if answer is None else answer[0]
    assert rest == b"#3504" + samples[:252].tobytes() + b"\n"


def test_data_beyond_the_segment(bench: Bench) -> None:
    send(bench.to_a, ":TRAC1:DEF 1,240")
    send(bench.to_a, ":TRAC1:DATA 1,1,", block(codes()))
    assert ask(bench.to_a, ":SYST:ERR?") == '-223,"Too much data"'
    send(bench.to_a, ":TRAC1:DATA 1,0,#15abcde")
    assert errors(bench.to_a) == [-161]
    assert set(ask(bench.to_a, ":TRAC1:DATA? 1,0,240").split(",")) == {"0"}


def test_catalogue_names_and_free_memory(bench: Bench) -> None:
    assert ask(bench.to_a, ":TRAC1:CAT?") == "0,0"
    send(bench.to_a, ':TRAC1:DEF 2,480;:TRAC1:DEF 1,240;:TRAC1:NAME 2,"pulse";:TRAC1:COMM 2,"a;b"')
    assert ask(bench.to_a, ":TRAC1:CAT?") == "1,240,2,480"
    assert ask(bench.to_a, ":TRAC2:CAT?") == "0,0"
    assert ask(bench.to_a, ":TRAC1:NAME? 2;:TRAC1:COMM? 2") == '"pulse";"a;b"'
    available, used, contiguous = map(int, ask(bench.to_a, ":TRAC1:FREE?").split(","))
    assert (used, available) == (1440, contiguous)
    assert ask(bench.to_a, ":TRAC1:DEF:NEW? 240") == "3"
    send(bench.to_a, ":TRAC1:DEL 1")
    assert ask(bench.to_a, ":TRAC1:CAT?") == "2,480,3,240"
    send(bench.to_a, ":TRAC1:DEL:ALL")
    assert ask(bench.to_a, ":TRAC1:CAT?") == "0,0"
    assert errors(bench.to_a) == []


def test_nothing_is_deleted_while_running(bench: Bench) -> None:
    send(bench.to_a, ":TRAC1:DEF 1,240;:INIT:IMM1;:TRAC1:DEL 1;:TRAC1:DEL:ALL;:STAB1:RES")
    assert errors(bench.to_a) == [-221] * 3
    assert ask(bench.to_a, ":STAT:OPER:RUN:COND?") == "1"
    send(bench.to_a, ":ABOR1;:TRAC1:DEL 1")
    assert errors(bench.to_a) == []
    assert ask(bench.to_a, ":STAT:OPER:RUN:COND?") == "0"


def test_table_as_numbers_and_as_block(bench: Bench) -> None:
    entry = [ALONE, 1, 50, 1, 0, WHOLE]
    send(bench.to_a, ":STAB1:DATA 3," + ",".join(map(str, entry)))
    data = np.array(entry * 2, dtype="<u4").tobytes()
    send(bench.to_a, b":STAB2:DATA 0,#248", data)
    assert [int(x) for x in ask(bench.to_a, ":STAB1:DATA? 3,6").split(",")] == entry
    assert [int(x) for x in ask(bench.to_a, ":STAB2:DATA? 0,12").split(",")] == entry * 2
    assert errors(bench.to_a) == []


def test_sequences_with_steps_in_parentheses(bench: Bench) -> None:
    send(bench.to_a, ":TRAC1:DEF 1,240,5;:TRAC1:DEF 2,240,6")
    number = ask(bench.to_a, ":SEQ1:DEF:NEW? 2")
    send(bench.to_a, f":SEQ1:DATA {number},0,(1,2,0,1,0,{WHOLE});:SEQ1:DATA {number},1,2,1,0,1,0,{WHOLE}")
    send(bench.to_a, f":FUNC1:MODE STS;:STAB1:SEQ:SEL {number};:INIT:IMM1")
    assert errors(bench.to_a) == []
    playback = bench.a.state.channels[0].playback
    assert playback is not None
    assert playback.codes.tolist() == [5] * 480 + [6] * 240
    assert playback.loops == 0
    assert ask(bench.to_a, ":SEQ1:CAT?") == f"{number},2"
    send(bench.to_a, f":ABOR1;:SEQ1:DEL {number}")
    assert ask(bench.to_a, ":SEQ1:CAT?") == "0,0"


# ---- run and trigger --------------------------------------------------------------------------


def test_continuous_output_follows_what_is_written(bench: Bench) -> None:
    channel = bench.a.state.channels[0]
    send(bench.to_a, ":TRAC1:DEF 1,240,7;:TRAC1:SEL 1")
    assert channel.playback is None
    send(bench.to_a, ":INIT:IMM1")
    first = channel.playback
    assert first is not None
    assert (first.loops, set(first.codes.tolist())) == (0, {7})
    assert bench.world.seen == [], "no marker in continuous mode"
    send(bench.to_a, ":TRAC1:DATA 1,0,", block(codes() << 2))
    second = channel.playback
    assert second is not None
    assert second.version > first.version
    assert np.array_equal(second.codes, codes())
    send(bench.to_a, ":ABOR1")
    assert channel.playback is None


def test_burst_by_command_plays_only_while_the_trigger_lasts(bench: Bench) -> None:
    arm_sequence(bench.to_a, 1, codes(), 50)
    channel = bench.a.state.channels[0]
    assert channel.playback is None, "armed, not started"
    send(bench.to_a, ":TRIG:BEG")
    assert channel.playback is None
    (seen,) = bench.world.seen
    assert seen["a"][1] is None
    assert seen["a"][0] is not None
    assert seen["a"][0].loops == 50
    assert np.array_equal(seen["a"][0].codes, codes())


def test_a_channel_waits_for_the_next_trigger_by_itself(bench: Bench) -> None:
    arm_sequence(bench.to_a, 1, codes(), 2)
    send(bench.to_a, ":TRIG:BEG:IMM\n:TRIG:BEG1")
    first, second = (seen["a"][0] for seen in bench.world.seen)
    assert first is second, "same content, same object: what was computed from it stays valid"
    send(bench.to_a, ":ABOR1;:TRIG:BEG")
    assert len(bench.world.seen) == 2, "not armed: nothing starts, no marker"


def test_triggered_segment_plays_count_times(bench: Bench) -> None:
    send(bench.to_a, ":TRAC1:DEF 1,240;:INIT:CONT1 OFF;:INIT:IMM1;:TRIG:BEG")
    send(bench.to_a, ":TRAC1:COUN 5;:INIT:IMM1;:TRIG:BEG;:TRAC1:ADV SING;:TRIG:BEG")
    assert [seen["a"][0].loops for seen in bench.world.seen if seen["a"][0]] == [1, 5, 1]
    send(bench.to_a, ":TRAC1:ADV COND;:TRIG:BEG")
    playing = bench.a.state.channels[0].playback
    assert playing is not None
    assert playing.loops == 0
    send(bench.to_a, ":TRIG:ADV1")
    assert bench.a.state.channels[0].playback is None


def test_channels_start_together_when_coupled(bench: Bench) -> None:
    for channel in (1, 2):
        arm_sequence(bench.to_a, channel, codes(seed=channel), 3)
    send(bench.to_a, ":TRIG:BEG")
    send(bench.to_a, ":INST:COUP:STAT ON;:TRIG:BEG;:ABOR2;:TRIG:BEG")
    alone, both = (seen["a"] for seen in bench.world.seen)
    assert alone[0] is not None
    assert alone[1] is None
    assert both[0] is not None
    assert both[1] is not None
    assert np.array_equal(both[1].codes, codes(seed=2))


def test_coupled_channels_may_be_armed_one_after_the_other(bench: Bench) -> None:
    send(bench.to_a, ":INST:COUP:STAT ON")
    for channel in (1, 2):
        arm_sequence(bench.to_a, channel, codes(seed=channel), 3)
    send(bench.to_a, ":TRIG:BEG")
    assert all(playback is not None for playback in bench.world.seen[0]["a"])


def test_trigger_chain(bench: Bench) -> None:
    """A command to one generator starts those that listen to the line, before anybody looks."""
    arm_sequence(bench.to_a, 1, codes(seed=1), 4)
    for channel in (1, 2):
        arm_sequence(bench.to_b, channel, codes(seed=10 + channel), 5)
    send(bench.to_a, ":TRIG:BEG")
    (seen,) = bench.world.seen
    assert [playback.loops for playback in seen["b"] if playback] == [5, 5]
    assert seen["a"][0] is not None


@pytest.mark.parametrize(
    "setting",
    [":ARM:TRIG:SOUR INT", ":TRIG:BEG1:HWD ON", ":ABOR1", ":INIT:CONT1 ON", ":INIT:GATE1 ON"],
)
def test_who_does_not_listen_to_the_line(bench: Bench, setting: str) -> None:
    arm_sequence(bench.to_a, 1, codes(seed=1), 4)
    arm_sequence(bench.to_b, 1, codes(seed=2), 5)
    send(bench.to_b, setting)
    send(bench.to_a, ":TRIG:BEG")
    assert bench.world.seen[0]["b"] == [None, None]
    assert errors(bench.to_b) == []


def test_burst_from_the_line_ends_when_the_channel_is_touched(bench: Bench) -> None:
    arm_sequence(bench.to_b, 1, codes(seed=2), 5)
    bench.b.on_trigger()
    channel = bench.b.state.channels[0]
    first = channel.playback
    assert first is not None
    send(bench.to_b, ":TRAC1:DATA 1,0,", block(codes(seed=9) << 2))
    assert channel.playback is None
    bench.b.on_trigger()
    assert channel.playback is not None
    assert channel.playback.version > first.version
    send(bench.to_b, ":INIT:IMM1")
    assert channel.playback is None


def test_segment_gone_when_the_trigger_comes(bench: Bench) -> None:
    arm_sequence(bench.to_b, 1, codes(), 5)
    send(bench.to_b, f":STAB1:DATA 0,{ALONE},1,1,99,0,{WHOLE}")
    bench.b.on_trigger()
    assert bench.b.state.channels[0].playback is None
    assert errors(bench.to_b) == [-222]


def test_gated_and_armed_continuous(bench: Bench) -> None:
    channel = bench.a.state.channels[0]
    send(bench.to_a, ":TRAC1:DEF 1,240;:INIT:CONT1 OFF;:INIT:GATE1 ON;:INIT:IMM1")
    assert channel.playback is None
    send(bench.to_a, ":TRIG:BEG1:GATE ON")
    assert channel.playback is not None
    assert channel.playback.loops == 0
    send(bench.to_a, ":TRIG:BEG1:GATE OFF")
    assert channel.playback is None
    send(bench.to_a, ":ABOR1;:INIT:CONT1 ON;:INIT:CONT1:ENAB ARM;:INIT:IMM1")
    assert channel.playback is None
    send(bench.to_a, ":TRIG:ENAB1")
    assert channel.playback is not None
    assert errors(bench.to_a) == []


def test_interpolated_output_is_refused_when_it_should_play(bench: Bench) -> None:
    send(bench.to_a, ":TRAC1:DWID INTX3;:TRAC1:DEF 1,120")
    send(bench.to_a, ":TRAC1:DATA 1,0,", block(codes(240)))
    assert ask(bench.to_a, ":TRAC1:CAT?") == "1,120"
    assert errors(bench.to_a) == []
    send(bench.to_a, ":INIT:IMM1")
    assert errors(bench.to_a) == [-221]


def test_reset_forgets_everything(bench: Bench) -> None:
    arm_sequence(bench.to_a, 1, codes(), 5)
    send(bench.to_a, ":OUTP1 ON;*RST")
    channel = bench.a.state.channels[0]
    assert (channel.playback, channel.output_on, channel.code_max) == (None, False, 2047)
    assert ask(bench.to_a, ":TRAC1:CAT?") == "0,0"
    bench.a.on_trigger()
    assert channel.playback is None
