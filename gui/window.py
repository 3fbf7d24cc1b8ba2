"""The main window: views in docks, and one timer, whose every turn draws the one that has waited longest."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from PyQt6.QtCore import QCoreApplication, QEvent, QSettings, QSize, Qt, QTimer
from PyQt6.QtGui import QAction, QCloseEvent, QKeySequence
from PyQt6.QtWidgets import QApplication, QFileDialog, QLabel, QMainWindow, QMenu, QMessageBox, QToolBar

from gui.conductor import Conductor, Phase
from gui.keys import KeysWindow
from gui.layout import Docks
from gui.layout_menu import LayoutMenu
from gui.panels.circuit import CircuitView
from gui.panels.controls import Controls
from gui.panels.history import HistoryPanel
from gui.panels.instruments import InstrumentsPanel
from gui.panels.log_panel import LogPanel
from gui.panels.run_panel import RunPanel
from gui.plots.confusion import ConfusionView
from gui.plots.courses import AccuracyPlot, NoisePlot, TestPlot, TransmittancePlot
from gui.plots.layers import LayersPlot
from gui.plots.leakage import LeakageView
from gui.plots.pictures import AdversaryView, ImageView
from gui.plots.receiver import HistogramPlot, SpectrumPlot
from gui.rounds import Rounds
from gui.theme import DARK, LIGHT, THEMES, Status, Theme, use
from gui.view import View, is_seen
from labctl.config import BenchConfig
from labctl.engine_process.messages import RunEnded
from labctl.errors import LabctlError
from labctl.shipped import bench_path, run_path

#: Between two turns, ms, of which each draws a view or a few; between two draws of a view, s.
TURN_MS, FRAME_S = 5, 0.044
#: Between two looks at what people read: texts, log and progress, s.
SELDOM_S = 0.2
#: Of the docks, in the order in which they were added.
DOCK_KEYS = [f"{held}+{digit}" for held in ("Ctrl", "Alt", "Ctrl+Shift") for digit in range(1, 10)]
#: The engine is said to hang when it has passed no checkpoint for so long, s.
HANGING_S = 5.0


class MainWindow(QMainWindow):
    """``settings``: where layout and theme are kept between sessions. ``unattended``: close without a question."""

    def __init__(self, settings: QSettings, out_dir: Path = Path("runs")) -> None:
        super().__init__()
        self.setWindowTitle("labctl")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose, False)
        self._settings = settings
        self.conductor = Conductor(self)
        self.controls = Controls(self.conductor)
        self.run_panel = RunPanel(out_dir)
        self.instruments = InstrumentsPanel(self.conductor)
        self.log = LogPanel(self.conductor.journal)
        self.history = HistoryPanel(self.conductor, out_dir)
        self.views: dict[str, View] = {
            "accuracy": AccuracyPlot(),
            "confusion": ConfusionView(),
            "layers": LayersPlot(),
            "noise": NoisePlot(),
            "histogram": HistogramPlot(),
            "spectrum": SpectrumPlot(),
            "test": TestPlot(),
            "transmittance": TransmittancePlot(),
            "leakage": LeakageView(),
            "adversary": AdversaryView(),
            "image": ImageView(),
            "circuit": CircuitView(),
        }
        self.unattended = False
        self._bench: BenchConfig | None = None
        self._bench_name = ""
        self._read_s = 0.0
        self._rounds = Rounds()
        for key, view in self.views.items():
            self._rounds.add(key, partial(self._draw, view), FRAME_S)
        self._fill_docks()
        self._make_menus()
        self._make_status_bar()
        self._connect()
        self.theme: Theme = THEMES.get(str(settings.value("theme", DARK.name)), DARK)
        self.use_theme(self.theme)
        if not self.docks.restore(settings):
            self.resize(1600, 950)
            self.docks.arrange()
        self.conductor.samples_wanted = self._receiver_is_seen
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self.refresh)
        self._timer.start(TURN_MS)

    # --- what can be done -----------------------------------------------------------------------------------------

    def choose(self, run: str, bench: str | None = None) -> None:
        """Show a run's settings in the run panel."""
        self.run_panel.choose(run, bench)

    def start_run(self) -> None:
        """The run as the fields have it."""
        request = self.run_panel.request()
        self._use_panels_bench()
        self.history.set_folder(Path(request.out_dir))
        self.conductor.start(request)

    def replay(self, path: Path) -> None:
        """Show a recorded run."""
        if self.conductor.phase.run_goes_on:
            QMessageBox.information(
                self, "A run goes on", "Wait for its end, or open a second window: labctl gui --replay."
            )
            return
        self.setWindowTitle(f"labctl: {path.name}")
        self.conductor.replay(path)

    def restore_session(self) -> None:
        """The run and bench of the last time, where they are still there."""
        run, bench, folder = (str(self._settings.value(f"session/{key}", "")) for key in ("run", "bench", "folder"))
        try:
            run_path(run)
            bench_path(bench)
        except LabctlError:
            run, bench = "digits", "ideal"
        if folder:
            self.run_panel.out.setText(folder)
        self.choose(run, bench)

    def use_theme(self, theme: Theme) -> None:
        """Dark or light, now and the next time."""
        self.theme = theme
        self._settings.setValue("theme", theme.name)
        use(theme)
        for view in self.views.values():
            view.use_theme(theme)
        for name, action in self._theme_actions.items():
            action.setChecked(name == theme.name)

    def refresh(self) -> None:
        """The view that has waited longest, of those that are visible and have something new; now and then texts."""
        now_s = time.monotonic()
        if now_s - self._read_s < SELDOM_S:
            self._rounds.turn(now_s)
            return
        self._read_s = now_s
        self.log.refresh()
        self.instruments.refresh(self.conductor.model)
        self.controls.refresh()
        self._show_state()

    def _draw(self, view: View) -> bool:
        return view.refresh(self.conductor.model)

    # --- making it ----------------------------------------------------------------------------------------------------

    def _fill_docks(self) -> None:
        self.docks = Docks(self)
        bar = QToolBar("Controls", self)
        bar.setObjectName("controls")
        bar.setMovable(False)
        bar.addWidget(self.controls)
        self.addToolBar(bar)
        hiding = bar.toggleViewAction()
        assert hiding is not None
        hiding.setVisible(False)  # nobody shall put Light off out of sight
        self.docks.add("run", "Run", self.run_panel, scroll=True)
        self.docks.add("instruments", "Instruments", self.instruments)
        for key, view in self.views.items():
            self.docks.add(key, view.title, view)
        self.docks.add("log", "Event log", self.log)
        self.docks.add("history", "Run history", self.history)

    def _make_menus(self) -> None:
        file, run, view, help_ = (self._menu(name) for name in ("&File", "&Run", "&View", "&Help"))
        self._add(file, "Open run &file…", "Ctrl+O", "Show a recorded run", self._ask_for_file)
        self._add(
            file, "&Take up a run…", "Ctrl+T", "Go on with a run that was ended before its time", self._ask_to_take_up
        )
        self._add(file, "&Quit", "Ctrl+Q", "Close the window", self.close)
        for action in self.controls.actions_in_order():
            run.addAction(action)
        self._theme_actions: dict[str, QAction] = {}
        for theme, key in ((DARK, "Ctrl+Shift+D"), (LIGHT, "Ctrl+Shift+L")):
            action = self._add(
                view, f"{theme.name.capitalize()} theme", key, "Colours", lambda _=False, t=theme: self.use_theme(t)
            )
            action.setCheckable(True)
            self._theme_actions[theme.name] = action
        self.layouts = LayoutMenu(self.docks, self._settings, self)
        view.addMenu(self.layouts)
        view.addSeparator()
        for key, action in zip(DOCK_KEYS, self.docks.toggles(), strict=False):
            action.setShortcut(QKeySequence(key))
            action.setToolTip(f"Show or hide {action.text()}")
            view.addAction(action)
        self._add(help_, "&Keys", "F1", "All shortcuts", self._show_keys)

    def _menu(self, name: str) -> QMenu:
        bar = self.menuBar()
        assert bar is not None
        menu = bar.addMenu(name)
        assert menu is not None
        menu.setToolTipsVisible(True)
        return menu

    def _add(self, menu: QMenu, text: str, key: str, hint: str, slot: Callable[..., object]) -> QAction:
        action = QAction(text, self)
        if key:
            action.setShortcut(QKeySequence(key))
        action.setToolTip(hint)
        action.setStatusTip(hint)
        action.triggered.connect(slot)
        menu.addAction(action)
        return action

    def _make_status_bar(self) -> None:
        self._state = QLabel()
        self._state.setAccessibleName("State of engine and window")
        bar = self.statusBar()
        assert bar is not None
        bar.addPermanentWidget(self._state)

    def _connect(self) -> None:
        self.controls.start_asked.connect(self.start_run)
        self.run_panel.bench_chosen.connect(self._bench_chosen)
        self.run_panel.forecast_asked.connect(self._forecast)
        self.conductor.changed.connect(self._phase_changed)
        self.conductor.trouble.connect(self.show_trouble)
        self.conductor.ended.connect(self._ended)
        self.history.replay_asked.connect(self.replay)

    # --- what happens -------------------------------------------------------------------------------------------------

    def _bench_chosen(self, name: str, bench: BenchConfig) -> None:
        self._bench = bench
        self._bench_name = name
        if not self.conductor.phase.run_goes_on:
            self._use_panels_bench()
        self.instruments.show_bench(bench)
        self._show_banner()

    def _use_panels_bench(self) -> None:
        if self._bench is not None:
            self.conductor.use_bench(self._bench_name, in_process=self._bench.in_process)

    def _show_banner(self) -> None:
        started = self.conductor.model.started
        shown = self.conductor.phase is not Phase.IDLE and started is not None
        simulated = (
            started.simulated if shown and started is not None else self._bench is not None and self._bench.simulated
        )
        self.controls.show_simulated(simulated)

    def _phase_changed(self) -> None:
        self.run_panel.set_enabled(not self.conductor.phase.run_goes_on)
        self._show_banner()

    def _forecast(self) -> None:
        self.run_panel.prediction.setText("looking…")
        self.conductor.forecast(
            self.run_panel.request(forecast_only=True),
            self.run_panel.show_prediction,
            lambda problem: self.run_panel.show_problem(problem.message, problem.remedy),
        )

    def _ended(self, outcome: RunEnded) -> None:
        if outcome.run_file is not None:
            self.history.look()
        self.conductor.model.version += 1  # draw the end

    def show_trouble(self, title: str, message: str, remedy: str) -> None:
        """What went wrong, and what to do; the window stays usable meanwhile."""
        box = QMessageBox(QMessageBox.Icon.Warning, title, message, QMessageBox.StandardButton.Ok, self)
        box.setInformativeText(remedy)
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        box.setModal(False)
        box.show()

    def _receiver_is_seen(self) -> bool:
        return any(is_seen(self.views[key]) for key in ("histogram", "spectrum"))

    def _show_state(self) -> None:
        phase, silent = self.conductor.phase, self.conductor.silence_s()
        if phase in (Phase.RUNNING, Phase.STOPPING) and silent > HANGING_S:
            engine = f"{Status.BAD.html()} no step of the engine for {silent:.0f} s"
        elif phase is Phase.LOST:
            engine = f"{Status.BAD.html()} engine lost"
        elif phase.run_goes_on:
            engine = f"{Status.ON.html()} engine: a step {silent:.1f} s ago"
        else:
            engine = f"{Status.OFF.html()} engine: {phase.value}"
        missed = self.conductor.model.missed
        text = engine
        self._state.setToolTip(f"the plots are drawn {self._rounds.per_second(time.monotonic()):.0f} times a second")
        text += f" &nbsp; {Status.WARNING.html()} {missed} events not shown" if missed else ""
        if self._state.text() != text:
            self._state.setText(text)

    def _ask_for_file(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(self, "Open a run file", str(self.history.folder), "Run files (*.h5)")
        if chosen:
            self.replay(Path(chosen))

    def _ask_to_take_up(self) -> None:
        folder = str(self.history.folder)
        chosen, _ = QFileDialog.getOpenFileName(self, "Take up a run", folder, "Run files (*.h5)")
        if chosen:
            self.conductor.take_up(Path(chosen))

    def _show_keys(self) -> None:
        KeysWindow(self).show()

    # --- the end ------------------------------------------------------------------------------------------------------

    def closeEvent(self, event: QCloseEvent | None) -> None:
        """In mid-run it asks: let the run go on by itself, end it, or stay."""
        if event is None:
            return
        leave = self.unattended
        if self.conductor.phase.run_goes_on and not self.unattended:
            answer = self._ask_about_the_run()
            if answer == "stay":
                event.ignore()
                return
            leave = answer == "leave"
            if not leave:
                self._end_run_first()
        self._timer.stop()
        self.docks.save(self._settings)
        panel = self.run_panel
        for key, value in (
            ("run", panel.run.currentText()),
            ("bench", panel.bench.currentText()),
            ("folder", panel.out.text()),
        ):
            self._settings.setValue(f"session/{key}", value)
        self.conductor.close(leave=leave)
        event.accept()

    def dispose(self) -> None:
        """Take a closed window apart now, and not piece by piece when Python collects it, in no good order."""
        self.deleteLater()
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)

    def _ask_about_the_run(self) -> str:
        box = QMessageBox(
            QMessageBox.Icon.Question, "A run goes on", "A run goes on. What shall become of it?", parent=self
        )
        box.setInformativeText("It can go on to its end without this window; its file then tells how it went.")
        role = QMessageBox.ButtonRole
        leave = box.addButton("Let it go on", role.AcceptRole)
        abort = box.addButton("Abort it, light off", role.DestructiveRole)
        box.setDefaultButton(box.addButton("Stay", role.RejectRole))
        if self.conductor.phase is Phase.PAUSED and leave is not None:
            leave.setEnabled(False)
            box.setInformativeText("It is paused: without this window nobody could let it go on.")
        box.exec()
        pressed = box.clickedButton()
        return "leave" if pressed is leave else "abort" if pressed is abort else "stay"

    def _end_run_first(self) -> None:
        """Light off, then the end; closing waits for it, and kills a simulated engine that does not answer."""
        self.conductor.light_off()
        until = time.monotonic() + 15
        while self.conductor.phase.run_goes_on and time.monotonic() < until:
            QApplication.processEvents()

    def sizeHint(self) -> QSize:
        """For a full-HD screen."""
        return QSize(1600, 950)
