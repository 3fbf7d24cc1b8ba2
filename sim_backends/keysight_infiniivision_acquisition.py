"""Run control of a simulated InfiniiVision: when it acquires, and what part of the world it looks at.

Keysight InfiniiVision 4000 X-Series Programmer's Guide, pages 1334 to 1337 (:TIMebase), 320 (:ACQuire), 272 (:AER?),
293 (:OPERegister:CONDition?), 309 (:TER?).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sim_backends.keysight_infiniivision_record import HOLE, Record, Scale, quantise
from sim_backends.state import ChannelRecord, DigitizerChannelState, WorldView
from sim_backends.status import ScpiError

TIME_DIVISIONS: Final = 10

#: Where the reference point lies, as a part of the screen's width: LEFT and RIGHt are one division from the edge.
REFERENCES: Final = {"LEFT": 0.1, "CENT": 0.5, "RIGH": 0.9}

#: Fields of the preamble: acquisition type.
KINDS: Final = {"NORM": 0, "PEAK": 1, "AVER": 2, "HRES": 3}

STOPPED: Final = "STOP"
RUNNING: Final = "RUN"
SINGLE: Final = "SING"
DIGITIZING: Final = "DIG"

#: Delays longer than this many samples are refused (or give holes), since the world makes all samples from the trigger.
MAX_DELAY_SAMPLES: Final = 50_000_000


class Channel:
    """One input. Voltages are as displayed, at the probe's tip; ``state`` is what the world sees, at the input."""

    def __init__(self, number: int, state: DigitizerChannelState, probe: float) -> None:
        self.state = state
        self.probe = probe
        self.range_v = 4.0 * probe
        self.offset_v = 0.0
        self.display = number == 1
        self.inverted = False
        self.coupling = "DC"
        self.impedance = "ONEM"
        self.bandwidth_limit = False
        self.vernier = False
        self.unit = "VOLT"
        self.label = str(number)
        self.skew_s = 0.0
        self.put("probe", probe)

    def put(self, name: str, value: object) -> None:
        """Change one setting. A new probe keeps the range at the input, so the displayed one changes."""
        before = self.probe
        setattr(self, name, value)
        if name == "probe":
            self.range_v *= self.probe / before
            self.offset_v *= self.probe / before
        self.state.full_scale_v = self.range_v / self.probe
        self.state.offset_v = self.offset_v / self.probe

    def record(self, samples: NDArray[np.float32], volts_per_unit: float, scale: Scale) -> NDArray[np.int16]:
        """Words (minus 32768) of ``samples``, which are overwritten."""
        if self.coupling == "AC" and len(samples):
            np.subtract(samples, np.float32(samples.mean(dtype=np.float64)), out=samples)
        sign = -1 if self.inverted else 1
        return quantise(samples, sign * volts_per_unit * self.probe, scale)


@dataclass
class TimeBase:
    """``position_s``: from the trigger to the reference point; ``range_s``: ten divisions."""

    range_s: float = 1e-3
    position_s: float = 0.0
    reference: str = "CENT"
    mode: str = "MAIN"

    @property
    def scale_s(self) -> float:
        """Seconds per division."""
        return self.range_s / TIME_DIVISIONS

    @scale_s.setter
    def scale_s(self, scale_s: float) -> None:
        self.range_s = scale_s * TIME_DIVISIONS

    @property
    def left_s(self) -> float:
        """The screen's left edge, seconds after the trigger."""
        return self.position_s - REFERENCES[self.reference] * self.range_s


@dataclass(frozen=True)
class Converter:
    """``bits``: of high resolution and averages, 8 otherwise. ``levels``: BYTE steps of 8 divisions."""

    bits: int
    levels: int
    memory_points: int
    max_rate_hz: float


@dataclass
class AcquireMode:
    """``:ACQuire``: type, averages, real time or segmented."""

    type: str = "NORM"
    count: int = 8
    mode: str = "RTIM"
    segments: int = 2

    @property
    def averages(self) -> int:
        return self.count if self.type == "AVER" else 1

    @property
    def shots(self) -> int:
        """Triggers that complete one acquisition, averages not counted."""
        return self.segments if self.mode == "SEGM" else 1


@dataclass
class Shot:
    """What one trigger brought: a record per channel, at ``time_s`` on the lab's clock."""

    records: dict[int, Record]
    time_s: float


@dataclass
class Acquisition:
    """Run control, and the shots acquired last. ``auto``: with :TRIGger:SWEep AUTO nothing is waited for."""

    name: str
    world: WorldView
    converter: Converter
    channels: list[Channel]
    time_base: TimeBase = field(default_factory=TimeBase)
    mode: AcquireMode = field(default_factory=AcquireMode)
    state: str = RUNNING
    auto: bool = True
    armed_event: bool = False
    trigger_event: bool = False
    frozen: bool = False
    shots: list[Shot] = field(default_factory=list)
    _wanted: int = 1
    _sources: tuple[int, ...] = ()
    _sums: dict[int, NDArray[np.float32]] = field(default_factory=dict)
    _summed: int = 0

    @property
    def waits(self) -> bool:
        """Armed, and no trigger has come yet."""
        return self.state != STOPPED and not self.auto

    def points(self, wanted: int) -> int:
        """Length of a record when ``wanted`` points were asked for: memory and sample rate are limits."""
        fastest = int(self.time_base.range_s * self.converter.max_rate_hz * (1 + 1e-9))
        return max(1, min(wanted, self.converter.memory_points, fastest))

    def start(self, state: str, wanted: int, sources: tuple[int, ...] = ()) -> None:
        """``:RUN``, ``:SINGle`` or ``:DIGitize``; with :TRIGger:SWEep AUTO the last two complete at once."""
        self._wanted = wanted
        self._sources = sources or self._shown()
        if not self.auto and self.time_base.left_s > self._interval_s() * MAX_DELAY_SAMPLES:
            raise ScpiError(-221, "the delay is too long to be simulated")
        self.state = state
        self.armed_event = True
        self.frozen = False
        self.shots, self._sums, self._summed = [], {}, 0
        self.set_auto(self.auto)

    def set_auto(self, auto: bool) -> None:
        """``:TRIGger:SWEep``: AUTO completes at once what waits for a trigger."""
        self.auto = auto
        while self.auto and self.state in (SINGLE, DIGITIZING):
            self._take(triggered=False)

    def stop(self) -> None:
        """``:STOP``: what has been acquired stays. A screen that ran freely is looked at when it is asked for."""
        self.frozen = self.state == RUNNING and self.auto
        self.state = STOPPED

    def ready_to_show(self, wanted: int, *, fresh: bool) -> None:
        """Before a read-out: a screen that runs freely, or did when it was stopped, has something to show."""
        runs = self.state == RUNNING and self.auto
        if (runs and fresh) or ((runs or self.frozen) and not self.shots):
            self.free_run(wanted)

    def free_run(self, wanted: int) -> None:
        """What a running oscilloscope shows without a trigger, as fresh as can be."""
        self._wanted = wanted
        self._sources = self._shown()
        self.shots, self._sums, self._summed = [], {}, 0
        while not self.shots:
            self._take(triggered=False)

    def trigger(self) -> None:
        """A trigger came; it means nothing when stopped."""
        if self.state != STOPPED:
            self.trigger_event = True
            self._take(triggered=True)

    def _shown(self) -> tuple[int, ...]:
        return tuple(n for n, channel in enumerate(self.channels, start=1) if channel.display)

    def _interval_s(self) -> float:
        return self.time_base.range_s / self.points(self._wanted)

    def _take(self, *, triggered: bool) -> None:
        points, interval_s = self.points(self._wanted), self._interval_s()
        left_s = self.time_base.left_s
        delay = round(left_s / interval_s) if triggered else 0
        holes, skipped = min(points, max(0, -delay)), max(0, delay)
        if skipped > MAX_DELAY_SAMPLES:  # set after arming
            holes, skipped = points, 0
        inputs = self._inputs(interval_s, points - holes + skipped)
        if not self._averaged(inputs):
            return
        if abs(left_s - delay * interval_s) < 1e-6 * interval_s:
            left_s = delay * interval_s
        kind = KINDS[self.mode.type]
        records = {}
        for number, scale, converted in self._converted(inputs, skipped):
            before = np.full(holes, HOLE, dtype=np.int16)
            codes = np.concatenate([before, converted]) if holes else converted
            records[number] = Record(codes, scale, interval_s, left_s, kind, self.mode.averages)
        self._finish(Shot(records, self.world.now()))

    def _inputs(self, interval_s: float, samples: int) -> dict[int, ChannelRecord]:
        if not samples:  # the screen ends before the trigger
            return {number: ChannelRecord(np.empty(0, np.float32), 1.0) for number in self._sources}
        return self.world.acquire(self.name, self._sources, interval_s, samples)

    def _converted(self, inputs: dict[int, ChannelRecord], skipped: int) -> list[tuple[int, Scale, NDArray[np.int16]]]:
        bits = self.converter.bits if self.mode.type in ("HRES", "AVER") else 8
        converted = []
        for number, record in inputs.items():
            channel = self.channels[number - 1]
            scale = Scale.of(channel.range_v, channel.offset_v, bits, self.converter.levels)
            codes = channel.record(record.samples[skipped:], record.volts_per_unit, scale)
            converted.append((number, scale, codes))
        return converted

    def _averaged(self, inputs: dict[int, ChannelRecord]) -> bool:
        """Whether ``inputs`` hold what is to be converted: at once, or the mean after the last of several triggers."""
        count = self.mode.averages
        if count == 1:
            return True
        self._summed += 1
        for number, record in inputs.items():
            volts = record.samples * np.float32(record.volts_per_unit / count)
            self._sums[number] = self._sums[number] + volts if number in self._sums else volts
        if self._summed < count:
            return False
        for number in inputs:
            inputs[number] = ChannelRecord(self._sums[number], 1.0)
        self._sums, self._summed = {}, 0
        return True

    def _finish(self, shot: Shot) -> None:
        if self.state == RUNNING and len(self.shots) >= self.mode.shots:
            self.shots = []
        self.shots.append(shot)
        if self.state in (SINGLE, DIGITIZING) and len(self.shots) >= self.mode.shots:
            self.state = STOPPED
