"""The simulated MSO over its wire: settings, events and headers, run control, read-out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from labctl.errors import ConfigError
from sim_backends.state import ChannelRecord
from sim_backends.tektronix_mso import Mso
from sim_backends.tektronix_mso_record import Record, bits_at
from tests.sim_backends.rig import Client, QuietWorld


class Ramp(QuietWorld):
    """Every input carries a rising voltage, 1 mV a sample, from the trigger on."""

    def acquire(
        self, unit: str, channels: Sequence[int], sample_interval_s: float, samples: int
    ) -> dict[int, ChannelRecord]:
        return {n: ChannelRecord(np.arange(samples, dtype=np.float32), 1e-3) for n in channels}


@pytest.fixture
def client() -> Client:
    made = Client(Mso("scope", Ramp()))
    made.write("HEADER OFF")
    return made


def events(client: Client) -> str:
    return client.ask("*ESR?;:ALLEv?").partition(";")[2]


NONE = '0,"No events to report - queue empty"'


@pytest.mark.parametrize(
    ("header", "value", "shown"),
    [
        ("CH2:SCAle", "0.05", "5.000000000E-2"),
        ("CH2:OFFSet", "-0.1", "-1.000000000E-1"),
        ("CH2:POSition", "1.5", "1.500000000E+0"),
        ("CH1:COUPling", "AC", "AC"),
        ("CH1:TERmination", "50", "5.000000000E+1"),
        ("CH1:BANdwidth", "FULl", "1.000000000E+9"),
        ("CH1:INVert", "ON", "1"),
        ("SELect:CH4", "1", "1"),
        ("DISPLAY:WAVEVIEW:CH3:STATE", "1", "1"),
        ("DISplay:GLObal:CH3:STATE", "ON", "1"),
        ("ACQuire:MODe", "HIRes", "HIRES"),
        ("ACQ:STOPA", "SEQ", "SEQUENCE"),
        ("HORizontal:MODe", "MAN", "MANUAL"),
        ("HORizontal:SAMPLERate", "100E6", "1.250000000E+8"),
        ("HORizontal:POSition", "10", "1.000000000E+1"),
        ("HORizontal:DELay:MODe", "OFF", "0"),
        ("TRIGger:A:MODe", "NORMal", "NORMAL"),
        ("TRIGger:A:EDGE:SOUrce", "AUX", "AUXILIARY"),
        ("TRIGger:A:LEVel:CH1", "0.2", "2.000000000E-1"),
        ("TRIGger:AUXLevel", "0.5", "5.000000000E-1"),
        ("DATa:SOUrce", "CH2", "CH2"),
        ("DATa:ENCdg", "SRIbinary", "SRIBINARY"),
        (":DATA:ENC", "ASCII", "ASCII"),
        ("WFMOutpre:BYT_Or", "LSB", "LSB"),
        ("WFMOutpre:BN_Fmt", "RP", "RP"),
        ("WFMOutpre:ENCdg", "ASCii", "ASCII"),
        ("WFMOutpre:BIT_Nr", "16", "16"),
        ("DATa:RESample", "7", "7"),
    ],
)
def test_settings(client: Client, header: str, value: str, shown: str) -> None:
    client.write(f"{header} {value}")
    assert client.ask(f"{header}?") == shown
    assert events(client) == NONE


def test_record_length_may_need_the_manual_mode() -> None:
    client = Client(Mso("scope", Ramp(), {"length_in_auto": "refused"}))
    client.write("HEADER OFF")
    client.write("HORizontal:RECOrdlength 5000")
    assert events(client).startswith("221,")
    client.write("HORizontal:MODe MANual;RECOrdlength 5000;SAMPLERate 1.25E9")
    assert client.ask("HORizontal:RECOrdlength?;SCAle?") == "5000;4.000000000E-7"
    client.write("HORizontal:SCAle 8E-7")
    assert client.ask("HORizontal:RECOrdlength?") == "10000"
    client.write("HORizontal:RECOrdlength 999")
    assert events(client).startswith("222,")


def test_events_are_told_once_esr_was_read(client: Client) -> None:
    client.write("FOO 1")
    client.write("CH1:SCAle 100")
    assert client.ask("EVMsg?").startswith('1,"No events to report - new events')
    assert client.ask("*ESR?") == "176"  # power on, command error, execution error
    assert client.ask("EVQty?") == "2"
    assert client.ask("EVMsg?") == '113,"Undefined header"'
    assert client.ask("EVENT?") == "222"
    assert client.ask("ALLEv?") == NONE
    client.write("FOO 1;*CLS")
    client.write("*CLS")
    assert client.ask("*ESR?;:ALLEv?") == f"0;{NONE}"


def test_replies_have_headers_until_they_are_switched_off() -> None:
    client = Client(Mso("scope", Ramp()))
    assert client.ask("*IDN?").startswith("TEKTRONIX,MSO64B,")
    assert client.ask("ACQ:STOPA?;:CH2:SCAle?") == ":ACQUIRE:STOPAFTER RUNSTOP;:CH2:SCALE 1.000000000E-1"
    client.write("DATa:STOP 4")
    client.write("CURVe?")
    assert client.read_bytes() == b":CURVE #14" + bytes(4) + b"\n"
    client.write("VERBose OFF")
    assert client.ask("CH1:COUPling?") == ":CH1:COUP DC"
    client.write("HEADer OFF;*RST")
    assert client.ask("CH1:COUPling?") == "DC"


def run(client: Client, *more: str, points: int = 1000) -> None:
    client.write("HORizontal:MODe MANual;DELay:MODe OFF")
    client.write(f"HORizontal:POSition 0;RECOrdlength {points};SAMPLERate 125E6")
    client.write("TRIGger:A:EDGE:SOUrce AUXiliary;:TRIGger:A:MODe NORMal;:ACQuire:MODe HIRes;STOPAfter SEQuence")
    for one in (*more, "ACQuire:STATE RUN"):
        client.write(one)
    assert events(client) == NONE


def test_a_single_acquisition_waits_for_its_trigger(client: Client) -> None:
    run(client)
    assert client.ask("TRIGger:STATE?;:ACQuire:STATE?;NUMACq?;:BUSY?") == "READY;1;0;1"
    client.write("*OPC?")
    assert client.read() is None
    client.unit.on_trigger()
    assert client.read() == "1"
    assert client.ask("TRIGger:STATE?;:ACQuire:STATE?;NUMACq?;:BUSY?") == "SAVE;0;1;0"
    client.unit.on_trigger()
    assert client.ask("ACQuire:NUMACq?") == "1"
    client.write("ACQuire:STATE ON")
    client.write("TRIGger FORCe")
    assert client.ask("ACQuire:STATE?;NUMACq?") == "0;1"


def test_a_trigger_that_comes_while_it_is_arming_is_missed() -> None:
    client = Client(Mso("scope", Ramp(), {"arming_s": 1.0}))
    client.write("HEADER OFF")
    run(client)
    assert client.ask("TRIGger:STATE?") == "ARMED"
    client.unit.on_trigger()
    assert client.ask("ACQuire:NUMACq?") == "0"
    client.unit.world.time_s = 1.5
    assert client.ask("TRIGger:STATE?") == "READY"
    client.unit.on_trigger()
    assert client.ask("ACQuire:NUMACq?") == "1"


def test_other_sources_never_trigger(client: Client) -> None:
    run(client, "TRIGger:A:EDGE:SOUrce CH1")
    client.unit.on_trigger()
    assert client.ask("ACQuire:NUMACq?") == "0"


def test_volts_are_what_the_preamble_says(client: Client) -> None:
    run(client, "CH1:SCAle 0.2;OFFSet 0.5;POSition -0.5", "DATa:ENCdg SRIbinary;WIDth 2")
    client.unit.on_trigger()
    step, off, zero = (float(x) for x in client.ask("WFMOutpre:YMUlt?;YOFf?;YZEro?").split(";"))
    client.write("CURVe?")
    data = client.read_bytes()
    assert data[:6] == b"#42000"
    volts = (np.frombuffer(data, "<i2", 1000, 6) - off) * step + zero
    assert np.allclose(volts, np.arange(1000) * 1e-3, atol=step)
    assert zero == pytest.approx(0.6)
    assert client.ask("WFMOutpre:XINcr?;PT_Off?;NR_Pt?") == "8.000000000E-9;0;1000"
    assert client.ask("WFMOutpre?").startswith("2;16;BINARY;RI;LSB;")


@pytest.mark.parametrize(
    ("encoding", "width", "dtype"),
    [
        ("RIBinary", 1, "i1"),
        ("RPBinary", 1, "u1"),
        ("SRIbinary", 2, "<i2"),
        ("RIBinary", 2, ">i2"),
        ("SRPbinary", 2, "<u2"),
    ],
)
def test_all_forms_say_the_same(client: Client, encoding: str, width: int, dtype: str) -> None:
    run(client, f"DATa:ENCdg {encoding};WIDth {width};STARt 11;STOP 500;RESample 3")
    client.unit.on_trigger()
    client.write("CURVe?")
    data = client.read_bytes()
    count = len(range(10, 500, 3))
    codes = np.frombuffer(data, dtype, count, len(data) - 1 - count * width).astype(int)
    centre = {"u1": 128, "<u2": 32768}.get(dtype, 0)
    step = float(client.ask("WFMOutpre:YMUlt?"))
    assert np.allclose((codes - centre) * step, np.arange(10, 500, 3) * 1e-3, atol=step)
    client.write("DATa:ENCdg ASCII")
    assert [int(x) for x in client.ask("CURVe?").split(",")] == (codes - centre).tolist()
    assert client.ask("WFMOutpre:XINcr?") == "2.400000000E-8"


def test_what_came_before_the_trigger_is_silence(client: Client) -> None:
    run(client, "HORizontal:POSition 40", "DATa:WIDth 2;ENCdg ASCII", "CH1:SCAle 0.2")
    client.unit.on_trigger()
    codes = [int(x) for x in client.ask("CURVe?").split(",")]
    assert client.ask("WFMOutpre:PT_Off?") == "400"
    assert set(codes[:401]) == {0}
    assert codes[401] > 0


def test_a_free_running_screen_is_fresh_at_each_look(client: Client) -> None:
    client.write("DATa:STOP 3;ENCdg ASCII;WIDth 2")
    assert client.ask("CURVe?") == "0,64,128"
    assert client.ask("DATa:SOUrce:AVAILable?") == "CH1"
    assert int(client.ask("ACQuire:NUMACq?")) >= 1
    client.write("DATa:SOUrce CH2")
    client.write("CURVe?")
    assert client.read() is None
    assert events(client).startswith("221,")


@pytest.mark.parametrize(
    ("rate_hz", "high_resolution", "bits"),
    [(125e6, True, 16), (312.5e6, True, 15), (625e6, True, 14), (1.25e9, True, 13), (3.125e9, True, 12),
     (6.25e9, True, 8), (125e6, False, 12), (6.25e9, False, 8)],
)  # fmt: skip
def test_bits_of_a_5_series(rate_hz: float, high_resolution: bool, bits: int) -> None:
    assert bits_at(rate_hz, high_resolution=high_resolution, fastest_12_bits_hz=3.125e9) == bits


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_the_converter_ends_where_its_codes_end(bits: int) -> None:
    volts = np.array([-9.0, -0.1, 0.0, 0.1, 9.0, np.nan], np.float32)
    record = Record.of(volts, 1.0, 0.1, 0.0, bits)
    top = ((1 << (bits - 1)) - 1) << (16 - bits)
    assert record.codes[[0, 4, 5]].tolist() == [-32768, top, top]
    assert record.codes[[1, 3]] == pytest.approx([-6400, 6400], abs=1 << (16 - bits))
    assert not np.any(record.codes & ((1 << (16 - bits)) - 1))


def test_what_tektronixs_own_client_asks_at_first(client: Client) -> None:
    """tm_devices: its simulated MSO6B's dialogues, and what it asks of channels."""
    assert client.ask(":ETHERNET:NAME?;:LICENSE:APPID?;*OPT?") == '"MSO64B-C012345";"";0'
    assert client.ask("CH1:PROBETYPE?;:CH1:PROBE:ID:TYPE?;:CH1:PROBE:ID:SERNUMBER?") == 'ANALOG;"1X";"N/A"'
    client.write(':FILESystem:CWD "E:"')
    assert client.ask(":FILESystem:CWD?") == '"C:"'
    client.write("*CLS")
    assert events(client) == NONE


def test_wrong_options_are_refused() -> None:
    for options in ({"variant": "MSO44"}, {"bits": 5}):
        with pytest.raises(ConfigError):
            Mso("scope", QuietWorld(), options)


@pytest.mark.parametrize("command", ["HORizontal:FASTframe:STATE 1", "HOR:FAST:COUN 10"])
def test_fastframe_is_refused(client: Client, command: str) -> None:
    client.write(command)
    assert events(client) == '221,"Settings conflict;FastFrame is not simulated"'
    client.write("HORizontal:FASTframe:STATE OFF;COUNt 1")
    assert events(client) == NONE
    assert client.ask("HORizontal:FASTframe:STATE?;COUNt?") == "0;1"


def test_a_record_length_makes_the_time_base_manual() -> None:
    client = Client(Mso("scope", Ramp()))
    client.write("HEADER OFF;*CLS;:HORizontal:RECOrdlength 10000")
    assert client.ask("*ESR?;:HORizontal:RECOrdlength?;MODe?") == "0;10000;MANUAL"
