"""One channel of a simulated Tektronix AWG5200 or AWG70000: its settings, its asset, and where it is in playing it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sim_backends.state import GeneratorChannelState, Playback
from sim_backends.status import ScpiError
from sim_backends.tektronix_awg5200_memory import Lists

STOPPED, WAITING, RUNNING = 0, 1, 2


@dataclass(frozen=True)
class Model:
    """One model. ``max_rates``: highest sample rate by option. ``amplitudes_vpp``: limits by output path."""

    channels: int
    bits: int
    markers: int
    min_length: int
    min_rate_hz: float
    max_rates: tuple[tuple[str, float], ...]
    amplitudes_vpp: tuple[tuple[str, tuple[float, float]], ...]

    def max_rate_hz(self, options: list[str]) -> float:
        """With these options fitted."""
        return next((rate for option, rate in self.max_rates if not option or option in options), 0.0)


_PATHS_5200: Final = (
    ("DCHB", (0.025, 0.75)),
    ("DCHV", (0.01, 5.0)),
    ("ACD", (0.025, 0.75)),
    ("ACAM", (0.025, 1.5)),
)
_PATHS_70000: Final = (("DIR", (0.25, 0.5)), ("DCAM", (0.25, 0.5)), ("AC", (0.25, 0.5)))
_RATES_5200: Final = (("25", 2.5e9), ("", 5e9))
_RATES_70002: Final = (("208", 8e9), ("216", 16e9), ("", 25e9))

MODELS: Final = {
    "AWG5202": Model(2, 16, 4, 2400, 300.0, _RATES_5200, _PATHS_5200),
    "AWG5204": Model(4, 16, 4, 2400, 300.0, _RATES_5200, _PATHS_5200),
    "AWG5208": Model(8, 16, 4, 2400, 300.0, _RATES_5200, _PATHS_5200),
    "AWG70001A": Model(1, 10, 2, 4800, 1490.0, (("", 50e9),), _PATHS_70000),
    "AWG70002A": Model(2, 10, 2, 4800, 1490.0, _RATES_70002, _PATHS_70000),
}


class Channel:
    """``state`` is what the world sees. ``run_mode_holds``: a sequence obeys the run mode as a waveform does."""

    def __init__(self, state: GeneratorChannelState, model: Model, lists: Lists, *, run_mode_holds: bool) -> None:
        self.state = state
        self._lists = lists
        self._run_mode_holds = run_mode_holds
        self._full_bits = model.bits
        self.output_on = False
        self.all_off = False
        self.amplitude_vpp = dict(model.amplitudes_vpp)[model.amplitudes_vpp[0][0]][1]
        self.offset_v = 0.0
        self.path = model.amplitudes_vpp[0][0]
        self.resolution = model.bits
        self.run_mode = "CONT"
        self.trigger_input = "ATR"
        self.waveform = ""
        self.sequence = ""
        self.track = 1
        self.run_state = STOPPED
        self._next = 1  # step that is played next
        self._waits_for = ""
        self.refresh()

    def put(self, name: str, value: object) -> None:
        """Change one setting."""
        setattr(self, name, value)
        self.refresh()

    def refresh(self) -> None:
        """Let the world see the settings; a burst is over, endless output follows what changed."""
        state = self.state
        state.output_on = self.output_on and not self.all_off
        state.amplitude_vpp = self.amplitude_vpp
        state.code_max = (1 << (self.resolution - 1)) - 1
        playing, state.playback = state.playback, None
        if playing is not None and playing.loops == 0 and self.run_state == RUNNING:
            self._play(self._next)

    # ---- assets --------------------------------------------------------------------------------

    def assign(self, waveform: str = "", sequence: str = "", track: int = 1) -> None:
        """What plays from now on: a waveform, a track of a sequence, or nothing."""
        if waveform:
            self._lists.waveform(waveform).check_playable()
        if sequence and track > self._lists.sequence(sequence).tracks:
            raise ScpiError(-222, f"track {track}")
        self.waveform, self.sequence, self.track = waveform, sequence, track
        if not waveform and not sequence:
            self.stop()

    @property
    def asset(self) -> str:
        """As :SOURce:CASSet? shows it."""
        return f"{self.sequence},{self.track}" if self.sequence else self.waveform

    @property
    def marked(self) -> bool:
        """Whether a marker is high at the first sample of what starts now."""
        if self.resolution == self._full_bits:
            return False
        name = self.waveform
        if self.sequence:
            name = self._lists.sequence(self.sequence).steps[self._next - 1].tracks[self.track - 1]
        return bool(self._lists.waveform(name).markers[:1].any())

    # ---- running -------------------------------------------------------------------------------

    def run(self) -> None:
        """:AWGControl:RUN. Raises ScpiError when there is nothing that can be played."""
        if not self.waveform and not self.sequence:
            return
        self._next = 1
        self._check()
        first = self._first_wait()
        if first:
            self.state.playback = None
            self.run_state, self._waits_for = WAITING, first
        else:
            self._play(1)

    def _check(self) -> None:
        if not self.sequence:
            self._lists.waveform(self.waveform)
            return
        sequence = self._lists.sequence(self.sequence)
        for step in sequence.steps:
            self._lists.waveform(step.tracks[self.track - 1])

    def _first_wait(self) -> str:
        held = self.run_mode != "CONT" and (not self.sequence or self._run_mode_holds)
        if held:
            return self.trigger_input
        if self.sequence:
            wait = self._lists.sequence(self.sequence).steps[0].wait
            return "" if wait == "OFF" else wait
        return ""

    def stop(self) -> None:
        """:AWGControl:STOP."""
        self.run_state, self._waits_for = STOPPED, ""
        self.state.playback = None

    def waits_for(self, trigger: str) -> bool:
        """Whether this trigger starts something."""
        return self.run_state == WAITING and self._waits_for == trigger

    def start(self) -> None:
        """The trigger came."""
        self._play(self._next)

    def _play(self, first: int) -> None:
        code_max = self.state.code_max
        if not self.sequence:
            endless = self.run_mode in ("CONT", "TCON", "GAT")
            self.state.playback = self._lists.waveform(self.waveform).playback(code_max, 0 if endless else 1)
            self.run_state = RUNNING if endless else WAITING
            return
        sequence = self._lists.sequence(self.sequence)
        numbers, after = self._lists.run_of(sequence, first)
        endless = after == -1 and not (self.run_mode == "TRIG" and self._run_mode_holds and self._ends(numbers))
        self.state.playback = self._lists.playback(sequence, self.track, numbers, code_max, endless=endless)
        self._go_on(endless=endless, after=after)

    def _ends(self, numbers: list[int]) -> bool:
        """Whether a sequence that would go round plays once in the triggered mode: none of its steps is endless."""
        steps = self._lists.sequence(self.sequence).steps
        return all(steps[number - 1].repeats for number in numbers)

    def _go_on(self, *, endless: bool, after: int) -> None:
        if endless:
            self.run_state = RUNNING
            return
        if after > 0:
            self.run_state, self._next = WAITING, after
            self._waits_for = self._lists.sequence(self.sequence).steps[after - 1].wait
            return
        self._next = 1
        wait = self._first_wait()
        self.run_state, self._waits_for = (WAITING, wait) if wait else (STOPPED, "")

    def burst_over(self) -> None:
        """A finite burst has ended."""
        playing: Playback | None = self.state.playback
        if playing is not None and playing.loops:
            self.state.playback = None
