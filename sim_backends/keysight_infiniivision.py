"""Simulated Keysight InfiniiVision DSOX/MSOX oscilloscope (1000 to 6000 X-Series).

Keysight InfiniiVision 4000 X-Series Programmer's Guide, and those of the 1000, 2000 and 3000T X-Series, which agree on
what is here. Page numbers are those of the 4000 X-Series guide. Vertical, time base, acquisition and trigger are in
:mod:`sim_backends.keysight_infiniivision_setup`, codes and preamble in
:mod:`sim_backends.keysight_infiniivision_record`.

* With :TIMebase:REFerence LEFT the reference point is one of ten divisions from the left edge (page 1337): a record
  that starts at the trigger has :TIMebase:POSition = :TIMebase:RANGe / 10. Samples before the trigger are holes, since
  the world begins at the trigger.
* A record has as many points as :WAVeform:POINts asked for when it was started (62 500 otherwise), as far as memory and
  sample rate go, over the whole screen: xincrement = range / points. Asked for fewer afterwards, every k-th is sent. A
  real unit takes 100 points or more, and picks the nearest record length that it has.
* :DIGitize and :SINGle acquire at once with :TRIGger:SWEep AUTO. With NORMal they wait for :TRIGger:FORCe, or for the
  trigger input when the source is EXTernal; a source CHANnel<n> never triggers. :DIGitize holds back what follows it on
  its connection; device clear ends the waiting.
* Running with sweep AUTO, each :WAVeform:DATA? sends a fresh record.

Not simulated: analogue bandwidth, triggering on a waveform, functions, digital channels, peak detection's second
samples, pictures of the screen (a blank one is sent), :MEASure beyond voltages of a channel.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sim_backends.keysight_infiniivision_acquisition import (
    DIGITIZING,
    RUNNING,
    SINGLE,
    STOPPED,
    Shot,
    TimeBase,
)
from sim_backends.keysight_infiniivision_record import Readout, Record, nr3
from sim_backends.keysight_infiniivision_screen import bitmap, png
from sim_backends.keysight_infiniivision_setup import INPUTS, InfiniiVisionSetup
from sim_backends.scpi import Block, Boolean, Choice, Integer, Maybe, Rest, ScpiError, Setting, command, query
from sim_backends.scpi_values import Token
from sim_backends.unit import Connection

RUN_BIT: Final = 1 << 3
WAIT_BIT: Final = 1 << 5
DEFAULT_POINTS: Final = 62_500
MAX_POINTS: Final = 10_000_000
SOURCES: Final = (*INPUTS, "FUNCtion", "MATH", "FFT", "WMEMory1", "WMEMory2")
#: What :MEASure queries name: the source, and for VRMS the interval and the kind.
WHAT: Final = Rest(Choice(*INPUTS, "DISPlay", "CYCLe", "AC", "DC"), least=0)
NO_RESULT: Final = 9.9e37


class _Points(Integer):
    """A number of points, or MAXimum, which is 0 here: as many as there are."""

    def parse(self, token: Token, unit: object) -> int:
        everything = isinstance(token, str) and token.strip().upper() in ("MAX", "MAXIMUM")
        return 0 if everything else super().parse(token, unit)


class InfiniiVision(InfiniiVisionSetup):
    """Options: see :class:`~sim_backends.keysight_infiniivision_setup.InfiniiVisionSetup`."""

    MODEL = "keysight_infiniivision"
    HISLIP = True

    measured_source = Setting(":MEASure:SOURce", Choice(*INPUTS), "CHAN1")
    view = Setting(":WAVeform:VIEW", Choice("MAIN"), "MAIN")
    wave_source = Setting(":WAVeform:SOURce", Choice(*SOURCES, "EXTernal"), "CHAN1")
    wave_format = Setting(":WAVeform:FORMat", Choice("WORD", "BYTE", "ASCii"), "BYTE")
    byte_order = Setting(":WAVeform:BYTeorder", Choice("LSBFirst", "MSBFirst"), "MSBF")
    unsigned = Setting(":WAVeform:UNSigned", Boolean(), True)
    points_mode = Setting(":WAVeform:POINts:MODE", Choice("NORMal", "MAXimum", "RAW"), "NORM")

    def reset(self) -> None:
        super().reset()
        self._points = 0  # as many as there are
        self._segment = 1
        self._start(RUNNING)

    # ---- run control --------------------------------------------------------------------------

    def operation_pending(self) -> bool:
        return self.acquisition.state == DIGITIZING

    def cleared(self, connection: Connection) -> None:
        """Device clear ends a waiting :DIGitize."""
        super().cleared(connection)
        if self.operation_pending():
            self.acquisition.stop()
            self._show_state()

    def on_trigger(self) -> None:
        """The trigger input fired."""
        if self.trigger_source == "EXT":
            self._trigger()

    def _trigger(self) -> None:
        self.acquisition.trigger()
        self._show_state()

    def _start(self, state: str, sources: tuple[int, ...] = ()) -> None:
        self.acquisition.start(state, self._wanted_points(), sources)
        self._show_state()

    def _show_state(self) -> None:
        """Keep the operation status up to date, and go on with what waited for the acquisition's end."""
        acquisition = self.acquisition
        running = acquisition.state != STOPPED
        self.status.operation.set_condition(RUN_BIT * running | WAIT_BIT * acquisition.waits)
        self.operation_finished()

    @command(":RUN")
    def _run_continuously(self) -> None:
        self._start(RUNNING)

    @command(":SINGle")
    def _single(self) -> None:
        self._start(SINGLE)

    @command(":DIGitize", Rest(Choice(*SOURCES, "ABUS", "EXTernal", "POD1", "POD2"), least=0))
    def _digitize(self, sources: list[str]) -> None:
        channels = tuple(int(source[-1]) for source in sources if source.startswith("CHAN"))
        for number in channels:
            self.channel(number)
        self._start(DIGITIZING, channels)
        self.hold()

    @command(":STOP")
    def _stop(self) -> None:
        self.acquisition.stop()
        self._show_state()

    @command(":AUToscale", Rest(Choice(*SOURCES), least=0))
    def _autoscale(self, sources: list[str]) -> None:
        self.acquisition.time_base = TimeBase()
        self._start(RUNNING)

    @command(":SYSTem:PRESet")
    def _preset_all(self) -> None:
        self.reset()

    @command(":TRIGger:FORCe")
    def _force(self) -> None:
        self._trigger()

    @command("*TRG")
    def _trigger_by_bus(self) -> None:
        """The same as :DIGitize without arguments (page 265)."""
        self._digitize([])

    @command(":TRIGger:SWEep", Choice("AUTO", "NORMal"))
    def _set_sweep(self, sweep: str) -> None:
        self.acquisition.set_auto(sweep == "AUTO")
        self._show_state()

    @query(":TRIGger:SWEep?")
    def _sweep(self) -> str:
        return "AUTO" if self.acquisition.auto else "NORM"

    @query(":AER?")
    def _armed(self) -> str:
        event, self.acquisition.armed_event = self.acquisition.armed_event, False
        return f"{event:+d}"

    @query(":TER?")
    def _triggered(self) -> str:
        event, self.acquisition.trigger_event = self.acquisition.trigger_event, False
        return f"{event:+d}"

    @query(":OPERegister:CONDition?")
    def _condition(self) -> str:
        return f"{self.status.operation.condition:+d}"

    @query(":OPERegister[:EVENt]?")
    def _event_register(self) -> str:
        return f"{self.status.operation.read_event():+d}"

    # ---- what was acquired --------------------------------------------------------------------

    def _wanted_points(self) -> int:
        return self._points or DEFAULT_POINTS

    @query(":ACQuire:POINts?")
    def _acquired_points(self) -> int:
        return self.acquisition.points(self._wanted_points())

    @query(":ACQuire:SRATe?")
    def _sample_rate(self) -> float:
        return self._acquired_points() / self.acquisition.time_base.range_s

    @command(":ACQuire:SEGMented:INDex", Integer(1, 1000))
    def _set_segment(self, number: int) -> None:
        if number > max(1, len(self.acquisition.shots)):
            raise ScpiError(-222)
        self._segment = number

    @query(":ACQuire:SEGMented:INDex?")
    def _segment_index(self) -> int:
        return self._segment

    @command(":WAVeform:POINts", _Points(1, MAX_POINTS))
    def _set_points(self, points: int) -> None:
        self._points = points

    @query(":WAVeform:POINts?")
    def _get_points(self) -> int:
        return self._wanted_points()

    @query(":WAVeform:SEGMented:COUNt?")
    def _segments_acquired(self) -> int:
        return len(self.acquisition.shots) if self.acquisition.mode.mode == "SEGM" else 0

    @query(":WAVeform:SEGMented:TTAG?")
    def _time_tag(self) -> float:
        return self._shot(fresh=False).time_s - self.acquisition.shots[0].time_s

    def _shot(self, *, fresh: bool) -> Shot:
        """The selected segment, else the last shot. Raises ScpiError -230 when nothing was acquired."""
        acquisition = self.acquisition
        acquisition.ready_to_show(self._wanted_points(), fresh=fresh)
        shots = acquisition.shots
        if not shots:
            raise ScpiError(-230, "nothing was acquired")
        segmented = acquisition.mode.mode == "SEGM" and self._segment <= len(shots)
        return shots[self._segment - 1] if segmented else shots[-1]

    def _record(self, *, fresh: bool = False) -> Record:
        """What :WAVeform:SOURce points at, thinned to the points asked for."""
        source = self.wave_source
        shot = self._shot(fresh=fresh)
        record = shot.records.get(int(source[-1])) if source.startswith("CHAN") else None
        if record is None:
            raise ScpiError(-221, f"{source} was not acquired")
        points = min(self._points or len(record), len(record))
        return record.thinned(min(points, DEFAULT_POINTS) if self.points_mode == "NORM" else points)

    def _readout(self) -> Readout:
        return Readout(self.wave_format, self.byte_order == "MSBF", self.unsigned)

    @query(":WAVeform:DATA?")
    def _data(self) -> Block:
        return Block(self._readout().payload(self._record(fresh=True)))

    @command(":ACQuire:SEGMented:ANALyze")
    def _analyse_segments(self) -> None:
        """Statistics on the screen, of all segments: only those of segmented acquisition can be had."""
        if self.acquisition.mode.mode != "SEGM":
            raise ScpiError(-221, "the acquisition mode is not segmented")

    @query(":DISPlay:DATA?", Maybe(Choice("BMP", "BMP8bit", "PNG"), "BMP"), Maybe(Choice("COLor", "GRAYscale"), "COL"))
    def _picture(self, kind: str, palette: str) -> Block:
        return Block(png() if kind == "PNG" else bitmap(8 if kind == "BMP8" else 24))

    @query(":MEASure:VPP?", WHAT)
    def _peak_to_peak(self, words: list[str]) -> str:
        return self._measured(words, lambda volts: float(volts.max() - volts.min()))

    @query(":MEASure:VMAX?", WHAT)
    def _maximum(self, words: list[str]) -> str:
        return self._measured(words, lambda volts: float(volts.max()))

    @query(":MEASure:VMIN?", WHAT)
    def _minimum(self, words: list[str]) -> str:
        return self._measured(words, lambda volts: float(volts.min()))

    @query(":MEASure:VAVerage?", WHAT)
    def _average(self, words: list[str]) -> str:
        return self._measured(words, lambda volts: float(volts.mean()))

    @query(":MEASure:VRMS?", WHAT)
    def _effective(self, words: list[str]) -> str:
        """DC unless AC, without the mean, is asked for."""
        mean = 1.0 if "AC" in words else 0.0
        return self._measured(words, lambda volts: float(np.sqrt(np.mean((volts - mean * volts.mean()) ** 2))))

    def _measured(self, words: list[str], of: Callable[[NDArray[np.float64]], float]) -> str:
        """Of a channel's record, as far as it is none of a hole; +9.9E+37 where there is none."""
        source = next((word for word in words if word.startswith("CHAN")), self.measured_source)
        self.channel(int(source[-1]))
        record = self._shot(fresh=True).records.get(int(source[-1]))
        volts = np.empty(0) if record is None else record.volts()
        return nr3(of(volts) if volts.size else NO_RESULT)

    @query(":WAVeform:PREamble?")
    def _preamble(self) -> str:
        return self._readout().preamble(self._record())

    @query(":WAVeform:TYPE?")
    def _kind(self) -> str:
        return self.acquisition.mode.type

    @query(":WAVeform:COUNt?")
    def _averages_taken(self) -> int:
        return self._record().count

    @query(":WAVeform:XINCrement?")
    def _x_increment(self) -> str:
        return nr3(self._record().x_increment_s)

    @query(":WAVeform:XORigin?")
    def _x_origin(self) -> str:
        return nr3(self._record().x_origin_s)

    @query(":WAVeform:XREFerence?")
    def _x_reference(self) -> str:
        return "+0"

    @query(":WAVeform:YINCrement?")
    def _y_increment(self) -> str:
        return nr3(self._readout().y_increment_v(self._record().scale))

    @query(":WAVeform:YORigin?")
    def _y_origin(self) -> str:
        return nr3(self._record().scale.offset_v)

    @query(":WAVeform:YREFerence?")
    def _y_reference(self) -> str:
        return f"{self._readout().y_reference:+d}"

    @query(":WAVeform?")
    def _all_of_waveform(self) -> str:
        return (
            f":WAV:UNS {self.unsigned:d};VIEW {self.view};BYT {self.byte_order};FORM {self.wave_format};"
            f"POIN {self._wanted_points():+d};SOUR {self.wave_source};SOUR:SUBS NONE"
        )
