"""tm_devices, Tektronix's own client, on the simulated AWG5200 and MSO6B."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labctl.budget.sources import Tables
from tests.clients.desk import MISSING, Desk, second_supplier
from tests.contract.suppliers import overlaid

tm_devices = pytest.importorskip("tm_devices", reason=MISSING)

# It reads the status byte, which raw sockets do not have, and warns that it could not; the others are its own.
pytestmark = pytest.mark.filterwarnings(
    "ignore:A VISA IO error occurred when attempting to read the status byte:UserWarning",
    "ignore::DeprecationWarning",
    "ignore::ResourceWarning",
)

SAMPLES = 3000
VACUUM_V = 20e-3


@pytest.fixture
def changes() -> Tables:
    return overlaid(second_supplier("tektronix_awg5200"), second_supplier("tektronix_mso"))


@pytest.fixture
def manager(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Its log goes to where it is started."""
    monkeypatch.chdir(tmp_path)
    with tm_devices.DeviceManager(verbose=False) as made:
        made.setup_cleanup_enabled = made.teardown_cleanup_enabled = False
        made.visa_library = desk.library
        yield made


def place(desk: Desk, name: str) -> dict[str, Any]:
    _, address, port, kind = desk.resource(name).split("::")
    return {"address": address, "connection_type": kind, "port": int(port)}


def test_a_waveform(desk: Desk, manager: Any) -> None:
    awg = manager.add_awg(**place(desk, "server_awg"))
    awg.ieee_cmds.cls()
    assert type(awg).__name__ == "AWG5200"
    awg.commands.clock.srate.write(1e9)
    assert float(awg.commands.clock.srate.query()) == 1e9
    awg.commands.sourcex[1].voltage.level.immediate.amplitude.write(0.5)
    awg.commands.wlist.waveform.new.write(f'"ramp",{SAMPLES},REAL')
    ramp = np.linspace(-1, 1, SAMPLES).astype("<f4")
    where = f'"ramp",0,{SAMPLES}'
    awg.visa_resource.write_binary_values(f"WLISt:WAVeform:DATA {where},", ramp, datatype="f", is_big_endian=False)
    back = awg.visa_resource.query_binary_values(f"WLISt:WAVeform:DATA? {where}", datatype="f")
    np.testing.assert_array_equal(np.array(back, "f4"), ramp)
    awg.commands.sourcex[1].casset.waveform.write('"ramp"')
    awg.commands.outputx[1].state.write(1)
    awg.commands.awgcontrol.run.immediate.write()
    assert int(awg.commands.awgcontrol.rstate.query()) == 2
    state = desk.lab.units["server_awg"].state
    assert state.channels[0].amplitude_vpp == 0.5
    assert len(state.channels[0].playback.codes) == SAMPLES
    awg.expect_esr(0)


def test_a_trace(desk: Desk, manager: Any) -> None:
    laser = desk.lab.units["laser"].state
    laser.emission, laser.power_w = True, 10e-3
    scope = manager.add_scope(**place(desk, "server_scope"))
    scope.ieee_cmds.cls()
    assert type(scope).__name__.startswith("MSO6")
    scope.turn_channel_on("CH1")
    scope.commands.ch[1].scale.write(0.05)
    scope.commands.horizontal.mode.write("MANUAL")
    scope.commands.horizontal.recordlength.write(SAMPLES)
    scope.single_sequence()
    codes = scope.curve_query(1)
    assert len(codes) == SAMPLES
    assert np.std(codes) * float(scope.commands.wfmoutpre.ymult.query()) == pytest.approx(VACUUM_V, rel=0.08)
    scope.expect_esr(0)
