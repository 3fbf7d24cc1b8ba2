"""Courses over the images of a run: accuracy, residual noise, the sequential test, transmittance, recovered data."""

from __future__ import annotations

import numpy as np

from gui.models import RunModel
from gui.plots.base import DASH, DOT, Line, PlotView, reach
from gui.quantities import number

IMAGES = "images"


class AccuracyPlot(PlotView):
    """Accuracy so far with its interval, and what the network reaches without optics."""

    def __init__(self) -> None:
        super().__init__(
            "Accuracy so far",
            "Share of images classified right, with its confidence interval",
            IMAGES,
            "accuracy",
            (-8, -4),
        )
        self.so_far = self.curve("so far", Line("measured"))
        self.interval = self.band("measured")
        self.clean = self.curve("without optical noise", Line("reference", DASH))

    def show_run(self, model: RunModel) -> None:
        """All images that are kept."""
        x = model.column("image")
        self.so_far.setData(x, model.column("accuracy"))
        self.interval.set(x, model.column("accuracy_low"), model.column("accuracy_high"))
        clean = model.started.clean_accuracy if model.started is not None else np.nan
        across = np.array(reach(model.done_images, model.expected_images))
        y = model.column("accuracy")
        if not len(y):
            self.clean.setData([], [])
            return
        self.draw("without optical noise", across, np.full(2, clean))
        self.fit(tuple(across), y, model.column("accuracy_low")[len(y) // 3 :], np.array([clean, 1.0]))

    def text(self, model: RunModel) -> str:
        """Newest value."""
        if model.last is None or model.started is None:
            return "No image yet."
        found = model.last.accuracy
        return (
            f"Accuracy {found.value:.4f} ({found.low:.4f} to {found.high:.4f}) after {model.done_images} images;"
            f" without optical noise {model.started.clean_accuracy:.4f}.{model.doubt()}"
        )


class NoisePlot(PlotView):
    """Residual noise of all layers together, with what an honest client leaves, and where the alarm goes off."""

    def __init__(self) -> None:
        super().__init__(
            "Residual noise so far",
            "Excess noise of the returned light, pooled over the layers",
            IMAGES,
            "excess noise (SNU)",
        )
        self.measured = self.curve("measured", Line("measured"))
        self.interval = self.band("measured")
        self.honest = self.curve("honest client", Line("reference", DASH))
        self.alarm = self.curve("alarm", Line("alarm", DOT))

    def show_run(self, model: RunModel) -> None:
        """All images that are kept."""
        x = model.column("image")
        self.measured.setData(x, model.column("excess"))
        self.interval.set(x, model.column("excess_low"), model.column("excess_high"))
        self.honest.setData(x, model.column("expected"))
        self.alarm.setData(x, model.column("threshold"), connect="finite")
        late = len(x) // 10  # the first few look at little light
        shown = ("excess", "expected", "threshold", "excess_low", "excess_high")
        self.fit(reach(model.done_images, model.expected_images), *(model.column(name)[late:] for name in shown))

    def text(self, model: RunModel) -> str:
        """Newest value."""
        check = model.check()
        if check is None:
            return "No returned light yet."
        alarm = "" if model.alarm is None else f" ALARM in image {model.alarm.image + 1}."
        found = check.excess
        return (
            f"Excess noise {number(found.value)} SNU ({number(found.low)} to {number(found.high)}),"
            f" of an honest client {number(check.expected)}, alarm above {number(check.threshold)}.{alarm}"
        )


class TestPlot(PlotView):
    """The sequential test's path and its boundary."""

    __test__ = False  # no test of pytest's

    def __init__(self) -> None:
        hint = "The test's statistic; above the boundary it rejects"
        super().__init__("Sequential test", hint, IMAGES, "statistic", (-8, 45))
        self.statistic = self.curve("statistic", Line("measured"))
        self.boundary = self.curve("boundary", Line("alarm", DOT))

    def show_run(self, model: RunModel) -> None:
        """All images that are kept."""
        x = model.column("image")
        self.statistic.setData(x, model.column("statistic"))
        self.boundary.setData(x, model.column("boundary"), connect="finite")
        across = reach(model.done_images, model.expected_images)
        self.fit(across, model.column("statistic"), model.column("boundary"))

    def text(self, model: RunModel) -> str:
        """Newest value."""
        if model.last is None:
            return "No look yet."
        state = "rejected" if model.alarm is not None else "not rejected"
        return f"Statistic {number(model.last.statistic)}, boundary {number(model.last.boundary)}: {state}."


class TransmittancePlot(PlotView):
    """Share of the light that comes back."""

    def __init__(self) -> None:
        super().__init__("Transmittance", "Share of the launched light that comes back", IMAGES, "transmittance")
        self.measured = self.curve("so far", Line("measured"))
        self.interval = self.band("measured")

    def show_run(self, model: RunModel) -> None:
        """All images that are kept."""
        x = model.column("image")
        self.measured.setData(x, model.column("transmittance"))
        self.interval.set(x, model.column("transmittance_low"), model.column("transmittance_high"))
        late = len(x) // 10
        shown = ("transmittance", "transmittance_low", "transmittance_high")
        self.fit(reach(model.done_images, model.expected_images), *(model.column(name)[late:] for name in shown))

    def text(self, model: RunModel) -> str:
        """Newest value."""
        check = model.check()
        if check is None:
            return "No returned light yet."
        passed = check.transmittance
        return f"Transmittance {number(passed.value, 6)} ({number(passed.low, 6)} to {number(passed.high, 6)})."


class OverlapPlot(PlotView):
    """How well a curious server recovers the data, image by image."""

    def __init__(self) -> None:
        super().__init__(
            "Recovered data", "Overlap of what a curious server found with the client's data", IMAGES, "overlap"
        )
        self.overlap = self.curve("each image", Line("alarm"))
        self.mean = self.curve("mean so far", Line("measured"))

    def show_run(self, model: RunModel) -> None:
        """All images that are kept."""
        x, y = model.overlaps["image"], model.overlaps["overlap"]
        self.overlap.setData(x, y)
        self.mean.setData(x, np.cumsum(y) / np.arange(1, len(y) + 1))
        self.fit(reach(model.done_images, model.expected_images), y, np.array([0.0, 1.0]))

    def text(self, model: RunModel) -> str:
        """The mean, or that nobody looks."""
        found = model.overlaps["overlap"]
        if len(found) == 0:
            return "No server looks for the data in this run."
        return f"Mean overlap {found.mean():.4f} over {len(found)} images."
