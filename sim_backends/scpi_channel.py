"""Settings of numbered channels, declared in one line each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, TypeVar

from sim_backends.scpi_table import Entry, Setting
from sim_backends.scpi_values import Maybe, Parameter, Reply, Text

T = TypeVar("T", bound=Reply)

_NO_DEFAULT: Any = None


class Channel(Protocol):
    """Keeps its settings as attributes; ``put`` changes one and lets the world see it."""

    def put(self, name: str, value: Any) -> None: ...


class HasChannels(Protocol):
    """A front end with numbered channels."""

    def channel(self, number: int) -> Channel: ...


class ChannelSetting(Setting[T]):
    """Command and query of a channel's attribute ``name``; ``pattern`` holds the channel's number, as ``<n:4>``."""

    def __init__(self, pattern: str, parameter: Parameter[T], name: str) -> None:
        super().__init__(pattern, parameter, _NO_DEFAULT)
        self._name = name

    def reset(self, unit: object) -> None:
        """The front end makes its channels anew."""

    def entries(self) -> Iterator[Entry]:
        """Its command and its query."""

        def store(unit: HasChannels, number: int, value: Any) -> None:
            unit.channel(number).put(self._name, value)

        def answer(unit: HasChannels, number: int, which: str) -> Reply:
            if which:
                return self._parameter.special(which, unit)
            value: Reply = getattr(unit.channel(number), self._name)
            return value

        yield Entry(self._pattern, (self._parameter,), store, returns=False)
        yield Entry(self._pattern + "?", (Maybe(Text(), ""),), answer, returns=True)
