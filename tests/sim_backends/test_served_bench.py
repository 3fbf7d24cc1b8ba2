"""The bench file by which others find a served laboratory."""

from __future__ import annotations

import math
import tomllib
from pathlib import Path

import pytest

from labctl.config import load_bench
from labctl.schema import read_toml
from labctl.shipped import bench_path
from sim_backends.served_bench import MARK, Address, Way, served_bench, ways_of

CONTROL = "TCPIP0::10.0.0.5::1::SOCKET"


@pytest.mark.parametrize("name", ["ideal", "telecom", "waveform"])
def test_a_shipped_bench_differs_in_nothing_else(tmp_path: Path, name: str) -> None:
    source = bench_path(name)
    tables = read_toml(source)
    moved = {each: f"TCPIP0::10.0.0.5::{n}::SOCKET" for n, each in enumerate(tables["instruments"], 2)}
    path = tmp_path / "served.bench.toml"
    path.write_text(served_bench(tables, moved, CONTROL))
    assert path.read_text().startswith(MARK)
    old, new = load_bench(source), load_bench(path)
    assert {each: entry.resource for each, entry in new.instruments.items()} == moved
    assert (new.visa_library, new.simulated_control, new.world) == ("@py", CONTROL, None)
    assert new.simulated
    assert not new.in_process
    same = {"visa_library": "@labctl", "simulated_control": None, "world": old.world, "instruments": old.instruments}
    assert new.model_copy(update=same) == old
    for each, entry in new.instruments.items():
        assert (entry.driver, entry.options) == (old.instruments[each].driver, old.instruments[each].options)


def test_every_value_of_toml_comes_back() -> None:
    text = """
        a = 'quote " back \\ tab\t newline'
        c = "control \\u0001 \\u007f \\U0001F600 µ"
        when = 2026-11-24T12:00:00+01:00
        numbers = [1, -2.5e-30, 1e300, true, inf, -inf]
        "key with space" = { b = [ { x = 1 }, { x = 2 } ] }
        [instruments.laser]
        driver = "d"
        resource = "old"
        [instruments.laser.options]
        list = [1, 2]
        [deep.empty]
    """
    tables = tomllib.loads(text)
    written = tomllib.loads(served_bench(tables, {"laser": "new"}, CONTROL))
    assert written.pop("simulated_control") == CONTROL
    assert written.pop("visa_library") == "@py"
    assert written["instruments"]["laser"].pop("resource") == "new"
    assert tables["instruments"]["laser"].pop("resource") == "old"
    assert written == tables
    assert math.isinf(written["numbers"][-1])


@pytest.mark.parametrize(
    ("resource", "hislip", "ways"),
    [
        ("TCPIP0::1.2.3.4::5025::SOCKET", False, (Way.SOCKET,)),
        ("tcpip::1.2.3.4::5025::socket", True, (Way.SOCKET, Way.HISLIP)),
        ("ASRL/dev/ttyUSB0::INSTR", False, (Way.SERIAL,)),
        ("ASRL3", False, (Way.SERIAL,)),
        ("USB0::0x1313::0x8078::P0000001::INSTR", False, (Way.HISLIP,)),
        ("GPIB0::7::INSTR", False, (Way.HISLIP,)),
        ("TCPIP0::1.2.3.4::inst0::INSTR", True, (Way.HISLIP,)),
    ],
)
def test_ways(resource: str, hislip: bool, ways: tuple[Way, ...]) -> None:
    assert ways_of(resource, hislip) == ways


def test_resource_strings() -> None:
    assert [Address("x", way, "10.0.0.5", 99).resource for way in Way] == [
        "TCPIP0::10.0.0.5::99::SOCKET",
        "ASRLsocket://10.0.0.5:99::INSTR",
        "TCPIP0::10.0.0.5::hislip0,99::INSTR",
    ]
