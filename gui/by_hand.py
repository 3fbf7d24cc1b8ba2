"""A bench operated by hand: an engine process of its own holds it, and makes it dark when it is let go."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from functools import partial

from PyQt6.QtCore import QObject, QTimer, pyqtSignal

from gui.engine_link import EngineLink
from gui.journal import Journal, Level
from gui.quantities import text_of
from labctl.engine_process.messages import (
    ConnectRequest,
    DisconnectRequest,
    Failed,
    HandReport,
    InstrumentReport,
    Order,
    ReadPropertiesRequest,
    SetPropertyRequest,
)
from labctl.events import LightOff

#: How long the bench may take to go dark before that is done past the process that holds it, ms.
DARK_PATIENCE_MS = 3000


class Grip(Enum):
    """How a bench is held."""

    APART = "not connected"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    LEAVING = "going dark"


class ByHand(QObject):
    """``changed``: grip or reports; ``dark``: a read-back; ``trouble``: title, message, remedy; ``overdue``: a real
    bench that does not go dark.

    ``reports``: by instrument, empty while not connected; ``problems``: the last of each, with its remedy, "" of all.
    """

    changed = pyqtSignal()
    dark = pyqtSignal(object)
    trouble = pyqtSignal(str, str, str)
    overdue = pyqtSignal(str)

    def __init__(self, journal: Journal, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._journal = journal
        self.link = EngineLink(self)
        self.link.died.connect(self._died)
        self.grip = Grip.APART
        self.bench = ""
        self._in_process = True
        self.report: HandReport | None = None
        self.reports: dict[str, InstrumentReport] = {}
        self.problems: dict[str, str] = {}
        self._then: Callable[[], None] | None = None
        self._patience = QTimer(self)
        self._patience.setSingleShot(True)
        self._patience.setInterval(DARK_PATIENCE_MS)
        self._patience.timeout.connect(self._overdue)

    @property
    def holds(self) -> bool:
        """Whether a bench is held, or about to be."""
        return self.grip is not Grip.APART

    def connect_bench(self, bench: str, *, in_process: bool) -> None:
        """Open every instrument of a bench, and hold them; ``in_process``: it is simulated there, and ends with it."""
        if self.grip is not Grip.APART:
            return
        self.bench, self._in_process = bench, in_process
        self._enter(Grip.CONNECTING)
        self._journal.write(Level.INFO, "by hand", f"connect {bench}")
        self.link.ask(ConnectRequest(bench), self._connected, self._not_connected)

    def disconnect_bench(self, then: Callable[[], None] | None = None) -> None:
        """Dark, read back, let go; ``then`` what comes after it, unless the dark was not confirmed."""
        if self.grip is Grip.APART:
            if then is not None:
                then()
            return
        self._then = then
        if self.grip is Grip.LEAVING:
            return
        self._enter(Grip.LEAVING)
        self._journal.write(Level.INFO, "by hand", "disconnect, light off first")
        self.link.ask(DisconnectRequest(), self._left, self._not_left)
        self._patience.start()

    def light_off(self) -> None:
        """At once: what was asked for and not begun is dropped."""
        self.link.order(Order("abort", "light off"))
        self.disconnect_bench()
        self._then = None

    def read(self) -> None:
        """Ask every instrument."""
        if self.grip is Grip.CONNECTED:
            self.link.ask(ReadPropertiesRequest(), self._take, partial(self._refused, ""))

    def set(self, instrument: str, name: str, channel: int | None, value: float | bool | str) -> None:
        """Set one property; how it is then, is read back."""
        if self.grip is not Grip.CONNECTED:
            return
        what = f"{instrument}: {name}{'' if channel is None else f' of channel {channel}'}"
        self._journal.write(Level.INFO, "by hand", f"{what} = {text_of(name, value)}")
        request = SetPropertyRequest(instrument, name, value, channel)
        self.link.ask(request, partial(self._was_set, instrument), partial(self._refused, instrument))

    def close(self) -> None:
        """The process makes the bench dark when nobody is there any more."""
        self._patience.stop()
        self.link.close(leave=self.holds or self.link.busy)

    # --- what it says ---------------------------------------------------------------------------------------------

    def _connected(self, report: HandReport) -> None:
        self.problems.clear()
        if self.grip is Grip.CONNECTING:  # and not to be let go again already
            self.grip = Grip.CONNECTED
        self._take(report)

    def _not_connected(self, problem: Failed) -> None:
        if self.grip is Grip.CONNECTING:
            self._apart()
        self._journal.write(Level.ERROR, "by hand", problem.message)
        self.trouble.emit("The bench cannot be connected", problem.message, problem.remedy)

    def _take(self, report: HandReport) -> None:
        if self.grip not in (Grip.CONNECTED, Grip.LEAVING):
            return
        self.report = report
        for each in report.instruments:
            self.reports[each.name] = each
            if each.problem:
                self._note(each.name, each.problem, each.remedy)
        self.changed.emit()

    def _was_set(self, instrument: str, report: HandReport) -> None:
        self.problems.pop(instrument, None)
        for name in report.switched_off:
            self._journal.write(Level.WARNING, "by hand", f"{name} was switched off first")
        self._take(report)

    def _refused(self, instrument: str, problem: Failed) -> None:
        """It is as it was, or everything is dark: read."""
        if problem.kind in ("EngineDied", "RunAborted"):
            return
        self._journal.write(Level.ERROR, "by hand", problem.message)
        self._note(instrument, problem.message, problem.remedy)
        self.changed.emit()
        if instrument:
            self.read()

    def _note(self, instrument: str, problem: str, remedy: str) -> None:
        """The newest last."""
        self.problems.pop(instrument, None)
        self.problems[instrument] = f"{problem}{'' if problem.endswith('.') else '.'} {remedy}".strip()

    def _left(self, event: LightOff) -> None:
        then, self._then = self._then, None
        self._apart()
        if event.readback:
            self.dark.emit(event)
        if not event.dark:
            lit = ", ".join(state.instrument for state in event.readback if not state.dark)
            stays = "The run is not started. " if then is not None else ""
            self.trouble.emit(
                "THE LIGHT MAY BE ON",
                f"{lit}: no confirmation that the light is off.",
                f"{stays}Look at the bench, switch it off by hand, and press Light off.",
            )
        elif then is not None:
            then()

    def _not_left(self, problem: Failed) -> None:
        if problem.kind == "EngineDied":
            return  # told by _died
        self._then = None
        self._apart()
        self._journal.write(Level.ERROR, "by hand", problem.message)
        self.trouble.emit("THE LIGHT MAY BE ON", problem.message, f"Switch it off by hand. {problem.remedy}")

    def _overdue(self) -> None:
        self._journal.write(Level.ERROR, "by hand", "the bench does not go dark: it is made dark past its process")
        self._then = None
        if self._in_process:
            self.link.kill()
        else:
            self.overdue.emit(self.bench)

    def _died(self, text: str) -> None:
        self._journal.write(Level.ERROR, "by hand", text)
        self._then = None
        self._apart()
        remedy = "The simulated lab ended with it." if self._in_process else "Press Light off, and look at the bench."
        self.trouble.emit("The process that held the bench has died", text, remedy)

    def _apart(self) -> None:
        self._patience.stop()
        self.bench, self.report = "", None
        self.reports.clear()
        self._enter(Grip.APART)

    def _enter(self, grip: Grip) -> None:
        self.grip = grip
        self.changed.emit()
