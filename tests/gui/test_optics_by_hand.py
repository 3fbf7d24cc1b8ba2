"""The circuit of a bench that is operated by hand."""

from __future__ import annotations

import pytest

from gui.panels.optics import Circuit
from gui.panels.optics_by_hand import circuit_by_hand
from gui.theme import Status
from labctl.engine import RunControl
from labctl.engine_process.hand import Hand
from labctl.engine_process.messages import ConnectRequest, HandReport, InstrumentReport, SetPropertyRequest


def test_circuit_of_a_bench_by_hand() -> None:
    """10 mW, 6 dB of the modulator and 80 dB of two attenuators: 25 pW would be launched."""
    hand, control = Hand(), RunControl()
    report = hand.perform(ConnectRequest("ideal"), control)
    assert isinstance(report, HandReport)
    reports = {each.name: each for each in report.instruments}

    def drawn(*settings: tuple[str, str, float | bool, int | None]) -> Circuit:
        for instrument, name, value, channel in settings:
            found = hand.perform(SetPropertyRequest(instrument, name, value, channel), control)
            assert isinstance(found, HandReport)
            reports.update({each.name: each for each in found.instruments})
        return circuit_by_hand(report, reports)

    dark = drawn()
    assert not any(link.lit for link in dark.links)
    assert {box.key: box.status for box in dark.boxes}["attenuator"] is Status.OFF
    drawn(("laser", "power_w", 10e-3, None), ("laser", "emission", True, None))
    for channel in (1, 3):
        drawn(("attenuator", "attenuation_db", 40.0, channel), ("attenuator", "shutter_open", True, channel))
    lit = drawn()
    powers = {(link.start, link.end): link for link in lit.links}
    assert powers["attenuator", "loop"].power_w == pytest.approx(10e-3 * 10**-8.6)
    assert powers["attenuator", "loop"].label == "≈ 25.1 pW"
    assert powers["laser", "monitor"].label == "1 mW measured"
    assert powers["loop", "amplifier"].lit
    assert not powers["amplifier", "server"].lit
    states = {box.key: box.status for box in lit.boxes}
    assert (states["laser"], states["attenuator"], states["amplifier"]) == (Status.ON, Status.ON, Status.OFF)
    reports["laser"] = InstrumentReport("laser", "", (), "does not answer")
    assert not any(link.lit for link in circuit_by_hand(report, reports).links)
    hand.close()
