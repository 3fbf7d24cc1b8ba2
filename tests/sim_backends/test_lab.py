"""One lab per bench file and process, its addresses, its control."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from labctl.errors import ConfigError
from labctl.shipped import examples
from sim_backends.lab import CONTROL_RESOURCE, Lab, open_lab, shipped_bench


@pytest.fixture
def lab():
    opened = open_lab()
    yield opened
    opened.close()


def copied(folder: Path, old: str = "", new: str = "") -> Path:
    text = (examples() / "ideal.bench.toml").read_text()
    assert old in text
    path = folder / "my.bench.toml"
    path.write_text(text.replace(old, new) if old else text)
    return path


def test_units_by_name_and_address(lab: Lab) -> None:
    assert set(lab.units) >= {"laser", "server_awg", "client_scope", "power_meter"}
    assert lab.by_resource("TCPIP0::192.168.10.11::5000::SOCKET") is lab.units["laser"]
    assert lab.by_resource(CONTROL_RESOURCE) is lab.control
    assert lab.resources()[-1] == CONTROL_RESOURCE
    assert all(lab.by_resource(resource) is not None for resource in lab.resources())
    assert len(set(lab.resources())) == len(lab.units) + 1


@pytest.mark.parametrize(
    "written",
    [
        "TCPIP0::192.168.10.11::5000::SOCKET",
        "TCPIP::192.168.10.11::5000::SOCKET",
        "tcpip0::192.168.10.11::5000::socket",
        " TCPIP::192.168.10.11::5000::socket ",
    ],
)
def test_addresses_as_visa_compares_them(lab: Lab, written: str) -> None:
    assert lab.by_resource(written) is lab.units["laser"]


@pytest.mark.parametrize(
    "written", ["TCPIP1::192.168.10.11::5000::SOCKET", "TCPIP0::192.168.10.11::5025::SOCKET", "", "X"]
)
def test_nobody_there(lab: Lab, written: str) -> None:
    assert lab.by_resource(written) is None


def test_serial_and_usb_addresses(lab: Lab) -> None:
    assert lab.by_resource("asrl/dev/ttyusb0::instr") is lab.units["amplifier"]
    assert lab.by_resource("USB::0x1313::0x8078::p0000001::INSTR") is lab.units["power_meter"]


def test_one_lab_per_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = copied(tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link.toml").symlink_to(path)
    first, second, third = open_lab(str(path)), open_lab("my.bench.toml"), open_lab("link.toml")
    other = open_lab(str(shipped_bench()))
    unnamed = open_lab()
    try:
        assert first is second is third
        assert other is unnamed
        assert other is not first
    finally:
        for opened in (second, third, other, unnamed):
            opened.close()
    assert open_lab(str(path)) is first, "it lives until the last of its users"
    first.close()
    first.close()
    again = open_lab(str(path))
    assert again is not first, "and then it is a new one, in its switched-on state"
    first.close()
    last = open_lab(str(path))
    assert last is again, "a lab that has ended ends no other"
    last.close()
    again.close()


def test_opened_from_many_threads_it_is_one(tmp_path: Path) -> None:
    path = str(copied(tmp_path))
    found: list[Lab] = []
    threads = [threading.Thread(target=lambda: found.append(open_lab(path))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len({id(each) for each in found}) == 1
    for each in found:
        each.close()
    fresh = open_lab(path)
    assert fresh is not found[0]
    fresh.close()


def test_units_share_one_lock_and_one_world(lab: Lab) -> None:
    assert {id(unit.lock) for unit in lab.units.values()} == {id(lab.lock)} == {id(lab.control.lock)}
    assert {id(unit.world) for unit in lab.units.values()} == {id(lab.world)}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('model = "santec_tsl570"', 'model = "santec_tsl999"', "'santec_tsl999'"),
        ('model = "santec_tsl570"', 'model = "world"', "'world'"),
        ('model = "santec_tsl570"', 'model = "santec_tsl570", colour = "red"', "'colour'"),
        ('tap = "client_awg_tap:1"', 'tap = "client_awg_tap:5"', "client_awg_tap:5"),
        ('amplifier = "amplifier"', 'amplifier = "laser"', "laser"),
        ("[world.places]", "[world.plaices]", "plaices"),
    ],
)
def test_a_wrong_world_is_a_config_error(tmp_path: Path, old: str, new: str, said: str) -> None:
    path = copied(tmp_path, old, new)
    with pytest.raises(ConfigError) as caught:
        open_lab(str(path))
    assert said in caught.value.message
    assert caught.value.remedy
    path.write_text((examples() / "ideal.bench.toml").read_text())
    open_lab(str(path)).close()


def test_control(lab: Lab) -> None:
    lab.set_stepped(True)
    lab.advance(2.0)
    assert (lab.stepped, lab.now()) == (True, 2.0)
    lab.set_stepped(False)
    lab.set_fault("laser", "unplug")
    assert lab.units["laser"].fault is not None
    assert lab.units["laser"].connect(True) is None
    with pytest.raises(ConfigError, match="there is no unit 'lazer'") as caught:
        lab.set_fault("lazer", "UNPLUG")
    assert "laser" in caught.value.remedy
    with pytest.raises(ConfigError, match="there is no fault called 'MELT'"):
        lab.set_fault("laser", "MELT")
    lab.reset(3)
    assert lab.units["laser"].fault is None, "a reset forgets faults"
    lab.set_fault("laser", "SILENT")
    lab.clear_faults()
    assert lab.units["laser"].fault is None


def test_everything_is_dark_when_it_is_switched_on(lab: Lab) -> None:
    assert lab.world.optical_power_w("power_meter") == 0.0
    assert lab.world.optical_power_w("amplifier") == 0.0
