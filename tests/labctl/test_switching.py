"""Light by hand on the simulated bench: in order, or not at all."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import pytest

from labctl.bench import Bench, open_bench
from labctl.config import load_bench
from labctl.errors import InterlockError, LimitError, WatchdogError
from labctl.interfaces import Amplifier, Attenuator, Laser, WaveformGenerator
from labctl.shipped import bench_path
from labctl.switching import Switching

INTERLOCKS = """
[[interlocks]]
instrument = "power_meter"
reading = "power_w"
max = "0.5 mW"
"""


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with open_bench(written(tmp_path)) as opened:
        yield opened


def written(folder: Path, more: str = "") -> Path:
    path = folder / "hand.bench.toml"
    path.write_text(
        bench_path("ideal").read_text(encoding="utf-8").replace("# --- the simulated lab", f"{more}\n# --- ")
    )
    load_bench(path)
    return path


class Table:
    """Sets by names."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        control = bench.control()
        assert control is not None
        control.set_stepped_clock(True)
        self.asked = 0
        self.switching = Switching(bench, self.ready)
        self.laser = bench.part("laser", Laser)
        self.attenuator = bench.part("attenuator", Attenuator)
        self.amplifier = bench.part("amplifier", Amplifier)

    def ready(self) -> None:
        self.asked += 1

    def set(self, instrument: str, name: str, value: float | bool, channel: int | None = None) -> list[str]:
        touched = self.switching.set(self.bench.instruments[instrument], name, channel, value)
        return [each.name for each in touched]

    def lit(self) -> tuple[bool, bool, bool, bool]:
        """Laser, the two shutters, amplifier."""
        shutters = (self.attenuator.shutter(1), self.attenuator.shutter(3))
        return (self.laser.emission(), *shutters, self.amplifier.emission())

    def light(self) -> None:
        self.set("laser", "emission", True)
        for channel in (1, 3):
            self.set("attenuator", "attenuation_db", 40.0, channel)
        for channel in (1, 3):
            self.set("attenuator", "shutter_open", True, channel)
        self.set("amplifier", "emission", True)


def test_in_the_order_of_a_run(bench: Bench) -> None:
    table = Table(bench)
    with pytest.raises(InterlockError, match=r"attenuator: channel 1 stays closed, since laser does not emit"):
        table.set("attenuator", "shutter_open", True, 1)
    with pytest.raises(InterlockError, match=r"amplifier: stays off, since laser does not emit"):
        table.set("amplifier", "emission", True)
    table.set("laser", "emission", True)
    with pytest.raises(
        InterlockError, match=r"up to .* µW would be launched, where the receivers bear 10 µW"
    ) as caught:
        table.set("attenuator", "shutter_open", True, 1)
    assert "Attenuate by at least" in caught.value.remedy
    table.set("attenuator", "attenuation_db", 40.0, 1)
    table.set("attenuator", "shutter_open", True, 1)
    with pytest.raises(InterlockError, match=r"its input is shut \(attenuator, channel 3\)"):
        table.set("amplifier", "emission", True)
    assert table.lit() == (True, True, False, False)
    table.set("attenuator", "attenuation_db", 40.0, 3)
    table.set("attenuator", "shutter_open", True, 3)
    table.set("amplifier", "emission", True)
    assert table.lit() == (True, True, True, True)
    assert table.asked == 4
    table.set("server_awg", "output", True, 1)
    assert bench.part("server_awg", WaveformGenerator).output(1)
    table.set("attenuator", "shutter_open", True, 5)  # of another way


def test_what_is_behind_goes_off_first(bench: Bench) -> None:
    table = Table(bench)
    table.light()
    assert table.set("attenuator", "shutter_open", False, 5) == []
    assert table.set("attenuator", "shutter_open", False, 3) == ["amplifier"]
    assert table.lit() == (True, True, False, False)
    table.set("attenuator", "shutter_open", True, 3)
    table.set("amplifier", "emission", True)
    assert table.set("laser", "emission", False) == ["amplifier", "attenuator"]
    assert table.lit() == (False, False, False, False)
    bench.instruments["attenuator"].set_shutter(1, True)  # type: ignore[attr-defined]
    with pytest.raises(InterlockError, match="laser: stays off, since the signal would come with the local oscillator"):
        table.set("laser", "emission", True)


def test_what_comes_before_a_pumped_amplifier_stays(bench: Bench) -> None:
    table = Table(bench)
    table.light()
    for instrument, name, value, channel in (
        ("laser", "power_w", 1e-3, None),
        ("laser", "wavelength_m", 1551e-9, None),
        ("attenuator", "attenuation_db", 45.0, 3),
    ):
        with pytest.raises(InterlockError, match="while amplifier is pumped"):
            table.set(instrument, name, value, channel)
    table.set("attenuator", "attenuation_db", 45.0, 5)
    table.set("amplifier", "pump_a", 0.1)
    table.set("amplifier", "emission", False)
    with pytest.raises(InterlockError, match="would be launched"):
        table.set("attenuator", "attenuation_db", 0.0, 1) or table.set("attenuator", "attenuation_db", 0.0, 3)
    table.set("laser", "power_w", 1e-3)
    with pytest.raises(LimitError, match="laser: power_w: 1 is outside"):
        table.set("laser", "power_w", 1.0)
    with pytest.raises(LimitError, match="cannot be nan"):
        table.set("laser", "power_w", math.nan)


def test_conditions_of_the_bench_file(tmp_path: Path) -> None:
    """1 mW is on the monitor at 10 mW, where half of it is allowed: the laser goes off again, as in a run."""
    with open_bench(written(tmp_path, INTERLOCKS)) as bench:
        table = Table(bench)
        table.set("laser", "power_w", 10e-3)
        with pytest.raises(InterlockError, match=r"power_meter: power_w is .* at most .*everything was made dark"):
            table.set("laser", "emission", True)
        assert table.lit() == (False, False, False, False)
        table.set("laser", "power_w", 3e-3)
        table.light()
        assert table.lit() == (True, True, True, True)
        table.set("amplifier", "emission", False)
        bench.part("laser", Laser).set_power(10e-3)
        with pytest.raises(InterlockError, match="everything was made dark"):
            table.set("amplifier", "emission", True)
        assert table.lit() == (False, False, False, False)


def test_nothing_is_lit_where_nobody_would_switch_it_off(bench: Bench) -> None:
    def refuse() -> None:
        raise WatchdogError("the watchdog has ended", "Connect again.")

    switching = Switching(bench, refuse)
    with pytest.raises(WatchdogError):
        switching.set(bench.instruments["laser"], "emission", None, True)
    assert not bench.part("laser", Laser).emission()
    switching.set(bench.instruments["laser"], "emission", None, False)
