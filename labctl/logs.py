"""A run's log beside its run file: what the engine says on the event bus, and what drivers say to Python's logging.

JSON lines, one object each (docs/reference/run-file.md). They are written by a thread of their own: a disk that hangs
does not keep the light on. A log that cannot be written ends no run.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any, Final, Literal, get_args

from labctl.events import (
    AlarmRaised,
    DataRecovered,
    Event,
    EventBus,
    ImageFinished,
    LayerMeasured,
    LightOff,
    Rechecked,
    RunFinished,
    RunStarted,
    StateChanged,
)

Level = Literal["debug", "info", "warning", "error"]
LEVELS: Final[tuple[Level, ...]] = get_args(Level)
#: Of one file; the one before it is kept as ``.log.1``, and so on.
MAX_BYTES: Final = 8 * 2**20
OLDER_FILES: Final = 4
#: Lines that wait for the disk, and for the run file to get its name; further ones are counted and left out.
WAITING: Final = 20_000
#: How long the end of a run waits for the disk, in seconds.
PATIENCE_S: Final = 5.0
#: Loggers that are listened to: rooms of the project, VISA, and Python's warnings.
SOURCES: Final = ("labctl", "drivers", "sim_backends", "gui", "pyvisa", "py.warnings")
_RUN: Final = "labctl.run"
_ORDINARY: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


@dataclass(frozen=True)
class Notes:
    """What is written beside a run file. ``level``: of its log; ``exchange``: a new file for all that instruments are
    told and answer, word for word.
    """

    level: Level = "info"
    exchange: Path | None = None


PLAIN_NOTES: Final = Notes()


class RunLog:
    """The log of one run: from its making to RunFinished.

    ``run_file``: the run's file, None until there is one; the log is written beside it, and not at all where there
    never is. ``wall_time``: seconds since 1970.
    """

    def __init__(
        self, run_file: Callable[[], Path | None], level: Level = "info", wall_time: Callable[[], float] = time.time
    ) -> None:
        self._run_file = run_file
        self._level = logging.getLevelNamesMapping()[level.upper()]
        self._wall_time = wall_time
        self._waiting: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._left_out = 0
        self._listener = _Listener(self._say, self._level)
        self._writer: threading.Thread | None = None

    def attach(self, bus: EventBus) -> None:
        """Follow the run that ``bus`` tells of."""
        bus.subscribe(RunStarted, self._on_started)
        bus.subscribe(StateChanged, lambda event: self._note(logging.INFO, event, asdict(event)))
        bus.subscribe(AlarmRaised, lambda event: self._note(logging.WARNING, event, asdict(event)))
        bus.subscribe(Rechecked, self._on_rechecked)
        bus.subscribe(LightOff, self._on_light_off)
        bus.subscribe(RunFinished, self._on_finished)
        if self._level <= logging.DEBUG:
            bus.subscribe(LayerMeasured, lambda event: self._note(logging.DEBUG, event, asdict(event)))
            bus.subscribe(ImageFinished, self._on_image)
            bus.subscribe(
                DataRecovered,
                lambda event: self._note(logging.DEBUG, event, {"image": event.image, "overlap": event.overlap}),
            )
        self._listener.start()

    def _on_rechecked(self, event: Rechecked) -> None:
        self._note(logging.INFO if event.passed else logging.WARNING, event, asdict(event) | {"passed": event.passed})

    def _on_started(self, event: RunStarted) -> None:
        told = {
            "name": event.name,
            "seed": event.seed,
            "images": event.images,
            "bench": event.bench.get("name"),
            "simulated": event.simulated,
            "software": event.software,
            "process": os.getpid(),
        }
        self._note(logging.INFO, event, told)

    def _on_image(self, event: ImageFinished) -> None:
        told = {
            "image": event.image,
            "prediction": event.prediction,
            "label": event.label,
            "excess_snu": event.pooled.excess.value,
            "statistic": event.statistic,
            "boundary": event.boundary,
            "time_s": event.time_s,
        }
        self._note(logging.DEBUG, event, told)

    def _on_light_off(self, event: LightOff) -> None:
        lit = {state.instrument: state.problem or dict(state.readings) for state in event.readback if not state.dark}
        self._note(logging.INFO if event.dark else logging.ERROR, event, {"dark": event.dark, "not_confirmed": lit})

    def _on_finished(self, event: RunFinished) -> None:
        told = {"status": event.status, "verdict": event.verdict, "cause": event.cause, "images": event.images}
        levels = {"complete": logging.INFO, "aborted": logging.WARNING}
        self._note(levels.get(event.status, logging.ERROR), event, told)
        self.close()

    def _note(self, level: int, event: Event, told: Mapping[str, Any]) -> None:
        if level >= self._level:
            self._say(level, _RUN, {"event": type(event).__name__, **told})

    def _say(self, level: int, source: str, told: Mapping[str, Any]) -> None:
        moment = datetime.fromtimestamp(self._wall_time(), UTC).isoformat(timespec="milliseconds")
        self._put(_line({"time": moment, "level": logging.getLevelName(level).lower(), "source": source, **told}))

    def _put(self, line: str) -> None:
        if self._waiting.qsize() < WAITING:
            self._waiting.put(line)
        else:
            self._left_out += 1
        if self._writer is None:
            path = self._run_file()
            if path is not None:
                self._writer = threading.Thread(target=self._write, args=(path,), name="run log", daemon=True)
                self._writer.start()

    def _write(self, run_file: Path) -> None:
        file: RotatingFileHandler | None = None
        with contextlib.suppress(OSError):
            file = _file(_free(run_file))
        while (line := self._waiting.get()) is not None:
            if file is not None:
                file.emit(logging.makeLogRecord({"msg": line}))
        if file is not None:
            if self._left_out:
                file.emit(logging.makeLogRecord({"msg": _line({"source": _RUN, "left_out": self._left_out})}))
            with contextlib.suppress(OSError):  # of a full disk the run file tells
                file.close()

    def close(self) -> None:
        """Stop listening, and wait a few seconds for what is to be written. Safe to call twice."""
        self._listener.stop()
        if self._writer is not None and self._writer.is_alive():
            self._waiting.put(None)
            self._writer.join(PATIENCE_S)


class _Quiet(RotatingFileHandler):
    """Says nothing on standard error when the disk is full."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        pass


def _free(run_file: Path) -> Path:
    """``RUN.log``; where a run was resumed and there is one already, ``RUN-2.log`` and so on."""
    path, number = run_file.with_suffix(".log"), 1
    while os.path.lexists(path):
        number += 1
        path = run_file.with_name(f"{run_file.stem}-{number}.log")
    return path


def _file(path: Path) -> RotatingFileHandler:
    """A new file: what somebody else put there, a link to elsewhere maybe, is not written to."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))
    return _Quiet(path, maxBytes=MAX_BYTES, backupCount=OLDER_FILES, encoding="utf-8")


class _Listener(logging.Handler):
    """Hands what is said to Python's logging on, and leaves the loggers as it found them."""

    def __init__(self, say: Callable[[int, str, Mapping[str, Any]], None], level: int) -> None:
        super().__init__(level)
        self._say = say
        self._before: dict[str, int] = {}

    def start(self) -> None:
        """Listen."""
        for name in SOURCES:
            logger = logging.getLogger(name)
            self._before[name] = logger.level
            if not logger.isEnabledFor(self.level):
                logger.setLevel(self.level)
            logger.addHandler(self)

    def stop(self) -> None:
        """Listen no more. Safe to call twice."""
        for name, level in self._before.items():
            logger = logging.getLogger(name)
            logger.removeHandler(self)
            logger.setLevel(level)
        self._before.clear()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            told: dict[str, Any] = {"message": record.getMessage()}
        except (TypeError, ValueError) as error:
            told = {"message": str(record.msg), "problem": f"cannot be formatted: {error}"}
        told |= {key: value for key, value in vars(record).items() if key not in _ORDINARY}
        if record.exc_info:
            told["exception"] = logging.Formatter().formatException(record.exc_info)
        self._say(record.levelno, record.name, told)


def _line(values: Mapping[str, Any]) -> str:
    """One line of JSON; what JSON has no type for becomes text."""
    return json.dumps({key: _plain(value) for key, value in values.items()}, ensure_ascii=True, default=str)


def _plain(value: Any) -> Any:
    """JSON has no NaN and no infinity."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    return value
