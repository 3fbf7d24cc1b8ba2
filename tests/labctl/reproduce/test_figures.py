"""Every figure in small: its numbers, its verdicts, and its files."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from labctl.datasets import Dataset
from labctl.errors import ConfigError, DataError
from labctl.protocol.attacks import ATTACKS
from labctl.protocol.estimation import Receiver
from labctl.reproduce import accuracy, attacks, detection, leakage, plane
from labctl.reproduce.output import FIGURES, chosen, reproduce
from labctl.reproduce.result import within
from labctl.reproduce.study import Accuracy, Study, load_study
from labctl.sampler import LayerSums, Mode, Sampled

PNG, PDF = b"\x89PNG\r\n\x1a\n", b"%PDF-"


class Ticks:
    """A clock on which a second passes whenever one looks."""

    def __init__(self) -> None:
        self._ticks = count()

    def now(self) -> float:
        return float(next(self._ticks))

    def sleep(self, seconds: float) -> None:
        raise AssertionError("nobody sleeps here")


@pytest.fixture(scope="module")
def study() -> Study:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("LABCTL_MNIST", raising=False)
        return load_study(data=None, images=60, seed=1, quick=True)


def as_mnist(study: Study, sampler: object) -> Study:
    """The same images under the name that published numbers are about, and another sampler."""
    experiment = study.experiment
    named = replace(experiment, dataset=replace(experiment.dataset, name="mnist"))
    return replace(study, experiment=named, sampler=sampler)


class Guesser:
    """Right for a given share of the images; sums of a channel without any noise beyond vacuum."""

    mode: Mode = "explicit"

    def __init__(self, dataset: Dataset, share: float) -> None:
        right = np.arange(len(dataset)) < round(share * len(dataset))
        self._predictions = np.where(right, dataset.labels, (dataset.labels + 1) % 10)

    def sample(self, gain: float, mean_photons: float, seed: int) -> Sampled:
        images = np.ones(len(self._predictions))
        layers = tuple(LayerSums(n, n * 8.0, images * n * 4.0, images * n * 3.0) for n in (4096, 640))
        return Sampled(self._predictions, layers, Receiver(0.5))


# --- the study ----------------------------------------------------------------------------------------


def test_digits_where_no_mnist_is_named(study: Study) -> None:
    assert not study.is_mnist
    assert study.title == "digits 64-64-10, 60 images"
    assert study.sampler.mode == "statistics"
    assert study.shapes() == [(64, 32), (10, 32)]


def test_mnist_where_a_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="idx3"):
        load_study(data=tmp_path, images=None, seed=1)
    monkeypatch.setenv("LABCTL_MNIST", str(tmp_path))
    with pytest.raises(DataError, match="idx3"):
        load_study(data=None, images=None, seed=1)


def test_photons_for_a_signal_to_noise(study: Study) -> None:
    """Section 3 of docs/physics.md: F² = 4 at G = 2, μ = 4."""
    assert study.photons_for(2.0, 4.0) == pytest.approx(4.0)
    assert study.snr_db(2.0, 4.0) == pytest.approx(10 * math.log10(4))


def test_points_have_seeds_of_their_own(study: Study) -> None:
    one, again, other = (study.sample(point, 2.0, 4.0).layers[0].rr for point in ((1, 2), (1, 2), (1, 3)))
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)


def test_interval_of_an_accuracy() -> None:
    """The textbook's: none wrong of 10 leaves 0.6915 as the lower limit at 95 %."""
    found = Accuracy(2.0, 4.0, 10, 10)
    assert (found.value, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(0.6915, abs=1e-4)


# --- verdicts -----------------------------------------------------------------------------------------


def test_published_to_the_last_digit() -> None:
    assert within("x", 0.0457, 0.04568, 0.007).agrees is True
    assert within("x", 0.0457, 0.0470, 0.007).agrees is False


@pytest.mark.parametrize(("share", "agrees"), [(1.0, None), (0.99, None)])
def test_digits_are_not_held_against_mnist(study: Study, share: float, agrees: bool | None) -> None:
    guessing = replace(study, sampler=Guesser(study.experiment.dataset, share))
    assert accuracy.make(guessing).comparisons[0].agrees is agrees
    assert plane.make(guessing).comparisons[0].agrees is agrees


@pytest.mark.parametrize(("share", "agrees"), [(1.0, True), (0.5, False)])
def test_headline_verdict(study: Study, share: float, agrees: bool) -> None:
    """The digits' rows leak too much for the headline's own working point, so only the search keeps the limits."""
    guessing = as_mnist(study, Guesser(study.experiment.dataset, share))
    assert accuracy.make(guessing).comparisons[0].agrees is False
    assert plane.make(guessing).comparisons[0].agrees is agrees


def test_gains_that_differ_are_noticed() -> None:
    def points(correct: int) -> accuracy.Points:
        found = {(gain, 0.0): Accuracy(gain, 1.0, 500, 1000) for gain in accuracy.GAINS}
        return found | {(2.0, 0.0): Accuracy(2.0, 1.0, correct, 1000)}

    assert accuracy._compare_gains(points(520)).agrees is True
    assert accuracy._compare_gains(points(650)).agrees is False


def test_bounds_agree_with_the_published_ones(study: Study) -> None:
    comparisons = leakage.make(study).comparisons
    assert [each.what for each in comparisons if each.agrees is not True] == []
    assert len(comparisons) == 3 * len(leakage.TABLE) + len(leakage.LOSSY) + len(leakage.GAINS)


def test_wider_layers_and_less_loss_leak_less(study: Study) -> None:
    rows = leakage.make(study).rows
    for what, key in (("width", 3), ("loss", 4)):
        mine = [row for row in rows if row[0] == what and row[2] == 4.0 and row[1] == 1.3]
        bits = [row[5] for row in sorted(mine, key=lambda row: row[key])]
        assert bits == sorted(bits, reverse=what == "width")


def test_images_to_alarm_as_stated(study: Study) -> None:
    comparisons = [detection._compare_published(*each) for each in detection.PUBLISHED]
    assert [each.agrees for each in comparisons] == [True] * 3


def test_quiet_light_raises_no_alarm(study: Study) -> None:
    found = detection.make(replace(study, sampler=Guesser(study.experiment.dataset, 1.0)))
    assert [row[2] for row in found.rows] == [0] * len(detection.STRENGTHS)
    strongest = found.comparisons[-1]
    assert strongest.agrees is False  # 10 of 10 are expected at this strength, nearly


def test_greed_is_punished(study: Study) -> None:
    rows = detection.make(study).rows
    assert rows[0][2] == 0  # an honest client: false alarms once in a hundred such tests
    assert rows[-1][4] > 0.6


def test_plane_spends_what_it_says(study: Study) -> None:
    rows = plane.make(study).rows
    assert len(rows) == plane.QUICK**2
    for w_bits, x_bits, gain, photons, *_ in rows:
        found = study.leakage(gain, photons)
        assert found.weights_bits_per_mode == pytest.approx(w_bits, rel=1e-5)
        assert found.data_bits_v1 == pytest.approx(x_bits, rel=1e-5)


# --- files --------------------------------------------------------------------------------------------


def test_names() -> None:
    assert chosen([]) == FIGURES
    assert chosen(["plane", "accuracy"]) == ("accuracy", "plane")
    with pytest.raises(ConfigError, match="'nothing'"):
        chosen(["nothing"])


def test_files_of_every_figure(study: Study, tmp_path: Path) -> None:
    told: list[str] = []
    made = reproduce([], study, tmp_path / "out", Ticks(), told.append)
    assert [each.name for each in made] == list(FIGURES)
    for each in made:
        png, pdf, table, manifest = each.files
        assert png.read_bytes().startswith(PNG)
        assert pdf.read_bytes().startswith(PDF)
        with table.open(encoding="utf-8", newline="") as stream:
            lines = list(csv.reader(stream))
        assert len(lines) > 5
        assert {len(line) for line in lines} == {len(lines[0])}
        stored = json.loads(manifest.read_text(encoding="utf-8"))
        assert stored == each.manifest
        assert (stored["seed"], stored["images"], stored["dataset"], stored["quick"]) == (1, 60, "digits", True)
        assert stored["run_time_s"] == 1.0
        assert stored["software"].startswith("labctl ")
        assert stored["comparisons"]
    assert len(told) == 2 * len(FIGURES)


def test_the_same_seed_gives_the_same_numbers(study: Study, tmp_path: Path) -> None:
    tables = []
    for name in ("a", "b"):
        reproduce(["accuracy"], study, tmp_path / name, Ticks(), lambda text: None)
        tables.append((tmp_path / name / "accuracy.csv").read_bytes())
    assert tables[0] == tables[1]


def test_a_folder_that_cannot_be_made(study: Study, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(ConfigError, match="--out"):
        reproduce(["leakage"], study, tmp_path / "file" / "out", Ticks(), lambda text: None)


def test_every_attack_has_a_curve_and_its_runs(study: Study) -> None:
    """Strong attacks: all that are simulated at their strongest alarm, and a tap does not (false alarms once in a
    thousand)."""
    found = attacks.make(study)
    assert {row[0] for row in found.rows} == {kind.name for kind in ATTACKS}
    simulated = {row[0]: row for row in found.rows if row[8]}
    assert set(simulated) == {kind.name for kind in ATTACKS} - {"substitution"}
    assert {name: row[9] / row[8] for name, row in simulated.items() if name != "greedy"} == {
        "all-modes": 1,
        "resend": 1,
        "injection": 1,
        "tap": 0,
    }
    for name in ("all-modes", "tap"):
        assert simulated[name][13] == pytest.approx(simulated[name][6], rel=0.1)


def test_what_is_run_is_said(study: Study, tmp_path: Path) -> None:
    """Attacks on the light go through the instruments whatever the sampler's mode is."""
    said: list[str] = []
    made = reproduce(["leakage", "attacks"], study, tmp_path, Ticks(), said.append)
    modes = [each.manifest["mode"] for each in made]
    assert modes == ["statistics", "explicit (greedy: statistics)"]
    assert all(any(line.endswith(f"mode {mode}") for line in said) for mode in modes)


def test_what_is_not_the_paper_s_is_called_a_reference(study: Study) -> None:
    lossy = {each.what: each.expected for each in leakage.make(study).comparisons if ", T = " in each.what}
    assert [text.split()[0] for text in lossy.values()] == ["published", "reference", "reference"]
