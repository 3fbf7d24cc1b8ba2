"""Looking around: which resources are asked who they are, and which are left alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from labctl import locks
from labctl.config import InstrumentEntry
from labctl.errors import ConfigError, InstrumentBusy
from labctl.schema import read_toml, validate
from labctl.values import FoundInstrument, Presence

#: Found by name: labctl itself imports no driver.
DRIVERS = "drivers.discovery"
_SIMULATED = "@labctl"


@dataclass(frozen=True)
class Search:
    """Where to look. ``entries``: instruments of a bench file. ``all_listed``: what the library lists is asked as well
    where anything is named; it always is where nothing is.
    """

    library: str
    resources: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    entries: Mapping[str, InstrumentEntry] = field(default_factory=dict)
    all_listed: bool = False


def entries_of(path: Path) -> tuple[dict[str, InstrumentEntry], str]:
    """The instruments of a bench file and its VISA library; of one that is not finished too. Raises ConfigError."""
    tables = read_toml(path)
    library, instruments = tables.get("visa_library"), tables.get("instruments")
    if not isinstance(library, str) or not isinstance(instruments, dict) or not instruments:
        raise ConfigError(f"{path} names no visa_library and no instruments", "Name a bench file.")
    entries = {
        name: validate(InstrumentEntry, entry, f"{path}: instruments.{name}") for name, entry in instruments.items()
    }
    return entries, f"{path.resolve()}{_SIMULATED}" if library == _SIMULATED else library


def look_around(search: Search) -> list[FoundInstrument]:
    """What is at every resource named, and at those that the library lists unless a bench file is looked at. Nobody is
    disturbed: what another program holds is not asked, and what is asked is held meanwhile.
    """
    drivers: Any = resolve_name(DRIVERS)
    named = [*(entry.resource for entry in search.entries.values()), *search.resources]
    guessed = [each for host in search.hosts for each in drivers.on_host(host)]
    listed = drivers.visible(search.library) if search.all_listed or not search.entries else []
    asking = search.all_listed or not (named or guessed)
    names = list(dict.fromkeys([*named, *listed, *guessed]))
    expected = {entry.resource: (entry.driver, entry.options) for entry in search.entries.values()}
    with ExitStack() as stack:
        found = {
            each.resource: each
            for each in _left_alone(search, names, {*names} if asking else {*named, *guessed}, stack)
        }
        free = [name for name in names if name not in found]
        found |= {each.resource: each for each in drivers.recognised(search.library, free, named, expected)}
    tried = {*guessed} - {*named, *listed}
    return [found[name] for name in names if name not in tried or found[name].presence is not Presence.LOST]


def _left_alone(search: Search, names: list[str], wanted: set[str], stack: ExitStack) -> Iterator[FoundInstrument]:
    """Those that are not asked, or that another program holds; the others are held from now on."""
    for name in names:
        if name not in wanted:
            yield FoundInstrument(
                name, Presence.NOT_ASKED, problem="the library lists it, and nobody named it (--all asks it too)"
            )
        elif not search.library.endswith(_SIMULATED):
            try:
                stack.callback(locks.take(name, name).release)
            except InstrumentBusy as busy:
                owner = locks.holder(name)
                yield FoundInstrument(
                    name,
                    Presence.HELD,
                    problem=busy.message,
                    holder=owner.program if owner else "",
                    holder_pid=owner.pid if owner else None,
                )
