"""TSL-570: what goes over the wire, and what is made of the answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from drivers.santec_tsl570 import SETTLE_TIMEOUT_S, TSL570
from drivers.visa import VisaLibrary
from labctl.clock import SteppedClock
from labctl.errors import ConfigError, InstrumentReply, InstrumentTimeout, LimitError, WrongInstrument
from labctl.interfaces import Laser
from tests.drivers.bench_with import bench_with
from tests.drivers.scripted import Answer, ScriptedVisa, checked

IDENTITY = ("*IDN?", "SANTEC,TSL-570,21020001,0026.0026.0011")
NO_ERROR = (":SYSTem:ERRor?", '0,"No error"')
POWER_LIMITS = [(":POWer? MIN", "-1.5E+1"), (":POWer? MAX", "+1.3E+1")]
OPENING = [
    IDENTITY,
    NO_ERROR,
    *checked(":SYSTem:COMMunicate:CODe 1", ":POWer:UNIT 0"),
    (":WAVelength? MIN", "1.50000000E-006"),
    (":WAVelength? MAX", "1.63000000E-006"),
    *POWER_LIMITS,
]
LEGACY_OPENING = [
    IDENTITY,
    NO_ERROR,
    *checked(":SYSTem:COMMunicate:CODe 0", ":POWer:UNIT 0"),
    (":WAVelength:MINimum?", "1500.0000"),
    (":WAVelength:MAXimum?", "1630.0000"),
    *POWER_LIMITS,
]
SETTLED = ("*OPC?", "1")


def laser(
    *pairs: tuple[str, Answer], units: str = "scpi", settle_s: float = 0.0
) -> tuple[TSL570, ScriptedVisa, SteppedClock]:
    opening = OPENING if units == "scpi" else LEGACY_OPENING
    visa = ScriptedVisa([*opening, *pairs], write_end=b"\r", read_end=b"\r")
    clock = SteppedClock()
    resource = "TCPIP0::192.168.10.11::5000::SOCKET"
    made = TSL570("laser", resource, VisaLibrary(visa), clock, units=units, settle_s=settle_s)
    made.open()
    return made, visa, clock


def test_opening_reads_identity_and_limits() -> None:
    made, visa, _ = laser()
    assert str(made.identity) == "SANTEC TSL-570 21020001"
    assert made.wavelength_range_m.low == pytest.approx(1500e-9)
    assert made.power_range_w.high == pytest.approx(19.95e-3, rel=1e-3)
    made.close()
    visa.finished()


@pytest.mark.parametrize("reply", ["THORLABS,PM100D,1,1", "SANTEC,MPM-210,1,1"])
def test_another_instrument(reply: str) -> None:
    visa = ScriptedVisa([("*IDN?", reply)], write_end=b"\r", read_end=b"\r")
    resource = "TCPIP0::192.168.10.11::5000::SOCKET"
    with pytest.raises(WrongInstrument):
        TSL570("laser", resource, VisaLibrary(visa), SteppedClock()).open()


def test_wavelength_in_metres() -> None:
    made, visa, _ = laser(*checked(":WAVelength 1.55012e-06"), SETTLED, (":WAVelength?", "+1.55012000E-006"))
    made.set_wavelength(1550.12e-9)
    assert made.wavelength() == 1550.12e-9
    visa.finished()


def test_wavelength_in_nanometres() -> None:
    made, visa, _ = laser(*checked(":WAVelength 1550.12"), SETTLED, (":WAVelength?", "1550.1200"), units="legacy")
    made.set_wavelength(1550.12e-9)
    assert made.wavelength() == pytest.approx(1550.12e-9, abs=1e-18)
    assert made.wavelength_range_m.high == pytest.approx(1630e-9)
    visa.finished()


def test_tuning_is_waited_for_on_the_clock() -> None:
    busy = [("*OPC?", "0")] * 4
    made, visa, clock = laser(*checked(":WAVelength 1.55e-06"), *busy, SETTLED, settle_s=0.5)
    made.set_wavelength(1550e-9)
    assert clock.now() == pytest.approx(4 * 0.05 + 0.5)
    visa.finished()


def test_the_time_is_asked_only_while_it_tunes(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a simulated bench that is a question to the lab."""
    made, visa, clock = laser(*checked(":WAVelength 1.55e-06"), SETTLED)
    monkeypatch.setattr(clock, "now", pytest.fail)
    made.set_wavelength(1.55e-6)
    visa.finished()


def test_a_laser_that_never_settles() -> None:
    made, _, clock = laser(*checked(":WAVelength 1.55e-06"), *[("*OPC?", "0")] * 2000)
    with pytest.raises(InstrumentTimeout, match="not settled"):
        made.set_wavelength(1550e-9)
    assert clock.now() == pytest.approx(SETTLE_TIMEOUT_S, abs=0.1)


def test_power_travels_in_dbm() -> None:
    made, visa, _ = laser(*checked(":POWer 10"), SETTLED, (":POWer?", "+1.00000000E+001"))
    made.set_power(10e-3)
    assert made.power() == pytest.approx(10e-3)
    visa.finished()


def test_limits_are_the_units_own() -> None:
    made, visa, _ = laser()
    for wavelength_m in (1499e-9, 1640e-9, float("nan")):
        with pytest.raises(LimitError, match="wavelength"):
            made.set_wavelength(wavelength_m)
    for power_w in (30e-3, 1e-6, 0.0):
        with pytest.raises(LimitError, match="power"):
            made.set_power(power_w)
    visa.finished()


def test_light_goes_on_diode_first_and_shutter_last() -> None:
    made, visa, _ = laser(
        *checked(":POWer:STATe 1"),
        SETTLED,
        *checked(":POWer:SHUTter 0"),
        (":POWer:STATe?", "1"),
        (":POWer:SHUTter?", "0"),
        *checked(":POWer:SHUTter 1", ":POWer:STATe 0"),
        (":POWer:STATe?", "0"),
    )
    made.set_emission(True)
    made.set_emission(False)
    visa.finished()


@pytest.mark.parametrize(("diode", "shutter", "emits"), [("1", "0", True), ("1", "1", False), ("0", "0", False)])
def test_emission_needs_diode_and_open_shutter(diode: str, shutter: str, emits: bool) -> None:
    made, _, _ = laser((":POWer:STATe?", diode), (":POWer:SHUTter?", shutter))
    assert made.emission() is emits


def test_a_laser_that_does_not_obey() -> None:
    made, _, _ = laser(*checked(":POWer:STATe 1"), SETTLED, *checked(":POWer:SHUTter 0"), (":POWer:STATe?", "0"))
    with pytest.raises(InstrumentReply, match=r"interlock|emission"):
        made.set_emission(True)


@pytest.mark.parametrize(("diode", "dark"), [("0", True), ("1", False)])
def test_safe_state_is_read_back(diode: str, dark: bool) -> None:
    made, visa, _ = laser(
        *checked(":POWer:SHUTter 1", ":POWer:STATe 0"),
        (":POWer:STATe?", diode),
        (":POWer:SHUTter?", "1"),
    )
    state = made.safe_state()
    assert state.dark is dark
    assert bool(state.problem) is not dark
    assert state.readings == {"diode_on": not dark, "shutter_closed": True}
    visa.finished()


def test_snapshot() -> None:
    made, visa, _ = laser(
        (":WAVelength?", "1.55E-006"),
        (":POWer?", "10"),
        (":POWer:STATe?", "1"),
        (":POWer:SHUTter?", "0"),
        (":POWer:ACTual?", "9.97"),
    )
    snapshot = made.snapshot()
    assert snapshot["wavelength_m"] == 1550e-9
    assert snapshot["actual_power_w"] == pytest.approx(9.93e-3, rel=1e-3)
    visa.finished()


def test_units_are_one_of_two() -> None:
    visa = VisaLibrary(ScriptedVisa())
    with pytest.raises(ConfigError, match="units"):
        TSL570("laser", "TCPIP0::1.1.1.1::5000::SOCKET", visa, SteppedClock(), units="nm")


# --- on the simulated laser ---------------------------------------------------------------------


def test_a_laser_that_needs_time_is_waited_for_on_the_labs_clock(tmp_path: Path) -> None:
    """Without anybody really waiting."""
    with bench_with(tmp_path, "laser", settle_s=3.0) as bench:
        made, begun = bench.get(Laser, "laser"), bench.lab.now()
        made.set_wavelength(1555e-9)
        assert 3.0 <= bench.lab.now() - begun < 3.2


def test_a_laser_without_these_units_is_not_opened(tmp_path: Path) -> None:
    with bench_with(tmp_path, "laser", variant="TSL-550") as bench:
        with pytest.raises(ConfigError, match="no SCPI units"):
            bench.open("laser")
        assert not bench.unit.connections, "the line was given back"
