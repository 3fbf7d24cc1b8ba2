"""The VISA library under the drivers, real or simulated."""

from __future__ import annotations

import threading
import warnings
from pathlib import Path
from typing import Final

import pyvisa
from pyvisa.errors import LibraryError
from pyvisa.highlevel import VisaLibraryBase

from drivers.connection import LineSettings, VisaConnection
from drivers.exchange import Recorder
from drivers.pace import Pace
from drivers.sim_control import SimClock, SimControl
from labctl.clock import Clock, SystemClock
from labctl.errors import ConfigError

#: The control instrument of a simulated lab.
CONTROL_RESOURCE: Final = "SIM"

_managers_lock = threading.Lock()
_manager_users: dict[pyvisa.ResourceManager, int] = {}


class VisaLibrary:
    """A VISA library: "@ivi" or "@py" for a real bench, "<bench.toml>@labctl" for a simulated one.

    ``control``: resource of the control instrument of a simulated lab that is reached through a library for real
    benches. ``exchange``: a new file for all that is said and heard (:mod:`drivers.exchange`). Raises ConfigError when
    there is no such library, and what a simulated lab's own configuration raises.
    """

    def __init__(
        self, library: str | VisaLibraryBase, control: str | None = None, exchange: Path | None = None
    ) -> None:
        self._recorder = None if exchange is None else Recorder(exchange)
        try:
            self._manager = pyvisa.ResourceManager(library)
        except (LibraryError, OSError, ValueError) as error:
            raise ConfigError(
                f"there is no VISA library {library!r}: {error}",
                'Use visa_library = "@py", "@ivi" or "@labctl" in the bench file.',
            ) from error
        with _managers_lock:
            _manager_users[self._manager] = _manager_users.get(self._manager, 0) + 1
        self._in_process = isinstance(library, str) and library.endswith("@labctl")
        self._control_resource = CONTROL_RESOURCE if self._in_process else control
        self.simulated = self._control_resource is not None
        self._control: SimControl | None = None
        self._connections: list[VisaConnection] = []
        self._closed = False

    def connect(
        self, name: str, resource: str, settings: LineSettings | None = None, pace: Pace | None = None
    ) -> VisaConnection:
        """A connection to the instrument called ``name`` in the bench file, not opened yet."""
        connection = VisaConnection(self._manager, name, resource, settings or LineSettings(), pace, self._recorder)
        self._connections.append(connection)
        return connection

    def resources(self) -> list[str]:
        """Instruments that the library lists: sockets only where it knows them."""
        with warnings.catch_warnings(action="ignore"):  # of ways to look that are not installed
            listed = self._manager.list_resources("?*")
        return [each for each in listed if each.upper().endswith(("::INSTR", "::SOCKET", "::RAW"))]

    def control(self) -> SimControl | None:
        """The simulated lab's control instrument, opened at the first call; None on real ones."""
        if self._control_resource is not None and self._control is None:
            connection = self.connect("simulated lab", self._control_resource)
            connection.open()
            self._control = SimControl(connection, remote=not self._in_process)
            self._control.identify()
        return self._control

    def clock(self) -> Clock:
        """The system's clock, or the simulated lab's."""
        control = self.control()
        return SystemClock() if control is None else SimClock(control)

    def close(self) -> None:
        """Close this library's connections; a simulated lab ends with its last user. Safe to call twice."""
        if self._closed:
            return
        self._closed = True
        for connection in self._connections:
            connection.close()
        if self._recorder is not None:
            self._recorder.close()
        with _managers_lock:
            _manager_users[self._manager] -= 1
            last = _manager_users[self._manager] == 0
            if last:
                del _manager_users[self._manager]
        if last and self._in_process:  # a real library is shared with whoever else uses pyvisa here
            self._manager.close()
