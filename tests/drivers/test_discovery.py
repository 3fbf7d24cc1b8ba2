"""Who is connected, asked through the drivers."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import pytest

import drivers
from drivers import discovery
from drivers.connection import LineSettings
from drivers.listening import Ear
from drivers.pace import Pace
from drivers.visa import VisaLibrary
from labctl.config import load_bench
from labctl.errors import ConfigError
from labctl.interfaces import Instrument
from labctl.shipped import bench_path
from labctl.values import Presence

IDEAL = bench_path("ideal")
LIBRARY = f"{IDEAL}@labctl"
PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "instruments.md"
#: What the words in the column "line" of the page stand for.
WORDS = {"serial": "ASRL", "USB": "INSTR", "GPIB": "INSTR", "VXI-11": "INSTR", "HiSLIP": "INSTR"}
#: A resource for every line, and a port that is in nobody's entry.
RESOURCES = {"SOCKET": "TCPIP0::10.9.0.{}::777::SOCKET", "ASRL": "ASRL{}::INSTR", "INSTR": "GPIB0::{}::INSTR"}


def lines_of(driver: str) -> set[str]:
    return {discovery._line(pattern) for pattern in discovery.CATALOGUE[driver]}


def test_every_instrument_of_the_simulated_lab_is_found_with_its_driver() -> None:
    entries = load_bench(IDEAL).instruments.values()
    resources = discovery.visible(LIBRARY)
    assert sorted(resources) == sorted(entry.resource for entry in entries)
    found = discovery.recognised(LIBRARY, resources)
    assert {each.resource: each.driver for each in found} == {entry.resource: entry.driver for entry in entries}
    assert all(each.identity is not None and not each.problem for each in found)
    assert {each.presence for each in found} == {Presence.RECOGNISED}
    assert {each.kind for each in found} == {
        "Laser",
        "WaveformGenerator",
        "Attenuator",
        "Amplifier",
        "Digitizer",
        "PowerMeter",
    }


# --- the catalogue ------------------------------------------------------------------------------------------------


def all_drivers() -> Iterator[str]:
    for module in pkgutil.iter_modules(drivers.__path__):
        for name, value in vars(importlib.import_module(f"drivers.{module.name}")).items():
            own = isinstance(value, type) and value.__module__ == f"drivers.{module.name}"
            if own and issubclass(value, Instrument) and not inspect.isabstract(value):
                yield f"drivers.{module.name}:{name}"


def test_every_driver_is_in_the_catalogue_and_every_pattern_compiles() -> None:
    assert set(all_drivers()) == set(discovery.CATALOGUE)
    for patterns in discovery.CATALOGUE.values():
        assert patterns
        for pattern in patterns:
            re.compile(pattern)


class Notebook(Ear):
    """Takes down how drivers want their lines."""

    def connect(self, name: str, resource: str, settings: LineSettings | None = None, pace: Pace | None = None) -> Any:
        self.complaints.append("serial" if settings is not None and settings.baud_rate else "")
        return super().connect(name, resource, settings, pace)


@pytest.mark.parametrize("driver", discovery.CATALOGUE)
def test_the_catalogue_has_the_lines_that_the_driver_and_its_page_have(driver: str) -> None:
    library = VisaLibrary(LIBRARY)
    notebook = Notebook(library, "ASRL1::INSTR")
    resolve_name(driver)("it", "ASRL1::INSTR", notebook, notebook.clock())
    library.close()
    assert ("serial" in notebook.complaints) == ("ASRL" in lines_of(driver)), "a baud rate for every serial line"
    told = re.search(rf"`{driver}` \|.*\| (.*) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert told is not None
    lines: set[str] = set()
    ports: set[str] = set()
    for word in (part.partition(" (")[0] for part in told[1].split(", ")):
        ports |= {r"\d+"} if word == "LAN" else {word.removeprefix("TCP ")} if word.startswith("TCP") else set()
        lines |= {"SOCKET"} if word.startswith(("TCP", "LAN")) else {WORDS[word]}
    assert lines == lines_of(driver)
    sockets = [pattern for pattern in discovery.CATALOGUE[driver] if pattern.endswith("SOCKET")]
    assert {pattern.split("::")[-2] for pattern in sockets} == ports


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, str]]:
    """A lab with a unit for every driver on every line that it has: its library, and the driver of each resource."""
    text, expected = IDEAL.read_text(encoding="utf-8"), {}
    for number, (driver, line) in enumerate((d, n) for d in discovery.CATALOGUE for n in sorted(lines_of(d))):
        resource = RESOURCES[line].format(number + 1)
        expected[resource] = driver
        model = driver.partition(":")[0].partition(".")[2]
        text = text.replace("[world.units]\n", f'[world.units]\nunit_{number} = {{ model = "{model}" }}\n')
        text += f'\n[instruments.unit_{number}]\ndriver = "{driver}"\nresource = "{resource}"\n'
    path = tmp_path_factory.mktemp("everything") / "everything.bench.toml"
    path.write_text(text, encoding="utf-8")
    return f"{path}@labctl", expected


def test_each_driver_knows_its_own_instrument_alone_on_every_line_of_it(
    everything: tuple[str, dict[str, str]],
) -> None:
    """At ports that nobody expects: the user has named them."""
    library, expected = everything
    found = discovery.recognised(library, expected, named=expected)
    assert {each.resource: each.driver for each in found} == expected
    assert {each.presence for each in found} == {Presence.RECOGNISED}


def test_a_serial_server_on_a_port_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "tunnel.bench.toml"
    tunnel = "TCPIP0::10.9.0.1::4001::SOCKET"
    path.write_text(IDEAL.read_text(encoding="utf-8").replace("ASRL/dev/ttyUSB0::INSTR", tunnel), encoding="utf-8")
    (named,) = discovery.recognised(f"{path}@labctl", [tunnel], named=[tunnel])
    assert named.driver == "drivers.amonics_aedfa:AEDFA"
    (seen,) = discovery.recognised(f"{path}@labctl", [tunnel])
    assert seen.presence is Presence.SILENT, "nobody named it: only what the catalogue has at any port is asked"


# --- who answers otherwise, or not --------------------------------------------------------------------------------


def test_a_resource_without_anybody() -> None:
    (nobody, strange) = discovery.recognised(LIBRARY, ["TCPIP0::10.0.0.9::5025::SOCKET", "VXI0::1::INSTR"])
    assert nobody.presence is Presence.LOST
    assert "cannot open" in nobody.problem
    assert strange.presence is Presence.NOT_ASKED
    assert strange.problem == "no driver is known for such a resource"


@contextmanager
def peer(reply: bytes | None, heard: list[bytes]) -> Iterator[str]:
    """A resource at which somebody gives this reply to every line, or none."""
    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    while data := connection.recv(4096):
                        heard.append(data)
                        if reply is not None:
                            connection.sendall(reply)

        thread = threading.Thread(target=serve)
        thread.start()
        stack.callback(thread.join)
        stack.callback(server.shutdown, socket.SHUT_RDWR)
        yield f"TCPIP0::127.0.0.1::{server.getsockname()[1]}::SOCKET"


def test_a_closed_port_is_told_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    resource = f"TCPIP0::127.0.0.1::{port}::SOCKET"
    (found,) = discovery.recognised("@py", [resource], named=[resource])
    assert found.presence is Presence.LOST
    assert not found.driver


def test_who_tells_a_strange_name_is_asked_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drivers.listening.ANSWER_S", 0.3)
    heard: list[bytes] = []
    with peer(b"ACME,ROASTER,7,1.0\n", heard) as resource:
        (found,) = discovery.recognised("@py", [resource], named=[resource])
    assert found.presence is Presence.UNKNOWN
    assert "ACME,ROASTER" in found.problem
    assert len(re.findall("drivers", found.problem)) == 1
    assert heard[0] == b"*IDN?\n"
    assert {each.strip(b"\r\n;") for each in heard} == {b"*IDN?"}
    assert len(heard) == len(set(heard)), "each question once, however many drivers have it"


def test_silence_is_told_once_and_waited_for_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"ANSWER_S": 0.02, "PATIENCE_S": 0.1}.items():
        monkeypatch.setattr(f"drivers.listening.{name}", value)
    heard: list[bytes] = []
    with peer(None, heard) as resource:
        (found,) = discovery.recognised("@py", [resource], named=[resource])
    assert found.presence is Presence.SILENT
    assert re.fullmatch(r"no answer to any of 18 drivers; questions left out as the time was up: \d", found.problem)
    assert 2 <= len(heard) < 9


def test_who_belongs_at_a_port_is_asked_for_first() -> None:
    santec, *others = discovery._candidates("TCPIP0::10.0.0.1::5000::SOCKET", named=False)
    assert santec == "drivers.santec_tsl570:TSL570"
    assert set(others) == {"drivers.thorlabs_pm100d:PM100D", "drivers.generalphotonics_psy201:PSY201"}


def test_nobody_named_it_so_nothing_strange_is_said() -> None:
    heard: list[bytes] = []
    with peer(b"?\n", heard) as resource:
        (found,) = discovery.recognised("@py", [resource])
    assert found.presence is Presence.UNKNOWN
    assert {each.strip() for each in heard} == {b"*IDN?"}


def test_a_known_instrument_that_wants_an_option_is_recognised(tmp_path: Path) -> None:
    text = IDEAL.read_text(encoding="utf-8")
    path = tmp_path / "slots.bench.toml"
    path.write_text(
        text.replace('laser = { model = "santec_tsl570"', 'laser = { variant = "TSL-550", model = "santec_tsl570"')
    )
    resource = "TCPIP0::192.168.10.11::5000::SOCKET"
    (found,) = discovery.recognised(f"{path}@labctl", [resource])
    assert found.presence is Presence.RECOGNISED
    assert found.driver == "drivers.santec_tsl570:TSL570"
    assert 'Use units = "legacy"' in found.problem
    entries = {resource: ("drivers.santec_tsl570:TSL570", {"units": "legacy"})}
    (found,) = discovery.recognised(f"{path}@labctl", [resource], entries=entries)
    assert (found.presence, found.problem) == (Presence.RECOGNISED, "")
    entries = {resource: ("drivers.santec_tsl570:TSL570", {"unit": "legacy"})}
    (found,) = discovery.recognised(f"{path}@labctl", [resource], entries=entries)
    assert found.driver == "drivers.santec_tsl570:TSL570"


def test_the_sockets_of_a_host() -> None:
    sockets = discovery.on_host("lab7")
    assert "TCPIP0::lab7::5025::SOCKET" in sockets
    assert "TCPIP0::lab7::5000::SOCKET" in sockets
    assert len(set(sockets)) == len(sockets)


def test_no_such_library() -> None:
    with pytest.raises(ConfigError, match="no VISA library"):
        discovery.visible("@nothing")
