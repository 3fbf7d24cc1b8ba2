"""A recorded run as the events that a live one publishes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from labctl.errors import LabctlError
from labctl.events import (
    DataRecovered,
    Event,
    ImageFinished,
    ImagesDoubtful,
    Interval,
    LayerMeasured,
    Leakage,
    NoiseCheck,
    Rechecked,
    RunStarted,
    StateChanged,
)
from labctl.parties.verifier import Agreement, Verifier
from labctl.protocol.encoding import modes_per_row
from labctl.protocol.estimation import Receiver, ResidualSums
from labctl.protocol.leakage import Layer
from labctl.protocol.parameters import per_layer
from labctl.protocol.rowmodel import AmplifierTap
from labctl.record import Run
from labctl.record.schema import RECHECKED
from labctl.units import db_to_ratio

#: Share of the light's amplitude that each quadrature of the server's receiver gets.
_KAPPA = 0.5
#: Images of a run of which the layers' checks and the leakage are worked out; they are not in the file.
LOOKS = 400
_UNKNOWN = Leakage(math.nan, math.nan, math.nan, math.nan)


class Teller:
    """Tells one run file, again whenever it has grown: each event once, in order.

    Layers' checks and bounds on leakage are worked out from the recorded sums as they were in the run, at about
    :data:`LOOKS` images evenly spaced and at the last; between them an event has no layers and the bounds found last.
    """

    def __init__(self) -> None:
        self._told = 0
        self._verifier: Verifier | None = None
        self._started = False
        self._leakage = _UNKNOWN

    def tell(self, run: Run) -> Iterator[Event]:
        """What is new in ``run``."""
        if not self._started:
            self._started = True
            self._verifier = _verifier(run)
            yield run.started
            yield StateChanged("running")
        rows = len(run.images["index"])
        stride = max(1, rows // LOOKS)
        for image in range(self._told, rows):
            yield from self._rechecks(run, image)
            yield from self._layers(run, image)
            yield self._image(run, image, image % stride == 0 or image == rows - 1)
            if run.alarm is not None and run.alarm.image == image:
                yield run.alarm
        self._told = rows
        if run.finished is not None:
            yield from self._end(run, rows)

    def _end(self, run: Run, rows: int) -> Iterator[Event]:
        yield from self._rechecks(run, rows)
        yield from (self._layers(run, rows))  # those of an image that was not finished
        if run.alarm is not None and run.alarm.image >= rows:
            yield run.alarm
        if run.light_off is not None:
            yield run.light_off
        if run.finished is not None and run.finished.doubtful:
            yield ImagesDoubtful(run.finished.images, run.finished.doubtful, run.finished.cause)
        yield StateChanged("stopped")
        if run.finished is not None:
            yield run.finished

    def _rechecks(self, run: Run, image: int) -> Iterator[Event]:
        """Those before an image, or after the last one."""
        columns = run.rechecks
        if columns is None:
            return
        for row in np.flatnonzero(columns["image"] == image):
            one = {name: values[row].item() for name, values in columns.items()}
            yield Rechecked(
                image,
                RECHECKED[one["what"]],
                Interval(one["value"], one["low"], one["high"]),
                one["expected"],
                one["limit"],
                bool(one["switched"]),
                one["time_s"],
                one["clock_s"],
            )

    def _layers(self, run: Run, image: int) -> Iterator[Event]:
        if run.overlaps is not None and image < len(run.overlaps):
            picture = None
            if run.recovered is not None and image < len(run.recovered):
                picture = tuple(map(tuple, run.recovered[image].tolist()))
            yield DataRecovered(image, float(run.overlaps[image]), picture)
        for number, columns in enumerate(run.layers):
            if image >= len(columns["N"]):
                continue
            row = {key: values[image].item() for key, values in columns.items()}
            event = LayerMeasured(
                image,
                number,
                row["N"],
                row["sum_ss"],
                row["sum_sr"],
                row["sum_rr"],
                row["excess"],
                row["transmittance"],
                row.get("turned", 0.0),
                row.get("stretches", 0),
            )
            self._add(event)
            yield event

    def _add(self, event: LayerMeasured) -> None:
        if self._verifier is not None:
            try:
                sums = ResidualSums(
                    event.samples, event.sum_ss, event.sum_sr, event.sum_rr, event.turned, event.stretches
                )
                self._verifier.add(event.layer, sums)
            except (LabctlError, ArithmeticError, IndexError):
                self._verifier = None

    def _image(self, run: Run, image: int, look: bool) -> ImageFinished:
        row = {key: values[image].tolist() for key, values in run.images.items()}
        layers: tuple[NoiseCheck, ...] = ()
        if look and self._verifier is not None:
            pooled, layers = self._verifier.checks()
            self._leakage = pooled.leakage
        threshold = None if math.isnan(row["threshold"]) else row["threshold"]
        return ImageFinished(
            image=image,
            index=row["index"],
            label=row["label"],
            prediction=row["prediction"],
            scores=tuple(row["scores"]),
            correct=row["correct"],
            accuracy=Interval(row["accuracy"], row["accuracy_low"], row["accuracy_high"]),
            pooled=NoiseCheck(
                excess=Interval(row["excess"], row["excess_low"], row["excess_high"]),
                expected=row["expected"],
                samples=row["samples"],
                transmittance=Interval(row["transmittance"], row["transmittance_low"], row["transmittance_high"]),
                leakage=self._leakage,
                threshold=threshold,
            ),
            layers=layers,
            statistic=row["statistic"],
            boundary=row["boundary"],
            time_s=row["time_s"],
            clock_s=row.get("clock_s", 0.0),
        )


def until(run: Run, images: int) -> list[Event]:
    """What a run told of its first ``images`` images, without its start and its end."""
    kinds = (DataRecovered, LayerMeasured, ImageFinished)
    return [event for event in Teller().tell(run) if isinstance(event, kinds) and event.image < images]


def _verifier(run: Run) -> Verifier | None:
    """The server's check of the recorded run, from what its file says was agreed; None where it does not say."""
    try:
        return Verifier(agreement_of(run.started, tuple(int(layer["N"][0]) for layer in run.layers)))
    except (LabctlError, ArithmeticError, KeyError, IndexError, TypeError, ValueError):
        return None


def agreement_of(started: RunStarted, samples: tuple[int, ...]) -> Agreement:
    """What the check of a recorded run held the returned light against; ``samples``: of one shot of each layer."""
    run, bench, found = started.run, started.bench, started.calibration
    receiver = Receiver(
        _KAPPA,
        found["server_efficiency"],
        found["server_noise_variance_snu"],
        int(found["server_calibration_samples"]),
        bench["server_receiver"]["efficiency_se"],
    )
    tap = AmplifierTap(run["gain"], found["amplifier_n_sp"])
    modes = [modes_per_row(inputs) for _, inputs in started.layer_shapes]
    link = bench["link"]
    agreement = Agreement(
        receiver=receiver,
        layers=tuple(
            Layer(run["mean_photons"], tap.returned_excess, n, rows)
            for n, (rows, _) in zip(modes, started.layer_shapes, strict=True)
        ),
        expected=tuple(tap.honest_excess(n, db_to_ratio(-found["link_loss_back_db"])) for n in modes),
        samples=samples,
        images=started.images,
        false_alarm_rate=run["false_alarm_rate"],
        confidence=run["confidence"],
    )
    return replace(agreement, technical=per_layer(link["technical_excess"], link["technical_excess_se"], len(modes)))
