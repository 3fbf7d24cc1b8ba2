"""The engine process's main loop: requests one after the other, orders to the run that goes on at once."""

from __future__ import annotations

import os
import queue
import signal
import threading
from contextlib import suppress
from types import FrameType
from typing import TYPE_CHECKING, BinaryIO

from labctl.engine import RunControl
from labctl.engine_process.frames import Unpacker
from labctl.engine_process.messages import Answer, Failed, HandRequest, Order, ResumeRequest, RunRequest, Task
from labctl.engine_process.outbox import Outbox
from labctl.errors import LabctlError

if TYPE_CHECKING:
    from labctl.engine_process.hand import Hand

_READ_BYTES = 2**16
#: Between two signs of life while a bench is held by hand, s.
_HAND_BEAT_S = 1.0


class WatchedControl(RunControl):
    """Counts the checkpoints that the engine comes to."""

    steps = 0

    def reached(self) -> None:
        """One more."""
        self.steps += 1


class Host:
    """Serves one reader. ``commands``: descriptor that requests and orders come from; ``answers``: where it answers."""

    def __init__(self, commands: int, answers: BinaryIO) -> None:
        self._commands = commands
        self._tasks: queue.SimpleQueue[Task | None] = queue.SimpleQueue()  # a signal may put, too
        self._controls: dict[int, WatchedControl] = {}
        self._current: WatchedControl | None = None
        self._when_alone: dict[int, str] = {}
        self._hand: Hand | None = None
        self._outbox = Outbox(answers, self._steps)

    def serve(self) -> None:
        """Until the commands end and all that was asked for is done. SIGTERM ends the run that goes on, in order."""
        signal.signal(signal.SIGTERM, self._on_sigterm)
        threading.Thread(target=self._listen, name="commands", daemon=True).start()
        try:
            while (task := self._next()) is not None:
                self._current = self._controls[task.number]
                self._do(task, self._current)
                self._controls.pop(task.number)
                self._current = None
        finally:
            if self._hand is not None:  # whatever ends this process: dark
                self._hand.close()
        self._outbox.close()

    def _next(self) -> Task | None:
        while self._hand is not None and self._hand.held:
            with suppress(queue.Empty):
                return self._tasks.get(timeout=_HAND_BEAT_S)
            self._hand.beat()
        return self._tasks.get()

    def _steps(self) -> int:
        return self._current.steps if self._current is not None else 0

    def _do(self, task: Task, control: WatchedControl) -> None:
        try:
            self._outbox.put(Answer(task.number, self._answer(task, control)))
        except LabctlError as error:
            self._outbox.put(Failed(task.number, type(error).__name__, str(error), error.remedy))
        except Exception as error:  # noqa: BLE001 - nothing is above: whoever asked must hear of it
            text = f"{type(error).__name__}: {error}"
            self._outbox.put(Failed(task.number, type(error).__name__, text, "This is a fault of the program."))

    def _answer(self, task: Task, control: WatchedControl) -> object:
        if isinstance(task.request, HandRequest):
            from labctl.engine_process.hand import Hand

            self._hand = self._hand or Hand()
            return self._hand.perform(task.request, control)
        from labctl.engine_process.tasks import perform

        return perform(task, control, self._outbox)

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
        if self._hand is not None:
            self._left_alone()
