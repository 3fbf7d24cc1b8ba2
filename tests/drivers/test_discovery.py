"""Who is connected, asked through the drivers."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path
from pkgutil import resolve_name

import pytest

from drivers import discovery
from labctl.config import load_bench
from labctl.errors import ConfigError
from labctl.interfaces import Instrument
from labctl.shipped import bench_path

IDEAL = bench_path("ideal")
LIBRARY = f"{IDEAL}@labctl"


def test_every_instrument_of_the_simulated_lab_is_found_with_its_driver() -> None:
    entries = load_bench(IDEAL).instruments.values()
    resources = discovery.visible(LIBRARY)
    assert sorted(resources) == sorted(entry.resource for entry in entries)
    found = discovery.recognised(LIBRARY, resources)
    assert {each.resource: each.driver for each in found} == {entry.resource: entry.driver for entry in entries}
    assert all(each.identity is not None and not each.problem for each in found)
    assert {each.kind for each in found} == {
        "Laser",
        "WaveformGenerator",
        "Attenuator",
        "Amplifier",
        "Digitizer",
        "PowerMeter",
    }


def test_every_driver_of_this_project_is_in_the_catalogue_and_every_pattern_compiles() -> None:
    for driver, patterns in discovery.CATALOGUE.items():
        assert issubclass(resolve_name(driver), Instrument)
        assert patterns
        for pattern in patterns:
            re.compile(pattern)


def test_a_resource_without_anybody() -> None:
    (nobody, strange) = discovery.recognised(LIBRARY, ["TCPIP0::10.0.0.9::5025::SOCKET", "VXI0::1::INSTR"])
    assert not nobody.driver
    assert "cannot open" in nobody.problem
    assert strange.problem == "no driver is known for such a resource"


@pytest.fixture
def stranger() -> Iterator[int]:
    """A port at which somebody accepts and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_closed_port_is_told_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    (found,) = discovery.recognised("@py", [f"TCPIP0::127.0.0.1::{port}::SOCKET"])
    assert not found.driver
    assert found.problem


def test_the_sockets_of_a_host() -> None:
    sockets = discovery.on_host("lab7")
    assert "TCPIP0::lab7::5025::SOCKET" in sockets
    assert "TCPIP0::lab7::5000::SOCKET" in sockets
    assert len(set(sockets)) == len(sockets)


def test_no_such_library() -> None:
    with pytest.raises(ConfigError, match="no VISA library"):
        discovery.visible("@nothing")


def test_instruments_beside_the_main_path_are_told_apart(tmp_path: Path) -> None:
    """Bias controllers of both firmwares, a switch and an amplifier answer on serial lines that look alike."""
    beside = {
        "bias": ("thorlabs_mbx:MBX", "ASRL11::INSTR", "", "BiasController"),
        "terse": ("thorlabs_mbx:MBX", "ASRL12::INSTR", 'ack = "some", eol = "CR", ', "BiasController"),
        "switch": ("thorlabs_osw:OSW", "ASRL13::INSTR", "", "OpticalSwitch"),
        "pol": ("generalphotonics_psy201:PSY201", "GPIB0::5::INSTR", "", "PolarisationController"),
    }
    text = IDEAL.read_text(encoding="utf-8")
    for name, (driver, resource, options, _) in beside.items():
        unit = f'{name} = {{ {options}model = "{driver.partition(":")[0]}" }}'
        text = text.replace("[world.units]\n", f"[world.units]\n{unit}\n")
        text += f'\n[instruments.{name}]\ndriver = "drivers.{driver}"\nresource = "{resource}"\n'
    path = tmp_path / "more.bench.toml"
    path.write_text(text, encoding="utf-8")
    resources = [resource for _, resource, _, _ in beside.values()]
    found = discovery.recognised(f"{path}@labctl", [*resources, "ASRL/dev/ttyUSB0::INSTR"])
    expected = [(f"drivers.{driver}", kind) for driver, _, _, kind in beside.values()]
    assert [(each.driver, each.kind) for each in found[:-1]] == expected
    assert found[-1].driver == "drivers.amonics_aedfa:AEDFA"
