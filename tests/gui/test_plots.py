"""What every plot shows equals what the run file holds; its words and its exports say the same."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PyQt6.QtCore import QPointF
from PyQt6.QtGui import QImage
from pytestqt.qtbot import QtBot

from gui.models import RunModel
from gui.plots.base import PlotView, original, reach
from gui.plots.confusion import ConfusionView
from gui.plots.courses import AccuracyPlot, NoisePlot, TestPlot, TransmittancePlot
from gui.plots.layers import LayersPlot
from gui.plots.leakage import LeakageView, meters_of
from gui.plots.overlay import OverlayWindow
from gui.plots.pictures import AdversaryView, ImageView
from gui.plots.receiver import HistogramPlot, SpectrumPlot
from gui.theme import DARK, LIGHT, Status
from gui.view import View
from labctl.events import AdversaryResult, AttackResult, DataRecovered, ReceiverSamples
from labctl.record import Run
from labctl.replay import Teller
from tests.labctl import sample_run

VIEWS: list[Callable[[], View]] = [
    AccuracyPlot,
    NoisePlot,
    TestPlot,
    TransmittancePlot,
    LayersPlot,
    LeakageView,
    ConfusionView,
    ImageView,
    AdversaryView,
    HistogramPlot,
    SpectrumPlot,
]


@pytest.fixture
def model(recorded: Run) -> RunModel:
    model = RunModel()
    model.take(Teller().tell(recorded))
    return model


#: Views of tests that keep none: one that is taken away while it is being painted ends Python.
KEPT: list[View] = []


def shown(qtbot: QtBot, view: View, model: RunModel) -> View:
    qtbot.addWidget(view)
    KEPT.append(view)
    view.use_theme(DARK)
    view.resize(400, 300)
    view.show()
    assert view.refresh(model)
    return view


@pytest.mark.parametrize(
    ("make", "curves"),
    [
        (AccuracyPlot, {"so far": "accuracy", "lower end": "accuracy_low", "upper end": "accuracy_high"}),
        (
            NoisePlot,
            {
                "measured": "excess",
                "lower end": "excess_low",
                "upper end": "excess_high",
                "honest client": "expected",
                "alarm": "threshold",
            },
        ),
        (TestPlot, {"statistic": "statistic", "boundary": "boundary"}),
        (
            TransmittancePlot,
            {"so far": "transmittance", "lower end": "transmittance_low", "upper end": "transmittance_high"},
        ),
    ],
)
def test_courses_hold_the_file(
    qtbot: QtBot, recorded: Run, model: RunModel, make: Callable[[], PlotView], curves: dict[str, str]
) -> None:
    view = shown(qtbot, make(), model)
    columns = view.columns()
    np.testing.assert_array_equal(columns["images"], np.arange(1, 26))
    for name, column in curves.items():
        np.testing.assert_array_equal(columns[name], recorded.images[column])


def test_layers_hold_the_result(qtbot: QtBot, recorded: Run, model: RunModel) -> None:
    assert recorded.finished is not None
    assert recorded.finished.pooled is not None
    columns = shown(qtbot, LayersPlot(), model).columns()
    checks = recorded.finished.layers
    np.testing.assert_array_equal(columns["measured"], [each.excess.value for each in checks])
    np.testing.assert_array_equal(columns["lower end"], [each.excess.low for each in checks])
    np.testing.assert_array_equal(columns["upper end"], [each.excess.high for each in checks])
    np.testing.assert_array_equal(columns["honest client"], [each.expected for each in checks])
    np.testing.assert_array_equal(columns["alarm, all layers"], [recorded.finished.pooled.threshold] * 2)


def test_confusion_counts_the_file(qtbot: QtBot, recorded: Run, model: RunModel) -> None:
    columns = shown(qtbot, ConfusionView(), model).columns()
    counts = np.array([columns[f"predicted {place}"] for place in range(10)]).T
    expected = np.zeros((10, 10))
    np.add.at(expected, (recorded.images["label"], recorded.images["prediction"]), 1)
    np.testing.assert_array_equal(counts, expected)


def test_image_and_leakage_hold_the_file(qtbot: QtBot, recorded: Run, model: RunModel) -> None:
    image = shown(qtbot, ImageView(), model)
    np.testing.assert_array_equal(image.columns()["score"], recorded.images["scores"][-1])
    assert f"true {recorded.images['label'][-1]}" in image.accessibleDescription()
    assert recorded.finished is not None
    assert recorded.finished.pooled is not None
    leakage = recorded.finished.pooled.leakage
    bits = shown(qtbot, LeakageView(), model).columns()["bits"]
    np.testing.assert_array_equal(
        bits,
        [
            leakage.weights_bits_per_mode,
            leakage.weights_bits_per_weight,
            leakage.data_bits_v1,
            leakage.data_bits_journal,
        ],
    )
    assert meters_of(model)[0].status is Status.WARNING  # above the paper's limit, in words as well
    assert "ABOVE" in str(meters_of(model)[0])


def test_histogram_and_spectrum_of_vacuum(qtbot: QtBot) -> None:
    """White noise of the vacuum's variance: mean level 0 dB, to 5 standard errors over 20 looks of 2 x 2048 samples."""
    model = RunModel()
    rng = np.random.default_rng(5)
    noise = rng.normal(scale=np.sqrt(1.2), size=(20, 2, 2048)).astype(np.float32)
    model.take([sample_run.started(), *(ReceiverSamples(n, 0, each, 1e8, 1.2) for n, each in enumerate(noise))])
    spectrum = shown(qtbot, SpectrumPlot(), model)
    level = spectrum.columns()["returned light"]
    assert abs(10 ** (level / 10).mean() - 1) < 0.05
    assert abs(level.mean()) < 0.1
    histogram = shown(qtbot, HistogramPlot(), model).columns()
    difference = np.abs(histogram["X and P"] - histogram["vacuum"])
    assert difference.max() < 0.02
    assert "1.2" in spectrum.accessibleDescription() or spectrum.accessibleDescription()


def test_adversary(qtbot: QtBot) -> None:
    model = RunModel()
    run = {**sample_run.RUN, "adversary": {"attack": "tap", "strength": 0.1, "server_recovers_data": True}}
    found = AdversaryResult(AttackResult("tap", 0.1, 500, 0.4812, True, 0.4854, None), None)
    picture = tuple((float(row),) * 8 for row in range(8))
    told = [DataRecovered(number, 0.3 + number / 100, picture) for number in range(5)]
    model.take([sample_run.started(run=run), *told, sample_run.finished(adversary=found)])
    view = AdversaryView()
    shown(qtbot, view, model)
    np.testing.assert_allclose(view.columns()["each image"], [0.30, 0.31, 0.32, 0.33, 0.34])
    assert len(view.pictures.shown) == 5
    for part in ("attack tap of strength 0.1", "0.4812 bits per mode", "no alarm", "overlap of 0.320"):
        assert part in view.accessibleDescription()
    assert "Nobody" in view.text(RunModel())


@pytest.mark.parametrize("make", VIEWS)
def test_every_view(qtbot: QtBot, tmp_path: Path, model: RunModel, make: Callable[[], View]) -> None:
    """Empty and full, in both themes: it has a name, words, a pause, and can be exported in three forms."""
    view = shown(qtbot, make(), RunModel())
    assert view.accessibleName()
    assert view.toolTip()
    assert view.accessibleDescription()
    view.use_theme(LIGHT)
    view._told_s = -1e9
    assert view.refresh(model)
    assert not view.refresh(model)  # nothing new
    view.pause_action.setChecked(True)
    view.use_theme(DARK)
    assert view.is_stale(model)
    assert not view.refresh(model)
    for suffix in (".png", ".svg", ".csv"):
        view.export(tmp_path / f"view{suffix}")
    assert QImage(str(tmp_path / "view.png")).width() == view.width()
    assert ElementTree.parse(tmp_path / "view.svg").getroot().tag.endswith("svg")
    with (tmp_path / "view.csv").open(encoding="utf-8") as stream:
        assert next(csv.reader(stream)) == list(view.columns())
    with pytest.raises(ValueError, match="ending"):
        view.export(tmp_path / "view.bmp")
    with pytest.raises(OSError, match="nowhere"):
        view.export(tmp_path / "nowhere" / "view.csv")


def test_csv_holds_the_numbers(qtbot: QtBot, tmp_path: Path, recorded: Run, model: RunModel) -> None:
    shown(qtbot, AccuracyPlot(), model).export(tmp_path / "accuracy.csv")
    with (tmp_path / "accuracy.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    np.testing.assert_array_equal([float(row["so far"]) for row in rows if row["so far"]], recorded.images["accuracy"])


def test_crosshair_reads_the_curve(qtbot: QtBot, recorded: Run, model: RunModel) -> None:
    view = AccuracyPlot()
    shown(qtbot, view, model)
    box = view.plot.getPlotItem().vb
    view.point_at(box.mapViewToScene(QPointF(10.2, 0.9)))
    assert f"images 10: so far {recorded.images['accuracy'][9]:.5g}" in view._readout.text()
    view.point_at(QPointF(-50, -50))
    assert view._readout.text() == view.title


def test_axes_stay_where_a_hand_put_them(qtbot: QtBot, model: RunModel) -> None:
    view = AccuracyPlot()
    shown(qtbot, view, model)
    box = view.plot.getPlotItem().vb
    followed = box.viewRange()
    box.setRange(xRange=(3, 4), padding=0)
    box.sigRangeChangedManually.emit([True, True])
    model.version += 1
    view.refresh(model)
    assert box.viewRange()[0] == [3, 4]
    view.autoscale_action.trigger()
    view.refresh(model)
    assert box.viewRange() == followed


def test_reach_grows_in_steps_up_to_the_runs_end() -> None:
    assert reach(0, 0) == (0.0, 40.0)
    assert reach(10, 360) == (0.0, 40.0)
    assert reach(360, 360) == (0.0, 360.0)
    assert len({reach(images, 10_000) for images in range(10_001)}) < 30
    assert all(reach(images, 10_000)[1] >= images for images in range(10_001))


def test_two_runs_over_each_other(qtbot: QtBot, recorded: Run) -> None:
    other = replace(recorded, path=Path("other.h5"))
    window = OverlayWindow(recorded, other)
    qtbot.addWidget(window)
    accuracy, noise = window.plots
    for plot, column in ((accuracy, "accuracy"), (noise, "excess")):
        for name in (recorded.path.name, "other.h5"):
            np.testing.assert_array_equal(original(plot._curves[name][0])[1], recorded.images[column])
    assert "other.h5" in window.words.text()


def test_a_long_band_is_drawn_by_its_envelope(qtbot: QtBot) -> None:
    view = AccuracyPlot()
    qtbot.addWidget(view)
    x = np.arange(20_000.0)
    low, high = np.zeros(20_000), np.ones(20_000)
    low[777], high[778] = -5, 7
    view.interval.set(x, low, high)
    for edge, extreme, find in zip(view.interval.edges, (-5, 7), (np.min, np.max), strict=True):
        drawn_x, drawn = edge.getData()
        assert len(drawn) < 1100
        assert find(drawn) == extreme
        assert (drawn_x[0], drawn_x[-1]) == (0, 19_999)
    np.testing.assert_array_equal(view.interval.low, low)
