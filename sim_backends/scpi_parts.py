"""Settings that live in a part of a front end (a channel, the time base), declared in one line each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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


class PartSetting(Setting[T]):
    """Command and query of the attribute ``name`` of ``part(unit)``; the front end makes its parts anew by ``*RST``."""

    def __init__(self, pattern: str, parameter: Parameter[T], part: Callable[[Any], object], name: str) -> None:
        super().__init__(pattern, parameter, _NO_DEFAULT)
        self._part = part
        self._name = name

    def reset(self, unit: object) -> None:
        """Nothing is kept here."""

    def entries(self) -> Iterator[Entry]:
        """Its command and its query."""

        def store(unit: object, value: Any) -> None:
            setattr(self._part(unit), self._name, value)

        def answer(unit: object, which: str) -> Reply:
            if which:
                return self._parameter.special(which, unit)
            value: Reply = getattr(self._part(unit), self._name)
            return value

        yield Entry(self._pattern, (self._parameter,), store, returns=False)
        yield Entry(self._pattern + "?", (Maybe(Text(), ""),), answer, returns=True)


class ChannelSetting(Setting[T]):
    """Command and query of a channel's attribute ``name``; ``pattern`` holds the channel's number, as ``<n:4>``."""

    def __init__(self, pattern: str, parameter: Parameter[T], name: str) -> None:
        super().__init__(pattern, parameter, _NO_DEFAULT)
        self._name = name

    def reset(self, unit: object) -> None:
        """Nothing is kept here: the front end makes its channels anew by ``*RST``."""

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
