"""The simulated AWG5200 over its wire: lists, blocks, files, trigger model."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
from numpy.typing import NDArray

from labctl.errors import ConfigError
from sim_backends.state import Playback
from sim_backends.tektronix_awg5200 import AWG5200
from sim_backends.tektronix_awg5200_memory import pattern
from sim_backends.unit import open_unit
from tests.sim_backends.rig import Client, QuietWorld


class TriggerLine(QuietWorld):
    """Remembers what was playing when the marker fired."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[list[Playback | None]] = []
        self.unit: AWG5200 | None = None

    def fire_trigger(self, unit: str) -> None:
        assert self.unit is not None
        self.seen.append([channel.playback for channel in self.unit.state.channels])


@pytest.fixture
def line() -> TriggerLine:
    return TriggerLine()


@pytest.fixture
def client(line: TriggerLine) -> Client:
    unit = AWG5200("awg", line, {"min_length": 10})
    line.unit = unit
    return Client(unit)


def binary(text: str, data: bytes, after: str = "\n") -> bytes:
    return text.encode() + b"#%d%d" % (len(str(len(data))), len(data)) + data + after.encode()


def put(client: Client, name: str, samples: NDArray[np.float32], *, marked: bool = True) -> None:
    client.write(f'WLISt:WAVeform:NEW "{name}",{len(samples)},REAL')
    data = samples.astype("<f4").tobytes()
    client.connection.receive(binary(f'WLISt:WAVeform:DATA "{name}",0,{len(samples)},', data))
    client.connection.receive(binary(f'WLISt:WAVeform:MARKer:DATA "{name}",0,1,', b"\xc0" if marked else b"\x00"))
    assert client.errors() == []


def ramp(count: int = 20) -> NDArray[np.float32]:
    return np.linspace(-1, 1, count).astype(np.float32)


@pytest.mark.parametrize(
    ("header", "value", "shown"),
    [
        ("CLOCk:SRATe", "1.25E8", "1.2500000000E+08"),
        ("SOUR1:FREQ", "2 GHZ", "2.0000000000E+09"),
        ("CLOCk:SOURce", "EFIXed", "EFIX"),
        ("SOURce8:VOLTage:LEVel:IMMediate:AMPLitude", "0.5", "5.0000000000E-01"),
        ("SOUR2:VOLT", "0.1", "1.0000000000E-01"),
        ("SOURce1:VOLTage:OFFSet", "-0.1", "-1.0000000000E-01"),
        ("SOUR3:DAC:RES", "12", "12"),
        ("SOUR3:RMOD", "TRIGgered", "TRIG"),
        ("AWGControl:RMODe", "CONT", "CONT"),
        ("SOUR3:TINP", "BTR", "BTR"),
        ("OUTP4", "ON", "1"),
        ("OUTPUT1:PATH", "DCHV", "DCHV"),
        ("OUTPut:OFF", "1", "1"),
        ("OUTPut2:WVALUE:ANALOG:STATE", "FIRST", "FIRS"),
        ("OUTPut2:SVALue:MARKer3", "LOW", "LOW"),
        ("SOURce1:MARKer4:VOLTage:HIGH", "1.5", "1.5000000000E+00"),
        ("SOURce1:MARKer4:VOLTage:LEVel:IMMediate:LOW", "0.1", "1.0000000000E-01"),
        ("TRIGger:LEVel", "0.4", "4.0000000000E-01"),
        ("INSTrument:MODE", "FGEN", "FGEN"),
        ("FGEN:CHANnel3:FREQuency", "1e6", "1.0000000000E+06"),
        ("FGEN:CHANnel3:TYPE", "SQUARE", "SQUARE"),
        ("MMEMory:CDIRectory", '"\\Users"', '"\\Users"'),
    ],
)
def test_settings(client: Client, header: str, value: str, shown: str) -> None:
    client.write(f"{header} {value}")
    assert client.ask(f"{header}?") == shown
    assert client.errors() == []


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("CLOCk:SRATe 6e9", -222),
        ("CLOCk:SRATe 100", -222),
        ("SOURce1:VOLTage 0.8", -222),
        ("SOURce1:DAC:RESolution 11", -222),
        ("OUTPut1:PATH DIRect", -224),
        ("OUTPut9:STATe 1", -114),
        ('WLISt:WAVeform:NEW "w",5,REAL', -222),
        ('WLISt:WAVeform:NEW "w",5,IQ', -222),
        ('WLISt:WAVeform:DELete "w"', -224),
        ('SOURce1:CASSet:WAVeform "w"', -224),
        ('SLISt:SEQuence:STEP1:RCOunt "s",2', -224),
        ('MMEMory:DELete "nothing.wfmx"', -256),
        ('MMEMory:OPEN "nothing.wfmx"', -256),
        ("AWGControl:FLY", -113),
    ],
)
def test_refusals(client: Client, command: str, code: int) -> None:
    client.write(command)
    assert client.ask("SYSTem:ERRor:CODE?") == str(code)
    assert client.ask("SYSTem:ERRor?") == '0,"No error"'


def test_models_differ(line: TriggerLine) -> None:
    for variant, channels, amplitude, bits in (("AWG5202", 2, "0.7", 16), ("AWG70001A", 1, "0.5", 10)):
        client = Client(AWG5200("awg", line, {"variant": variant}))
        assert client.ask("*IDN?").split(",")[1] == variant
        assert client.ask("AWGControl:CONFigure:CNUMber?") == str(channels)
        assert client.ask("SOURce1:DAC:RESolution?") == str(bits)
        client.write(f"SOURce1:VOLTage {amplitude}")
        assert client.errors() == []
        client.write(f"SOURce{channels + 1}:VOLTage {amplitude}")
        assert client.errors() == [-241]
    with pytest.raises(ConfigError, match="variant"):
        open_unit("tektronix_awg5200", "awg", line, {"variant": "AWG5014C"})


def test_blocks_that_hold_line_feeds_come_back_to_the_bit(client: Client) -> None:
    samples = np.frombuffer(b"\x0a\x0a\x0a\x3f" * 40, "<f4")
    put(client, "w", samples)
    client.write('WLISt:WAVeform:DATA? "w",0,40')
    assert client.read_bytes() == binary("", samples.tobytes())
    client.connection.receive(binary('WLISt:WAVeform:DATA "w",10,2,', b"\x0a" * 8, ";:WLISt:SIZE?\n"))
    assert client.read() == "1", "the next command follows the block in the same message"
    client.write('WLISt:WAVeform:DATA? "w",10,2')
    assert client.read_bytes() == binary("", b"\x0a" * 8)
    client.connection.receive(binary('WLISt:WAVeform:DATA "w",39,', b"\x0a" * 8))
    client.connection.receive(binary('WLISt:WAVeform:DATA "w",0,3,', b"\x0a" * 8))
    client.connection.receive(binary('WLISt:WAVeform:DATA "w",0,', b"\x0a" * 7))
    assert client.errors() == [-223, -220, -161]


def test_the_dac_stays_at_its_ends(client: Client) -> None:
    put(client, "w", np.array([2.0, -2.0, np.nan, 1.0, -1.0, 0.5] * 2, np.float32))
    codes = client.unit.lists.waveform("w").codes(8191)
    assert codes[:6].tolist() == [8191, -8192, 0, 8191, -8191, 4096]


def test_lists_are_told_and_emptied(client: Client) -> None:
    put(client, "a", ramp())
    put(client, "b", ramp(30))
    assert client.ask("WLISt:LIST?") == '"a,b"'
    assert client.ask("WLISt:NAME? 2;:WLISt:SIZE?;:WLISt:LAST?") == '"b";2;"b"'
    assert client.ask('WLISt:WAVeform:LENGth? "b";:WLISt:WAVeform:TYPE? "b"') == "30;REAL"
    assert client.ask("WLISt:WAVeform:LMINimum?;GRANularity?") == "10;1"
    client.write('SLISt:SEQuence:NEW "s",2,2')
    step(client, 2, "b", track=2, RCOunt="784", GOTO="FIRSt")
    step(client, 1, WINPut="ATRigger", RCOunt="INF")
    assert client.ask("SLISt:SIZE?;NAME? 1") == '1;"s"'
    assert client.ask('SLISt:SEQuence:STEP2:TASSet2? "s";RCOunt? "s";GOTO? "s"') == '"b";784;FIRS'
    assert client.ask('SLISt:SEQuence:STEP1:WINPut? "s";RCOunt? "s"') == "ATR;INF"
    assert client.ask('SLISt:SEQuence:LENGth? "s";TRACk? "s"') == "2;2"
    client.write("SLISt:SEQuence:DELete ALL;:WLISt:WAVeform:DELete ALL")
    assert client.ask("WLISt:SIZE?;:SLISt:SIZE?") == "0;0"
    assert client.errors() == []


def step(client: Client, number: int, waveform: str = "", track: int = 1, **settings: str) -> None:
    """Of the sequence "s"."""
    if waveform:
        client.write(f'SLISt:SEQuence:STEP{number}:TASSet{track}:WAVeform "s","{waveform}"')
    for header, value in settings.items():
        client.write(f'SLISt:SEQuence:STEP{number}:{header} "s",{value}')


def start(client: Client, asset: str = 'WAVeform "w"', mode: str = "TRIGgered", resolution: int = 14) -> None:
    client.write(f"SOURce1:DAC:RESolution {resolution};:SOURce1:RMODe {mode};:SOURce1:CASSet:{asset}")
    client.write("OUTPut1 1;:AWGControl:RUN")
    assert client.errors() == []


def test_a_burst_by_command_fires_the_marker(client: Client, line: TriggerLine) -> None:
    put(client, "w", ramp())
    start(client)
    assert client.ask("AWGControl:RSTATe?") == "1"
    client.write("TRIGger:IMMediate BTRigger")
    assert line.seen == []
    client.write("TRIGger:IMMediate ATRigger")
    playing = line.seen[0][0]
    assert playing is not None
    assert np.array_equal(playing.codes, np.rint(ramp() * 8191))
    assert playing.loops == 1
    assert line.seen[0][1] is None
    assert client.unit.state.channels[0].playback is None, "the burst is over"
    assert client.ask("AWGControl:RSTATe?") == "1"
    client.write("AWGControl:STOP;:TRIGger:IMMediate")
    assert client.ask("AWGControl:RSTATe?") == "0"
    assert len(line.seen) == 1


@pytest.mark.parametrize(("marked", "resolution", "fired"), [(True, 15, 1), (True, 16, 0), (False, 12, 0)])
def test_markers_cost_bits(client: Client, line: TriggerLine, marked: bool, resolution: int, fired: int) -> None:
    put(client, "w", ramp(), marked=marked)
    start(client, resolution=resolution)
    client.write("TRIGger:IMMediate")
    assert len(line.seen) == fired


def test_a_burst_by_the_trigger_line_stays_until_something_is_written(client: Client, line: TriggerLine) -> None:
    put(client, "w", ramp())
    start(client)
    client.unit.on_trigger()
    state = client.unit.state.channels[0]
    assert state.playback is not None
    assert line.seen == []
    client.write("SOURce1:VOLTage 0.3")
    assert state.playback is None
    assert (state.amplitude_vpp, state.output_on) == (0.3, True)
    client.write("OUTPut:OFF 1")
    assert not state.output_on


def test_continuous_output_follows_what_is_written(client: Client) -> None:
    put(client, "w", ramp())
    start(client, mode="CONTinuous")
    assert client.ask("AWGControl:RSTATe?") == "2"
    state = client.unit.state.channels[0]
    before = state.playback
    assert before is not None
    assert before.loops == 0
    client.connection.receive(binary('WLISt:WAVeform:DATA "w",0,1,', np.array([0.5], "<f4").tobytes()))
    assert state.playback is not None
    assert state.playback.version != before.version
    assert state.playback.codes[0] == round(0.5 * 8191)
    client.write('WLISt:WAVeform:DELete "w"')
    assert client.errors() == [-221]


def test_a_sequence_goes_from_wait_to_wait(client: Client, line: TriggerLine) -> None:
    put(client, "w", ramp())
    put(client, "v", -ramp(11))
    client.write('SLISt:SEQuence:NEW "s",3,1')
    step(client, 1, "w", RCOunt="5", WINPut="ATR")
    step(client, 2, "v", RCOunt="2", WINPut="BTR")
    step(client, 3, "w", GOTO="FIRSt")
    start(client, 'SEQuence "s",1', mode="CONTinuous")
    for trigger in ("BTR", "ATR", "ATR", "BTR", "ATR"):
        client.write(f"TRIGger:IMMediate {trigger}")
    played = [seen[0] for seen in line.seen]
    assert [None if one is None else (len(one.codes), one.loops) for one in played] == [(20, 5), (42, 1), (20, 5)]
    assert client.ask("SOURce1:CASSet?;CASSet:TYPE?") == '"s,1";SEQ'


def test_steps_may_not_end_in_a_loop_of_the_later_ones(client: Client) -> None:
    put(client, "w", ramp())
    client.write('SLISt:SEQuence:NEW "s",2,1')
    step(client, 1, "w", GOTO="2")
    step(client, 2, "w", GOTO="2")
    client.write('SOURce1:CASSet:SEQuence "s",1;:AWGControl:RUN')
    assert client.errors() == [-221]


def test_a_sequence_that_obeys_its_steps_only(line: TriggerLine) -> None:
    client = Client(AWG5200("awg", line, {"min_length": 10, "sequences_wait": "step"}))
    put(client, "w", ramp())
    client.write('SLISt:SEQuence:NEW "s",1,1;STEP1:TASSet1:WAVeform "s","w"')
    start(client, 'SEQuence "s",1')
    assert client.ask("AWGControl:RSTATe?") == "2"
    client.write('AWGControl:STOP;:SLISt:SEQuence:STEP1:WINPut "s",ATR;:AWGControl:RUN')
    assert client.ask("AWGControl:RSTATe?") == "1"


# ---- files -------------------------------------------------------------------------------------


def wfmx(samples: NDArray[np.float32], markers: bytes = b"") -> bytes:
    included = "true" if markers else "false"
    body = f"<NumberSamples>{len(samples)}</NumberSamples><MarkersIncluded>{included}</MarkersIncluded></DataFile>"
    head = '<DataFile offset="000000000" version="0.1">' + body
    return head.replace("0" * 9, f"{len(head):09d}", 1).encode() + samples.astype("<f4").tobytes() + markers


def test_a_waveform_file_is_opened_into_the_list(client: Client, line: TriggerLine) -> None:
    client.write('MMEMory:CDIRectory "\\Users\\OEM\\Documents"')
    data = wfmx(ramp(50), b"\x01" + bytes(49))
    client.connection.receive(binary('MMEMory:DATA "w.wfmx",', data, ""))  # no line feed behind it
    assert client.ask('MMEMory:DATA:SIZE? "w.wfmx"') == str(len(data))
    client.write('MMEMory:DATA? "w.wfmx"')
    assert client.read_bytes() == binary("", data)
    assert '"w.wfmx,,' in client.ask("MMEMory:CATalog?")
    client.write('MMEMory:OPEN "C:\\Users\\OEM\\Documents\\W.WFMX"')
    client.write('MMEMory:IMPort "x", "w.wfmx", WFMX')
    assert client.ask("WLISt:LIST?") == '"W,x"'
    start(client, 'WAVeform "W"')
    client.write("TRIGger:IMMediate")
    assert len(line.seen) == 1
    client.write('MMEMory:DELete "w.wfmx"')
    assert client.errors() == []
    client.connection.receive(binary('MMEMory:DATA "bad.wfmx",', b"rubbish"))
    client.write('MMEMory:OPEN "bad.wfmx"')
    assert client.errors() == [-230]


def test_a_sequence_file_brings_its_waveforms(client: Client) -> None:
    step = (
        "<Step><Repeat>RepeatCount</Repeat><RepeatCount>3</RepeatCount><WaitInput>TrigA</WaitInput>"
        "<GoTo>StepIndex</GoTo><GoToStep>1</GoToStep><Assets><Asset><AssetName>w</AssetName></Asset></Assets></Step>"
    )
    sml = f'<D xmlns="x"><SequenceName>s</SequenceName><Steps StepCount="1" TrackCount="1">{step}</Steps></D>'
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr("Sequences/s.sml", sml)
        zipped.writestr("Waveforms/w.wfmx", wfmx(ramp(50)))
    client.connection.receive(binary('MMEMory:DATA "s.seqx",', archive.getvalue()))
    client.write('MMEMory:OPEN:SASSet:SEQuence "s.seqx"')
    assert client.ask('WLISt:LIST?;:SLISt:NAME? 1;:SLISt:SEQuence:STEP1:RCOunt? "s"') == '"w";"s";3'
    assert client.ask('SLISt:SEQuence:STEP1:WINPut? "s";GOTO? "s";TASSet1? "s"') == 'ATR;1;"w"'
    client.connection.receive(binary('MMEMory:DATA "bad.seqx",', b"rubbish"))
    client.write('MMEMory:OPEN:SASSet:SEQuence "bad.seqx"')
    assert client.errors() == [-230]


def test_sample_waveforms_come_from_their_set(client: Client) -> None:
    client.write('MMEMory:OPEN:SASSet "C:\\Samples\\AWG5k7k Predefined Waveforms.awgx"')
    assert "*Sine3600" in client.ask("WLISt:LIST?")
    assert client.errors() == []


# ---- patterns ----------------------------------------------------------------------------------


def test_the_shortest_pattern_of_a_waveform() -> None:
    rng = np.random.default_rng(3)
    row = rng.integers(-2000, 2000, 432).astype(np.int16)
    guarded = np.concatenate([np.zeros(48, np.int16), row[:384]])
    lonely = np.zeros(432, np.int16)
    lonely[100] = 5
    ended = row.copy()
    ended[300:] = 0
    for one in (row, guarded, lonely, ended):
        for times in (2, 7):
            for silence in (0, 1000):
                found, count = pattern(np.concatenate([np.tile(one, times), np.zeros(silence, np.int16)]))
                assert count == times
                assert np.array_equal(found, one)
    constant, count = pattern(np.full(3024, 77, np.int16))
    assert (constant.tolist(), count) == ([77], 3024)


def test_markers_tell_passes_apart_that_voltages_do_not(client: Client) -> None:
    put(client, "w", np.zeros(50, np.float32))
    waveform = client.unit.lists.waveform("w")
    for marks, expected in (
        (b"\xf0\0\0" * 16 + bytes(2), (3, 16)),
        (b"\xf0\0\0" * 15 + b"\xf0\0\xf0\0\0", (50, 1)),  # not evenly
        (b"\0" + b"\xf0\0\0" * 16 + b"\0", (50, 1)),
        (b"\xf0" * 50, (50, 1)),
    ):
        client.connection.receive(binary('WLISt:WAVeform:MARKer:DATA "w",0,50,', marks))
        playing = waveform.playback(8191, 1)
        assert (len(playing.codes), playing.loops) == expected
    client.connection.receive(binary('WLISt:WAVeform:MARKer:DATA "w",0,50,', b"\xf0\0\0" * 16 + bytes(2)))
    waveform.write(4, np.ones(1, np.float32))
    assert waveform.playback(8191, 1).loops == 1, "markers cannot make a pattern of what is none"


def test_what_repeats_nothing_is_left_alone() -> None:
    rng = np.random.default_rng(4)
    for codes in (
        rng.integers(-9, 9, 5000).astype(np.int16),
        np.zeros(2400, np.int16),
        np.concatenate([np.tile(np.arange(100, dtype=np.int16), 3), np.ones(1, np.int16)]),
        np.r_[np.int16(1), np.zeros(2399, np.int16)].astype(np.int16),
    ):
        found, count = pattern(codes)
        assert count == 1
        assert np.array_equal(found, codes)
