"""The time-bin loop's settings against the recursion of section 3a, and the drives that make them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.bench import open_bench
from labctl.config import load_bench
from labctl.optics.drive import Timing
from labctl.optics.unitary import LoopUnitary, loop_settings
from labctl.shipped import bench_path
from tests.fakes import BITS_14, FakeLibrary, fake_bench, use_fakes

PARTS = st.floats(-1, 1) | st.just(0.0)
VECTORS = st.lists(st.builds(complex, PARTS, PARTS), min_size=1, max_size=40).filter(
    lambda z: sum(abs(each) ** 2 for each in z) > 1e-6
)


def normed(z: list[complex]) -> np.ndarray:
    vector = np.array(z, dtype=np.complex128)
    return vector / np.linalg.norm(vector)


def through_the_loop(theta: np.ndarray, phi: np.ndarray, light: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What the loop holds at the end, and what came out: c_k = cos θ c_{k-1} + sin θ e^{-iφ} a_k, bin by bin."""
    held = np.zeros(light.shape[1:], dtype=complex)
    out = np.empty_like(light)
    for k, arriving in enumerate(light):
        turned = np.exp(-1j * phi[k]) * arriving
        out[k] = -np.sin(theta[k]) * held + np.cos(theta[k]) * turned
        held = np.cos(theta[k]) * held + np.sin(theta[k]) * turned
    return held, out


@given(VECTORS)
def test_the_loop_collects_exactly_z(z: list[complex]) -> None:
    mode = normed(z)
    theta, phi = loop_settings(mode)
    assert theta.shape == phi.shape == mode.shape
    assert theta.min() >= 0
    assert theta.max() <= np.pi / 2
    assert np.abs(phi).max() <= np.pi
    # Every unit vector in turn: the loop ends with b = Σ z_k* a_k, whatever came in.
    held, out = through_the_loop(theta, phi, np.eye(len(mode), dtype=complex))
    np.testing.assert_allclose(held, mode.conj(), atol=1e-12)
    # Nothing is lost: what came out and what is held have all the light between them.
    whole = np.vstack([out, held])
    np.testing.assert_allclose(whole.conj().T @ whole, np.eye(len(mode)), atol=1e-12)


@given(st.integers(0, 5), VECTORS)
def test_leading_zeros_pass_by(zeros: int, z: list[complex]) -> None:
    theta, _ = loop_settings(normed([0j] * zeros + z))
    assert not theta[:zeros].any()
    first = int(np.flatnonzero(np.abs(normed([0j] * zeros + z)))[0])
    assert theta[first] == pytest.approx(np.pi / 2), "the first light goes in whole: the output holds vacuum"


@pytest.mark.parametrize("phase", [0.0, 1.0, np.pi, -3.0])
def test_single_mode(phase: float) -> None:
    theta, phi = loop_settings(np.array([np.exp(1j * phase)]))
    assert theta[0] == pytest.approx(np.pi / 2)
    assert np.exp(1j * phi[0]) == pytest.approx(np.exp(1j * phase))


def test_very_unequal_parts() -> None:
    z = normed([1e-170, 1e-9j, 0, 1, 1e-12, 1j * 1e-200])
    held, _ = through_the_loop(*loop_settings(z), np.eye(len(z), dtype=complex))
    np.testing.assert_allclose(held, z.conj(), rtol=1e-6, atol=1e-15)


# --- drives ------------------------------------------------------------------------------------------


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    use_fakes(monkeypatch)
    with open_bench(fake_bench(tmp_path)) as bench:
        names = ("client_awg_forward", "client_awg_return", "client_awg_tap")
        generators = {name: bench.instruments[name] for name in names}
        unitary = LoopUnitary(bench.config, generators, Timing.of(125e6, [BITS_14]))
        unitary.prepare()
        FakeLibrary.latest.log.clear()
        yield unitary, generators


def played(generator, channel: int) -> np.ndarray:
    return generator.segments[1][channel]


@pytest.mark.parametrize(("modes", "bins"), [(392, 432), (32, 240), (1, 240)])
def test_both_passes_get_the_same_row_guards_first(lab, modes: int, bins: int) -> None:
    unitary, generators = lab
    rng = np.random.default_rng(modes)
    z = normed(list(rng.normal(size=modes) + 1j * rng.normal(size=modes)))
    unitary.project(z, 0.5, 7)
    forward, back = generators["client_awg_forward"], generators["client_awg_return"]
    theta, phi = loop_settings(z)
    for channel, fraction in ((1, 2 / np.pi * theta), (2, phi / np.pi)):
        row = played(forward, channel)
        assert row.shape == (bins,)
        np.testing.assert_array_equal(row, played(back, channel))
        assert not row[: bins - modes].any(), "guards first, and nothing is driven in them"
        np.testing.assert_array_equal(row[bins - modes :], np.rint(fraction * 8191))
    for name, generator in generators.items():
        assert generator.armed == (1, 7, True), f"{name} plays one row seven times, when the server's marker comes"


@pytest.mark.parametrize("returned", [1 / 1.3, 0.5, 0.1, 1.0])
def test_tap_level(lab, returned: float) -> None:
    """The tap returns cos²(π v/2V_π) of the power: one level all along."""
    unitary, generators = lab
    unitary.project(normed([1, 1j]), returned, 3)
    tap = generators["client_awg_tap"]
    assert set(tap.segments[1]) == {1}
    codes = played(tap, 1)
    assert len(set(codes.tolist())) == 1
    fraction = codes[0] / 8191
    assert np.cos(np.pi / 2 * fraction) ** 2 == pytest.approx(returned, abs=np.pi / 8191)


def test_prepare_sets_clock_full_scale_and_outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_fakes(monkeypatch)
    with open_bench(fake_bench(tmp_path)) as bench:
        names = ("client_awg_forward", "client_awg_return", "client_awg_tap")
        generators = {name: bench.instruments[name] for name in names}
        LoopUnitary(bench.config, generators, Timing.of(125e6, [BITS_14])).prepare()
        log = FakeLibrary.latest.log
    assert ("client_awg_forward", "configure", 125e6, {1: 0.7, 2: 0.7}) in log
    assert ("client_awg_tap", "configure", 125e6, {1: 0.7}) in log
    assert ("client_awg_return", "set_output", 2, True) in log
    assert ("client_awg_tap", "set_output", 2, True) not in log


def test_one_generator_may_carry_all_channels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Forward and return couplers on one box: each channel still gets its own row."""
    use_fakes(monkeypatch)
    config = load_bench(bench_path("ideal"))
    role = config.unitary
    both = role.model_copy(
        update={
            "return_coupler": role.forward_coupler.model_copy(update={"channel": 2}),
            "return_phase": role.return_phase.model_copy(update={"channel": 1}),
            "forward_phase": role.return_phase.model_copy(update={"channel": 2}),
        }
    )
    config = config.model_copy(update={"unitary": both})
    with open_bench(fake_bench(tmp_path)) as bench:
        names = ("client_awg_forward", "client_awg_return", "client_awg_tap")
        generators = {name: bench.instruments[name] for name in names}
        unitary = LoopUnitary(config, generators, Timing.of(125e6, [BITS_14]))
        unitary.prepare()
        unitary.project(normed([1, 1j, -1]), 0.5, 1)
    couplers, phases = generators["client_awg_forward"], generators["client_awg_return"]
    np.testing.assert_array_equal(played(couplers, 1), played(couplers, 2))
    np.testing.assert_array_equal(played(phases, 1), played(phases, 2))
    assert played(couplers, 1).max() == 8191
    assert played(phases, 1).max() == 8191


def test_only_what_changed_is_written_again(lab) -> None:
    """The tap stays at its level, so it is only armed; the drives come whole when the row's length changes."""
    unitary, generators = lab
    log = FakeLibrary.latest.log
    unitary.project(normed([1, 1j]), 0.5, 3)
    log.clear()
    unitary.project(normed([1, -1j]), 0.5, 4)
    loads = [entry[0] for entry in log if entry[1] == "load"]
    assert loads == ["client_awg_forward", "client_awg_return"]
    assert all(generator.armed == (1, 4, True) for generator in generators.values())
    log.clear()
    unitary.project(normed([1, -1j]), 0.25, 4)
    assert [entry[0] for entry in log if entry[1] == "load"] == ["client_awg_tap"]
    log.clear()
    unitary.project(normed([1.0] * 300), 0.25, 4)
    assert {entry[0] for entry in log if entry[1] == "load"} == set(generators)
    assert {len(played(generator, 1)) for generator in generators.values()} == {336}


def test_what_is_played_is_always_the_present_mode(lab) -> None:
    """Whatever was left out because it was there already."""
    unitary, generators = lab
    rng = np.random.default_rng(5)
    for modes in (3, 3, 300, 3, 300, 300):
        z = normed(list(np.abs(rng.normal(size=modes)) if modes == 3 else rng.normal(size=modes) * 1j))
        for _ in range(2):
            unitary.project(z, 0.5, 1)
            theta, phi = loop_settings(z)
            for name in ("client_awg_forward", "client_awg_return"):
                for channel, fraction in ((1, 2 / np.pi * theta), (2, phi / np.pi)):
                    np.testing.assert_array_equal(played(generators[name], channel)[-modes:], np.rint(fraction * 8191))
