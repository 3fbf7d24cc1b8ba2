"""Messages of HiSLIP 1.0: their types, header and error codes.

IVI Foundation, "IVI-6.1: High-Speed LAN Instrument Protocol (HiSLIP)", version 1.0, 2011: tables 3 and 4.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

PROLOGUE: Final = b"HS"
HEADER: Final = struct.Struct("!2sBBIQ")


class Type(IntEnum):
    """Message types, table 4."""

    INITIALIZE = 0
    INITIALIZE_RESPONSE = 1
    FATAL_ERROR = 2
    ERROR = 3
    ASYNC_LOCK = 4
    ASYNC_LOCK_RESPONSE = 5
    DATA = 6
    DATA_END = 7
    DEVICE_CLEAR_COMPLETE = 8
    DEVICE_CLEAR_ACKNOWLEDGE = 9
    ASYNC_REMOTE_LOCAL_CONTROL = 10
    ASYNC_REMOTE_LOCAL_RESPONSE = 11
    TRIGGER = 12
    INTERRUPTED = 13
    ASYNC_INTERRUPTED = 14
    ASYNC_MAX_MESSAGE_SIZE = 15
    ASYNC_MAX_MESSAGE_SIZE_RESPONSE = 16
    ASYNC_INITIALIZE = 17
    ASYNC_INITIALIZE_RESPONSE = 18
    ASYNC_DEVICE_CLEAR = 19
    ASYNC_SERVICE_REQUEST = 20
    ASYNC_STATUS_QUERY = 21
    ASYNC_STATUS_RESPONSE = 22
    ASYNC_DEVICE_CLEAR_ACKNOWLEDGE = 23
    ASYNC_LOCK_INFO = 24
    ASYNC_LOCK_INFO_RESPONSE = 25


#: Codes after which the connection ends.
FATAL: Final = {
    1: "Poorly formed message header",
    2: "Attempt to use connection without both channels established",
    3: "Invalid initialization sequence",
}
ERRORS: Final = {
    1: "Unrecognized message type",
    2: "Unrecognized control code",
    4: "Message too large",
}


@dataclass(frozen=True)
class Header:
    """Of one message."""

    type: int
    control: int
    parameter: int
    length: int


def message(kind: Type, control: int = 0, parameter: int = 0, payload: bytes = b"") -> bytes:
    """One message as it travels."""
    return HEADER.pack(PROLOGUE, kind, control, parameter, len(payload)) + payload


def known(kind: int) -> bool:
    """Whether HiSLIP 1.0 has messages of this type."""
    return kind <= Type.ASYNC_LOCK_INFO_RESPONSE
