"""The run panel: which run on which bench, its main settings in fields with units and limits, and what it will take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PyQt6.QtCore import pyqtSignal
from PyQt6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QSpinBox,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from gui.panels.fields import QuantityField, in_decibels, named
from labctl.config import BenchConfig, RunConfig, load_bench, load_run
from labctl.engine_process.messages import RunRequest
from labctl.errors import LabctlError
from labctl.run_tables import GAIN_ATTACKS, STRENGTHS
from labctl.shipped import bench_path, examples, run_path

HONEST = "nobody deviates"
SUBSTITUTION = "substitution"
ATTACKS = (HONEST, *STRENGTHS, SUBSTITUTION)
#: What an image count of 0 means.
ALL = "all"
#: Largest seed that a field of Qt holds.
MAX_SEED = 2**31 - 1


def shipped(suffix: str) -> list[str]:
    """Names of shipped benches (".bench.toml") or runs (".toml")."""
    names = sorted(path.name.removesuffix(suffix) for path in examples().glob(f"*{suffix}"))
    return [name for name in names if not name.endswith(".bench")]


class RunPanel(QWidget):
    """``bench_chosen``: another bench, by path or name, with its file; ``wrong``: message and remedy."""

    bench_chosen = pyqtSignal(str, object)
    forecast_asked = pyqtSignal()
    wrong = pyqtSignal(str, str)

    def __init__(self, out_dir: Path) -> None:
        super().__init__()
        self._run: RunConfig | None = None
        self._filling = False
        self.run = self._chooser("Run", "RUN.toml, or a shipped run", ".toml")
        self.bench = self._chooser("Bench", "BENCH.toml, or a shipped bench", ".bench.toml")
        self.gain = QuantityField("Gain", "", (1.0001, 1000.0), ratio=True)
        self.decibels = QLabel()
        self.photons = QuantityField("Mean photons", "photons/mode", (0.0001, 1e6), step=0.5)
        self.images = QSpinBox()
        self.images.setRange(0, 1_000_000)
        self.images.setSpecialValueText(ALL)
        named(self.images, "Images", "How many images of the test set; 0: all")
        self.seed = QSpinBox()
        self.seed.setRange(0, MAX_SEED)
        named(self.seed, "Seed", f"All randomness of a simulated run follows from it: 0 to {MAX_SEED}")
        self.attack = QComboBox()
        self.attack.addItems(ATTACKS)
        named(
            self.attack, "Attack", "Who deviates from what was agreed; on the light only where everything is simulated"
        )
        self.strength = QuantityField("Strength of the attack", "", (0.0, 1e6))
        self.curious = QCheckBox("server looks for the data")
        named(self.curious, "Curious server", "The server guesses the data from the residuals of the first layer")
        self.go_on = QCheckBox("go on after an alarm")
        named(self.go_on, "Go on after an alarm", "Only where everything is simulated")
        self.out = QLineEdit(str(out_dir))
        named(self.out, "Folder for run files", "Folder for run files; it is made when it is missing")
        self.predict = QPushButton("Dry run: what will it take?")
        named(self.predict, "Dry run", "Check everything and tell what the run will take; opens no instrument (F4)")
        self.predict.setShortcut("F4")
        self.prediction = QLabel("not predicted yet")
        self.prediction.setWordWrap(True)
        self.prediction.setAccessibleName("Prediction of the dry run")
        self._lay_out()
        self._connect()

    def choose(self, run: str, bench: str | None = None) -> None:
        """Show a run, on a bench of its own choice or another."""
        self._select(self.run, run)
        if bench is not None:
            self._select(self.bench, bench)

    def request(self, *, forecast_only: bool = False) -> RunRequest:
        """The run as it stands in the fields: only what differs from its file is overridden."""
        return RunRequest(
            self.run.currentText(), self.overrides(), self.out.text().strip() or "runs", forecast_only=forecast_only
        )

    def overrides(self) -> dict[str, Any]:
        """Keys of RUN.toml that the fields change."""
        wanted: dict[str, Any] = {
            "bench": self.bench.currentText(),
            "gain": self.gain.value(),
            "mean_photons": self.photons.value(),
            "images": self.images.value() or None,
            "seed": self.seed.value(),
            "on_alarm": "continue" if self.go_on.isChecked() else "stop",
            "adversary": self._adversary(),
        }
        if self._run is None:
            return wanted
        given = self._run.model_dump(mode="json")
        return {key: value for key, value in wanted.items() if value != given[key] and value is not None}

    def show_prediction(self, found: dict[str, Any]) -> None:
        """What the dry run said."""
        lines = [*found["lines"], f"clean network: {found['clean_accuracy']:.2%} of these images"]
        self.prediction.setText("\n".join(lines))

    def show_problem(self, message: str, remedy: str) -> None:
        """Why the run cannot be made."""
        self.prediction.setText(f"✖ {message}\n{remedy}")

    def set_enabled(self, enabled: bool) -> None:
        """Fields hold still while a run goes on."""
        for widget in self._fields():
            widget.setEnabled(enabled)

    def _adversary(self) -> dict[str, Any]:
        attack = self.attack.currentText()
        given = None if self._run is None else self._run.adversary
        found: dict[str, Any] = {"client_gain": None, "attack": None, "strength": None}
        if given is not None and given.client_gain == self.strength.value() and attack == "greedy":
            found["client_gain"] = given.client_gain  # as the file has it
        elif attack != HONEST:
            found["attack"] = attack
            found["strength"] = None if attack == SUBSTITUTION else self.strength.value()
        return {**found, "server_recovers_data": self.curious.isChecked()}

    def _fields(self) -> tuple[QWidget, ...]:
        return (
            self.run,
            self.bench,
            self.gain,
            self.photons,
            self.images,
            self.seed,
            self.attack,
            self.strength,
            self.curious,
            self.go_on,
            self.out,
        )

    def _chooser(self, name: str, hint: str, suffix: str) -> QComboBox:
        box = QComboBox()
        box.setEditable(True)
        box.addItems(shipped(suffix))
        named(box, name, hint)
        return box

    def _browse(self, box: QComboBox, pattern: str) -> None:
        chosen, _ = QFileDialog.getOpenFileName(self, f"Choose a {box.accessibleName().lower()} file", "", pattern)
        if chosen:
            self._select(box, chosen)

    def _select(self, box: QComboBox, name: str) -> None:
        if box.findText(name) < 0:
            box.addItem(name)
        box.setCurrentText(name)
        self._chosen(box)

    def _chosen(self, box: QComboBox) -> None:
        if self._filling:
            return
        try:
            if box is self.run:
                self._fill(load_run(run_path(box.currentText()), {}))
            bench = self.bench.currentText()
            self._limit(bench, load_bench(bench_path(bench)))
        except LabctlError as error:
            self.wrong.emit(str(error), error.remedy)
            self.show_problem(str(error), error.remedy)

    def _fill(self, run: RunConfig) -> None:
        self._run = run
        self._filling = True
        self.gain.set_limits(1.0001, 1000.0)
        self.gain.setValue(run.gain)
        self.photons.setValue(run.mean_photons)
        self.images.setValue(run.images or 0)
        self.seed.setValue(min(run.seed, MAX_SEED))
        self.attack.setCurrentText(run.adversary.kind or HONEST)
        strength = run.adversary.client_gain if run.adversary.strength is None else run.adversary.strength
        self._limit_strength()
        self.strength.setValue(strength or 0.0)
        self.curious.setChecked(run.adversary.server_recovers_data)
        self.go_on.setChecked(run.on_alarm == "continue")
        if self.bench.findText(run.bench) < 0:
            self.bench.addItem(run.bench)
        self.bench.setCurrentText(run.bench)
        self._filling = False

    def _limit(self, name: str, bench: BenchConfig) -> None:
        gains = [point.gain for point in bench.amplifier.pump_calibration]
        self.gain.set_limits(max(1.0001, gains[0]), gains[-1])
        self.go_on.setEnabled(bench.simulated)
        self.bench_chosen.emit(name, bench)

    def _limit_strength(self) -> None:
        attack = self.attack.currentText()
        low, high = STRENGTHS.get(attack, (0.0, 0.0))
        self.strength.set_limits(low + (1e-4 if attack in GAIN_ATTACKS else 0.0), high)
        self.strength.setVisible(attack in STRENGTHS)

    def _connect(self) -> None:
        for box in (self.run, self.bench):
            box.activated.connect(lambda _, chosen=box: self._chosen(chosen))
            line = box.lineEdit()
            assert line is not None
            line.editingFinished.connect(lambda chosen=box: self._chosen_by_hand(chosen))
        self.gain.valueChanged.connect(lambda gain: self.decibels.setText(in_decibels(gain)))
        self.attack.currentTextChanged.connect(self._limit_strength)
        self.predict.clicked.connect(self.forecast_asked)

    def _chosen_by_hand(self, box: QComboBox) -> None:
        if box.findText(box.currentText()) < 0:
            self._chosen(box)

    def _lay_out(self) -> None:
        form = QFormLayout()
        for box, pattern in ((self.run, "Run files (*.toml)"), (self.bench, "Bench files (*.toml)")):
            form.addRow(box.accessibleName(), _beside(box, self._browser(box, pattern)))
        form.addRow("Gain G", _beside(self.gain, self.decibels))
        form.addRow("Photons μ", self.photons)
        form.addRow("Images", self.images)
        form.addRow("Seed", self.seed)
        form.addRow("Adversary", _beside(self.attack, self.strength))
        form.addRow("", self.curious)
        form.addRow("", self.go_on)
        form.addRow("Run files to", self.out)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 4, 6, 4)
        layout.addLayout(form)
        layout.addWidget(self.predict)
        layout.addWidget(self.prediction)
        layout.addStretch(1)
        self._limit_strength()

    def _browser(self, box: QComboBox, pattern: str) -> QToolButton:
        button = QToolButton()
        button.setText("…")
        named(button, f"Browse for a {box.accessibleName().lower()}", "Choose a file")
        button.clicked.connect(lambda: self._browse(box, pattern))
        return button


def _beside(wide: QWidget, narrow: QWidget) -> QHBoxLayout:
    line = QHBoxLayout()
    line.addWidget(wide, 1)
    line.addWidget(narrow)
    return line
