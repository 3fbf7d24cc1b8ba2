"""The run file as a program that measures sees it: handed to a process of its own, which writes.

Whatever is handed over is in a pipe that outlives its program: when the program is killed, the writer puts down all
that it was given, and ends the file as failed. The program in turn never waits for the writer longer than a deadline: a
disk that hangs must not keep the light on.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from labctl.clock import Clock, SystemClock
from labctl.errors import RecordError
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
)
from labctl.record import frames
from labctl.record.names import check_name
from labctl.values import Snapshot

#: How long the writer may take to accept what it is given, or to make the file.
PATIENCE_S = 10.0
#: How long it may take to end the file, with the light off already.
END_PATIENCE_S = 60.0
#: What the pipe holds while the writer waits for its disk: some thousand images.
PIPE_BYTES = 2**20
_REMEDY = "Check the disk of the output folder; what was written before can still be read."


class RunRecorder:
    """Has one run written into ``folder``, from the events on a bus; see :class:`labctl.record.writer.RunWriter`.

    Its process starts at once, so that it is ready when the run has started. ``resumed``: a run file that goes on, and
    how many of its images are kept. All failures are RecordError, raised once, to the publisher of the event that
    follows; the end of the run is recorded in spite of them where that can be done.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        seed: int,
        *,
        resumed: tuple[Path, int] | None = None,
        clock: Clock | None = None,
    ) -> None:
        check_name(name)
        self._clock = clock or SystemClock()
        self._path: Path | None = None
        self._pending = bytearray()
        self._answered = b""
        self._failure: RecordError | None = None
        self._lost = self._told = self._started = self._ended = False
        self._process = _start()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._to, self._from = self._process.stdin.fileno(), self._process.stdout.fileno()
        with contextlib.suppress(OSError):  # fewer bytes than that are no error
            fcntl.fcntl(self._to, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        for descriptor in (self._to, self._from):
            os.set_blocking(descriptor, False)
        self._hand_over(frames.of_object((folder, name, seed, resumed, os.getpid())))

    @property
    def path(self) -> Path | None:
        """The file; None before the run has started."""
        return self._path

    def attach(self, bus: EventBus) -> None:
        """Record the run that ``bus`` tells of."""
        bus.subscribe(LayerMeasured, self._on_layer)
        bus.subscribe(ImageFinished, self._on_image)
        bus.subscribe(RunStarted, self._on_started)
        for kind in (AlarmRaised, LightOff, DataRecovered, Rechecked):
            bus.subscribe(kind, self._on_event)
        bus.subscribe(RunFinished, self._on_finished)

    def note(self, provenance: Snapshot) -> None:
        """Before the run has started: what shall stand in its provenance as well."""
        if provenance:
            self._hand_over(frames.of_object(dict(provenance)))

    def close(self) -> None:
        """Let the writer end; a run without RunFinished is ended as failed. Safe to call twice."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        self._flush()
        with contextlib.suppress(OSError):
            process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0 if self._lost else END_PATIENCE_S)
        process.stdout.close()

    def _on_started(self, event: RunStarted) -> None:
        if self._started:
            raise RecordError("a recorder writes one run only", "Make a new RunRecorder for each run.")
        self._started = True
        self._hand_over(frames.of_object(event))
        self._wait(lambda: self._path is not None, PATIENCE_S)
        self._tell()

    def _on_layer(self, event: LayerMeasured) -> None:
        """Goes with its image, so that an image costs one call of the system."""
        self._pending += frames.of_layer(event)

    def _on_image(self, event: ImageFinished) -> None:
        self._hand_over(frames.of_image(event))
        self._tell()

    def _on_event(self, event: Event) -> None:
        if self._started:
            self._hand_over(frames.of_object(event))
            self._tell()

    def _on_finished(self, event: RunFinished) -> None:
        if self._path is None or self._lost:
            return  # The file was never made, or nobody writes it: that error has been raised already.
        self._failure = None  # it was told; the end may yet be written
        self._hand_over(frames.of_object(event))
        self._wait(lambda: self._ended, END_PATIENCE_S)
        self._tell()

    def _tell(self) -> None:
        """Raise what went wrong, once."""
        if self._failure is not None and not self._told:
            self._told = True
            raise self._failure

    def _hand_over(self, frame: bytes) -> None:
        self._pending += frame
        self._flush()
        self._listen()

    def _flush(self) -> None:
        """All that waits goes into the pipe."""
        until = None
        while self._pending and not self._lost:
            try:
                del self._pending[: os.write(self._to, self._pending)]
            except BlockingIOError:
                until = self._clock.now() + PATIENCE_S if until is None else until
                left = until - self._clock.now()
                if left <= 0:
                    self._fail("the process that writes the run file does not answer")
                else:
                    select.select([], [self._to], [], left)
            except OSError:
                self._listen()  # it may have said why
                self._fail(f"the process that writes the run file has ended (status {self._process.poll()})")
        if self._lost:
            self._pending.clear()

    def _wait(self, done: Callable[[], bool], seconds: float) -> None:
        until = self._clock.now() + seconds
        while not done() and self._failure is None:
            left = until - self._clock.now()
            if left <= 0:
                self._fail("the process that writes the run file does not answer")
            else:
                select.select([self._from], [], [], left)
                self._listen()

    def _listen(self) -> None:
        """Take what the writer says, if it says anything."""
        try:
            said = os.read(self._from, 2**16)
        except BlockingIOError:
            return
        if not said and not self._ended and not self._lost:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(PATIENCE_S)
            self._fail(f"the process that writes the run file has ended (status {self._process.returncode})")
        *lines, self._answered = (self._answered + said).split(b"\n")
        for line in lines:
            self._take(json.loads(line))

    def _take(self, answer: dict[str, Any]) -> None:
        if "path" in answer:
            self._path = Path(answer["path"])
        if "error" in answer and self._failure is None:
            self._failure = RecordError(*answer["error"])
        self._ended = self._ended or "ended" in answer

    def _fail(self, what: str) -> None:
        """Nothing more is written: half a frame may be in the pipe."""
        self._lost = True
        if self._failure is None:
            self._failure = RecordError(f"{self._path or 'run file'}: {what}", _REMEDY)


def _start() -> subprocess.Popen[bytes]:
    """In a session of its own, which no Ctrl-C at a terminal reaches; it finds what this program finds."""
    places = os.pathsep.join(place or os.getcwd() for place in sys.path)
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "labctl.record.writer_process"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": places, "OPENBLAS_NUM_THREADS": "1"},
    )
