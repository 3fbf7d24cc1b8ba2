"""A front end's table of commands, and from message text to calls.

Within one message a header without leading colon continues at the level of the one before it (SCPI-1999 volume 1,
6.2.4). Header patterns: :mod:`sim_backends.scpi_header`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Generic, NamedTuple, TypeVar, overload

from sim_backends.scpi_header import Node, compile_pattern, match_header
from sim_backends.scpi_values import Maybe, Parameter, Reply, Rest, Token
from sim_backends.status import ScpiError

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T", bound=Reply)

_MARK: Final = "_scpi_entries"
_CACHE_SIZE: Final = 4096
_CACHED_VALUES: Final = 256
#: Longer texts are not remembered.
_CACHED_TEXT: Final = 200


def command(pattern: str, *parameters: Parameter[Any]) -> Callable[[F], F]:
    """Marks a method as the handler of a command: ``handler(self, *suffixes, *values)``."""
    return _marker(pattern, parameters, returns=False)


def query(pattern: str, *parameters: Parameter[Any]) -> Callable[[F], F]:
    """Marks a method as the handler of a query (``pattern`` ends with ``?``); it returns a Reply."""
    if not pattern.endswith("?"):
        raise ValueError(f"a query ends with '?', unlike {pattern!r}")
    return _marker(pattern, parameters, returns=True)


def _marker(pattern: str, parameters: tuple[Parameter[Any], ...], returns: bool) -> Callable[[F], F]:
    def mark(handler: F) -> F:
        entries: list[Entry] = getattr(handler, _MARK, [])
        entries.append(Entry(pattern, parameters, handler, returns))
        setattr(handler, _MARK, entries)
        return handler

    return mark


class Setting(Generic[T]):
    """A value that is only kept and given back: command, query and ``*RST`` in one declarative
    line.

    ``dwell_s = Setting(":SWEep:DWELl", Number("S", (0, 999.9)), 0.0)`` is a class attribute of a
    front end; on an instance ``unit.dwell_s`` is the value. With numeric suffixes use :meth:`at`. A
    query of a number with limits also answers MIN and MAX. ``shown`` formats the answer.
    """

    def __init__(
        self,
        pattern: str,
        parameter: Parameter[T],
        default: T,
        shown: Callable[[T], Reply] | None = None,
    ) -> None:
        self.default = default
        self._pattern = pattern
        self._parameter = parameter
        self._shown = shown
        self._values = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self._values = f"_setting_{name}"

    def _stored(self, unit: object) -> dict[tuple[int, ...], T]:
        values: dict[tuple[int, ...], T] = unit.__dict__.setdefault(self._values, {})
        return values

    @overload
    def __get__(self, unit: None, owner: type) -> Setting[T]: ...

    @overload
    def __get__(self, unit: object, owner: type) -> T: ...

    def __get__(self, unit: object | None, owner: type) -> Setting[T] | T:
        return self if unit is None else self.at(unit)

    def at(self, unit: object, *suffixes: int) -> T:
        """The value for these numeric suffixes."""
        return self._stored(unit).get(suffixes, self.default)

    def put(self, unit: object, value: T, *suffixes: int) -> None:
        """Set from inside the front end."""
        self._stored(unit)[suffixes] = value

    def reset(self, unit: object) -> None:
        """All suffixes back to the default."""
        self._stored(unit).clear()

    def entries(self) -> Iterator[Entry]:
        """Its command and its query."""

        def store(unit: object, *arguments: Any) -> None:
            self._stored(unit)[arguments[:-1]] = arguments[-1]

        def answer(unit: object, *arguments: Any) -> Reply:
            *suffixes, which = arguments
            value: T = self.at(unit, *suffixes)
            reply: Reply = value
            if which:
                reply = self._parameter.special(which, unit)
                if not isinstance(reply, type(self.default)):
                    return reply
                value = reply
            return reply if self._shown is None else self._shown(value)

        yield Entry(self._pattern, (self._parameter,), store, returns=False)
        yield Entry(self._pattern + "?", (Maybe(_WORD, ""),), answer, returns=True)


class _Word(Parameter[str]):
    def parse(self, token: Token, unit: Any) -> str:
        if isinstance(token, str):
            return token.strip().upper()
        raise ScpiError(-104)


_WORD: Final = _Word()


@dataclass(frozen=True)
class Entry:
    """One line of a command table."""

    pattern: str
    parameters: tuple[Parameter[Any], ...]
    handler: Callable[..., Any]
    returns: bool

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """The pattern, taken apart when it is first looked at."""
        return compile_pattern(self.pattern)

    @cached_property
    def _fixed(self) -> dict[tuple[Token, ...], list[Any]] | None:
        """Values by their tokens, if these are all that they depend on."""
        return {} if all(parameter.fixed for parameter in self.parameters) else None

    def values(self, tokens: tuple[Token, ...], unit: Any) -> list[Any]:
        """The tokens as values. Raises ScpiError, -109 for one too few and -108 for one too many."""
        known = self._fixed
        if known is None or (tokens and type(tokens[-1]) is not str):
            return self._parse(tokens, unit)
        values = known.get(tokens)
        if values is None:
            if len(known) >= _CACHED_VALUES:
                known.clear()
            values = known[tokens] = self._parse(tokens, unit)
        return values

    def _parse(self, tokens: tuple[Token, ...], unit: Any) -> list[Any]:
        values: list[Any] = []
        for position, parameter in enumerate(self.parameters):
            if isinstance(parameter, Rest):
                if len(tokens) - position < parameter.least:
                    raise ScpiError(-109)
                values.append(parameter.parse_all(tokens[position:], unit))
                return values
            if position < len(tokens):
                values.append(parameter.parse(tokens[position], unit))
            elif isinstance(parameter, Maybe):
                values.append(parameter.default)
            else:
                raise ScpiError(-109)
        if len(tokens) > len(self.parameters):
            raise ScpiError(-108)
        return values


class Call(NamedTuple):
    """One command of a message, ready to be carried out; ``error`` instead when it cannot be."""

    entry: Entry | None
    suffixes: tuple[int, ...] = ()
    tokens: tuple[Token, ...] = ()
    error: int = 0


class Line(NamedTuple):
    """A message and what it means."""

    text: bytes
    calls: Sequence[Call]


class CommandTable:
    """All commands of one front-end class. Looked-up headers and whole short messages are
    remembered.
    """

    def __init__(self, owner: type) -> None:
        self.entries: list[Entry] = []
        self.settings: list[Setting[Any]] = []
        self._headers: dict[str, Call] = {}
        self._programs: dict[bytes, Sequence[Line]] = {}
        self._parsed: dict[tuple[bytes, bool, str], tuple[list[Call], str]] = {}
        seen: set[str] = set()
        for cls in owner.__mro__:  # own entries first: a subclass may redefine a header of its base
            for name, value in vars(cls).items():
                if name not in seen:
                    seen.add(name)
                    self._add(value)

    def _add(self, value: object) -> None:
        if isinstance(value, Setting):
            self.settings.append(value)
            self.entries.extend(value.entries())
        else:
            self.entries.extend(getattr(value, _MARK, ()))

    def lines(self, data: bytes) -> Sequence[Line] | None:
        """The meaning of one or more whole lines without blocks; None when ``data`` is not that."""
        lines = self._programs.get(data)
        if lines is None:
            if not data.endswith(b"\n") or b"#" in data:
                return None
            texts = [text.removesuffix(b"\r") for text in data[:-1].split(b"\n")]
            lines = [Line(text, self.parse(text, None, ":")[0]) for text in texts if text]
            if len(self._programs) >= _CACHE_SIZE:
                self._programs.clear()
            self._programs[data] = lines
        return lines

    def find(self, header: str) -> Call:
        """The entry and suffixes of an absolute header (leading colon or asterisk), -113 or -114 as
        error.
        """
        found = self._headers.get(header)
        if found is None:
            found = self._search(header.upper())
            if len(self._headers) >= _CACHE_SIZE:
                self._headers.clear()
            self._headers[header] = found
        return found

    def _search(self, header: str) -> Call:
        asked = header.endswith("?")
        names = header[:-1].split(":") if asked else header.split(":")
        if header.startswith(":"):
            names = names[1:]
        for entry in self.entries:
            if entry.pattern.endswith("?") != asked:
                continue
            suffixes = match_header(names, entry.nodes)
            if suffixes is not None:
                return self._numbered(entry, suffixes)
        return Call(None, error=-113)

    @staticmethod
    def _numbered(entry: Entry, suffixes: list[int]) -> Call:
        highest = [node.highest for node in entry.nodes if node.highest >= 0]
        for suffix, limit in zip(suffixes, highest, strict=True):
            if suffix < 0 or (limit and suffix > limit):
                return Call(None, error=-114)
        return Call(entry, tuple(suffix or 1 for suffix in suffixes))

    def parse(self, text: bytes, block: memoryview | None, path: str) -> tuple[list[Call], str]:
        """The calls that a message means, and the header path after it.

        ``path``: where a relative first header continues (``:`` for a new message). A call that
        cannot be made ends the list. ``block`` is the last parameter of the last command.
        """
        key = (text, block is not None, path)
        known = self._parsed.get(key)
        if known is None:
            known = self._parse(text, block is not None, path)
            if len(text) <= _CACHED_TEXT:
                if len(self._parsed) >= _CACHE_SIZE:
                    self._parsed.clear()
                self._parsed[key] = known
        calls, path = known
        if block is None or not calls or calls[-1].error:
            return calls, path
        last = calls[-1]
        return [*calls[:-1], last._replace(tokens=(*last.tokens, block))], path

    def _parse(self, text: bytes, before_block: bool, path: str) -> tuple[list[Call], str]:
        calls: list[Call] = []
        units = split_outside_quotes(text.decode("latin-1"), ";")
        for index, unit in enumerate(units):
            part = unit.strip()
            if not part:
                if before_block and index == len(units) - 1:
                    calls.append(Call(None, error=-102))  # a block that belongs to no command
                continue
            header, _, data = part.partition(" ") if "\t" not in part else _split_header(part)
            absolute = header if header[0] in ":*" else path + header
            found = self.find(absolute)
            if found.error:
                calls.append(found)
                break
            if absolute[0] == ":":
                path = absolute[: absolute.rindex(":") + 1]
            calls.append(found._replace(tokens=_tokens(data, before_block and index == len(units) - 1)))
        return calls, path


def _split_header(part: str) -> tuple[str, str, str]:
    pieces = part.split(None, 1)
    return pieces[0], " ", pieces[1] if len(pieces) > 1 else ""


def _tokens(data: str, before_block: bool) -> tuple[Token, ...]:
    """``before_block``: a block follows, whose comma is not one between two texts."""
    data = data.strip()
    if not data:
        return ()
    tokens = split_outside_quotes(data, ",")
    return tuple(tokens[:-1] if before_block and not tokens[-1].strip() else tokens)


def split_outside_quotes(text: str, separator: str) -> list[str]:
    """Split at a separator that stands neither in a quoted string nor in parentheses."""
    if '"' not in text and "'" not in text and "(" not in text:
        return text.split(separator)
    parts: list[str] = []
    start, quote, depth = 0, "", 0
    for position, letter in enumerate(text):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "\"'":
            quote = letter
        elif letter in "()":
            depth = max(0, depth + (1 if letter == "(" else -1))
        elif letter == separator and not depth:
            parts.append(text[start:position])
            start = position + 1
    parts.append(text[start:])
    return parts


def kept(calls: Sequence[Call]) -> list[Call]:
    """Calls that outlive the sender's buffer: blocks in memory that may change are copied."""
    return [call._replace(tokens=tuple(map(_kept_token, call.tokens))) for call in calls]


def _kept_token(token: Token) -> Token:
    return token if isinstance(token, str) or token.readonly else memoryview(bytes(token))
