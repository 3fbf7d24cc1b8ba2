"""Whole runs through drivers, wire and simulated lab, and what happens to them when the lab goes wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
import pyvisa

from labctl.engine import RunControl
from labctl.errors import InstrumentLost, InterlockError
from labctl.events import Event, EventBus, LayerMeasured, LightOff, RunStarted
from labctl.experiment import load_experiment
from labctl.limits import ASK_SLOW_AFTER_IMAGES
from labctl.record import open_run
from labctl.session import Outcome, run, run_experiment
from labctl.shipped import bench_path
from sim_backends.lab import Lab
from tests.end_to_end.followed import INSTRUMENTS, LISTENERS, Followed, emitting
from tests.fakes import fake_bench, use_fakes
from tests.labctl.run_files import differences


def told(resource: str, command: str, ending: str) -> None:
    """What a second program, which knows only pyvisa, sends to an instrument."""
    manager = pyvisa.ResourceManager(f"{bench_path('ideal')}@labctl")
    session = manager.open_resource(resource, write_termination=ending)
    session.write(command)
    session.close()


# --- a good run --------------------------------------------------------------------------------------


def test_twenty_digits(tmp_path: Path) -> None:
    outcome = run("digits", images=20, seed=11, out_dir=tmp_path)
    assert (outcome.finished.status, outcome.verdict) == ("complete", "accepted")
    # 90.7 % at this working point: fewer than 13 of 20 has a probability of 1e-3, with any seed.
    assert outcome.accuracy is not None
    assert outcome.accuracy >= 13 / 20
    pooled = outcome.finished.pooled
    assert pooled is not None
    assert pooled.samples == 20 * 2 * 32 * 74
    assert pooled.expected == pytest.approx(1 / 32)
    half = (pooled.excess.high - pooled.excess.low) / 2
    assert abs(pooled.excess.value - 1 / 32) < 2 * half  # four standard errors
    assert abs(pooled.transmittance.value - 1) < 0.02
    assert outcome.run_file is not None
    recorded = open_run(outcome.run_file)
    assert recorded.finished == outcome.finished
    assert recorded.started.simulated
    assert recorded.light_off is not None
    assert recorded.light_off.dark
    assert set(recorded.started.snapshots) == set(INSTRUMENTS)


def test_the_same_run_twice_gives_the_same_file(tmp_path: Path) -> None:
    files = []
    for folder, seed in (("a", 5), ("b", 5), ("c", 6)):
        outcome = run("digits", images=4, seed=seed, out_dir=tmp_path / folder)
        files.append(outcome.run_file)
    assert differences(files[0], files[1]) == []
    assert "images/accuracy" in differences(files[0], files[2]) or "layers/0/sum_rr" in differences(files[0], files[2])


def test_nothing_of_an_earlier_run_stays(lab: Lab) -> None:
    """In one lab that stays open: a run after another one, and one after an aborted one, are what they are alone."""
    alone = Followed(seed=5).of(LayerMeasured)
    Followed(seed=8, images=3)
    assert Followed(seed=5).of(LayerMeasured) == alone
    Followed(lambda: told("TCPIP0::192.168.10.11::5000::SOCKET", ":POWer:STATe 0", "\r"), seed=9)
    assert Followed(seed=5).of(LayerMeasured) == alone


def test_dark_before_and_after(lab: Lab) -> None:
    assert emitting(lab) == []
    seen: list[list[str]] = []
    followed = Followed(lambda: seen.append(emitting(lab)))
    assert set(seen[0]) == {name for name in INSTRUMENTS if name not in LISTENERS}
    assert emitting(lab) == []
    assert followed.light_off.dark
    assert [state.instrument for state in followed.light_off.readback][:3] == ["amplifier", "attenuator", "laser"]


def test_the_drivers_carry_the_noise_of_the_world(tmp_path: Path) -> None:
    """The same seed through stand-ins without wire: the same images but for the digitizer's last bit."""
    wired = Followed(seed=3).of(LayerMeasured)
    with pytest.MonkeyPatch.context() as patch:
        use_fakes(patch)
        direct = Followed(seed=3, bench=str(fake_bench(tmp_path))).of(LayerMeasured)
    first = [event for event in zip(wired, direct, strict=True) if event[0].layer == 0]
    for one, other in first:
        assert one.sum_ss == pytest.approx(other.sum_ss, rel=1e-3)
        assert one.sum_rr == pytest.approx(other.sum_rr, rel=1e-3)
        assert one.sum_sr == pytest.approx(other.sum_sr, rel=1e-3)


def finished_in_all(outcome: Outcome) -> int:
    """Images that count, and those in doubt."""
    return outcome.finished.images + outcome.finished.doubtful


# --- light goes out ----------------------------------------------------------------------------------


def test_laser_switched_off_by_another_program(lab: Lab) -> None:
    followed = Followed(lambda: told("TCPIP0::192.168.10.11::5000::SOCKET", ":POWer:STATe 0", "\r"))
    assert isinstance(followed.error, InterlockError)
    assert followed.error.message == "laser: emission is off while the run needs it"
    assert (followed.outcome.finished.status, followed.outcome.verdict) == ("aborted", "aborted")
    assert (followed.outcome.finished.images, followed.outcome.finished.doubtful) == (1, 1)
    assert len(followed.of(LayerMeasured)) == 4, "no further light"
    assert followed.light_off.dark
    assert emitting(lab) == []


@pytest.mark.parametrize(
    ("resource", "command", "said"),
    [
        ("TCPIP0::192.168.10.11::5000::SOCKET", ":POWer:SHUTter 1\r", "laser: emission is off"),
        ("TCPIP0::192.168.10.11::5000::SOCKET", ":POWer:UNIT 1;:POWer 5\r", "power_meter: 0.5 mW on the monitor"),
        ("TCPIP0::192.168.10.31::5025::SOCKET", ":OUTPut3:STATe 0\n", "attenuator: the shutter of channel 3 is closed"),
    ],
)
def test_other_ways_to_lose_the_light(lab: Lab, resource: str, command: str, said: str) -> None:
    followed = Followed(lambda: told(resource, command[:-1], command[-1]))
    assert isinstance(followed.error, InterlockError)
    assert said in followed.error.message
    assert finished_in_all(followed.outcome) == 2
    assert emitting(lab) == []


def test_laser_switched_off_within_an_image(lab: Lab) -> None:
    """Between two layers nobody looks at the interlocks: missing shot noise is found, and the laser named."""
    bus, off = EventBus(), []
    bus.subscribe(LightOff, off.append)

    def strike(event: LayerMeasured) -> None:
        if (event.image, event.layer) == (1, 0):
            told("TCPIP0::192.168.10.11::5000::SOCKET", ":POWer:STATe 0", "\r")

    bus.subscribe(LayerMeasured, strike)
    outcome = run_experiment(load_experiment("digits", images=3), bus, RunControl(), None)
    assert isinstance(outcome.error, InterlockError)
    assert outcome.error.message == "laser: emission is off while the run needs it"
    assert finished_in_all(outcome) == 1
    assert off[0].dark
    assert emitting(lab) == []


# --- cables are pulled -------------------------------------------------------------------------------


STRUCK = [(name, "UNPLUG") for name in INSTRUMENTS] + [
    (name, "SILENT") for name in ("laser", "amplifier", "server_scope")
]


@pytest.mark.parametrize(("name", "fault"), STRUCK, ids=str)
def test_any_one_instrument_unplugged(lab: Lab, name: str, fault: str) -> None:
    followed = Followed(lambda: told("SIM", f':FAULt "{name}",{fault}', "\n"), images=20)
    error = followed.error
    assert isinstance(error, InstrumentLost)
    assert error.instrument == name
    assert error.message.startswith(f"{name}: ")
    assert error.remedy
    assert (followed.outcome.finished.status, followed.outcome.verdict) == ("failed", None)
    late = ASK_SLOW_AFTER_IMAGES if name == "amplifier" else 0
    assert 2 <= finished_in_all(followed.outcome) <= 2 + late
    # Everybody was told; all but the lost one said that they are dark, and are.
    readback = {state.instrument: state for state in followed.light_off.readback}
    assert set(readback) == set(INSTRUMENTS)
    lost = set() if name in LISTENERS else {name}
    assert {each for each, state in readback.items() if not state.dark} == lost
    assert readback[name].problem or name == "power_meter", "a meter has nothing to switch off"
    assert all(readback[other].readings for other in set(INSTRUMENTS) - LISTENERS - {name}), "read back"
    assert set(emitting(lab)) <= lost
    assert (f"came from {name}." in error.remedy) == bool(lost)


def test_the_next_run_is_well_again(lab: Lab) -> None:
    assert isinstance(Followed(lambda: lab.set_fault("amplifier", "UNPLUG")).error, InstrumentLost)
    lab.clear_faults()
    assert Followed().outcome.verdict == "accepted"
    assert emitting(lab) == []


def test_unplugged_from_the_start(lab: Lab) -> None:
    lab.set_fault("client_scope", "UNPLUG")
    followed_events: list[Event] = []
    bus = EventBus()
    bus.subscribe(RunStarted, followed_events.append)
    outcome = run_experiment(load_experiment("digits", images=1), bus, RunControl(), None)
    assert isinstance(outcome.error, InstrumentLost)
    assert outcome.error.instrument == "client_scope"
    assert not followed_events
    assert emitting(lab) == []
