"""How much each party can learn (docs/physics.md, section 6).

Weights: Holevo bound on what the client's side can learn from what does not come back, per mode and
transmission, by the covariance of the equivalent two-mode squeezed state as in continuous-variable
key distribution (PRX 15, 041056, weight security). The paper's limits refer to T = 1; all loss is
the adversary's, and loss dominates.

Data: what the server can learn from the noise of the returned light. Two conventions, both reported
by name: the Cramér-Rao bound of the arXiv version 1 (per-mode marginals only) and the
spiked-covariance bound of the journal.

Numbers of a channel that is known exactly (:func:`known_leakage`), of one that was measured
(:func:`layer_leakage`, worst case within the intervals), and what a measured one of an honest run
will come to at most (:func:`finite_size_leakage`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from labctl.errors import ConfigError, GateError
from labctl.protocol.estimation import Estimate, Receiver, ResidualSums, estimate
from labctl.protocol.parameters import Limits, limits
from labctl.values import Convention

TRANSMITTANCES = (1.0, 0.999, 0.99)
"""Where the price of loss is shown: the paper's, and what splices and a connector leave."""

_ROUNDING = 1e-12


def holevo_entropy(v: float) -> float:
    """Entropy in bits of a mode of symplectic eigenvalue v >= 1.

    h(v) = ((v+1)/2) log2((v+1)/2) - ((v-1)/2) log2((v-1)/2), written in the mean photon number u =
    (v-1)/2, so that nothing is lost near v = 1. Raises ConfigError below 1.
    """
    if not (math.isfinite(v) and v >= 1 - _ROUNDING):
        raise ConfigError(f"a symplectic eigenvalue of {v}", "Physical states have values >= 1.")
    return _thermal_entropy((v - 1) / 2)


def _thermal_entropy(photons: float) -> float:
    """Entropy in bits of a thermal state: (u+1) log2(u+1) - u log2 u."""
    if photons <= 0:
        return 0.0
    inverse = math.log1p(1 / photons) if photons > 1 else math.log1p(photons) - math.log(photons)
    return (math.log1p(photons) + photons * inverse) / math.log(2)


def weight_leakage(mean_photons: float, transmittance: float, excess: float) -> float:
    """I_w in bits per mode and transmission (two real weights share a mode).

    With V = 2μ + 1, a = V, b = T(V-1) + 1 + ε, c² = T(V²-1): I_w = h(ν1) + h(ν2) - h(ν3), where ν1,
    ν2 are the symplectic eigenvalues of ((a, c), (c, b)) and ν3 = b - c²/(a+1) = 1 + ε. The
    differences that cancel are expanded: ν1 ν2 - 1 = (V-1)(1-T) + Vε and ν1 - ν2 = b - a.

    Parameters
    ----------
    mean_photons:
        μ, photons per mode at launch.
    transmittance:
        T launch to the server's receiver, the receiver's own trusted loss taken out; clamped to
        [0, 1].
    excess:
        ε in SNU at the server's receiver; negative values are clamped to 0.

    Raises
    ------
    ConfigError
        μ not positive.
    GateError
        T or ε is not a number.
    """
    if not (math.isfinite(mean_photons) and mean_photons > 0):
        raise ConfigError(f"mean_photons is {mean_photons}", "Give a positive number.")
    if not (math.isfinite(transmittance) and math.isfinite(excess)):
        raise GateError(f"no leakage from transmittance {transmittance} and excess noise {excess}")
    loss, noise = 1 - min(max(transmittance, 0.0), 1.0), max(excess, 0.0)
    difference = noise - 2 * mean_photons * loss
    product_less_1 = 2 * mean_photons * loss + (2 * mean_photons + 1) * noise
    square_less_4 = difference**2 + 4 * product_less_1
    sum_less_2 = square_less_4 / (math.sqrt(square_less_4 + 4) + 2)
    together = _thermal_entropy((sum_less_2 + difference) / 4)
    together += _thermal_entropy((sum_less_2 - difference) / 4)
    return max(together - _thermal_entropy(noise / 2), 0.0)


def data_leakage_v1(excess_mode: float, modes: int) -> float:
    """I_x of the arXiv version 1, bits per data symbol, at the typical symbol x = 1/sqrt(n).

    Cramér-Rao: σ² = 1 + g x², J = n 2g² x²/σ⁴, I_x = ½ log2(1 + 2 x² J). The published script
    raises σ² to the fourth power where the derivation has the square. The n in J is a number of
    rows, here taken equal to that of modes.

    Parameters
    ----------
    excess_mode:
        g in SNU, excess noise of the returned mode b (2 - 2/G, times n_sp).
    modes:
        n, modes of a row.
    """
    _check_data(excess_mode, modes, 1)
    x_squared = 1 / modes
    variance = 1 + excess_mode * x_squared
    information = modes * 2 * excess_mode**2 * x_squared / variance**2
    return math.log1p(2 * x_squared * information) / (2 * math.log(2))


def data_leakage_journal(excess_mode: float, modes: int, rows: int) -> float:
    """I_x of the journal version: ½ log2(1 + (M/n) g²/(1+g)), bits, for M rows measured with the
    same data.

    Parameters
    ----------
    excess_mode:
        g in SNU, as in :func:`data_leakage_v1`.
    modes:
        n, modes of a row.
    rows:
        M, rows of the layer (784 for the first layer of 784-784-10; the published 794 adds both
        layers).
    """
    _check_data(excess_mode, modes, rows)
    return math.log1p(rows / modes * excess_mode**2 / (1 + excess_mode)) / (2 * math.log(2))


def _check_data(excess_mode: float, modes: int, rows: int) -> None:
    if not (math.isfinite(excess_mode) and excess_mode >= 0 and modes >= 1 and rows >= 1):
        raise ConfigError(
            f"no data leakage for excess {excess_mode}, {modes} modes, {rows} rows",
            "Give an excess noise >= 0 and at least one mode and one row.",
        )


@dataclass(frozen=True)
class Layer:
    """What the leakage of a layer depends on, apart from what is measured.

    ``mean_photons``: μ at launch. ``excess_mode``: the agreed g = n_sp (2 - 2/G) in SNU. ``modes``:
    n of a row. ``rows``: M.
    """

    mean_photons: float
    excess_mode: float
    modes: int
    rows: int


@dataclass(frozen=True)
class LayerLeakage:
    """Leakage of one layer and one transmission, in bits.

    Weights at the worst ends of the intervals, and at the estimates themselves (``_raw``); per real
    weight it is half of the figure per mode (journal version). Data per symbol in both published
    conventions.
    """

    weights_bits_per_mode: float
    weights_bits_per_mode_raw: float
    data_bits_v1: float
    data_bits_journal: float

    @property
    def weights_bits_per_weight(self) -> float:
        """I_w/2, worst case."""
        return self.weights_bits_per_mode / 2

    def data_bits(self, convention: Convention) -> float:
        """I_x in the convention that is asked for, bits per data symbol."""
        return self.data_bits_v1 if convention == "v1" else self.data_bits_journal


def layer_leakage(layer: Layer, measured: Estimate, found: Limits) -> LayerLeakage:
    """Leakage of one layer: T at the lower, ε at the upper end of the two-sided intervals ``found`` of ``measured``
    (:func:`labctl.protocol.parameters.limits`).

    Raises as :func:`weight_leakage` and :func:`data_leakage_journal`.
    """
    return _leakage(layer, measured, found.transmittance.low, found.excess.high)


def known_leakage(layer: Layer, transmittance: float, excess: float) -> LayerLeakage:
    """Leakage of one layer where T and ε are known exactly; worst case and raw value are the same.

    This is what infinitely many images come to. Raises as :func:`weight_leakage` and
    :func:`data_leakage_journal`.
    """
    bits = weight_leakage(layer.mean_photons, transmittance, excess)
    return LayerLeakage(bits, bits, *_data_leakage(layer))


def expected_estimate(
    mean_photons: float, transmittance: float, excess: float, samples: int, receiver: Receiver
) -> Estimate:
    """The estimate that a channel of ``transmittance`` and ``excess`` (SNU) gives on average, with
    its standard errors, from ``samples`` real samples of light of μ = ``mean_photons``.

    Raises GateError for fewer than 32 samples.
    """
    launched_squared = 2 * mean_photons * samples
    variance = receiver.sigma0_sq + receiver.coupling * excess
    t_squared = receiver.coupling * transmittance + variance / launched_squared
    sum_sr = math.sqrt(t_squared) * launched_squared
    sum_rr = t_squared * launched_squared + variance * (samples - 1)
    return estimate(ResidualSums(samples, launched_squared, sum_sr, sum_rr), receiver)


def finite_size_leakage(layer: Layer, expected: Estimate, receiver: Receiver, confidence: float) -> LayerLeakage:
    """What an honest run's worst case comes to at most, with probability ``confidence``.

    The measured T and ε scatter about ``expected`` within their intervals, and the worst case then takes them at the
    bad ends of intervals of their own: T and ε are taken twice as far off as the ends of the expected intervals are.
    The raw value is that at the expectation. Raises as :func:`weight_leakage`.
    """
    reach = limits(expected, receiver, confidence)
    return _leakage(
        layer,
        expected,
        2 * reach.transmittance.low - expected.transmittance,
        2 * reach.excess.high - expected.excess,
    )


def price_of_loss(
    mean_photons: float, excess: float, transmittances: Sequence[float] = TRANSMITTANCES
) -> tuple[float, ...]:
    """I_w in bits per mode at each of the ``transmittances``, all else alike.

    The paper's limits hold at T = 1 only: what is lost counts as the adversary's. Raises as
    :func:`weight_leakage`.
    """
    return tuple(weight_leakage(mean_photons, transmittance, excess) for transmittance in transmittances)


def _leakage(layer: Layer, measured: Estimate, transmittance: float, excess: float) -> LayerLeakage:
    """Worst case at ``transmittance`` and ``excess``, raw at the estimates."""
    return LayerLeakage(
        weight_leakage(layer.mean_photons, transmittance, excess),
        weight_leakage(layer.mean_photons, measured.transmittance, measured.excess),
        *_data_leakage(layer),
    )


def _data_leakage(layer: Layer) -> tuple[float, float]:
    """v1, journal."""
    return (
        data_leakage_v1(layer.excess_mode, layer.modes),
        data_leakage_journal(layer.excess_mode, layer.modes, layer.rows),
    )
