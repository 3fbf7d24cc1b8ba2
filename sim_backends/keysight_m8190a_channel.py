"""One channel of a simulated Keysight M8190A: its memory, its output path, and what it plays."""

from __future__ import annotations

from typing import Final

from sim_backends.keysight_m8190a_memory import (
    FORMATS,
    SampleFormat,
    SegmentMemory,
    Sequences,
    SequenceTable,
)
from sim_backends.state import GeneratorChannelState, Playback
from sim_backends.status import ScpiError

#: Output path -> (lowest, highest) amplitude in volts peak to peak, and the same for the offset in volts (data sheet).
AMPLITUDES: Final = {"DAC": (0.1, 0.7), "DC": (0.15, 1.0), "AC": (0.1, 2.0)}
OFFSETS: Final = {"DAC": (-0.02, 0.02), "DC": (-1.0, 3.3)}


class Channel:
    """Settings by name, memory, and ``state``, which is what the optical world sees.

    ``initiated``: between :INITiate:IMMediate and :ABORt.
    """

    def __init__(self, state: GeneratorChannelState, sample_format: SampleFormat) -> None:
        self.state = state
        self.format = sample_format
        self.memory = SegmentMemory()
        self.table = SequenceTable(self.memory)
        self.sequences = Sequences(self.table)
        self.initiated = False
        self._content: Playback | None = None  # what a start would play, until something is written
        # output
        self.output_on = False
        self.route = "DAC"
        self.dac_vpp, self.dc_vpp, self.ac_vpp = 0.7, 0.5, 0.5
        self.dac_offset_v, self.dc_offset_v = 0.0, 0.0
        self.carrier_hz = (0, 0.0)  # whole hertz and the rest; kept and given back
        # run mode: continuous wins over gated, without both it is triggered
        self.continuous = True
        self.gated = False
        self.enable = "SELF"
        # what plays: a segment, a sequence or a scenario
        self.function = "ARB"
        self.segment = 1
        self.segment_loops = 1
        self.segment_advance = "AUTO"
        self.sequence = 0
        self.scenario = 0
        self.scenario_loops = 1
        self.scenario_advance = "AUTO"
        # trigger input
        self.input_disabled = False
        self.stop()
        self.refresh()

    def put(self, name: str, value: object) -> None:
        """Change one setting; what is being played follows."""
        if name == "function" and value != self.function:
            self.stop()
        setattr(self, name, value)
        self.refresh()

    def set_format(self, name: str) -> None:
        """``:TRACe:DWIDth``: stops the channel; memory is kept as it stands."""
        if name != self.format.name:
            self.stop()
            self.format = FORMATS[name]
            self.refresh()

    def amplitude_vpp(self) -> float:
        """Of the selected path."""
        return {"DAC": self.dac_vpp, "DC": self.dc_vpp, "AC": self.ac_vpp}[self.route]

    def refresh(self) -> None:
        """Settings, memory or table were written: let the world see it. Endless output follows, a burst is over.

        Raises ScpiError when there is nothing to play any more; the output is silent then.
        """
        self.forget_content()
        state = self.state
        state.output_on = self.output_on
        state.amplitude_vpp = self.amplitude_vpp()
        state.code_max = self.format.code_max
        playing, state.playback = state.playback, None
        if playing is not None and playing.loops == 0:
            state.playback = self.content()

    def content(self) -> Playback:
        """What a start would play now. Raises ScpiError -221 when there is nothing to play."""
        if self._content is None:
            self._content = self._find_content()
        return self._content

    def forget_content(self) -> None:
        """Something that would be played is about to be deleted."""
        self._content = None

    def _find_content(self) -> Playback:
        if self.format.interpolated:
            raise ScpiError(-221, "interpolated output is not simulated")
        endless = self.continuous or self.gated
        shift = self.format.shift
        if self.function == "STS":
            return self.table.sequence(self.sequence, endless=endless, shift=shift)
        if self.function == "STSC":
            endless = endless or self.scenario_advance == "COND"
            return self.table.scenario(self.scenario, 0 if endless else self.scenario_loops, shift)
        if self.segment not in self.memory:
            raise ScpiError(-221, f"segment {self.segment} is not defined")
        endless = endless or self.segment_advance == "COND"
        loops = 1 if self.segment_advance == "SING" else self.segment_loops
        return self.memory[self.segment].playback(shift, 0 if endless else loops)

    def initiate(self) -> None:
        """``:INITiate:IMMediate``: start at once in continuous mode, else wait for the start event."""
        content = self.content()
        self.initiated = True
        self.state.playback = content if self.continuous and self.enable == "SELF" else None

    def start(self) -> None:
        """The event that the channel waited for has come."""
        self.state.playback = self.content()

    def stop(self) -> None:
        """``:ABORt``."""
        self.initiated = False
        self.state.playback = None

    def burst_over(self) -> None:
        """A finite burst has ended; the channel waits for the next trigger."""
        if self.state.playback is not None and self.state.playback.loops:
            self.state.playback = None

    @property
    def waits_for_trigger(self) -> bool:
        """Armed in triggered mode."""
        return self.initiated and not self.continuous and not self.gated

    @property
    def waits_for_gate(self) -> bool:
        """Armed in gated mode."""
        return self.initiated and not self.continuous and self.gated

    @property
    def waits_for_enable(self) -> bool:
        """Armed in continuous mode with :INITiate:CONTinuous:ENABle ARMed."""
        return self.initiated and self.continuous and self.enable == "ARM"
