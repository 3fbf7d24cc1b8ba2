"""The VISA library ``@labctl``: sessions of a pyvisa program with the units of a simulated
laboratory.

``pyvisa.ResourceManager("<bench.toml>@labctl")`` looks into the laboratory of that bench file,
``pyvisa.ResourceManager("@labctl")`` into the shipped ideal one. See "Writing a backend" in
pyvisa's manual; errors are raised as VisaIOError, as its other backends do.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any, Final, NoReturn

from pyvisa import constants, rname
from pyvisa.constants import InterfaceType, ResourceAttribute, StatusCode
from pyvisa.errors import VisaIOError
from pyvisa.highlevel import ResourceInfo, VisaLibraryBase
from pyvisa.typing import VISAEventContext, VISARMSession, VISASession
from pyvisa.util import DebugInfo, LibraryPath

from sim_backends.lab import CONTROL_RESOURCE, Lab, open_lab
from sim_backends.unit import Unit
from sim_backends.visa_session import Session

#: The library path that stands for the shipped bench.
SHIPPED: Final = "ideal bench"
_SUCCESS: Final = StatusCode.success
_TERMINATED: Final = StatusCode.success_termination_character_read
_SIM_KIND: Final = (InterfaceType.tcpip, "INSTR")
#: What is told of the resource manager's own session; some clients look at it before they open anything.
_OF_THE_MANAGER: Final = {int(ResourceAttribute.resource_manufacturer_name): "labctl"}

# pyvisa refers to its libraries weakly, and a laboratory must outlive a program's last look at it.
_in_use: dict[str, LabctlVisaLibrary] = {}

AnySession = VISASession | VISARMSession | VISAEventContext


class LabctlVisaLibrary(VisaLibraryBase):
    """Thread safe: a message is carried out under its unit's lock."""

    _sessions: dict[int, Session]
    _lab: Lab | None

    @staticmethod
    def get_library_paths() -> Iterable[LibraryPath]:
        """What ``@labctl`` without a bench file stands for."""
        return (LibraryPath(SHIPPED),)

    @staticmethod
    def get_debug_info() -> DebugInfo:
        """For ``pyvisa-info``."""
        return ["Simulated laboratory of labctl, in process"]

    def _init(self) -> None:
        self._sessions = {}
        self._numbers = itertools.count(1)
        self._manager = 0
        self._lab = None
        self._names: dict[str, str] = {}
        self._exclusive: dict[Unit, int] = {}

    # ------------------------------------------------------------------ resource manager

    def open_default_resource_manager(self) -> tuple[VISARMSession, StatusCode]:
        """Opens the laboratory. Raises ConfigError when its bench file is wrong."""
        if self._lab is None:
            path = str(self.library_path)
            self._lab = open_lab(None if path == SHIPPED else path)
            self._names = {_canonical(name): name for name in self._lab.resources()}
        _in_use[str(self.library_path)] = self
        self._manager = next(self._numbers)
        return VISARMSession(self._manager), self.handle_return_value(None, _SUCCESS)

    def _close_manager(self) -> None:
        for number in list(self._sessions):
            self._close_session(number)
        lab, self._lab = self._lab, None
        self._manager = 0
        _in_use.pop(str(self.library_path), None)
        if lab is not None:
            lab.close()

    def list_resources(self, session: VISARMSession, query: str = "?*::INSTR") -> tuple[str, ...]:
        """The laboratory's resources that match."""
        return rname.filter(self._lab.resources() if self._lab is not None else (), query)

    def parse_resource_extended(self, session: VISARMSession, resource_name: str) -> tuple[ResourceInfo, StatusCode]:
        """As pyvisa does, and the control instrument's name besides. Unlike pyvisa it knows a class in small letters
        (``::instr``), as makers' libraries do.
        """
        if resource_name.strip().upper() != CONTROL_RESOURCE:
            info, status = super().parse_resource_extended(session, resource_name)
            if status == StatusCode.error_invalid_resource_name:
                return super().parse_resource_extended(session, resource_name.upper())
            return info, status
        return ResourceInfo(_SIM_KIND[0], 0, _SIM_KIND[1], CONTROL_RESOURCE, None), _SUCCESS

    def open(
        self,
        session: VISARMSession,
        resource_name: str,
        access_mode: constants.AccessModes = constants.AccessModes.no_lock,
        open_timeout: int = constants.VI_TMO_IMMEDIATE,
    ) -> tuple[VISASession, StatusCode]:
        """Connects at once, or raises VI_ERROR_RSRC_NFND."""
        if self._lab is None or session != self._manager:
            self._fail(None, StatusCode.error_invalid_object)
        info, status = self.parse_resource_extended(session, resource_name)
        if status != _SUCCESS:
            self._fail(None, status)
        unit = self._lab.by_resource(self._names.get(_canonical(resource_name), resource_name))
        if unit is not None and access_mode == constants.AccessModes.exclusive_lock:
            self._check_free(unit, None)
        stream = info.resource_class == "SOCKET" or info.interface_type is InterfaceType.asrl
        connection = None if unit is None else unit.connect(stream)
        if unit is None or connection is None:
            self._fail(None, StatusCode.error_resource_not_found)
        kind = (info.interface_type, str(info.resource_class))
        number = VISASession(next(self._numbers))
        self._sessions[number] = Session(connection, self._lab, kind, _where(info, session))
        if access_mode == constants.AccessModes.exclusive_lock:
            self._exclusive[unit] = number
        return number, self.handle_return_value(number, _SUCCESS)

    def close(self, session: AnySession) -> StatusCode:
        """Closes a session, or the resource manager and with it everything."""
        if self._manager and session == self._manager:
            self._close_manager()
            return self.handle_return_value(session, _SUCCESS)
        if not self._close_session(session):
            self._fail(session, StatusCode.error_invalid_object)
        return self.handle_return_value(session, _SUCCESS)

    def _close_session(self, number: int) -> bool:
        session = self._sessions.pop(number, None)
        if session is None:
            return False
        if self._exclusive.get(session.connection.unit) == number:
            del self._exclusive[session.connection.unit]
        session.close()
        return True

    # ------------------------------------------------------------------ messages

    def write(self, session: VISASession, data: bytes) -> tuple[int, StatusCode]:
        """Hands the bytes to the unit, which has obeyed them when this returns."""
        opened = self._sessions.get(session) or self._session(session)
        connection = opened.connection
        if connection.lost or self._exclusive:
            self._check_usable(session, opened)
        connection.receive(data + opened.suffix if opened.suffix else data, opened.end)
        self._last_status = self._last_status_in_session[session] = _SUCCESS
        return len(data), _SUCCESS

    def read(self, session: VISASession, count: int) -> tuple[bytes, StatusCode]:
        """VPP-4.3, viRead: ends with END, the termination character, or ``count`` bytes."""
        opened = self._sessions.get(session) or self._session(session)
        if self._exclusive:
            self._check_usable(session, opened)
        data, status = opened.read(count)
        if status is _SUCCESS or status is _TERMINATED:
            self._last_status = self._last_status_in_session[session] = status
            return data, status
        return data, self.handle_return_value(session, status)

    def buffer_read(self, session: VISASession, count: int) -> tuple[bytes, StatusCode]:
        """There is no buffer in between."""
        return self.read(session, count)

    def buffer_write(self, session: VISASession, data: bytes) -> tuple[int, StatusCode]:
        """There is no buffer in between."""
        return self.write(session, data)

    def clear(self, session: VISASession) -> StatusCode:
        """Device clear; on a byte stream what was not read is thrown away."""
        opened = self._usable(session)
        if self._deaf(opened) and not opened.connection.stream:
            self._fail(session, StatusCode.error_timeout)
        opened.connection.clear()
        return self.handle_return_value(session, _SUCCESS)

    def flush(self, session: VISASession, mask: constants.BufferOperation) -> StatusCode:
        """Discards what was not read, if ``mask`` names a read or receive buffer."""
        opened = self._usable(session)
        operations = constants.BufferOperation
        if mask & (
            operations.discard_read_buffer
            | operations.discard_read_buffer_no_io
            | operations.discard_receive_buffer
            | operations.discard_receive_buffer2
        ):
            with opened.connection.unit.lock:
                opened.connection.drop_replies()
        return self.handle_return_value(session, _SUCCESS)

    def read_stb(self, session: VISASession) -> tuple[int, StatusCode]:
        """Serial poll, where the line has one."""
        opened = self._usable(session)
        if opened.connection.stream:
            self._fail(session, StatusCode.error_nonsupported_operation)
        if self._deaf(opened):
            self._fail(session, StatusCode.error_timeout)
        unit = opened.connection.unit
        with unit.lock:
            value = unit.status_byte(opened.connection)
        return value, self.handle_return_value(session, _SUCCESS)

    def assert_trigger(self, session: VISASession, protocol: constants.TriggerProtocol) -> StatusCode:
        """Group execute trigger, which means ``*TRG`` (IEEE 488.2, 10.37)."""
        opened = self._usable(session)
        if opened.connection.stream:
            self._fail(session, StatusCode.error_nonsupported_operation)
        opened.connection.receive(b"*TRG\n", True)
        return self.handle_return_value(session, _SUCCESS)

    def gpib_control_ren(self, session: VISASession, mode: constants.RENLineOperation) -> StatusCode:
        """Remote or local makes no difference to simulated units."""
        self._usable(session)
        return self.handle_return_value(session, _SUCCESS)

    # ------------------------------------------------------------------ attributes, events, locks

    def get_attribute(
        self,
        session: AnySession,
        attribute: constants.ResourceAttribute | constants.EventAttribute,
    ) -> tuple[Any, StatusCode]:
        """Also where the connection is lost, and of the resource manager."""
        if self._manager and session == self._manager:
            told = _OF_THE_MANAGER.get(int(attribute))
            if told is None:
                self._fail(session, StatusCode.error_nonsupported_attribute)
            return told, self.handle_return_value(session, _SUCCESS)
        value, status = self._session(session).get(int(attribute))
        return value, self.handle_return_value(session, status)

    def set_attribute(
        self,
        session: VISASession,
        attribute: constants.ResourceAttribute,
        attribute_state: Any,
    ) -> StatusCode:
        """Attributes of a real line (baud rate and the like) are kept, and change nothing."""
        status = self._session(session).set(int(attribute), attribute_state)
        if status is _SUCCESS:
            self._last_status = self._last_status_in_session[session] = status
            return status
        return self.handle_return_value(session, status)

    def disable_event(
        self,
        session: VISASession,
        event_type: constants.EventType,
        mechanism: constants.EventMechanism,
    ) -> StatusCode:
        """There are no events."""
        return _SUCCESS

    def discard_events(
        self,
        session: VISASession,
        event_type: constants.EventType,
        mechanism: constants.EventMechanism,
    ) -> StatusCode:
        """There are no events."""
        return _SUCCESS

    def lock(
        self,
        session: VISASession,
        lock_type: constants.Lock,
        timeout: int,
        requested_key: str | None = None,
    ) -> tuple[str, StatusCode]:
        """Exclusive locks keep other sessions out at once (no waiting); shared ones keep out nobody
        but exclusive ones to come.
        """
        opened = self._usable(session)
        if lock_type == constants.Lock.exclusive:
            self._exclusive[opened.connection.unit] = session
            return "", self.handle_return_value(session, _SUCCESS)
        return requested_key or "shared", self.handle_return_value(session, _SUCCESS)

    def unlock(self, session: VISASession) -> StatusCode:
        """Gives an exclusive lock back."""
        opened = self._usable(session)
        if self._exclusive.get(opened.connection.unit) == session:
            del self._exclusive[opened.connection.unit]
        return self.handle_return_value(session, _SUCCESS)

    # ------------------------------------------------------------------ sessions

    def _session(self, session: AnySession) -> Session:
        opened = self._sessions.get(session)
        if opened is None:
            self._fail(session, StatusCode.error_invalid_object)
        return opened

    def _usable(self, session: VISASession) -> Session:
        opened = self._session(session)
        self._check_usable(session, opened)
        return opened

    def _check_usable(self, session: VISASession, opened: Session) -> None:
        failure = opened.failure()
        if failure is not None:
            self._fail(session, failure)
        self._check_free(opened.connection.unit, session)

    def _check_free(self, unit: Unit, session: VISASession | None) -> None:
        if self._exclusive.get(unit, session) != session:
            self._fail(session, StatusCode.error_resource_locked)

    def _fail(self, session: AnySession | None, status: StatusCode) -> NoReturn:
        """Raises VisaIOError, having noted the status as every call does."""
        self.handle_return_value(session, status)
        raise VisaIOError(status)

    @staticmethod
    def _deaf(opened: Session) -> bool:
        fault = opened.connection.unit.fault
        return fault is not None and fault.deaf


def _canonical(resource_name: str) -> str:
    """VISA's full form in capitals, in which equal resources have equal names."""
    try:
        return str(rname.ResourceName.from_string(resource_name)).upper()
    except rname.InvalidResourceName:
        return resource_name.strip().upper()


def _where(info: ResourceInfo, manager: VISARMSession) -> dict[ResourceAttribute, Any]:
    """The attributes that a resource name fixes."""
    where: dict[ResourceAttribute, Any] = {
        ResourceAttribute.resource_manager_session: manager,
        ResourceAttribute.resource_name: info.resource_name,
        ResourceAttribute.resource_class: info.resource_class,
        ResourceAttribute.interface_type: info.interface_type,
        ResourceAttribute.interface_number: info.interface_board_number or 0,
        ResourceAttribute.resource_manufacturer_name: "labctl",
        ResourceAttribute.resource_impl_version: 0x00100000,
        ResourceAttribute.resource_spec_version: 0x00700200,
        ResourceAttribute.resource_lock_state: constants.AccessModes.no_lock,
    }
    name = str(info.resource_name)
    if name == CONTROL_RESOURCE:
        return where
    parsed = rname.parse_resource_name(name)
    for attribute, field in (
        (ResourceAttribute.tcpip_address, "host_address"),
        (ResourceAttribute.tcpip_port, "port"),
        (ResourceAttribute.tcpip_device_name, "lan_device_name"),
        (ResourceAttribute.usb_serial_number, "serial_number"),
        (ResourceAttribute.gpib_primary_address, "primary_address"),
    ):
        value = getattr(parsed, field, None)
        if value is not None:
            numeric = attribute in (
                ResourceAttribute.tcpip_port,
                ResourceAttribute.gpib_primary_address,
            )
            where[attribute] = int(value) if numeric else value
    return where
