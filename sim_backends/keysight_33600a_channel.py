"""One channel of a simulated Keysight 33500 or 33600 Series generator: waveforms in its memory, settings, triggers.

After public drivers: DATA, FUNCtion:ARBitrary, BURSt, TRIGger, INITiate and OUTPut:LOAD. A waveform is 16-bit codes
from -32767 to 32767, whatever the converter has.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sim_backends.state import GeneratorChannelState, Playback
from sim_backends.status import ScpiError

CODE_MAX: Final = 32767
#: Volatile memory holds this waveform after it was cleared.
BUILT_IN: Final = r"INT:\BUILTIN\EXP_RISE.ARB"
BUILT_IN_POINTS: Final = 400
LONGEST_NAME: Final = 12
RESET_RATE_HZ: Final = 40e3
#: The front end unrolls sequences; longer ones are refused instead of filling the computer's memory.
MAX_UNROLLED_SAMPLES: Final = 1 << 26
#: What the amplitude is told for: the source has 50 ohms, and the bench's cables end in as many.
SOURCE_OHM: Final = 50.0
OPEN_OHM: Final = 9.9e37

_versions = itertools.count(1)


@dataclass(frozen=True)
class Model:
    """What the models differ in."""

    channels: int
    converter_bits: int
    shortest: int
    memory_points: int
    max_rate_hz: float
    max_frequency_hz: float

    @property
    def max_unfiltered_hz(self) -> float:
        """With the filter off."""
        return self.max_rate_hz / 4


MODELS: Final = {
    "33511B": Model(1, 16, 8, 1_000_000, 250e6, 20e6),
    "33512B": Model(2, 16, 8, 1_000_000, 250e6, 20e6),
    "33522B": Model(2, 16, 8, 1_000_000, 250e6, 30e6),
    "33611A": Model(1, 14, 32, 4_000_000, 1e9, 80e6),
    "33612A": Model(2, 14, 32, 4_000_000, 1e9, 80e6),
    "33621A": Model(1, 14, 32, 4_000_000, 1e9, 120e6),
    "33622A": Model(2, 14, 32, 4_000_000, 1e9, 120e6),
}


@dataclass
class Waveform:
    """One waveform, or a sequence unrolled. ``endless``: a sequence whose last step repeats for ever."""

    codes: NDArray[np.int16]
    endless: bool = False
    rate_hz: float = RESET_RATE_HZ
    _playbacks: dict[tuple[int, bool], Playback] = field(default_factory=dict)

    def playback(self, loops: int, inverted: bool) -> Playback:
        """The same object for the same request; the content of a waveform never changes."""
        key = (0 if self.endless else loops, inverted)
        if key not in self._playbacks:
            codes = np.negative(self.codes) if inverted else self.codes
            self._playbacks[key] = Playback(codes, key[0], next(_versions))
        return self._playbacks[key]


class Memory:
    """Volatile memory of one channel. Raises ScpiError with the instrument's own numbers."""

    def __init__(self, points: int, shortest: int) -> None:
        self._points = points
        self._shortest = shortest
        self.clear()

    def clear(self) -> None:
        """DATA:VOLatile:CLEar: only the built-in waveform is left."""
        rise = 1 - np.exp(-np.linspace(0, 5, BUILT_IN_POINTS))
        self._waveforms = {BUILT_IN: Waveform(np.rint(CODE_MAX * rise).astype(np.int16))}

    @property
    def names(self) -> list[str]:
        """In the order of loading."""
        return list(self._waveforms)

    @property
    def free(self) -> int:
        """Points that can still be loaded."""
        return self._points - sum(len(each.codes) for name, each in self._waveforms.items() if name != BUILT_IN)

    def __getitem__(self, name: str) -> Waveform:
        found = next((each for known, each in self._waveforms.items() if known.upper() == name.upper()), None)
        if found is None:
            raise ScpiError(785, "Specified arb waveform does not exist")
        return found

    def known_as(self, name: str) -> str:
        """The name as it was given when the waveform was loaded."""
        self[name]
        return next(known for known in self._waveforms if known.upper() == name.upper())

    def load(self, name: str, codes: NDArray[np.int16]) -> None:
        """DATA:ARBitrary: a new waveform; what exists is not overwritten."""
        self._check_name(name)
        if len(codes) < self._shortest:
            raise ScpiError(-222, f"{len(codes)} points, {self._shortest} at least")
        if len(codes) > self.free:
            raise ScpiError(781, "Not enough memory to load the waveform")
        codes.flags.writeable = False
        self._waveforms[name] = Waveform(codes)

    def _check_name(self, name: str) -> None:
        if not 1 <= len(name) <= LONGEST_NAME:
            raise ScpiError(-222, f"a name has 1 to {LONGEST_NAME} letters")
        if any(known.upper() == name.upper() for known in self._waveforms):
            raise ScpiError(786, "Specified arb waveform already exists")

    def load_sequence(self, text: str) -> None:
        """DATA:SEQuence: a name, and five fields for each step: waveform, count, control, marker mode, marker point."""
        name, *fields = (part.strip().strip('"') for part in text.split(","))
        self._check_name(name)
        if not fields or len(fields) % 5:
            raise ScpiError(-109, "a step has five fields")
        steps = [fields[index : index + 5] for index in range(0, len(fields), 5)]
        parts: list[NDArray[np.int16]] = []
        for number, (waveform, count, given, _, _) in enumerate(steps, start=1):
            control = given.lower()
            if control not in ("once", "repeat") and not (control == "repeatinf" and number == len(steps) == 1):
                raise ScpiError(-221, f"{control} is not simulated")
            repeats = int(count) if control == "repeat" and count.isdigit() else 1
            codes = self[waveform].codes
            if repeats * len(codes) + sum(map(len, parts)) > MAX_UNROLLED_SAMPLES:
                raise ScpiError(-221, "the sequence is too long to be simulated")
            parts += [codes] * repeats
        self._waveforms[name] = Waveform(np.concatenate(parts), endless=steps[-1][2].lower() == "repeatinf")


class Channel:
    """Settings by name, memory, and ``state``, which is what the optical world sees.

    ``initiated``: the trigger system waits for that many triggers besides those of INITiate:CONTinuous.
    ``own_rates``: every waveform keeps a sample rate of its own.
    """

    def __init__(self, state: GeneratorChannelState, model: Model, memory_points: int, *, own_rates: bool) -> None:
        self.state = state
        self._model = model
        self._own_rates = own_rates
        self.memory = Memory(memory_points, model.shortest)
        self.output_on = False
        self.inverted = False
        self.load_ohm = SOURCE_OHM
        self.amplitude_vpp = 0.1
        self.offset_v = 0.0
        self.function = "SIN"
        self.waveform = BUILT_IN
        self.filter = "STEP"
        self.advance = "SRAT"
        self.rate_hz = RESET_RATE_HZ
        self.burst_on = False
        self.burst_mode = "TRIG"
        self.cycles: float = 1
        self.trigger_source = "IMM"
        self.trigger_count = 1
        self.continuous = True
        self.initiated = 0
        self.refresh()

    def put(self, name: str, value: object) -> None:
        """Change one setting; what is being played ends, endless output follows what changed."""
        setattr(self, name, value)
        if name == "rate_hz":
            self.memory[self.waveform].rate_hz = self.rate_hz
        self.refresh()

    def refresh(self) -> None:
        """Let the world see the settings; a burst is over."""
        state = self.state
        state.output_on = self.output_on
        state.amplitude_vpp = self.amplitude_vpp / told_for(self.load_ohm)
        state.code_max = CODE_MAX
        state.playback = None
        if self.function == "ARB" and not self.burst_on:
            state.playback = self.memory[self.waveform].playback(0, self.inverted)

    def select(self, name: str) -> None:
        """FUNCtion:ARBitrary."""
        self.waveform = self.memory.known_as(name)
        if self._own_rates:
            self.rate_hz = self.memory[self.waveform].rate_hz
        self.refresh()

    def clear(self) -> None:
        """DATA:VOLatile:CLEar."""
        self.memory.clear()
        self.select(BUILT_IN)

    def set_load(self, ohm: float) -> None:
        """OUTPut:LOAD: the output stays as it is, what is told of it changes."""
        ratio = told_for(ohm) / told_for(self.load_ohm)
        self.load_ohm = ohm
        self.amplitude_vpp *= ratio
        self.offset_v *= ratio
        self.refresh()

    def rate_limits(self) -> tuple[float, float]:
        """Of FUNCtion:ARBitrary:SRATe, with the filter as it is."""
        return 1e-6, self._model.max_unfiltered_hz if self.filter == "OFF" else self._model.max_rate_hz

    def set_filter(self, name: str) -> None:
        """FUNCtion:ARBitrary:FILTer: a sample rate that is too fast for it is brought down."""
        self.filter = name
        self.rate_hz = min(self.rate_hz, self.rate_limits()[1])
        self.refresh()

    # ---- triggers ------------------------------------------------------------------------------

    def initiate(self) -> None:
        """INITiate:IMMediate: wait for TRIGger:COUNt triggers."""
        if self.continuous or self.initiated:
            raise ScpiError(-213)
        self.initiated = self.trigger_count

    def abort(self) -> None:
        """ABORt: what plays ends; without INITiate:CONTinuous no trigger is waited for any more."""
        self.initiated = 0
        if self.burst_on:
            self.state.playback = None

    def waits_for(self, *sources: str) -> bool:
        """Whether a trigger from there begins a burst."""
        armed = self.continuous or self.initiated > 0
        ready = armed and self.function == "ARB" and self.burst_on and self.burst_mode == "TRIG"
        return ready and self.trigger_source in sources

    def start(self) -> None:
        """The trigger came."""
        loops = 0 if self.cycles >= OPEN_OHM else int(self.cycles)
        self.state.playback = self.memory[self.waveform].playback(loops, self.inverted)
        self.initiated = max(0, self.initiated - 1)

    def burst_over(self) -> None:
        """A finite burst has ended; the channel waits for the next trigger."""
        if self.state.playback is not None and self.state.playback.loops:
            self.state.playback = None


def told_for(load_ohm: float) -> float:
    """How an amplitude is told for this load, against 50 ohms."""
    return 2.0 if load_ohm >= OPEN_OHM else 2 * load_ohm / (load_ohm + SOURCE_OHM)
