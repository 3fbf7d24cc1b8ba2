"""Simulated Tektronix 5 or 6 Series mixed signal oscilloscope.

After the commands and descriptions in Tektronix's tm_devices. Settings are in :mod:`sim_backends.tektronix_mso_setup`,
codes and read-out in :mod:`sim_backends.tektronix_mso_record`.

* ACQuire:STATE RUN starts. With TRIGger:A:MODe AUTO a record is made at once; with NORMal it waits for TRIGger FORCe,
  or for the lab's trigger line when the source is AUXiliary; channels never trigger. STOPAfter SEQuence stops after
  one. Running freely in AUTO, each CURVe? sends a fresh record.
* The world begins at the trigger: what a record shows before it is 0 V.
* Errors become events when *ESR? is read, as on the instrument: ALLEv? tells what the last *ESR? found.

Not simulated: analogue bandwidth, triggering on a waveform, averages, FastFrame, digital channels, maths.
"""

from __future__ import annotations

from dataclasses import replace

from sim_backends.recording import record_around_trigger
from sim_backends.scpi import Block, Boolean, Choice, Integer, ScpiError, command, query
from sim_backends.scpi_values import Parameter, Reply, Token
from sim_backends.state import ChannelRecord
from sim_backends.tektronix_mso_record import Record, bits_at, shown
from sim_backends.tektronix_mso_setup import Keyword, MsoSetup


class _Run(Parameter[bool]):
    """ON, RUN, OFF, STOP, or a number."""

    def parse(self, token: Token, unit: object) -> bool:
        word = token.strip().upper() if isinstance(token, str) else ""
        return word == "RUN" or (word != "STOP" and Boolean().parse(token, unit))


class Mso(MsoSetup):
    """Options: see :class:`~sim_backends.tektronix_mso_setup.MsoSetup`."""

    MODEL = "tektronix_mso"

    def reset(self) -> None:
        super().reset()
        self._records: dict[int, Record] = {}
        self._acquisitions = 0
        self._running = True
        self._ready_at_s = 0.0

    # ---- run control --------------------------------------------------------------------------

    def operation_pending(self) -> bool:
        return self._running and self.stop_after == "SEQUENCE"

    def _free(self) -> bool:
        """Nothing is waited for, and nothing stops it."""
        return self._running and self.trigger_mode == "AUTO" and self.stop_after == "RUNSTOP"

    @command(":ACQuire:STATE", _Run())
    def _set_state(self, run: bool) -> None:
        self._running = run
        if run:
            self._acquisitions = 0
            self._records = {}
            self._ready_at_s = self.world.now() + self.arming_s
            if self.trigger_mode == "AUTO":
                self._take(triggered=False)
        self.operation_finished()

    @query(":ACQuire:STATE?")
    def _state(self) -> int:
        return int(self._running)

    @query(":ACQuire:NUMACq?")
    def _count(self) -> int:
        return self._acquisitions

    @query(":BUSY?")
    def _busy(self) -> int:
        return int(self.operation_pending())

    @query(":TRIGger:STATE?")
    def _trigger_state(self) -> str:
        if not self._running:
            return "SAVE"
        if self.world.now() < self._ready_at_s:
            return "ARMED"
        return "AUTO" if self.trigger_mode == "AUTO" else "READY"

    @command(":TRIGger", Choice("FORCe"))
    def _force(self, word: str) -> None:
        if self._running:
            self._take(triggered=True)

    @command("*TRG")
    def _bus_trigger(self) -> None:
        self._force("FORC")

    @command(":AUTOSet", Choice("EXECute"))
    def _autoset(self, word: str) -> None:
        self._set_state(True)

    @command(":CLEAR")
    def _clear_records(self) -> None:
        self._records = {}

    def on_trigger(self) -> None:
        """The trigger line fired."""
        if self._running and self.trigger_source == "AUXILIARY" and self.world.now() >= self._ready_at_s:
            self._take(triggered=True)

    def _take(self, *, triggered: bool) -> None:
        numbers = tuple(number for number, channel in enumerate(self.channels, start=1) if channel.display)
        points, rate_hz = self.record_points, self.rate_hz
        before = self.samples_before_trigger() if triggered else 0
        inputs = record_around_trigger(self.world, self.name, numbers, 1 / rate_hz, points, before)
        for number, read in inputs.items():
            self._records[number] = replace(self._converted(number, read), rate_hz=rate_hz, trigger=before)
        self._acquisitions += 1
        if self.stop_after == "SEQUENCE":
            self._running = False
        self.operation_finished()

    def _converted(self, number: int, read: ChannelRecord) -> Record:
        channel = self.channels[number - 1]
        bits = self.fixed_bits or bits_at(
            self.rate_hz, high_resolution=self.mode == "HIRES", fastest_12_bits_hz=self.fastest_12_bits_hz
        )
        sign = -1.0 if channel.inverted else 1.0
        return Record.of(read.samples, sign * read.volts_per_unit, channel.scale_v, channel.zero_v, bits)

    # ---- read-out -----------------------------------------------------------------------------

    def _record(self, *, fresh: bool = False) -> Record:
        if self._free() and (fresh or self.source not in self._records):
            self._take(triggered=False)
        if self.source not in self._records:
            raise ScpiError(-221, f"CH{self.source} was not acquired")
        return self._records[self.source]

    @query(":DATa:SOUrce:AVAILable?")
    def _available(self) -> str:
        shown_now = [f"CH{number}" for number, channel in enumerate(self.channels, start=1) if channel.display]
        return ",".join(shown_now) or "NONE"

    @query(":CURVe?")
    def _curve(self) -> Reply:
        payload = self.readout.payload(self._record(fresh=True))
        if isinstance(payload, bytes):
            return payload.decode()
        return Block(payload, digits=len(str(payload.nbytes)))

    @query(":WFMOutpre:NR_Pt?")
    def _points(self) -> int:
        return self.readout.points(self._record())

    @query(":WFMOutpre:XINcr?")
    def _x_increment(self) -> str:
        every = self.readout.every if self.resampled_increment else 1
        return shown(every / self._record().rate_hz)

    @query(":WFMOutpre:XZEro?")
    def _x_zero(self) -> str:
        return shown(0.0)

    @query(":WFMOutpre:PT_Off?")
    def _trigger_point(self) -> int:
        return self._record().trigger

    @query(":WFMOutpre:YMUlt?")
    def _y_step(self) -> str:
        return shown(self.readout.step_v(self._record()))

    @query(":WFMOutpre:YOFf?")
    def _y_offset(self) -> str:
        return "0.0E+0"

    @query(":WFMOutpre:YZEro?")
    def _y_zero(self) -> str:
        return shown(self._record().zero_v)

    @query(":WFMOutpre:XUNit?")
    def _x_unit(self) -> str:
        return '"s"'

    @query(":WFMOutpre:YUNit?")
    def _y_unit(self) -> str:
        return '"V"'

    @query(":WFMOutpre:PT_Fmt?")
    def _point_format(self) -> str:
        return "Y"

    @query(":WFMOutpre:WFId?")
    def _description(self) -> str:
        record, channel = self._record(), self.channels[self.source - 1]
        return (
            f'"Ch{self.source}, {channel.coupling} coupling, {channel.scale_v:.4g}V/div,'
            f' {len(record) / record.rate_hz / 10:.4g}s/div, {len(record)} points, {self.mode.title()} mode"'
        )

    @query(":WFMOutpre?")
    def _preamble(self) -> str:
        readout = self.readout
        fields: list[object] = [
            readout.width,
            8 * readout.width,
            readout.encoding,
            readout.format,
            readout.order,
            self._description(),
            self._points(),
            "Y",
            "LINEAR",
            '"s"',
            self._x_increment(),
            self._x_zero(),
            self._trigger_point(),
            '"V"',
            self._y_step(),
            "0.0E+0",
            self._y_zero(),
        ]
        return ";".join(map(str, fields))

    @command(":WFMOutpre:BYT_Nr", Integer(1, 2))
    @command(":DATa:WIDth", Integer(1, 2))
    def _set_width(self, width: int) -> None:
        self.readout.width = width

    @query(":WFMOutpre:BYT_Nr?")
    @query(":DATa:WIDth?")
    def _width(self) -> int:
        return self.readout.width

    @command(":WFMOutpre:BIT_Nr", Integer(8, 16))
    def _set_bits(self, bits: int) -> None:
        self.readout.width = 1 if bits == 8 else 2

    @query(":WFMOutpre:BIT_Nr?")
    def _bits(self) -> int:
        return 8 * self.readout.width

    @command(":DATa:ENCdg", Keyword("ASCIi", "RIBinary", "RPBinary", "FPBinary", "SRIbinary", "SRPbinary", "SFPbinary"))
    def _set_encoding(self, name: str) -> None:
        self.readout.set_encoding(name)

    @query(":DATa:ENCdg?")
    def _encoding(self) -> str:
        return self.readout.name

    @command(":WFMOutpre:ENCdg", Keyword("ASCii", "BINary"))
    def _set_text(self, encoding: str) -> None:
        self.readout.encoding = encoding

    @query(":WFMOutpre:ENCdg?")
    def _text(self) -> str:
        return self.readout.encoding

    @command(":WFMOutpre:BN_Fmt", Keyword("RI", "RP", "FP"))
    def _set_format(self, form: str) -> None:
        self.readout.format = "RI" if form == "FP" else form

    @query(":WFMOutpre:BN_Fmt?")
    def _format(self) -> str:
        return self.readout.format

    @command(":WFMOutpre:BYT_Or", Keyword("LSB", "MSB"))
    def _set_order(self, order: str) -> None:
        self.readout.order = order

    @query(":WFMOutpre:BYT_Or?")
    def _order(self) -> str:
        return self.readout.order
