"""The WLISt, SLISt and MMEMory commands of a simulated Tektronix AWG5200 or AWG70000.

After the commands and descriptions in Tektronix's tm_devices. Indices into samples count from 0, steps and tracks from
1.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sim_backends.scpi import (
    Binary,
    Block,
    Choice,
    Integer,
    Maybe,
    Number,
    Rest,
    ScpiError,
    ScpiUnit,
    Text,
    command,
    query,
)
from sim_backends.scpi_values import Parameter, Token
from sim_backends.state import WorldView
from sim_backends.tektronix_awg5200_files import MassStorage, assets_of, waveform_of
from sim_backends.tektronix_awg5200_memory import MAX_REPEATS, Lists, Sequence, Waveform, predefined

STEP: Final = ":SLISt:SEQuence:STEP<n>"
WAIT: Final = Choice("ATRigger", "BTRigger", "ITRigger", "OFF")


class _Raw(Parameter[Token]):
    """A number or a block, as it came."""

    def parse(self, token: Token, unit: object) -> Token:
        return token


class _Target(Parameter[str]):
    """Where a step goes on: a number, or one of some words."""

    def parse(self, token: Token, unit: object) -> str:
        if isinstance(token, str) and token.strip().isdigit():
            return str(Integer(1, 16_383).parse(token, unit))
        return Choice("NEXT", "FIRSt", "LAST", "END").parse(token, unit)


class _Repeats(Parameter[int]):
    """How often a step plays; 0: without end."""

    def parse(self, token: Token, unit: object) -> int:
        word = token.strip().upper() if isinstance(token, str) else ""
        if word == "ONCE":
            return 1
        return 0 if word in ("INF", "INFINITE") else Integer(1, MAX_REPEATS).parse(token, unit)


def _addressed(tokens: list[Token], unit: object) -> tuple[int, int | None, memoryview]:
    """Start, size and data of ``[<start>[,<size>]],<block>``."""
    *numbers, block = tokens
    if len(numbers) > 2:
        raise ScpiError(-108)
    places = [Integer(0).parse(number, unit) for number in numbers]
    data = Binary().parse(block, unit)
    return places[0] if places else 0, places[1] if len(places) > 1 else None, data


class TektronixLists(ScpiUnit):
    """Base of the unit. ``min_length`` and ``max_length``: of a waveform, samples."""

    min_length: int
    max_length: int

    def __init__(self, name: str, world: WorldView, options: Mapping[str, object] | None = None) -> None:
        super().__init__(name, world, options)
        self.lists = Lists()
        self.storage = MassStorage()

    def written(self) -> None:
        """Something that may be playing has been written."""
        raise NotImplementedError

    def in_use(self, waveform: str = "", sequence: str = "") -> bool:
        """Whether it is being played."""
        raise NotImplementedError

    # ---- waveforms -----------------------------------------------------------------------------

    @query(":WLISt:LIST?")
    def _waveform_names(self) -> str:
        return f'"{",".join(self.lists.waveforms)}"'

    @query(":WLISt:SIZE?")
    def _waveform_count(self) -> int:
        return len(self.lists.waveforms)

    @query(":WLISt:LAST?")
    def _last_waveform(self) -> str:
        return f'"{next(reversed(self.lists.waveforms), "")}"'

    @query(":WLISt:NAME?", Integer(1))
    def _waveform_name(self, index: int) -> str:
        return _named(self.lists.waveforms, index)

    @query(":WLISt:WAVeform:LMINimum?")
    def _shortest(self) -> int:
        return self.min_length

    @query(":WLISt:WAVeform:LMAXimum?")
    def _longest(self) -> int:
        return self.max_length

    @query(":WLISt:WAVeform:GRANularity?")
    def _granularity(self) -> int:
        return 1

    @command(":WLISt:WAVeform:NEW", Text(), Integer(1), Maybe(Choice("REAL", "IQ", "INTeger"), "REAL"))
    def _new_waveform(self, name: str, samples: int, kind: str) -> None:
        if not self.min_length <= samples <= self.max_length:
            raise ScpiError(-222, f"{samples} samples, {self.min_length} to {self.max_length}")
        if not name or name in self.lists.waveforms:
            raise ScpiError(-221, f"the name '{name}' is taken")
        if sum(map(len, self.lists.waveforms.values())) + samples > self.max_length:
            raise ScpiError(-225, "Out of memory")
        self.lists.waveforms[name] = Waveform(name, np.zeros(samples, np.float32), "IQ" if kind == "IQ" else "REAL")

    @command(":WLISt:WAVeform:DELete", Text())
    def _delete_waveform(self, name: str) -> None:
        names = list(self.lists.waveforms) if name.upper() == "ALL" else [self.lists.waveform(name).name]
        if any(self.in_use(waveform=one) for one in names):
            raise ScpiError(-221, "a channel plays it")
        for one in names:
            del self.lists.waveforms[one]

    @command(":WLISt:WAVeform:DATA", Text(), Rest(_Raw()))
    @command(":WLISt:WAVeform:DATA:I", Text(), Rest(_Raw()))
    def _write_samples(self, name: str, tokens: list[Token]) -> None:
        start, size, data = _addressed(tokens, self)
        if len(data) % 4:
            raise ScpiError(-161, "a sample has four bytes")
        self.lists.waveform(name).write(start, _sized(np.frombuffer(data, "<f4"), size))
        self.written()

    @query(":WLISt:WAVeform:DATA?", Text(), Maybe(Integer(0), 0), Maybe(Integer(0), -1))
    @query(":WLISt:WAVeform:DATA:I?", Text(), Maybe(Integer(0), 0), Maybe(Integer(0), -1))
    def _read_samples(self, name: str, start: int, size: int) -> Block:
        waveform = self.lists.waveform(name)
        part = waveform.part(start, len(waveform) - start if size < 0 else size)
        return _block(waveform.samples[part].astype("<f4"))

    @command(":WLISt:WAVeform:DATA:Q", Text(), Rest(_Raw()))
    def _write_quadrature(self, name: str, tokens: list[Token]) -> None:
        start, size, data = _addressed(tokens, self)
        if len(data) % 4:
            raise ScpiError(-161, "a sample has four bytes")
        self.lists.waveform(name).write_quadrature(start, _sized(np.frombuffer(data, "<f4"), size))

    @query(":WLISt:WAVeform:DATA:Q?", Text(), Maybe(Integer(0), 0), Maybe(Integer(0), -1))
    def _read_quadrature(self, name: str, start: int, size: int) -> Block:
        waveform = self.lists.waveform(name)
        part = waveform.part(start, len(waveform) - start if size < 0 else size)
        return _block(waveform.quadrature()[part].astype("<f4"))

    @command(":WLISt:WAVeform:MARKer:DATA", Text(), Rest(_Raw()))
    def _write_markers(self, name: str, tokens: list[Token]) -> None:
        start, size, data = _addressed(tokens, self)
        self.lists.waveform(name).write_markers(start, _sized(np.frombuffer(data, np.uint8), size))

    @query(":WLISt:WAVeform:MARKer:DATA?", Text(), Maybe(Integer(0), 0), Maybe(Integer(0), -1))
    def _read_markers(self, name: str, start: int, size: int) -> Block:
        waveform = self.lists.waveform(name)
        return _block(waveform.markers[waveform.part(start, len(waveform) - start if size < 0 else size)])

    @query(":WLISt:WAVeform:LENGth?", Text())
    def _length(self, name: str) -> int:
        return len(self.lists.waveform(name))

    @query(":WLISt:WAVeform:TYPE?", Text())
    def _kind(self, name: str) -> str:
        return self.lists.waveform(name).kind

    @query(":WLISt:WAVeform:TSTamp?", Text())
    def _stamp(self, name: str) -> str:
        return f'"{self.lists.waveform(name).stamp}"'

    @command(":WLISt:WAVeform:AMPLitude", Text(), Number("V"))
    def _recommend_amplitude(self, name: str, volts: float) -> None:
        self.lists.waveform(name).settings["amplitude"] = volts

    @query(":WLISt:WAVeform:AMPLitude?", Text())
    def _recommended_amplitude(self, name: str) -> float:
        return self.lists.waveform(name).settings.get("amplitude", 9.9e37)

    @command(":WLISt:WAVeform:SRATe", Text(), Number("HZ"))
    def _recommend_rate(self, name: str, rate_hz: float) -> None:
        self.lists.waveform(name).settings["rate"] = rate_hz

    @query(":WLISt:WAVeform:SRATe?", Text())
    def _recommended_rate(self, name: str) -> float:
        return self.lists.waveform(name).settings.get("rate", 9.9e37)

    # ---- sequences -----------------------------------------------------------------------------

    @query(":SLISt:SIZE?")
    def _sequence_count(self) -> int:
        return len(self.lists.sequences)

    @query(":SLISt:NAME?", Integer(1))
    def _sequence_name(self, index: int) -> str:
        return _named(self.lists.sequences, index)

    @command(":SLISt:SEQuence:NEW", Text(), Integer(0, 16_383), Maybe(Integer(1, 8), 1))
    def _new_sequence(self, name: str, steps: int, tracks: int) -> None:
        if not name or name in self.lists.sequences:
            raise ScpiError(-221, f"the name '{name}' is taken")
        sequence = Sequence(name, tracks)
        sequence.add(1, steps)
        self.lists.sequences[name] = sequence

    @command(":SLISt:SEQuence:DELete", Text())
    def _delete_sequence(self, name: str) -> None:
        names = list(self.lists.sequences) if name.upper() == "ALL" else [self.lists.sequence(name).name]
        if any(self.in_use(sequence=one) for one in names):
            raise ScpiError(-221, "a channel plays it")
        for one in names:
            del self.lists.sequences[one]

    @query(":SLISt:SEQuence:LENGth?", Text())
    def _steps(self, name: str) -> int:
        return len(self.lists.sequence(name).steps)

    @query(":SLISt:SEQuence:TRACk?", Text())
    def _tracks(self, name: str) -> int:
        return self.lists.sequence(name).tracks

    @command(":SLISt:SEQuence:STEP:ADD", Text(), Integer(1), Maybe(Integer(1), 1))
    def _add_steps(self, name: str, position: int, count: int) -> None:
        self.lists.sequence(name).add(position, count)

    @command(f"{STEP}:TASSet<n:8>:WAVeform", Text(), Text())
    def _assign_step(self, number: int, track: int, name: str, waveform: str) -> None:
        step = self.lists.sequence(name).step(number)
        if track > len(step.tracks):
            raise ScpiError(-222, f"track {track}")
        step.tracks[track - 1] = self.lists.waveform(waveform).name
        self.written()

    @query(f"{STEP}:TASSet<n:8>?", Text())
    def _assigned_to_step(self, number: int, track: int, name: str) -> str:
        step = self.lists.sequence(name).step(number)
        if track > len(step.tracks):
            raise ScpiError(-222, f"track {track}")
        return f'"{step.tracks[track - 1]}"'

    @command(f"{STEP}:RCOunt", Text(), _Repeats())
    def _set_repeats(self, number: int, name: str, repeats: int) -> None:
        self.lists.sequence(name).step(number).repeats = repeats
        self.written()

    @query(f"{STEP}:RCOunt?", Text())
    def _repeats(self, number: int, name: str) -> str:
        repeats = self.lists.sequence(name).step(number).repeats
        return "INF" if repeats == 0 else "ONCE" if repeats == 1 else str(repeats)

    @command(f"{STEP}:WINPut", Text(), WAIT)
    def _set_wait(self, number: int, name: str, wait: str) -> None:
        self.lists.sequence(name).step(number).wait = wait

    @query(f"{STEP}:WINPut?", Text())
    def _wait_input(self, number: int, name: str) -> str:
        return self.lists.sequence(name).step(number).wait

    @command(f"{STEP}:GOTO", Text(), _Target())
    def _set_goto(self, number: int, name: str, target: str) -> None:
        self.lists.sequence(name).step(number).goto = target

    @query(f"{STEP}:GOTO?", Text())
    def _goto(self, number: int, name: str) -> str:
        return self.lists.sequence(name).step(number).goto

    @command(f"{STEP}:EJINput", Text(), WAIT)
    def _set_event_input(self, number: int, name: str, event: str) -> None:
        self.lists.sequence(name).step(number).event_input = event

    @query(f"{STEP}:EJINput?", Text())
    def _event_input(self, number: int, name: str) -> str:
        return self.lists.sequence(name).step(number).event_input

    @command(f"{STEP}:EJUMp", Text(), _Target())
    def _set_event_jump(self, number: int, name: str, target: str) -> None:
        self.lists.sequence(name).step(number).event_jump = target

    @query(f"{STEP}:EJUMp?", Text())
    def _event_jump(self, number: int, name: str) -> str:
        return self.lists.sequence(name).step(number).event_jump

    # ---- files ---------------------------------------------------------------------------------

    @command(":MMEMory:CDIRectory", Maybe(Text(), "C:\\"))
    def _change_folder(self, folder: str) -> None:
        self.storage.folder = folder

    @query(":MMEMory:CDIRectory?")
    def _folder(self) -> str:
        return f'"{self.storage.folder}"'

    @query(":MMEMory:CATalog?", Maybe(Text(), ""))
    def _files(self, drive: str) -> str:
        files = list(self.storage.catalogue())
        listed = "".join(f',"{name},,{size}"' for name, size in files)
        return f"{sum(size for _, size in files)},{10**12}{listed}"

    @command(":MMEMory:DELete", Text(), Maybe(Text(), ""))
    def _delete_file(self, path: str, drive: str) -> None:
        self.storage.delete(path)

    @command(":MMEMory:DATA", Text(), Rest(_Raw()))
    def _write_file(self, path: str, tokens: list[Token]) -> None:
        start, _, data = _addressed(tokens, self)
        self.storage.write(path, start, bytes(data))

    @query(":MMEMory:DATA?", Text(), Maybe(Integer(0), 0), Maybe(Integer(0), -1))
    def _read_file(self, path: str, start: int, size: int) -> Block:
        data = self.storage.read(path)[start:]
        data = data if size < 0 else data[:size]
        return Block(data, digits=len(str(len(data))))

    @query(":MMEMory:DATA:SIZE?", Text())
    def _file_size(self, path: str) -> int:
        return len(self.storage.read(path))

    @command(":MMEMory:OPEN", Text())
    def _open(self, path: str) -> None:
        if path.lower().endswith(".wfmx"):
            self._take([waveform_of(path, self.storage.read(path))], [])
        else:
            self._take(*assets_of(self.storage.read(path)))

    @command(":MMEMory:IMPort", Text(), Text(), Choice("WFMX"))
    def _import(self, name: str, path: str, kind: str) -> None:
        waveform = waveform_of(path, self.storage.read(path))
        waveform.name = name
        self._take([waveform], [])

    @command(":MMEMory:OPEN:SASSet[:ALL]", Text(), Maybe(Text(), ""))
    @command(":MMEMory:OPEN:SASSet:SEQuence", Text(), Maybe(Text(), ""))
    @command(":MMEMory:OPEN:SASSet:WAVeform", Text(), Maybe(Text(), ""))
    def _open_assets(self, path: str, wanted: str) -> None:
        if path.lower().endswith("predefined waveforms.awgx"):
            self._take([one for one in predefined() if wanted in ("", one.name)], [])
            return
        waveforms, sequences = assets_of(self.storage.read(path))
        self._take(waveforms, [one for one in sequences if wanted in ("", one.name)])

    def _take(self, waveforms: Iterable[Waveform], sequences: Iterable[Sequence]) -> None:
        self.lists.waveforms |= {one.name: one for one in waveforms}
        self.lists.sequences |= {one.name: one for one in sequences}
        self.written()

    @query(":SYSTem:ERRor:CODE?")
    @query(":SYSTem:ERRor:CODE:NEXT?")
    def _error_code(self) -> int:
        return self.status.next_error()[0]


def _named(names: Iterable[str], index: int) -> str:
    known = list(names)
    if index > len(known):
        raise ScpiError(-222)
    return f'"{known[index - 1]}"'


def _sized(values: NDArray[Any], size: int | None) -> NDArray[Any]:
    if size is not None and size != len(values):
        raise ScpiError(-223 if size < len(values) else -220, f"{size} are announced, {len(values)} came")
    return values


def _block(values: NDArray[Any]) -> Block:
    return Block(values, digits=len(str(values.nbytes)))
