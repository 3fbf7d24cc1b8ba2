"""The line at the top: Start, Pause, Resume, Abort, LIGHT OFF with its read-back, and how far the run is."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from PyQt6.QtCore import Qt, pyqtSignal
from PyQt6.QtGui import QAction, QKeySequence
from PyQt6.QtWidgets import QHBoxLayout, QLabel, QProgressBar, QPushButton, QVBoxLayout, QWidget

from gui.conductor import Conductor, Phase
from gui.quantities import duration, number
from gui.theme import GREEN, ORANGE, SKY, VERMILION, Status
from labctl.events import LightOff

BANNER = "◆ SIMULATED: no laser, generator or detector is connected; run files say so too"
_BUTTON = "QPushButton {{ border: 2px solid {colour}; border-radius: 4px; font-weight: bold; padding: 6px 12px; }}"
_LIGHT = (
    f"QPushButton {{ background: {VERMILION}; color: white; border: 3px solid white; border-radius: 6px;"
    " font-weight: bold; font-size: 15px; padding: 8px 18px; }"
    f"QPushButton:pressed {{ background: #8f3e00; }}"
)


class Controls(QWidget):
    """Buttons with the same names and shortcuts as the menu's actions. ``start_asked``: the run panel knows what."""

    start_asked = pyqtSignal()

    def __init__(self, conductor: Conductor) -> None:
        super().__init__()
        self._conductor = conductor
        self.banner = QLabel(BANNER)
        self.banner.setStyleSheet(f"background: {SKY}; color: black; padding: 4px; font-weight: bold;")
        self.banner.setAccessibleName("Simulated bench")
        self.start = self._action("▶ Start", "F5", "Start the run of the run panel", self.start_asked.emit)
        self.pause = self._action("‖ Pause", "F6", "Hold before the next shot; the light stays on", conductor.pause)
        self.resume = self._action("▷ Resume", "F7", "Go on after a pause", conductor.resume)
        self.abort = self._action("■ Abort", "F8", "End the run before its next shot, light off first", conductor.abort)
        self.light = self._action(
            "LIGHT OFF", "F12", "Everything dark now, whatever goes on, and read back", conductor.light_off
        )
        self.buttons = {
            action.text(): self._button(action, colour)
            for action, colour in (
                (self.start, GREEN),
                (self.pause, ORANGE),
                (self.resume, GREEN),
                (self.abort, VERMILION),
            )
        }
        self.light_button = self._button(self.light, VERMILION)
        self.light_button.setStyleSheet(_LIGHT)
        self.readback = QLabel("light: not known")
        self.readback.setAccessibleName("Read-back of the light")
        self.progress = QProgressBar()
        self.progress.setAccessibleName("Progress of the run")
        self.progress.setRange(0, 1000)
        self.words = QLabel("idle")
        self.words.setAccessibleName("State of the run")
        self._lay_out()
        conductor.changed.connect(self.show_phase)
        conductor.dark.connect(self.show_dark)
        self.show_phase()

    def actions_in_order(self) -> list[QAction]:
        """For the menu."""
        return [self.start, self.pause, self.resume, self.abort, self.light]

    def show_simulated(self, simulated: bool) -> None:
        """Put the banner up or away."""
        self.banner.setVisible(simulated)

    def show_phase(self) -> None:
        """Which buttons do something."""
        phase = self._conductor.phase
        self.start.setEnabled(phase.free)
        self.pause.setEnabled(phase is Phase.RUNNING)
        self.resume.setEnabled(phase is Phase.PAUSED)
        self.abort.setEnabled(phase.run_goes_on or phase is Phase.REPLAYING)
        for action, button in zip(self.actions_in_order()[:-1], self.buttons.values(), strict=True):
            button.setEnabled(action.isEnabled())
        if phase is Phase.RUNNING:
            self._show_readback(Status.WARNING, "light: ON")
        elif phase is Phase.LOST:
            self._show_readback(Status.BAD, "light: not known, the engine died")
        self.refresh()

    def show_dark(self, event: LightOff) -> None:
        """What the read-back said."""
        time = datetime.now().astimezone().strftime("%H:%M:%S")
        lit = [state.instrument for state in event.readback if not state.dark]
        if lit:
            self._show_readback(Status.BAD, f"NOT CONFIRMED DARK: {', '.join(lit)}")
        else:
            self._show_readback(Status.OFF, f"dark: {len(event.readback)} instruments read back at {time}")

    def refresh(self) -> None:
        """Progress, rate, and time to go."""
        model, phase = self._conductor.model, self._conductor.phase
        total, done = model.expected_images, model.done_images
        per_mille = round(1000 * done / total) if total else 0
        if per_mille != self.progress.value():  # Qt repaints at once
            self.progress.setValue(per_mille)
        parts = [phase.value]
        if total:
            parts.append(f"image {done} of {total}")
        if phase is Phase.RUNNING:
            parts += [f"{number(model.rate(), 3)} images/s", f"ETA {duration(model.remaining_s())}"]
        if model.finished is not None and not phase.run_goes_on:
            parts.append(f"verdict: {model.finished.verdict or 'none'}")
        if model.alarm is not None:
            parts.append(f"▲ ALARM in image {model.alarm.image + 1}")
        text = " · ".join(parts)
        if text != self.words.text():
            self.words.setText(text)

    def _show_readback(self, status: Status, text: str) -> None:
        self.readback.setText(f"{status.html()} {text}")
        self.readback.setAccessibleDescription(text)

    def _action(self, text: str, key: str, hint: str, slot: Callable[[], object]) -> QAction:
        action = QAction(text, self)
        action.setShortcut(QKeySequence(key))
        action.setShortcutContext(Qt.ShortcutContext.ApplicationShortcut)
        action.setToolTip(f"{hint} ({key})")
        action.setStatusTip(hint)
        action.triggered.connect(slot)
        self.addAction(action)
        return action

    def _button(self, action: QAction, colour: str) -> QPushButton:
        key = action.shortcut().toString()
        button = QPushButton(f"{action.text()}  [{key}]")
        button.setToolTip(action.toolTip())
        button.setAccessibleName(action.text().lstrip("▶‖▷■ "))
        button.setStyleSheet(_BUTTON.format(colour=colour))
        button.clicked.connect(action.trigger)
        return button

    def _lay_out(self) -> None:
        line = QHBoxLayout()
        for button in self.buttons.values():
            line.addWidget(button)
        state = QVBoxLayout()
        state.setSpacing(2)
        state.addWidget(self.words)
        state.addWidget(self.progress)
        line.addLayout(state, 1)
        line.addWidget(self.readback)
        line.addWidget(self.light_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 4, 6, 2)
        layout.addWidget(self.banner)
        layout.addLayout(line)
