"""The faults: what reaches the client, what happens to the light, and who can have which."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from labctl.errors import ConfigError
from labctl.shipped import bench_path
from sim_backends.faults import FAULTS, Fault, fault_named
from sim_backends.lab import Lab
from sim_backends.state import AmplifierState, LaserState
from sim_backends.unit import Unit

LINE = object()


def test_faults_are_found_by_name_in_any_case_and_begin_anew() -> None:
    assert isinstance(fault_named("unplug"), FAULTS["UNPLUG"])
    assert fault_named("LATE") is not fault_named("LATE")


def test_an_unknown_fault_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="'FIRE'") as caught:
        fault_named("FIRE")
    assert "SILENT, STUCK, UNPLUG" in caught.value.remedy


@pytest.mark.parametrize(
    ("name", "reply", "arrives"),
    [
        ("UNPLUG", b"1\n", None),
        ("SILENT", b"1\n", None),
        ("HANGUP", b"1\n", b"1\n"),
        ("PARTIAL", b"+1.25\n", b"+1."),
        ("PARTIAL", b"\n", None),
        ("BYTEORDER", b"#15abcde\n", b"#15badce\n"),
        ("BYTEORDER", b"-1,abcd\n", b"-1,abcd\n"),
        ("NAN", b"+1.25E-3\r\n", b"NAN\r\n"),
        ("NAN", b"0\n", b"0\n"),
        ("NAN", b"ACME,TSL-570,1,1.0a\n", b"ACME,TSL-570,1,1.0a\n"),
        ("NOREADING", b"1.0,-2.5\n", b"9.91E+37,9.91E+37\n"),
        ("STUCK", b"1.0\n", b"1.0\n"),
    ],
)
def test_what_reaches_the_client(name: str, reply: bytes, arrives: bytes | None) -> None:
    assert fault_named(name).answer(LINE, reply) == arrives


def test_garbage_keeps_its_length_and_end_and_nothing_else() -> None:
    reply = bytes(range(256)) + b"\r\n"
    garbage = fault_named("GARBAGE").answer(LINE, reply)
    assert garbage is not None
    assert len(garbage) == len(reply)
    assert garbage.endswith(b"\r\n")
    kept = [byte for byte, other in zip(reply, garbage, strict=True) if byte == other]
    assert bytes(kept) == b"\n\r;\r\n"


def test_a_late_answer_comes_with_the_next_one_of_its_own_connection() -> None:
    class Line:
        pass

    one, other = Line(), Line()
    late = fault_named("LATE")
    assert late.answer(one, b"1\n") is None
    assert late.answer(other, b"2\n") is None
    assert late.answer(one, b"3\n") == b"1\n"
    assert late.answer(other, b"4\n") == b"2\n"


@pytest.fixture
def lab() -> Lab:
    made = Lab(bench_path("ideal"))
    made.set_stepped(True)
    made.reset(1)
    return made


def emitting(lab: Lab) -> LaserState:
    state = lab.units["laser"].state
    assert isinstance(state, LaserState)
    state.power_w, state.emission, state.shutter_closed = 10e-3, True, False
    return state


@pytest.mark.parametrize(("fault", "factor"), [("POWERDROP", 0.5), ("MODEHOP", 0.9)])
def test_the_power_meter_sees_what_the_laser_does_not(lab: Lab, fault: str, factor: float) -> None:
    state = emitting(lab)
    before_w = lab.world.optical_power_w("power_meter")
    lab.set_fault("laser", fault)
    assert lab.world.optical_power_w("power_meter") == pytest.approx(factor * before_w)
    assert state.power_w == 10e-3
    assert (lab.world.circuit.wavelength_m() == state.wavelength_m) is (fault == "POWERDROP")
    lab.clear_faults()
    assert lab.world.optical_power_w("power_meter") == before_w
    assert lab.world.circuit.wavelength_m() == state.wavelength_m


def test_a_stuck_power_meter(lab: Lab) -> None:
    state = emitting(lab)
    bright_w = lab.world.optical_power_w("power_meter")
    lab.set_fault("power_meter", "STUCK")
    assert lab.world.optical_power_w("power_meter") == bright_w
    state.emission = False
    assert lab.world.optical_power_w("power_meter") == bright_w
    lab.clear_faults()
    assert lab.world.optical_power_w("power_meter") == 0


def records(lab: Lab, count: int = 2) -> list[np.ndarray[tuple[int], np.dtype[np.float64]]]:
    found = []
    for _ in range(count):
        record = lab.world.acquire("server_scope", [1], 8e-9, 1000)[1]
        found.append(record.samples.astype(np.float64) * record.volts_per_unit)
    return found


def test_a_digitizer_that_is_stuck_overdriven_or_saturated(lab: Lab) -> None:
    emitting(lab)
    first, second = records(lab)
    spread = first.std()
    assert not np.array_equal(first, second)
    lab.set_fault("server_scope", "STUCK")
    first, second = records(lab)
    assert np.array_equal(first, second)
    lab.set_fault("server_scope", "CLIPPED")
    assert records(lab, 1)[0].std() == pytest.approx(1000 * spread, rel=0.1)
    lab.set_fault("server_scope", "SATURATED")
    (saturated,) = records(lab, 1)
    assert np.count_nonzero(np.abs(saturated) == np.abs(saturated).max()) > 200
    lab.clear_faults()
    assert records(lab, 1)[0].std() == pytest.approx(spread, rel=0.1)


def test_a_modulator_off_its_null_lets_light_through(lab: Lab) -> None:
    emitting(lab)
    before = lab.world.circuit._imbalance()
    lab.set_fault("server_awg", "BIASDRIFT")
    after = lab.world.circuit._imbalance()
    assert (before.bias_i_v, before.bias_q_v) == (0.0, 0.0)
    assert (after.bias_i_v, after.bias_q_v) == (pytest.approx(0.035), pytest.approx(0.035))


def test_an_interlock_is_closed_again_but_not_unlocked(lab: Lab) -> None:
    state = lab.units["amplifier"].state
    assert isinstance(state, AmplifierState)
    state.emission = True
    lab.set_fault("amplifier", "INTERLOCK")
    assert state.interlock_open
    assert not state.emission
    lab.clear_faults()
    assert state.interlock_open, "re-arming is a human act"


def test_a_full_error_queue(lab: Lab) -> None:
    lab.set_fault("laser", "QUEUEFULL")
    status = vars(lab.units["laser"])["status"]
    codes = [status.next_error()[0] for _ in range(status.queue_size)]
    assert set(codes[:-1]) == {-113}
    assert codes[-1] == -350
    assert status.next_error()[0] == 0


#: Who cannot have it, of the ideal bench.
CANNOT = {
    "STUCK": "laser",
    "QUEUEFULL": "amplifier",
    "CLIPPED": "laser",
    "SATURATED": "power_meter",
    "MODEHOP": "amplifier",
    "POWERDROP": "server_scope",
    "BIASDRIFT": "attenuator",
    "INTERLOCK": "laser",
}


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_who_can_have_which(lab: Lab, name: str) -> None:
    fitting = [unit for unit in lab.units.values() if fault_named(name).fits(unit)]
    assert fitting
    wrong = CANNOT.get(name)
    if wrong is None:
        assert len(fitting) == len(lab.units)
        return
    with pytest.raises(ConfigError, match=f"{wrong} .*cannot have the fault {name}|{wrong} drives no modulator"):
        lab.set_fault(wrong, name)
    assert lab.units[wrong].fault is None


def planned(folder: Path, *entries: str) -> Path:
    path = folder / "faulty.bench.toml"
    text = bench_path("ideal").read_text(encoding="utf-8")
    path.write_text(text + "\n" + "\n".join(f"[[world.faults]]\n{entry}\n" for entry in entries), encoding="utf-8")
    return path


def faults_of(unit: Unit) -> str | None:
    fault: Fault | None = unit.fault
    return None if fault is None else fault.name


def test_faults_of_the_bench_file_begin_and_end_in_their_time(tmp_path: Path) -> None:
    lab = Lab(
        planned(
            tmp_path,
            'unit = "laser"\nfault = "PowerDrop"\nat = "1 s"\nuntil = "2 s"',
            'unit = "laser"\nfault = "SILENT"\nat = "3 s"',
        )
    )
    for _ in range(2):  # a reset forgets what happened, and begins anew
        lab.set_stepped(True)
        lab.reset(1)
        emitting(lab)
        seen = []
        for _ in range(4):
            power_w = lab.world.optical_power_w("power_meter")
            seen.append((faults_of(lab.units["laser"]), round(power_w * 1e3, 6)))
            lab.advance(1.0)
        assert seen == [(None, 1.0), ("POWERDROP", 0.5), (None, 1.0), ("SILENT", 1.0)]


def test_a_message_finds_the_fault_that_is_due(tmp_path: Path) -> None:
    lab = Lab(planned(tmp_path, 'unit = "laser"\nfault = "SILENT"\nat = "1 s"'))
    lab.set_stepped(True)
    lab.reset(1)
    connection = lab.units["laser"].connect(stream=True)
    assert connection is not None
    connection.receive(b"*IDN?\r")
    assert connection.take(100, b"\r") is not None
    lab.advance(1.0)
    connection.receive(b"*IDN?\r")
    assert connection.take(100, b"\r") is None


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ('unit = "lazer"\nfault = "SILENT"', "'lazer' is no unit"),
        ('unit = "laser"\nfault = "MELT"', "no fault 'MELT'"),
        ('unit = "laser"\nfault = "SILENT"\nat = "2 s"\nuntil = "1 s"', "until must come after at"),
        ('unit = "laser"\nfault = "SILENT"\nat = "-2 s"', "at"),
    ],
)
def test_wrong_entries_are_refused(tmp_path: Path, entry: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Lab(planned(tmp_path, entry))
