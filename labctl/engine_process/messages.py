"""What is said between an engine process and whoever started it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from labctl.events import Event
from labctl.properties import PropertyState
from labctl.values import Scalar

# --- requests: done one after the other, each answered by Answer or Failed with its number ---------------------------


@dataclass(frozen=True)
class RunRequest:
    """Execute a run, or say what it will take. Answered with :class:`RunEnded`; a forecast with its lines.

    ``run``: RUN.toml or a shipped run; ``overrides``: keys of RUN.toml that go before it; ``out_dir``: of the run file.
    ``when_alone``: what happens when whoever asked is gone. A run that is paused then is aborted in any case, since
    nobody is left to let it go on.
    """

    run: str
    overrides: Mapping[str, Any] = field(default_factory=dict)
    out_dir: str = "runs"
    forecast_only: bool = False
    when_alone: Literal["go_on", "abort"] = "go_on"


@dataclass(frozen=True)
class ResumeRequest:
    """Take up a run where its file ends. Answered as a run is; what the file holds is told first, as if it went on now.

    ``when_alone``: as in :class:`RunRequest`.
    """

    path: str
    when_alone: Literal["go_on", "abort"] = "go_on"


@dataclass(frozen=True)
class ReplayRequest:
    """Tell a recorded run as if it went on now; one that is still growing is followed until its end."""

    path: str


@dataclass(frozen=True)
class ReadRequest:
    """Answered with the :class:`labctl.record.Run`."""

    path: str


@dataclass(frozen=True)
class FolderRequest:
    """Look through a folder's run files. A :class:`Part` with a :class:`RunEntry` for each, newest first."""

    folder: str


@dataclass(frozen=True)
class LookRequest:
    """Ask every instrument of a bench. Answered with a list of :class:`labctl.upkeep.BenchReport`."""

    bench: str


@dataclass(frozen=True)
class DarkRequest:
    """Put a bench into the safe state, whoever holds it. Answered with :class:`labctl.events.LightOff`."""

    bench: str


Request = RunRequest | ResumeRequest | ReplayRequest | ReadRequest | FolderRequest | LookRequest | DarkRequest


# --- by hand: requests about the bench that a process holds open ------------------------------------------------------


@dataclass(frozen=True)
class ConnectRequest:
    """Open a bench, and hold it. Answered with a :class:`HandReport`."""

    bench: str


@dataclass(frozen=True)
class DisconnectRequest:
    """Make it dark, read back, and let it go. Answered with :class:`labctl.events.LightOff`."""


@dataclass(frozen=True)
class ReadPropertiesRequest:
    """Ask every instrument. Answered with a :class:`HandReport`."""


@dataclass(frozen=True)
class SetPropertyRequest:
    """Set one property (:mod:`labctl.properties`). Answered with a :class:`HandReport` of those whom it concerns."""

    instrument: str
    name: str
    value: Scalar
    channel: int | None = None


HandRequest = ConnectRequest | DisconnectRequest | ReadPropertiesRequest | SetPropertyRequest


@dataclass(frozen=True)
class Task:
    """A request with the number that its answer will carry."""

    number: int
    request: Request | HandRequest


# --- orders: obeyed at once by the run that goes on -------------------------------------------------------------------


@dataclass(frozen=True)
class Order:
    """``what``: "samples" asks for one :class:`labctl.events.ReceiverSamples`; "stop" ends a replay."""

    what: Literal["pause", "resume", "abort", "samples", "stop"]
    reason: str = ""


# --- answers ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Batch:
    """Events in the order in which they were published."""

    events: tuple[Event, ...]


@dataclass(frozen=True)
class Missed:
    """So many events of shots were not told, because nobody read what was said before."""

    events: int


@dataclass(frozen=True)
class Pixels:
    """An image as the client has it: float32, shape (height, width), 0 to 1."""

    image: int
    pixels: NDArray[np.float32]


@dataclass(frozen=True)
class Beat:
    """The process is alive; ``steps``: checkpoints that its engine has passed, which only the engine counts."""

    steps: int


@dataclass(frozen=True)
class Part:
    """A piece of an answer."""

    number: int
    value: object


@dataclass(frozen=True)
class Answer:
    """The request was done."""

    number: int
    value: object


@dataclass(frozen=True)
class Failed:
    """The request was not done, in the words of :class:`labctl.errors.LabctlError`."""

    number: int
    kind: str
    message: str
    remedy: str


@dataclass(frozen=True)
class RunEnded:
    """How a run ended. ``error``, ``remedy``: why it did not come to its end; empty when it did."""

    run_file: str | None
    verdict: str | None
    error: str = ""
    remedy: str = ""


@dataclass(frozen=True)
class RunEntry:
    """A run file at a glance. ``problem``: why it cannot be read, and then nothing else is known."""

    path: str
    date: str = ""
    name: str = ""
    network: str = ""
    gain: float = float("nan")
    mean_photons: float = float("nan")
    images: int = 0
    accuracy: float = float("nan")
    verdict: str = ""
    status: str = ""
    simulated: bool = False
    problem: str = ""


@dataclass(frozen=True)
class InstrumentReport:
    """What an instrument said by hand. ``problem``: what it complains about, or why it did not answer."""

    name: str
    identity: str
    states: tuple[PropertyState, ...] = ()
    problem: str = ""
    remedy: str = ""


@dataclass(frozen=True)
class HandReport:
    """``bench``: its file as plain tables; ``instruments``: who was asked; ``switched_off``: before, by name."""

    bench: Mapping[str, Any]
    instruments: tuple[InstrumentReport, ...]
    switched_off: tuple[str, ...] = ()
