"""One open VISA session with a simulated unit: attributes, and reading with VISA's rules.

VISA specification VPP-4.3, sections 5.1 (attributes) and 6.1 (viRead, viWrite).
"""

from __future__ import annotations

import time
from typing import Any, Final, Protocol

from pyvisa import attributes, constants
from pyvisa.constants import InterfaceType, ResourceAttribute, StatusCode

from sim_backends.unit import Connection, Ending

_STATUS: Final = {
    Ending.END: StatusCode.success,
    Ending.TERMINATION: StatusCode.success_termination_character_read,
    Ending.COUNT: StatusCode.success_max_count_read,
}
_DEFAULT_TIMEOUT_MS: Final = 2000
_TERMCHAR: Final = int(ResourceAttribute.termchar)
_TERMCHAR_EN: Final = int(ResourceAttribute.termchar_enabled)
_TIMEOUT: Final = int(ResourceAttribute.timeout_value)
_SEND_END: Final = int(ResourceAttribute.send_end_enabled)
_SUPPRESS_END: Final = int(ResourceAttribute.suppress_end_enabled)
_END_IN: Final = int(ResourceAttribute.asrl_end_in)
_END_OUT: Final = int(ResourceAttribute.asrl_end_out)
_AVAILABLE: Final = int(constants.VI_ATTR_ASRL_AVAIL_NUM)
_BY_TERMCHAR: Final = int(constants.SerialTermination.termination_char)


class StepMode(Protocol):
    """Whether the laboratory's time moves only when told to."""

    @property
    def stepped(self) -> bool: ...


class Session:
    """``kind``: interface type and resource class. ``fixed``: attributes that tell where it leads.

    ``termination`` is the character that ends a read, empty for none; ``end``: writes carry END;
    ``suffix``: what a serial line adds to each write.
    """

    def __init__(
        self,
        connection: Connection,
        lab: StepMode,
        kind: tuple[InterfaceType, str],
        fixed: dict[ResourceAttribute, Any],
    ) -> None:
        self.connection = connection
        self.closed = False
        self._lab = lab
        self._kind = kind
        self._serial = kind[0] is InterfaceType.asrl
        self._values: dict[int, Any] = {
            **{int(key): value for key, value in fixed.items()},
            _TIMEOUT: _DEFAULT_TIMEOUT_MS,
            _TERMCHAR: 0x0A,
            _TERMCHAR_EN: False,
            _SEND_END: True,
            _SUPPRESS_END: connection.stream and not self._serial,
            _END_IN: _BY_TERMCHAR,
            _END_OUT: int(constants.SerialTermination.none),
        }
        self._refresh()

    def _refresh(self) -> None:
        """What reading and writing need, from the attributes."""
        values = self._values
        self._timeout_s: float | None = values[_TIMEOUT] / 1000
        if values[_TIMEOUT] == constants.VI_TMO_INFINITE:
            self._timeout_s = None
        self._refresh_termination()
        self.end = bool(values[_SEND_END]) and not self.connection.stream
        ends_write = self._serial and values[_END_OUT] == _BY_TERMCHAR
        self.suffix = bytes([int(values[_TERMCHAR]) & 0xFF]) if ends_write else b""

    def _refresh_termination(self) -> None:
        values = self._values
        character = bytes([int(values[_TERMCHAR]) & 0xFF])
        ends_read = self._serial and values[_END_IN] == _BY_TERMCHAR
        self.termination = character if values[_TERMCHAR_EN] or ends_read else b""
        self._status = dict(_STATUS)
        if ends_read and not values[_SUPPRESS_END]:
            self._status[Ending.TERMINATION] = StatusCode.success

    def failure(self) -> StatusCode | None:
        """Why nothing can be read or written any more."""
        if self.closed:
            return StatusCode.error_invalid_object
        return StatusCode.error_connection_lost if self.connection.lost else None

    def read(self, count: int) -> tuple[bytes, StatusCode]:
        """viRead; errors come back as status."""
        connection = self.connection
        with connection.unit.lock:
            if connection.lost:
                return b"", self.failure() or StatusCode.error_connection_lost
            taken = connection.take(count, self.termination)
            if taken is None:
                return self._wait(count)
            data, ending = taken
            return data, self._status[ending]

    def _wait(self, count: int) -> tuple[bytes, StatusCode]:
        """Nothing (or not enough) is here: wait for it, with the lock given away meanwhile.

        On a stepped clock nothing can come while the client waits, so the time-out comes at once.
        """
        connection, unit = self.connection, self.connection.unit
        unit.elapse()
        if not connection.answered and unit.fault is None:  # which may hold back what was asked for
            unit.starved(connection)
        end = None if self._timeout_s is None else time.monotonic() + self._timeout_s
        while True:
            taken = connection.take(count, self.termination)
            if taken is not None:
                return taken[0], self._status[taken[1]]
            if connection.answered and not self._serial and not self._values[_SUPPRESS_END]:
                return connection.rest(count), StatusCode.success
            failure = self.failure()
            if failure is not None:
                return b"", failure
            remaining = None if end is None else end - time.monotonic()
            if self._lab.stepped or (remaining is not None and remaining <= 0):
                return connection.rest(count), StatusCode.error_timeout
            wake = unit.wake_in_s()
            waits = [seconds for seconds in (remaining, wake) if seconds is not None]
            connection.readers += 1
            try:
                connection.arrived.wait(min(waits) if waits else None)
            finally:
                connection.readers -= 1
            unit.elapse()

    def close(self) -> None:
        """Ends a waiting read as well."""
        self.closed = True
        self.connection.close()

    # ------------------------------------------------------------------ attributes

    def get(self, attribute: int) -> tuple[Any, StatusCode]:
        """viGetAttribute."""
        known = self._known(attribute)
        if known is None or not known.read:
            return 0, StatusCode.error_nonsupported_attribute
        if attribute == _AVAILABLE:
            return self.connection.waiting, StatusCode.success
        if attribute in self._values:
            return self._values[attribute], StatusCode.success
        if known.default in ("N/A", attributes.NotAvailable):
            return 0, StatusCode.error_nonsupported_attribute
        return known.default, StatusCode.success

    def set(self, attribute: int, value: Any) -> StatusCode:
        """viSetAttribute; what means nothing to a simulated line is kept and given back."""
        known = self._known(attribute)
        if known is None:
            return StatusCode.error_nonsupported_attribute
        if not known.write:
            return StatusCode.error_attribute_read_only
        try:
            self._values[attribute] = int(value)
        except (TypeError, ValueError):
            return StatusCode.error_nonsupported_attribute_state
        if attribute == _TERMCHAR_EN:  # goes to and fro with every block
            self._refresh_termination()
        else:
            self._refresh()
        return StatusCode.success

    def _known(self, attribute: int) -> type[attributes.Attribute[Any]] | None:
        known = attributes.AttributesByID.get(attribute)
        return known if known is not None and known.in_resource(self._kind) else None
