"""Whether the bench is still what was calibrated, looked at while a run goes on: digits on the telecom bench."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drivers.amonics_aedfa import AEDFA
from drivers.keysight_n7764a import N7764A
from drivers.santec_tsl570 import TSL570
from drivers.thorlabs_osw import OSW
from labctl.budget.sources import toml_text
from labctl.config import RunConfig
from labctl.engine import RunControl
from labctl.errors import ConfigError, Drifted, StaleCalibration
from labctl.events import Event, EventBus, ImageFinished, LightOff, Rechecked
from labctl.experiment import prepare_experiment
from labctl.record import open_run
from labctl.record.compare import differences
from labctl.replay import Teller
from labctl.report.spreadsheet import export_csv
from labctl.schema import read_toml
from labctl.session import Outcome, resume, run_experiment
from labctl.shipped import bench_path
from sim_backends import lab as simulated

Action = Callable[[EventBus, RunControl], None]
ALL = {"shot_noise_every_images": 4, "bias_every_images": 4, "phase_every_images": 4}


def bench(folder: Path, name: str = "telecom", switch: bool = False, **world: dict[str, Any]) -> Path:
    tables = read_toml(bench_path(name))
    for table, keys in world.items():
        tables["world"].setdefault(table, {}).update(keys)
    if switch:
        tables["instruments"]["osw"] = {"driver": "drivers.thorlabs_osw:OSW", "resource": "ASRL/dev/ttyUSB7::INSTR"}
        tables["world"]["units"]["osw"] = {"model": "thorlabs_osw"}
        tables["world"]["places"]["switch"] = "osw"
        tables["switch"] = {"instrument": "osw"}
    folder.mkdir(exist_ok=True)
    path = folder / "some.bench.toml"
    path.write_text(toml_text(tables), encoding="utf-8")
    return path


def run(path: Path, recheck: dict[str, Any] | None, action: Action | None = None, **keys: Any) -> Outcome:
    out = keys.pop("out", None)
    tables = {"name": "r", "dataset": "digits", "model": "digits-noise-aware", "gain": 1.3, "mean_photons": 4.0}
    tables |= {"bench": str(path), "seed": 5, "images": 6, "recheck": recheck} | keys
    bus, control = EventBus(), RunControl()
    if action is not None:
        action(bus, control)
    return run_experiment(prepare_experiment(RunConfig(**tables)), bus, control, out)


def told_to(found: list[Rechecked]) -> Action:
    return lambda bus, control: bus.subscribe(Rechecked, found.append)


def hours_pass(path: Path, hours: float, after: int) -> Action:
    def action(bus: EventBus, control: RunControl) -> None:
        def pass_(event: ImageFinished) -> None:
            if event.image + 1 == after:
                lab = simulated.open_lab(str(path))
                lab.world.advance(3600 * hours)
                lab.close()

        bus.subscribe(ImageFinished, pass_)

    return action


@pytest.mark.parametrize("switch", [False, True])
def test_a_steady_bench_passes_and_the_file_tells(tmp_path: Path, switch: bool) -> None:
    heard: list[Rechecked] = []
    outcome = run(bench(tmp_path, switch=switch), ALL, told_to(heard), out=tmp_path)
    assert outcome.error is None
    assert outcome.verdict == "accepted"
    assert [(each.image, each.what) for each in heard] == [
        (images, what)
        for images in (4, 6)
        for what in ("shot-noise", "bias-i", "bias-q", "phase-server", "phase-client")
    ]
    assert all(each.passed for each in heard)
    assert {each.what for each in heard if each.switched} == ({"shot-noise", "bias-i", "bias-q"} if switch else set())
    assert outcome.run_file is not None
    recorded = open_run(outcome.run_file)
    assert recorded.rechecks is not None
    assert recorded.rechecks["value"].tolist() == [each.found.value for each in heard]
    events: list[Event] = list(Teller().tell(recorded))
    assert [event for event in events if isinstance(event, Rechecked)] == heard
    kinds = [type(event) for event in events]
    assert kinds.index(Rechecked) > kinds.index(ImageFinished)
    (table,) = (path for path in export_csv(recorded, tmp_path / "csv") if path.stem.endswith("rechecks"))
    assert len(table.read_text(encoding="utf-8").splitlines()) == 1 + len(heard)


@pytest.mark.parametrize(
    ("world", "hours", "name", "procedure"),
    [
        ({"laser": {"power_drift_per_hour": -0.04}}, 1.0, "the shot noise", "shot-noise"),
        ({"modulator": {"bias_drift_q_per_hour": "9 mV"}}, 1.0, "the bias of the Q arm", "modulator"),
        ({"channel": {"phase_drift_deg_per_hour": 6.0}}, 1.0, "the phase of the light at the server's", "phase-ref"),
    ],
)
def test_what_drifts_is_named(tmp_path: Path, world: dict[str, Any], hours: float, name: str, procedure: str) -> None:
    """Slowly: after image 5 an hour passes. Images since the last re-check that passed are in doubt."""
    path = bench(tmp_path, **world)
    dark: list[LightOff] = []

    def action(bus: EventBus, control: RunControl) -> None:
        hours_pass(path, hours, after=5)(bus, control)
        bus.subscribe(LightOff, dark.append)

    outcome = run(path, ALL, action)
    assert isinstance(outcome.error, Drifted)
    assert str(outcome.error).startswith(f"re-check after 6 images: {name}")
    assert f"labctl calibrate --only {procedure}" in outcome.error.remedy
    assert (outcome.finished.status, outcome.finished.images, outcome.finished.doubtful) == ("aborted", 4, 2)
    assert dark[-1].dark


def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """What is done with the light, in order."""
    log: list[tuple[str, Any]] = []
    for kind, method, name, which in (
        (TSL570, "set_emission", "laser", 0),
        (AEDFA, "set_emission", "pump", 0),
        (N7764A, "set_shutter", "shutter", 1),
        (OSW, "set_position", "switch", 0),
    ):
        original = getattr(kind, method)

        def noted(self: Any, *args: Any, original: Any = original, name: str = name, which: int = which) -> Any:
            log.append((name, args[which]))
            return original(self, *args)

        monkeypatch.setattr(kind, method, noted)
    return log


def test_the_amplifier_always_has_input_and_the_oscillator_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = calls(monkeypatch)
    heard: list[Rechecked] = []

    def action(bus: EventBus, control: RunControl) -> None:
        bus.subscribe(ImageFinished, lambda event: log.append(("image", event.image)))
        bus.subscribe(Rechecked, heard.append)

    run(bench(tmp_path), {"bias_every_images": 1}, action, images=1)
    after = log[log.index(("image", 0)) + 1 :]
    off, on = [("shutter", False)] * 2, [("shutter", True)] * 2
    assert after[:8] == [("pump", False), *off, *on, ("pump", True), ("pump", False), ("pump", True)]
    assert len(heard) == 2
    log.clear()
    run(bench(tmp_path, switch=True), {"shot_noise_every_images": 1}, action, images=1)
    after = log[log.index(("image", 0)) + 1 :]
    assert after[:2] == [("switch", 2), ("switch", 1)]
    assert heard[-1].switched


def test_images_are_what_they_are_without(tmp_path: Path) -> None:
    """On a bench that does not depend on time: their draws are their own."""
    path = bench(tmp_path, "ideal")
    files = []
    for folder, recheck in (("a", None), ("b", ALL)):
        outcome = run(path, recheck, out=tmp_path / folder)
        assert outcome.run_file is not None
        files.append(open_run(outcome.run_file))
    for one, other in zip([files[0].images, *files[0].layers], [files[1].images, *files[1].layers], strict=True):
        for name in one.keys() - {"time_s", "clock_s"}:
            np.testing.assert_array_equal(one[name], other[name])
    assert files[0].rechecks is None


OFTEN = {"shot_noise_every_images": 2, "phase_every_images": 4}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The bench, and the file of a run that nobody interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    path = bench(folder)
    file = run(path, OFTEN, out=folder / "runs").run_file
    assert file is not None
    return path, file


@pytest.mark.parametrize("stop", [3, 4])
def test_taken_up_again(tmp_path: Path, whole: tuple[Path, Path], stop: int) -> None:
    path, one = whole

    def action(bus: EventBus, control: RunControl) -> None:
        bus.subscribe(ImageFinished, lambda event: control.abort("enough") if event.image + 1 == stop else None)

    other = run(path, OFTEN, action, out=tmp_path).run_file
    assert other is not None
    assert resume(other).error is None
    assert differences(one, other) == []


def test_taken_up_again_and_then_drifted(tmp_path: Path) -> None:
    """The same images are in doubt as without the interruption: since the last re-check, not since that."""
    path = bench(tmp_path, channel={"phase_drift_deg_per_hour": 1500.0})
    every = {"phase_every_images": 3, "phase_limit": 0.06}

    def action(bus: EventBus, control: RunControl) -> None:
        bus.subscribe(ImageFinished, lambda event: control.abort("enough") if event.image + 1 == 5 else None)

    one = run(path, every, out=tmp_path / "a")
    assert isinstance(one.error, Drifted)
    assert (one.finished.images, one.finished.doubtful) == (3, 3)
    other = run(path, every, action, out=tmp_path / "b").run_file
    assert one.run_file is not None
    assert other is not None
    with pytest.raises(Drifted, match="re-check after 6 images: the phase"):
        resume(other)
    assert differences(one.run_file, other) == []


def test_a_run_that_outlives_its_calibration_stops(tmp_path: Path) -> None:
    path = bench(tmp_path)
    text = path.read_text(encoding="utf-8")
    path.write_text("calibrated_at = 2026-11-25T10:00:00Z\ncalibration_valid_hours = 2.0\n" + text, encoding="utf-8")
    now = [1_795_605_600.0]  # 2026-11-25T11:20:00Z

    def grows(event: ImageFinished) -> None:
        now[0] += 1000.0

    bus = EventBus()
    bus.subscribe(ImageFinished, grows)
    keys = {"name": "r", "dataset": "digits", "model": "digits", "gain": 1.3, "mean_photons": 4.0, "images": 9}
    experiment = prepare_experiment(RunConfig(**keys, bench=str(path)))
    outcome = run_experiment(experiment, bus, RunControl(), None, wall_time=lambda: now[0])
    assert isinstance(outcome.error, StaleCalibration)
    assert "hours ago, at most 2 are allowed" in str(outcome.error)
    assert outcome.finished.status == "aborted"
    assert 0 < outcome.finished.images < 9
    assert outcome.finished.doubtful == 0  # nothing was found wrong


def test_a_bench_that_samples_has_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="key 'recheck': a bench with \\[waveform\\]"):
        run(bench_path("waveform"), ALL)
