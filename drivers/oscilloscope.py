"""What oscilloscopes of all makers do alike: a record is read as it was asked for, or not at all."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import numpy as np

from drivers.link import ScpiLink
from labctl.errors import InstrumentError, InstrumentLost, InstrumentReply, LimitError
from labctl.interfaces import Digitizer
from labctl.values import SafeState, Trace


class Asked(Protocol):
    """What an oscilloscope was configured for; ``generation``: of the line that it was told on."""

    @property
    def channels(self) -> tuple[int, ...]: ...

    @property
    def samples(self) -> int: ...

    @property
    def generation(self) -> int: ...


Request = TypeVar("Request", bound=Asked)


class Oscilloscope(Digitizer, Generic[Request]):
    """``codes``: how samples travel in a block. A driver sets ``_recorded`` when its trigger came."""

    codes: ClassVar[np.dtype[Any]]
    _link: ScpiLink

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._request: Request | None = None
        self._preambles: dict[tuple[int, Request], Trace] = {}
        self._recorded = False

    @abstractmethod
    def _preamble(self, channel: int, request: Request) -> Trace:
        """A trace without samples. Raises InstrumentReply when the record is not what was asked for."""

    @abstractmethod
    def _data_query(self, channel: int) -> str:
        """Answered with the block of a channel's samples."""

    def read(self, channel: int) -> Trace:
        request = self._configured()
        if not self._recorded:  # what lies in its memory is from before
            raise InstrumentError(self.name, "has recorded nothing yet", "Arm it and wait for the trigger first.")
        if channel not in request.channels:
            raise LimitError(self.name, f"channel {channel} records nothing", f"Use one of {request.channels}.")
        form = self._preambles.get((channel, request))
        if form is None:
            form = self._preambles[channel, request] = self._preamble(channel, request)
        command = self._data_query(channel)
        codes = self._link.query_array(command, self.codes)
        if len(codes) < request.samples:
            raise InstrumentReply(self.name, f"sent {len(codes)} samples, {request.samples} are due", command=command)
        return form.holding(codes[: request.samples])

    def safe_state(self) -> SafeState:
        """An oscilloscope emits nothing; it is stopped."""
        self.stop()
        return SafeState(self.name, True, {})

    def _check_request(self, full_scale_v: Mapping[int, float], sample_interval_s: float, samples: int) -> None:
        """Raises LimitError before anything is sent."""
        limits = self.capabilities
        for channel, volts in full_scale_v.items():
            if not 1 <= channel <= limits.channels or volts not in limits.full_scale_v:
                raise LimitError(
                    self.name,
                    f"a range of {volts:g} V on channel {channel}",
                    f"Use channels 1 to {limits.channels} and {limits.full_scale_v}.",
                )
        if not full_scale_v or not sample_interval_s > 0:
            raise LimitError(self.name, "no channel, or no sample interval, was asked for")
        if 1 / sample_interval_s not in limits.sample_rate_hz:
            raise LimitError(
                self.name, f"{1 / sample_interval_s:g} samples per second", f"Use {limits.sample_rate_hz}."
            )
        if not 1 <= samples <= limits.memory_samples:
            raise LimitError(self.name, f"{samples} samples", f"Use at most {limits.memory_samples}.")

    def _configured(self) -> Request:
        if self._request is None:
            raise InstrumentError(self.name, "has not been configured", "Configure it first.")
        if self._request.generation != self._link.connection.generation:
            raise InstrumentLost(
                self.name,
                "its line was renewed after a failure, and its settings may be gone",
                "Configure the oscilloscope again.",
            )
        return self._request

    def _misfit(self, is_: str, wanted: str) -> InstrumentReply:
        return InstrumentReply(
            self.name,
            f"recorded {is_}, where {wanted} was asked for",
            "Choose a sample interval and a record length that this oscilloscope has.",
        )
