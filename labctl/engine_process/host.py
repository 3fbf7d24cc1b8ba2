"""The engine process's main loop: requests one after the other, orders to the run that goes on at once."""

from __future__ import annotations

import os
import queue
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import BinaryIO

from labctl.engine import RunControl
from labctl.engine_process.frames import Unpacker
from labctl.engine_process.messages import Answer, Failed, Order, ResumeRequest, RunRequest, Task
from labctl.engine_process.outbox import Outbox
from labctl.errors import LabctlError

_READ_BYTES = 2**16


class WatchedControl(RunControl):
    """Counts the checkpoints that the engine passes."""

    steps = 0

    def checkpoint(self, on_pause: Callable[[bool], None], beat: Callable[[], None] = lambda: None) -> None:
        """As the engine calls it."""
        super().checkpoint(on_pause, beat)
        self.steps += 1


class Host:
    """Serves one reader. ``commands``: descriptor that requests and orders come from; ``answers``: where it answers."""

    def __init__(self, commands: int, answers: BinaryIO) -> None:
        self._commands = commands
        self._tasks: queue.Queue[Task | None] = queue.Queue()
        self._controls: dict[int, WatchedControl] = {}
        self._current: WatchedControl | None = None
        self._when_alone: dict[int, str] = {}
        self._outbox = Outbox(answers, self._steps)

    def serve(self) -> None:
        """Until the commands end and all that was asked for is done. SIGTERM ends the run that goes on, in order."""
        signal.signal(signal.SIGTERM, self._on_sigterm)
        threading.Thread(target=self._listen, name="commands", daemon=True).start()
        while (task := self._tasks.get()) is not None:
            self._current = self._controls[task.number]
            self._do(task, self._current)
            self._controls.pop(task.number)
            self._current = None
        self._outbox.close()

    def _steps(self) -> int:
        return self._current.steps if self._current is not None else 0

    def _do(self, task: Task, control: WatchedControl) -> None:
        from labctl.engine_process.tasks import perform

        try:
            self._outbox.put(Answer(task.number, perform(task, control, self._outbox)))
        except LabctlError as error:
            self._outbox.put(Failed(task.number, type(error).__name__, str(error), error.remedy))
        except Exception as error:  # noqa: BLE001 - nothing is above: whoever asked must hear of it
            text = f"{type(error).__name__}: {error}"
            self._outbox.put(Failed(task.number, type(error).__name__, text, "This is a fault of the program."))

    def _listen(self) -> None:
        unpacker = Unpacker()
        while data := os.read(self._commands, _READ_BYTES):
            for message in unpacker.feed(data):
                if isinstance(message, Task):
                    self._controls[message.number] = WatchedControl()
                    if isinstance(message.request, RunRequest | ResumeRequest):
                        self._when_alone[message.number] = message.request.when_alone
                    self._tasks.put(message)
                elif isinstance(message, Order):
                    self._obey(message)
        self._left_alone()

    def _obey(self, order: Order) -> None:
        """By the run that goes on, or the one that is about to."""
        for control in list(self._controls.values()):
            if order.what == "pause":
                control.pause()
            elif order.what == "resume":
                control.resume()
            elif order.what == "samples":
                control.ask_samples()
            else:
                control.abort(order.reason or order.what)

    def _left_alone(self) -> None:
        """A run goes on unless it was asked not to, or is paused with nobody left to let it go on; all else ends."""
        for number, control in list(self._controls.items()):
            if control.paused or self._when_alone.get(number) != "go_on":
                control.abort("the program that started it has gone")
        self._tasks.put(None)

    def _on_sigterm(self, number: int, frame: FrameType | None) -> None:
        if self._current is None:
            raise SystemExit(128 + number)
        self._current.abort("SIGTERM")
