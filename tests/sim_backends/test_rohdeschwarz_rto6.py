"""The simulated RTO6: records, formats, triggers, and the status registers that vendor clients poll."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sim_backends.rohdeschwarz_rto6 import Rto6
from sim_backends.rohdeschwarz_rto6_setup import resolution_bits
from sim_backends.state import ChannelRecord
from tests.sim_backends.rig import Client, QuietWorld

SETUP = "CHAN1:SCAL 0.1;:TIM:REF 0;:TIM:RANG 1E-5;:ACQ:SRAT 1E8;:TRIG1:SOUR EXT;:TRIG1:MODE NORM;:FORM INT,16"


class Ramp(QuietWorld):
    """From -0.6 V up, a millivolt a sample."""

    def acquire(
        self, unit: str, channels: Sequence[int], sample_interval_s: float, samples: int
    ) -> dict[int, ChannelRecord]:
        return {n: ChannelRecord(np.arange(samples, dtype=np.float32) - 600, 1e-3) for n in channels}


def scope(**options: Any) -> tuple[Rto6, Client, Ramp]:
    world = Ramp()
    unit = Rto6("scope", world, options)
    unit.options.finish()
    return unit, Client(unit), world


def armed(**options: Any) -> tuple[Rto6, Client]:
    unit, client, _ = scope(**options)
    client.write(SETUP + ";:SING")
    return unit, client


def data(client: Client, kind: str, query: str = "CHAN1:DATA?") -> NDArray[Any]:
    client.write(query)
    reply = client.read_bytes()
    digits = int(reply[1:2])
    return np.frombuffer(reply[2 + digits : -1], kind)


def test_a_single_run_waits_for_the_line() -> None:
    unit, client = armed()
    assert client.ask("STAT:OPER:COND?;:ACQ:CURR?") == "24;0"
    unit.on_trigger()
    assert client.ask("STAT:OPER:COND?;:ACQ:CURR?") == "0;1"
    assert client.ask("CHAN1:DATA:HEAD?") == "0.000000000E+00,9.990000000E-06,1000,1"
    unit.on_trigger()
    assert client.ask("ACQ:CURR?") == "1"
    assert client.errors() == []


def test_opc_and_its_bits_wait_for_the_trigger() -> None:
    unit, client, _ = scope()
    client.write("*CLS;*ESE 1;*SRE 32")
    client.write(SETUP + ";:SING;*OPC")
    assert client.ask("*STB?;*ESR?") == "0;0"
    unit.on_trigger()
    assert client.ask("*STB?") == str(32 + 64)
    assert client.ask("*ESR?;*STB?") == "1;0"
    client.write("SING;*OPC?")
    assert client.read() is None
    unit.on_trigger()
    assert client.read() == "1"


def test_several_records_a_run() -> None:
    unit, client, _ = scope()
    client.write(SETUP + ";:ACQ:COUN 3;:RUNS")
    for done in (1, 2, 3):
        unit.on_trigger()
        assert client.ask("ACQ:CURR?;:STAT:OPER:COND?") == f"{done};{0 if done == 3 else 24}"


def test_volts_in_every_format() -> None:
    unit, client = armed()
    unit.on_trigger()
    due = np.clip(np.arange(1000) * 1e-3 - 0.6, -128 / 253, 127 / 253)
    half_step = 0.5 / 253
    codes = data(client, "<i2")
    assert np.abs(codes / (253 * 256) - due).max() <= half_step * 1.001
    client.write("FORM:BORD MSBF")
    assert np.array_equal(data(client, ">i2"), codes)
    client.write("FORM INT,8")
    assert np.array_equal(data(client, "i1"), codes >> 8)
    client.write("FORM REAL,32;:FORM:BORD LSBF")
    assert np.allclose(data(client, "<f4"), codes / (253 * 256))
    assert np.array_equal(data(client, "<f4", "CHAN1:WAV1:DATA:VAL? 10,5"), data(client, "<f4")[10:15])
    client.write("FORM ASC")
    assert np.allclose([float(each) for each in client.ask("CHAN1:DATA?").split(",")], codes / (253 * 256))
    client.write("FORM REAL,64")
    assert client.errors() == [-224]


@pytest.mark.parametrize(("bandwidth", "bits"), [(5e7, 16), (1e8, 14), (2e8, 13), (3e8, 12), (1e9, 10)])
def test_high_definition_trades_bandwidth_for_bits(bandwidth: float, bits: int) -> None:
    assert resolution_bits(bandwidth) == bits
    unit, client, _ = scope()
    client.write(f"HDEF:STAT ON;BWID {bandwidth};:{SETUP};:SING")
    assert client.ask("HDEF:RES?;STAT?") == f"{bits};1"
    unit.on_trigger()
    codes = data(client, "<i2")
    assert not np.any(codes % (1 << (16 - bits)))
    assert np.any(codes % (1 << (17 - bits)))


def test_offset_position_and_inversion() -> None:
    for text, low_v in (("OFFS 0.1", -0.6 - 0.1), ("POS 2", -0.6 + 0.2), ("INV 1", 0.6)):
        unit, client, _ = scope()
        client.write(f"CHAN1:{text};:{SETUP};:CHAN1:SCAL 0.2;:CHAN1:{text};:SING" if "POS" not in text else SETUP)
        if "POS" in text:
            client.write("CHAN1:POS 2;:SING")
        unit.on_trigger()
        step_v = float(client.ask("CHAN1:RANG?")) / (253 * 256)
        assert data(client, "<i2")[0] * step_v == pytest.approx(max(low_v, -128 * 256 * step_v), abs=256 * step_v)


def test_the_trigger_within_the_record() -> None:
    unit, client, _ = scope()
    client.write(f"{SETUP};:TIM:REF 50;:SING")
    unit.on_trigger()
    codes = data(client, "<i2")
    assert not np.any(codes[:500])
    assert codes[500] < 0
    assert client.ask("CHAN1:DATA:HEAD?").startswith("-5.0")


def test_what_is_kept_when_the_screen_changes() -> None:
    _, client, _ = scope(memory_points=5000)
    client.write("TIM:RANG 1E-6;:ACQ:SRAT 2E9")
    assert client.ask("ACQ:POIN?") == "2000"
    client.write("ACQ:POIN:AUTO RECL;:TIM:SCAL 2E-7")
    assert client.ask("ACQ:POIN?;SRAT?") == "2000;1000000000"
    client.write("ACQ:POIN 4000")
    assert client.ask("ACQ:SRAT?;RES?;:TIM:RANG?;SCAL?") == "2000000000;5e-10;2e-06;2e-07"
    client.write("ACQ:SRAT 1E12")
    assert client.ask("ACQ:POIN?") == "5000"
    client.write("ACQ:POIN 999")
    assert client.errors() == [-222]


def test_running_freely_every_read_out_is_a_record() -> None:
    _, client, _ = scope()
    client.write("FORM INT,16;:RUN")
    assert client.ask("STAT:OPER:COND?") == "16"
    data(client, "<i2")
    data(client, "<i2")
    assert client.ask("ACQ:CURR?") == "2"
    client.write("STOP")
    data(client, "<i2")
    assert client.ask("ACQ:CURR?;:STAT:OPER:COND?") == "2;0"
    client.write("SING;:CHAN3:DATA?")
    assert client.errors() == [-230]
    client.write("TRIG:MODE NORM;:SING;:TRIG:FORC")
    assert client.ask("ACQ:CURR?") == "1"


def test_it_is_not_ready_at_once() -> None:
    unit, client, world = scope(arming_s=0.01)
    client.write(SETUP + ";:SING")
    assert client.ask("STAT:OPER:COND?") == "16"
    unit.on_trigger()
    assert client.ask("ACQ:CURR?") == "0"
    world.time_s = 0.02
    assert client.ask("STAT:OPER:COND?") == "24"


def test_options() -> None:
    _, client, _ = scope(variant="RTO1012", high_definition=False, header_end="range", bits=12)
    assert client.ask("DIAG:SERV:WFAM?;*OPT?") == "RTO1012;B4"
    client.write("HDEF:STAT ON;:CHAN3:SCAL 1;:SING")
    assert client.errors() == [-241, -241]
    assert client.ask("CHAN1:DATA:HEAD?").split(",")[1] == "5.000000000E-08"
    assert client.ask("SYST:ERR:ALL?") == '0,"No error"'
    client.write("NONS;:*CLS;NONS")
    assert client.ask("SYST:ERR:ALL?").startswith('-113,"Undefined header"')


@pytest.mark.parametrize("opening", ["*CLS;*ESE 1;*SRE 0;*OPC?", "*CLS;*ESE;*SRE 0;*OPC?"])
def test_the_opening_has_its_answer(opening: str) -> None:
    _, client, _ = scope()
    assert client.ask(opening) == "1"
    assert client.errors() == []
    assert client.ask("*ESE?") == ("1" if "1" in opening else "0")


@pytest.mark.parametrize("command", ["TRIG:FORC", "TRIGger1:FORCe", "*TRG"])
def test_a_trigger_by_command(command: str) -> None:
    _, client = armed()
    client.write(command)
    assert client.ask("ACQ:CURR?") == "1"


@pytest.mark.parametrize(("variant", "material"), [("RTO64", "1802.0001k04"), ("RTO1044", "1316.1000k44")])
def test_the_material_number_tells_the_model(variant: str, material: str) -> None:
    _, client, _ = scope(variant=variant)
    assert client.ask("*IDN?") == f"Rohde&Schwarz,RTO,{material}/100001,5.20.1.0"
