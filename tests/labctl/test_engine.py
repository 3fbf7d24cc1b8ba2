"""The engine on a bench of stand-ins: order, pause and abort, alarms, and the dark whatever happens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import labctl.control
from labctl.bench import open_bench
from labctl.config import RunConfig
from labctl.engine import Attendant, Engine, RunControl
from labctl.errors import GateError, InstrumentLost, InterlockError, LabctlError, RunAborted
from labctl.events import (
    AlarmRaised,
    Event,
    EventBus,
    ImageFinished,
    ImagesDoubtful,
    LayerMeasured,
    LightOff,
    ReceiverSamples,
    RunFinished,
    RunStarted,
    StateChanged,
)
from labctl.experiment import prepare_experiment
from labctl.optics.homodyne import CollectedMode
from labctl.plan import Plan
from labctl.values import Quadrature
from tests.fakes import FakeAttenuator, FakeLaser, FakeLibrary, fake_bench, use_fakes
from tests.labctl.test_bench import SAFE_ORDER

KINDS = (RunStarted, LayerMeasured, ImageFinished, ImagesDoubtful, AlarmRaised, StateChanged, LightOff, RunFinished)


class Run:
    """One run on stand-ins, with all its events."""

    def __init__(self, folder: Path, **keys: Any) -> None:
        tables = {"name": "r", "dataset": "digits", "model": "digits", "gain": 2.0, "mean_photons": 4.0, **keys}
        self.experiment = prepare_experiment(RunConfig(bench=str(fake_bench(folder)), **tables))
        self.bus, self.control = EventBus(), RunControl()
        self.events: list[Event] = []
        for kind in KINDS:
            self.bus.subscribe(kind, self.events.append)
        self.engine: Engine | None = None
        self.attendant: Attendant | None = None
        self.plans: dict[tuple[str, str], Callable[[], None] | BaseException] = {}

    def execute(self) -> None:
        with open_bench(self.experiment.bench_path, self.experiment.bench) as bench:
            FakeLibrary.latest.plans.update(self.plans)
            self.engine = Engine(self.experiment, bench, self.bus, self.control, attendant=self.attendant)
            self.engine.execute(Plan(self.experiment.images, 2))

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def states(self) -> list[str]:
        return [event.state for event in self.of(StateChanged)]


@pytest.fixture(autouse=True)
def fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    use_fakes(monkeypatch)
    monkeypatch.setattr(labctl.control, "PAUSE_POLL_S", 0.001)


def log() -> list[tuple[Any, ...]]:
    return FakeLibrary.latest.log


def when(kind: type, action: Callable[[], None], condition: Callable[[Any], bool] = lambda _: True) -> Any:
    """A subscriber that acts on the first event that fits."""
    done: list[bool] = []

    def handle(event: Any) -> None:
        if not done and condition(event):
            done.append(True)
            action()

    return handle


def assert_dark(run: Run) -> None:
    """Everybody told to go dark once, in order, and read back; the world says so too."""
    assert [entry[0] for entry in log() if entry[1] == "safe_state"] == SAFE_ORDER
    (off,) = run.of(LightOff)
    assert off.dark
    assert [state.instrument for state in off.readback] == SAFE_ORDER
    assert run.states()[-2:] == ["stopping", "stopped"]
    units = FakeLibrary.latest.units
    assert not units["laser"].emission()
    assert not units["amplifier"].emission()
    assert not units["attenuator"].shutter(1)


# --- the plan ----------------------------------------------------------------------------------------


def test_events_in_order(tmp_path: Path) -> None:
    run = Run(tmp_path, images=2)
    run.execute()
    image = [LayerMeasured, LayerMeasured, ImageFinished]
    assert [type(event) for event in run.events] == [
        StateChanged,
        RunStarted,
        StateChanged,
        *image,
        *image,
        StateChanged,
        LightOff,
        StateChanged,
    ]
    assert run.states() == ["preparing", "running", "stopping", "stopped"]
    assert [(event.image, event.layer) for event in run.of(LayerMeasured)] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert FakeLibrary.latest.fake_control.keys == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert_dark(run)


def test_started_tells_what_is_run(tmp_path: Path) -> None:
    run = Run(tmp_path, images=1, seed=5)
    run.execute()
    (started,) = run.of(RunStarted)
    assert run.engine is not None
    assert started is run.engine.started
    assert (started.seed, started.images, started.classes, started.simulated) == (5, 1, 10, True)
    assert started.layer_shapes == ((64, 64), (10, 64))
    assert set(started.snapshots) == set(SAFE_ORDER)
    assert started.calibration["amplifier_pump_a"] == pytest.approx(0.1)
    assert started.run["gain"] == 2.0
    assert started.software.startswith("labctl ")


def test_nothing_shines_while_preparing_and_the_pump_comes_last(tmp_path: Path) -> None:
    run = Run(tmp_path, images=1)
    run.execute()
    switched = [entry for entry in log() if entry[1] in ("set_emission", "set_shutter")]
    on = [index for index, entry in enumerate(switched) if entry[-1] is True]
    off = switched[: on[0]]
    assert off[0] == ("amplifier", "set_emission", False), "a pump that is on goes off before its input does"
    assert {entry[0] for entry in off} == {"amplifier", "laser", "attenuator"}
    assert [switched[index] for index in on] == [
        ("laser", "set_emission", True),  # the local oscillator, read back before the signal is let out
        ("laser", "set_emission", True),
        ("attenuator", "set_shutter", 1, True),
        ("attenuator", "set_shutter", 3, True),
        ("amplifier", "set_emission", True),
    ]
    last_setting = max(i for i, entry in enumerate(log()) if entry[1] in ("set_power", "set_wavelength", "set_pump"))
    assert last_setting < log().index(("laser", "set_emission", True))


def test_a_shot_everybody_ready_before_the_light(tmp_path: Path) -> None:
    run = Run(tmp_path, images=1)
    run.execute()
    trigger = log().index(("server_awg", "trigger"))
    before = log()[log().index(("amplifier", "set_emission", True)) : trigger]
    for unit in ("client_awg_forward", "client_awg_return", "client_awg_tap", "client_scope", "server_scope"):
        assert (unit, "arm") in [entry[:2] for entry in before], f"{unit} is not armed before the light is sent"
    assert ("client_awg_forward", "arm", 1, 64, True) in before
    after = [entry[:2] for entry in log()[trigger:]]
    assert after.index(("client_scope", "read")) < after.index(("server_scope", "read"))


def test_results_add_up(tmp_path: Path) -> None:
    run = Run(tmp_path, images=6)
    run.execute()
    finished = run.of(ImageFinished)
    correct = 0
    for number, event in enumerate(finished):
        correct += event.prediction == event.label
        assert event.prediction == int(np.argmax(event.scores))
        assert event.label == run.experiment.dataset.labels[number]
        assert (event.image, event.index, event.correct) == (number, number, correct)
        assert event.accuracy.value == correct / (number + 1)
        assert event.accuracy.low < event.accuracy.value or correct == 0
        assert event.pooled.samples == 2 * 32 * 74 * (number + 1)
        assert [layer.samples for layer in event.layers] == [4096 * (number + 1), 640 * (number + 1)]
    last = run.of(LayerMeasured)
    rows = [sum(event.samples for event in last if event.layer == layer) for layer in (0, 1)]
    assert rows == [layer.samples for layer in finished[-1].layers]
    assert run.engine is not None
    assert run.engine.images == 6
    assert run.engine.accuracy == finished[-1].accuracy


def test_same_seed_same_run_another_seed_another(tmp_path: Path) -> None:
    outcomes = []
    for seed in (1, 1, 2):
        run = Run(tmp_path, images=2, seed=seed)
        run.execute()
        outcomes.append([event.scores for event in run.of(ImageFinished)] + run.of(LayerMeasured))
    assert outcomes[0] == outcomes[1]
    assert outcomes[0] != outcomes[2]


def test_another_trace_another_prediction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client's output follows its detector: turn the last layer's trace round, and the prediction turns round."""
    straight = Run(tmp_path, images=3)
    straight.execute()
    read = CollectedMode.read

    def turned(self: CollectedMode) -> list[Quadrature]:
        (trace,) = read(self)
        return [replace(trace, samples=trace.samples[::-1]) if len(trace.samples) == 10 else trace]

    monkeypatch.setattr(CollectedMode, "read", turned)
    swapped = Run(tmp_path, images=3)
    swapped.execute()
    for before, after in zip(straight.of(ImageFinished), swapped.of(ImageFinished), strict=True):
        assert after.scores == before.scores[::-1]
        assert after.prediction == 9 - before.prediction
    assert straight.of(LayerMeasured) == swapped.of(LayerMeasured), "and the server saw no difference"


# --- pause, resume, abort ----------------------------------------------------------------------------


def test_pause_and_resume_change_nothing(tmp_path: Path) -> None:
    plain = Run(tmp_path, images=3)
    plain.execute()
    run = Run(tmp_path, images=3)
    run.bus.subscribe(ImageFinished, when(ImageFinished, run.control.pause))
    run.bus.subscribe(StateChanged, when(StateChanged, run.control.resume, lambda event: event.state == "paused"))
    run.execute()
    assert run.states() == ["preparing", "running", "paused", "running", "stopping", "stopped"]
    assert run.of(LayerMeasured) == plain.of(LayerMeasured)
    assert_dark(run)


def test_samples_come_when_asked_for_and_once(tmp_path: Path) -> None:
    run = Run(tmp_path, images=3)
    looks: list[ReceiverSamples] = []
    run.bus.subscribe(ReceiverSamples, looks.append)
    run.bus.subscribe(ImageFinished, when(ImageFinished, run.control.ask_samples))
    run.execute()
    assert [(look.image, look.layer) for look in looks] == [(1, 0)]
    assert looks[0].residual.shape[0] == 2


def test_paused_before_the_next_step(tmp_path: Path) -> None:
    run = Run(tmp_path, images=1)
    seen: list[int] = []

    def look() -> None:
        seen.append(len(run.of(LayerMeasured)))
        assert run.control.paused
        run.control.resume()

    run.bus.subscribe(LayerMeasured, when(LayerMeasured, run.control.pause))
    run.bus.subscribe(StateChanged, when(StateChanged, look, lambda event: event.state == "paused"))
    run.execute()
    assert seen == [1], "the checkpoint stands before each layer"


@pytest.mark.parametrize("paused", [False, True])
def test_abort_at_the_next_step(tmp_path: Path, paused: bool) -> None:
    run = Run(tmp_path, images=5)

    def abort() -> None:
        run.control.abort("enough")
        run.control.abort("a later reason does not count")

    if paused:
        run.bus.subscribe(LayerMeasured, when(LayerMeasured, run.control.pause))
        run.bus.subscribe(StateChanged, when(StateChanged, abort, lambda event: event.state == "paused"))
    else:
        run.bus.subscribe(LayerMeasured, when(LayerMeasured, abort))
    with pytest.raises(RunAborted, match="aborted: enough"):
        run.execute()
    assert run.control.reason == "enough"
    assert len(run.of(LayerMeasured)) == 1
    assert not run.of(ImageFinished)
    assert_dark(run)


def test_abort_before_the_start_sends_no_light(tmp_path: Path) -> None:
    run = Run(tmp_path, images=1)
    run.control.abort("changed my mind")
    with pytest.raises(RunAborted):
        run.execute()
    assert not [entry for entry in log() if entry[1] == "set_emission"]
    assert_dark(run)


# --- what goes wrong ---------------------------------------------------------------------------------

STEPS = [
    ("laser", "set_wavelength"),  # Prepare
    ("attenuator", "set_attenuation"),
    ("server_awg", "load"),
    ("laser", "set_emission"),  # the first time: switching off
    ("client_awg_forward", "arm"),  # Layer
    ("client_scope", "arm"),
    ("server_scope", "arm"),
    ("server_awg", "trigger"),
    ("client_scope", "read"),
    ("server_scope", "wait"),
]
FAULTS = {"lost": (InstrumentLost, "it", "is silent"), "bug": (ZeroDivisionError,), "control-C": (KeyboardInterrupt,)}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("step", STEPS, ids=":".join)
def test_dark_after_a_failure_in_any_step(tmp_path: Path, step: tuple[str, str], fault: str) -> None:
    kind, *arguments = FAULTS[fault]
    run = Run(tmp_path, images=1)
    run.plans[step] = kind(*arguments)
    with pytest.raises(kind):
        run.execute()
    assert_dark(run)
    assert not run.of(ImageFinished)


@pytest.mark.parametrize("kind", [RunStarted, LayerMeasured, ImageFinished, StateChanged])
def test_dark_after_a_failure_of_a_subscriber(tmp_path: Path, kind: type) -> None:
    run = Run(tmp_path, images=1)

    def fail(event: Event) -> None:
        if not isinstance(event, StateChanged) or event.state == "stopping":
            raise RuntimeError("no disk")

    run.bus.subscribe(kind, fail)
    with pytest.raises(RuntimeError, match="no disk"):
        run.execute()
    assert [entry[0] for entry in log() if entry[1] == "safe_state"] == SAFE_ORDER
    assert not FakeLibrary.latest.units["laser"].emission()


def test_one_that_is_lost_and_stays_lost(tmp_path: Path) -> None:
    """The others go dark, the error names it, and the event says that it did not confirm."""
    run = Run(tmp_path, images=2)
    lost = InstrumentLost("amplifier", "does not answer")

    def unplug() -> None:
        for method in ("set_emission", "safe_state"):
            FakeLibrary.latest.plans["amplifier", method] = lost
        raise lost

    run.bus.subscribe(ImageFinished, when(ImageFinished, unplug))
    with pytest.raises(InstrumentLost, match="amplifier: does not answer"):
        run.execute()
    (off,) = run.of(LightOff)
    assert not off.dark
    assert [state.instrument for state in off.readback if not state.dark] == ["amplifier"]
    assert list(dict.fromkeys(entry[0] for entry in log() if entry[1] == "safe_state")) == SAFE_ORDER


def test_an_interlock_is_looked_at_before_each_image(tmp_path: Path) -> None:
    run = Run(tmp_path, images=3)
    laser_off = lambda: FakeLibrary.latest.units["laser"].set_emission(False)  # noqa: E731
    run.bus.subscribe(ImageFinished, when(ImageFinished, laser_off))
    with pytest.raises(InterlockError, match="laser: emission is off"):
        run.execute()
    assert len(run.of(ImageFinished)) == 1
    assert len(run.of(LayerMeasured)) == 2, "no further light was asked for"
    assert_dark(run)


def test_an_interlock_explains_a_gate(tmp_path: Path) -> None:
    """Light that fails within an image shows as missing shot noise; the interlock then says why."""
    run = Run(tmp_path, images=2)
    laser_off = lambda: FakeLibrary.latest.units["laser"].set_emission(False)  # noqa: E731
    run.bus.subscribe(LayerMeasured, when(LayerMeasured, laser_off))
    with pytest.raises(InterlockError, match="laser: emission is off") as caught:
        run.execute()
    assert isinstance(caught.value.__cause__, GateError)
    assert "shot noise" in str(caught.value.__cause__)
    assert_dark(run)


def test_the_local_oscillator_is_read_back_before_the_signal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeLaser, "set_emission", lambda self, on: None)
    run = Run(tmp_path, images=1)
    with pytest.raises(InterlockError, match="laser: emission is off"):
        run.execute()
    assert not [entry for entry in log() if entry[1:] in (("set_shutter", 1, True), ("set_shutter", 3, True))]


def test_images_since_the_last_full_check_do_not_count(tmp_path: Path) -> None:
    """Checked in full before image 0 and, as the lab's time goes, some images later."""
    run = Run(tmp_path, images=40)
    laser_off = lambda: FakeLibrary.latest.units["laser"].set_emission(False)  # noqa: E731
    run.bus.subscribe(ImageFinished, when(ImageFinished, laser_off, lambda event: event.image == 23))
    with pytest.raises(InterlockError):
        run.execute()
    assert run.engine is not None
    (doubt,) = run.of(ImagesDoubtful)
    finished = run.of(ImageFinished)
    assert (doubt.first, doubt.images) == (20, 4)
    assert "laser: emission is off" in doubt.reason
    assert run.engine.images == 20
    assert run.engine.accuracy == finished[19].accuracy
    assert run.engine.checks()[0].samples == finished[19].pooled.samples
    assert run.engine.checks()[0].excess == finished[19].pooled.excess
    assert run.events.index(doubt) > run.events.index(run.of(LightOff)[0]), "nothing comes before the dark"


def test_a_run_that_is_aborted_keeps_all_its_images(tmp_path: Path) -> None:
    run = Run(tmp_path, images=40)
    run.bus.subscribe(ImageFinished, when(ImageFinished, lambda: run.control.abort("x"), lambda e: e.image == 4))
    with pytest.raises(RunAborted):
        run.execute()
    assert run.engine is not None
    assert (run.engine.images, run.engine.doubtful, run.of(ImagesDoubtful)) == (5, None, [])


def test_a_closed_shutter_is_found_by_the_interlock(tmp_path: Path) -> None:
    run = Run(tmp_path, images=3)
    close = lambda: FakeLibrary.latest.units["attenuator"].set_shutter(3, False)  # noqa: E731
    run.bus.subscribe(ImageFinished, when(ImageFinished, close))
    with pytest.raises(InterlockError, match="attenuator: the shutter of channel 3 is closed"):
        run.execute()


def test_light_that_never_came_on_is_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeAttenuator, "set_shutter", lambda self, channel, opened: None)
    run = Run(tmp_path, images=1)
    with pytest.raises(InterlockError, match="shutter of channel 1"):
        run.execute()
    assert not run.of(RunStarted)
    assert not [entry for entry in log() if entry[1] == "trigger"]


def test_a_laser_that_does_not_go_off_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeLaser, "go_dark", lambda self: None)
    run = Run(tmp_path, images=1)
    run.execute()
    (off,) = run.of(LightOff)
    assert not off.dark
    assert [state.instrument for state in off.readback if not state.dark] == ["laser"]


# --- alarms ------------------------------------------------------------------------------------------

GREEDY: dict[str, Any] = {"gain": 1.3, "adversary": {"client_gain": 10.0}, "images": 60}


def test_an_honest_client_raises_no_alarm(tmp_path: Path) -> None:
    run = Run(tmp_path, gain=1.3, images=60)
    run.execute()
    assert not run.of(AlarmRaised)
    assert run.engine is not None
    assert not run.engine.alarmed
    assert len(run.of(ImageFinished)) == 60


def test_an_alarm_stops_the_run(tmp_path: Path) -> None:
    run = Run(tmp_path, **GREEDY)
    run.execute()
    (alarm,) = run.of(AlarmRaised)
    assert alarm.excess > alarm.threshold
    assert run.engine is not None
    assert run.engine.alarmed
    measured = run.of(LayerMeasured)
    assert 0 < len(run.of(ImageFinished)) < 60
    assert measured[-1].image == alarm.image
    after = run.events[run.events.index(alarm) + 1 :]
    assert [type(event) for event in after] == [StateChanged, LightOff, StateChanged], "no further layer was sent"
    assert len([entry for entry in log() if entry[1] == "trigger"]) == len(measured)
    assert_dark(run)


def test_an_alarm_is_only_noted_where_the_run_is_to_continue(tmp_path: Path) -> None:
    run = Run(tmp_path, on_alarm="continue", **GREEDY)
    run.execute()
    assert len(run.of(AlarmRaised)) == 1, "told once"
    assert len(run.of(ImageFinished)) == 60
    assert run.engine is not None
    assert run.engine.alarmed
    final = run.of(ImageFinished)[-1]
    assert final.pooled.threshold is not None
    assert final.pooled.excess.value > final.pooled.threshold


def test_errors_of_the_lab_are_labctl_errors() -> None:
    assert all(issubclass(kind, LabctlError) for kind in (GateError, InterlockError, RunAborted, InstrumentLost))
