"""The control instrument of a simulated laboratory, resource ``SIM``: what no real bench has, in
SCPI.

=============================  ==============================================================
``*IDN?``                      ``LABCTL,SIM,0,1.0``
``:RESet <seed>``              forget faults and draws; all noise follows from ``seed`` and the key
``:KEY [n,n,...]``             draw key of the acquisitions to come
``:CLOCk STEPped|REAL``        whether time moves only when told to; ``:CLOCk?``
``:TIME?``                     the laboratory's time, s
``:TIME:ADVance <s>``          move the stepped clock
``:TIME:PASS? <s>``            the same where time is stepped; the seconds that are left to be waited for
``:FAULt "<unit>",<fault>``    UNPLUG or SILENT, see :mod:`sim_backends.faults`
``:FAULt:CLEar``               all units are well again; connections that broke stay broken
``:ATTack <kind>[,<strength>]`` ALLModes, RESend, TAP, SUBStitution or INJection, see :mod:`sim_backends.attacks`
``:ATTack?``                   kind or NONE, strength, samples the attacker took, bits per mode they told
``:ATTack:CLEar``              nobody attacks any more
=============================  ==============================================================
"""

from __future__ import annotations

from typing import Final, Protocol

from sim_backends.faults import FAULTS
from sim_backends.scpi import (
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
from sim_backends.state import WorldView

_MAX_SEED: Final = 2**63 - 1


class LabControl(Protocol):
    """What the laboratory lets its control instrument do. Methods may raise LabctlError."""

    @property
    def stepped(self) -> bool:
        """Whether time moves only by ``advance`` and by acquisitions."""
        ...

    def now(self) -> float:
        """Seconds."""
        ...

    def reset(self, seed: int) -> None: ...

    def set_key(self, key: tuple[int, ...]) -> None: ...

    def set_stepped(self, stepped: bool) -> None: ...

    def advance(self, seconds: float) -> None: ...

    def set_fault(self, unit: str, fault: str) -> None: ...

    def clear_faults(self) -> None: ...

    def set_attack(self, kind: str | None, strength: float) -> None: ...

    def attack(self) -> tuple[str, float, int, float]: ...


class SimControl(ScpiUnit):
    """Front end of :class:`LabControl`."""

    def __init__(self, name: str, world: WorldView, control: LabControl) -> None:
        super().__init__(name, world)
        self._control = control

    def identity(self) -> str:
        return "LABCTL,SIM,0,1.0"

    @command(":RESet", Integer(0, _MAX_SEED))
    def _reset_lab(self, seed: int) -> None:
        self._control.reset(seed)

    @command(":KEY", Rest(Integer(0, _MAX_SEED), least=0))
    def _set_key(self, key: list[int]) -> None:
        self._control.set_key(tuple(key))

    @command(":CLOCk", Choice("STEPped", "REAL"))
    def _set_clock(self, mode: str) -> None:
        self._control.set_stepped(mode == "STEP")

    @query(":CLOCk?")
    def _clock(self) -> str:
        return "STEP" if self._control.stepped else "REAL"

    @query(":TIME?")
    def _time(self) -> str:
        return repr(float(self._control.now()))

    @command(":TIME:ADVance", Number("S", (0.0, 1e9)))
    def _advance(self, seconds: float) -> None:
        if not self._control.stepped:
            raise ScpiError(-221, "the clock is real")
        self._control.advance(seconds)

    @query(":TIME:PASS?", Number("S", (0.0, 1e9)))
    def _pass(self, seconds: float) -> float:
        if not self._control.stepped:
            return seconds
        self._control.advance(seconds)
        return 0.0

    @command(":FAULt", Text(), Choice(*FAULTS))
    def _set_fault(self, unit: str, fault: str) -> None:
        self._control.set_fault(unit, fault)

    @command(":FAULt:CLEar")
    def _clear_faults(self) -> None:
        self._control.clear_faults()

    @command(
        ":ATTack",
        Choice("ALLModes", "RESend", "TAP", "SUBStitution", "INJection"),
        Maybe(Number("", (0.0, 1e6)), 0.0),
    )
    def _set_attack(self, kind: str, strength: float) -> None:
        self._control.set_attack(kind, strength)

    @query(":ATTack?")
    def _attack(self) -> str:
        kind, strength, samples, bits = self._control.attack()
        return f"{kind},{strength:.8E},{samples},{bits:.8E}"

    @command(":ATTack:CLEar")
    def _clear_attack(self) -> None:
        self._control.set_attack(None, 0.0)
