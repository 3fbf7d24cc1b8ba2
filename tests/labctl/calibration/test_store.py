"""The store: nothing is lost, replaced, or taken from another bench."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

import labctl.calibration.store
from labctl.calibration.result import Curve, Demand, Panel, Quantity, Result
from labctl.calibration.store import Store, stale, working_point
from labctl.config import load_bench
from labctl.errors import CalibrationError, ConfigError
from labctl.shipped import bench_path

CONFIG = load_bench(bench_path("telecom"))
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


def result(name: str = "shot-noise", value: float = 1.0, **changes: object) -> Result:
    curve = Curve("measured", np.array([1.0, 2.0]), np.array([3.0, 4.0]), np.array([0.1, 0.2]))
    made = Result(
        name,
        NOW.isoformat(),
        "passed",
        working_point(CONFIG),
        (Quantity("server.volts_per_snu", value, 0.25, "V", 19), Quantity("exact", 2.0, 0.0)),
        (Demand('50 % of "all", at least', True, "a\nb"),),
        (Panel("title", "x", "√y", (curve, Curve("fit", curve.x, curve.y, line=True))),),
        ("laser off",),
        software="labctl 0",
    )
    return replace(made, **changes)


def test_what_is_kept_comes_back(tmp_path: Path) -> None:
    store = Store(tmp_path / "s", "telecom")
    kept = result()
    store.keep(kept)
    (found,) = Store(tmp_path / "s", "telecom").history()
    assert (found.procedure, found.taken_at, found.point) == (kept.procedure, kept.taken_at, kept.point)
    assert (found.quantities, found.demands, found.assumed) == (kept.quantities, kept.demands, kept.assumed)
    points, line = found.panels[0].curves
    assert (points.label, points.line, line.line, line.error) == ("measured", False, True, None)
    np.testing.assert_array_equal(points.error, [0.1, 0.2])


def test_history_is_kept_and_the_last_one_counts(tmp_path: Path) -> None:
    store = Store(tmp_path / "s", "telecom")
    for value in (1.0, 2.0):
        store.keep(result(value=value))
    store.keep(result("tap"))
    assert [each.quantities[0].value for each in store.history("shot-noise")] == [1.0, 2.0]
    assert store.latest()["shot-noise"].quantities[0].value == 2.0
    assert len(store.history()) == 3
    assert not [path for path in (tmp_path / "s").iterdir() if path.suffix == ".part"]


def test_a_later_failure_is_not_hidden_by_an_earlier_pass(tmp_path: Path) -> None:
    store = Store(tmp_path / "s", "telecom")
    store.keep(result())
    store.keep(result(outcome="failed", message="no light"))
    assert store.in_force(CONFIG, NOW.timestamp()) == {}
    assert store.latest()["shot-noise"].message == "no light"


def test_another_bench_is_refused(tmp_path: Path) -> None:
    Store(tmp_path / "s", "telecom").keep(result())
    other = Store(tmp_path / "s", "ideal")
    with pytest.raises(ConfigError, match="calibrations of bench 'telecom', not of 'ideal'"):
        other.latest()
    with pytest.raises(ConfigError, match="not of 'ideal'"):
        other.keep(result())


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(ConfigError, match="holds no calibrations"):
        Store(tmp_path, "telecom").latest()


def test_nothing_there_is_nothing(tmp_path: Path) -> None:
    assert Store(tmp_path / "none", "telecom").latest() == {}


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    store = Store(tmp_path / "s", "telecom")
    path = store.keep(result())
    path.with_suffix(".npz").write_bytes(b"no")
    with pytest.raises(ConfigError, match=r"00001-shot-noise\.npz"):
        store.latest()
    path.write_text("format = 1\n")
    with pytest.raises(ConfigError, match=r"00001-shot-noise\.toml"):
        store.latest()


def resealed(path: Path, old: str, new: str) -> None:
    """As by somebody who makes the checksum anew."""
    text = path.read_text(encoding="utf-8").partition("\n")[2]
    assert old in text
    body = text.replace(old, new, 1).encode()
    path.write_bytes(f'sha256 = "{hashlib.sha256(body).hexdigest()}"\n'.encode() + body)


def test_a_number_that_was_changed_is_refused(tmp_path: Path) -> None:
    store = Store(tmp_path / "s", "telecom")
    path = store.keep(result())
    text = path.read_text(encoding="utf-8")
    assert "\nvalue = 1.0\n" in text
    path.write_text(text.replace("\nvalue = 1.0\n", "\nvalue = 1.1\n"), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"00001-shot-noise\.toml: does not agree with its checksum"):
        store.latest()
    path.write_text(text.partition("\n")[2], encoding="utf-8")  # without its checksum
    with pytest.raises(ConfigError, match="sha256"):
        store.latest()


def test_curves_of_another_result_are_refused(tmp_path: Path) -> None:
    store = Store(tmp_path / "s", "telecom")
    one, other = store.keep(result()), store.keep(result(panels=()))
    one.with_suffix(".npz").write_bytes(other.with_suffix(".npz").read_bytes())
    with pytest.raises(ConfigError, match=r"00001-shot-noise\.npz: does not agree"):
        store.history()


def test_a_result_under_another_procedure_s_name_is_refused(tmp_path: Path) -> None:
    store = Store(tmp_path / "s", "telecom")
    path = store.keep(result())
    for suffix in (".toml", ".npz"):
        path.with_suffix(suffix).rename(path.with_name(f"00001-tap{suffix}"))
    with pytest.raises(ConfigError, match=r"00001-tap\.toml: does not agree"):
        store.latest()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("version = 2", "version = 1", "from before results had checksums"),
        (NOW.isoformat(), "yesterday", "taken_at"),
        (NOW.isoformat(), NOW.replace(tzinfo=None).isoformat(), "give the time zone"),
        ('key = "p0c0"', 'key = "p9c9"', "p9c9"),
    ],
)
def test_what_is_no_result_is_refused_whatever_its_checksum(tmp_path: Path, old: str, new: str, said: str) -> None:
    store = Store(tmp_path / "s", "telecom")
    resealed(store.keep(result()), old, new)
    with pytest.raises(ConfigError, match=said):
        store.latest()


def test_curves_that_would_fill_the_memory_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path / "s", "telecom")
    many = np.zeros(40_000)
    store.keep(result(panels=(Panel("title", "x", "y", (Curve("a", many, many), Curve("b", many, many))),)))
    assert len(store.latest()) == 1
    monkeypatch.setattr(labctl.calibration.store, "MAX_ARRAY_BYTES", 1_000_000)
    with pytest.raises(ConfigError, match="the curves are too large"):
        store.latest()


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CalibrationError, match="shot-noise cannot be kept"):
        Store(tmp_path / "file" / "s", "telecom").keep(result())


@pytest.mark.parametrize(
    ("changes", "hours", "reason"),
    [
        ({}, 1.0, None),
        ({}, 25.0, "25.0 hours old, valid for 24"),
        ({}, -1.0, "measured 3600 s from now"),
        ({"point": {**working_point(CONFIG), "laser_power_w": 0.02}}, 1.0, "measured at laser_power_w = 0.02"),
    ],
)
def test_results_go_stale(changes: dict[str, object], hours: float, reason: str | None) -> None:
    found = stale(result(**changes), CONFIG, NOW.timestamp() + 3600 * hours)
    assert found == reason if reason is None else str(found).startswith(reason)
