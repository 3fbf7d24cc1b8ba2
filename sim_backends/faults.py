"""What can be wrong with one simulated unit, as the control instrument or ``[[world.faults]]`` brings it about.

A unit has at most one fault. A fault of the *line* answers a few plain questions about what reaches the client; one of
the *light* is a :class:`Disturbance` that the world looks at; one of the unit itself happens when it begins. Each is a
class of its own, and a new one is added to :data:`FAULTS`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final, Protocol, runtime_checkable
from weakref import WeakKeyDictionary

from labctl.errors import ConfigError
from sim_backends.state import DigitizerState, GeneratorState, LaserState
from sim_backends.status import ScpiError, Status

_NUMBER: Final = re.compile(rb"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
#: What GARBAGE does to every byte but those that end replies: no digit, letter or sign stays one that a parser takes.
_SCRAMBLE: Final = bytes(byte if byte in b"\r\n;" else byte ^ 0x95 for byte in range(256))


@dataclass(frozen=True)
class Disturbance:
    """What a fault does to the light and its records; nothing unless said.

    ``power_factor``, ``wavelength_shift_m``: of the laser's light. ``bias_shift``: of both arms of the modulator that
    the unit drives, in V_pi. ``record_factor``: of a digitizer's input, before its converter. ``record_limit``: where
    the input's amplifier saturates, in units of the record. ``stuck``: readings and records stay as they are.
    """

    power_factor: float = 1.0
    wavelength_shift_m: float = 0.0
    bias_shift: float = 0.0
    record_factor: float = 1.0
    record_limit: float | None = None
    stuck: bool = False


UNDISTURBED: Final = Disturbance()


class Faulty(Protocol):
    """What a fault needs of its unit."""

    name: str
    state: object


@runtime_checkable
class Interlocked(Protocol):
    """A unit with an interlock loop."""

    def set_interlock(self, closed: bool) -> None: ...


class Fault:
    """``breaks``: open connections are lost. ``refuses``: new ones are. ``deaf``: nothing is obeyed or answered."""

    name: ClassVar[str] = ""
    breaks: ClassVar[bool] = False
    refuses: ClassVar[bool] = False
    deaf: ClassVar[bool] = False
    disturbance: ClassVar[Disturbance] = UNDISTURBED

    def fits(self, unit: Faulty) -> bool:
        """Whether such a unit can have it."""
        return True

    def began(self, unit: Faulty) -> None:
        """It begins now."""

    def ended(self, unit: Faulty) -> None:
        """It is over."""

    def cleared(self, connection: object) -> None:
        """Device clear came in on a message transport."""

    def answer(self, connection: object, reply: bytes) -> bytes | None:
        """What reaches the client instead of ``reply``; None: nothing."""
        return None if self.deaf or self.refuses else reply


class Unplug(Fault):
    """The cable is pulled out: connections are lost and refused, until it is put back."""

    name, breaks, refuses = "UNPLUG", True, True


class HangUp(Fault):
    """The unit closes its connections, once: it can be opened again at once."""

    name, breaks = "HANGUP", True


class Silent(Fault):
    """The connection stands, but the unit neither obeys nor answers."""

    name, deaf = "SILENT", True


class Late(Fault):
    """Every answer comes too late: with the next one's turn, on the connection that asked for it."""

    name = "LATE"

    def __init__(self) -> None:
        self._held: WeakKeyDictionary[object, bytes] = WeakKeyDictionary()

    def cleared(self, connection: object) -> None:
        self._held.pop(connection, None)

    def answer(self, connection: object, reply: bytes) -> bytes | None:
        late = self._held.get(connection)
        self._held[connection] = reply
        return late


class Partial(Fault):
    """Half of every answer comes, and no terminator."""

    name = "PARTIAL"

    def answer(self, connection: object, reply: bytes) -> bytes | None:
        return reply[: len(reply) // 2] or None


class Garbage(Fault):
    """Every byte of every answer is another one, its terminator excepted (a wrong baud rate)."""

    name = "GARBAGE"

    def answer(self, connection: object, reply: bytes) -> bytes | None:
        return reply.translate(_SCRAMBLE)


class ByteOrder(Fault):
    """Words of two bytes come in the wrong order, in blocks."""

    name = "BYTEORDER"

    def answer(self, connection: object, reply: bytes) -> bytes | None:
        if reply[:1] != b"#" or not reply[1:2].isdigit():
            return reply
        start = 2 + int(reply[1:2])
        length = int(reply[2:start] or 0) // 2 * 2
        words = bytearray(reply[start : start + length])
        words[::2], words[1::2] = words[1::2], words[::2]
        return reply[:start] + bytes(words) + reply[start + length :]


class NotANumber(Fault):
    """Readings come as NAN."""

    name = "NAN"
    reading: ClassVar[bytes] = b"NAN"

    def answer(self, connection: object, reply: bytes) -> bytes | None:
        text = reply.rstrip(b"\r\n")
        fields = text.split(b",")
        if not any(b"." in field and _NUMBER.fullmatch(field.strip()) for field in fields):
            return reply
        spoilt = [self.reading if _NUMBER.fullmatch(field.strip()) else field for field in fields]
        return b",".join(spoilt) + reply[len(text) :]


class NoReading(NotANumber):
    """Readings come as 9.91E+37, by which SCPI instruments say that they have none."""

    name, reading = "NOREADING", b"9.91E+37"


class Stuck(Fault):
    """What the unit sees of the light stays as it was when this began: its power, or its record."""

    name, disturbance = "STUCK", Disturbance(stuck=True)

    def fits(self, unit: Faulty) -> bool:
        return not isinstance(unit.state, LaserState | GeneratorState)


class QueueFull(Fault):
    """The error queue is full of somebody's mistakes, its last entry -350."""

    name = "QUEUEFULL"

    def fits(self, unit: Faulty) -> bool:
        return isinstance(getattr(unit, "status", None), Status)

    def began(self, unit: Faulty) -> None:
        status = getattr(unit, "status", None)
        assert isinstance(status, Status)
        for _ in range(status.queue_size + 1):
            status.report(ScpiError(-113))


class _OfDigitizer(Fault):
    def fits(self, unit: Faulty) -> bool:
        return isinstance(unit.state, DigitizerState)


class Clipped(_OfDigitizer):
    """The input's signal goes far beyond its range."""

    name, disturbance = "CLIPPED", Disturbance(record_factor=1e3)


class Saturated(_OfDigitizer):
    """The input's amplifier saturates at one standard deviation of the shot noise, within the converter's range."""

    name, disturbance = "SATURATED", Disturbance(record_limit=1.0)


class _OfLaser(Fault):
    def fits(self, unit: Faulty) -> bool:
        return isinstance(unit.state, LaserState)


class ModeHop(_OfLaser):
    """The laser jumps to the next mode of its cavity: 0.08 nm (10 GHz) further, and a tenth weaker."""

    name, disturbance = "MODEHOP", Disturbance(power_factor=0.9, wavelength_shift_m=0.08e-9)


class PowerDrop(_OfLaser):
    """Half of the light is gone, and the laser does not know."""

    name, disturbance = "POWERDROP", Disturbance(power_factor=0.5)


class BiasDrift(Fault):
    """The modulator that a generator drives has drifted off its null, by a tenth of V_pi in both arms."""

    name, disturbance = "BIASDRIFT", Disturbance(bias_shift=0.1)

    def fits(self, unit: Faulty) -> bool:
        return isinstance(unit.state, GeneratorState)


class InterlockOpen(Fault):
    """Somebody opened the interlock loop: pump or laser goes off, and stays off when the loop is closed again."""

    name = "INTERLOCK"

    def fits(self, unit: Faulty) -> bool:
        return isinstance(unit, Interlocked)

    def began(self, unit: Faulty) -> None:
        assert isinstance(unit, Interlocked)
        unit.set_interlock(False)

    def ended(self, unit: Faulty) -> None:
        assert isinstance(unit, Interlocked)
        unit.set_interlock(True)


#: By the names that the control instrument and bench files use.
FAULTS: Final[Mapping[str, type[Fault]]] = {
    kind.name: kind
    for kind in (
        Unplug,
        HangUp,
        Silent,
        Late,
        Partial,
        Garbage,
        ByteOrder,
        NotANumber,
        NoReading,
        Stuck,
        QueueFull,
        Clipped,
        Saturated,
        ModeHop,
        PowerDrop,
        BiasDrift,
        InterlockOpen,
    )
}


def fault_named(name: str) -> Fault:
    """A fault that has not begun. Raises ConfigError for a name that is not in :data:`FAULTS`."""
    try:
        return FAULTS[name.upper()]()
    except KeyError:
        raise ConfigError(f"there is no fault called {name!r}", f"Use one of {', '.join(sorted(FAULTS))}.") from None
