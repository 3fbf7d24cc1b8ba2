"""Waveform list and sequence list of a simulated Tektronix AWG5200 or AWG70000, and what of them plays.

After the descriptions of WLISt and SLISt in Tektronix's tm_devices: samples are float32, -1 to 1; markers are a byte
per sample.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sim_backends.state import Playback
from sim_backends.status import ScpiError

MAX_REPEATS: Final = 1_048_576
MAX_STEPS: Final = 16_383
#: The front end unrolls sequences of several steps; longer ones are refused instead of filling the computer's memory.
MAX_UNROLLED_SAMPLES: Final = 1 << 26
#: A period is looked for by so many of its samples.
PROBE: Final = 64

_versions = itertools.count(1)


def pattern(codes: NDArray[np.int16], marked: tuple[int, int] = (0, 0)) -> tuple[NDArray[np.int16], int]:
    """The shortest pattern that, so many times, makes ``codes``; silence that is left over at the end is left out.

    A waveform that repeats a shorter one puts out the same voltages as a sequence that repeats it, and the world is
    told of both in the same way. Samples without such a pattern come back as they are, once. ``marked``: period and
    number of the markers, which tell passes apart that the voltages alone do not.
    """
    data = codes.tobytes()
    period, count = 2 * marked[0], marked[1]
    stop = period * count
    if count > 1 and data[period:stop] == data[: stop - period] and not data[stop:].strip(b"\0"):
        return codes[: period // 2], count
    body = data.rstrip(b"\0")
    end = -(-len(body) // 2) * 2  # bytes, whole samples
    lead = (len(body) - len(body.lstrip(b"\0"))) // 2 * 2
    probe = data[lead : lead + min(2 * PROBE, (end - lead) // 2 // 2 * 2)]
    if len(probe) < 2:
        return codes, 1
    found = data.find(probe, lead + 1)
    while found >= 0:
        period = found - lead
        stop = -(-end // period) * period
        if period % 2 == 0 and stop <= len(data) and data[period:stop] == data[: stop - period]:
            return codes[: period // 2], stop // period
        found = data.find(probe, found + 1)
    return codes, 1


class Waveform:
    """One entry of the waveform list. ``kind``: REAL, or IQ, which is kept and read back, but not played."""

    def __init__(self, name: str, samples: NDArray[np.float32], kind: str = "REAL") -> None:
        self.name = name
        self.kind = kind
        self.samples = samples
        self._quadrature = np.zeros(len(samples) if kind == "IQ" else 0, np.float32)
        self.markers: NDArray[np.uint8] = np.zeros(len(samples), np.uint8)
        self.stamp = time.strftime("%Y/%m/%d %H:%M:%S", time.gmtime(0))
        self.settings: dict[str, float] = {}
        self.version = next(_versions)
        self._marked = (0, 0)
        self._codes: dict[int, NDArray[np.int16]] = {}
        self._playbacks: dict[tuple[int, int], Playback] = {}

    def __len__(self) -> int:
        return len(self.samples)

    def write(self, start: int, samples: NDArray[np.float32]) -> None:
        """Overwrite from ``start`` on. Raises ScpiError beyond the end."""
        self._check(start, len(samples))
        self.samples[start : start + len(samples)] = samples
        self._codes.clear()
        self._playbacks.clear()
        self.version = next(_versions)

    def quadrature(self) -> NDArray[np.float32]:
        """Q of an IQ waveform, whose I are ``samples``. Raises ScpiError for any other."""
        if self.kind != "IQ":
            raise ScpiError(-221, f"{self.name} has no Q samples")
        return self._quadrature

    def write_quadrature(self, start: int, samples: NDArray[np.float32]) -> None:
        """The same for Q."""
        self._check(start, len(samples))
        self.quadrature()[start : start + len(samples)] = samples

    def write_markers(self, start: int, markers: NDArray[np.uint8]) -> None:
        """The same for the markers."""
        self._check(start, len(markers))
        self.markers[start : start + len(markers)] = markers
        high = self.markers != 0
        starts = np.flatnonzero(high[1:] & ~high[:-1]) + 1
        period = int(starts[0]) if len(starts) and high[0] else 0
        even = period * (len(starts) + 1) <= len(self) and np.array_equal(
            starts, period * np.arange(1, len(starts) + 1)
        )
        self._marked = (period, len(starts) + 1) if period and even else (0, 0)
        self._playbacks.clear()

    def _check(self, start: int, count: int) -> None:
        if start < 0 or start > len(self):
            raise ScpiError(-222, f"start {start} of a waveform of {len(self)} samples")
        if start + count > len(self):
            raise ScpiError(-223)

    def part(self, start: int, count: int) -> slice:
        """``count`` samples from ``start`` on. Raises ScpiError."""
        if start < 0 or count < 0 or start + count > len(self):
            raise ScpiError(-222, f"{count} samples at {start} of a waveform of {len(self)}")
        return slice(start, start + count)

    def codes(self, code_max: int) -> NDArray[np.int16]:
        """What the DAC makes of the samples: beyond -1 and 1 it stays at its ends. Raises ScpiError for IQ."""
        self.check_playable()
        if code_max not in self._codes:
            scaled = np.multiply(self.samples, np.float32(code_max))
            np.rint(scaled, out=scaled)
            if not (scaled.min() >= -code_max - 1 and scaled.max() <= code_max):  # not a number neither
                scaled = np.clip(np.nan_to_num(scaled), -code_max - 1, code_max)
            codes = scaled.astype(np.int16)
            codes.flags.writeable = False
            self._codes[code_max] = codes
        return self._codes[code_max]

    def check_playable(self) -> None:
        """Raises ScpiError for what has no voltage of its own."""
        if self.kind == "IQ":
            raise ScpiError(-221, "playing an IQ waveform is not simulated")

    def playback(self, code_max: int, loops: int) -> Playback:
        """``loops`` times, 0: without end; the same object until the content changes."""
        known = self._playbacks.get((code_max, loops))
        if known is None:
            codes = self.codes(code_max)
            part, count = pattern(codes, self._marked)
            if loops != 1 and len(part) * count != len(codes):  # silence between the repetitions is not left out
                part, count = codes, 1
            known = self._playbacks[code_max, loops] = Playback(part, count * loops, next(_versions))
        return known


@dataclass
class Step:
    """One step: what each track plays, how often (0: without end), what it waits for, and where it goes on."""

    tracks: list[str]
    repeats: int = 1
    wait: str = "OFF"
    goto: str = "NEXT"
    event_input: str = "OFF"
    event_jump: str = "NEXT"


@dataclass
class Sequence:
    """One entry of the sequence list."""

    name: str
    tracks: int
    steps: list[Step] = field(default_factory=list)
    settings: dict[str, str] = field(default_factory=dict)

    def add(self, position: int, count: int) -> None:
        """New steps, the first of them as number ``position``."""
        if len(self.steps) + count > MAX_STEPS or not 1 <= position <= len(self.steps) + 1:
            raise ScpiError(-222, f"{count} steps at {position}")
        self.steps[position - 1 : position - 1] = [Step([""] * self.tracks) for _ in range(count)]

    def step(self, number: int) -> Step:
        """Raises ScpiError."""
        if number > len(self.steps):
            raise ScpiError(-222, f"step {number} of {len(self.steps)}")
        return self.steps[number - 1]

    def after(self, number: int) -> int:
        """The step behind step ``number``; 0: the sequence has ended."""
        goto = self.steps[number - 1].goto
        if goto == "NEXT":
            return number + 1 if number < len(self.steps) else 1
        if goto in ("FIRS", "LAST"):
            return 1 if goto == "FIRS" else len(self.steps)
        return 0 if goto == "END" else int(goto)


class Lists:
    """Both lists, in the order of creation."""

    def __init__(self) -> None:
        self.waveforms: dict[str, Waveform] = {}
        self.sequences: dict[str, Sequence] = {}

    def waveform(self, name: str) -> Waveform:
        """Raises ScpiError for one that is not there."""
        if name not in self.waveforms:
            raise ScpiError(-224, f"there is no waveform {name!r}".replace('"', "'"))
        return self.waveforms[name]

    def sequence(self, name: str) -> Sequence:
        """Raises ScpiError for one that is not there."""
        if name not in self.sequences:
            raise ScpiError(-224, f"there is no sequence {name!r}".replace('"', "'"))
        return self.sequences[name]

    def run_of(self, sequence: Sequence, first: int) -> tuple[list[int], int]:
        """Steps that play one after the other from step ``first`` on, and the step that is then waited at.

        0 behind them: the sequence has ended; -1: it goes on without end.
        """
        numbers = [first]
        number = first
        while True:
            if sequence.steps[number - 1].repeats == 0:
                return numbers, -1
            number = sequence.after(number)
            if number == 0 or sequence.steps[number - 1].wait != "OFF":
                return numbers, number
            if number in numbers:
                if number != first:
                    raise ScpiError(-221, "a sequence that ends in a loop of its later steps is not simulated")
                return numbers, -1
            numbers.append(number)

    def playback(self, sequence: Sequence, track: int, numbers: list[int], code_max: int, *, endless: bool) -> Playback:
        """What one track plays in steps ``numbers``."""
        steps = [sequence.steps[number - 1] for number in numbers]
        waveforms = [self.waveform(step.tracks[track - 1]) for step in steps]
        if len(steps) == 1:
            return waveforms[0].playback(code_max, 0 if endless else steps[0].repeats)
        total = sum(len(waveform) * max(step.repeats, 1) for waveform, step in zip(waveforms, steps, strict=True))
        if total > MAX_UNROLLED_SAMPLES:
            raise ScpiError(-225, f"{total} samples to unroll")
        codes = np.concatenate(
            [np.tile(w.codes(code_max), max(step.repeats, 1)) for w, step in zip(waveforms, steps, strict=True)]
        )
        return Playback(codes, 0 if endless else 1, next(_versions))


def predefined() -> Iterator[Waveform]:
    """The instrument's sample waveforms: as public drivers name them, with their lengths."""
    for length in (3600, 1000, 960, 360, 100, 60, 36, 10):
        phase = np.arange(length) / length
        shapes = {
            "Sine": np.sin(2 * np.pi * phase),
            "Clock": np.where(phase < 0.5, 1.0, -1.0),
            "Square": np.where(phase < 0.5, 1.0, -1.0),
            "Ramp": 2 * phase - 1,
            "Triangle": 1 - 4 * np.abs((phase + 0.25) % 1 - 0.5),
        }
        for name, values in shapes.items():
            yield Waveform(f"*{name}{length}", values.astype(np.float32))
    yield Waveform("*DC", np.ones(1000, np.float32))
