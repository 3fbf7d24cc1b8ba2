"""The noise budget of the shipped bench with faults: it sums to the total, and agrees with the formulas.

Statistical figures are allowed 4.5 of their standard errors (one in 150,000 times a figure).
"""

from __future__ import annotations

import math
import tomllib

import numpy as np
import pytest
from scipy import stats

from labctl.budget import Budget, noise_budget
from labctl.budget.sources import EFFICIENCY, LOSSES, SOURCES, toml_text, without
from labctl.budget.trial import first_layer
from labctl.errors import ConfigError
from labctl.experiment import load_experiment
from labctl.schema import read_toml
from labctl.shipped import bench_path

SIGMAS = 4.5
IMAGES = 16


@pytest.fixture(scope="module")
def budget() -> Budget:
    """1024 rows."""
    return noise_budget(load_experiment("digits-telecom", images=IMAGES))


@pytest.mark.parametrize("party", ["client", "server"])
def test_shares_sum_to_the_total(budget: Budget, party: str) -> None:
    total = getattr(budget.total, party)
    shares = [getattr(line, party) for line in budget.lines]
    assert math.fsum(each.value for each in shares) == pytest.approx(total.value)
    assert budget.lines[-1].source == "interaction"
    interaction = shares[-1]
    assert abs(interaction.value) < SIGMAS * interaction.standard_error + 0.02 * total.value
    assert total.standard_error < 0.15


@pytest.mark.parametrize("party", ["client", "server"])
def test_shares_agree_with_the_formulas(budget: Budget, party: str) -> None:
    """Every line has a formula; as far from it as Student's t of 15 degrees of freedom is once in 100,000 times."""
    lines = [*budget.lines, budget.total]
    assert len(lines) == len(SOURCES) + 7
    limit = float(stats.t.ppf(1 - 0.5e-5, IMAGES - 1))
    for line in lines:
        share = getattr(line, party)
        assert share.formula is not None, line.source
        # The converter's steps swallow what is smaller.
        assert abs(share.value - share.formula) <= limit * share.standard_error + 1e-5, line.source
        if party == "server" and line.source in ("electronic noise", "common-mode rejection"):
            # Twice as much would be noticed; the weaker ones are tested alone, and stronger (test_formulas).
            assert share.formula > limit * share.standard_error


@pytest.mark.parametrize("party", ["client", "server"])
def test_formulas_sum_to_their_total(budget: Budget, party: str) -> None:
    shares = [getattr(line, party) for line in budget.lines]
    total = getattr(budget.total, party)
    assert math.fsum(each.formula for each in shares) == pytest.approx(total.formula)
    assert abs(total.value - total.formula) < SIGMAS * total.standard_error


def test_the_receivers_own_noise_is_found_by_switching_off(budget: Budget) -> None:
    (line,) = [each for each in budget.lines if each.source == "electronic noise"]
    assert line.server.off is not None
    assert line.server.off == pytest.approx(0.0501, rel=0.2)


def test_an_ideal_bench_has_vacuum_and_its_amplifier() -> None:
    """What the file names at its ideal value has a share of nothing."""
    found = noise_budget(load_experiment("digits", images=2))
    shares = {line.source: (line.client.value, line.server.value) for line in found.lines}
    assert "laser linewidth" not in shares
    assert shares["amplifier's n_sp"] == shares["V_pi of the modulator"] == shares["V_pi of the loop"] == (0.0, 0.0)
    assert shares["interaction"] == pytest.approx((0.0, 0.0), abs=1e-12)


def test_one_image_has_no_scatter() -> None:
    with pytest.raises(ConfigError, match="budget of 1 image"):
        noise_budget(load_experiment("digits", images=1))


def test_without_puts_defaults_and_calibrated_voltages() -> None:
    tables = read_toml(bench_path("telecom"))
    quiet = without(tables, [*SOURCES, LOSSES, EFFICIENCY])["world"]
    assert quiet["modulator"] == {"loss": "9 dB", "v_pi_i": "350 mV", "v_pi_q": "350 mV"}
    assert quiet["laser"] == {}
    assert quiet["server_receiver"] == {"volts_per_snu": "20 mV", "reference_power": "10 mW"}
    assert tables == read_toml(bench_path("telecom"))
    assert without(tables, [])["world"] == tables["world"]


def test_tables_as_text_are_the_same_tables() -> None:
    for name in ("ideal", "telecom"):
        tables = read_toml(bench_path(name))
        assert tomllib.loads(toml_text(tables)) == tables


def test_only_the_first_layer_is_sent() -> None:
    layer = first_layer(load_experiment("digits-telecom", images=2))
    assert [weights.shape for weights in layer.network.weights] == [(64, 64)]
    assert np.isfinite(layer.agreement().expected).all()
