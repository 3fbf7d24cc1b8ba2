"""What stands in a run file: its groups, and the columns of its tables (docs/reference/run-file.md)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from labctl.events import ImageFinished, LayerMeasured, Rechecked

FORMAT = "labctl run"
FORMAT_VERSION = 2
#: Files of this version have no checksums; they are read, and cannot be verified.
WITHOUT_CHECKSUMS = 1

#: Rows that each table has for certain, and their CRC-32; written after the rows themselves.
COMMITTED = "committed"
#: Attribute of the groups that have one, and the column of a table that holds each row's.
CHECKSUM = "checksum"
CRC = "crc"
CONFIG = "config"
PROVENANCE = "provenance"
INSTRUMENTS = "instruments"
CALIBRATION = "calibration"
IMAGES = "images"
LAYERS = "layers"
RESULT = "result"
ATTACK = "attack"
RECOVERY = "recovery"
OVERLAPS = "overlaps"
SAFE_STATE = "safe_state"
DIGESTS = "digests"
RECHECKS = "rechecks"


@dataclass(frozen=True)
class Column:
    """One column of a table: a dataset with one row per image.

    ``kind``: "i8" or "f8"; ``unit``: "1" for a pure number; ``width``: numbers a row, None for a 1-D dataset.
    """

    name: str
    kind: str
    unit: str
    meaning: str
    width: int | None = None

    @property
    def numbers(self) -> int:
        """How many numbers a row takes."""
        return 1 if self.width is None else self.width


def image_columns(classes: int) -> tuple[Column, ...]:
    """Columns of ``/images``, in the order of :func:`image_row`."""
    return (
        Column("index", "i8", "1", "place of the image in the data set, from 0"),
        Column("label", "i8", "1", "true class"),
        Column("prediction", "i8", "1", "class inferred by the client"),
        Column("correct", "i8", "1", "correct predictions up to and including this image"),
        Column("accuracy", "f8", "1", "share of correct predictions so far"),
        Column("accuracy_low", "f8", "1", "lower end of the accuracy's confidence interval"),
        Column("accuracy_high", "f8", "1", "upper end of the accuracy's confidence interval"),
        Column("excess", "f8", "SNU", "excess noise per mode so far, weighted over the layers by samples"),
        Column("excess_low", "f8", "SNU", "lower end of its confidence interval"),
        Column("excess_high", "f8", "SNU", "upper end of its confidence interval"),
        Column("expected", "f8", "SNU", "excess noise of an honest client, weighted alike"),
        Column("threshold", "f8", "SNU", "excess noise at which the alarm goes off; NaN: none"),
        Column("samples", "i8", "1", "real samples behind the check so far"),
        Column("transmittance", "f8", "1", "transmittance of the returned light so far"),
        Column("transmittance_low", "f8", "1", "lower end of its confidence interval"),
        Column("transmittance_high", "f8", "1", "upper end of its confidence interval"),
        Column("statistic", "f8", "1", "statistic of the sequential test"),
        Column("boundary", "f8", "1", "the statistic at which the alarm goes off"),
        Column("time_s", "f8", "s", "the bench's clock when the image was finished, from light on"),
        Column("clock_s", "f8", "s", "the same from the clock's own origin, which a resumed run goes on from"),
        Column("scores", "f8", "1", "the client's outputs, one per class", classes),
    )


def image_row(event: ImageFinished) -> Sequence[float]:
    """The numbers of one row of ``/images``."""
    accuracy, pooled = event.accuracy, event.pooled
    excess, passed = pooled.excess, pooled.transmittance
    return (
        event.index,
        event.label,
        event.prediction,
        event.correct,
        accuracy.value,
        accuracy.low,
        accuracy.high,
        excess.value,
        excess.low,
        excess.high,
        pooled.expected,
        float("nan") if pooled.threshold is None else pooled.threshold,
        pooled.samples,
        passed.value,
        passed.low,
        passed.high,
        event.statistic,
        event.boundary,
        event.time_s,
        event.clock_s,
        *event.scores,
    )


#: Columns of ``/layers/<l>``, in the order of :func:`layer_row`.
LAYER_COLUMNS = (
    Column("N", "i8", "1", "real samples of the returned light"),
    Column("sum_ss", "f8", "SNU", "sum of s^2, s: what was launched"),
    Column("sum_sr", "f8", "SNU", "sum of s r, r: what came back"),
    Column("sum_rr", "f8", "SNU", "sum of r^2"),
    Column("excess", "f8", "SNU", "excess noise per mode of this layer of this image alone"),
    Column("transmittance", "f8", "1", "transmittance of this layer of this image alone"),
    Column("turned", "f8", "SNU", "sum of q^2/S over the stretches of rows whose phase was looked at"),
    Column("stretches", "i8", "1", "how many these were"),
)
#: Columns that files without checksums have not.
LATER_COLUMNS = ("clock_s", "turned", "stretches")

#: The checksum of each row, which every table has beside its columns.
CRC_COLUMN = Column(CRC, "u4", "1", "CRC-32 of the row's other columns, its number and its table")

#: Columns of ``/recovery``, in a run whose server looks for the data.
RECOVERY_COLUMNS = (Column(OVERLAPS, "f8", "1", "|<z found, z>|^2 of the mode that the server found"),)


def layer_row(event: LayerMeasured) -> Sequence[float]:
    """The numbers of one row of ``/layers/<l>``."""
    return (
        event.samples,
        event.sum_ss,
        event.sum_sr,
        event.sum_rr,
        event.excess,
        event.transmittance,
        event.turned,
        event.stretches,
    )


#: What a row of ``/rechecks`` is about, by its number there.
RECHECKED = ("shot-noise", "bias-i", "bias-q", "phase-server", "phase-client")
#: Columns of ``/rechecks``, in the order of :func:`recheck_row`, in a run with re-checks.
RECHECK_COLUMNS = (
    Column("image", "i8", "1", "images that were finished before it"),
    Column("what", "i8", "1", "0: shot noise, 1: bias of I, 2: of Q, 3: phase at the server, 4: at the client"),
    Column("value", "f8", "1", "variance over the calibrated; bias in V_pi; phase in rad"),
    Column("low", "f8", "1", "lower end of the interval that decides"),
    Column("high", "f8", "1", "upper end of the interval that decides"),
    Column("expected", "f8", "1", "as calibrated"),
    Column("limit", "f8", "1", "how far off it may be"),
    Column("switched", "i8", "1", "1: vacuum came from a switch before the receiver, 0: from closed shutters"),
    Column("passed", "i8", "1", "0: it has drifted"),
    Column("time_s", "f8", "s", "the bench's clock when it was over, from light on"),
    Column("clock_s", "f8", "s", "the same from the clock's own origin"),
)


def recheck_row(event: Rechecked) -> Sequence[float]:
    """The numbers of one row of ``/rechecks``."""
    found = event.found
    return (
        event.image,
        RECHECKED.index(event.what),
        found.value,
        found.low,
        found.high,
        event.expected,
        event.limit,
        event.switched,
        event.passed,
        event.time_s,
        event.clock_s,
    )
