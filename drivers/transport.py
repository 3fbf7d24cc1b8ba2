"""Bytes to and from one VISA resource, each operation within one deadline.

VISA's own timeout is one of silence: a peer that sends a byte now and then holds a read for as long
as it likes. Here an operation ends when its deadline has passed, whatever arrives. Replies end with
END (INSTR) or with a terminator (SOCKET, serial); inside a block the terminator is data, so blocks
are read by their length.
"""

from __future__ import annotations

import contextlib
import threading
import time
from typing import Final

import pyvisa
from pyvisa.constants import VI_FALSE, VI_TRUE, ResourceAttribute, StatusCode
from pyvisa.errors import VisaIOError
from pyvisa.resources import MessageBasedResource, SerialInstrument

from drivers.scpi import block_length, block_prefix_length

#: Bytes asked for at once where a reply's length is not known.
TEXT_CHUNK: Final = 4096
#: The same where the library returns only when all has come or nothing more comes for a while
#: (pyvisa-py's sockets).
SLICED_TEXT_CHUNK: Final = 128
#: How long such a library may wait at a time.
SLICE_S: Final = 0.01
#: Nearly all blocks begin with "#8" and eight digits.
USUAL_BLOCK_PREFIX: Final = 10
#: Longer messages are watched while they are sent on a stream, where the peer may stop reading.
WATCHED_WRITE_BYTES: Final = 65536

_MAX_COUNT = StatusCode.success_max_count_read


class MessageTooLong(Exception):
    """A reply longer than the caller allows."""


class CutOff(Exception):
    """A reply ended before its terminator."""


class BadBlock(Exception):
    """What came is not a definite block."""


class Deadline:
    """A point on the monotonic clock by which an operation is over."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def remaining(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self._end - time.monotonic())

    def expired(self) -> bool:
        return time.monotonic() >= self._end


def timeout_error() -> VisaIOError:
    """What VISA raises when nothing comes."""
    return VisaIOError(StatusCode.error_timeout)


class Transport:
    """One open resource.

    ``terminator``: the byte a reply ends with; ``baud_rate``: for serial lines. Methods raise
    pyvisa's VisaIOError or OSError when the line fails, a VisaIOError with ``error_timeout`` when
    the deadline passes.
    """

    def __init__(
        self,
        manager: pyvisa.ResourceManager,
        resource: str,
        *,
        terminator: bytes,
        baud_rate: int | None,
        open_timeout_s: float,
    ) -> None:
        self._terminator = terminator
        opened = manager.open_resource(resource, open_timeout=int(open_timeout_s * 1000))
        if not isinstance(opened, MessageBasedResource):
            opened.close()
            raise VisaIOError(StatusCode.error_nonsupported_operation)
        self._resource = opened
        self._visalib = opened.visalib
        self._session = opened.session
        self._warnings = contextlib.ExitStack()
        self._warnings.enter_context(
            self._visalib.ignore_warning(self._session, _MAX_COUNT, StatusCode.success_device_not_present)
        )
        serial = isinstance(opened, SerialInstrument)
        #: A stream has no END: what comes is cut by terminators and lengths alone.
        self.stream = serial or resource.upper().endswith("::SOCKET")
        #: A new connection has no memory: answers meant for the old one cannot come out of it.
        self.renewable = self.stream and not serial
        self._sliced = self.renewable and type(self._visalib).__module__.startswith("pyvisa_py")
        self._text_chunk = SLICED_TEXT_CHUNK if self._sliced else TEXT_CHUNK
        self._timeout_ms = -1
        self._terminating = False
        if isinstance(opened, SerialInstrument) and baud_rate is not None:
            opened.baud_rate = baud_rate
        if self.stream:
            opened.set_visa_attribute(ResourceAttribute.termchar, terminator[0])
            self._cut_at_terminator(True)
        if self._sliced:
            # Return what there is after a pause, instead of keeping it until the rest has come.
            opened.set_visa_attribute(ResourceAttribute.suppress_end_enabled, VI_FALSE)

    def close(self) -> None:
        """Give the resource back; safe to call twice."""
        self._warnings.close()
        with contextlib.suppress(VisaIOError, OSError):  # it is gone, that is all we want
            self._resource.close()

    # ---- writing -----------------------------------------------------------------------------

    def write(self, message: bytes, deadline: Deadline) -> None:
        """Send all of ``message``, its terminator included."""
        self._set_timeout(deadline.seconds)
        if self._sliced and len(message) > WATCHED_WRITE_BYTES:
            self._write_watched(message, deadline)
        else:
            self._visalib.write(self._session, message)

    def _write_watched(self, message: bytes, deadline: Deadline) -> None:
        """pyvisa-py waits without end for a peer that has stopped reading, so another thread does
        that.
        """
        failed: list[BaseException] = []

        def send() -> None:
            try:
                self._visalib.write(self._session, message)
            except Exception as error:  # noqa: BLE001  (raised in the caller's thread)
                failed.append(error)

        sender = threading.Thread(target=send, name="visa write", daemon=True)
        sender.start()
        sender.join(deadline.remaining())
        if sender.is_alive():
            raise timeout_error()
        if failed:
            raise failed[0]

    # ---- reading -----------------------------------------------------------------------------

    def read_message(self, deadline: Deadline, limit: int) -> bytes:
        """One reply with its terminator. Raises MessageTooLong beyond ``limit`` bytes."""
        data, status = self._read(self._text_chunk, deadline)
        if data.endswith(self._terminator):
            return bytes(data)
        self._check_whole(data, status)
        parts = bytearray(data)
        while True:
            if len(parts) > limit:
                raise MessageTooLong(f"{len(parts)} bytes came, {limit} are allowed")
            data, status = self._read(self._text_chunk, deadline)
            parts += data
            if parts.endswith(self._terminator):
                return bytes(parts)
            self._check_whole(parts, status)

    def _check_whole(self, data: bytes | bytearray, status: StatusCode) -> None:
        """A reply ends with its terminator AND with END (IEEE 488.2, 8.5); with END alone, a part of it is missing."""
        if self._ended(status):
            raise CutOff(f"{bytes(data[-40:])!r} is where the reply ends, without its terminator")

    def read_block(self, deadline: Deadline, limit: int) -> memoryview:
        """The data of one definite block; its terminator is read, and not returned.

        Raises BadBlock when something else comes, MessageTooLong beyond ``limit`` bytes.
        """
        head = self._read_block_head(deadline)
        prefix = block_prefix_length(head)
        try:
            count = block_length(head)
        except ValueError as error:
            raise BadBlock(str(error)) from error
        if count > limit:
            raise MessageTooLong(f"a block of {count} bytes is announced, {limit} are allowed")
        missing = prefix + count + 1 - len(head)
        self._cut_at_terminator(False)
        try:
            rest = self._read_exactly(missing, deadline) if missing > 0 else b""
        finally:
            self._cut_at_terminator(True)
        body = head[prefix:] + bytes(rest) if len(head) > prefix else rest
        if len(body) < count or (self.stream and bytes(body[count:]) != self._terminator):
            raise BadBlock(f"no terminator follows the {count} bytes of a block")
        return memoryview(body)[:count]

    def _read_block_head(self, deadline: Deadline) -> bytes:
        head, status = self._read(USUAL_BLOCK_PREFIX, deadline)
        wanted = 2
        while True:
            if len(head) >= 2:
                try:
                    wanted = block_prefix_length(head)
                except ValueError as error:
                    raise BadBlock(self._with_rest(head, status, deadline, error)) from error
            if len(head) >= wanted:
                return bytes(head)
            if self._ended(status) or (head[:1] and head[:1] != b"#"):
                raise BadBlock(f"{bytes(head)!r} is not a block")
            more, status = self._read(wanted - len(head), deadline)
            head = bytes(head) + bytes(more)

    def _with_rest(self, head: bytes, status: StatusCode, deadline: Deadline, error: ValueError) -> str:
        """What came instead of a block, read to its end so that the next reply begins with its own
        first byte.
        """
        if head[:1] == b"#" or head.endswith(self._terminator) or self._ended(status):
            return str(error)
        return f"{bytes(head) + self.read_message(deadline, TEXT_CHUNK)!r} came instead of a block"

    def _read_exactly(self, count: int, deadline: Deadline) -> bytes | bytearray:
        """``count`` bytes, or fewer when END comes before."""
        step = TEXT_CHUNK if self._sliced else count
        data, status = self._read(min(step, count), deadline)
        if len(data) == count or self._ended(status):
            return data
        buffer = bytearray(data)
        while len(buffer) < count:
            # At most four times what came so far, so that a dribbling peer cannot hold one read for
            # long.
            step = min(4 * max(len(buffer), 1), count - len(buffer))
            data, status = self._read(step, deadline)
            buffer += data
            if self._ended(status):
                break
        return buffer

    def _ended(self, status: StatusCode) -> bool:
        return not self.stream and status != _MAX_COUNT

    def _read(self, count: int, deadline: Deadline) -> tuple[bytes, StatusCode]:
        """At least one byte, at most ``count``."""
        if not self._sliced:
            remaining = deadline.remaining()
            if remaining <= 0:
                raise timeout_error()
            self._set_timeout(remaining)
            return self._visalib.read(self._session, count)
        self._set_timeout(SLICE_S)
        while not deadline.expired():
            try:
                return self._visalib.read(self._session, count)
            except VisaIOError as error:
                if error.error_code != StatusCode.error_timeout:
                    raise
        raise timeout_error()

    # ---- after a failure ---------------------------------------------------------------------

    def clear(self, quiet_s: float = 0.05, patience_s: float = 1.0) -> None:
        """Device clear, then read away what still comes until nothing does for ``quiet_s``.

        Where messages have an end the clear leaves nothing to read, and reading would be an error to the instrument
        (-420, query unterminated).
        """
        self._set_timeout(patience_s)
        if not self.stream:
            self._visalib.clear(self._session)
            return
        with contextlib.suppress(VisaIOError):  # serial lines may have no device clear
            self._visalib.clear(self._session)
        patience = Deadline(patience_s)
        while not patience.expired():
            try:
                self._set_timeout(quiet_s)
                self._visalib.read(self._session, TEXT_CHUNK)
            except VisaIOError as error:
                if error.error_code == StatusCode.error_timeout:
                    return
                raise
        raise timeout_error()

    # ---- attributes --------------------------------------------------------------------------

    def _set_timeout(self, seconds: float) -> None:
        """VISA's timeout in whole milliseconds; left alone when right to within ten per cent."""
        wanted = max(1, int(seconds * 1000))
        if not 0.9 * self._timeout_ms <= wanted <= self._timeout_ms:
            self._visalib.set_attribute(self._session, ResourceAttribute.timeout_value, wanted)
            self._timeout_ms = wanted

    def _cut_at_terminator(self, on: bool) -> None:
        if self.stream and on != self._terminating:
            self._visalib.set_attribute(self._session, ResourceAttribute.termchar_enabled, VI_TRUE if on else VI_FALSE)
            self._terminating = on
