"""What a run says while it goes on: typed events, and their bus. A recorded run yields the same types."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from labctl.values import SafeState, Snapshot

Verdict = Literal["accepted", "alarm", "aborted"]
Status = Literal["running", "complete", "aborted", "failed"]


@dataclass(frozen=True)
class Interval:
    """An estimate with its two-sided confidence interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Leakage:
    """Worst-case bounds in bits (section 6 of docs/physics.md)."""

    weights_bits_per_mode: float
    weights_bits_per_weight: float
    data_bits_v1: float
    data_bits_journal: float


@dataclass(frozen=True)
class NoiseCheck:
    """The residual-noise check so far, of one layer or pooled: excess noise and transmittance of the returned light.

    ``excess``: SNU per mode at the receiver's input; ``expected``: of an honest client; ``technical``: of the bench
    itself, as calibrated, allowed beside it; ``samples``: real samples behind it; ``threshold``: the excess at which
    the alarm goes off at the present look (None for a single layer: only the run is tested).
    """

    excess: Interval
    expected: float
    samples: int
    transmittance: Interval
    leakage: Leakage
    threshold: float | None = None
    technical: float = 0.0


@dataclass(frozen=True)
class RunStarted:
    """``run``, ``bench``: configurations as plain tables; ``snapshots``: per instrument; ``calibration``: in force.

    ``digests``: of what the run's files held, by what they are. ``clock_s``: on the bench's clock, when the light was
    on; ``resumed_at``: images that were done before, in a run that goes on; neither is in run files.
    """

    name: str
    run: Mapping[str, Any]
    bench: Mapping[str, Any]
    simulated: bool
    seed: int
    images: int
    layer_shapes: tuple[tuple[int, int], ...]
    classes: int
    clean_accuracy: float
    snapshots: Mapping[str, Snapshot]
    calibration: Mapping[str, float]
    software: str
    digests: Mapping[str, str] = field(default_factory=dict)
    clock_s: float = field(default=0.0, compare=False)
    resumed_at: int = field(default=0, compare=False)


@dataclass(frozen=True)
class LayerMeasured:
    """One layer of one image: the sums behind the estimate, and the client's trace statistics.

    ``samples``, ``sum_ss``, ``sum_sr``, ``sum_rr``: N, Σs², Σsr, Σr² over the returned light (SNU); ``excess``,
    ``transmittance``: of this layer of this image alone; ``turned``, ``stretches``: Σ q²/S (SNU) over so many stretches
    of rows, which tells of their phase.
    """

    image: int
    layer: int
    samples: int
    sum_ss: float
    sum_sr: float
    sum_rr: float
    excess: float
    transmittance: float
    turned: float = 0.0
    stretches: int = 0


@dataclass(frozen=True)
class ImageFinished:
    """``image`` counts from 0 in run order; ``index``: its place in the data set; ``scores``: the client's outputs.

    ``pooled`` and ``layers``: the check after this image; ``statistic``, ``boundary``: the sequential test's path;
    ``time_s``: since the light came on; ``clock_s``: on the bench's clock.
    """

    image: int
    index: int
    label: int
    prediction: int
    scores: tuple[float, ...]
    correct: int
    accuracy: Interval
    pooled: NoiseCheck
    layers: tuple[NoiseCheck, ...]
    statistic: float
    boundary: float
    time_s: float
    clock_s: float = 0.0


@dataclass(frozen=True)
class AlarmRaised:
    """The residual-noise check rejects the agreed noise."""

    image: int
    excess: float
    threshold: float


@dataclass(frozen=True)
class ImagesDoubtful:
    """Images from ``first`` (from 0) on, ``images`` of them, do not count: ``reason`` may have spoilt them."""

    first: int
    images: int
    reason: str


@dataclass(frozen=True)
class Rechecked:
    """Whether the bench is still what was calibrated, looked at when ``image`` images were finished.

    ``what``: "shot-noise" (variance without signal over the calibrated), "bias-i", "bias-q" (V_pi off the null),
    "phase-server", "phase-client" (rad); ``found`` with an interval that decides: ``passed`` unless all of it is
    further than ``limit`` from ``expected``. ``switched``: by a switch before the receiver. Times as those of an
    image, when it was over.
    """

    image: int
    what: str
    found: Interval
    expected: float
    limit: float
    switched: bool
    time_s: float
    clock_s: float

    @property
    def passed(self) -> bool:
        """Whether what was found may be within the limit."""
        return (
            self.found.low <= self.expected + self.limit and self.found.high >= self.expected - self.limit
        )  # false for NaN

    @property
    def told(self) -> str:
        """For people."""
        found, verdict = self.found, "" if self.passed else ": it has DRIFTED"
        return (
            f"after {self.image} images: {self.what} {found.value:.5g} [{found.low:.5g}, {found.high:.5g}],"
            f" calibrated {self.expected:.5g}, allowed {self.limit:g}{verdict}"
        )


@dataclass(frozen=True)
class StateChanged:
    """The engine's state: "preparing", "running", "paused", "stopping", "stopped"."""

    state: str
    reason: str = ""


@dataclass(frozen=True)
class LightOff:
    """The safe state was executed; ``readback`` per instrument."""

    readback: tuple[SafeState, ...]

    @property
    def dark(self) -> bool:
        """Whether every emitter confirmed that it is off."""
        return all(state.dark for state in self.readback)


@dataclass(frozen=True)
class DataRecovered:
    """A curious server made its guess of an image, and a referee who knows both compared them.

    ``overlap``: |<ẑ,z>|²; ``picture``: the guess as real data of norm 1, row by row as the
    data set's images have them, of the first images only.
    """

    image: int
    overlap: float
    picture: tuple[tuple[float, ...], ...] | None


@dataclass(frozen=True)
class AttackResult:
    """What an attack brought and left.

    ``strength``: as mounted; for a substitution the transmittance of the channel replaced. ``samples``: that the
    attacker took; ``bits_per_mode``: that they told of a mode of the light on average; ``measured``: by the attacker's
    own detectors, otherwise by formula from the squared signal to noise of the client's amplifier and tap.
    ``expected_bits_per_mode``: by formula, of Gaussian weights. ``alarm_image``: in which image, from 0, the alarm
    was raised.
    """

    name: str
    strength: float
    samples: int
    bits_per_mode: float
    measured: bool
    expected_bits_per_mode: float
    alarm_image: int | None


@dataclass(frozen=True)
class RecoveryResult:
    """How well a curious server did: ``overlap``, the mean of ``images``; ``expected``, in theory;
    ``bound``: 1 - 2^(-2 I_x) of the journal's I_x."""

    images: int
    overlap: float
    expected: float
    bound: float


@dataclass(frozen=True)
class AdversaryResult:
    """What the dishonest got out of a run."""

    attack: AttackResult | None
    recovery: RecoveryResult | None


@dataclass(frozen=True)
class RunFinished:
    """The last event of a run. ``verdict`` is None when no image was finished or the run failed; ``adversary``
    when everybody was honest. ``images``: that count; ``doubtful``: that were finished after them and do not
    (:class:`ImagesDoubtful`): they are in no number here. ``warnings``: what was no reason to stop, but should be
    known."""

    status: Status
    verdict: Verdict | None
    cause: str
    images: int
    accuracy: Interval | None
    pooled: NoiseCheck | None
    layers: tuple[NoiseCheck, ...]
    adversary: AdversaryResult | None = None
    warnings: tuple[str, ...] = ()
    doubtful: int = 0


@dataclass(frozen=True, eq=False)
class ReceiverSamples:
    """A look at the server's receiver, for those who asked for one (:meth:`labctl.engine.RunControl.ask_samples`).

    ``residual``: float32, shape (2, N): of each quadrature what came back beyond the share of what was launched, in
    order of arrival without the guard bins, sqrt(SNU). ``vacuum``: variance with the signal port dark, SNU.
    """

    image: int
    layer: int
    residual: NDArray[np.float32]
    bin_rate_hz: float
    vacuum: float


@dataclass(frozen=True)
class ProcedureStarted:
    """A procedure of a calibration begins, the ``index``-th from 0 of ``count``."""

    name: str
    title: str
    index: int
    count: int


@dataclass(frozen=True)
class ProcedureFinished:
    """It is over, and its result kept. ``outcome``: "passed", "failed" or "skipped"; ``message``: why."""

    name: str
    outcome: str
    message: str
    remedy: str


Event = (
    RunStarted
    | LayerMeasured
    | ImageFinished
    | ImagesDoubtful
    | Rechecked
    | DataRecovered
    | ReceiverSamples
    | AlarmRaised
    | StateChanged
    | LightOff
    | RunFinished
    | ProcedureStarted
    | ProcedureFinished
)
E = TypeVar("E", bound=Event)


class EventBus:
    """Calls subscribers in order, in the publisher's thread; a subscriber must be quick."""

    def __init__(self) -> None:
        self._subscribers: dict[type, list[Callable[[Any], None]]] = {}

    def subscribe(self, kind: type[E], handler: Callable[[E], None]) -> None:
        """``handler`` is called with every event of exactly this type."""
        self._subscribers.setdefault(kind, []).append(handler)

    def publish(self, event: Event) -> None:
        """Hand the event to all who asked for its type."""
        for handler in self._subscribers.get(type(event), ()):
            handler(event)
