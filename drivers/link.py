"""What all SCPI instruments have in common: identity, declared settings, and an error queue that is
always read.

Drivers own a :class:`ScpiLink` and speak through it; a command that returns has been obeyed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from drivers.connection import Part, VisaConnection
from drivers.scpi import ErrorEntry, Setting, parse_error_entries
from labctl.errors import (
    InstrumentError,
    InstrumentRefused,
    InstrumentReply,
    InstrumentTimeout,
    LimitError,
    WrongInstrument,
)
from labctl.values import Identity

T = TypeVar("T")

#: An error queue longer than this is no queue.
MAX_ENTRIES: Final = 100
_READ_MANUAL = "Compare the command with the instrument's state and manual."
#: Replies, and behind them one entry of the error queue, whose text may contain ";" as well.
_REPLIES_AND_ENTRY = re.compile(r'(?:(.*?);)?([+-]?\d+\s*,\s*".*")\s*', re.DOTALL)


class ScpiLink:
    """One SCPI instrument behind a connection.

    ``error_query``: answered with the oldest entry of the error queue, ``0,"No error"`` (or ``+0``)
    when there is none; ``fields_before`` it are answers to other queries that must go first.
    """

    def __init__(self, connection: VisaConnection, error_query: str = ":SYSTem:ERRor?", fields_before: int = 0) -> None:
        self.connection = connection
        self.name = connection.name
        self._error_query = error_query
        self._fields_before = fields_before
        self._identity: Identity | None = None
        self._found: list[ErrorEntry] = []

    # ---- life ---------------------------------------------------------------------------------

    def open(self, vendor: str, model: str) -> Identity:
        """Connect and compare ``*IDN?`` with two patterns, then empty the error queue of what
        others left there.

        Raises WrongInstrument, and whatever a connection raises; the line is closed then.
        """
        self.connection.open()
        try:
            reply = self.connection.identify("*IDN?")
            self._identity = self._recognise(reply, vendor, model)
            self._found = self._drain(self.connection.query(self._error_query))
        except BaseException:
            self.connection.close()
            raise
        return self._identity

    def _recognise(self, reply: str, vendor: str, model: str) -> Identity:
        fields = [field.strip() for field in reply.split(",")]
        if len(fields) != 4:
            raise WrongInstrument(self.name, f"says {reply[:80]!r}, which has not four fields", command="*IDN?")
        if not re.fullmatch(vendor, fields[0], re.I) or not re.fullmatch(model, fields[1], re.I):
            raise WrongInstrument(
                self.name,
                f"{fields[0]} {fields[1]} answers at {self.connection.resource}",
                "Correct the resource or the driver of this instrument in the bench file.",
                command="*IDN?",
            )
        return Identity(*fields)

    def close(self) -> None:
        self.connection.close()

    @property
    def identity(self) -> Identity:
        """Who answered when the instrument was opened; raises InstrumentReply before that."""
        return told_identity(self.name, self._identity)

    # ---- speaking -----------------------------------------------------------------------------

    def get(self, setting: Setting[T], channel: int | None = None) -> T:
        """The value of a setting. Raises InstrumentReply for an answer that is none."""
        query = setting.query(channel)
        return self._parsed(setting, self.query(query), query)

    def set(self, setting: Setting[T], value: T, channel: int | None = None) -> None:
        """Set and check. Raises LimitError before anything is sent, InstrumentRefused when it is
        refused.
        """
        self.command(self.text(setting, value, channel))

    def text(self, setting: Setting[T], value: T, channel: int | None = None) -> str:
        """The command that sets ``value``, for a message of several. Raises LimitError."""
        try:
            return setting.command(value, channel)
        except ValueError as error:
            raise LimitError(
                self.name,
                str(error),
                "Ask for a value within the limits.",
                command=setting.name(channel),
            ) from error

    def command(self, *parts: Part, timeout_s: float | None = None) -> None:
        """Send one message (its parts joined as they are) and read the error queue after it.

        Raises InstrumentRefused listing every entry, oldest first.
        """
        reply = self._entry(self.connection.write_then_query(parts, self._error_query, timeout_s))
        if not reply.startswith(("0,", "+0,")):
            raise self._refused(reply, _shown(parts))

    def _refused(self, reply: str, command: str) -> InstrumentRefused:
        """``reply``: the first entry of the error queue, which is read to its end."""
        return self._refusal(self._drain(reply), command[:120])

    def obey_and_ask(self, *parts: Part) -> str:
        """Send commands and queries in one message that also reads the error queue; the queries' replies, ";" between.

        The last of ``parts`` is text.

        Raises InstrumentRefused listing every entry, oldest first; InstrumentReply when the entry is missing and the
        error queue is empty.
        """
        reply = self.query(*parts, f";{self._error_query}")
        text = _shown(parts)[:120]
        match = _REPLIES_AND_ENTRY.fullmatch(reply)
        if match is None:  # after an error the rest of a message may be left out, the error query with it
            entries = self._drain(self.connection.query(self._error_query))
            if entries:
                raise self._refusal(entries, text)
            raise InstrumentReply(self.name, f"{reply[:80]!r} has no entry of the error queue", command=text)
        if not match[2].startswith(("0,", "+0,")):
            raise self._refused(match[2], text)
        replies = (match[1] or "").split(";")
        return ";".join(replies[: len(replies) - self._fields_before])

    def query(self, *parts: Part, timeout_s: float | None = None) -> str:
        """The answer to a query. Raises InstrumentRefused when an error came instead."""
        try:
            return self.connection.query(*parts, timeout_s=timeout_s)
        except InstrumentTimeout as error:
            self._look_for_refusal(_shown(parts)[:120], error)
            raise

    def query_array(self, text: str, dtype: np.dtype[Any]) -> NDArray[Any]:
        """The items of the block that a query is answered with: read-only, shape (N,)."""
        try:
            return self.connection.query_array(text, dtype)
        except InstrumentTimeout as error:
            self._look_for_refusal(text, error)
            raise

    def _look_for_refusal(self, text: str, silence: InstrumentTimeout) -> None:
        """A query that is refused has no answer: the reason stands in the error queue."""
        try:
            entries = self._drain(self.connection.query(self._error_query))
        except InstrumentError:
            return
        if entries:
            raise self._refusal(entries, text) from silence

    def _refusal(self, entries: Iterable[ErrorEntry], command: str) -> InstrumentRefused:
        listed = "; ".join(map(str, entries))
        return InstrumentRefused(self.name, f"refused: {listed}", _READ_MANUAL, command=command)

    def ask(self, setting: Setting[T], argument: str, channel: int | None = None) -> T:
        """A query with an argument, such as ``:WAVelength? MIN``."""
        query = f"{setting.query(channel)} {argument}"
        return self._parsed(setting, self.query(query), query)

    def _parsed(self, setting: Setting[T], reply: str, query: str) -> T:
        try:
            return setting.parse(reply)
        except ValueError as error:
            raise InstrumentReply(self.name, str(error), command=query) from error

    # ---- reporting ----------------------------------------------------------------------------

    def problems(self) -> list[str]:
        """The error queue, emptied, after what was found in it at opening and not yet told."""
        found, self._found = self._found, []
        return [str(entry) for entry in found + self._drain(self.connection.query(self._error_query))]

    def _entry(self, reply: str) -> str:
        """What the error query was answered with, from the entry on; an entry alone passes through."""
        if not self._fields_before or not reply.partition(";")[0].strip().isdigit():
            return reply
        return reply.split(";", self._fields_before)[-1]

    def _drain(self, reply: str) -> list[ErrorEntry]:
        """All entries of the error queue, ``reply`` being the first."""
        entries: list[ErrorEntry] = []
        for _ in range(MAX_ENTRIES):
            try:
                found = parse_error_entries(self._entry(reply))
            except ValueError as error:
                raise InstrumentReply(self.name, str(error), command=self._error_query) from error
            entries += [entry for entry in found if entry.code != 0]
            if any(entry.code == 0 for entry in found):
                return entries
            reply = self.connection.query(self._error_query)
        return entries


def told_identity(name: str, identity: Identity | None) -> Identity:
    """Who answered when the instrument called ``name`` was opened; raises InstrumentReply before that."""
    if identity is None:
        raise InstrumentReply(name, "has not been opened yet")
    return identity


def _shown(parts: Iterable[Part]) -> str:
    """The text in a message, without its blocks."""
    return " ".join(part for part in parts if isinstance(part, str))
