"""A bench file written from what answers."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from labctl.config import load_bench
from labctl.errors import ConfigError
from labctl.newbench import bench_text
from labctl.values import FoundInstrument, Identity, Presence

DATE = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def found(kind: str, number: int = 1, driver: str = "drivers.x:Y") -> FoundInstrument:
    resource = f"TCPIP0::10.0.0.{number}::5025::SOCKET"
    return FoundInstrument(resource, Presence.RECOGNISED, driver, kind, Identity("ACME", kind, str(number)))


WHOLE = [
    found("Laser", 1),
    *(found("WaveformGenerator", 10 + n) for n in range(4)),
    found("Attenuator", 20),
    found("Amplifier", 30),
    found("Digitizer", 40),
    found("Digitizer", 41),
    found("PowerMeter", 50),
    found("BiasController", 60),
    found("BiasController", 61),
    FoundInstrument("ASRL3::INSTR", Presence.SILENT, problem="says nothing"),
]


def decided(text: str) -> str:
    """As somebody who takes every example for true would leave it."""
    return re.sub(r"^# (\w+ = )", r"\1", text, flags=re.MULTILINE)


def test_it_is_refused_until_all_is_decided_and_a_bench_then(tmp_path: Path) -> None:
    path = tmp_path / "my.bench.toml"
    text = bench_text("my", "@py", WHOLE, DATE)
    path.write_text(text)
    with pytest.raises(
        ConfigError, match=r"23 keys are missing: sample_rate; \[laser\] wavelength, power; .*fraction$"
    ):
        load_bench(path)
    path.write_text(decided(text))
    bench = load_bench(path)
    assert bench.visa_library == "@py"
    assert bench.calibrated_at == DATE
    assert len(bench.instruments) == 12
    assert bench.modulator.bias == ["bias_controller_1", "bias_controller_2"]
    assert bench.laser.instrument == "laser"
    assert [bench.modulator.in_phase.instrument, bench.unitary.return_phase.instrument] == ["awg_1", "awg_3"]
    assert bench.tap.instrument == "awg_4"
    assert (bench.client_receiver.digitizer, bench.server_receiver.digitizer) == ("scope_1", "scope_2")
    assert "says nothing" not in text
    assert max(map(len, text.splitlines())) <= 120


def test_no_value_of_a_calibration_is_made_up() -> None:
    keys = re.findall(r"^(\w+) = ", bench_text("my", "@py", WHOLE, DATE), flags=re.MULTILINE)
    assert set(keys) == {"name", "visa_library", "driver", "resource", "instrument", "digitizer"}


def test_what_did_not_answer_is_named() -> None:
    text = bench_text("my", "@py", [found("Laser")], DATE)
    assert 'instrument = "NO AMPLIFIER ANSWERED"' in text
    assert "[monitor]" not in text
    assert "Nothing that labctl has a driver for answered" in bench_text("my", "@py", [], DATE)


def test_one_that_is_known_and_wants_something_says_what() -> None:
    laser = replace(found("Laser"), problem="wants an option. Give it.")
    text = bench_text("my", "@py", [laser], DATE)
    assert "# TO MEND: wants an option. Give it.\n" in text
    assert decided(text).count("TO MEND") == 1
