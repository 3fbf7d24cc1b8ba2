"""Keysight (Agilent) M8190A 12 GSa/s arbitrary waveform generator.

Manual: Keysight, "M8190A Arbitrary Waveform Generator User's Guide" (M8190-91030), pages 90 to 92
(sample formats), 253 (segments and sequences), 281 (:TRACe), 285 and 286 (:STABle). Reached through
its soft front panel, TCP port 5025.

* A sample is 16 bits, little endian: WPR (14 bit, up to 8 GSa/s) in bits 15 to 2, WSP (12 bit, up
  to 12 GSa/s) in bits 15 to 4; the two lowest bits are markers and stay 0 here.
* Playback is by sequence table: one entry that is first and last of its sequence plays one segment
  a number of times.
* ``:INSTrument:COUPle:STATe ON`` makes both channels start and stop together.
* ``:INITiate:CONTinuous OFF`` and ``:INITiate:GATE OFF`` make the triggered mode: armed by
  ``:INITiate:IMMediate``, begun by the trigger input or ``:TRIGger:BEGin``.
  ``:TRIGger:BEGin<n>:HWDisable ON`` leaves only the command.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from drivers.connection import Part
from drivers.generator import check_request
from drivers.link import ScpiLink
from drivers.scpi import int16_block, real, switch, word
from drivers.visa import VisaLibrary
from labctl.clock import Clock
from labctl.errors import ConfigError, InstrumentError, InstrumentLost, LimitError
from labctl.interfaces import WaveformGenerator
from labctl.values import GeneratorCapabilities, Identity, Range, SafeState, Scalar, Snapshot

SAMPLE_FORMAT = word(":TRACe{}:DWIDth", "WSP speed (12 bit), WPR precision (14 bit)")
SAMPLE_RATE = real(":FREQuency:RASTer", "Internal sample clock", unit="Hz")
AMPLITUDE = real(":DAC{}:VOLTage:AMPLitude", "Full scale of the DAC output", unit="Vpp")
OUTPUT = switch(":OUTPut{}:NORMal", "Normal output connected")
FUNCTION = word(":FUNCtion{}:MODE", "ARBitrary, STSequence or STSCenario")

#: Control word of a sequence table entry: first (bit 28) and last (bit 30) of its sequence, marker
#: enabled (bit 24), advance automatically (bits 16 to 19 zero).
ONE_ENTRY_SEQUENCE: Final = 1 << 28 | 1 << 30 | 1 << 24
WHOLE_SEGMENT: Final = 0xFFFFFFFF
MAX_LOOPS: Final = 0xFFFFFFFF
MAX_SEGMENTS: Final = 524_288
CHANNELS: Final = (1, 2)


@dataclass(frozen=True)
class SampleFormat:
    """One row of the table of operating modes (page 90)."""

    bits: int
    marker_bits: int
    granularity: int
    min_length: int
    max_rate_hz: float


FORMATS: Final = {
    "WPR": SampleFormat(14, 2, 48, 240, 8e9),
    "WSP": SampleFormat(12, 4, 64, 320, 12e9),
}
MIN_RATE_HZ: Final = 125e6
AMPLITUDE_VPP: Final = Range(0.1, 0.7, "V")


class M8190A(WaveformGenerator):
    """``mode``: "WPR" (14 bit) or "WSP" (12 bit). ``memory_samples``: per channel, by the options
    fitted.
    """

    def __init__(
        self,
        name: str,
        resource: str,
        library: VisaLibrary,
        clock: Clock,
        *,
        mode: str = "WPR",
        memory_samples: int = 128 << 20,
    ) -> None:
        super().__init__(name)
        if mode not in FORMATS:
            raise ConfigError(f"{name}: mode = {mode!r}", 'Use mode = "WPR" or mode = "WSP".')
        self._mode = mode
        self._format = FORMATS[mode]
        self._link = ScpiLink(library.connect(name, resource))
        code_max = (1 << (self._format.bits - 1)) - 1
        self.capabilities = GeneratorCapabilities(
            channels=len(CHANNELS),
            sample_rate_hz=Range(MIN_RATE_HZ, self._format.max_rate_hz, "Sa/s"),
            amplitude_vpp=AMPLITUDE_VPP,
            bits=self._format.bits,
            code_min=-code_max - 1,
            code_max=code_max,
            granularity=self._format.granularity,
            min_length=self._format.min_length,
            memory_samples=memory_samples,
        )
        self._forget()

    def _forget(self) -> None:
        self._channels: tuple[int, ...] = ()
        self._generation = -1
        self._lengths: dict[tuple[int, int], int] = {}  # (channel, segment): samples
        self._table: dict[tuple[int, int], int] = {}  # (segment, loops): table index
        self._external: bool | None = None
        self._initiated = False

    # ---- life ---------------------------------------------------------------------------------

    def open(self) -> None:
        self._link.open("KEYSIGHT TECHNOLOGIES|AGILENT TECHNOLOGIES", "M8190A")
        self._forget()

    def close(self) -> None:
        self._link.close()
        self._forget()

    @property
    def identity(self) -> Identity:
        return self._link.identity

    # ---- waveforms ----------------------------------------------------------------------------

    def configure(self, sample_rate_hz: float, amplitude_vpp: Mapping[int, float]) -> None:
        """Stop, delete all segments, choose sample format, clock, amplitudes and the triggered
        sequence mode.
        """
        check_request(self.name, self.capabilities, sample_rate_hz, amplitude_vpp)
        self._forget()
        channels = tuple(sorted(amplitude_vpp))
        commands = [f":ABORt{n}" for n in CHANNELS]
        commands.append(f":INSTrument:COUPle:STATe {'ON' if len(channels) > 1 else 'OFF'}")
        commands += [f":TRACe{n}:DELete:ALL" for n in CHANNELS]
        commands += [self._link.text(SAMPLE_FORMAT, self._mode, n) for n in channels]
        commands.append(self._link.text(SAMPLE_RATE, sample_rate_hz))
        for n in channels:
            commands += [
                f":OUTPut{n}:ROUTe DAC",
                self._link.text(AMPLITUDE, amplitude_vpp[n], n),
                self._link.text(FUNCTION, "STSequence", n),
                f":INITiate:CONTinuous{n} OFF",
                f":INITiate:GATE{n} OFF",
            ]
        self._link.command(";".join(commands))
        self._channels = channels
        self._generation = self._link.connection.generation

    def load(self, segment: int, codes: Mapping[int, NDArray[np.int16]]) -> None:
        """All channels in one message, samples as binary blocks. Raises LimitError before anything
        is sent.
        """
        self._link.command(*self._stop_text(), *self._load_parts(segment, codes))
        self._note_loaded(segment, codes)

    def arm(self, segment: int, loops: int, *, external: bool) -> None:
        self._initiate([*self._stop_text(), *self._arm_text(segment, loops, external)])
        self._note_armed(segment, loops, external)

    def load_and_arm(self, segment: int, codes: Mapping[int, NDArray[np.int16]], loops: int, *, external: bool) -> None:
        """:meth:`load` and :meth:`arm` in one message."""
        parts = [*self._stop_text(), *self._load_parts(segment, codes)]
        known = self._lengths | {(channel, segment): len(c) for channel, c in codes.items()}
        parts += self._arm_text(segment, loops, external, known)
        self._initiate(parts)
        self._note_loaded(segment, codes)
        self._note_armed(segment, loops, external)

    def trigger(self) -> None:
        self._require_configured()
        self._link.command(f":TRIGger:BEGin{self._channels[0]}")

    def play(self, segment: int, loops: int) -> None:
        """:meth:`arm` and :meth:`trigger` in one message."""
        parts = [*self._stop_text(), *self._arm_text(segment, loops, False)]
        self._initiate([*parts, f":TRIGger:BEGin{self._channels[0]}"])
        self._note_armed(segment, loops, False)

    def _initiate(self, parts: Sequence[Part]) -> None:
        """Send a message that initiates; refused in part, it may have done so nevertheless."""
        self._initiated = True
        self._link.command(*parts)

    def stop(self) -> None:
        self._link.command(";".join(f":ABORt{n}" for n in CHANNELS))
        self._initiated = False

    # ---- the parts of a message ----------------------------------------------------------------
    # Each command ends with ";", so that parts can be joined; the last one in a message may as
    # well.

    def _require_configured(self) -> None:
        if self._generation < 0:
            raise InstrumentError(self.name, "has not been configured", "Configure it first.")
        if self._generation != self._link.connection.generation:
            raise InstrumentLost(
                self.name,
                "its line was renewed after a failure, and its memory may be gone",
                "Configure the generator again.",
            )

    def _stop_text(self) -> list[str]:
        self._require_configured()
        return [f":ABORt{self._channels[0]};"] if self._initiated else []

    def _load_parts(self, segment: int, codes: Mapping[int, NDArray[np.int16]]) -> list[Part]:
        self._check_segment(segment, codes)
        parts: list[Part] = []
        for channel, samples in codes.items():
            length = self._lengths.get((channel, segment))
            if length != len(samples):
                delete = "" if length is None else f":TRACe{channel}:DELete {segment};"
                parts.append(f"{delete}:TRACe{channel}:DEFine {segment},{len(samples)};")
            parts.append(f":TRACe{channel}:DATA {segment},0,")
            parts.extend(int16_block(samples, self._format.marker_bits))
            parts.append(";")
        return parts

    def _check_segment(self, segment: int, codes: Mapping[int, NDArray[np.int16]]) -> None:
        limits = self.capabilities
        if not 1 <= segment <= MAX_SEGMENTS:
            raise LimitError(self.name, f"segment {segment}", f"Use 1 to {MAX_SEGMENTS}.")
        for channel, samples in codes.items():
            where = f"segment {segment} of channel {channel}"
            if channel not in self._channels:
                raise LimitError(self.name, f"{where}: this channel has not been configured")
            if samples.dtype != np.int16 or samples.ndim != 1:
                raise LimitError(self.name, f"{where}: samples must be int16 of shape (N,)")
            count = len(samples)
            if count < limits.min_length or count % limits.granularity:
                raise LimitError(
                    self.name,
                    f"{where}: {count} samples",
                    f"Use a multiple of {limits.granularity}, at least {limits.min_length}.",
                )
            if samples.min() < limits.code_min or samples.max() > limits.code_max:
                raise LimitError(
                    self.name,
                    f"{where}: codes from {samples.min()} to {samples.max()}",
                    f"Keep codes within {limits.code_min} to {limits.code_max}.",
                )

    def _arm_text(
        self,
        segment: int,
        loops: int,
        external: bool,
        lengths: Mapping[tuple[int, int], int] | None = None,
    ) -> list[str]:
        known = self._lengths if lengths is None else lengths
        missing = [n for n in self._channels if (n, segment) not in known]
        if missing:
            raise LimitError(self.name, f"segment {segment} is not loaded on channels {missing}", "Load it first.")
        if not 1 <= loops <= MAX_LOOPS:
            raise LimitError(self.name, f"{loops} loops", f"Use 1 to {MAX_LOOPS}.")
        index = self._table.get((segment, loops))
        new = index is None
        if index is None:
            index = len(self._table)
        commands = []
        for n in self._channels:
            if new:
                commands.append(f":STABle{n}:DATA {index},{ONE_ENTRY_SEQUENCE},1,{loops},{segment},0,{WHOLE_SEGMENT};")
            if external is not self._external:
                commands.append(f":TRIGger:BEGin{n}:HWDisable {'OFF' if external else 'ON'};")
            commands.append(f":STABle{n}:SEQuence:SELect {index};")
        # Coupled channels are initiated, begun and aborted together.
        return [*commands, f":INITiate:IMMediate{self._channels[0]};"]

    def _note_loaded(self, segment: int, codes: Mapping[int, NDArray[np.int16]]) -> None:
        for channel, samples in codes.items():
            self._lengths[channel, segment] = len(samples)
        self._initiated = False

    def _note_armed(self, segment: int, loops: int, external: bool) -> None:
        self._table.setdefault((segment, loops), len(self._table))
        self._external = external
        self._initiated = True

    # ---- outputs and reports ------------------------------------------------------------------

    def set_output(self, channel: int, on: bool) -> None:
        self._link.set(OUTPUT, on, self._channel(channel))

    def output(self, channel: int) -> bool:
        return self._link.get(OUTPUT, self._channel(channel))

    def _channel(self, channel: int) -> int:
        if channel not in CHANNELS:
            raise LimitError(self.name, f"there is no channel {channel}", f"Use one of {CHANNELS}.")
        return channel

    def safe_state(self) -> SafeState:
        """Playback aborted and outputs off; dark when every output is read back off."""
        self.stop()
        for channel in CHANNELS:
            self._link.set(OUTPUT, False, channel)
        on = {channel: self._link.get(OUTPUT, channel) for channel in CHANNELS}
        return SafeState(
            self.name,
            not any(on.values()),
            {f"output_{channel}": state for channel, state in on.items()},
            "an output is still on" if any(on.values()) else "",
        )

    def snapshot(self) -> Snapshot:
        readings: dict[str, Scalar] = {"sample_rate_hz": self._link.get(SAMPLE_RATE)}
        for channel in CHANNELS:
            readings[f"mode_{channel}"] = self._link.get(SAMPLE_FORMAT, channel)
            readings[f"amplitude_{channel}_vpp"] = self._link.get(AMPLITUDE, channel)
            readings[f"function_{channel}"] = self._link.get(FUNCTION, channel)
            readings[f"output_{channel}"] = self._link.get(OUTPUT, channel)
        return readings

    def problems(self) -> Sequence[str]:
        return self._link.problems()
