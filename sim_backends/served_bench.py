"""Where each instrument of a served laboratory is reached, and the bench file that says so to others."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any, Final

#: First line of the files that are written, by which they are known again.
MARK: Final = "# Written by labctl sim serve."


class Way(Enum):
    """How bytes travel: a raw socket, the byte stream of a serial line, or HiSLIP's messages with END."""

    SOCKET = "TCPIP0::{host}::{port}::SOCKET"
    SERIAL = "ASRLsocket://{host}:{port}::INSTR"
    HISLIP = "TCPIP0::{host}::hislip0,{port}::INSTR"


@dataclass(frozen=True)
class Address:
    """A port at which the unit ``name`` answers."""

    name: str
    way: Way
    host: str
    port: int

    @property
    def resource(self) -> str:
        """The VISA resource string that pyvisa-py takes."""
        return self.way.value.format(host=self.host, port=self.port)


def ways_of(resource: str, hislip: bool) -> tuple[Way, ...]:
    """For an instrument that the bench file has at ``resource``: first what stands for it there, then others.

    ``hislip``: the real one has HiSLIP as well. Everything that is no socket and no serial line is served by it.
    """
    text = resource.strip().upper()
    if text.startswith("ASRL"):
        return (Way.SERIAL,)
    if text.endswith("::SOCKET"):
        return (Way.SOCKET, Way.HISLIP) if hislip else (Way.SOCKET,)
    return (Way.HISLIP,)


def served_bench(tables: Mapping[str, Any], resources: Mapping[str, str], control: str) -> str:
    """The text of a bench file like ``tables``, with other ``resources`` by instrument, and no world of its own."""
    bench = {key: value for key, value in tables.items() if key != "world"}
    bench["visa_library"] = "@py"
    bench["simulated_control"] = control
    bench["instruments"] = {
        name: {**entry, "resource": resources.get(name, entry["resource"])}
        for name, entry in tables["instruments"].items()
    }
    plain = [f"{_key(key)} = {_value(value)}" for key, value in bench.items() if not isinstance(value, dict)]
    parts = [f"{MARK} The instruments are simulated; they answer as long as it runs.", "", *plain]
    for key, value in bench.items():
        if isinstance(value, dict):
            parts += _table(_key(key), value)
    return "\n".join(parts) + "\n"


def _table(path: str, table: Mapping[str, Any]) -> list[str]:
    """Inner tables as tables where all is tables, otherwise in the line of their key."""
    if table and all(isinstance(value, dict) for value in table.values()):
        return [line for key, value in table.items() for line in _table(f"{path}.{_key(key)}", value)]
    return ["", f"[{path}]", *(f"{_key(key)} = {_value(value)}" for key, value in table.items())]


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _text(key)


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(key)} = {_value(inner)}" for key, inner in value.items()) + " }"
    return repr(value)  # int and float, inf and nan included
