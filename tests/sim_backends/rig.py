"""A quiet world, a client at the end of a wire, and a laboratory of a few units for the VISA library's tests."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from sim_backends.scpi import (
    Binary,
    Block,
    Integer,
    Maybe,
    Number,
    Rest,
    ScpiError,
    ScpiUnit,
    Setting,
    Text,
    command,
    query,
)
from sim_backends.state import ChannelRecord
from sim_backends.unit import Connection, Unit


class QuietWorld:
    """Time and power are what a test says."""

    def __init__(self) -> None:
        self.time_s = 0.0
        self.power_w: dict[str, float] = {}
        self.bias = 0.0

    def now(self) -> float:
        return self.time_s

    def fire_trigger(self, unit: str) -> None:
        raise AssertionError("nothing here fires a trigger")

    def acquire(
        self, unit: str, channels: Sequence[int], sample_interval_s: float, samples: int
    ) -> dict[int, ChannelRecord]:
        raise AssertionError("nothing here acquires")

    def optical_power_w(self, unit: str) -> float:
        return self.power_w.get(unit, 0.0)

    def arm_bias(self, unit: str, electrode: int) -> float:
        return self.bias


class Client:
    """Writes and reads as a program does; what is read comes without its terminator."""

    def __init__(self, unit: Unit, stream: bool = True, ending: str = "\n") -> None:
        self.unit = unit
        connection = unit.connect(stream)
        assert connection is not None
        self.connection: Connection = connection
        self.ending = ending

    def write(self, text: str) -> None:
        self.connection.receive((text + self.ending).encode("latin-1"))

    def read(self) -> str | None:
        """All that waits, None when nothing does."""
        data = self.read_bytes()
        return data.decode("latin-1").rstrip("\r\n") if data else None

    def read_bytes(self) -> bytes:
        return self.connection.rest(1 << 30)

    def ask(self, text: str) -> str:
        self.write(text)
        reply = self.read()
        assert reply is not None, f"{text} was not answered"
        return reply

    def errors(self) -> list[int]:
        """The error queue, emptied."""
        codes = []
        while True:
            code = int(self.ask(":SYST:ERR?").split(",")[0])
            if not code:
                return codes
            codes.append(code)


class Demo(ScpiUnit):
    """A unit with a command of every kind. ``pending``: an operation goes on until a test ends it."""

    MODEL = "demo"
    gain = Setting(":INPut<n:2>:GAIN", Number("DB", (0.0, 20.0), default=3.0), 1.0)
    label = Setting(":LABel", Text(), "")

    def __init__(self, name: str = "demo", world: QuietWorld | None = None) -> None:
        super().__init__(name, world or QuietWorld())
        self.level_w = 1e-3
        self.pending = False
        self.payload = b""
        self.numbers: list[int] = []
        self.log: list[tuple[object, ...]] = []

    def identity(self) -> str:
        return "MAKER,DEMO,1,1.0"

    def operation_pending(self) -> bool:
        return self.pending

    @command("[:SOURce<n:4>]:POWer[:LEVel][:IMMediate]", Number("W", (0.0, 1.0), plain="DBM"))
    def _set_level(self, channel: int, power_w: float) -> None:
        self.log.append(("level", channel))
        self.level_w = power_w

    @query("[:SOURce<n:4>]:POWer[:LEVel][:IMMediate]?")
    def _level(self, channel: int) -> float:
        return self.level_w

    @command(":TRACe<n:2>:DATA", Integer(1, 9), Integer(0), Binary())
    def _data(self, channel: int, segment: int, offset: int, data: memoryview) -> None:
        self.log.append(("data", channel, segment, offset, len(data)))
        self.payload = bytes(data)

    @query(":TRACe<n:2>:DATA?", Maybe(Integer(), 1))
    def _data_back(self, channel: int, segment: int) -> Block:
        return Block(self.payload)

    @command(":TRACe<n:2>:SELect", Integer(1, 9))
    def _select(self, channel: int, segment: int) -> None:
        self.log.append(("select", channel, segment))

    @command(":LIST", Rest(Integer(0, 100)))
    def _list(self, numbers: list[int]) -> None:
        self.numbers = numbers

    @command(":RUN")
    def _run_long(self) -> None:
        self.pending = True

    @command(":DIGitize")
    def _digitize(self) -> None:
        self.pending = True
        self.hold()

    @command(":REFuse")
    def _refuse(self) -> None:
        raise ScpiError(-221, "not now")

    def finish(self) -> None:
        """The operation is complete."""
        with self.lock:
            self.pending = False
            self.operation_finished()


class SmallLab:
    """What the VISA library needs of a laboratory."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.world = QuietWorld()
        self.demo = Demo("demo", self.world)
        self.demo.lock = self.lock
        self.stepped = True
        self.closed = 0
        self.names = [
            "TCPIP0::10.0.0.1::5025::SOCKET",
            "TCPIP0::10.0.0.1::hislip0::INSTR",
            "USB0::0x1313::0x8078::P1::INSTR",
            "GPIB0::7::INSTR",
            "ASRL3::INSTR",
            "SIM",
        ]

    def resources(self) -> list[str]:
        return self.names

    def by_resource(self, resource: str) -> Unit | None:
        return self.demo if resource in self.names else None

    def close(self) -> None:
        self.closed += 1
