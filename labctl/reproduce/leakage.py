"""What leaks, against the width of a layer and against the loss of the channel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from labctl.protocol.encoding import modes_per_row
from labctl.protocol.estimation import estimate
from labctl.protocol.leakage import Layer, data_leakage_journal, data_leakage_v1, layer_leakage, weight_leakage
from labctl.protocol.parameters import limits
from labctl.protocol.rowmodel import AmplifierTap
from labctl.reproduce.result import COLOURS, LIMIT_COLOUR, MARKERS, Cell, Comparison, Result, within
from labctl.reproduce.study import CONFIDENCE, Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIGURE: Final = 3
GAINS: Final = (1.3, 2.0, 3.4142)
PHOTONS: Final = 4.0
WIDTHS: Final = tuple(2**power for power in range(4, 13))
LOSSES_DB: Final = tuple(float(loss) for loss in np.geomspace(1e-3, 3.0, 25))
LOSS_PHOTONS: Final = (1.0, 4.0, 10.0)
LOSS_GAIN: Final = 1.3
#: Modes of a row of the published network.
PUBLISHED_MODES: Final = 392
#: The published bounds at n = 392, T = 1, ε = g/n: (G, μ) -> I_w per mode, I_x v1, I_x journal with M = 794.
TABLE: Final = {
    (1.3, 4.0): (0.0457, 0.00156, 0.18660),
    (1.3, 10.0): (0.1009, 0.00156, 0.18660),
    (2.0, 2.0): (0.0477, 0.00729, 0.50459),
    (2.0, 4.0): (0.0874, 0.00729, 0.50459),
}
PUBLISHED_ROWS: Final = 794
#: I_w per mode at G = 1.3, μ = 4 with loss: T -> bits. With loss they are not the paper's (docs/physics.md, section 6).
LOSSY: Final = {1.0: 0.0457, 0.999: 0.077, 0.99: 0.276}
#: Half a unit of the last digit, relative.
LAST_DIGIT: Final = 0.007

COLUMNS: Final = (
    "what", "gain", "mean_photons", "inputs", "loss_db", "weights_bits_per_mode", "weights_bits_high", "data_bits_v1",
    "data_bits_journal",
)  # fmt: skip


def make(study: Study) -> Result:
    """Bounds by formula; and, for the first layer, from the sums of simulated runs."""
    modes = study.shapes()[0][1]
    widths = [_bounds(gain, PHOTONS, width) for gain in GAINS for width in WIDTHS]
    losses = [_lossy(photons, modes, loss) for photons in LOSS_PHOTONS for loss in LOSSES_DB]
    measured = [_measured(study, index, gain) for index, gain in enumerate(GAINS)]

    def draw(figure: Figure) -> None:
        _draw(figure, study, widths, losses, measured)

    return Result(COLUMNS, [*widths, *losses, *measured], _compare(measured), draw)


def _bounds(gain: float, photons: float, width: int) -> tuple[Cell, ...]:
    """A square layer."""
    tap, modes = AmplifierTap(gain), modes_per_row(width)
    bits = weight_leakage(photons, 1.0, tap.honest_excess(modes))
    excess = tap.returned_excess
    journal = data_leakage_journal(excess, modes, width)
    return ("width", gain, photons, width, 0.0, bits, bits, data_leakage_v1(excess, modes), journal)


def _lossy(photons: float, modes: int, loss_db: float) -> tuple[Cell, ...]:
    tap, passed = AmplifierTap(LOSS_GAIN), 10 ** (-loss_db / 10)
    bits = weight_leakage(photons, passed, tap.honest_excess(modes))
    v1 = data_leakage_v1(tap.returned_excess, modes)
    return ("loss", LOSS_GAIN, photons, 2 * modes, loss_db, bits, bits, v1, "")


def _measured(study: Study, index: int, gain: float) -> tuple[Cell, ...]:
    """The first layer of a simulated run: I_w at the estimates, and at the bad ends of their intervals."""
    found = study.sample((FIGURE, index), gain, PHOTONS)
    rows, modes = study.shapes()[0]
    layer = Layer(PHOTONS, AmplifierTap(gain).returned_excess, modes, rows)
    measured = estimate(found.layers[0].total(), found.receiver)
    bits = layer_leakage(layer, measured, limits(measured, found.receiver, CONFIDENCE))
    width = study.experiment.network.layer_shapes[0][1]
    return (
        "simulated run", gain, PHOTONS, width, 0.0, bits.weights_bits_per_mode_raw, bits.weights_bits_per_mode,
        bits.data_bits_v1, bits.data_bits_journal,
    )  # fmt: skip


def _compare(measured: list[tuple[Cell, ...]]) -> list[Comparison]:
    found = []
    for (gain, photons), (w_bits, v1, journal) in TABLE.items():
        tap, where = AmplifierTap(gain), f"at G = {gain:g}, μ = {photons:g}, n = {PUBLISHED_MODES}"
        excess = tap.returned_excess
        ours = weight_leakage(photons, 1.0, tap.honest_excess(PUBLISHED_MODES))
        found.append(within(f"I_w per mode {where}", w_bits, ours, LAST_DIGIT))
        found.append(within(f"I_x v1 {where}", v1, data_leakage_v1(excess, PUBLISHED_MODES), LAST_DIGIT))
        ours = data_leakage_journal(excess, PUBLISHED_MODES, PUBLISHED_ROWS)
        found.append(within(f"I_x journal {where}, M = {PUBLISHED_ROWS}", journal, ours, LAST_DIGIT))
    for passed, bits in LOSSY.items():
        source = "published" if passed == 1.0 else "reference"
        ours = weight_leakage(4.0, passed, AmplifierTap(1.3).honest_excess(PUBLISHED_MODES))
        found.append(within(f"I_w per mode at G = 1.3, μ = 4, T = {passed:g}", bits, ours, LAST_DIGIT, source))
    for row in measured:
        gain, width, raw, worst = float(row[1]), int(row[3]), float(row[5]), float(row[6])
        exact = float(_bounds(gain, PHOTONS, width)[5])
        holds = abs(raw - exact) <= worst - raw
        what = f"I_w of a simulated run at G = {gain:g}, μ = {PHOTONS:g} (95 % intervals)"
        found.append(
            Comparison(
                what, f"computed {exact:.4g}, to within {worst - raw:.2g}", f"{raw:.4g}, at worst {worst:.4g}", holds
            )
        )
    return found


def _draw(figure: Figure, study: Study, widths: list[Any], losses: list[Any], measured: list[Any]) -> None:
    figure.set_size_inches(11, 4.2)
    left, middle, right = figure.subplots(1, 3)
    for gain, colour, marker in zip(GAINS, COLOURS, MARKERS, strict=False):
        mine = [row for row in widths if row[1] == gain]
        inputs = [row[3] for row in mine]
        left.plot(inputs, [row[5] for row in mine], color=colour, label=f"G = {gain:g}")
        middle.plot(inputs, [row[7] for row in mine], color=colour, label=f"v1, G = {gain:g}")
        middle.plot(inputs, [row[8] for row in mine], color=colour, linestyle="--", label=f"journal, G = {gain:g}")
        for row in measured:
            if row[1] == gain:
                bar = [[0.0], [row[6] - row[5]]]
                left.errorbar([row[3]], [row[5]], yerr=bar, color=colour, marker=marker, markersize=5, capsize=3)
    left.plot([], [], "ko", markersize=5, label="simulated run, bar to worst case")
    for photons, colour in zip(LOSS_PHOTONS, COLOURS, strict=False):
        mine = [row for row in losses if row[2] == photons]
        right.plot([row[4] for row in mine], [row[5] for row in mine], color=colour, label=f"μ = {photons:g}")
    for axes, limit in ((left, 0.1), (middle, 0.01), (right, 0.1)):
        axes.axhline(limit, color=LIMIT_COLOUR, linestyle=":", linewidth=1, label=f"the paper's limit {limit:g}")
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.legend(fontsize=7)
    for axes in (left, middle):
        axes.set_xlabel("width of the layer (inputs)")
    left.set_ylabel("weights leak, I_w (bits per mode)")
    left.set_title(f"T = 1, μ = {PHOTONS:g}")
    middle.set_ylabel("data leak, I_x (bits per symbol)")
    middle.set_title("square layers")
    right.set_xlabel("loss, launch to server's receiver (dB)")
    right.set_ylabel("weights leak, I_w (bits per mode)")
    right.set_title(f"G = {LOSS_GAIN:g}, {2 * study.shapes()[0][1]} inputs")
