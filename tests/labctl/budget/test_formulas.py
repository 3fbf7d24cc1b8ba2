"""Formulas against the twin: each source alone on an otherwise ideal bench, strong enough to stand out, then all.

The twin's share less the formula's is averaged over the images. With the scatter of so many images as error it is
Student's t; the limit is exceeded by a right formula once in 100,000 times a figure.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from labctl.budget.expectation import Expected, Party, Scene, _collected, _Laser, expected
from labctl.budget.faults import Faults
from labctl.budget.formulas import by_formula, quantisation
from labctl.budget.optics import Loop
from labctl.budget.sources import SOURCES, Tables, only
from labctl.budget.trial import Trial, first_layer, trial
from labctl.experiment import Experiment, load_experiment
from labctl.models import Network
from labctl.schema import read_toml
from sim_backends.config import WorldConfig

IMAGES = 60
CURVE = [{"pump": "0 A", "gain": 1.0}, {"pump": "1 A", "gain": 2.0}]
LIMIT = float(stats.t.ppf(1 - 0.5e-5, IMAGES - 1))
#: Rounding to the converters' steps and to the generators', of which the formulas know nothing.
STEPS = 2e-4

POWER = {"lo_power": "5 mW"}
ALONE: dict[str, dict[str, dict[str, Any]]] = {
    "linewidth": {"laser": {"linewidth": "120 kHz"}},
    "linewidth, delays": {
        "laser": {"linewidth": "150 kHz"},
        "client_receiver": {"lo_delay": "128 ns"},
        "server_receiver": {"lo_delay": "256 ns"},
    },
    "RIN": {"laser": {"rin_db_per_hz": -90.0}},
    "RIN, delays": {
        "laser": {"rin_db_per_hz": -90.0},
        "client_receiver": {"lo_delay": "0.2 us"},
        "server_receiver": {"lo_delay": "0.8 us"},
    },
    "common-mode rejection": {
        "laser": {"rin_db_per_hz": -120.0},
        "client_receiver": {"cmrr": "48 dB", **POWER},
        "server_receiver": {"cmrr": "52 dB", **POWER},
    },
    "bias": {"modulator": {"bias_i": "8 mV", "bias_q": "-5 mV"}},
    "bias drift": {"modulator": {"bias_drift_i_per_hour": "12 V", "bias_drift_q_per_hour": "8 V"}},
    "extinction": {"modulator": {"extinction_ratio": "22 dB"}},
    "gain ratio": {"modulator": {"gain_ratio": 0.65}},
    "angle": {"modulator": {"angle_error_deg": 14.0}},
    "V_pi of the modulator": {"modulator": {"v_pi_i": "450 mV", "v_pi_q": "300 mV"}},
    "V_pi of the couplers": {"unitary": {"v_pi_forward_coupler": "410 mV", "v_pi_return_coupler": "320 mV"}},
    "V_pi of the phases": {"unitary": {"v_pi_forward_phase": "420 mV", "v_pi_return_phase": "300 mV"}},
    "loop loss": {"unitary": {"loop_loss": "0.2 dB"}},
    "loop phase": {"unitary": {"loop_phase_error_deg": 2.0}},
    "n_sp": {"amplifier": {"n_sp": 2.5}},
    "gain error": {"amplifier": {"gain_error": 0.4}},
    "tap": {"tap": {"v_pi": "420 mV", "fraction_error": 0.05}},
    "gain error, losses": {"channel": {"loss_out": "1 dB", "loss_back": "2 dB"}, "amplifier": {"gain_error": 0.45}},
    "electronic noise": {"client_receiver": {"electronic_noise": 0.4}, "server_receiver": {"electronic_noise": 0.2}},
}
#: Nothing: what the loop turns on the way there it turns back on the way back.
FAINT = {("loop phase", "server")}


def faulty(tables: Tables, faults: dict[str, dict[str, Any]]) -> Tables:
    """The same bench with these faults."""
    world = {**tables["world"]}
    for part, keys in faults.items():
        world[part] = {**world.get(part, {}), **keys}
    return {**tables, "world": world}


@pytest.fixture(scope="module")
def layer() -> Experiment:
    return first_layer(load_experiment("digits", images=IMAGES, seed=5))


@pytest.fixture(scope="module")
def ideal(layer: Experiment) -> tuple[Tables, Trial, Expected]:
    tables = read_toml(layer.bench_path)
    taken = trial(layer, tables)
    return tables, taken, expected(Scene(layer, taken.hours), Faults.of(tables["world"]))


@pytest.mark.parametrize("name", ALONE)
def test_a_source_alone(name: str, layer: Experiment, ideal: tuple[Tables, Trial, Expected]) -> None:
    tables, quiet, quiet_formula = ideal
    with_it = faulty(tables, ALONE[name])
    found = trial(layer, with_it)
    formula = expected(Scene(layer, found.hours), Faults.of(with_it["world"]))
    for party in ("client", "server"):
        share = getattr(found, party) - getattr(quiet, party)
        due = getattr(formula, party) - getattr(quiet_formula, party)
        error = (share - due).std(ddof=1) / np.sqrt(IMAGES)
        assert abs(np.mean(share - due)) < LIMIT * error + STEPS, party
        if (name, party) not in FAINT:  # half or twice as much would be noticed
            assert abs(np.mean(due)) > 2 * (LIMIT * error + STEPS), party


def test_all_together_on_the_telecom_bench() -> None:
    layer = first_layer(load_experiment("digits-telecom", images=IMAGES))
    tables = read_toml(layer.bench_path)
    found = trial(layer, tables)
    formula = by_formula(layer, tables, SOURCES, found.hours)
    parts = [amount for name, amount in formula.items() if name != "total"]
    assert len(parts) == len(SOURCES) + 6
    for which, party in enumerate(("client", "server")):
        assert sum(amount[which] for amount in parts) == pytest.approx(formula["total"][which])
        measured = getattr(found, party)
        error = measured.std(ddof=1) / np.sqrt(IMAGES)
        assert abs(measured.mean() - formula["total"][which]) < LIMIT * error
        assert abs(formula["interaction"][which]) < 0.02


def test_the_table_of_section_3_agrees_with_the_averages() -> None:
    """Vacuum, amplifier, losses, efficiency, n_sp, electronic noise."""
    layer = first_layer(load_experiment("digits-telecom", images=2))
    tables = read_toml(layer.bench_path)
    formula = by_formula(layer, tables, SOURCES, np.zeros(2))
    scene = Scene(layer, np.zeros(2))
    some = expected(scene, Faults.of(only(tables, ["amplifier's n_sp", "electronic noise"])["world"]))
    names = ("vacuum", "amplifier and tap", "losses", "efficiency", "amplifier's n_sp", "electronic noise")
    for which, noise in enumerate((some.client, some.server)):
        assert noise.mean() == pytest.approx(sum(formula[name][which] for name in names), abs=1e-9)


GAIN, MODES, V_A = 2.0, 32, 8.0
GAUSSIAN: dict[str, tuple[dict[str, dict[str, Any]], tuple[float, float]]] = {
    "RIN": (
        {"laser": {"rin_db_per_hz": -100.0}},
        tuple(
            6.25e-3 / 4 * (variance + coupling * V_A * 2) for variance, coupling in ((2.0, 1.0), (1 + 0.5 / MODES, 0.5))
        ),
    ),
    "gain ratio": ({"modulator": {"gain_ratio": 1.02}}, (V_A * 1e-4, 0.5 * V_A * 1e-4)),
    "angle": (
        {"modulator": {"angle_error_deg": 1.0}},
        (V_A * np.radians(1) ** 2 / 2, 0.5 * V_A * np.radians(1) ** 2 / 2),
    ),
    "gain error": (
        {"amplifier": {"gain_error": 0.2}},
        (
            0.5 * 2 * 1.4 - 1,
            0.5 * ((0.5 * 2 * 1.4 - 1) / MODES + V_A * (np.sqrt(1.2) - 1) ** 2 * (MODES - 1) / MODES**2),
        ),
    ),
}


@pytest.fixture(scope="module")
def gaussian(layer: Experiment) -> Scene:
    """4000 rows of normal weights."""
    weights = np.random.default_rng(8).normal(size=(4000, 2 * MODES)).astype(np.float32)
    few = replace(layer, network=Network("gaussian", (weights,)), dataset=layer.dataset.first(4))
    return Scene(few, np.zeros(4))


@pytest.mark.parametrize("name", GAUSSIAN)
def test_first_order_for_gaussian_weights(name: str, gaussian: Scene) -> None:
    """The table of section 4, to 5 % at the server; at the client too where a row has one number and not 2n."""
    tables = read_toml(gaussian.layer.bench_path)
    faults, due = GAUSSIAN[name]
    noise = expected(gaussian, Faults.of(faulty(tables, faults)["world"]))
    quiet = expected(gaussian, Faults.of(tables["world"]))
    assert np.mean(noise.server - quiet.server) == pytest.approx(due[1], rel=0.05)
    if name not in ("gain ratio", "angle"):  # as z lies
        assert np.mean(noise.client - quiet.client) == pytest.approx(due[0], rel=0.1)


def test_linewidth_for_gaussian_weights(gaussian: Scene) -> None:
    tables = read_toml(gaussian.layer.bench_path)
    faults = {
        "laser": {"linewidth": "10 kHz"},
        "client_receiver": {"lo_delay": "128 ns"},
        "server_receiver": {"lo_delay": "256 ns"},
    }
    noise = expected(gaussian, Faults.of(faulty(tables, faults)["world"]))
    quiet = expected(gaussian, Faults.of(tables["world"]))
    step, k = 2 * np.pi * 10e3 / 125e6, np.arange(MODES)
    server = 0.5 * V_A * (1 - np.mean(np.exp(-step * np.abs(MODES - 1 - 2 * k) / 2)) ** 2)
    assert np.mean(noise.server - quiet.server) == pytest.approx(server, rel=0.05)
    m = np.exp(-step * np.abs(MODES - 1 - k - 16) / 2)
    client = [V_A * (1 - np.sum(np.abs(z) ** 2 * m) ** 2) for z in gaussian.modes]
    assert np.mean(noise.client - quiet.client) == pytest.approx(np.mean(client), rel=0.1)


def test_a_loop_for_gaussian_weights(gaussian: Scene) -> None:
    tables = read_toml(gaussian.layer.bench_path)
    keys = {"v_pi_forward_coupler": "357 mV", "loop_loss": "0.02 dB", "loop_phase_error_deg": 0.3}
    faults = Faults.of(faulty(tables, {"unitary": keys})["world"])
    noise, quiet = expected(gaussian, faults), expected(gaussian, Faults.of(tables["world"]))
    client, server = [], []
    for z in gaussian.modes:
        loop = Loop.of(z, gaussian.layer.bench.unitary, faults.unitary)
        trip, lost = loop.round_trip(1.0), 1 - np.sum(np.abs(loop.filled) ** 2)
        spread = np.sum(np.abs(trip) ** 2) / MODES - (np.trace(trip).real / MODES) ** 2
        server.append(0.5 * (V_A * spread - 1.0 * lost / MODES))
        client.append(V_A * (np.sum(np.abs(loop.collected) ** 2) - np.vdot(z, loop.collected).real ** 2))
    assert np.mean(noise.server - quiet.server) == pytest.approx(np.mean(server), rel=0.05)
    assert np.mean(noise.client - quiet.client) == pytest.approx(np.mean(client), rel=0.1)


def test_a_loop_alike_on_both_ways_gives_the_light_back() -> None:
    """With any V_pi and phase of its loop, if the passes have the same; not with loss, and not if they differ."""
    layer = first_layer(load_experiment("digits", images=2))
    z, role = Scene(layer, np.zeros(2)).modes[0], layer.bench.unitary

    def loop(**keys: Any) -> Loop:
        return Loop.of(z, role, Faults.of({"amplifier": {"gain_curve": CURVE}, "unitary": keys}).unitary)

    turned = loop(v_pi_forward_coupler="400 mV", v_pi_return_coupler="400 mV", loop_phase_error_deg=3.0)
    assert turned.undone
    np.testing.assert_allclose(turned.round_trip(1.0), np.eye(len(z)), atol=1e-12)
    assert not loop(loop_loss="0.01 dB").undone
    assert not loop(v_pi_forward_phase="351 mV").undone


@pytest.mark.parametrize("delay", [0, 5])
def test_phases_that_walk_together_at_the_client(delay: int) -> None:
    """Bins of one sign, where the phases' correlation counts, against 20,000 drawn walks; 4.5 standard errors."""
    bins, step = 12, 0.05
    parts = np.linspace(0.5, 1.5, bins)[None, :] + 0.3j
    laser = _Laser(Faults.of({"amplifier": {"gain_curve": CURVE}, "laser": {"linewidth": "1 Hz"}}), 2 * np.pi / step)
    mean, square = _collected(parts, laser, Party(1.0, 0.0, 0.0, delay))
    walk = np.cumsum(np.sqrt(step) * np.random.default_rng(1).standard_normal((20_000, bins)), axis=1)
    seen = np.real(parts * np.exp(1j * (walk - walk[:, [bins - 1 - delay]]))).sum(axis=1)
    for drawn, due in ((seen, mean[0]), (seen**2, square)):
        assert abs(drawn.mean() - due) < 4.5 * drawn.std() / np.sqrt(len(drawn))


def test_quantisation_by_the_converter_s_bits(layer: Experiment, ideal: tuple[Tables, Trial, Expected]) -> None:
    """The step of 8 bits is 16 times that of 12."""
    tables, fine, _ = ideal
    units = {**tables["world"]["units"]}
    for role in ("client_scope", "server_scope"):
        units[role] = {**units[role], "bits": 8}
    coarse = {**tables, "world": {**tables["world"], "units": units}}
    found = trial(layer, coarse)
    for party, few, many in zip(
        ("client", "server"), quantisation(layer, coarse), quantisation(layer, tables), strict=True
    ):
        assert few == pytest.approx(256 * many)
        share = getattr(found, party) - getattr(fine, party)
        error = share.std(ddof=1) / np.sqrt(IMAGES)
        assert abs(share.mean() - (few - many)) < LIMIT * error
        assert few > 2 * LIMIT * error


def test_ideal_unless_set_as_in_the_twin() -> None:
    """Defaults of the keys are the simulated lab's."""
    ours = Faults.of({"amplifier": {"gain_curve": CURVE}}).model_dump()
    units = {"laser": {"model": "x"}, "unit": {"model": "x"}}
    fields = WorldConfig.model_fields["places"].annotation.model_fields
    places = {name: "unit:1" for name, field in fields.items() if field.is_required() and name != "attenuators"}
    places |= {"laser": "laser", "amplifier": "laser", "power_meter": "laser", "attenuators": ["unit:1"]}
    theirs = WorldConfig.model_validate({"units": units, "places": places, "amplifier": {"gain_curve": CURVE}})
    for part, keys in ours.items():
        there = getattr(theirs, part).model_dump()
        assert {key: there[key] for key in keys} == keys, part
