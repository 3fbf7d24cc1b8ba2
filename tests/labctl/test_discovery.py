"""Who is asked, and who is left alone."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from labctl import discovery, locks
from labctl.discovery import Search, entries_of, look_around
from labctl.errors import ConfigError
from labctl.shipped import bench_path
from labctl.values import FoundInstrument, Presence


class Room:
    """Drivers that know everybody at ``there``; ``asked``: what they were given."""

    def __init__(self, listed: list[str], there: list[str]) -> None:
        self.listed, self.there = listed, there
        self.asked: list[str] = []
        self.named: list[str] = []
        self.entries: dict[str, Any] = {}

    def visible(self, library: str) -> list[str]:
        return self.listed

    def on_host(self, host: str) -> list[str]:
        return [f"TCPIP0::{host}::{port}::SOCKET" for port in (1, 2)]

    def recognised(
        self, library: str, resources: Iterable[str], named: Collection[str], entries: Mapping[str, Any]
    ) -> list[FoundInstrument]:
        self.asked, self.named, self.entries = list(resources), list(named), dict(entries)
        states = [Presence.RECOGNISED if each in self.there else Presence.LOST for each in self.asked]
        return [FoundInstrument(each, state) for each, state in zip(self.asked, states, strict=True)]


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Room:
    made = Room(["ASRL1::INSTR", "USB0::1::INSTR"], ["ASRL1::INSTR", "TCPIP0::h::2::SOCKET"])
    monkeypatch.setenv(locks.FOLDER_VARIABLE, str(tmp_path / "locks"))
    monkeypatch.setattr(discovery, "resolve_name", lambda name: made)
    return made


def states(found: list[FoundInstrument]) -> dict[str, Presence]:
    return {each.resource: each.presence for each in found}


def test_what_the_library_lists_is_asked_where_nothing_is_named(room: Room) -> None:
    assert states(look_around(Search("@py"))) == {"ASRL1::INSTR": Presence.RECOGNISED, "USB0::1::INSTR": Presence.LOST}
    assert room.named == []


def test_what_is_named_is_asked_alone(room: Room) -> None:
    found = look_around(Search("@py", ("X::SOCKET",), ("h",)))
    assert room.asked == ["X::SOCKET", "TCPIP0::h::1::SOCKET", "TCPIP0::h::2::SOCKET"]
    assert room.named == ["X::SOCKET"], "which instrument is at a host's port, its user has not said"
    assert states(found) == {
        "X::SOCKET": Presence.LOST,
        "ASRL1::INSTR": Presence.NOT_ASKED,
        "USB0::1::INSTR": Presence.NOT_ASKED,
        "TCPIP0::h::2::SOCKET": Presence.RECOGNISED,  # the other port is closed
    }
    look_around(Search("@py", ("X::SOCKET",), all_listed=True))
    assert room.asked == ["X::SOCKET", "ASRL1::INSTR", "USB0::1::INSTR"]


def test_a_bench_file_names_its_resources_and_drivers(room: Room) -> None:
    entries, library = entries_of(bench_path("ideal"))
    assert library == f"{bench_path('ideal')}@labctl"
    found = look_around(Search("@py", entries=entries))
    assert room.asked == room.named == [each.resource for each in found] == [e.resource for e in entries.values()]
    assert room.entries["ASRL/dev/ttyUSB0::INSTR"] == ("drivers.amonics_aedfa:AEDFA", {})


def test_what_another_program_holds_is_not_asked(room: Room) -> None:
    held = locks.take("laser", "USB0::1::INSTR")
    one, other = look_around(Search("@py"))
    assert room.asked == ["ASRL1::INSTR"]
    assert (one.presence, other.presence) == (Presence.RECOGNISED, Presence.HELD)
    assert other.holder_pid == os.getpid()
    assert other.holder
    assert other.holder in other.problem
    held.release()
    assert locks.holder("ASRL1::INSTR") is None, "what was asked is free again"


def test_what_is_asked_is_held_meanwhile(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    holders = []
    answer = room.recognised

    def recognised(library: str, resources: Iterable[str], *more: Any) -> list[FoundInstrument]:
        holders.append(locks.holder("ASRL1::INSTR"))
        return answer(library, resources, *more)

    monkeypatch.setattr(room, "recognised", recognised)
    look_around(Search("@py"))
    look_around(Search("x.toml@labctl"))
    assert [holder and holder.pid for holder in holders] == [os.getpid(), None]


def test_a_file_that_is_no_bench(tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_text('visa_library = "@py"\n')
    with pytest.raises(ConfigError, match="names no visa_library and no instruments"):
        entries_of(path)
    path.write_text('visa_library = "@py"\n[instruments.laser]\ndriver = "x"\n')
    with pytest.raises(ConfigError, match="laser: key 'resource' is missing"):
        entries_of(path)
    path.write_text('visa_library = "@py"\n[instruments]\nlaser = 3\n')
    with pytest.raises(ConfigError, match="laser"):
        entries_of(path)
