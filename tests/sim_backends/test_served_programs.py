"""What programs do with a lab that is served: queries over HiSLIP, faults over TCP, an exchange recorded and played."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from pkgutil import resolve_name

import pytest
import pyvisa

from drivers.exchange import Player
from drivers.visa import VisaLibrary
from labctl.config import load_bench
from labctl.interfaces import Instrument
from labctl.shipped import bench_path
from sim_backends.served_bench import Way
from tests.sim_backends.served import Lab, ask, served


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with served(tmp_path) as running:
        yield running


def opened(library: VisaLibrary, name: str, resource: str) -> Instrument:
    entry = load_bench(bench_path("ideal")).instruments[name]
    made: Instrument = resolve_name(entry.driver)(name, resource, library, library.clock())
    made.open()
    return made


def test_a_generator_by_hislip_and_by_its_socket(lab: Lab) -> None:
    """What one way writes the other reads."""
    manager = pyvisa.ResourceManager("@py")
    by_hislip = manager.open_resource(lab.resource("server_awg", Way.HISLIP), timeout=5000)
    try:
        assert isinstance(by_hislip, pyvisa.resources.MessageBasedResource)
        assert by_hislip.query("*IDN?").startswith("Agilent Technologies,M8190A,")
        by_hislip.write(":TRAC1:DEF 1,640")
        by_hislip.write(":STAB1:DATA 1,0x80000000,1,0,0,1000,0")
        assert by_hislip.query(":TRAC1:CAT?;:SYST:ERR?") == '1,640;0,"No error"\n'
        socket = lab.connect("server_awg", Way.SOCKET)
        assert ask(socket, b":STAB1:DATA? 1,6") == b"2147483648,1,0,0,1000,0"
    finally:
        by_hislip.close()
        manager.close()


def test_a_fault_over_tcp_and_its_end(lab: Lab) -> None:
    control, attenuator = lab.connect("SIM"), lab.connect("attenuator")
    healthy = ask(attenuator, b"*IDN?")
    assert ask(control, b':FAUL "attenuator",GARBAGE;:SYST:ERR?') == b'0,"No error"'
    assert ask(attenuator, b"*IDN?") != healthy
    assert ask(control, b":FAUL:CLE;:SYST:ERR?") == b'0,"No error"'
    assert ask(attenuator, b"*IDN?") == healthy
    assert ask(control, b':FAUL "nobody",GARBAGE;:SYST:ERR?').startswith(b"-300")


def test_an_exchange_over_tcp_is_played_back(lab: Lab, tmp_path: Path) -> None:
    """Recorded on the served lab, the driver says the same to the player and reads the same from it."""
    path = tmp_path / "lines.exchange"

    def use(library: VisaLibrary) -> list[object]:
        read: list[object] = []
        for name in ("laser", "attenuator", "server_awg"):
            made = opened(library, name, lab.resource(name))
            read += [made.identity, made.snapshot(), made.safe_state()]
            made.close()
        return read

    library = VisaLibrary("@py", exchange=path)
    try:
        before = use(library)
    finally:
        library.close()
    player = Player.of_file(path)
    again = VisaLibrary(player)
    try:
        assert use(again) == before
    finally:
        again.close()
    player.finished()
