"""The process that writes a run file: ``python -m labctl.record.writer_process``, started by :class:`RunRecorder`.

It reads frames from its standard input, answers on its standard output, and ends when the input does. If the run was
not ended by then, the program that measured is gone: all that it handed over is written, and the run has failed.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from typing import IO, Any

from labctl.errors import RecordError
from labctl.events import AlarmRaised, DataRecovered, LightOff, Rechecked, RunFinished, RunStarted
from labctl.record import disk, frames
from labctl.record.reader import open_run
from labctl.record.rebuild import WITHOUT_A_WORD
from labctl.record.writer import RunWriter


class Desk:
    """Takes one frame after the other to a :class:`RunWriter`, and says what came of it through ``answer``."""

    def __init__(self, answer: Callable[[dict[str, Any]], None]) -> None:
        self._answer = answer
        self._writer: RunWriter | None = None
        self._last: bytes | None = None
        self._open = False

    def take(self, kind: int, content: bytes) -> None:
        """What fails is answered, not raised: the end of the run is still to come."""
        try:
            self._take(kind, content)
        except RecordError as error:
            self._answer({"error": [error.message, error.remedy]})
        except Exception as error:  # noqa: BLE001  (nobody else would hear of it)
            self._answer({"error": [f"run file: {type(error).__name__}: {error}", "This is a fault of the program."]})

    def _take(self, kind: int, content: bytes) -> None:
        if self._writer is None:
            self._writer = _writer(*frames.read_object(content))
        elif kind == frames.LAYER:
            self._writer.layer(*frames.read_layer(content))
        elif kind == frames.IMAGE:
            self._writer.image(*frames.read_image(content))
            self._last = content
        else:
            self._event(self._writer, frames.read_object(content))

    def _event(self, writer: RunWriter, event: object) -> None:
        if isinstance(event, RunStarted):
            writer.start(event)
            self._open = True
            self._answer({"path": str(writer.path)})
        elif isinstance(event, RunFinished):
            self._open = False
            writer.finish(event)
            self._answer({"ended": True})
        elif isinstance(event, dict):
            writer.note(event)
        elif isinstance(event, AlarmRaised):
            writer.alarm(event)
        elif isinstance(event, LightOff):
            writer.light_off(event)
        elif isinstance(event, DataRecovered):
            writer.recovered(event)
        elif isinstance(event, Rechecked):
            writer.rechecked(event)

    def end(self) -> None:
        """Nothing more will come."""
        if self._open and self._writer is not None:
            self._writer.finish(self._ending(self._writer))
        if self._writer is not None:
            self._writer.close()

    def _ending(self, writer: RunWriter) -> RunFinished:
        accuracy, pooled, layers = (None, None, ()) if self._last is None else frames.read_checks(self._last)
        return RunFinished(
            status="failed",
            verdict=None,
            cause=WITHOUT_A_WORD,
            images=writer.images,
            accuracy=accuracy,
            pooled=pooled,
            layers=layers,
        )


def _writer(folder: Any, name: str, seed: int, resumed: Any, process: int) -> RunWriter:
    if resumed is None:
        return RunWriter(folder, name, seed, process=process)
    path, images = resumed
    disk.refuse_if_written(path)
    return RunWriter(path.parent, name, seed, resumed=(open_run(path), images), process=process)


def serve(source: IO[bytes], sink: IO[bytes]) -> None:
    """Until the source ends."""

    def answer(values: dict[str, Any]) -> None:
        try:
            sink.write(json.dumps(values).encode() + b"\n")
            sink.flush()
        except OSError:
            pass  # nobody listens any more; what is to be written is written

    desk = Desk(answer)
    for kind, content in frames.read(source):
        desk.take(kind, content)
    desk.end()


def main() -> None:
    """Signals that end programs are for the one that measures: it tells the end of the run."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    source, sink = os.fdopen(os.dup(0), "rb", buffering=2**16), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)  # what a library prints is no answer
    serve(source, sink)


if __name__ == "__main__":
    main()
